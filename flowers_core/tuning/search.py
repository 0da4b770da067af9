"""What the search asks of Optuna: a database, what to try next, when to give up, and what mattered."""

import os
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING

from filelock import FileLock

from flowers_core.errors import ConfigError
from flowers_core.settings.config import Search
from flowers_core.tuning.studies import Plan, Study

if TYPE_CHECKING:
    import optuna

HEARTBEAT_S = 5
"""Seconds between two signs of life in the database, for workers on other machines."""

GRACE_S = 60
"""Seconds without a sign after which another machine's trial counts as failed; on one machine its lock tells."""


def suggest(trial: "optuna.Trial", name: str, rule: Search) -> object:
    """A trial's value of one setting, out of what the rule allows."""
    if rule.choices:
        return trial.suggest_categorical(name, list(rule.choices))
    return trial.suggest_float(name, rule.low, rule.high, log=rule.log)


def open_search(study: Study, plan: Plan, url: str, is_alone: bool = True) -> "optuna.Study":
    """The study in its database, with the plan's own settings as its first trial.

    Args:
        study: whose name it has.
        plan: what to try.
        url: of the database.
        is_alone: no other process begins at the same time; then the same seed suggests the same settings again.
    """
    import optuna
    from sqlalchemy import exc

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    again = optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=1)
    patience = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    try:
        storage = optuna.storages.RDBStorage(
            url, patience, heartbeat_interval=HEARTBEAT_S, grace_period=GRACE_S, heartbeat_stale_trial_callback=again
        )
    except ImportError as error:
        raise ConfigError(
            "The driver of this database is not installed", _without_password(url), _driver(url)
        ) from error
    except (exc.ArgumentError, exc.NoSuchModuleError) as error:
        hint = "It looks like postgresql://user:password@host/name, mysql+pymysql://... or sqlite:///file."
        raise ConfigError("This is not the URL of a database", _without_password(url), hint) from error
    except (exc.SQLAlchemyError, OSError) as error:
        hint = "Check that it runs, that its database exists, and the name and password."
        raise ConfigError("The database can't be used", _without_password(url), hint) from error
    with FileLock(study.folder / "plan.lock"):
        names = optuna.study.get_all_study_names(storage)
        search = optuna.create_study(
            storage=storage,
            study_name=study.id,
            direction="maximize",
            sampler=_sampler(plan, 0),
            pruner=_pruner(plan),
            load_if_exists=True,
        )
        if study.id not in names:
            usual = {name: getattr(plan.config, name) for name in plan.space}
            search.enqueue_trial({name: value for name, value in usual.items() if plan.space[name].holds(value)})
    # Workers, and a worker that came back, must not draw the same numbers again.
    is_first = is_alone and not search.get_trials(deepcopy=False)[1:]
    search.sampler = _sampler(plan, 0 if is_first else os.getpid())
    return search


def _sampler(plan: Plan, salt: int) -> "optuna.samplers.BaseSampler":
    import optuna

    random_ones = max(4, min(10, plan.trials // 3))
    return optuna.samplers.TPESampler(seed=plan.config.seed + salt, multivariate=True, n_startup_trials=random_ones)


def _pruner(plan: Plan) -> "optuna.pruners.BasePruner":
    import optuna

    epochs = plan.config.epochs
    if plan.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=max(1, epochs // 4))
    if plan.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(min_resource=max(1, epochs // 9), max_resource=epochs)
    return optuna.pruners.NopPruner()


def importance(search: "optuna.Study") -> dict[str, float]:
    """Share of the differences between finished trials that each setting explains (functional analysis of variance)."""
    import optuna

    try:
        evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
        found = optuna.importance.get_param_importances(search, evaluator=evaluator)
    except (RuntimeError, ValueError):  # all trials equally good
        return {}
    return {name: float(share) for name, share in found.items()}


def require_optuna() -> None:
    """Raises ConfigError where Optuna is not installed."""
    if find_spec("optuna") is None:
        raise ConfigError("The search needs Optuna, which is not installed", None, "Run: python -m pip install optuna")


def _without_password(url: str) -> str:
    head, separator, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if separator else url


def _driver(url: str) -> str:
    scheme = url.partition(":")[0]
    package = {"postgresql": "psycopg2-binary", "mysql": "mysqlclient", "mysql+pymysql": "pymysql"}.get(scheme)
    return f"Run: python -m pip install {package or 'the package that ' + scheme + ' needs'}"
