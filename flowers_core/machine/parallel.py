"""Work on many photos by all cores at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item, Done = TypeVar("Item"), TypeVar("Done")

AHEAD = 8
"""Items per core that are in work or wait to be taken: enough to keep all cores busy, few enough for small memories."""


def usable_cores() -> int:
    """Cores that this process may use: containers are often given the time of fewer than the machine has."""
    from joblib import cpu_count  # takes a tenth of a second, and first pages do without

    return cpu_count()


def in_order(work: Callable[[Item], Done], items: Iterable[Item]) -> Iterator[Done]:
    """What `work` makes of each item, in the items' order. Threads suffice: Pillow decodes without Python's lock.

    Raises what `work` raises, at the item's place.
    """
    workers = usable_cores()
    queue = iter(items)
    pool = ThreadPoolExecutor(workers)
    try:
        pending = deque(pool.submit(work, item) for item in islice(queue, AHEAD * workers))
        while pending:
            future = pending.popleft()
            pending.extend(pool.submit(work, item) for item in islice(queue, 1))
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)
