"""A ban that one run met is heeded by the next ones, until it is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from live_bridge.bans import BannedError, heeded, retry_after_s
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run

LOCAL = datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_a_ban_ends_when_the_exchange_said_and_is_forgotten_then(tmp_path: Path) -> None:
    state = tmp_path / "main.sqlite"
    with pytest.raises(BannedError), heeded(state, LOCAL):
        raise BannedError("too many", 90.0)
    entered = []
    for seconds in (0, 89):
        later = LOCAL + timedelta(seconds=seconds)
        with pytest.raises(BannedError, match="until 2024-05-01 12:01:30Z"), heeded(state, later):
            entered.append(seconds)
    assert entered == []
    with heeded(state, LOCAL + timedelta(seconds=90)):
        entered.append(90)
    assert entered == [90]
    assert list(tmp_path.iterdir()) == []


def test_a_ban_of_weeks_or_an_unreadable_one_does_not_stop_the_bridge_for_good(tmp_path: Path) -> None:
    state = tmp_path / "main.sqlite"
    for text in ('{"until": "2034-01-01T00:00:00+00:00"}', "{", '{"until": 7}'):
        (tmp_path / "main.sqlite.banned").write_text(text)
        with heeded(state, LOCAL):
            pass
    assert retry_after_s({"Retry-After": "1e9"}) == 3 * 86_400


def test_a_run_under_a_ban_asks_nothing(bridge: Path, market_at: Callable[..., RecordedMarket]) -> None:
    def banned(_: Any) -> RecordedMarket:
        raise BannedError("binance: too many requests", 300.0)

    def now() -> datetime:
        return market_at(200).time

    with pytest.raises(BannedError) as caught:
        run(bridge, root=bridge.parent, connect=banned, local_now=now)
    assert caught.value.exit_code == 4

    def never(_: Any) -> RecordedMarket:
        raise AssertionError("asked under a ban")

    with pytest.raises(BannedError, match=r"remove .*banned"):
        run(bridge, root=bridge.parent, connect=never, local_now=now)
    later = now() + timedelta(seconds=301)
    document, code = run(
        bridge, root=bridge.parent, connect=lambda _: market_at(200), local_now=lambda: later
    )
    assert (code, document["acted"]) == (0, True)
