"""Live ticks against the loopback exchange: orders, reconciliation, halts, and what the journal keeps."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import ConfigError, DataError, VenueError
from lab.data import demo
from live_bridge.ccxt_account import connect_account
from live_bridge.config import load_config
from live_bridge.exchange import Order
from live_bridge.keys import Keys
from live_bridge.operations import flatten, halt, reconcile, resume
from live_bridge.order_ids import own_prefix
from live_bridge.report import table
from live_bridge.runner import run, status
from tests.oracle.bridge_faults import balances, faults_of, journal_holdings
from tests.oracle.bridge_harness import (
    BALANCES,
    KEYS,
    OPTIONS,
    START,
    control,
    exchange_state,
    tick,
    write_configs,
)
from tests.oracle.loopback_server import loopback

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]

D = Decimal
PREFIX = own_prefix("main", "trio")


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("store")
    demo.install(root)
    pairs = [word for balance in BALANCES for word in ("--balance", balance)]
    with loopback(root, *OPTIONS, *pairs) as address:
        yield address


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    control(url, "reset")
    control(url, "venue", levels=1, level_quantity=None, fee_asset="received")
    return write_configs(tmp_path, url)


def live(config: Path) -> dict[str, Any]:
    document, code = tick(config, config.parent)()
    assert code == 0, document["reasons"]
    return document


def account(config: Path) -> Any:
    loaded = load_config(config, root=config.parent)
    made = connect_account(
        loaded.settings.exchange, Keys("loopback-key", "loopback-secret"), recv_window_ms=5_000
    )
    made._client.enableRateLimit = False
    made.now()
    return made


def on_day(url: str, day: int) -> None:
    control(url, "clock", at=(START + timedelta(days=day)).isoformat())


def events(config: Path, kind: str) -> list[str]:
    with sqlite3.connect(config.parent / "data/live/main.sqlite") as raw:
        rows = raw.execute("SELECT body FROM events WHERE kind = ? ORDER BY number", (kind,)).fetchall()
    raw.close()
    return [row[0] for row in rows]


def codes(document: dict[str, Any]) -> set[str]:
    return {incident["code"] for incident in document["incidents"]}


def test_a_tick_sells_first_buys_and_books_what_the_exchange_booked(config: Path, url: str) -> None:
    document = live(config)
    orders = document["orders"]
    assert [order["side"] for order in orders] == ["sell", "buy", "buy"]
    assert {order["status"] for order in orders} == {"filled"}
    assert faults_of(url, config.parent, None) == []
    # What the account held at the start is the portfolio's: adopt: true.
    assert document["state"]["equity"] == pytest.approx(9_000 + 0.5 * 7_492.28, rel=2e-3)
    again = live(config)
    assert (again["acted"], again["orders"]) == (False, [])
    assert max(exchange_state(url)["order_posts"].values()) == 1


@pytest.mark.parametrize("fee_asset", ["received", "quote", "LTC"])
def test_fees_in_base_quote_or_another_coin_are_booked_to_the_last_digit(
    config: Path, url: str, fee_asset: str
) -> None:
    control(url, "venue", fee_asset=fee_asset)
    control(url, "balances", set={"LTC": "5"})
    for day in (0, 5, 12, 28):
        on_day(url, day)
        live(config)
        assert faults_of(url, config.parent, None) == []
    assert len(events(config, "TRADED")) > 5


def test_partial_fills_of_a_thin_book_are_booked_and_told(config: Path, url: str) -> None:
    control(url, "venue", levels=2, level_quantity="0.05")
    document = live(config)
    assert {order["status"] for order in document["orders"]} == {"partial"}
    assert "EXPIRED_WITH_FILLS" in codes(document)
    assert faults_of(url, config.parent, None) == []


def test_limit_orders_rest_are_replaced_and_end_at_market(config: Path, url: str) -> None:
    write_configs(
        config.parent,
        url,
        orders="type: limit, limit_offset_bps: 50, limit_timeout_s: 0.2, replacements: 1",
    )
    document = live(config)
    assert {order["status"] for order in document["orders"]} == {"filled"}
    assert {order["attempts"] for order in document["orders"]} <= {3, 4, 5}
    placed = exchange_state(url)["orders"]
    assert [order["type"] for order in placed[:3]] == ["LIMIT", "LIMIT", "MARKET"]
    assert placed[0]["status"] == "CANCELED"
    assert max(exchange_state(url)["order_posts"].values()) == 1
    assert faults_of(url, config.parent, None) == []


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


def test_halt_stops_everything_until_a_person_resumes(config: Path, url: str) -> None:
    live(config)
    on_day(url, 12)
    document, code = halt(config, root=config.parent, by="ada", reason="exchange incident")
    assert (code, document["state"]["mode"]) == (0, "HALTED")
    document, code = tick(config, config.parent)()
    assert (code, document["acted"], document["state"]["mode"]) == (5, False, "HALTED")
    with pytest.raises(ConfigError, match="both --by and --reason"):
        resume(config, root=config.parent, by="ada", reason=" ")
    resume(config, root=config.parent, by="ada", reason="it is over")
    document = live(config)
    assert (document["acted"], document["state"]["mode"]) == (True, "NORMAL")
    with pytest.raises(ConfigError, match="not halted"):
        resume(config, root=config.parent, by="ada", reason="again")


def test_flatten_sells_everything_and_leaves_the_bridge_halted(config: Path, url: str) -> None:
    live(config)
    document, code = flatten(
        config,
        root=config.parent,
        by="ada",
        reason="out",
        live=True,
        connect=lambda _: account(config),
        environment=KEYS,
    )
    assert code == 0, document
    assert {order["side"] for order in document["orders"]} == {"sell"}
    held = balances(exchange_state(url))
    assert all(held[coin] < D("0.001") for coin in ("BTC", "ETH", "LTC"))
    assert document["state"]["mode"] == "HALTED"
    assert faults_of(url, config.parent, None) == []
    assert status(config, root=config.parent)["unfinished"] is None


def test_a_key_that_is_refused_halts_and_one_that_may_withdraw_is_never_used(config: Path, url: str) -> None:
    control(url, "permissions", enable_withdrawals=True)
    try:
        with pytest.raises(ConfigError, match="may withdraw"):
            live(config)
    finally:
        control(url, "permissions", enable_withdrawals=False)
    assert exchange_state(url)["order_posts"] == {}


def test_a_lost_journal_is_not_begun_anew_over_orders_of_the_portfolio(config: Path, url: str) -> None:
    live(config)
    for path in (config.parent / "data/live").glob("main.sqlite*"):
        path.unlink()
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


def test_changes_of_mode_and_of_limits_are_recorded(config: Path, url: str) -> None:
    live(config)
    portfolio = config.parent / "trio.yaml"
    portfolio.write_text(
        portfolio.read_text().replace("max_weight_per_asset: 1.0", "max_weight_per_asset: 0.5")
    )
    document = live(config)
    assert any("max_weight_per_asset: 1.0 -> 0.5" in reason for reason in document["reasons"])
    config.write_text(config.read_text().replace("mode: live", "mode: paper"))
    document, code = run(config, root=config.parent)
    assert code == 0
    assert "MODE_CHANGED" in codes(document)
    assert document["state"]["equity"] == 10_000
    assert len(events(config, "MODE_CHANGED")) == 1


def test_a_held_market_is_not_mapped_to_another_symbol(config: Path, url: str) -> None:
    live(config)
    config.write_text(
        config.read_text().replace('"bitstamp:LTC/USD": LTC/USD', '"bitstamp:LTC/USD": BTC/USD')
    )
    with pytest.raises(ConfigError, match="traded as LTC/USD, which is held, and would now trade as BTC/USD"):
        live(config)


def test_instances_at_stage_paper_are_simulated_beside_the_live_ones(config: Path, url: str) -> None:
    trend = config.parent / "trend.yaml"
    trend.write_text(trend.read_text().replace("mode: live", "mode: paper"))
    document = live(config)
    assert {entry["instance"] for entry in document["decisions"]} == {"leader"}
    beside = document["paper"]
    assert {entry["instance"] for entry in beside["decisions"]} == {"trend"}
    assert {order["status"] for order in beside["orders"]} == {"filled"}
    assert beside["state"]["equity"] == pytest.approx(10_000, rel=2e-3)
    assert len(exchange_state(url)["orders"]) == len(document["orders"])
    assert faults_of(url, config.parent, None) == []
    assert live(config)["paper"]["acted"] is False


def test_a_held_market_that_stops_trading_is_told_and_the_others_go_on(config: Path, url: str) -> None:
    live(config)
    control(url, "market", halt=["LTCUSD"])
    try:
        on_day(url, 12)
        document = live(config)
    finally:
        control(url, "market", resume=["LTCUSD"])
    assert [i["symbol"] for i in document["incidents"] if i["code"] == "MARKET_NOT_TRADING"] == ["LTC/USD"]
    assert {order["symbol"] for order in document["orders"]} == {"BTC/USD", "ETH/USD"}
    assert faults_of(url, config.parent, None) == []


class Killed(BaseException):
    """Not an Exception: nothing may catch it and go on."""


def test_an_order_that_rests_is_cancelled_when_a_person_halts(config: Path, url: str) -> None:
    write_configs(config.parent, url, orders="type: limit, limit_offset_bps: 500, limit_timeout_s: 3000")
    config.write_text(config.read_text().replace("settle_s: 20.0", "settle_s: 3000, price_collar_pct: 0.1"))
    pauses = 0

    def die(_: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 3:
            raise Killed

    def once(pause: Any) -> tuple[dict[str, Any], int]:
        return run(
            config,
            root=config.parent,
            connect=lambda _: account(config),
            live=True,
            new_account=True,
            environment=KEYS,
            pause=pause,
        )

    with pytest.raises(Killed):
        once(die)
    assert len(exchange_state(url)["open_orders"]) == 1
    halt(config, root=config.parent, by="ada", reason="incident")
    document, code = once(lambda _: None)
    assert (code, document["orders"][0]["status"]) == (5, "canceled")
    assert {order["status"] for order in document["orders"][1:]} == {"abandoned"}
    assert exchange_state(url)["open_orders"] == []
    assert faults_of(url, config.parent, None) == []


def test_live_goes_to_paper_and_back_with_the_account_there_is(config: Path, url: str) -> None:
    live(config)
    text = config.read_text()
    config.write_text(text.replace("mode: live", "mode: paper"))
    run(config, root=config.parent)
    config.write_text(text)
    document = live(config)
    assert "MODE_CHANGED" in codes(document)
    assert faults_of(url, config.parent, None) == []


def test_status_says_what_a_person_needs_at_night(config: Path, url: str) -> None:
    config.write_text(config.read_text().replace("adopt: true", "adopt: false"))
    live(config)
    control(url, "balances", add={"ETH": "3"})
    live(config)
    on_day(url, 12)
    control(url, "fault", faults=[{"kind": "drop", "method": "POST", "path": "/api/v3/order"}])
    control(
        url, "fault", faults=[{"kind": "status", "status": 503, "path": "/api/v3/order", "method": "GET"}]
    )
    write = config.read_text()
    config.write_text(write.replace("settle_s: 20.0", "settle_s: 1.0"))
    try:
        with pytest.raises(VenueError, match="ORDER_UNRESOLVED"):
            live(config)
    finally:
        control(url, "fault", clear=True)
    halt(config, root=config.parent, by="ada", reason="exchange incident")
    text = table(status(config, root=config.parent))
    for part in (
        "mode       live",
        "HALTED     by ada at 2018-06-13T",
        "unfinished trio-2018",
        "UNKNOWN, attempt 0",
        "ETH of the account are not the portfolio's",
        "CRITICAL ORDER_UNRESOLVED",
        "WARNING FOREIGN_POSITION",
        "chain intact",
    ):
        assert part in text, text
    document, code = tick(config, config.parent)()
    assert code == 5
    assert faults_of(url, config.parent, None) == []
    assert document["state"]["mode"] == "HALTED"


@pytest.mark.slow
def test_the_command_trades_and_its_keys_show_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary, secret = "canary-key-7d1f", "canary-secret-93ab"
    monkeypatch.setenv("MNEMO_LOOPBACK_KEY", canary)
    monkeypatch.setenv("MNEMO_LOOPBACK_SECRET", secret)
    demo.install(tmp_path / "store")
    environment = {
        **os.environ,
        "MNEMO_ENV": "prod",
        "MNEMO_BINANCE_API_KEY": canary,
        "MNEMO_BINANCE_API_SECRET": secret,
    }
    pairs = [word for balance in BALANCES for word in ("--balance", balance)]
    told = ""
    with loopback(tmp_path / "store", *OPTIONS, *pairs) as address:
        config = write_configs(tmp_path / "bridge", address, settle=2.0)
        command = [
            sys.executable,
            "-m",
            "live_bridge",
            "run",
            "--config",
            str(config),
            "--root",
            str(config.parent),
        ]
        faults = (
            {
                "kind": "status",
                "status": 401,
                "code": -1022,
                "message": "Signature",
                "path": "/api/v3/account",
            },
            {"kind": "drop", "when": "after", "path": "/api/v3/order"},
            None,
        )
        codes_seen = []
        for fault in faults:
            control(address, "fault", clear=True, faults=[fault] if fault else [])
            options = ["--live", "--json", *(["--new-account"] if not codes_seen else [])]
            done = subprocess.run(
                [*command, *options], capture_output=True, text=True, env=environment, check=False
            )
            told += done.stdout + done.stderr
            codes_seen.append(done.returncode)
        assert codes_seen[-1] == 0, told
        assert max(exchange_state(address)["order_posts"].values()) == 1
    assert "Traceback" not in told
    written = b"".join(path.read_bytes() for path in config.parent.rglob("*") if path.is_file())
    for hidden in (canary, secret):
        assert hidden not in told
        assert hidden.encode() not in written
