"""The campaign of all families on recorded daily bars, its buy and hold against the files themselves."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest

from lab.costs import Costs
from lab.data.importing import import_files
from lab.data.series import KINDS, import_series
from lab.pipeline.campaign import CampaignRun, run_campaign
from lab.strategies import families

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.slow,
    pytest.mark.integration,
    pytest.mark.timeout(1_200),
    pytest.mark.xdist_group("recorded_campaign"),
]

FILE = Path(__file__).parents[3] / "research" / "campaigns" / "binance_daily.yaml"
ARRIVED = datetime(2023, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def run(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> CampaignRun:
    root = tmp_path_factory.mktemp("root")
    hourly = root / "xrp.parquet"
    pl.scan_parquet(real_data / "binance_spot_1h.parquet").filter(
        pl.col("symbol") == "XRP/USDT", pl.col("ts").dt.year() == 2021
    ).collect().write_parquet(hourly)
    for path, timeframe in ((real_data / "binance_spot_1d.parquet", "1d"), (hourly, "1h")):
        (bars,) = import_files([path], root=root, exchange="binance", timeframe=timeframe, arrived=ARRIVED)
        assert bars.ok, bars
    for name, kind in (("onchain_1d", "onchain"), ("funding_xrp", "funding")):
        exchange = "binance" if kind == "funding" else None
        (series,) = import_series(
            [real_data / f"{name}.parquet"], root=root, kind=KINDS[kind], arrived=ARRIVED, exchange=exchange
        )
        assert series.ok, series
    return run_campaign(FILE, root=root)


def test_all_families_run_in_both_engines(run: CampaignRun) -> None:
    members = run.document["members"]
    assert {member["family"] for member in members} == {*families(), "portfolio"}
    assert run.document["status"] == "OK"
    assert max(member["engine_difference"] for member in members) <= 1e-9
    figures = run.tables["figures"]
    crashes = {"crash of 2018", "crash of march 2020", "crash of may 2021", "crash of june 2022"}
    assert crashes <= set(figures["part"])
    assert {"bull", "sideways", "bear"} <= set(figures.filter(pl.col("kind") == "regime")["part"])
    exchanged = figures.filter(pl.col("part") == "all", pl.col("turnover") > 0)
    assert set(exchanged["id"]) == {member["id"] for member in members}


@pytest.mark.parametrize(
    ("part", "first", "last"),
    [
        ("crash of march 2020", date(2020, 3, 7), date(2020, 3, 16)),
        ("crash of may 2021", date(2021, 5, 8), date(2021, 5, 23)),
        ("crash of june 2022", date(2022, 6, 7), date(2022, 6, 18)),
    ],
)
def test_buy_and_hold_through_a_crash_is_equal_parts_of_the_markets(
    run: CampaignRun, real_data: Path, part: str, first: date, last: date
) -> None:
    bars = pl.read_parquet(real_data / "binance_spot_1d.parquet").with_columns(day=pl.col("ts").dt.date())
    listed = bars.filter(pl.col("day") == first).join(
        bars.filter(pl.col("day") == last).select("symbol", end="close"), on="symbol"
    )
    grown = (listed.sort("symbol")["end"] / listed.sort("symbol")["open"]).to_list()
    rows = run.tables["figures"].filter(pl.col("part") == part, pl.col("id") == "binance_tsm_33_1d")
    for level, costs in (("gross", Costs(0.0, 0.0)), ("base", Costs.preset("base"))):
        paid = (1 + costs.fee) * (1 + costs.slippage)
        each = 1 / len(grown)
        # Equal parts in the order of names; the last purchase has to do with the cash that is left.
        left = (1 - (len(grown) - 1) * each * paid) / paid
        expected = each * sum(grown[:-1]) + left * grown[-1] - 1
        row = rows.row(by_predicate=pl.col("costs") == level, named=True)
        assert row["hold_total_return"] == pytest.approx(expected, rel=1e-9)
        assert row["hold_total_return"] < -0.3
