"""Whose a portfolio's profit is: shared out to the families that wanted its positions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from lab.backtest.layout import Array
from lab.backtest.metrics import METRICS, Bars, compute_metrics
from lab.backtest.result import BacktestResult
from lab.core.errors import FrameError
from lab.core.timeframe import Timeframe

__all__ = ["by_family"]

_AMOUNTS: Final = ("profit", "contribution", "notional", "fee", "slippage")


def by_family(
    result: BacktestResult, parts: Mapping[str, Array], *, timeframe: str | Timeframe
) -> pl.DataFrame:
    """Return what every family contributed to an account that several share.

    The profit of a market before costs goes to the families in proportion to what they wanted of it, at the
    decision that the bar traded on; where none wants it any more, in proportion to what they wanted last.
    Costs go to those whose wish changed, in proportion to the change.

    Parameters
    ----------
    result : BacktestResult
        Of the portfolio.
    parts : mapping of str to ndarray of shape (T, N)
        What each family wanted at the close of every bar, in fractions of the portfolio's capital, 0 or more,
        on the bars of `result` and its markets sorted by name. Only proportions count.
    timeframe : str or Timeframe
        For annualising.

    Returns
    -------
    polars.DataFrame
        One row per family. ``family``; ``profit`` net of costs and ``contribution``, profit over starting
        capital: their sums over families are the account's profit and total return; ``notional`` traded,
        ``fee`` and ``slippage`` in the quote currency; then :data:`~lab.backtest.metrics.METRICS` of the
        family's profit per bar over the account's equity before it: the part of the account's return that is
        the family's.

    Raises
    ------
    FrameError
        If `parts` do not have the shape of the result.
    """
    markets = result.permitted["market"].unique().sort().to_list()
    ts = result.equity["ts"]
    shape = (len(ts), len(markets))
    wishes = _wishes(parts, shape, result.lag)
    flows = _flows(result, ts, markets)
    value = _pivot(result.positions, "value", ts, markets)
    before = np.vstack([np.zeros((1, len(markets))), value[:-1]])
    cost = flows["fee"] + flows["slippage"]
    gross = value - before - flows["paid"] + cost
    held, changed = _proportions(wishes)
    equity = result.equity["equity"].to_numpy()
    start = np.concatenate([[result.cash], equity[:-1]])
    year = Timeframe.parse(timeframe).periods_per_year
    rows = []
    for k, family in enumerate(parts):
        profit = (gross * held[:, k] - cost * changed[:, k]).sum(axis=1)
        own = {name: (flows[name] * changed[:, k]).sum(axis=1) for name in ("notional", "fee", "slippage")}
        bars = Bars(
            profit / start,
            own["notional"] / start,
            (own["fee"] + own["slippage"]) / start,
            (value * held[:, k]).sum(axis=1) / equity,
        )
        amounts = {"profit": profit.sum(), "contribution": profit.sum() / result.cash}
        amounts |= {name: amount.sum() for name, amount in own.items()}
        rows.append({"family": family, **amounts, **compute_metrics(bars, periods_per_year=year)})
    schema: dict[str, Any] = {"family": pl.String, **dict.fromkeys((*_AMOUNTS, *METRICS), pl.Float64)}
    return pl.DataFrame(rows, schema=schema)


def _wishes(parts: Mapping[str, Array], shape: tuple[int, int], lag: int) -> Array:
    """Return what each family wanted at the decision in force in each bar, shape (T, K, N)."""
    wishes = np.zeros((shape[0], len(parts), shape[1]))
    for k, (family, wanted) in enumerate(parts.items()):
        if np.shape(wanted) != shape:
            raise FrameError(
                f"parts of {family} have shape {np.shape(wanted)}; expected {shape[0]} bars and {shape[1]} "
                "markets, those of the result"
            )
        wishes[lag:, k] = np.nan_to_num(wanted[: shape[0] - lag] if lag else wanted)
    return wishes


def _proportions(wishes: Array) -> tuple[Array, Array]:
    """Return each family's share in every market's position, and in its trades, shapes (T, K, N)."""
    bars = np.arange(len(wishes))
    total = wishes.sum(axis=1)
    last = np.maximum.accumulate(np.where(total > 0.0, bars[:, None], -1), axis=0)
    share = np.divide(wishes, total[:, None], out=np.zeros_like(wishes), where=total[:, None] > 0.0)
    known = np.take_along_axis(share, np.maximum(last, 0)[:, None], axis=0)
    held = np.where(last[:, None] >= 0, known, 0.0)
    moved = np.abs(np.diff(wishes, axis=0, prepend=0.0))
    moves = moved.sum(axis=1)[:, None]
    # Trades without a new wish bring a drifted position back: they are for those who hold it.
    changed = np.divide(moved, moves, out=held.copy(), where=moves > 0.0)
    return held, changed


def _flows(result: BacktestResult, ts: pl.Series, markets: list[str]) -> dict[str, Array]:
    """Return per bar and market: money paid in (fee included), notional, fee and slippage."""
    buys = pl.col("side") == "buy"
    paid = pl.when(buys).then(pl.col("notional")).otherwise(-pl.col("notional")) + pl.col("fee")
    orders = (
        result.orders.with_columns(paid=paid)
        .group_by("ts", "market")
        .agg(pl.col("paid", "notional", "fee", "slippage").sum())
    )
    return {name: _pivot(orders, name, ts, markets) for name in ("paid", "notional", "fee", "slippage")}


def _pivot(frame: pl.DataFrame, column: str, ts: pl.Series, markets: list[str]) -> Array:
    values = np.zeros((len(ts), len(markets)))
    rows = ts.search_sorted(frame["ts"]).to_numpy()
    place = {market: at for at, market in enumerate(markets)}
    columns = frame["market"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    values[rows, columns] = frame[column].to_numpy()
    return values
