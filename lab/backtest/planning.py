"""What a sweep will take, before it starts: a small calibration, scaled up."""

from __future__ import annotations

import math
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from lab.backtest.grid import ParameterSets
from lab.backtest.sweep import Sweep
from lab.backtest.threads import in_threads, thread_count
from lab.core.feature import Feature

__all__ = ["Clocks", "SweepPlan", "plan_sweep"]

_MEGABYTE: Final = 2**20
_STATUS: Final = Path("/proc/self/status")
# Sets that are tried first; then as many as take this many seconds, and no more than that.
_FIRST: Final = 512
_LONG_ENOUGH: Final = 1.0
_MOST: Final = 12_288
# Features that are tried, for every thread.
_FEATURES: Final = 4
# Sets that are looked through for features that have to be computed again.
_LOOKED_AT: Final = 100_000
# Steps of this part of a whole never fall into step with a grid's axes.
_GOLDEN: Final = (math.sqrt(5.0) - 1.0) / 2.0


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


class _Times(NamedTuple):
    """Seconds of the wall and of all processors."""

    wall: float
    processor: float


def plan_sweep(
    sweep: Sweep,
    *,
    run: Callable[[Sequence[int]], object] | None = None,
    rows_kept: int | None = None,
    clocks: Clocks = Clocks(),  # noqa: B008
) -> SweepPlan:
    """Predict time and memory of `sweep` from some of its sets, spread over the whole grid.

    Time is that of the sets, on features that are there, and that of the features: of each as often as the
    memory given has it computed.

    Parameters
    ----------
    sweep : Sweep
        What is to be run. Some of its features are computed here already.
    run : callable, optional
        What is done with the sets at some places; by default :meth:`Sweep.pick`.
    rows_kept : int, optional
        Sets whose rows are held at a time; by default all.
    clocks : Clocks
        For tests.
    """
    sets = len(sweep)
    distinct = list(_distinct(sweep.sets))
    if sets == 0:
        return SweepPlan(0, 0, 0.0, 0.0, 0.0, _peak())
    work = sweep.pick if run is None else run
    work(range(1))  # compiles
    held = _resident()
    kept = sweep.feature_bytes(len(distinct)) + sweep.working_bytes
    kept += 8 * (len(sweep.sets.names) + len(sweep.metrics)) * min(rows_kept or sets, sets)
    each_feature = _time_of_feature(sweep, distinct, clocks)
    places, times = _tried(sweep, work, each_feature, clocks)
    often = _computations(sweep, len(distinct))
    seconds, processor = (
        taken * sets / places + feature * often for taken, feature in zip(times, each_feature, strict=True)
    )
    peak = max(_peak(), held + kept / _MEGABYTE)
    return SweepPlan(sets, len(distinct), seconds, processor, kept / _MEGABYTE, peak)


def _tried(
    sweep: Sweep, work: Callable[[Sequence[int]], object], each_feature: _Times, clocks: Clocks
) -> tuple[int, _Times]:
    """Return how many sets were tried, and their times without those of features."""
    wanted = _FIRST
    while True:
        places = _spread(len(sweep), wanted, sweep.together)
        work(places)  # computes features
        before, taken = sweep.features_computed, [_timed(partial(work, places), clocks)]
        if wanted >= _MOST or len(places) == len(sweep) or taken[0].wall >= _LONG_ENOUGH / 2.0:
            break
        wanted = min(max(int(wanted * _LONG_ENOUGH / max(taken[0].wall, 1e-9)), 2 * wanted), _MOST)
    while sum(times.wall for times in taken) < _LONG_ENOUGH / 4.0:
        taken.append(_timed(partial(work, places), clocks))
    again = (sweep.features_computed - before) / len(taken)
    least = (
        max(sum(seconds) / len(taken) - again * one, 0.0)
        for seconds, one in zip(zip(*taken, strict=True), each_feature, strict=True)
    )
    return len(places), _Times(*least)


def _spread(sets: int, wanted: int, together: int) -> Sequence[int]:
    """Return some places of a grid in runs of what a thread takes at a time; all where they are few.

    The grid is cut into as many parts as there are runs, and every part has one, each time elsewhere: runs
    at equal distances would meet the same values of an axis again and again.
    """
    runs = max(wanted // together, 1)
    if sets <= 2 * runs * together:
        return range(sets)
    places: list[int] = []
    for number in range(runs):
        part, room = number * sets / runs, sets / runs - together
        start = int(part + (number + 1) * _GOLDEN % 1.0 * room)
        places += range(start, start + together)
    return places


def _time_of_feature(sweep: Sweep, features: list[Feature], clocks: Clocks) -> _Times:
    """Return what one feature takes while all threads compute some; kernels are compiled before."""
    if not features:
        return _Times(0.0, 0.0)
    count = min(_FEATURES * thread_count(sweep.workers), len(features))
    chosen = [features[place * len(features) // count] for place in range(count)]
    for feature in {feature.name: feature for feature in features}.values():
        sweep.compute(feature)

    def compute(part: list[Feature]) -> None:
        for feature in part:
            sweep.compute(feature)

    def all_of_them() -> None:
        for _ in in_threads(compute, chosen, workers=sweep.workers, chunk=1):
            pass

    taken = _timed(all_of_them, clocks)
    return _Times(taken.wall / count, taken.processor / count)


def _computations(sweep: Sweep, features: int) -> float:
    """Return how many features a run computes: those not known yet, or more where they do not all fit."""
    fit = sweep.features_at_a_time
    if features <= fit:
        return max(features - sweep.features_computed, 0)
    known: dict[Feature, None] = {}
    computed, looked_at = 0, min(len(sweep), _LOOKED_AT)
    for place in range(looked_at):
        wanted = dict.fromkeys(sweep.sets.strategy.features(sweep.sets.params(place)))
        missing = sum(feature not in known for feature in wanted)
        computed += missing
        for feature in wanted:
            known.pop(feature, None)
        while known and len(known) + len(wanted) > fit:
            del known[next(iter(known))]
        known |= wanted
    return computed * len(sweep) / looked_at


def _timed(work: Callable[[], Any], clocks: Clocks) -> _Times:
    wall, processor = clocks.wall(), clocks.processor()
    work()
    return _Times(clocks.wall() - wall, clocks.processor() - processor)


def _peak() -> float:
    """Return the largest resident memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident() -> float:
    """Return the resident memory of this process in megabytes."""
    for line in _STATUS.read_text().splitlines() if _STATUS.exists() else ():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return _peak()


def _distinct(sets: ParameterSets) -> dict[Feature, None]:
    """Return the features of all sets, found by varying only the parameters that features depend on."""

    def features(index: int) -> tuple[Feature, ...]:
        return sets.strategy.features(sets.params(index))

    if not len(sets):
        return {}
    if sets.listed is not None:
        return dict.fromkeys(feature for index in range(len(sets)) for feature in features(index))
    steps, step = [], 1
    for axis in reversed(sets.axes):
        steps.append((step, len(axis)))
        step *= len(axis)
    usual = features(0)
    places = [0]
    for step, length in steps:
        if any(features(step * place) != usual for place in range(1, length)):
            places = [start + step * place for start in places for place in range(length)]
    return dict.fromkeys(feature for place in places for feature in features(place))
