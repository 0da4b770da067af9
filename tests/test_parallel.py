"""Work on many items by all cores: in their order, few at a time, and over when nobody wants more."""

import os
import subprocess
import sys
import threading
import time

import pytest

from flowers_core.machine import parallel
from flowers_core.storage import REPOSITORY


@pytest.fixture(autouse=True)
def three_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "3")


def test_results_come_in_the_items_order_however_long_each_takes() -> None:
    def work(item: int) -> int:
        time.sleep(0.01 * (item % 3 == 0))
        return item * item

    assert list(parallel.in_order(work, iter(range(50)))) == [item * item for item in range(50)]
    assert list(parallel.in_order(work, [])) == []


def test_an_error_comes_at_its_items_place() -> None:
    def work(item: int) -> float:
        return 1 / (item - 3)

    results = parallel.in_order(work, range(10))
    assert [round(next(results), 2) for _ in range(3)] == [-0.33, -0.5, -1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_few_items_are_in_flight_and_none_is_begun_after_the_end() -> None:
    begun = []
    before = threading.active_count()
    results = parallel.in_order(begun.append, range(10_000))
    next(results)
    most = parallel.AHEAD * parallel.usable_cores() + 1
    assert len(begun) <= most
    results.close()
    assert threading.active_count() == before
    after = len(begun)
    time.sleep(0.05)
    assert len(begun) == after <= most


def test_torch_takes_no_more_cores_than_there_are_to_use_and_does_not_keep_them_from_others() -> None:
    """As in a container that is given the time of one core of a large machine."""
    told = (
        "from flowers_core.machine import parallel, precision; import os, torch; "
        "print(parallel.usable_cores(), torch.get_num_threads(), os.environ['GOMP_SPINCOUNT'])"
    )
    environment = {**os.environ, "LOKY_MAX_CPU_COUNT": "1"}
    for name in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT"):
        environment.pop(name, None)
    command = [sys.executable, "-c", told]
    result = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["1", "1", "1000"]
