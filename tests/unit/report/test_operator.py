"""The operator's report against figures added up by hand."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import ConfigError, DataError
from lab.report.operator import OperatorInput, period_before, read_journal
from lab.report.operator.blocks import criteria, fills, headline, incidents, limits
from lab.report.operator.figures import equity, holdings, use_of_limits
from tests.oracle.journals import closed, filled, opened, planned, write_journal

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
NOW = datetime(2024, 3, 11, 0, 5, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"


def at(day: int, hour: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour)


def budget(fraction: float, *, tripped: bool = False, limit: str = "daily loss") -> dict[str, Any]:
    return {
        "limit": limit,
        "scope": "portfolio",
        "used": 0.05 * fraction,
        "of": 0.05,
        "fraction": fraction,
        "tripped": tripped,
    }


EVENTS = [
    opened(at(-3), 1_000.0),
    closed(at(-3), {"USDT": 1_000.0}, {}),
    planned(at(0), 1, [budget(0.2), budget(0.5, limit="exposure")]),
    filled(at(0), "BTC/USDT", "buy", 0.01, 50_000.0, fee="0.5", fee_asset="USDT", slippage="10"),
    closed(at(0), {"USDT": 499.5, "BTC": 0.01}, {"BTC/USDT": 50_000.0}),
    planned(at(1), 0, [budget(0.9, tripped=True)]),
    closed(at(1), {"USDT": 499.5, "BTC": 0.01}, {"BTC/USDT": 40_000.0}),
    (at(1, 6), "HALTED", {"by": "ana", "reason": HOSTILE}),
    (at(1, 7), "INCIDENT", {"code": "STALE_BARS", "severity": "WARNING", "detail": "late", "symbol": "X"}),
    (at(1, 7), "INCIDENT", {"code": "STALE_BARS", "severity": "WARNING", "detail": "late", "symbol": "X"}),
    planned(at(4), 3, [budget(0.1)]),
    filled(at(4), "BTC/USDT", "sell", 0.005, 44_000.0, fee="0.00001", fee_asset="BNB", fee_price="300"),
    filled(at(4, 1), "BTC/USDT", "sell", 0.001, 44_000.0, fee="0.00001", fee_asset="BNB"),
    (at(4, 2), "ABANDONED", {"order": "o1", "symbol": "BTC/USDT", "reason": "its bar is over"}),
    (at(4, 2), "SETTLED", {"order": "o2", "status": "FILLED"}),
    closed(at(4, 3), {"USDT": 763.0, "BTC": 0.004}, {"BTC/USDT": 45_000.0}),
    closed(at(7), {"USDT": 5_000.0}, {}),  # after the period
]


def report_of(folder: Path, events: list[Any], **context: Any) -> OperatorInput:
    write_journal(folder / "journal.sqlite", events)
    period = period_before("weekly", NOW)
    span = {"name": period.name, "start": period.start.isoformat(), "end": period.end.isoformat()}
    (folder / "context.json").write_text(json.dumps({"account": "a", "period": span, **context}))
    return OperatorInput.read(folder)


@pytest.fixture
def report(tmp_path: Path) -> OperatorInput:
    return report_of(tmp_path, EVENTS, reference={"max_drawdown": -0.05, "run_id": "r"})


def test_profit_is_the_change_of_equity_within_the_period(report: OperatorInput) -> None:
    figures = report.figures()
    assert figures["equity"] == pytest.approx(763 + 0.004 * 45_000)
    assert figures["profit"] == pytest.approx(943.0 - 1_000.0)
    assert figures["return"] == pytest.approx(-0.057)
    assert figures["since_opening"] == pytest.approx(-0.057)
    assert figures["drawdown"] == pytest.approx((499.5 + 400) / 1_000 - 1)
    assert figures["exposure"] == pytest.approx(180 / 943)
    assert figures["traded"] == pytest.approx(500 + 220 + 44)
    assert figures["fees"] == pytest.approx(0.5 + 0.003)
    assert figures["slippage"] == pytest.approx(0.1)
    assert (figures["orders"], figures["ticks"]) == (4.0, 3.0)


def test_days_without_a_tick_keep_the_equity_of_the_day_before(report: OperatorInput) -> None:
    days = report.days_within()
    assert days["day"].cast(str).to_list()[0] == "2024-03-04"
    assert days.height == 7
    assert days["ticks"].to_list() == [1, 1, 0, 0, 1, 0, 0]
    assert days["equity"].to_list() == pytest.approx([999.5, 899.5, 899.5, 899.5, 943, 943, 943])
    assert days["profit"].to_list() == pytest.approx([-0.5, -100, 0, 0, 43.5, 0, 0])
    assert days["fills"].to_list() == [1, 0, 0, 0, 2, 0, 0]
    assert days["profit"].sum() == pytest.approx(report.figures()["profit"])


def test_a_fee_in_a_coin_without_a_price_is_not_made_up(report: OperatorInput) -> None:
    assert report.within("fills")["fee"].to_list() == [0.5, pytest.approx(0.003), None]


def test_incidents_are_counted_once_and_ordered(report: OperatorInput) -> None:
    assert report.counts() == {"CRITICAL": 1, "WARNING": 2, "INFO": 0}
    assert report.incidents()["code"].to_list() == ["HALTED", "STALE_BARS", "ABANDONED"]


def test_limits_show_the_highest_use_and_what_tripped(report: OperatorInput) -> None:
    rows = {row["limit"]: row for row in report.limits().iter_rows(named=True)}
    assert rows["daily loss"]["highest"] == 0.9
    assert rows["daily loss"]["fraction"] == 0.1
    assert rows["daily loss"]["tripped"] is True
    assert rows["exposure"]["tripped"] is False


def test_criteria_say_what_is_met_and_what_is_not_known(report: OperatorInput, tmp_path: Path) -> None:
    states = dict(report.criteria().select("criterion", "state").iter_rows())
    assert states["drawdown beyond 1.5 x the backtest's"] == "met"
    assert states["more than 1% of orders failed"] == "met"
    assert states["Sharpe ratio below 0 over 182 days"] == "not known"
    assert states["days without a tick"] == "met"
    other = report_of(tmp_path / "other", EVENTS, reference={"max_drawdown": -0.5, "run_id": "r"})
    assert other.criteria()["state"][0] == "ok"
    none = report_of(tmp_path / "none", EVENTS)
    assert none.criteria()["state"][0] == "not known"


@pytest.mark.parametrize(
    ("comparison", "state", "found"),
    [
        ({"concordance": 1.0, "compared": 40, "missed": 0}, "ok", "100.00% of 40, 0 without a tick"),
        ({"concordance": 0.9, "compared": 40, "missed": 4}, "met", "90.00% of 40, 4 without a tick"),
        ({"problem": "bars are not stored"}, "not known", "bars are not stored"),
        ({}, "not known", "not compared"),
    ],
)
def test_concordance_is_a_criterion(
    tmp_path: Path, comparison: dict[str, object], state: str, found: str
) -> None:
    rows = report_of(tmp_path, EVENTS, comparison=comparison).criteria().rows(named=True)
    (row,) = [row for row in rows if "permitted weights" in row["criterion"]]
    assert (row["state"], row["found"]) == (state, found)


def test_the_sharpe_criterion_uses_the_days_on_record(tmp_path: Path) -> None:
    start = NOW - timedelta(days=200)
    losing = [closed(start + timedelta(days=n), {"USDT": 1_000 * 0.999**n + n % 2}, {}) for n in range(199)]
    report = report_of(tmp_path, [opened(start, 1_000.0), *losing])
    states = dict(report.criteria().select("criterion", "state").iter_rows())
    assert states["Sharpe ratio below 0 over 182 days"] == "met"
    assert states["Sharpe ratio below 0 over 365 days"] == "not known"


def test_names_from_outside_are_text(report: OperatorInput) -> None:
    for piece in (incidents(report.incidents()), headline(report), limits(report.limits())):
        assert "<script>" not in piece.markup
    assert "&lt;script&gt;" in incidents(report.incidents()).markup
    assert "Needs a person" in headline(report).markup


def test_an_account_that_never_ticked_is_reported_as_such(tmp_path: Path) -> None:
    report = report_of(tmp_path, [opened(at(1), 1_000.0)])
    assert report.figures()["profit"] is None
    assert report.daily().is_empty()
    assert "–" in headline(report).markup
    assert "Nothing was traded" in fills(report.within("fills")).markup
    assert dict(report.criteria().select("criterion", "state").iter_rows())["days without a tick"] == "met"
    assert criteria(report.criteria()).markup.count("<tr>") == 7


def test_figures_draw_what_the_tables_say(report: OperatorInput) -> None:
    line, bars = equity(report.daily(), "2024-03-04", "2024-03-11").data
    assert list(line.y) == pytest.approx(report.daily()["equity"].to_list(), rel=1e-6)
    assert list(bars.y) == pytest.approx(report.daily()["profit"].to_list(), rel=1e-6)
    held = holdings(report.within("holdings"), report.within("ticks")).data
    assert [trace.name for trace in held] == ["BTC/USDT"]
    assert list(held[0].y) == pytest.approx([500 / 999.5, 400 / 899.5, 180 / 943], rel=1e-6)
    highest, now = use_of_limits(report.limits()).data
    assert list(highest.x) == pytest.approx([0.5, 0.9])
    assert list(now.x) == pytest.approx([0.5, 0.1])


@pytest.mark.parametrize("name", ["daily", "weekly", "monthly"])
def test_periods_are_whole_and_over(name: str) -> None:
    for hours in range(0, 24 * 70, 7):
        now = datetime(2023, 12, 20, tzinfo=UTC) + timedelta(hours=hours)
        period = period_before(name, now)
        assert period.start < period.end <= now
        again = period_before(name, period.end)
        assert (again.start, again.end) == (period.start, period.end)
    with pytest.raises(ConfigError, match="expected one of daily, weekly, monthly"):
        period_before("hourly", NOW)
    with pytest.raises(ConfigError, match="no timezone"):
        period_before(name, NOW.replace(tzinfo=None))


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "journal.sqlite"
    with pytest.raises(DataError, match="not found: the bridge has not run"):
        read_journal(file)
    file.write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match="cannot be read as a journal"):
        read_journal(file)
    file.unlink()
    with pytest.raises(DataError, match="no account was opened"):
        read_journal(write_journal(file, []))
