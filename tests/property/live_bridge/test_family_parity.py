"""At every bar the bridge decides what the backtest decided there, bit for bit, for every family."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from numpy.typing import NDArray

from lab.core.frames import TS
from lab.core.panel import Panel
from lab.data.panels import panel_from_bars
from lab.data.quality import default_settings, mark
from lab.data.series import KINDS, import_series
from lab.data.synthetic import synthetic_market, synthetic_names
from lab.pipeline.series import with_series
from lab.strategies import load_portfolio
from live_bridge.bars import fetch_bars
from live_bridge.config import LoadedConfig, load_config
from live_bridge.decisions import decide_all
from live_bridge.exchange import Candle
from live_bridge.recorded import RecordedMarket
from live_bridge.series import StoredSeries, fetch_series

SEED = 11
BARS = 1_700
MARKETS = synthetic_names(4)
FAMILIES = (
    "carry",
    "cross_sectional_momentum",
    "dual_momentum",
    "ensemble",
    "ma_breakout",
    "mean_reversion",
    "time_series_momentum",
    "value_quality",
)
SERIES: dict[str, dict[str, Any]] = {
    "carry": {"name": "funding", "columns": {"funding_rate": "funding_rate"}, "max_age_days": 2},
    "value_quality": {
        "name": "onchain",
        "columns": {"mvrv": "CapMVRVCur", "active_addresses": "AdrActCnt", "market_cap": "CapMrktCurUSD"},
        "max_age_days": 4,
    },
}
PARAMETERS: dict[str, dict[str, Any]] = {
    "carry": {"full_below": -0.2, "none_above": 0.6},
    "value_quality": {"long_window": 40},
}
ARRIVED = datetime(2024, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def bars() -> pl.DataFrame:
    """Bars with outages, late listings and an early end: the hard cases of every window."""
    return synthetic_market(seed=SEED, markets=4, bars=BARS, outages=3, late=0.25)


@pytest.fixture(scope="module")
def root(bars: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of stored series with values that are missing, late, and not there at all for one market."""
    folder = tmp_path_factory.mktemp("series")
    rng = np.random.default_rng(SEED)
    days = bars["ts"].unique().sort()
    names = [name.partition(":")[2] for name in MARKETS[:3]]
    frame = pl.DataFrame({"ts": days}).join(pl.DataFrame({"symbol": names}), how="cross")
    count = frame.height
    drawn = {
        "CapMVRVCur": np.exp(rng.normal(0.6, 0.5, count)),
        "AdrActCnt": rng.integers(1_000, 9_000, count).astype(float),
        "CapMrktCurUSD": np.exp(rng.normal(20, 0.3, count)),
    }
    chain = frame.with_columns(**{name: pl.Series(values) for name, values in drawn.items()})
    chain = chain.with_columns(
        pl.when(pl.col("ts").dt.day() == 3).then(None).otherwise(pl.col("AdrActCnt")).alias("AdrActCnt")
    )
    store(folder, "onchain", chain.with_columns(pl.col("symbol").str.split("/").list.first()))
    quotes = frame["symbol"] + ":" + frame["symbol"].str.split("/").list.last()
    rates = frame.with_columns(
        symbol=quotes,
        funding_rate=pl.Series(rng.normal(2e-4, 3e-4, count)),
        ts=pl.col("ts") + pl.duration(milliseconds=pl.Series(rng.integers(0, 40, count))),
    )
    # Weeks without any.
    store(folder, "funding", rates.filter(pl.col("ts").dt.week() % 9 != 0), exchange="synthetic")
    return folder


def store(folder: Path, kind: str, frame: pl.DataFrame, *, exchange: str | None = None) -> None:
    path = folder / f"{kind}.parquet"
    frame.write_parquet(path)
    (verdict,) = import_series([path], root=folder, kind=KINDS[kind], arrived=ARRIVED, exchange=exchange)
    assert verdict.ok, verdict.error


def configured(
    folder: Path, family: str, markets: Sequence[str], timeframe: str, **keys: object
) -> LoadedConfig:
    names = [dict(zip(("exchange", "symbol"), name.split(":", 1), strict=True)) for name in markets]
    instance = {
        "family": family, "strategy_id": "one", "version": "1.0.0", "mode": "paper", "timeframe": timeframe,
        "markets": names, "parameters": PARAMETERS.get(family, {}),
        "series": [SERIES[family]] if family in SERIES else [], **keys,
    }  # fmt: skip
    portfolio = {
        "portfolio_id": "all", "reference_currency": "USDT", "capital": 10_000,
        "instances": [{"config": "one.yaml", "allocation": 1.0}],
    }  # fmt: skip
    symbols = {name: name.partition(":")[2] for name in markets}
    # What never came is not waited for.
    bridge = {"market_map": symbols, "portfolio": "all.yaml", "series_wait_s": 0}
    for name, document in (("one", instance), ("all", portfolio), ("bridge", bridge)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(document))
    return load_config(folder / "bridge.yaml", root=folder)


def mismatches(
    loaded: LoadedConfig, bars: pl.DataFrame, rows: Sequence[int], *, root: Path
) -> tuple[int, list[int], NDArray[np.float64]]:
    """Decide at the close of each of `rows`: decisions, rows that differ, and the backtest's weights."""
    portfolio = load_portfolio(loaded.portfolio)
    instance = portfolio.instances[0]
    grid = instance.timeframe
    panel: Panel = panel_from_bars(
        mark(bars, grid.name, default_settings()), timeframe=grid, markets=instance.markets
    )
    panel, _ = with_series(panel, instance.config.series, root=root)
    expected = instance.decide(panel)
    candles: dict[str, list[Candle]] = {name: [] for name in instance.markets}
    for market, *row in bars.select("market", "ts", "open", "high", "low", "close", "volume").rows():
        candles[market].append(Candle(*row))
    different, decided = [], 0
    for row in rows:
        now = grid.open_time(int(panel.bar[row]) + 1) + timedelta(seconds=1)
        known = {
            (name.partition(":")[2], grid.name): [candle for candle in series if candle.ts < now]
            for name, series in candles.items()
        }
        answers = fetch_bars(RecordedMarket(now, bars=known), loaded, portfolio, now)
        context = loaded.quality.context_bars
        series = fetch_series(StoredSeries(root), portfolio, now, context=context)
        for decision in decide_all(portfolio, [instance], answers, loaded, now, series).decisions:
            decided += 1
            ours = np.array([decision.weights[name] for name in instance.markets])
            if ours.tobytes() != expected[row].tobytes():
                different.append(int(row))
    return decided, different, expected


@pytest.mark.parametrize("count", [40, pytest.param(1_000, marks=pytest.mark.slow)], ids=["short", "long"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_bridge_decides_what_the_backtest_decided(
    family: str, count: int, bars: pl.DataFrame, root: Path, tmp_path: Path, tally: Callable[..., None]
) -> None:
    loaded = configured(tmp_path, family, MARKETS, "1d")
    rows = np.linspace(BARS - 1_000, BARS - 1, count).astype(int).tolist()
    decided, different, expected = mismatches(loaded, bars, rows, root=root)
    tally(f"bars of {family}, bridge against backtest", cases=decided, failed=len(different), seed=SEED)
    assert different == []
    # A bar of an outage is not published, so that nothing is decided there.
    assert decided > 0.9 * count
    assert np.nansum(expected[rows]) > 0


RECORDED: dict[str, tuple[str, list[str], datetime, str, dict[str, Any]]] = {
    # The rates end on 2021-12-18, the figures on 2019-10-20: before, between and after them.
    "carry": (
        "1h",
        ["binance:XRP/USDT"],
        datetime(2021, 11, 9, tzinfo=UTC),
        "funding_xrp",
        {"funding_window": 72},
    ),
    "value_quality": (
        "1d",
        ["binance:BTC/USDT", "binance:ETH/USDT", "binance:LTC/USDT", "binance:XRP/USDT"],
        datetime(2017, 8, 1, tzinfo=UTC),
        "onchain_1d",
        {"long_window": 120},
    ),
}


@pytest.mark.real_data
@pytest.mark.parametrize("count", [40, pytest.param(1_000, marks=pytest.mark.slow)], ids=["short", "long"])
@pytest.mark.parametrize("family", RECORDED)
def test_recorded_series_decide_as_in_the_backtest(
    family: str, count: int, real_data: Path, tmp_path: Path, tally: Callable[..., None]
) -> None:
    timeframe, markets, start, name, parameters = RECORDED[family]
    kind = SERIES[family]["name"]
    (verdict,) = import_series(
        [real_data / f"{name}.parquet"],
        root=tmp_path,
        kind=KINDS[str(kind)],
        arrived=ARRIVED,
        exchange="binance" if kind == "funding" else None,
    )
    assert verdict.ok, verdict.error
    loaded = configured(tmp_path, family, markets, timeframe, parameters=parameters)
    bars = (
        pl.scan_parquet(real_data / f"binance_spot_{timeframe}.parquet")
        .filter(pl.col("ts") >= start, pl.concat_str(pl.lit("binance:"), "symbol").is_in(markets))
        .select(pl.concat_str(pl.lit("binance:"), "symbol").alias("market"), pl.exclude("symbol"))
        .with_columns(pl.col("ts").cast(TS))
        .sort("market", "ts")
        .collect()
    )
    bars = bars.filter(
        pl.col("ts") < bars["ts"].min() + 1_180 * pl.duration(hours=1 if timeframe == "1h" else 24)
    )
    last = bars["ts"].n_unique() - 1
    rows = np.linspace(last - 999, last, count).astype(int).tolist()
    decided, different, expected = mismatches(loaded, bars, rows, root=tmp_path)
    tally(f"bars of {family} on recorded series", cases=decided, failed=len(different), seed="none")
    assert different == []
    assert decided > 0.9 * count
    assert np.nansum(expected[rows]) > 0
    # Where the recorded series have ended for too long, both keep what is held.
    assert np.isnan(expected[rows[-1]]).all()
