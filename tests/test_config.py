"""Settings: ranges, presets that parse, all problems at once, and a round trip through JSON."""

import json
import math
from dataclasses import fields, replace

import pytest

from flowers_core.errors import ConfigError
from flowers_core.images.augment import STRENGTHS
from flowers_core.settings import config
from flowers_core.settings.config import PRESETS, TrainConfig


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("init", ["imagenet", "scratch", "some/model.safetensors"])
def test_every_preset_can_be_used_with_every_start(name: str, init: str) -> None:
    assert config.preset(name, init).problems() == []


def test_every_setting_has_a_help_text_and_a_checked_range() -> None:
    for setting in fields(TrainConfig):
        rule = setting.metadata
        assert rule["help"].endswith("."), setting.name
        assert rule["choices"] or rule["low"] is not None or setting.name in ("data", "init")


def test_all_problems_come_in_one_error() -> None:
    wrong = TrainConfig(epochs=0, lr=math.nan, optimizer="adam", variant="2012", init="imagenet")
    with pytest.raises(ConfigError) as caught:
        wrong.check()
    for name in ("epochs", "lr", "optimizer", "init imagenet fits variant 2014 only"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"epochs": True}, "epochs"),
        ({"epochs": 1.5}, "epochs"),
        ({"lr": "0.1"}, "lr"),
        ({"lr": math.inf}, "lr"),
        ({"lr": -1.0}, "lr"),
        ({"batch_size": 0}, "batch_size"),
        ({"dropout": 1.0}, "dropout"),
        ({"seed": -1}, "seed"),
        ({"augmentation": "extreme"}, "augmentation"),
        ({"init": "scratch", "features_lr": 0.0}, "features_lr"),
        ({"data": 5}, "data"),
    ],
)
def test_a_wrong_value_is_named(changes: dict, named: str) -> None:
    problems = TrainConfig(**changes).problems()
    assert len(problems) == 1
    assert named in problems[0]


def test_whole_numbers_pass_for_decimal_settings() -> None:
    assert TrainConfig(lr=1).problems() == []


def test_configs_survive_json() -> None:
    chosen = config.preset("paper-2012", "scratch", data="a folder", seed=5)
    assert config.from_dict(json.loads(json.dumps(config.to_dict(chosen)))) == chosen


def test_limits_are_written_as_people_write_numbers() -> None:
    (seed,) = replace(TrainConfig(), seed=-1).problems()
    assert seed == "seed must lie between 0 and 2147483647, not -1"
    (rate,) = replace(TrainConfig(), lr=50.0).problems()
    assert rate == "lr must lie between 0.00000001 and 10, not 50"


def test_a_config_of_a_newer_version_is_refused_by_its_unknown_field() -> None:
    with pytest.raises(ConfigError, match="wings"):
        config.from_dict({"wings": 2})


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="quick, standard, small, paper-2012"):
        config.preset("fast")


def test_config_lists_the_augmentations_there_are() -> None:
    assert set(config.AUGMENTATIONS) == set(STRENGTHS)


def test_the_2012_preset_has_the_papers_constants() -> None:
    chosen = config.preset("paper-2012", "scratch")
    assert (chosen.variant, chosen.optimizer, chosen.schedule, chosen.views) == ("2012", "sgd-2012", "plateau", "ten")
    assert (chosen.batch_size, chosen.lr, chosen.momentum, chosen.weight_decay) == (128, 0.01, 0.9, 5e-4)
    assert (chosen.dropout, chosen.epochs, chosen.label_smoothing, chosen.mixup, chosen.clip) == (0.5, 90, 0, 0, 0)
    paper = STRENGTHS[chosen.augmentation]
    assert (paper.window_low, paper.window_high, paper.place) == (224 / 256, 224 / 256, "square")
    assert (paper.mirror, paper.pca_sd) == (True, 0.1)
