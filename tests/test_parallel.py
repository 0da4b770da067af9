"""Work on many items by all cores: in their order, few at a time, and over when nobody wants more."""

import threading
import time

import pytest

from flowers_core import parallel


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
