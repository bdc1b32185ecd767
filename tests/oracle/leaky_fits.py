"""Leaks by fitting on everything: scalers, models, filters and parameters that saw later bars."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import filtfilt, savgol_filter
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import StandardScaler

from lab.core.panel import Panel
from lab.features import compute, deviation, highest
from tests.oracle.leaky_panels import MARKETS, Array, added, frame, lagged, shifted, where_known
from tests.oracle.leaky_signals import last_return, next_return


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
