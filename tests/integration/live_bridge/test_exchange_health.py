"""An exchange that fails or bans, against the loopback one: entries stop, and the tick is derived again."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from live_bridge.bans import BannedError
from live_bridge.replay import replay
from live_bridge.runner import run
from tests.oracle.bridge_harness import KEYS, START, control, write_configs
from tests.oracle.live_account import account

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("live_bridge")]


def layered(config: Path, url: str) -> Path:
    """The bridge's configuration with the shipped breakers and exchange health in force."""
    write_configs(config.parent, url)
    trio = config.parent / "trio.yaml"
    trio.write_text(trio.read_text().replace("max_exchange_pct: 1.0", "max_exchange_pct: 0.99"))
    return config


def ticked(config: Path, local: datetime = START) -> tuple[dict[str, Any], int]:
    return run(
        config,
        root=config.parent,
        connect=lambda _: account(config),
        live=True,
        new_account=True,
        environment=KEYS,
        local_now=lambda: local,
    )


def told(document: dict[str, Any]) -> set[str]:
    return {reason for target in document["targets"] for reason in target["reasons"]}


def sides(document: dict[str, Any]) -> set[str]:
    return {order["side"] for order in document["orders"]}


def test_too_many_failures_stop_entries_and_let_exits_pass(config: Path, url: str) -> None:
    layered(config, url)
    # Every question is answered at the second try only.
    control(url, "fault", faults=[{"kind": "status", "status": 503, "method": "GET", "every": 2}])
    try:
        document, code = ticked(config)
    finally:
        control(url, "fault", clear=True)
    assert (code, document["acted"], sides(document)) == (0, True, {"sell"})
    assert "EXCHANGE_HEALTH" in told(document)
    assert any("calls failed" in reason for reason in document["reasons"])
    derived, code = replay(config, document["tick"], root=config.parent)
    assert (code, derived["differences"]) == (0, [])


def test_the_first_plan_after_a_ban_tells_the_risk_step(config: Path, url: str) -> None:
    layered(config, url)
    banned = {"kind": "status", "status": 418, "method": "GET", "path": "/api/v3/klines", "retry_after": 60}
    control(url, "fault", faults=[banned])
    try:
        with pytest.raises(BannedError):
            ticked(config)
    finally:
        control(url, "fault", clear=True)
    with pytest.raises(BannedError, match="until 2018-06-01 00:01:01Z"):
        ticked(config, START + timedelta(seconds=59))
    document, code = ticked(config, START + timedelta(seconds=60))
    assert (code, sides(document)) == (0, {"sell"})
    assert {"EXCHANGE_HEALTH", "HALTED"} <= told(document)
    assert not (config.parent / "data/live/main.sqlite.banned").exists()
    derived, code = replay(config, document["tick"], root=config.parent)
    assert (code, derived["differences"]) == (0, [])
