"""Many sets of weights on the same bars: one row of metrics each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from lab.backtest.batch import Batch, Decision, metric_columns
from lab.backtest.inputs import check_targets
from lab.backtest.layout import Array
from lab.backtest.metrics import METRICS
from lab.backtest.prices import ExecutionPrices, PriceName, frozen
from lab.backtest.run import Risk, limits_of
from lab.backtest.survey import MANY, NONE
from lab.backtest.threads import in_threads
from lab.core.errors import FrameError
from lab.core.panel import Panel
from lab.costs import Costs

__all__ = ["simulate_many"]


def simulate_many(
    panel: Panel | ExecutionPrices,
    weights: Iterable[Array],
    *,
    costs: Costs,
    risk: Risk | None = None,
    metrics: Sequence[str] = METRICS,
    cash: float = 10_000.0,
    price: PriceName = "open",
    lag: int = 1,
    workers: int | None = None,
) -> pl.DataFrame:
    """Simulate many sets of target weights on the same bars and return their metrics.

    Parameters
    ----------
    panel : Panel or ExecutionPrices
        Bars, or prices prepared from them.
    weights : iterable of ndarray, shape (T, N)
        Decided at each bar's close; NaN keeps the quantity. Taken one by one, so that a generator of a
        million sets needs the memory of a few.
    costs, risk, cash, price, lag
        See :func:`~lab.backtest.run_backtest`.
    metrics : sequence of str
        Some of :data:`~lab.backtest.metrics.METRICS`; only what they need is computed.
    workers : int, optional
        Threads; by default one per processor. The result does not depend on it.

    Returns
    -------
    polars.DataFrame
        One row per set, in order, one column per metric; the bits of :func:`~lab.backtest.run_backtest`.

    Raises
    ------
    WeightError
        If weights are infinite, negative or sum to more than 1 + 1e-9; names bar and market.

    Examples
    --------
    >>> import numpy as np
    >>> days = np.datetime64("2024-01-01", "us") + np.arange(3) * np.timedelta64(1, "D")
    >>> frame = pl.DataFrame({"ts": days, "market": "synthetic:AAA/USDT", "close": [10.0, 10.0, 12.0]})
    >>> frame = frame.with_columns(pl.col("ts").dt.replace_time_zone("UTC"), open=pl.col("close"))
    >>> halves = [np.full((3, 1), weight) for weight in (0.0, 0.5)]
    >>> free = Costs(fee_bps=0.0, slippage_bps=0.0)
    >>> simulate_many(Panel.from_frame(frame), halves, costs=free, metrics=["total_return"]).rows()
    [(0.0,), (0.10000000000000009,)]
    """
    prices = panel if isinstance(panel, ExecutionPrices) else ExecutionPrices.from_panel(panel, price)
    limits = limits_of(risk, costs, prices.markets)
    batch = Batch.of(prices, costs=costs, limits=limits, cash=cash, lag=lag, metrics=metrics)
    columns = metric_columns(metrics)

    def run(sets: list[Array]) -> Array:
        return batch.figures((_checked(batch, one) for one in sets), len(sets))[:, columns]

    found = list(in_threads(run, weights, workers=workers, chunk=batch.together))
    table = np.vstack(found) if found else np.empty((0, len(columns)))
    return pl.DataFrame(dict(zip(metrics, table.T.copy(), strict=True)))


def _checked(batch: Batch, weights: Array) -> Decision:
    if weights.shape != batch.prices.shape:
        raise FrameError(f"weights have shape {weights.shape}, expected {batch.prices.shape}: bars x markets")
    values = frozen(weights)
    decision = batch.survey(values, None, 0)
    if decision is None:
        check_targets(values, batch.prices.ts, batch.prices.markets)
        # A single weight above 1 by rounding, which that lets pass.
        rows = np.where(np.isnan(values).all(axis=1), NONE, MANY)
        return Decision(values, rows, len(values), len(values))
    return decision
