"""The later families on recorded bars and series, from imported files to both engines and the certificate."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from lab.core.errors import DataError, MnemoError
from lab.data.importing import import_files
from lab.data.series import KINDS, import_series
from lab.pipeline.inputs import load_inputs
from lab.pipeline.portfolio_inputs import load_portfolio_inputs
from lab.pipeline.portfolios import backtest_portfolio
from lab.pipeline.runs import backtest
from lab.strategies import StrategyInstance, load
from lab.validation.causality_strategy import certify_strategy

pytestmark = [pytest.mark.real_data, pytest.mark.integration]

RESEARCH = Path(__file__).parents[3] / "research"
ARRIVED = datetime(2023, 1, 1, tzinfo=UTC)
# Certificates look at the end of the history that a family needs: enough to see every rule at work.
CASES = {
    "binance_ma_breakout_33_1d": (None, None),
    "binance_cross_sectional_33_1d": (None, None),
    "binance_ensemble_33_1d": (None, None),
    "binance_value_quality_1d": (None, datetime(2019, 10, 20, tzinfo=UTC)),
    "binance_carry_xrp_1h": (datetime(2021, 11, 1, tzinfo=UTC), datetime(2021, 12, 18, tzinfo=UTC)),
}


def instance_of(name: str) -> StrategyInstance:
    return load(RESEARCH / "strategies" / f"{name}.yaml")


@pytest.fixture(scope="module")
def root(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    hourly = folder / "xrp.parquet"
    pl.scan_parquet(real_data / "binance_spot_1h.parquet").filter(
        pl.col("symbol") == "XRP/USDT", pl.col("ts").dt.year() == 2021
    ).collect().write_parquet(hourly)
    for path, timeframe in ((real_data / "binance_spot_1d.parquet", "1d"), (hourly, "1h")):
        (verdict,) = import_files(
            [path], root=folder, exchange="binance", timeframe=timeframe, arrived=ARRIVED
        )
        assert verdict.ok, verdict
    for name, kind in (("onchain_1d", "onchain"), ("funding_xrp", "funding")):
        exchange = "binance" if kind == "funding" else None
        (series,) = import_series(
            [real_data / f"{name}.parquet"], root=folder, kind=KINDS[kind], arrived=ARRIVED, exchange=exchange
        )
        assert series.ok, series
    return folder


@pytest.mark.parametrize("name", CASES)
def test_family_trades_and_is_certified(root: Path, name: str) -> None:
    start, end = CASES[name]
    inputs = load_inputs(instance_of(name), root=root, start=start, end=end)
    instance = inputs.instance
    weights = instance.decide(inputs.panel)
    invested = np.nan_to_num(weights).sum(axis=1)
    assert (invested > 0).mean() > 0.02
    assert invested.max() <= 1 + 1e-9
    assert not np.isnan(weights[-20:]).all()
    part = inputs.panel.tail(instance.lookback + 150)
    certificate = certify_strategy(instance.strategy, part, instance.params)
    assert certificate.findings == ()
    assert (certificate.mismatches, certificate.max_ulp) == (0, 0)
    assert certificate.bars_checked >= 100


@pytest.mark.parametrize(
    "name", ["binance_value_quality_1d", "binance_carry_xrp_1h", "binance_ensemble_33_1d"]
)
def test_both_engines_agree(root: Path, name: str) -> None:
    start, end = CASES[name]
    run = backtest(instance_of(name), root=root, start=start, end=end)
    assert run.document["status"] == "OK"
    assert run.result.engine_difference is not None
    assert run.result.engine_difference <= 1e-9
    assert run.result.orders.height > 5


def test_on_chain_figures_come_a_day_after_their_day(root: Path, real_data: Path) -> None:
    inputs = load_inputs(instance_of("binance_value_quality_1d"), root=root)
    raw = pl.read_parquet(real_data / "onchain_1d.parquet").filter(pl.col("symbol") == "BTC")
    days = {ts.date(): value for ts, value in raw.select("ts", "CapMVRVCur").iter_rows()}
    column = inputs.panel.markets.index("binance:BTC/USDT")
    for row in (10, 200, 500):
        # Known when the bar of day d has closed, at d + 1, is what describes d - 1 (published within a day).
        described = (inputs.panel.ts[row] - np.timedelta64(1, "D")).astype("datetime64[D]").astype(object)
        assert inputs.panel["mvrv"][row, column] == days[described]
    last = np.flatnonzero(~np.isnan(inputs.panel["mvrv"][:, column]))[-1]
    assert inputs.panel.ts[last] < np.datetime64("2019-10-27")


def test_a_missing_column_is_named(root: Path, tmp_path: Path) -> None:
    text = instance_of("binance_carry_xrp_1h").source.read_text()
    path = tmp_path / "carry.yaml"
    kept = [line for line in text.splitlines() if not line.startswith(("series:", "  - {name: funding"))]
    path.write_text("\n".join(kept))
    with pytest.raises(DataError, match=r"carry reads the column funding_rate.*series: "):
        load_inputs(path, root=root, start=datetime(2021, 11, 1, tzinfo=UTC))
    for old, new, message in (
        ("name: funding", "name: rates", "rates"),
        ("funding_rate: funding_rate", "funding_rate: rate", "no column 'rate'; it has funding_rate"),
        ("XRP/USDT}]", "BTC/USDT}]", "none of them for binance:BTC/USDT"),
    ):
        path.write_text(
            text.replace(old, new).replace("timeframe: 1h", f"timeframe: {'1d' if 'BTC' in new else '1h'}")
        )
        with pytest.raises(MnemoError, match=message):
            load_inputs(path, root=root, start=datetime(2021, 6, 1, tzinfo=UTC))


def test_portfolio_of_families(root: Path) -> None:
    path = RESEARCH / "portfolios" / "binance_families.yaml"
    start = datetime(2020, 6, 1, tzinfo=UTC)
    end = datetime(2022, 10, 1, tzinfo=UTC)
    inputs = load_portfolio_inputs(path, root=root, start=start, end=end)
    portfolio = inputs.portfolio
    full = inputs.decide()
    assert np.nansum(full.weights, axis=1).max() <= 1 + 1e-9
    assert full.shares.std(axis=0).min() > 0
    for family, cap in portfolio.config.family_caps.items():
        mine = [k for k, name in enumerate(portfolio.families) if name == family]
        assert full.shares[:, mine].sum(axis=1).max() <= cap + 1e-12
    needed = max(portfolio.bars_needed(one) for one in portfolio.instances)
    for last in range(len(full.weights) - 3, len(full.weights) + 1):
        tails = [one.panel.rows(last - needed, last) for one in inputs.instances]
        tail = portfolio.decide(tails)
        assert tail.weights[-1].tobytes() == full.weights[last - 1].tobytes()
    run = backtest_portfolio(portfolio, root=root, start=start, end=end)
    assert run.document["status"] == "OK"
    assert run.document["engine_difference"] <= 1e-9
    assert run.result.cash == 100_000
    assert run.document["reallocations"] > 10
