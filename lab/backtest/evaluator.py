"""Parameter sets that come one batch at a time, on the same bars: what a search asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.backtest.batch import Batch, metric_columns
from lab.backtest.deciding import Decider
from lab.backtest.layout import Array
from lab.backtest.metrics import METRICS
from lab.backtest.prices import ExecutionPrices, PriceName, frozen
from lab.backtest.run import Risk, limits_of
from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.costs import Costs
from lab.strategies import Strategy

__all__ = ["Evaluated", "Evaluator"]

_MEGABYTE: Final = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Evaluated:
    """What some parameter sets did, in their order.

    Attributes
    ----------
    figures : ndarray, shape (S, M)
        The metrics asked for, over the counted bars; NaN where one has no value.
    returns : ndarray, shape (S, C)
        Simple returns of the counted bars, costs included; read-only.
    """

    figures: Array
    returns: Array


class Evaluator:
    """An account per parameter set on the last rows of a panel, for sets that come a batch at a time.

    Safe to use from threads: features are computed once, and the rest is done without the interpreter's lock.
    Sets that come together cost less: sixteen at a time run side by side.

    Parameters
    ----------
    strategy : Strategy
        Whose core decides.
    panel : Panel
        Bars that features see.
    start : int
        Rows before the account: it starts in cash at that row, and decisions before it are none.
    costs, risk, cash, price, lag
        See :func:`~lab.backtest.run_backtest`.
    metrics : sequence of str
        Some of :data:`~lab.backtest.metrics.METRICS`; only what they need is computed.
    counted : ndarray of int64, optional
        Positions, from `start`, of the bars that count in figures and returns; all of them by default.
    memory_mb : float, optional
        What features may take; those that do not fit are computed again when they are needed again.

    Raises
    ------
    ConfigError
        If `start` is not a row of the panel, or a metric is not known.

    Examples
    --------
    >>> import polars as pl
    >>> from lab.strategies import strategy_of
    >>> days = np.datetime64("2024-01-01", "us") + np.arange(9) * np.timedelta64(1, "D")
    >>> frame = pl.DataFrame({"ts": days, "market": "synthetic:AAA/USDT", "close": np.arange(9) + 10.0})
    >>> frame = frame.with_columns(pl.col("ts").dt.replace_time_zone("UTC"), open=pl.col("close"))
    >>> momentum = strategy_of("time_series_momentum")
    >>> sets = [momentum.params(lookback_window=window, vol_window=2) for window in (2, 3)]
    >>> free = Costs(fee_bps=0.0, slippage_bps=0.0)
    >>> evaluator = Evaluator(
    ...     momentum, Panel.from_frame(frame), start=4, costs=free, metrics=["time_in_market"]
    ... )
    >>> evaluator.evaluate(sets).figures.tolist(), evaluator.evaluate(sets[:1]).returns.shape
    ([[0.8], [0.8]], (1, 5))
    """

    def __init__(
        self,
        strategy: Strategy[Any],
        panel: Panel,
        *,
        costs: Costs,
        start: int = 0,
        risk: Risk | None = None,
        metrics: Sequence[str] = METRICS,
        cash: float = 10_000.0,
        price: PriceName = "open",
        lag: int = 1,
        counted: NDArray[np.int64] | None = None,
        memory_mb: float | None = None,
    ) -> None:
        if not 0 <= start < max(len(panel), 1):
            raise ConfigError(f"start is {start}, expected a row of the panel: 0 to {len(panel) - 1}")
        self._columns = metric_columns(metrics)
        self._batch = Batch.of(
            ExecutionPrices.from_panel(panel.rows(start, len(panel)), price),
            costs=costs,
            limits=limits_of(risk, costs, panel.markets),
            cash=cash,
            lag=lag,
            metrics=metrics,
            counted=counted,
        )
        room = float("inf") if memory_mb is None else memory_mb * _MEGABYTE
        self._decider = Decider(strategy, panel, self._batch, room=room, start=start)

    @property
    def together(self) -> int:
        """Sets that are best evaluated in one call."""
        return self._batch.together

    def evaluate(self, sets: Sequence[Any]) -> Evaluated:
        """Return figures and returns of the strategy at `sets`, which are parameters of its family.

        Raises
        ------
        WeightError
            If weights cannot be held; see :func:`lab.strategies.decide`.
        """
        returns = np.empty((len(sets), self._batch.counted_bars))
        decisions = (self._decider.decide(self._decider.job(i, params)) for i, params in enumerate(sets))
        figures = self._batch.figures(decisions, len(sets), returns)[:, self._columns]
        return Evaluated(figures, frozen(returns))
