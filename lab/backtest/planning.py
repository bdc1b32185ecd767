"""What a sweep will take, before it starts: a small calibration, scaled up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lab.backtest.grid import ParameterSets
from lab.backtest.sweep import Sweep
from lab.core.feature import Feature

__all__ = ["SweepPlan", "plan_sweep"]

_MEGABYTE: Final = 2**20
# Sets of the first calibration; more while they take less than this many seconds in all.
_FIRST: Final = 32
_MOST: Final = 2_048
_LONG_ENOUGH: Final = 0.5


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """Predicted time and memory of a sweep.

    Attributes
    ----------
    sets, features : int
        Parameter sets, and distinct features among them.
    seconds : float
        From the first to the last set, calibration not included.
    memory_mb : float
        Features, working memory and results together, beyond what the process holds already.
    """

    sets: int
    features: int
    seconds: float
    memory_mb: float


def plan_sweep(
    sweep: Sweep, *, rows_kept: int | None = None, clock: Callable[[], float] = time.perf_counter
) -> SweepPlan:
    """Predict time and memory of `sweep` from a few of its sets, spread over the whole grid.

    Parameters
    ----------
    sweep : Sweep
        What is to be run. Its first features are computed here already.
    rows_kept : int, optional
        Sets whose rows are held at a time; by default all.
    clock : callable
        Seconds, for tests.
    """
    sets = len(sweep)
    features = len(_distinct(sweep.sets))
    if sets == 0:
        return SweepPlan(0, 0, 0.0, 0.0)
    sweep.pick([0])  # compiles
    count = min(_FIRST, sets)
    while True:
        chosen = [index * sets // count for index in range(count)]
        before = sweep.features_computed
        first = _timed(sweep, chosen, clock)
        computed = sweep.features_computed - before
        second = _timed(sweep, chosen, clock)
        if second >= _LONG_ENOUGH or count >= min(_MOST, sets):
            break
        count = min(4 * count, _MOST, sets)
    each = max(first - second, 0.0) / computed if computed else 0.0
    kept = sweep.feature_bytes(features) + sweep.working_bytes
    kept += 8 * (len(sweep.sets.names) + len(sweep.metrics)) * min(rows_kept or sets, sets)
    seconds = second / count * sets + each * max(features - sweep.features_computed, 0)
    return SweepPlan(sets, features, seconds, kept / _MEGABYTE)


def _timed(sweep: Sweep, chosen: list[int], clock: Callable[[], float]) -> float:
    start = clock()
    sweep.pick(chosen)
    return clock() - start


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
