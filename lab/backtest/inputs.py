"""From the frames a researcher holds to the aligned arrays the engines take, and every check on the way."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest.layout import Array
from lab.backtest.prices import ExecutionPrices, frozen, instant
from lab.core.errors import ConfigError, FrameError, UnknownMarketError, WeightError
from lab.core.frames import check_bars, check_weights
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe

__all__ = ["Missing", "check_targets", "panel_of", "targets_of"]

Missing = Literal["error", "hold", "zero"]

# How far a sum of weights may exceed one: the rounding of adding fractions, nothing a portfolio could feel.
_ROUNDING: Final = 1e-9


def panel_of(
    bars: pl.DataFrame | Panel, weights: pl.DataFrame | Array, timeframe: str | Timeframe | None
) -> Panel:
    """Return the bars of the markets that `weights` are about, on the full calendar grid.

    A market that a weights frame never mentions is not traded and left out; an array is about all markets.
    """
    panel = bars if isinstance(bars, Panel) else Panel.from_frame(check_bars(bars), timeframe=timeframe)
    if isinstance(weights, np.ndarray):
        return panel
    named = set(check_weights(weights)["market"].unique().to_list())
    unknown = sorted(named - set(panel.markets))
    if unknown:
        raise UnknownMarketError(
            f"weights: no bars for {unknown[0]}; there are bars for {', '.join(panel.markets)}"
        )
    wanted = [market for market in panel.markets if market in named]
    return panel if len(wanted) == len(panel.markets) else panel.select(wanted)


def targets_of(weights: pl.DataFrame | Array, prices: ExecutionPrices, missing: Missing) -> Array:
    """Return weights aligned to the bars, shape (T, N), read-only; NaN keeps the quantity.

    Where a market has no bar, a missing row keeps the quantity; where it has one, `missing` decides.

    Raises
    ------
    FrameError
        If a row is missing and `missing` is ``error``, or a row is at no bar's time.
    WeightError
        See :func:`check_targets`.
    """
    if missing not in ("error", "hold", "zero"):
        raise ConfigError(f"missing={missing!r} not understood: use 'error', 'hold' or 'zero'")
    if isinstance(weights, np.ndarray):
        if weights.shape != prices.shape:
            raise FrameError(f"weights have shape {weights.shape}, expected {prices.shape}: bars x markets")
        targets = frozen(weights)
    else:
        targets = _pivot(check_weights(weights), prices, missing)
    check_targets(targets, prices.ts, prices.markets)
    return targets


def _pivot(frame: pl.DataFrame, prices: ExecutionPrices, missing: Missing) -> Array:
    place = {market: position for position, market in enumerate(prices.markets)}
    row = _rows(frame, prices)
    column = frame["market"].replace_strict(place, return_dtype=pl.Int64).to_numpy()
    targets = np.full(prices.shape, np.nan)
    given = np.zeros(prices.shape, dtype=np.bool_)
    targets[row, column] = frame["weight"].fill_null(np.nan).to_numpy()
    given[row, column] = True
    absent = ~given & prices.received
    if absent.any() and missing == "error":
        t, i = np.argwhere(absent)[0]
        where = f"{prices.markets[i]} at {instant(prices.ts[t])}"
        raise FrameError(
            f"weights: {int(absent.sum())} bars have no row (first {where}); give every bar a weight "
            "(NaN keeps the quantity), or say what a missing row means: missing='hold' or missing='zero'"
        )
    if missing == "zero":
        targets[absent] = 0.0
    return frozen(targets)


def _rows(frame: pl.DataFrame, prices: ExecutionPrices) -> NDArray[np.int64]:
    ts = frame["ts"].to_numpy().astype("datetime64[us]")
    row = np.searchsorted(prices.ts, ts)
    known = row < len(prices)
    known[known] = prices.ts[row[known]] == ts[known]
    if not known.all():
        first, last, odd = (instant(one) for one in (prices.ts[0], prices.ts[-1], ts[~known][0]))
        raise FrameError(
            f"weights: {int((~known).sum())} rows are at times that are no bar of {prices.timeframe} between "
            f"{first} and {last} (first {odd}); ts is the bar's opening time"
        )
    return row


def check_targets(targets: Array, ts: NDArray[np.datetime64], markets: tuple[str, ...]) -> None:
    """Refuse weights that no long, unleveraged portfolio can hold.

    Raises
    ------
    WeightError
        For the first bar with an infinite or negative weight, or a sum above 1 + 1e-9; names the market.
    """
    wrong = np.isinf(targets) | (targets < 0.0)
    if wrong.any():
        t, i = np.argwhere(wrong)[0]
        raise WeightError(
            f"weights: {markets[i]} at {instant(ts[t])} is {targets[t, i]}, expected a fraction "
            "between 0 and 1 (NaN keeps the quantity)"
        )
    sums = np.where(np.isnan(targets), 0.0, targets).sum(axis=1)
    if (sums > 1.0 + _ROUNDING).any():
        t = int(np.flatnonzero(sums > 1.0 + _ROUNDING)[0])
        largest = int(np.nanargmax(targets[t]))
        raise WeightError(
            f"weights: at {instant(ts[t])} they sum to {sums[t]:.12g} (largest {markets[largest]}, "
            f"{targets[t, largest]:.12g}), expected at most 1; the rest of the capital stays in cash"
        )
