"""A corpus of leaks as researchers make them, each with a clean twin that means the same honestly.

Every function is a signal ``f(panel, params)`` on the (T, N) panel of :func:`make_panel`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
from numpy.typing import NDArray
from scipy.signal import filtfilt, savgol_filter
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute, deviation, ema, highest, mean, zscore

Array = NDArray[np.float64]
Signal = Callable[[Panel, Any], Any]
BARS, MARKETS = 150, 3


def make_panel(holes: bool = False, bars: int = BARS, markets: int = MARKETS) -> Panel:
    generator = np.random.default_rng(11)
    day = Timeframe.parse("1d")
    bar = np.arange(18_003, 18_003 + bars)
    close = 100.0 * np.exp(np.cumsum(generator.normal(0.0, 0.03, (bars, markets)), axis=0))
    spread = 1.0 + 0.01 * generator.random((bars, markets))
    volume = generator.lognormal(10.0, 1.0, (bars, markets))
    if holes:
        close[generator.random((bars, markets)) < 0.1] = np.nan
    fields = {"close": close, "high": close * spread, "low": close / spread, "volume": volume}
    return Panel(day, bar, day.open_times(bar), tuple(f"x:M{j}/USDT" for j in range(markets)), fields)


def frame(panel: Panel, field: str = "close") -> pd.DataFrame:
    return pd.DataFrame(np.array(panel[field]), index=pd.DatetimeIndex(panel.ts), columns=panel.markets)


def shifted(values: Array, bars: int) -> Array:
    return pd.DataFrame(np.array(values)).shift(bars).to_numpy(dtype=np.float64)


def lagged(values: Array, window: int) -> Array:
    """Return (window, T, N): the values as they were 0, 1, 2 … bars before, NaN where there was none."""
    out = np.full((window, *values.shape), np.nan)
    for bars in range(min(window, len(values))):
        out[bars, bars:] = values[: len(values) - bars]
    return out


def added(parts: Array) -> Array:
    """Add along the first axis, one after another, so that no library chooses an order."""
    return functools.reduce(np.add, parts)


def where_known(parts: Array, values: Any) -> Array:
    return np.where(np.isnan(parts).any(axis=0), np.nan, values)


def of_feature(feature: Any) -> Signal:
    return lambda panel, _: compute(panel, [feature])[feature]


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


# Fitted on everything -------------------------------------------------------------------------------------
def scored_on_everything(panel: Panel, _: Any) -> Array:
    close = panel["close"]
    return (close - np.nanmean(close, axis=0)) / np.nanstd(close, axis=0)


def scaler_fitted_on_everything(panel: Panel, _: Any) -> Array:
    return StandardScaler().fit_transform(panel["close"])


def scaler_fitted_on_window(panel: Panel, _: Any) -> Array:
    parts = lagged(panel["close"], 20)
    apart = parts - added(parts) / 20.0
    return apart[0] / np.sqrt(added(apart * apart) / 20.0)


def squeezed_between_extremes_of_all(panel: Panel, _: Any) -> Array:
    low, high = panel["close"].min(axis=0), panel["close"].max(axis=0)
    return (panel["close"] - low) / (high - low)


def squeezed_between_extremes_of_window(panel: Panel, _: Any) -> Array:
    parts = lagged(panel["close"], 30)
    return (parts[0] - parts.min(axis=0)) / (parts.max(axis=0) - parts.min(axis=0))


def components_of_everything(panel: Panel, _: Any) -> Array:
    if len(panel) < MARKETS:
        return np.full(panel.shape, np.nan)
    return PCA(n_components=panel.shape[1]).fit_transform(panel["close"])


def components_of_window(panel: Panel, _: Any) -> Array:
    """Show the slope of the first component of two markets over the last 30 bars."""
    parts = lagged(panel["close"], 30)
    apart = parts - added(parts) / 30.0
    x, y = apart[:, :, 0], apart[:, :, 1]
    both, difference = added(x * y), added(x * x) - added(y * y)
    return (difference + np.sqrt(difference * difference + 4.0 * both * both)) / (2.0 * both)


def target_encoded(panel: Panel, _: Any) -> Array:
    """Replace the weekday by the mean return that follows it, over the whole sample."""
    following = pd.DataFrame(next_return(panel, None))
    return following.groupby(panel.bar % 7).transform("mean").to_numpy()


def past_encoded(panel: Panel, _: Any) -> Array:
    """Replace the weekday by the mean return that followed it in the last four weeks."""
    returns = last_return(panel, None)
    return sum(shifted(returns, 7 * week - 1) for week in range(1, 5)) / 4.0


def trained_on_test(panel: Panel, _: Any) -> Array:
    past, target = last_return(panel, None), next_return(panel, None)
    out = np.full(panel.shape, np.nan)
    for column in range(panel.shape[1]):
        ready = ~np.isnan(past[:, column]) & ~np.isnan(target[:, column])
        if ready.sum() > 2:
            model = LinearRegression().fit(past[ready, column, None], target[ready, column])
            out[1:, column] = model.predict(past[1:, column, None])
    return out


def trained_on_the_past(panel: Panel, _: Any) -> Array:
    returns = lagged(last_return(panel, None), 39)
    target, known = returns[:-1], returns[1:]
    apart = known - added(known) / 38.0
    slope = added(apart * target) / added(apart * apart)
    return added(target) / 38.0 + slope * (returns[0] - added(known) / 38.0)


def quantile_of_everything(panel: Panel, _: Any) -> Array:
    return (panel["close"] > np.quantile(panel["close"], 0.7, axis=0)).astype(np.float64)


def quantile_of_window(panel: Panel, _: Any) -> Array:
    parts = lagged(panel["close"], 30)
    return where_known(parts, parts[0] > np.sort(parts, axis=0)[20])


def ranked_over_time(panel: Panel, _: Any) -> Array:
    return frame(panel).rank(pct=True).to_numpy()


def ranked_in_window(panel: Panel, _: Any) -> Array:
    parts = lagged(panel["close"], 30)
    return where_known(parts, (parts <= parts[0]).sum(axis=0) / 30.0)


def relative_to_the_last_price(panel: Panel, _: Any) -> Array:
    return panel["close"] / panel["close"][-1]


def relative_to_an_old_price(panel: Panel, _: Any) -> Array:
    return panel["close"] / shifted(panel["close"], 20)


def relative_to_the_peak_of_all(panel: Panel, _: Any) -> Array:
    return panel["close"] / panel["close"].max(axis=0)


def relative_to_the_recent_peak(panel: Panel, _: Any) -> Array:
    return panel["close"] / compute(panel, [highest("close", 30)])[highest("close", 30)]


def detrended_over_everything(panel: Panel, _: Any) -> Array:
    rows = np.arange(len(panel))
    if len(rows) < 3:
        return np.full(panel.shape, np.nan)
    line = np.polynomial.polynomial.polyfit(rows, panel["close"], 1)
    return panel["close"] - np.polynomial.polynomial.polyval(rows, line).T


def detrended_over_window(panel: Panel, _: Any) -> Array:
    parts, age = lagged(panel["close"], 20), np.arange(20.0)[:, None, None] - 9.5
    slope = -added(age * parts) / added(age * age)
    return parts[0] - added(parts) / 20.0 - 9.5 * slope


def smoothed_forth_and_back(panel: Panel, _: Any) -> Array:
    if len(panel) <= 10:
        return np.full(panel.shape, np.nan)
    return filtfilt([0.2], [1.0, -0.8], panel["close"], axis=0)


def smoothed_forth(panel: Panel, _: Any) -> Array:
    return added(lagged(panel["close"], 20) * 0.2 * 0.8 ** np.arange(20.0)[:, None, None])


def smoothed_both_sides(panel: Panel, _: Any) -> Array:
    if len(panel) < 7:
        return np.full(panel.shape, np.nan)
    return savgol_filter(panel["close"], 7, 2, axis=0)


def filtered_by_frequency(panel: Panel, _: Any) -> Array:
    spectrum = np.fft.rfft(panel["close"], axis=0)
    spectrum[8:] = 0.0
    return np.fft.irfft(spectrum, n=len(panel), axis=0)


def best_window_in_hindsight(panel: Panel, _: Any) -> Array:
    """Weigh signals by what they earned."""
    ahead = np.nan_to_num(next_return(panel, None))
    signals = [(panel["close"] > shifted(panel["close"], k)).astype(np.float64) for k in (2, 5, 10, 20)]
    return sum(each * (each * ahead).sum() for each in signals)  # type: ignore[return-value]


def best_window_so_far(panel: Panel, _: Any) -> Array:
    now, total = last_return(panel, None), np.zeros(panel.shape)
    for bars in (2, 5, 10, 20):
        old = shifted(panel["close"], bars)
        signal = np.where(np.isnan(old), np.nan, panel["close"] > old)
        total = total + signal * added(lagged(shifted(signal, 1) * now, 30))
    return total


def risk_of_the_whole_sample(panel: Panel, _: Any) -> Array:
    return 0.01 / np.nanstd(last_return(panel, None), axis=0) + 0.0 * panel["close"]


def risk_of_the_window(panel: Panel, _: Any) -> Array:
    return 0.01 / compute(panel, [deviation("close", 20)])[deviation("close", 20)]


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


def revised_panel(final: Panel, revisions: dict[int, float]) -> Callable[[int], Panel]:
    """Return what was known at each bar, when closes (by row) were first published times a factor."""

    def known(bar: int) -> Panel:
        row = bar - int(final.bar[0])
        close = final["close"].copy()
        for at, factor in revisions.items():
            if at <= row < at + 3:  # the correction came three bars later
                close[at] *= factor
        return replace(final, fields={**final.fields, "close": close}).rows(0, row + 1)

    return known


@dataclass(frozen=True)
class Leak:
    """A leak, the kind it must be found as, its clean twin, and the lookback that each declares."""

    name: str
    kind: str
    leaky: Signal
    clean: Signal
    lookback: int
    clean_lookback: int
    holes: bool = False
    per_market: bool = False


AHEAD, ALL, BACK, ENDLESS = "lookahead", "full_sample", "backfill", "unbounded"

CORPUS = (
    Leak("one-bar shift(-1)", AHEAD, next_return, last_return, 2, 2),
    Leak("lag sign error", AHEAD, lag_with_wrong_sign, lag_with_right_sign, 4, 4),
    Leak("np.gradient", AHEAD, slope_both_sides, slope_backwards, 2, 2),
    Leak("centred window", AHEAD, centred_window, trailing_window, 5, 5),
    Leak("wrapped np.roll", BACK, wrapped_roll, last_return, 2, 2),
    Leak("argmax of the future", AHEAD, argmax_of_the_future, argmax_of_the_past, 5, 5),
    Leak("label as feature", AHEAD, outcome_of_this_trade, outcome_of_an_old_trade, 2, 11),
    Leak("fill at tomorrow's low", AHEAD, buys_tomorrows_low, buys_todays_low, 2, 2),
    Leak("back-fill", BACK, filled_backwards, filled_forwards, 1, 3, holes=True),
    Leak("interpolation", BACK, interpolated, filled_forwards, 3, 3, holes=True),
    Leak("back-filled warm-up", BACK, warm_up_filled, trailing_window, 5, 5),
    Leak("outage known in advance", AHEAD, leaves_before_an_outage, leaves_in_an_outage, 1, 1, holes=True),
    Leak("full-sample z-score", ALL, scored_on_everything, of_feature(zscore("close", 20)), 20, 20),
    Leak("scaler fitted on all", ALL, scaler_fitted_on_everything, scaler_fitted_on_window, 20, 20),
    Leak(
        "min-max over all", ALL, squeezed_between_extremes_of_all, squeezed_between_extremes_of_window, 30, 30
    ),
    Leak("PCA fitted on all", ALL, components_of_everything, components_of_window, 30, 30),
    Leak("target encoding", ALL, target_encoded, past_encoded, 30, 29),
    Leak("train on test", ALL, trained_on_test, trained_on_the_past, 40, 40),
    Leak("quantile over full sample", ALL, quantile_of_everything, quantile_of_window, 30, 30),
    Leak("rank over time", ALL, ranked_over_time, ranked_in_window, 30, 30),
    Leak("normalising by the last price", ALL, relative_to_the_last_price, relative_to_an_old_price, 21, 21),
    Leak("peak of the whole history", ALL, relative_to_the_peak_of_all, relative_to_the_recent_peak, 30, 30),
    Leak("trend of the whole history", ALL, detrended_over_everything, detrended_over_window, 20, 20),
    Leak("zero-phase filter", ALL, smoothed_forth_and_back, smoothed_forth, 20, 20),
    Leak("Savitzky-Golay filter", AHEAD, smoothed_both_sides, smoothed_forth, 7, 20),
    Leak("Fourier low-pass", ALL, filtered_by_frequency, smoothed_forth, 20, 20),
    Leak("parameter chosen in hindsight", ALL, best_window_in_hindsight, best_window_so_far, 21, 51),
    Leak("risk of the whole sample", ALL, risk_of_the_whole_sample, risk_of_the_window, 20, 20),
    Leak("survivors-only universe", ALL, survivors, most_traded_now, 1, 1),
    Leak("sorting on future volume", AHEAD, sorted_by_tomorrows_volume, sorted_by_todays_volume, 1, 1),
    Leak(
        "weights by average volume of all time", ALL, share_of_average_volume, share_of_this_bars_volume, 1, 1
    ),
    Leak("label-left resampling", AHEAD, week_known_on_monday, week_known_when_it_is_over, 7, 7),
    Leak("groupby month transform", AHEAD, month_spread_over_its_days, month_so_far, 31, 31),
    Leak("merge_asof forward", AHEAD, joined_forwards, joined_backwards, 7, 7),
    Leak("cumulative sum", ENDLESS, summed_from_the_start, summed_over_window, 20, 20),
    Leak("ewm over full history", ENDLESS, recursive_mean, of_feature(ema("close", 3)), 20, 33),
    Leak("expanding max over all", ENDLESS, peak_since_the_start, relative_to_the_recent_peak, 20, 30),
    Leak("expanding mean", ENDLESS, mean_since_the_start, of_feature(mean("close", 20)), 20, 20),
    Leak("running sums of a library", ENDLESS, running_deviation, of_feature(deviation("close", 20)), 20, 20),
    Leak("row number as time", ENDLESS, counted_from_the_start, counted_from_the_epoch, 2, 1),
    Leak("position without end", "lookback", holds_until_an_exit, holds_ten_bars_at_most, 10, 11),
    Leak("lookback declared too short", "lookback", mean_of_twenty, mean_of_twenty, 12, 20),
    Leak("neighbour read", "neighbour", rank_in_the_universe, last_return, 1, 2, per_market=True),
)
