"""Faults of a strategy or of its data are named with bar and market."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from lab.core.errors import ConfigError, InsufficientHistoryError, WeightError
from lab.core.feature import Feature
from lab.core.frames import RECEIVED
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features import mean
from lab.strategies import Parameters, decide, decide_on_features, register, require_history, strategy_of
from lab.strategies.sizing import capped, equal_share, volatility_scale

HOUR = Timeframe.parse("1h")


class Fixed:
    """Returns the weights it was made with."""

    family, version, per_market = "fixed", "1.0.0", True
    params = Parameters
    space = MappingProxyType({})

    def __init__(self, weights: Any, window: int = 3) -> None:
        self.weights = weights
        self.window = window

    def core(self, *_: Any) -> Any:
        return self.weights

    def features(self, params: Parameters) -> tuple[Feature, ...]:
        return (mean("close", self.window),)

    def lookback(self, params: Parameters) -> int:
        return 1

    def numbers(self, params: Parameters, *, markets: int, first_bar: int) -> tuple[float, ...]:
        return ()

    def signal(self, panel: Panel, params: Parameters) -> Any:
        return self.weights


def panel(bars: int = 6, markets: int = 2) -> Panel:
    bar = np.arange(480_000, 480_000 + bars)
    close = np.full((bars, markets), 100.0)
    names = ("synthetic:AAA/USDT", "synthetic:BBB/USDT")[:markets]
    return Panel(HOUR, bar, HOUR.open_times(bar), names, {"close": close})


def faulty(row: int, *values: float) -> np.ndarray:
    weights = np.full((6, 2), 0.25)
    weights[row] = values
    return weights


@pytest.mark.parametrize("wrong", [np.inf, -np.inf, -1e-12, np.nextafter(1.0, 2.0)])
def test_an_impossible_weight_is_named_with_bar_and_market(wrong: float) -> None:
    with pytest.raises(WeightError, match=r"bar 2024-10-04 03:00Z, market synthetic:BBB/USDT: weight") as e:
        decide(Fixed(faulty(3, 0.0, wrong)), panel(), Parameters())
    assert str(wrong) in str(e.value)


def test_a_sum_above_one_is_named_with_bar_and_largest_market() -> None:
    with pytest.raises(WeightError, match=r"bar 2024-10-04 04:00Z: weights sum to 1\.1.*0\.7 in synth"):
        decide(Fixed(faulty(4, 0.4, 0.7)), panel(), Parameters())
    kept = decide(Fixed(faulty(4, 0.5, 0.5 + 9e-10)), panel(), Parameters())
    assert kept[4].tolist() == [0.5, 0.5 + 9e-10]


def test_the_first_fault_is_the_one_named() -> None:
    weights = faulty(2, 0.6, 0.6)
    weights[5, 0] = -1.0
    with pytest.raises(WeightError, match=r"02:00Z: weights sum"):
        decide(Fixed(weights), panel(), Parameters())


@pytest.mark.parametrize("wrong", [np.zeros((5, 2)), np.zeros(6), None])
def test_a_wrong_shape_is_refused(wrong: Any) -> None:
    with pytest.raises(WeightError, match=r"expected shape \(6, 2\)"):
        decide(Fixed(wrong), panel(), Parameters())


def test_silence_on_complete_features_is_refused() -> None:
    silent = np.full((6, 2), np.nan)
    with pytest.raises(WeightError, match=r"every weight is NaN .* 02:00Z, market synthetic:AAA/USDT"):
        decide(Fixed(silent), panel(), Parameters())
    # One decision is kept, or the features are missing: no fault.
    assert np.isnan(decide(Fixed(silent, window=5), panel(), Parameters())).all()
    lost = panel().with_fields({"close": np.full((6, 2), np.nan)})
    assert np.isnan(decide(Fixed(silent), lost, Parameters())).all()


def test_warm_up_is_never_decided() -> None:
    weights = decide(Fixed(np.full((6, 2), 0.25), window=4), panel(), Parameters())
    assert np.isnan(weights[:3]).all()
    assert (weights[3:] == 0.25).all()


def test_a_market_that_was_not_received_is_kept_and_a_beginning_gap_keeps_all() -> None:
    received = np.full((6, 2), 100.0)
    received[3:5, 0] = np.nan
    bars = panel().with_fields({RECEIVED["close"]: received})
    weights = decide(Fixed(np.full((6, 2), 0.25), window=2), bars, Parameters())
    expected = np.full((6, 2), 0.25)
    expected[0] = expected[3] = expected[4, 0] = np.nan
    np.testing.assert_array_equal(weights, expected)


def test_features_on_hand_are_used_as_they_are() -> None:
    strategy = strategy_of("time_series_momentum")
    params = strategy.params(lookback_window=2, vol_window=2)
    past, spread = strategy.features(params)
    made = panel().with_fields({past: np.full((6, 2), 0.1), spread: np.full((6, 2), 0.8)})
    assert (decide_on_features(strategy, made, params)[2:] == 0.25).all()
    # decide computes them from the bars, which stand still.
    assert (decide(strategy, made, params)[2:] == 0.0).all()


def test_too_little_history_is_named_with_needed_and_available_bars() -> None:
    strategy = strategy_of("time_series_momentum")
    params = strategy.params(lookback_window=4, vol_window=2)
    bars = panel()
    require_history(strategy, bars, params, "tsm_v1")
    late = bars["close"].copy()
    late[:2, 1] = np.nan
    with pytest.raises(
        InsufficientHistoryError,
        match="strategy tsm_v1: synthetic:BBB/USDT 1h needs 5 bars, 4 available; fetch or import",
    ):
        require_history(strategy, bars.with_fields({"close": late}), params, "tsm_v1")
    late[:, 1] = np.nan
    with pytest.raises(InsufficientHistoryError, match="needs 5 bars, 0 available"):
        require_history(strategy, bars.with_fields({RECEIVED["close"]: late}), params, "tsm_v1")


def test_a_gap_inside_the_history_counts_as_history() -> None:
    strategy = strategy_of("time_series_momentum")
    close = panel()["close"].copy()
    close[2:4] = np.nan
    bars = panel().with_fields({"close": close})
    require_history(strategy, bars, strategy.params(lookback_window=5, vol_window=2), "tsm_v1")


def test_families_are_found_by_name_and_registered_once() -> None:
    with pytest.raises(ConfigError, match="family 'dual_momentun' unknown; did you mean dual_momentum"):
        strategy_of("dual_momentun")

    class Impostor(Fixed):
        family = "dual_momentum"

    with pytest.raises(ConfigError, match="registered twice"):
        register(Impostor)


def test_sizing() -> None:
    assert equal_share(8) == 0.125
    assert volatility_scale(0.5, 0.5) == 1.0
    assert volatility_scale(2.0, 0.5) == 0.25
    assert volatility_scale(0.0, 0.5) == 1.0
    assert np.isnan(volatility_scale(np.nan, 0.5))
    cut = capped(np.array([[0.9, 0.05, np.nan], [0.5, 0.5, 0.0]]), 0.5, 0.8)
    np.testing.assert_allclose(cut, [[0.5, 0.05, np.nan], [0.4, 0.4, 0.0]])
