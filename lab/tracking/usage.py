"""What a run takes of the machine: processor and memory, sampled while it works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

__all__ = ["SYSTEM", "Sample", "Samples", "usage"]

# MLflow shows metrics whose names begin so on a page of their own.
SYSTEM: Final = "system/"
_SECONDS: Final = 1.0
# When there are more, every other one goes and the pace halves: a long run keeps as many as a short one.
_MOST: Final = 240
_MEGABYTE: Final = 1e6


@dataclass(frozen=True, slots=True)
class Sample:
    """Processor and memory at one moment.

    Parameters
    ----------
    at : datetime
        UTC.
    processor_percent : float
        Of the whole machine, since the sample before.
    process_percent : float
        Of one processor, by this process; 200 is two of them.
    memory_percent : float
        Of the machine's memory.
    process_megabytes : float
        Resident memory of this process.
    """

    at: datetime
    processor_percent: float
    process_percent: float
    memory_percent: float
    process_megabytes: float

    def figures(self) -> dict[str, float]:
        """Return the sample under MLflow's names for system metrics, by which its UI finds them."""
        return {
            f"{SYSTEM}cpu_utilization_percentage": self.processor_percent,
            f"{SYSTEM}process_cpu_utilization_percentage": self.process_percent,
            f"{SYSTEM}system_memory_usage_percentage": self.memory_percent,
            f"{SYSTEM}process_memory_usage_megabytes": self.process_megabytes,
        }


class Samples:
    """Samples of a run, oldest first; at most 240, evenly thinned."""

    def __init__(self) -> None:
        self._kept: list[Sample] = []
        self._pace = 1
        self._seen = 0

    def add(self, sample: Sample) -> None:
        """Keep a sample, if its turn has come."""
        if self._seen % self._pace == 0:
            self._kept.append(sample)
        self._seen += 1
        if len(self._kept) > _MOST:
            self._kept = self._kept[::2]
            self._pace *= 2

    def __iter__(self) -> Iterator[Sample]:
        return iter(tuple(self._kept))

    def __len__(self) -> int:
        return len(self._kept)


@contextmanager
def usage(seconds: float = _SECONDS) -> Iterator[Samples]:
    """Sample processor and memory while the block runs: when it begins, every `seconds`, and at its end.

    Examples
    --------
    >>> with usage() as samples:
    ...     total = sum(range(1000))
    >>> len(samples)
    2
    """
    import psutil

    process, samples, over = psutil.Process(), Samples(), threading.Event()

    def look() -> None:
        while not over.wait(seconds):
            samples.add(_sample(psutil, process))

    # The first figures of psutil cover the time since its import; these are thrown away.
    psutil.cpu_percent()
    process.cpu_percent()
    samples.add(_sample(psutil, process))
    watcher = threading.Thread(target=look, name="usage", daemon=True)
    watcher.start()
    try:
        yield samples
    finally:
        over.set()
        watcher.join()
        samples.add(_sample(psutil, process))


def _sample(psutil: Any, process: Any) -> Sample:
    return Sample(
        at=datetime.now(UTC),
        processor_percent=psutil.cpu_percent(),
        process_percent=process.cpu_percent(),
        memory_percent=psutil.virtual_memory().percent,
        process_megabytes=process.memory_info().rss / _MEGABYTE,
    )
