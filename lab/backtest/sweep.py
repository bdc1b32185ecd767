"""Many parameter sets on the same bars: one row of metrics each, nothing kept but the row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest.batch import Batch, Decision, metric_columns
from lab.backtest.feature_cache import FeatureCache
from lab.backtest.grid import Grid, ParameterSets
from lab.backtest.layout import Array
from lab.backtest.metrics import METRICS
from lab.backtest.prices import ExecutionPrices, PriceName, frozen
from lab.backtest.run import Risk, limits_of
from lab.backtest.survey import hold
from lab.backtest.threads import Progress, in_threads, thread_count
from lab.core.errors import ConfigError, WeightError
from lab.core.feature import Feature
from lab.core.frames import RECEIVED
from lab.core.panel import Panel
from lab.costs import Costs
from lab.strategies import Strategy, decide_on_features

__all__ = ["Accounts", "Sweep", "sweep"]

Accounts = Literal["shared", "alone"]

# A gap is noticed by comparing with the bar before: no decision is made on a single bar.
_SHORTEST: Final = 2
_MEGABYTE: Final = 2**20


class _Job(NamedTuple):
    place: int
    features: tuple[Feature, ...]
    arrays: tuple[Array, ...]
    numbers: tuple[int | float, ...]
    warm_up: int


def sweep(
    strategy: Strategy[Any],
    grid: Grid,
    panel: Panel,
    *,
    costs: Costs,
    risk: Risk | None = None,
    metrics: Sequence[str] = METRICS,
    cash: float = 10_000.0,
    price: PriceName = "open",
    lag: int = 1,
    accounts: Accounts = "shared",
    workers: int | None = 1,
    memory_mb: float | None = None,
    progress: Progress | None = None,
) -> pl.DataFrame:
    """Simulate every parameter set of `grid` and return its metrics.

    Parameters
    ----------
    strategy : Strategy
        Asked for the weights of every set, through the core that backtest and live use.
    grid : mapping of str to sequence, or sequence of mappings
        Values per parameter, of which all combinations are run (the last parameter varies fastest), or the
        sets themselves. Parameters not named have the family's defaults.
    panel : Panel
        Bars. A feature that several sets share is computed once; memory grows with the number of distinct
        features, not with the number of sets.
    costs, risk, cash, price, lag
        See :func:`~lab.backtest.run_backtest`.
    metrics : sequence of str
        Some of :data:`~lab.backtest.metrics.METRICS`; only what they need is computed.
    accounts : {"shared", "alone"}
        One account that all markets share, or one per market, each with `cash` of its own: as many
        backtests of panels with one market.
    workers : int, optional
        Threads; None: one per processor. The result does not depend on it.
    memory_mb : float, optional
        What features and working memory may take; features that do not fit are computed again when they
        are needed again.
    progress : callable, optional
        Called with the number of sets done and their total.

    Returns
    -------
    polars.DataFrame
        One row per set, in the grid's order: its parameters, then `metrics`; with accounts of their own a
        row per set and market, and a column ``market``. The figures have the bits that a backtest of that
        set on the same panel has.

    Raises
    ------
    ConfigError
        If a parameter set or a metric is not understood, or the memory is too small for a single set.
    WeightError
        If a set's weights cannot be held.
    """
    prepared = Sweep(
        strategy,
        grid,
        panel,
        costs=costs,
        risk=risk,
        metrics=metrics,
        cash=cash,
        price=price,
        lag=lag,
        accounts=accounts,
        memory_mb=memory_mb,
        workers=workers,
    )
    return prepared.run(0, len(prepared), progress=progress)


class Sweep:
    """A sweep that is ready to run, as a whole or in parts; parameters as of :func:`sweep`.

    The rows of a part are those of the whole, to the bit. `observe` is called, from any thread,
    with the places of some sets of shared accounts and their returns, shape (sets, T).
    """

    def __init__(
        self,
        strategy: Strategy[Any],
        grid: Grid,
        panel: Panel,
        *,
        costs: Costs,
        risk: Risk | None = None,
        metrics: Sequence[str] = METRICS,
        cash: float = 10_000.0,
        price: PriceName = "open",
        lag: int = 1,
        accounts: Accounts = "shared",
        workers: int | None = 1,
        memory_mb: float | None = None,
        observe: Callable[[Sequence[int], Array], None] | None = None,
    ) -> None:
        alone = _alone(accounts, strategy)
        self.sets = ParameterSets.of(strategy, grid)
        self.metrics = tuple(metrics)
        self.workers = workers
        self._columns = metric_columns(metrics)
        self._strategy = strategy
        self._panel = panel
        self._observe = observe
        self._batch = Batch.of(
            ExecutionPrices.from_panel(panel, price),
            costs=costs,
            limits=limits_of(risk, costs, panel.markets),
            cash=cash,
            lag=lag,
            metrics=metrics,
            alone=alone,
        )
        self._received, waits, self._complete = _holds(panel)
        # A market that is late holds up the others of its account, and no other account.
        self._waits = None if alone else waits
        room = float("inf") if memory_mb is None else memory_mb * _MEGABYTE
        # Half of what may be taken is for features, unless a single simulation needs more.
        each = thread_count(workers) * self._batch.scratch
        self._together = max(int(min(self._batch.together, room / 2 // max(each, 1))), 1)
        self._features = FeatureCache(panel, room - self.working_bytes)

    def __len__(self) -> int:
        return len(self.sets)

    @property
    def batch(self) -> Batch:
        """What all simulations share."""
        return self._batch

    @property
    def features_computed(self) -> int:
        """How many features were computed so far."""
        return self._features.computed

    def feature_bytes(self, features: int) -> float:
        """Return the bytes that so many features take, or as much as they may take."""
        return min(features * self._features.each, max(self._features.room, 0.0))

    @property
    def under_way(self) -> int:
        """Simulations that all threads have at a time."""
        return thread_count(self.workers) * self._together

    @property
    def working_bytes(self) -> float:
        """Bytes of the simulations under way."""
        return self.under_way * self._batch.scratch

    def run(self, start: int, stop: int, *, progress: Progress | None = None) -> pl.DataFrame:
        """Return the rows of sets ``start … stop - 1``."""
        return self.pick(range(start, stop), progress=progress)

    def pick(self, places: Sequence[int], *, progress: Progress | None = None) -> pl.DataFrame:
        """Return the rows of the sets at `places`."""
        accounts = self._batch.accounts
        values = np.empty((len(self.metrics), len(places) * accounts))
        done = 0
        jobs = (self._job(place) for place in places)
        for rows in in_threads(self._run, jobs, workers=self.workers, chunk=self._together):
            values[:, done : done + len(rows)] = rows.T
            done += len(rows)
            if progress is not None:
                progress(done // accounts, len(places))
        parameters = self.sets.columns(places)
        if self._batch.alone:
            markets = self._panel.markets
            each = np.repeat(np.arange(len(places)), len(markets))
            parameters = {name: column.gather(each) for name, column in parameters.items()}
            parameters["market"] = pl.Series(markets * len(places), dtype=pl.String)
        return pl.DataFrame({**parameters, **dict(zip(self.metrics, values, strict=True))})

    def _job(self, index: int) -> _Job:
        params = self.sets.params(index)
        features = self._strategy.features(params)
        numbers = self._strategy.numbers(
            params,
            markets=1 if self._batch.alone else len(self._panel.markets),
            first_bar=int(self._panel.bar[0]) if len(self._panel) else 0,
        )
        longest = max((feature.lookback for feature in features), default=1)
        warm_up = max(self._strategy.lookback(params) + longest - 1, _SHORTEST) - 1
        return _Job(index, features, self._features.arrays(features), numbers, warm_up)

    def _run(self, jobs: list[_Job]) -> Array:
        decisions = (self._decide(job) for job in jobs)
        if self._observe is None:
            return self._batch.figures(decisions, len(jobs))[:, self._columns]
        returns = np.empty((len(jobs), len(self._panel)))
        rows = self._batch.figures(decisions, len(jobs), returns)[:, self._columns]
        self._observe([job.place for job in jobs], returns)
        return rows

    def _decide(self, job: _Job) -> Decision:
        weights = np.require(self._strategy.core(*job.arrays, *job.numbers), np.float64, ["C", "W"])
        if weights.shape != self._panel.shape:
            self._complain(job)
        decision = self._batch.survey(frozen(weights), self._waits, job.warm_up)
        if decision is None or not decision.found:
            self._complain(job)
        if decision is None:
            raise WeightError(f"family {self._strategy.family}: weights cannot be held")
        if not self._complete:
            hold(weights, self._received)
        return decision

    def _complain(self, job: _Job) -> None:
        """Raise what :func:`lab.strategies.decide` raises for such weights, if it does."""
        panel = self._panel.with_fields(dict(zip(job.features, job.arrays, strict=True)))
        parts = [[market] for market in panel.markets] if self._batch.alone else [panel.markets]
        for markets in parts:
            part = panel if len(parts) == 1 else panel.select(markets)
            decide_on_features(self._strategy, part, self.sets.params(job.place))


def _alone(accounts: Accounts, strategy: Strategy[Any]) -> bool:
    if accounts not in ("shared", "alone"):
        raise ConfigError(f"accounts={accounts!r} not understood: use 'shared' or 'alone'")
    if accounts == "alone" and not strategy.per_market:
        raise ConfigError(
            f"family {strategy.family} compares markets with each other; accounts='alone' has only one"
        )
    return accounts == "alone"


def _holds(panel: Panel) -> tuple[NDArray[np.bool_], NDArray[np.bool_], bool]:
    """Return which bars were received, which rows wait for one, and whether all were received."""
    name = RECEIVED["close"]
    there = ~np.isnan(panel[name] if name in panel.fields else panel["close"])
    waits = np.zeros(len(panel), dtype=np.bool_)
    waits[1:] = (there[:-1] & ~there[1:]).any(axis=1)
    for flags in (there, waits):
        flags.flags.writeable = False
    return there, waits, bool(there.all())
