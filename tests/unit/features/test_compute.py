from __future__ import annotations

import numba
import numpy as np
import pytest

from lab.core.errors import ConfigError, DataError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import (
    atr,
    compute,
    definition_of,
    deviation,
    ema,
    highest,
    lowest,
    mean,
    simple_return,
    total,
    volatility,
    zscore,
)

DAY = Timeframe.parse("1d")


def panel_of(*closes: float, first: int = 20_000) -> Panel:
    close = np.array(closes, dtype=np.float64)[:, None]
    bar = np.arange(first, first + len(close))
    fields = {"close": close, "high": close + 1.0, "low": close - 1.0, "volume": np.full_like(close, 1e12)}
    return Panel(DAY, bar, DAY.open_times(bar), ("x:A/USDT",), fields)


def values(panel: Panel, feature: Feature) -> list[float]:
    return compute(panel, [feature])[feature][:, 0].tolist()


def test_warm_up_is_missing_whatever_min_valid_says() -> None:
    assert values(panel_of(1, 2, 3, 4), mean("close", 3, min_valid=0.1)) == pytest.approx(
        [np.nan, np.nan, 2.0, 3.0], nan_ok=True
    )


def test_four_of_five_bars_suffice_and_three_do_not() -> None:
    got = values(panel_of(1, np.nan, 3, 4, 5, 6, 7, np.nan, np.nan, 10), total("close", 5))
    assert got == pytest.approx([np.nan, np.nan, np.nan, np.nan, 13, 18, 25, 22, np.nan, np.nan], nan_ok=True)


@pytest.mark.parametrize("value", [0.1, 1e-8, 1e5, 1e12, 1.0 / 3.0, -7.7])
@pytest.mark.parametrize("first", [20_000, 20_001, 20_005])
def test_constant_series_is_its_mean_and_deviates_by_exactly_zero(value: float, first: int) -> None:
    panel = panel_of(*[value] * 30, first=first)
    assert set(values(panel, mean("close", 7))[6:]) == {value}
    assert set(values(panel, deviation("close", 7))[6:]) == {0.0}
    assert np.isnan(values(panel, zscore("close", 7))).all()


def test_constant_price_has_no_volatility() -> None:
    assert set(values(panel_of(*[42.0] * 12), volatility(5))[5:]) == {0.0}


def test_tiny_moves_on_a_large_price_keep_their_digits() -> None:
    """Integers in units of 2^-20 round 10^5: the deviation is known exactly, naive squares lose it all."""
    unit = 2.0**-20
    close = [1e5 + unit * step for step in (0, 3, 1, 2, 4, 0, 3, 1, 2, 4)]
    assert values(panel_of(*close), deviation("close", 5))[4:] == pytest.approx(
        [unit * np.sqrt(2.5)] * 6, rel=1e-15
    )


def test_totals_of_large_volumes_are_exact_where_doubles_are() -> None:
    assert values(panel_of(*range(1, 30)), total("volume", 24))[23:] == [24e12] * 6


def test_atr_counts_the_gap_to_the_previous_close() -> None:
    assert values(panel_of(10, 10, 20, 20), atr(1)) == pytest.approx([np.nan, 2, 11, 2], nan_ok=True)


def test_volatility_is_annualised_by_the_timeframe() -> None:
    closes = np.exp([0.0, 0.01, -0.01, 0.03, 0.02])
    returns = np.diff(np.log(closes))
    hour = Timeframe.parse("1h")
    daily = panel_of(*closes)
    hourly = Panel(hour, daily.bar, hour.open_times(daily.bar), daily.markets, daily.fields)
    spread = np.std(returns, ddof=1)
    assert values(daily, volatility(4))[-1] == pytest.approx(spread * np.sqrt(365.0), rel=1e-12)
    assert values(hourly, volatility(4))[-1] == pytest.approx(spread * np.sqrt(8_760.0), rel=1e-12)


def test_missing_bar_costs_two_returns() -> None:
    closes = [1.0, 2.0, np.nan, 2.0, 3.0, 4.0, 5.0]
    assert np.isnan(values(panel_of(*closes), volatility(5))[5:]).tolist() == [True, True]
    assert np.isnan(values(panel_of(*closes), volatility(5, min_valid=0.6))[5:]).tolist() == [False, False]


def test_return_is_missing_where_either_end_is() -> None:
    got = values(panel_of(1, np.nan, 4, 8), simple_return("close", 1))
    assert got == pytest.approx([np.nan, np.nan, np.nan, 1.0], nan_ok=True)


def test_ema_of_a_step_forgets_what_lies_beyond_eleven_spans() -> None:
    old, new = [1e6] * 40, [1.0] * 33
    assert values(panel_of(*old, *new), ema("close", 3))[-1] == 1.0


def test_extremes_skip_missing_bars() -> None:
    panel = panel_of(5, np.nan, 3, 4, 9)
    assert values(panel, highest("close", 5))[-1] == 9.0
    assert values(panel, lowest("close", 5))[-1] == 3.0


def test_features_are_computed_from_the_bars_at_hand() -> None:
    """A cut panel carries finished numbers; they are replaced by what its own bars can give."""
    whole = compute(panel_of(1, 2, 3, 4), [mean("close", 2)])
    assert np.isnan(compute(whole.tail(1), [mean("close", 2)])[mean("close", 2)]).all()


def test_equal_features_are_one_field() -> None:
    panel = compute(panel_of(1, 2, 3), [mean("close", 2), mean("close", 2), total("close", 2)])
    assert sum(isinstance(key, Feature) for key in panel.fields) == 2


def test_empty_panel_gives_empty_features() -> None:
    feature = mean("close", 3)
    assert compute(panel_of(1.0, 2.0).rows(0, 0), [feature])[feature].shape == (0, 1)


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_input_is_refused_by_market_and_time(bad: float) -> None:
    with pytest.raises(DataError, match=r"column close of x:A/USDT at 2024-10-05T.* is -?inf, expected"):
        compute(panel_of(1.0, bad, 3.0), [mean("close", 2)])


def test_missing_column_is_named() -> None:
    with pytest.raises(DataError, match=r"reads column 'funding'; the panel has close, high, low, volume"):
        compute(panel_of(1.0), [mean("funding", 2)])


@pytest.mark.parametrize("window", [0, -1, 2.5, True])
def test_window_must_be_a_count_of_bars(window: float) -> None:
    with pytest.raises(ConfigError, match="whole number of bars >= 1"):
        mean("close", window)  # type: ignore[arg-type]


def test_deviation_needs_two_bars() -> None:
    with pytest.raises(ConfigError, match="whole number of bars >= 2"):
        deviation("close", 1)


@pytest.mark.parametrize("share", [0.0, -0.5, 1.01, float("nan")])
def test_min_valid_must_be_a_share(share: float) -> None:
    with pytest.raises(ConfigError, match="share above 0, at most 1"):
        mean("close", 5, min_valid=share)


def test_whole_numbers_of_any_type_make_one_feature() -> None:
    assert mean("close", np.int64(20)) == mean("close", 20.0) == mean("close", 20)  # type: ignore[arg-type]


def test_unknown_feature_gets_the_nearest_names() -> None:
    with pytest.raises(ConfigError, match=r"'parkinsson' is not defined; did you mean parkinson\?"):
        definition_of(Feature.of("parkinsson", "1", lookback=2, window=2))


def test_feature_of_another_version_or_lookback_is_refused() -> None:
    with pytest.raises(ConfigError, match="version 0 found, 1 is defined"):
        definition_of(Feature.of("mean", "0", lookback=2, column="close", window=2, min_valid=0.8))
    with pytest.raises(ConfigError, match="lookback 1 found, its definition needs 2"):
        definition_of(Feature.of("mean", "1", lookback=1, column="close", window=2, min_valid=0.8))


def test_no_vector_library_rounds_logarithms_by_lane() -> None:
    assert not numba.core.config.USING_SVML, "uninstall Intel's SVML (icc_rt, intel-cmplr-lib-rt)"


def test_a_mean_of_one_market_has_the_bits_it_has_among_others() -> None:
    random = np.random.default_rng(3)
    for window, share in ((1, 0.0), (7, 0.3), (30, 0.8)):
        close = np.exp(random.normal(0.0, 2.0, (200, 3)))
        # One market is complete, and its means are then made without counting.
        close[:, 1:][random.random((200, 2)) < share] = np.nan
        bar = np.arange(20_003, 20_203)
        among = Panel(DAY, bar, DAY.open_times(bar), ("x:A/USDT", "x:B/USDT", "x:C/USDT"), {"close": close})
        feature = mean("close", window, min_valid=0.1)
        expected = compute(among, [feature])[feature]
        for place, market in enumerate(among.markets):
            alone = compute(among.select([market]), [feature])[feature]
            np.testing.assert_array_equal(alone[:, 0], expected[:, place])
