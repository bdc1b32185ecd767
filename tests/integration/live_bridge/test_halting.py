"""Halts, by a person or a refused key: what stops, what is cancelled and sold, what status says."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from lab.core.errors import ConfigError, VenueError
from live_bridge.key_check import check_keys
from live_bridge.operations import flatten, halt, resume
from live_bridge.report import table
from live_bridge.runner import run, status
from tests.oracle.bridge_faults import balances, faults_of
from tests.oracle.bridge_harness import KEYS, control, exchange_state, tick, write_configs
from tests.oracle.live_account import account, live, on_day

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]

D = Decimal


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


def test_what_the_exchange_says_of_a_key_is_told_and_only_rights_refuse_it(config: Path, url: str) -> None:
    def told() -> tuple[list[str], int]:
        document, code = check_keys(config, root=config.parent, environment=KEYS)
        assert (document["exchange"], document["mode"], document["source"]) == (
            "binance",
            "live",
            "environment",
        )
        return [found["code"] for found in document["findings"]], code

    assert told() == ([], 0)
    control(url, "permissions", ip_restricted=False, created="2018-01-01T00:00:00Z")
    try:
        assert told() == (["KEY_UNRESTRICTED", "KEY_OLD"], 0)
        control(url, "permissions", enable_withdrawals=True)
        assert told() == (["KEY_REFUSED", "KEY_UNRESTRICTED", "KEY_OLD"], 1)
    finally:
        control(url, "reset")
    assert exchange_state(url)["order_posts"] == {}


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
