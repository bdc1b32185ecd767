"""What a certificate says, and that honest signals on bars with holes pass; leaks are in the leak corpus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lab.core.errors import InsufficientHistoryError
from lab.core.panel import Panel
from lab.features import atr, compute, ema, mean, zscore
from lab.validation.causality import certify, certify_feature
from lab.validation.causality_bits import FARTHEST, differing, distance
from tests.oracle.leaky_panels import BARS, make_panel, shifted
from tests.oracle.leaky_signals import (
    last_return,
    mean_of_twenty,
    most_traded_now,
    next_return,
    slope_backwards,
)

Array = NDArray[np.float64]


def windowed(values: Array, window: int, function: Callable[[Array], Any]) -> Array:
    out = np.full_like(values, np.nan)
    for row in range(window - 1, len(values)):
        out[row] = function(values[row + 1 - window : row + 1])
    return out


def scaled_on_window(panel: Panel, _: Any) -> Array:
    return compute(panel, [zscore("close", 20)])[zscore("close", 20)]


def centred_mean(panel: Panel, _: Any) -> Array:
    return shifted(windowed(panel["close"], 5, lambda part: part.sum(axis=0) / 5), -2)


def trailing_mean(panel: Panel, _: Any) -> Array:
    return compute(panel, [mean("close", 5)])[mean("close", 5)]


def known_in_time(panel: Panel, _: Any) -> Array:
    """Show the close of the last complete week."""
    out = np.full(panel.shape, np.nan)
    for row in range(len(panel)):
        at = row - (panel.bar[row] + 1) % 7
        out[row] = panel["close"][at] if at >= 0 else np.nan
    return out


def summed_over_window(panel: Panel, _: Any) -> Array:
    return windowed(panel["volume"], 20, lambda part: np.add.reduce(part[::1], axis=0))


def finite_mean(panel: Panel, _: Any) -> Array:
    return compute(panel, [ema("close", 3)])[ema("close", 3)]


CLEAN = [
    (last_return, 2, 2),
    (scaled_on_window, 20, 20),
    (slope_backwards, 2, 2),
    (trailing_mean, 5, 5),
    (known_in_time, 7, 7),
    (most_traded_now, 1, 1),
    (summed_over_window, 20, 20),
    (finite_mean, 33, 33),
    (mean_of_twenty, 20, 20),
    (mean_of_twenty, 24, 20),
]


@pytest.mark.parametrize(
    ("signal", "lookback", "measured"), CLEAN, ids=lambda value: getattr(value, "__name__", None)
)
def test_clean_twin_passes_with_its_lookback_measured(signal: Any, lookback: int, measured: int) -> None:
    certificate = certify(signal, make_panel(holes=True), None, lookback=lookback)
    assert certificate.findings == ()
    assert certificate.ok
    assert certificate.lookback_declared == lookback
    assert certificate.lookback_measured == measured
    assert certificate.bars_checked == BARS - lookback + 1
    assert certificate.mismatches == 0
    assert certificate.max_ulp == 0


def test_lookahead_names_first_bar_market_and_reach() -> None:
    def peeks(panel: Panel, _: Any) -> Array:
        values = np.zeros(panel.shape)
        values[:-3, 1] = panel["close"][3:, 1]
        return values

    (finding,) = certify(peeks, make_panel(), None, lookback=10).findings
    assert (finding.kind, finding.bar, finding.market) == ("lookahead", 18_003, "x:M1/USDT")
    assert "needs 3 later bar(s)" in finding.detail


def test_a_leak_on_one_rare_bar_is_found() -> None:
    def peeks_once(panel: Panel, _: Any) -> Array:
        values = np.zeros(panel.shape)
        at = np.flatnonzero(panel.bar == 18_101)
        if len(at) and at[0] + 1 < len(panel):
            values[at[0], 2] = panel["close"][at[0] + 1, 2]
        return values

    certificate = certify(peeks_once, make_panel(), None, lookback=1)
    assert [(f.kind, f.bar, f.market) for f in certificate.findings] == [("lookahead", 18_101, "x:M2/USDT")]
    assert certificate.mismatches == 1


def test_short_lookback_says_how_many_bars_are_needed() -> None:
    certificate = certify(mean_of_twenty, make_panel(), None, lookback=12)
    assert "needs 20 bars, 12 are declared" in certificate.findings[0].detail
    assert certificate.lookback_measured == 20
    assert certificate.max_ulp == FARTHEST


def test_running_sum_is_unbounded_although_its_error_is_tiny() -> None:
    def running(panel: Panel, _: Any) -> Array:
        frame = pl.DataFrame(np.array(panel["close"]))
        return frame.select(pl.all().rolling_var(20)).to_numpy()

    certificate = certify(running, make_panel(), None, lookback=20)
    assert {finding.kind for finding in certificate.findings} <= {"unbounded", "lookback"}
    assert certificate.findings
    assert 0 < certificate.max_ulp < 10**9


def test_neighbours_matter_only_where_they_must_not() -> None:
    def ranked(panel: Panel, _: Any) -> Array:
        return panel["close"].argsort(axis=1).argsort(axis=1).astype(np.float64)

    assert certify(ranked, make_panel(), None, lookback=1).ok
    certificate = certify(ranked, make_panel(), None, lookback=1, per_market=True)
    assert [finding.kind for finding in certificate.findings] == ["neighbour"]
    assert certify(mean_of_twenty, make_panel(), None, lookback=20, per_market=True).ok


def test_random_signal_is_unstable() -> None:
    generator = np.random.default_rng(5)
    certificate = certify(lambda panel, _: generator.random(panel.shape), make_panel(), None, lookback=1)
    assert [finding.kind for finding in certificate.findings] == ["unstable"]


def test_signal_without_a_number_proves_nothing() -> None:
    certificate = certify(lambda panel, _: np.full(panel.shape, np.nan), make_panel(), None, lookback=5)
    assert [finding.kind for finding in certificate.findings] == ["empty"]


def test_failing_signal_is_a_finding_not_a_crash() -> None:
    def fails(panel: Panel, _: Any) -> Array:
        if len(panel) < 9:
            raise ValueError("cannot handle a short panel")
        return panel["close"]

    (finding,) = certify(fails, make_panel(), None, lookback=1).findings
    assert finding.kind == "error"
    assert "ValueError: cannot handle a short panel" in finding.detail


def test_signal_that_refuses_short_history_is_not_blamed_for_it() -> None:
    def careful(panel: Panel, _: Any) -> Array:
        if len(panel) < 20:
            raise InsufficientHistoryError("20 bars needed")
        return mean_of_twenty(panel, None)

    assert certify(careful, make_panel(), None, lookback=20).ok
    assert [f.kind for f in certify(careful, make_panel(), None, lookback=19).findings] == ["error"]


def test_wrong_shape_is_a_finding() -> None:
    (finding,) = certify(lambda panel, _: panel["close"][1:], make_panel(), None, lookback=1).findings
    assert finding.kind == "error"
    assert "one row per bar" in finding.detail


def test_values_need_not_be_one_column_per_market() -> None:
    def breadth(panel: Panel, _: Any) -> Array:
        return (panel["close"] > panel["low"]).sum(axis=1)

    assert certify(breadth, make_panel(), None, lookback=1).ok


def test_fewer_bars_than_the_lookback_are_refused() -> None:
    with pytest.raises(InsufficientHistoryError, match=r"150 bars found.*lookback of 151"):
        certify(last_return, make_panel(), None, lookback=151)


def test_same_seed_gives_same_certificate() -> None:
    first, second = (certify(centred_mean, make_panel(), None, lookback=5, seed=3) for _ in range(2))
    assert first == second


def test_progress_ends_at_one() -> None:
    shares: list[float] = []
    certify(last_return, make_panel(), None, lookback=2, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_feature_is_certified_with_its_own_lookback() -> None:
    certificate = certify_feature(atr(14), make_panel(holes=True))
    assert certificate.ok
    assert certificate.lookback_declared == certificate.lookback_measured == 15


def test_report_has_the_keys_of_the_parity_command() -> None:
    report = certify(next_return, make_panel(), None, lookback=2).report()
    assert list(report) == [
        "bars_checked",
        "mismatches",
        "max_ulp",
        "lookback_declared",
        "lookback_measured",
        "leaks",
    ]
    assert report["leaks"][0]["kind"] == "lookahead"


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1.0, 1.0, 0),
        (np.nan, np.nan, 0),
        (1.0, np.nextafter(1.0, 2.0), 1),
        (-1.0, np.nextafter(-1.0, 0.0), 1),
        (5e-324, -5e-324, 3),
        (0.0, -0.0, 1),
        (1.0, np.nan, FARTHEST),
    ],
)
def test_distance_counts_representable_numbers(left: float, right: float, expected: int) -> None:
    pair = np.array([left]), np.array([right])
    assert distance(*pair) == distance(*pair[::-1]) == expected
    assert differing(*pair).any() == (expected > 0)


def test_payload_of_nan_is_not_a_difference() -> None:
    odd = np.array([0x7FF8000000000123], dtype=np.int64).view(np.float64)
    assert not differing(odd, np.array([np.nan])).any()


def test_finding_names_time_market_and_the_column_it_comes_through() -> None:
    def peeks(panel: Panel, _: Any) -> Array:
        values = panel["close"].copy()
        values[:-1, 2] += panel["volume"][1:, 2]
        return values

    (finding,) = certify(peeks, make_panel(), None, lookback=1).findings
    assert (finding.time, finding.market, finding.feature) == ("2019-04-17T00:00Z", "x:M2/USDT", "volume")
    assert str(finding).startswith(
        "lookahead at 2019-04-17T00:00Z (bar 18003), market x:M2/USDT, through volume: the value needs"
    )


def test_short_lookback_names_the_column_it_comes_through() -> None:
    (finding,) = certify(mean_of_twenty, make_panel(), None, lookback=12).findings
    assert finding.feature == "close"


def test_signal_that_cannot_take_missing_bars_is_judged_by_the_other_futures() -> None:
    def strict(panel: Panel, _: Any) -> Array:
        if np.isnan(panel["close"]).any():
            raise ValueError("no NaN please")
        return shifted(panel["close"], -1)

    assert [f.kind for f in certify(strict, make_panel(), None, lookback=1).findings] == ["lookahead"]


def test_panel_of_another_bar_as_known_is_an_error() -> None:
    panel = make_panel()
    (finding,) = certify(last_return, panel, None, lookback=2, as_known=lambda _: panel).findings
    assert finding.kind == "error"
    assert "does not end with that bar" in finding.detail
