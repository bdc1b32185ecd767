"""Leaks by reading the wrong bars: shifts, holes, the universe, joins, memory without end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from lab.core.panel import Panel
from lab.features import compute, mean
from tests.oracle.leaky_panels import Array, added, frame, lagged, shifted, where_known


# Shifts and windows ---------------------------------------------------------------------------------------
def next_return(panel: Panel, _: Any) -> Array:
    return shifted(panel["close"], -1) / panel["close"] - 1.0


def last_return(panel: Panel, _: Any) -> Array:
    return panel["close"] / shifted(panel["close"], 1) - 1.0


def lag_with_wrong_sign(panel: Panel, _: Any) -> Array:
    return panel["close"] / shifted(panel["close"], -3)


def lag_with_right_sign(panel: Panel, _: Any) -> Array:
    return panel["close"] / shifted(panel["close"], 3)


def slope_both_sides(panel: Panel, _: Any) -> Array:
    return np.gradient(panel["close"], axis=0) if len(panel) > 1 else np.zeros(panel.shape)


def slope_backwards(panel: Panel, _: Any) -> Array:
    return panel["close"] - shifted(panel["close"], 1)


def centred_window(panel: Panel, _: Any) -> Array:
    return frame(panel).rolling(5, center=True).max().to_numpy()


def trailing_window(panel: Panel, _: Any) -> Array:
    return frame(panel).rolling(5).max().to_numpy()


def wrapped_roll(panel: Panel, _: Any) -> Array:
    return panel["close"] / np.roll(panel["close"], 1, axis=0)


def argmax_of_the_future(panel: Panel, _: Any) -> Array:
    parts = lagged(panel["close"][::-1], 5)[:, ::-1]
    return where_known(parts, np.nan_to_num(parts).argmax(axis=0))


def argmax_of_the_past(panel: Panel, _: Any) -> Array:
    parts = lagged(panel["close"], 5)
    return where_known(parts, np.nan_to_num(parts).argmax(axis=0))


def outcome_of_this_trade(panel: Panel, _: Any) -> Array:
    """Label a bar by which barrier the next ten bars touch first."""
    best = np.array([shifted(panel["high"], -k) for k in range(1, 11)])
    return (best > panel["close"] * 1.05).any(axis=0).astype(np.float64)


def outcome_of_an_old_trade(panel: Panel, _: Any) -> Array:
    start = shifted(panel["close"], 10)
    best = np.array([shifted(panel["high"], k) for k in range(10)])
    return (best > start * 1.05).any(axis=0).astype(np.float64)


def buys_tomorrows_low(panel: Panel, _: Any) -> Array:
    return (shifted(panel["low"], -1) < panel["close"] * 0.98).astype(np.float64)


def buys_todays_low(panel: Panel, _: Any) -> Array:
    return (panel["low"] < shifted(panel["close"], 1) * 0.98).astype(np.float64)


# Holes ----------------------------------------------------------------------------------------------------
def filled_backwards(panel: Panel, _: Any) -> Array:
    return frame(panel).bfill().to_numpy()


def filled_forwards(panel: Panel, _: Any) -> Array:
    return frame(panel).ffill(limit=2).to_numpy()


def interpolated(panel: Panel, _: Any) -> Array:
    return frame(panel).interpolate().to_numpy()


def warm_up_filled(panel: Panel, _: Any) -> Array:
    return frame(panel).rolling(5).max().bfill().to_numpy()


def leaves_before_an_outage(panel: Panel, _: Any) -> Array:
    missing = np.isnan(panel["close"])
    ahead = np.zeros_like(missing)
    ahead[:-1] = missing[1:]
    return np.where(ahead, 0.0, 1.0)


def leaves_in_an_outage(panel: Panel, _: Any) -> Array:
    return np.where(np.isnan(panel["close"]), 0.0, 1.0)


# Universe -------------------------------------------------------------------------------------------------
def survivors(panel: Panel, _: Any) -> Array:
    weights = np.zeros(panel.shape)
    weights[:, panel["volume"][-1].argmax()] = 1.0
    return weights


def most_traded_now(panel: Panel, _: Any) -> Array:
    volume = panel["volume"]
    return np.where(volume == volume.max(axis=1, keepdims=True), 1.0, 0.0)


def sorted_by_tomorrows_volume(panel: Panel, _: Any) -> Array:
    return pd.DataFrame(shifted(panel["volume"], -1)).rank(axis=1).to_numpy()


def sorted_by_todays_volume(panel: Panel, _: Any) -> Array:
    return pd.DataFrame(np.array(panel["volume"])).rank(axis=1).to_numpy()


def share_of_average_volume(panel: Panel, _: Any) -> Array:
    mean_volume = panel["volume"].mean(axis=0)
    return np.tile(mean_volume / mean_volume.sum(), (len(panel), 1))


def share_of_this_bars_volume(panel: Panel, _: Any) -> Array:
    return panel["volume"] / panel["volume"].sum(axis=1, keepdims=True)


# Coarser bars and joins -----------------------------------------------------------------------------------
def week_known_on_monday(panel: Panel, _: Any) -> Array:
    """Label weeks by their beginning, as resample does by default, and spread them over their days."""
    weeks = frame(panel).resample("W-MON", label="left", closed="left").last()
    return weeks.reindex(pd.DatetimeIndex(panel.ts), method="ffill").to_numpy()


def week_known_when_it_is_over(panel: Panel, _: Any) -> Array:
    out = np.full(panel.shape, np.nan)
    for row in range(len(panel)):
        at = row - (panel.bar[row] + 4) % 7
        out[row] = panel["close"][at] if at >= 0 else np.nan
    return out


def month_spread_over_its_days(panel: Panel, _: Any) -> Array:
    days = frame(panel)
    return days.groupby(days.index.month).transform("max").to_numpy()


def month_so_far(panel: Panel, _: Any) -> Array:
    """Show the highest close since the month began; its first bars lie within the last 31."""
    month = pd.DatetimeIndex(panel.ts).month
    out = np.full(panel.shape, np.nan)
    for row in range(len(panel)):
        part = slice(max(row - 30, 0), row + 1)
        out[row] = panel["close"][part][month[part] == month[row]].max(axis=0)
    return out


def joined_forwards(panel: Panel, _: Any) -> Array:
    return _joined(panel, "forward")


def joined_backwards(panel: Panel, _: Any) -> Array:
    return _joined(panel, "backward")


def _joined(panel: Panel, direction: str) -> Array:
    days = frame(panel).reset_index(names="ts")
    weekly = days[panel.bar % 7 == 0]
    if weekly.empty:
        return np.full(panel.shape, np.nan)
    both = pd.merge_asof(days[["ts"]], weekly, on="ts", direction=direction, tolerance=pd.Timedelta(days=6))
    return both[list(panel.markets)].to_numpy(dtype=np.float64)


# Memory without end ---------------------------------------------------------------------------------------
def summed_from_the_start(panel: Panel, _: Any) -> Array:
    return np.cumsum(panel["volume"], axis=0)


def summed_over_window(panel: Panel, _: Any) -> Array:
    return added(lagged(panel["volume"], 20))


def recursive_mean(panel: Panel, _: Any) -> Array:
    return frame(panel).ewm(span=60, adjust=False).mean().to_numpy()


def peak_since_the_start(panel: Panel, _: Any) -> Array:
    return frame(panel).expanding().max().to_numpy()


def mean_since_the_start(panel: Panel, _: Any) -> Array:
    return frame(panel).expanding().mean().to_numpy()


def running_deviation(panel: Panel, _: Any) -> Array:
    return pl.DataFrame(np.array(panel["close"])).select(pl.all().rolling_var(20)).to_numpy()


def counted_from_the_start(panel: Panel, _: Any) -> Array:
    return panel["close"] * np.arange(len(panel))[:, None]


def counted_from_the_epoch(panel: Panel, _: Any) -> Array:
    return panel["close"] * panel.bar[:, None]


def holds_until_an_exit(panel: Panel, _: Any) -> Array:
    change = np.nan_to_num(last_return(panel, None))
    out = np.zeros(panel.shape)
    for row in range(1, len(panel)):
        out[row] = np.where(change[row] > 0.06, 1.0, np.where(change[row] < -0.06, 0.0, out[row - 1]))
    return out


def holds_ten_bars_at_most(panel: Panel, _: Any) -> Array:
    entered = np.array([shifted(np.nan_to_num(last_return(panel, None)), k) > 0.06 for k in range(10)])
    return entered.any(axis=0).astype(np.float64)


def mean_of_twenty(panel: Panel, _: Any) -> Array:
    return compute(panel, [mean("close", 20)])[mean("close", 20)]


# What was known -------------------------------------------------------------------------------------------
def last_close(panel: Panel, _: Any) -> Array:
    return panel["close"] / shifted(panel["close"], 1)


def rank_in_the_universe(panel: Panel, _: Any) -> Array:
    return pd.DataFrame(np.array(panel["close"])).rank(axis=1, ascending=False).to_numpy()
