"""Ticks that die, in one process: whatever died is finished once, or dropped when its bar is over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from feature_store.atomic import on_fault_point
from live_bridge.journal import Journal
from live_bridge.recorded import RecordedMarket
from live_bridge.runner import run, status
from tests.unit.live_bridge.conftest import DAY, START, tick

MarketAt = Callable[..., RecordedMarket]


def kill_points(bridge: Path, market: RecordedMarket) -> int:
    seen = 0

    def count(operation: str, _: Path) -> None:
        nonlocal seen
        seen += operation.startswith("journal")

    on_fault_point(count)
    try:
        tick(bridge, market)
    finally:
        on_fault_point(None)
    return seen


class Killed(BaseException):
    """Not an Exception: nothing may catch it and go on."""


def test_a_tick_that_dies_anywhere_is_finished_once(
    bridge: Path, market_at: MarketAt, tmp_path_factory: pytest.TempPathFactory
) -> None:
    roots = [bridge.parent, tmp_path_factory.mktemp("clean")]
    clean, _ = run(bridge, root=roots[1], connect=lambda _: market_at(200))
    points = kill_points(bridge, market_at(201))
    assert points > 12
    for point in range(points):
        root = tmp_path_factory.mktemp("killed")
        left = point + 1

        def die(operation: str, _: Path) -> None:
            nonlocal left
            left -= operation.startswith("journal")
            if left == 0:
                raise Killed

        on_fault_point(die)
        try:
            with pytest.raises(Killed):
                run(bridge, root=root, connect=lambda _: market_at(200))
        finally:
            on_fault_point(None)
        document, code = run(bridge, root=root, connect=lambda _: market_at(200))
        assert code == 0
        assert document["state"] == clean["state"], f"died at point {point}"
        if document["acted"]:
            assert document["orders"] == clean["orders"], f"died at point {point}"
        with Journal(root / "data/live/main.sqlite", account="main", portfolio="small") as journal:
            kinds = [event.kind for event in journal.events()]
        assert kinds.count("DECIDED") == 1
        assert kinds.count("FILLED") == len(clean["orders"])
        assert status(bridge, root=root)["unfinished"] is None


def test_orders_whose_bar_is_over_are_abandoned(bridge: Path, market_at: MarketAt) -> None:
    fills = 0

    def die(operation: str, _: Path) -> None:
        nonlocal fills
        fills += operation == "journal-committed"
        if fills == 3:  # the opening of the account, its configuration, then the plan
            raise Killed

    on_fault_point(die)
    try:
        with pytest.raises(Killed):
            tick(bridge, market_at(200))
    finally:
        on_fault_point(None)
    assert status(bridge, root=bridge.parent)["unfinished"]["orders"] > 0
    document = tick(bridge, market_at(201))
    assert any(reason.startswith("ABANDONED") for reason in document["reasons"])
    assert document["bar"].startswith(f"{START + 200 * DAY:%Y-%m-%d}")
    assert all(order["status"] == "filled" for order in document["orders"])
    assert status(bridge, root=bridge.parent)["unfinished"] is None
