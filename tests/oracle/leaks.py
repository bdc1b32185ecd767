"""A corpus of leaks as researchers make them, each with a clean twin that means the same honestly.

Every function is a signal ``f(panel, params)`` on the (T, N) panel of :func:`make_panel`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from lab.core.panel import Panel
from lab.features import deviation, ema, mean, zscore
from tests.oracle.leaky_fits import (
    best_window_in_hindsight,
    best_window_so_far,
    components_of_everything,
    components_of_window,
    detrended_over_everything,
    detrended_over_window,
    filtered_by_frequency,
    past_encoded,
    quantile_of_everything,
    quantile_of_window,
    ranked_in_window,
    ranked_over_time,
    relative_to_an_old_price,
    relative_to_the_last_price,
    relative_to_the_peak_of_all,
    relative_to_the_recent_peak,
    risk_of_the_whole_sample,
    risk_of_the_window,
    scaler_fitted_on_everything,
    scaler_fitted_on_window,
    scored_on_everything,
    smoothed_both_sides,
    smoothed_forth,
    smoothed_forth_and_back,
    squeezed_between_extremes_of_all,
    squeezed_between_extremes_of_window,
    target_encoded,
    trained_on_test,
    trained_on_the_past,
)
from tests.oracle.leaky_panels import Signal, of_feature
from tests.oracle.leaky_signals import (
    argmax_of_the_future,
    argmax_of_the_past,
    buys_todays_low,
    buys_tomorrows_low,
    centred_window,
    counted_from_the_epoch,
    counted_from_the_start,
    filled_backwards,
    filled_forwards,
    holds_ten_bars_at_most,
    holds_until_an_exit,
    interpolated,
    joined_backwards,
    joined_forwards,
    lag_with_right_sign,
    lag_with_wrong_sign,
    last_return,
    leaves_before_an_outage,
    leaves_in_an_outage,
    mean_of_twenty,
    mean_since_the_start,
    month_so_far,
    month_spread_over_its_days,
    most_traded_now,
    next_return,
    outcome_of_an_old_trade,
    outcome_of_this_trade,
    peak_since_the_start,
    rank_in_the_universe,
    recursive_mean,
    running_deviation,
    share_of_average_volume,
    share_of_this_bars_volume,
    slope_backwards,
    slope_both_sides,
    sorted_by_todays_volume,
    sorted_by_tomorrows_volume,
    summed_from_the_start,
    summed_over_window,
    survivors,
    trailing_window,
    warm_up_filled,
    week_known_on_monday,
    week_known_when_it_is_over,
    wrapped_roll,
)


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
