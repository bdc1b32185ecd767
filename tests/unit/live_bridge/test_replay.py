"""A past tick is derived again from its record, to the byte, and what does not fit is named."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.core.errors import ConfigError, DataError
from live_bridge.cli import _run
from live_bridge.journal import Journal
from live_bridge.recorded import RecordedMarket
from live_bridge.replay import replay
from live_bridge.runner import run

MarketAt = Callable[..., RecordedMarket]
DAYS = (200, 201, 202, 205, 230, 400)


@pytest.fixture
def ticks(bridge: Path, market_at: MarketAt) -> list[str]:
    """Ticks of several days, a hole of missed ones among them."""
    told = [run(bridge, root=bridge.parent, connect=lambda _, d=day: market_at(d))[0] for day in DAYS]
    return [document["tick"] for document in told]


def test_every_tick_is_derived_again_to_the_byte(
    bridge: Path, ticks: list[str], tally: Callable[..., None]
) -> None:
    found = [replay(bridge, tick, root=bridge.parent) for tick in ticks]
    wrong = [document for document, code in found if code or not document["identical"]]
    tally("replayed ticks", cases=len(found), failed=len(wrong), seed="none")
    assert wrong == []
    assert all(document["compared"] == ["DECIDED trend", "PLANNED"] for document, _ in found)


def test_replaying_changes_nothing(bridge: Path, ticks: list[str]) -> None:
    state = bridge.parent / "data/live/main.sqlite"
    with Journal(state, account="main", portfolio="small") as journal:
        head = journal.head
    replay(bridge, ticks[0], root=bridge.parent)
    with Journal(state, account="main", portfolio="small") as journal:
        assert journal.head == head


def test_a_received_bar_that_was_changed_shows(bridge: Path, ticks: list[str]) -> None:
    with sqlite3.connect(bridge.parent / "data/live/main.sqlite") as connection:
        connection.execute("DROP TRIGGER bars_are_final")
        connection.execute("UPDATE bars SET close = close * 1.5, high = high * 2 WHERE number = 170")
    document, code = replay(bridge, ticks[0], root=bridge.parent)
    assert code == 1
    changed = {(entry["record"], entry["key"]) for entry in document["differences"]}
    assert ("DECIDED trend", "inputs") in changed


def test_files_of_another_time_are_refused(bridge: Path, ticks: list[str]) -> None:
    path = bridge.parent / "trend.yaml"
    path.write_text(path.read_text().replace("lookback_window: 20", "lookback_window: 21"))
    with pytest.raises(ConfigError, match="portfolio and its instances"):
        replay(bridge, ticks[0], root=bridge.parent)


def test_an_unknown_tick_is_named_with_the_last_one(bridge: Path, ticks: list[str]) -> None:
    with pytest.raises(DataError, match=ticks[-1]):
        replay(bridge, "small-nothing", root=bridge.parent)


def test_the_command_prints_one_document(
    bridge: Path, ticks: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["replay", ticks[1], "--config", str(bridge), "--root", str(bridge.parent), "--json"]
    assert _run(arguments) == 0
    assert json.loads(capsys.readouterr().out)["identical"] is True
