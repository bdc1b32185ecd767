"""From a parameter set to a checked decision, on features that all sets of a panel share."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.backtest.batch import Batch, Decision
from lab.backtest.feature_cache import FeatureCache
from lab.backtest.layout import Array
from lab.backtest.prices import frozen
from lab.backtest.survey import hold
from lab.core.errors import WeightError
from lab.core.feature import Feature
from lab.core.frames import RECEIVED
from lab.core.panel import Panel
from lab.strategies import Strategy, decide_on_features

__all__ = ["Decider", "Job"]

# A gap is noticed by comparing with the bar before: no decision is made on a single bar.
_SHORTEST: Final = 2


class Job(NamedTuple):
    """One parameter set with all that its core takes."""

    place: int
    params: Any
    features: tuple[Feature, ...]
    arrays: tuple[Array, ...]
    numbers: tuple[int | float, ...]
    warm_up: int


class Decider:
    """Decisions of one strategy on one panel; safe to use from threads.

    Parameters
    ----------
    strategy : Strategy
        Whose core is called.
    panel : Panel
        Bars that features see.
    batch : Batch
        What the decisions are for; its prices are those of the panel's rows from `start` on.
    room : float
        Bytes that features may take.
    start : int
        Rows of the panel before the first decision; they are no part of a decision. 0 for accounts alone.
    """

    def __init__(
        self, strategy: Strategy[Any], panel: Panel, batch: Batch, *, room: float, start: int = 0
    ) -> None:
        self.features = FeatureCache(panel, room)
        self._strategy = strategy
        self._panel = panel
        self._batch = batch
        self._start = start
        self._received, waits, self._complete = _holds(panel)
        # A market that is late holds up the others of its account, and no other account.
        self._waits = np.zeros_like(waits) if batch.alone else waits
        self._waits.flags.writeable = False

    def job(self, place: int, params: Any) -> Job:
        """Return what the core takes for `params`; features that are not known are computed."""
        features = self._strategy.features(params)
        numbers = self._strategy.numbers(
            params,
            markets=1 if self._batch.alone else len(self._panel.markets),
            first_bar=int(self._panel.bar[0]) if len(self._panel) else 0,
        )
        longest = max((feature.lookback for feature in features), default=1)
        warm_up = max(self._strategy.lookback(params) + longest - 1, _SHORTEST) - 1
        return Job(place, params, features, self.features.arrays(features), numbers, warm_up)

    def decide(self, job: Job) -> Decision:
        """Return the checked weights of one set.

        Raises
        ------
        WeightError
            If they cannot be held.
        """
        weights = np.require(self._strategy.core(*job.arrays, *job.numbers), np.float64, ["C", "W"])
        if weights.shape != self._panel.shape:
            self._complain(job)
        decision = self._batch.survey(frozen(weights), self._waits, max(job.warm_up, self._start))
        if decision is None or not decision.found:
            self._complain(job)
        if decision is None:
            raise WeightError(f"family {self._strategy.family}: weights cannot be held")
        if not self._complete:
            hold(weights, self._received)
        return decision.rows_from(self._start)

    def _complain(self, job: Job) -> None:
        """Raise what :func:`lab.strategies.decide` raises for such weights, if it does."""
        panel = self._panel.with_fields(dict(zip(job.features, job.arrays, strict=True)))
        parts = [[market] for market in panel.markets] if self._batch.alone else [panel.markets]
        for markets in parts:
            part = panel if len(parts) == 1 else panel.select(markets)
            decide_on_features(self._strategy, part, job.params)


def _holds(panel: Panel) -> tuple[NDArray[np.bool_], NDArray[np.bool_], bool]:
    """Return which bars were received, which rows wait for one, and whether all were received."""
    name = RECEIVED["close"]
    there = ~np.isnan(panel[name] if name in panel.fields else panel["close"])
    complete = bool(there.all())
    waits = np.zeros(len(panel), dtype=np.bool_)
    if not complete:
        waits[1:] = (there[:-1] & ~there[1:]).any(axis=1)
    there.flags.writeable = False
    return there, waits, complete
