"""Every registered family passes its certificate; one that reads its neighbours or tomorrow does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.strategies import TimeSeriesMomentum, families, strategy_of
from lab.validation.causality_strategy import certify_strategy

Array = NDArray[np.float64]


def make_panel(rows: int = 260, markets: int = 4) -> Panel:
    generator = np.random.default_rng(21)
    day = Timeframe.parse("1d")
    bar = np.arange(19_001, 19_001 + rows)
    close = 50.0 * np.exp(np.cumsum(generator.normal(0.0, 0.03, (rows, markets)), axis=0))
    close[generator.random((rows, markets)) < 0.01] = np.nan
    close[:40, -1] = np.nan
    fields = {"close": close, "high": close * 1.01, "low": close * 0.99, "volume": close * 1e6}
    return Panel(day, bar, day.open_times(bar), tuple(f"x:M{j}/USDT" for j in range(markets)), fields)


def with_series(panel: Panel) -> Panel:
    """Add what families read that is no part of a bar: invented, known where there is a close."""
    generator = np.random.default_rng(22)
    known = np.where(np.isnan(panel["close"]), np.nan, 1.0)
    made = {
        "funding_rate": generator.normal(1e-4, 2e-4, panel.shape),
        "mvrv": generator.uniform(0.5, 4.0, panel.shape),
        "active_addresses": generator.uniform(1e5, 2e5, panel.shape),
        "market_cap": generator.uniform(1e9, 2e9, panel.shape),
    }
    return panel.with_fields({name: values * known for name, values in made.items()})


@pytest.mark.parametrize("family", families())
def test_family_is_certified(family: str) -> None:
    strategy = strategy_of(family)
    certificate = certify_strategy(strategy, with_series(make_panel()), strategy.params())
    assert certificate.findings == ()
    assert certificate.bars_checked == 260 - certificate.lookback_declared + 1
    assert (certificate.mismatches, certificate.max_ulp) == (0, 0)
    assert certificate.lookback_measured is not None
    assert certificate.lookback_measured <= certificate.lookback_declared


@pytest.mark.real_data
@pytest.mark.parametrize("family", families())
def test_family_is_certified_on_recorded_bars(family: str, real_data: Path) -> None:
    frame = pl.read_parquet(real_data / "binance_spot_1d.parquet").with_columns(
        pl.col("ts").dt.cast_time_unit("us").dt.convert_time_zone("UTC"),
        market="binance:" + pl.col("symbol"),
    )
    panel = with_series(Panel.from_frame(frame.drop("symbol"), timeframe="1d"))
    strategy = strategy_of(family)
    certificate = certify_strategy(strategy, panel, strategy.params())
    assert certificate.findings == ()
    assert certificate.bars_checked > 1_700


class ReadsNeighbours(TimeSeriesMomentum):
    """Says that markets are independent, and scales by the best of them."""

    @staticmethod
    def core(past_return: Array, realised: Array, *numbers: float) -> Array:
        weights = TimeSeriesMomentum.core(past_return, realised, *numbers)
        return weights / (1.0 + np.nanmax(past_return, axis=1, keepdims=True, initial=0.0))


class ReadsTomorrow(TimeSeriesMomentum):
    """Decides on the return that the next bar will bring."""

    def signal(self, panel: Panel, params: Any) -> Array:
        weights = super().signal(panel, params).copy()
        close = panel["close"]
        weights[:-1] = np.where(close[1:] > close[:-1], weights[:-1], 0.0)
        return weights


class ReadsTomorrowsVolume(TimeSeriesMomentum):
    """Looks at a column that no feature declares."""

    def signal(self, panel: Panel, params: Any) -> Array:
        weights = super().signal(panel, params).copy()
        volume = panel["volume"]
        weights[:-1] = np.where(volume[1:] > volume[:-1], weights[:-1], 0.0)
        return weights


class ReadsItWhereItIs(ReadsTomorrowsVolume):
    """Does so where the panel has that column, and decides without it elsewhere."""

    def signal(self, panel: Panel, params: Any) -> Array:
        if "volume" in panel.fields:
            return super().signal(panel, params)
        return TimeSeriesMomentum.signal(self, panel, params)


@pytest.mark.parametrize(
    ("leaking", "kind"),
    [
        (ReadsNeighbours, "neighbour"),
        (ReadsTomorrow, "lookahead"),
        (ReadsTomorrowsVolume, "lookahead"),
        (ReadsItWhereItIs, "lookahead"),
    ],
)
def test_leaking_strategy_is_refused(leaking: type[TimeSeriesMomentum], kind: str) -> None:
    strategy = leaking()
    params = strategy.params(lookback_window=30)
    certificate = certify_strategy(strategy, make_panel(), params)
    assert [finding.kind for finding in certificate.findings] == [kind]
