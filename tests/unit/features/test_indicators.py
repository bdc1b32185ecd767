from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lab import features as made
from lab.core.errors import ConfigError, UnknownMarketError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import compute, compute_frame, definition_of
from lab.features.code import code_digest

DAY, HOUR = Timeframe.parse("1d"), Timeframe.parse("1h")
# 2024-10-04, a Friday.
FRIDAY = 20_000


def panel_of(
    *closes: float, first: int = FRIDAY, timeframe: Timeframe = DAY, **columns: list[float]
) -> Panel:
    close = np.array(closes, dtype=np.float64)[:, None]
    bar = np.arange(first, first + len(close))
    fields = {
        "open": close,
        "close": close,
        "high": close + 1.0,
        "low": close - 1.0,
        "volume": close * 0 + 2.0,
    }
    fields |= {name: np.array(values, dtype=np.float64)[:, None] for name, values in columns.items()}
    return Panel(timeframe, bar, timeframe.open_times(bar), ("x:A/USDT",), fields)


def values(panel: Panel, feature: Feature) -> list[float]:
    return compute(panel, [feature])[feature][:, 0].tolist()


@pytest.mark.parametrize("value", [1e-8, 1e5, 1e12, 1.0 / 3.0])
@pytest.mark.parametrize("first", [20_000, 20_003])
def test_constant_series(value: float, first: int) -> None:
    panel = panel_of(*[value] * 60, first=first)
    exact = {
        made.variance("close", 7): 0.0,
        made.slope("close", 7): 0.0,
        made.mean_absolute_deviation("close", 7): 0.0,
        made.bollinger_width("close", 7): 0.0,
        made.weighted_mean("close", 7): value,
        made.linear_regression("close", 7): value,
        made.median("close", 7): value,
        made.rank("close", 7): 0.5,
        made.bars_since_highest("close", 7): 0.0,
        made.obv(7): 0.0,
    }
    for feature, expected in exact.items():
        assert set(values(panel, feature)[feature.lookback :]) == {expected}, feature
    for feature in (
        made.skewness("close", 7),
        made.kurtosis("close", 7),
        made.correlation("close", "volume", 7),
        made.bollinger_percent("close", 7),
        made.rsi("close", 2),
        made.chande_momentum("close", 5),
    ):
        assert np.isnan(values(panel, feature)).all(), feature


def test_small_moves_of_a_large_price() -> None:
    """Steps of 2^-20 on 10^5: exact here, gone where raw prices are squared."""
    unit = 2.0**-20
    close = [1e5 + unit * step for step in (0, 1, 2, 3, 4, 5, 6, 7)]
    panel = panel_of(*close, volume=[1e12 * step for step in (1, 2, 3, 4, 5, 6, 7, 8)])
    assert values(panel, made.slope("close", 5))[4:] == [unit] * 4
    assert values(panel, made.linear_regression("close", 5))[4:] == close[4:]
    assert values(panel, made.correlation("close", "volume", 5))[4:] == pytest.approx([1.0] * 4, rel=1e-15)
    assert values(panel, made.beta("close", "volume", 5))[4:] == pytest.approx([unit / 1e12] * 4, rel=1e-15)
    assert values(panel, made.skewness("close", 5))[4:] == [0.0] * 4


def test_rank_and_quantile_with_ties_and_holes() -> None:
    panel = panel_of(3, 1, 3, np.nan, 3)
    assert values(panel, made.rank("close", 5))[-1] == pytest.approx((1 + 0.5 * 2) / 3)
    assert values(panel, made.quantile("close", 5, 0.0))[-1] == 1.0
    assert values(panel, made.quantile("close", 5, 1.0))[-1] == 3.0
    assert np.isnan(values(panel_of(3, 1, 3, 2, np.nan), made.rank("close", 5))[-1])


def test_both_zeros_are_one_value() -> None:
    assert values(panel_of(0.0, -0.0, 0.0), made.rank("close", 3))[-1] == 0.5


def test_most_recent_of_equal_extremes_counts() -> None:
    panel = panel_of(5, 1, 5, 1, 3)
    assert values(panel, made.bars_since_highest("close", 5))[-1] == 2.0
    assert values(panel, made.bars_since_lowest("close", 5))[-1] == 1.0


def test_latest_value_of_a_sparse_column() -> None:
    funding = [0.1, np.nan, np.nan, np.nan, 0.2]
    panel = panel_of(1, 2, 3, 4, 5, funding_rate=funding)
    got = values(panel, made.latest("funding_rate", 3))
    assert got == pytest.approx([np.nan, np.nan, 0.1, np.nan, 0.2], nan_ok=True)


def test_rsi_of_rising_and_falling_prices() -> None:
    assert values(panel_of(*range(1, 60)), made.rsi("close", 2))[-1] == 100.0
    assert values(panel_of(*range(60, 1, -1)), made.rsi("close", 2))[-1] == 0.0


def test_breakout_compares_with_the_bars_before() -> None:
    panel = panel_of(10, 10, 11.5, 8.0, 10, np.nan)
    got = values(panel, made.breakout(2, min_valid=1.0))
    assert got == pytest.approx([np.nan, np.nan, 1.0, -1.0, 0.0, np.nan], nan_ok=True)


def test_flow_follows_the_sign_of_the_close() -> None:
    panel = panel_of(1, 2, 1, 1, 5, volume=[7, 10, 4, 100, 1])
    assert values(panel, made.obv(4))[-1] == 10 - 4 + 0 + 1
    assert values(panel, made.order_flow_imbalance(4))[-1] == pytest.approx(7 / 115)


def test_nothing_traded_has_no_average_price() -> None:
    panel = panel_of(1, 2, 3, volume=[0, 0, 0])
    for feature in (made.vwap(2), made.order_flow_imbalance(2), made.amihud(2), made.money_flow(2)):
        assert np.isnan(values(panel, feature)).all()


def test_calendar() -> None:
    assert values(panel_of(1, np.nan, 3, 4), made.day_of_week()) == [4.0, 5.0, 6.0, 0.0]
    hours = panel_of(*[1.0] * 26, first=FRIDAY * 24, timeframe=HOUR)
    assert values(hours, made.hour_of_day()) == [*range(24), 0.0, 1.0]
    quarters = Timeframe.parse("15m")
    assert values(panel_of(*[1.0] * 5, first=FRIDAY * 96, timeframe=quarters), made.hour_of_day())[-2:] == [
        0,
        1,
    ]


def test_coarser_bar_is_seen_from_its_close_on() -> None:
    """Hours 22 and 23 of a day the panel did not see whole, then two whole days."""
    closes = [900.0, 901.0, *range(48)]
    panel = panel_of(*closes, first=FRIDAY * 24 - 2, timeframe=HOUR)
    last = values(panel, made.coarser(made.latest("close"), "1d", of="1h"))
    first_seen = 2 + 23
    assert np.isnan(last[:46]).all()  # fewer than the declared 47 bars
    assert last[46:] == [23.0, 23.0, 23.0, 47.0]
    four = values(panel, made.coarser(made.latest("high"), "4h", of="1h"))
    assert four[first_seen - 1 :][:5] == [19.0 + 1, 23.0 + 1, 23.0 + 1, 23.0 + 1, 23.0 + 1]


@pytest.mark.parametrize(
    ("column", "expected"), [("open", 4.0), ("high", 9.0), ("low", 1.0), ("close", 7.0), ("volume", 8.0)]
)
def test_coarser_bars_are_aggregated_by_column(column: str, expected: float) -> None:
    before = [np.nan] * 3  # the lookback reaches to where the last but one bar began
    panel = panel_of(
        *before,
        4,
        5,
        6,
        7,
        first=FRIDAY * 24 - 3,
        timeframe=HOUR,
        high=[*before, 5, 9, 7, 8],
        low=[*before, 3, 1, 4, 5],
    )
    assert values(panel, made.coarser(made.latest(column), "4h", of="1h"))[-1] == expected


def test_coarser_bar_with_too_few_bars_is_missing() -> None:
    closes = [1.0] * 8
    closes[4:6] = [np.nan, np.nan]
    panel = panel_of(*closes, first=FRIDAY * 24, timeframe=HOUR)
    assert values(panel, made.coarser(made.latest("close"), "4h", of="1h"))[-1:] == pytest.approx(
        [np.nan], nan_ok=True
    )
    assert values(panel, made.coarser(made.latest("close"), "4h", of="1h", complete=0.5))[-1] == 1.0


def test_weeks_begin_on_monday() -> None:
    monday = FRIDAY + 3
    panel = panel_of(*range(30), first=monday - 6)
    got = values(panel, made.coarser(made.latest("open"), "1w", of="1d"))
    assert got[12:20] == [6.0] * 7 + [13.0]


def test_coarser_refuses_other_timeframes() -> None:
    with pytest.raises(ConfigError, match="made for bars of 1h, the panel has 1d"):
        compute(panel_of(1, 2), [made.coarser(made.latest("close"), "1d", of="1h")])
    with pytest.raises(ConfigError, match="expected a multiple of 4h"):
        made.coarser(made.latest("close"), "6h", of="4h")
    with pytest.raises(ConfigError, match="is one already"):
        made.coarser(made.coarser(made.latest("close"), "4h", of="1h"), "1d", of="1h")


def universe_of(*rows: list[float]) -> Panel:
    close = np.array(rows, dtype=np.float64)
    bar = np.arange(FRIDAY, FRIDAY + len(close))
    names = tuple(f"x:M{j}/USDT" for j in range(close.shape[1]))
    return Panel(DAY, bar, DAY.open_times(bar), names, {"close": close})


def test_rank_and_zscore_over_the_universe() -> None:
    panel = universe_of([3.0, 1.0, 2.0, np.nan], [1.0, 1.0, 5.0, 1.0], [np.nan, np.nan, 1.0, 2.0])
    rank = made.universe_rank(made.latest("close"))
    got = compute(panel, [rank])[rank]
    np.testing.assert_array_equal(got, [[1.0, 0.0, 0.5, np.nan], [1 / 3, 1 / 3, 1.0, 1 / 3], [np.nan] * 4])
    score = made.universe_zscore(made.latest("close"))
    np.testing.assert_allclose(compute(panel, [score])[score][0], [1.0, -1.0, 0.0, np.nan])
    two = made.universe_rank(made.latest("close"), least_markets=2)
    assert compute(panel, [two])[two][2].tolist() == pytest.approx([np.nan, np.nan, 0.0, 1.0], nan_ok=True)


def test_beta_to_a_reference_market() -> None:
    steps = np.array([0.0, 0.01, -0.02, 0.03, 0.01, -0.01])
    walk = np.exp(np.cumsum(steps))
    panel = universe_of(*np.column_stack([walk, walk**2, 1.0 / walk]).tolist())
    feature = made.market_beta("x:M0/USDT", 5)
    assert compute(panel, [feature])[feature][-1] == pytest.approx([1.0, 2.0, -1.0])
    related = made.market_correlation("x:M0/USDT", 5)
    assert compute(panel, [related])[related][-1] == pytest.approx([1.0, 1.0, -1.0])
    with pytest.raises(
        UnknownMarketError, match="reference market x:Q/USDT is not in the panel; it has x:M0"
    ):
        compute(panel, [made.market_beta("x:Q/USDT", 5)])


def test_code_of_a_feature_inside_another_counts() -> None:
    digests = {
        code_digest(definition_of(feature))
        for feature in (
            made.universe_rank(made.mean("close", 5)),
            made.universe_rank(made.median("close", 5)),
            made.coarser(made.mean("close", 5), "1d", of="1h"),
            made.coarser(made.median("close", 5), "1d", of="1h"),
            made.universe_rank(made.coarser(made.median("close", 5), "1d", of="1h")),
        )
    }
    assert len(digests) == 5


def test_frames_hold_the_numbers_of_panels() -> None:
    panel = panel_of(1, 2, 4, 8, 16)
    frame = panel.to_frame(panel["close"], "close")
    wanted = [made.mean("close", 2), made.rank("close", 3)]
    got = compute_frame(frame, wanted)
    assert got.columns == ["ts", "market", *(feature.key for feature in wanted)]
    for feature in wanted:
        np.testing.assert_array_equal(got[feature.key].to_numpy(), values(panel, feature))
    assert compute_frame(frame.sort("ts", descending=True), wanted).equals(got)
    assert got.schema["ts"] == pl.Datetime("us", "UTC")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: made.macd("close", 26, 12), "expected a span below slow 12"),
        (lambda: made.trend_regime(20, 20), "expected a window below slow 20"),
        (lambda: made.quantile("close", 5, 1.5), r"share 1.5 found, expected a number in \[0, 1\]"),
        (lambda: made.rsi("close", 1), "whole number of bars >= 2"),
        (lambda: made.universe_rank(made.mean("close", 2), least_markets=1), "whole number of bars >= 2"),
    ],
)
def test_impossible_parameters_are_refused(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(ConfigError, match=message):
        build()
