"""The real bridge over history: its books against the backtest's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from lab.core.errors import ConfigError, DataError
from lab.data import demo
from lab.data.importing import import_files
from lab.data.series import KINDS, import_series
from lab.pipeline.processes import run_bridge
from lab.pipeline.rehearsal import Mode, rehearse

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("rehearsals")]

PORTFOLIO = Path(__file__).parents[3] / "research" / "portfolios" / "demo.yaml"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rehearsal")
    demo.install(folder)
    return folder


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("mode", ["paper", "live"])
def test_without_rounding_the_bridge_is_its_backtest(
    root: Path, mode: Mode, tally: Callable[..., None]
) -> None:
    start, end = day("2018-11-10"), day("2018-11-21")
    found = rehearse(PORTFOLIO, root=root, start=start, end=end, mode=mode, exact=True)
    tally(
        f"rehearsed ticks, {mode}, exact",
        cases=found["ticks"],
        failed=found["failed"],
        seed="none",
        mismatches=found["mismatches"],
        equity_difference=f"{found['equity_difference']:.1e}",
    )
    assert found["failed"] == found["mismatches"] == 0
    assert found["ticks"] == 12
    # Otherwise nothing was compared.
    assert found["orders"] == found["orders_backtest"] > 0
    assert found["equity_difference"] < 1e-9


@pytest.mark.slow
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "rounded"])
@pytest.mark.parametrize("mode", ["paper", "live"])
def test_two_years_with_a_crash(root: Path, mode: Mode, exact: bool, tally: Callable[..., None]) -> None:
    start, end = day("2018-03-01"), day("2019-07-31")
    found = rehearse(PORTFOLIO, root=root, start=start, end=end, mode=mode, exact=exact)
    tally(
        f"rehearsed ticks, two years, {mode}, {'exact' if exact else 'rounded'}",
        cases=found["ticks"],
        failed=found["failed"],
        seed="none",
        mismatches=found["mismatches"],
        equity_difference=f"{found['equity_difference']:.1e}",
        residual=f"{found['residual']:.1e}",
    )
    assert found["ticks"] >= 500
    assert found["failed"] == found["mismatches"] == 0
    # A hole of twelve days in March 2019; just after a close, one bar behind is ordinary.
    assert found["without_bars"] == 11
    assert found["residual"] < 1e-9
    if exact:
        assert found["equity_difference"] < 1e-9
    else:
        assert 0 < found["equity_difference"] < 1e-3


@pytest.mark.slow
@pytest.mark.real_data
def test_recorded_funding_reaches_the_bridge_as_the_backtest_knew_it(
    real_data: Path, tmp_path: Path, tally: Callable[..., None]
) -> None:
    hourly = tmp_path / "xrp.parquet"
    pl.scan_parquet(real_data / "binance_spot_1h.parquet").filter(
        pl.col("symbol") == "XRP/USDT", pl.col("ts").is_between(day("2021-11-01"), day("2021-12-31"))
    ).collect().write_parquet(hourly)
    arrived = day("2023-01-01")
    (bars,) = import_files([hourly], root=tmp_path, exchange="binance", timeframe="1h", arrived=arrived)
    (rates,) = import_series(
        [real_data / "funding_xrp.parquet"],
        root=tmp_path,
        kind=KINDS["funding"],
        arrived=arrived,
        exchange="binance",
    )
    assert bars.ok, bars
    assert rates.ok, rates
    portfolio = tmp_path / "portfolio.yaml"
    carry = PORTFOLIO.parents[1] / "strategies" / "binance_carry_xrp_1h.yaml"
    portfolio.write_text(
        "portfolio_id: carry\nreference_currency: USDT\ncapital: 10000\n"
        f"instances: [{{config: {carry}, allocation: 1.0}}]\n"
    )
    # The rates end on the 18th: known, late, too old.
    start, end = day("2021-12-17T12:00"), day("2021-12-19T04:00")
    found = rehearse(portfolio, root=tmp_path, start=start, end=end)
    tally("hours of carry on recorded funding", cases=found["ticks"], failed=found["mismatches"], seed="none")
    assert found["failed"] == found["mismatches"] == 0
    assert found["decisions"] == found["ticks"] == 41
    assert found["orders"] > 0
    assert found["residual"] < 1e-9
    config = next((tmp_path / "data" / "live" / "rehearsals").glob("*/bridge.yaml"))
    where = ["--config", str(config), "--root", str(tmp_path)]
    ticks = [tick["tick"] for tick in run_bridge(["history", *where])["ticks"]]
    assert all(run_bridge(["replay", tick, *where])["identical"] for tick in (ticks[0], ticks[20], ticks[-1]))


@pytest.mark.parametrize(
    ("start", "end", "error", "text"),
    [
        ("2018-11-10T03:00", "2018-11-12", ConfigError, "not the opening time"),
        ("2018-11-12", "2018-11-10", ConfigError, "before --from"),
        ("2019-12-30", "2021-01-05", DataError, "stored bars reach from"),
    ],
    ids=["off the grid", "backwards", "beyond the last bar"],
)
def test_times_that_cannot_be_rehearsed(
    root: Path, start: str, end: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        rehearse(PORTFOLIO, root=root, start=day(start), end=day(end))
