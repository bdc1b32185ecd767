"""What a sweep will take, before it starts: a small calibration, scaled up."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from lab.backtest.grid import ParameterSets
from lab.backtest.sweep import Sweep
from lab.core.feature import Feature

__all__ = ["Clocks", "SweepPlan", "plan_sweep"]

_MEGABYTE: Final = 2**20
_STATUS: Final = Path("/proc/self/status")
# Runs of sets that are tried, spread over the grid; more while they take less than this many seconds in all.
_FIRST: Final = 8
_MOST: Final = 128
_LONG_ENOUGH: Final = 1.0
# Sets of a run, in chunks of a thread: with fewer, threads wait for each other more than in the sweep.
_CHUNKS: Final = 3


class Clocks(NamedTuple):
    """Where seconds are read: of the wall, and of all processors that this process used."""

    wall: Callable[[], float] = time.perf_counter
    processor: Callable[[], float] = time.process_time


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """Predicted time and memory of a sweep.

    Attributes
    ----------
    sets, features : int
        Parameter sets, and distinct features among them.
    seconds, processor_seconds : float
        From the first to the last set, calibration not included: on the wall's clock, and of all processors
        together, which other work on the machine changes less.
    memory_mb : float
        Features, working memory and results together, beyond what the process holds already.
    peak_mb : float
        Largest resident memory of the process.
    """

    sets: int
    features: int
    seconds: float
    processor_seconds: float
    memory_mb: float
    peak_mb: float


def plan_sweep(
    sweep: Sweep,
    *,
    run: Callable[[int, int], object] | None = None,
    rows_kept: int | None = None,
    clocks: Clocks = Clocks(),  # noqa: B008
) -> SweepPlan:
    """Predict time and memory of `sweep` from a few runs of its sets, spread over the whole grid.

    Parameters
    ----------
    sweep : Sweep
        What is to be run. Its first features are computed here already.
    run : callable, optional
        What is done with the sets ``start … stop - 1``; by default :meth:`Sweep.run`.
    rows_kept : int, optional
        Sets whose rows are held at a time; by default all.
    clocks : Clocks
        For tests.
    """
    sets = len(sweep)
    features = len(_distinct(sweep.sets))
    if sets == 0:
        return SweepPlan(0, 0, 0.0, 0.0, 0.0, _peak())
    work = sweep.run if run is None else run
    work(0, 1)  # compiles
    held = _resident()
    kept = sweep.feature_bytes(features) + sweep.working_bytes
    kept += 8 * (len(sweep.sets.names) + len(sweep.metrics)) * min(rows_kept or sets, sets)
    size = min(_CHUNKS * sweep.under_way, sets)
    runs = min(_FIRST, -(-sets // size))
    while True:
        starts = [place * (sets - size) // max(runs - 1, 1) for place in range(runs)]
        before = sweep.features_computed
        first = _timed(work, starts, size, clocks)
        computed = sweep.features_computed - before
        second = _timed(work, starts, size, clocks)
        if second[0] >= _LONG_ENOUGH or 2 * runs * size > min(sets, _MOST * size):
            break
        runs *= 2
    left = max(features - sweep.features_computed, 0)
    seconds, processor = (
        again * sets / (runs * size) + (max(once - again, 0.0) / computed if computed else 0.0) * left
        for once, again in zip(first, second, strict=True)
    )
    peak = max(_peak(), held + kept / _MEGABYTE)
    return SweepPlan(sets, features, seconds, processor, kept / _MEGABYTE, peak)


def _timed(
    work: Callable[[int, int], object], starts: list[int], size: int, clocks: Clocks
) -> tuple[float, float]:
    wall, processor = clocks.wall(), clocks.processor()
    for start in starts:
        work(start, start + size)
    return clocks.wall() - wall, clocks.processor() - processor


def _peak() -> float:
    """Return the largest resident memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident() -> float:
    """Return the resident memory of this process in megabytes."""
    for line in _STATUS.read_text().splitlines() if _STATUS.exists() else ():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return _peak()


def _distinct(sets: ParameterSets) -> set[Feature]:
    """Return the features of all sets, found by varying only the parameters that features depend on."""

    def features(index: int) -> tuple[Feature, ...]:
        return sets.strategy.features(sets.params(index))

    if not len(sets):
        return set()
    if sets.listed is not None:
        return {feature for index in range(len(sets)) for feature in features(index)}
    steps, step = [], 1
    for axis in reversed(sets.axes):
        steps.append((step, len(axis)))
        step *= len(axis)
    usual = features(0)
    places = [0]
    for step, length in steps:
        if any(features(step * place) != usual for place in range(1, length)):
            places = [start + step * place for start in places for place in range(length)]
    return {feature for place in places for feature in features(place)}
