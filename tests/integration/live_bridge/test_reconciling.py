"""The account against the journal: orphans, foreign coins, losses, empty and stale answers, lost journals."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from lab.core.errors import DataError, VenueError
from live_bridge.exchange import Order
from live_bridge.operations import reconcile
from live_bridge.order_ids import own_prefix
from live_bridge.runner import run
from tests.oracle.bridge_faults import balances, faults_of, journal_holdings
from tests.oracle.bridge_harness import KEYS, control, exchange_state
from tests.oracle.live_account import account, codes, events, live, on_day

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]

D = Decimal
PREFIX = own_prefix("main", "trio")


def test_an_order_unknown_to_the_journal_is_adopted(config: Path, url: str) -> None:
    live(config)
    lost = account(config)
    order = Order(f"{PREFIX}lost1", "ETH/USD", "buy", D("0.5"), D(576))
    lost.rules(["ETH/USD"])
    lost.submit(order, sent_ms=lost.server_time_ms())
    before = journal_holdings(config.parent)
    document, code = run(
        config, root=config.parent, connect=lambda _: account(config), live=True, environment=KEYS
    )
    assert code == 0
    assert "RECOVERED_ORPHAN" in codes(document)
    after = journal_holdings(config.parent)
    assert after["ETH"] - before["ETH"] == D("0.5") * D("0.999")
    assert balances(exchange_state(url))["ETH"] == after["ETH"]


def test_an_open_order_unknown_to_the_journal_is_cancelled(config: Path, url: str) -> None:
    live(config)
    lost = account(config)
    lost.rules(["ETH/USD"])
    order = Order(f"{PREFIX}lost2", "ETH/USD", "buy", D("0.5"), D(576), "limit", D(300))
    lost.submit(order, sent_ms=lost.server_time_ms())
    live(config)
    assert exchange_state(url)["open_orders"] == []
    assert faults_of(url, config.parent, None) == []


def test_what_else_comes_into_the_account_is_foreign_and_not_traded(config: Path, url: str) -> None:
    config.write_text(config.read_text().replace("adopt: true", "adopt: false"))
    first = live(config)
    assert first["state"]["equity"] == pytest.approx(9_000, rel=2e-3)
    control(url, "balances", add={"ETH": "3", "USD": "100"})
    document = live(config)
    assert "FOREIGN_POSITION" in codes(document)
    assert document["state"]["equity"] == pytest.approx(first["state"]["equity"])
    assert faults_of(url, config.parent, None) == []
    assert codes(live(config)) == set()
    control(url, "balances", add={"ETH": "-3"})
    assert "FOREIGN_POSITION" in codes(live(config))
    assert faults_of(url, config.parent, None) == []


def test_a_position_that_is_gone_is_removed_with_an_alarm(config: Path, url: str) -> None:
    live(config)
    control(url, "balances", set={"BTC": "0"})
    document = live(config)
    assert [i["severity"] for i in document["incidents"] if i["code"] == "PHANTOM_POSITION"] == ["CRITICAL"]
    assert faults_of(url, config.parent, None) == []


@pytest.mark.parametrize(
    "answer",
    ['{"balances": []}', "{}", "[]", '{"balances": [{"asset": "USD", "free": "NaN", "locked": "0"}]}'],
)
def test_an_empty_answer_is_never_an_empty_account(config: Path, url: str, answer: str) -> None:
    live(config)
    before = journal_holdings(config.parent)
    control(url, "fault", faults=[{"kind": "body", "status": 200, "body": answer, "path": "/api/v3/account"}])
    try:
        with pytest.raises(VenueError):
            live(config)
    finally:
        control(url, "fault", clear=True)
    assert journal_holdings(config.parent) == before
    live(config)
    assert faults_of(url, config.parent, None) == []


def test_an_account_that_shows_nothing_at_all_needs_a_persons_word(config: Path, url: str) -> None:
    live(config)
    control(url, "balances", set=dict.fromkeys(("BTC", "ETH", "LTC", "USD"), "0"))
    with pytest.raises(VenueError, match="shows nothing of what the journal holds"):
        live(config)
    document, code = reconcile(
        config,
        root=config.parent,
        live=True,
        accept=True,
        connect=lambda _: account(config),
        environment=KEYS,
    )
    assert code == 0
    assert set(document["reconciled"]["phantom"]) == {"BTC", "ETH", "LTC", "USD"}
    assert document["state"]["equity"] == 0


def test_a_stale_account_answer_changes_nothing(config: Path, url: str) -> None:
    live(config)
    on_day(url, 12)
    # The account as it was before the trades of this tick, again and again.
    control(
        url, "fault", faults=[{"kind": "drop", "method": "POST", "path": "/api/v3/order", "when": "after"}]
    )
    control(url, "fault", faults=[{"kind": "replay", "path": "/api/v3/account"}])
    try:
        live(config)
    except VenueError:
        pass
    finally:
        control(url, "fault", clear=True)
    live(config)
    assert faults_of(url, config.parent, None) == []
    assert events(config, "PHANTOM") == []
    assert events(config, "FOREIGN") == []


def test_a_lost_journal_is_not_begun_anew_over_orders_of_the_portfolio(config: Path, url: str) -> None:
    live(config)
    for path in (config.parent / "data/live").glob("main.sqlite*"):
        path.unlink()
    # Missed late: its last orders are of another month.
    on_day(url, 40)
    with pytest.raises(DataError, match="the exchange has orders of this portfolio"):
        live(config)


def test_an_older_journal_is_noticed_reconciled_and_uses_no_id_again(config: Path, url: str) -> None:
    on_day(url, 0)
    live(config)
    state = config.parent / "data/live/main.sqlite"
    with sqlite3.connect(state) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    copy = state.read_bytes()
    on_day(url, 12)
    live(config)
    for name in ("-wal", "-shm"):
        state.with_name(state.name + name).unlink(missing_ok=True)
    state.write_bytes(copy)
    document = live(config)
    assert {"RESTORED_STATE", "RECOVERED_ORPHAN"} <= codes(document)
    posts = exchange_state(url)["order_posts"]
    assert max(posts.values()) == 1
    assert balances(exchange_state(url)) == {
        **balances(exchange_state(url)),
        **{k: v for k, v in journal_holdings(config.parent).items() if v},
    }
