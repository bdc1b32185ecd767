"""Health names what is not well, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from lab.core.errors import VenueError
from live_bridge.backup import backup, restore, write_witness
from live_bridge.config import load_config
from live_bridge.journal import Draft, Journal
from live_bridge.monitoring.health import check_health, health_document
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run
from tests.unit.live_bridge.conftest import DAY, START

MarketAt = Callable[..., RecordedMarket]


def health(bridge: Path, market: Any, at: datetime) -> dict[str, str]:
    checks = check_health(
        load_config(bridge, root=bridge.parent), connect=lambda: market, local_now=lambda: at
    )
    document = health_document(checks)
    failing = {check["name"]: check["found"] for check in document["checks"] if not check["ok"]}
    assert document["healthy"] is (not failing)
    # How full this machine's disk is, is not the tests' business.
    failing.pop("disk", None)
    return failing


def tick(bridge: Path, market: RecordedMarket) -> None:
    run(bridge, root=bridge.parent, connect=lambda _: market)


def test_after_a_tick_all_is_well(bridge: Path, market_at: MarketAt) -> None:
    market = market_at(400)
    tick(bridge, market)
    before = (bridge.parent / "data/live/main.sqlite").read_bytes()
    assert health(bridge, market, market.now()) == {}
    assert (bridge.parent / "data/live/main.sqlite").read_bytes() == before


def test_before_the_first_tick_there_is_no_journal(bridge: Path, market_at: MarketAt) -> None:
    market = market_at(400)
    assert health(bridge, market, market.now()) == {"journal": "none yet"}


def test_missed_ticks_show_as_old_data(bridge: Path, market_at: MarketAt) -> None:
    tick(bridge, market_at(400))
    later = market_at(403)
    assert health(bridge, later, later.now()) == {"data of trend": "last bar closed 3 d 0 h 0 min ago"}


def test_a_live_account_needs_a_discovery_of_the_last_day(bridge: Path, market_at: MarketAt) -> None:
    tick(bridge, market_at(400))
    bridge.write_text(bridge.read_text().replace("mode: paper", "mode: live"))
    found = health(bridge, market_at(400), market_at(400).now())
    assert found["discovery"].startswith("binance: none found, expected a discovery of the last")
    bridge.write_text(bridge.read_text().replace("{id: binance}", '{base_url: "http://127.0.0.1:1"}'))
    assert "discovery" not in health(bridge, market_at(400), market_at(400).now())


def test_a_clock_that_is_off_is_noticed(bridge: Path, market_at: MarketAt) -> None:
    market = market_at(400)
    tick(bridge, market)
    for seconds in (-3_600, -3, 3, 86_400):
        assert list(health(bridge, market, market.now() + timedelta(seconds=seconds))) == ["clock"]
    assert health(bridge, market, market.now() + timedelta(seconds=1)) == {}


def test_an_exchange_that_does_not_answer(bridge: Path, market_at: MarketAt) -> None:
    class Silent:
        def now(self) -> datetime:
            raise VenueError("no answer")

    tick(bridge, market_at(400))
    assert health(bridge, Silent(), START + 400 * DAY) == {"exchange": "no answer"}


def test_a_journal_put_back_from_a_copy(bridge: Path, market_at: MarketAt) -> None:
    market = market_at(400)
    tick(bridge, market)
    state = bridge.parent / "data/live/main.sqlite"
    copy = bridge.parent / "copy.sqlite"
    backup(state, copy)
    tick(bridge, market_at(401))
    with Journal(state, account="main", portfolio="small") as journal:
        write_witness(journal)
    restore(copy, state)
    assert "journal age" in health(bridge, market, market.now())


def test_a_damaged_journal(bridge: Path, market_at: MarketAt) -> None:
    market = market_at(400)
    tick(bridge, market)
    state = bridge.parent / "data/live/main.sqlite"
    with Journal(state, account="main", portfolio="small") as journal:
        journal.append([Draft("CLOSED", {"equity": "1", "state": {}})], at=datetime(2024, 1, 1, tzinfo=UTC))
    assert list(health(bridge, market, market.now())) == ["journal"]
