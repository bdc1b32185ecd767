"""Many parameter sets on the same bars: one row of metrics each, nothing kept but the row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

import numpy as np
import polars as pl

from lab.backtest.batch import Batch, metric_columns
from lab.backtest.deciding import Decider
from lab.backtest.grid import Grid, ParameterSets
from lab.backtest.layout import Array
from lab.backtest.metrics import METRICS
from lab.backtest.prices import ExecutionPrices, PriceName
from lab.backtest.run import Risk, limits_of
from lab.backtest.threads import Progress, in_threads, thread_count
from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.costs import Costs
from lab.features.compute import compute_values
from lab.strategies import Strategy

__all__ = ["Accounts", "Sweep", "sweep"]

Accounts = Literal["shared", "alone"]

_MEGABYTE: Final = 2**20


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

    Examples
    --------
    >>> from lab.data.synthetic import synthetic_market
    >>> from lab.strategies import TimeSeriesMomentum
    >>> panel = Panel.from_frame(synthetic_market(markets=2, bars=300, timeframe="1d", seed=3))
    >>> grid = {"lookback_window": [30, 60], "vol_window": [20]}
    >>> sweep(TimeSeriesMomentum(), grid, panel, costs=Costs(), metrics=("sharpe", "turnover")).shape
    (2, 4)
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
        if memory_mb is not None and not memory_mb > 0:
            raise ConfigError(f"memory_mb is {memory_mb:g}, expected megabytes above 0")
        room = float("inf") if memory_mb is None else memory_mb * _MEGABYTE
        # Half of what may be taken is for features, unless a single simulation needs more.
        each = thread_count(workers) * self._batch.scratch
        self._together = max(int(min(self._batch.together, room / 2 // max(each, 1))), 1)
        self._decider = Decider(strategy, panel, self._batch, room=room - self.working_bytes)

    def __len__(self) -> int:
        return len(self.sets)

    @property
    def batch(self) -> Batch:
        """What all simulations share."""
        return self._batch

    @property
    def features_computed(self) -> int:
        """How many features were computed so far."""
        return self._decider.features.computed

    def feature_bytes(self, features: int) -> float:
        """Return the bytes that so many features take, or as much as they may take."""
        return min(features * self._decider.features.each, max(self._decider.features.room, 0.0))

    @property
    def features_at_a_time(self) -> float:
        """How many features fit into what they may take."""
        return self._decider.features.room / self._decider.features.each

    def compute(self, feature: Feature) -> None:
        """Compute a feature and drop it: for those who want to know what that takes."""
        compute_values(self._panel, (feature,))

    @property
    def together(self) -> int:
        """Simulations that a thread has at a time."""
        return self._together

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
        for rows in in_threads(self._run, places, workers=self.workers, chunk=self._together):
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
        return pl.DataFrame(
            [
                *(column.alias(name) for name, column in parameters.items()),
                *(pl.Series(name, column) for name, column in zip(self.metrics, values, strict=True)),
            ]
        )

    def _run(self, places: list[int]) -> Array:
        jobs = (self._decider.job(place, self.sets.params(place)) for place in places)
        decisions = (self._decider.decide(job) for job in jobs)
        if self._observe is None:
            return self._batch.figures(decisions, len(places))[:, self._columns]
        returns = np.empty((len(places), len(self._panel)))
        rows = self._batch.figures(decisions, len(places), returns)[:, self._columns]
        self._observe(places, returns)
        return rows


def _alone(accounts: Accounts, strategy: Strategy[Any]) -> bool:
    if accounts not in ("shared", "alone"):
        raise ConfigError(f"accounts={accounts!r} not understood: use 'shared' or 'alone'")
    if accounts == "alone" and not strategy.per_market:
        raise ConfigError(
            f"family {strategy.family} compares markets with each other; accounts='alone' has only one"
        )
    return accounts == "alone"
