"""A pool of threads over fixed chunks.

Work is cut into chunks whose borders depend on the data alone; each chunk has accumulators of its
own, which are summed in the order of the chunks. So no digit depends on the number of threads.
The kernels release the GIL, and no OpenMP runtime is needed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .errors import OptionError

T = TypeVar("T")

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_pool_owner = 0
_threads: int | None = None


def get_threads() -> int:
    """Return the number of threads that lmmcore uses.

    It is what `set_threads` said, else the environment variable ``LMMCORE_NUM_THREADS``, else the
    number of processors that the process may run on.
    """
    if _threads is not None:
        return _threads
    given = os.environ.get("LMMCORE_NUM_THREADS", "")
    if given:
        if not given.isdigit() or int(given) < 1:
            raise OptionError(
                f"the environment variable LMMCORE_NUM_THREADS is {given!r}; "
                "expected a whole number from 1 upwards"
            )
        return int(given)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_threads(n: int | None) -> None:
    """Set the number of threads; results are bitwise the same for any number.

    Parameters
    ----------
    n : int or None
        At least 1; None returns to the default of `get_threads`.
    """
    global _threads, _pool
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise OptionError(f"set_threads got {n!r}; expected None or a whole number from 1 upwards")
    with _lock:
        _threads = n
        if _pool is not None:
            _pool.shutdown(wait=False)
            _pool = None


def map_chunks(work: Callable[[int], T], n_chunks: int) -> list[T]:
    """Return ``[work(0), …, work(n_chunks - 1)]``, computed by the pool."""
    global _pool, _pool_owner
    if n_chunks == 1:
        return [work(0)]
    threads = get_threads()
    if threads == 1:
        return [work(i) for i in range(n_chunks)]
    with _lock:
        # A forked child inherits the object but not its threads.
        if _pool is None or _pool_owner != os.getpid():
            _pool = ThreadPoolExecutor(threads, thread_name_prefix="lmmcore")
            _pool_owner = os.getpid()
        pool = _pool
    return list(pool.map(work, range(n_chunks)))
