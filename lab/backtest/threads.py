"""Work in threads: chunks of jobs, results in order, few under way at any time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import Any, TypeVar

__all__ = ["Progress", "in_threads", "thread_count"]

Progress = Callable[[int, int], None]
Job = TypeVar("Job")


def thread_count(workers: int | None) -> int:
    """Return the number of threads that `workers` stands for; None: one per processor."""
    return (os.cpu_count() or 1) if workers is None else max(workers, 1)


def in_threads(
    run: Callable[[list[Job]], Any], jobs: Iterable[Job], *, workers: int | None, chunk: int
) -> Iterator[Any]:
    """Yield ``run(chunk)`` for chunks of `jobs`, in order; few chunks are under way at any time.

    Jobs are taken by the calling thread while the others work; the last few are shared out, and one alone
    is done at once.
    """
    threads = thread_count(workers)
    source = iter(jobs)
    if threads <= 1:
        while part := list(islice(source, chunk)):
            yield run(part)
        return
    first = list(islice(source, chunk))
    if len(first) == 1 and chunk > 1:
        yield run(first)
        return
    source = chain(first, source)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Any]] = deque()
        while part := list(islice(source, chunk)):
            each = chunk if len(part) == chunk else -(-len(part) // threads)
            for start in range(0, len(part), each):
                waiting.append(pool.submit(run, part[start : start + each]))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
