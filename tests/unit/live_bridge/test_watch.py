"""The loop over bar closes, without sleeping and without a clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from threading import Event
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from lab.core.errors import VenueError
from lab.core.timeframe import Timeframe
from live_bridge.monitoring.serving import metrics_server
from live_bridge.watch import Ended, next_close, watch

HOURLY, DAILY = Timeframe.parse("1h"), Timeframe.parse("1d")
START = datetime(2024, 5, 1, 22, 40, tzinfo=UTC)


class World(Event):
    """A clock that moves only while the loop waits, and ticks that end as told."""

    def __init__(self, endings: Iterable[Ended]) -> None:
        super().__init__()
        self.at = START
        self.endings = iter(endings)
        self.ticks: list[datetime] = []
        self.unreachable = False

    def wait(self, timeout: float | None = None) -> bool:
        self.at += timedelta(seconds=timeout or 0.0)
        return self.is_set()

    def now(self) -> datetime:
        if self.unreachable:
            raise VenueError("no answer")
        return self.at

    def tick(self) -> Ended:
        self.ticks.append(self.at)
        return next(self.endings)


def run(world: World, count: int) -> int:
    return watch([DAILY, HOURLY], tick=world.tick, now=world.now, stop=world, delay=2.0, ticks=count)


def test_a_tick_at_once_and_then_just_after_every_close() -> None:
    world = World([Ended(0)] * 4)
    assert run(world, 4) == 0
    assert [f"{at:%d %H:%M:%S}" for at in world.ticks] == [
        "01 22:40:00",
        "01 23:00:02",
        "02 00:00:02",
        "02 01:00:02",
    ]


def test_after_the_last_tick_nothing_is_waited_for() -> None:
    world = World([Ended(0)])
    run(world, 1)
    assert world.at == world.ticks[-1]


def test_a_bar_that_is_not_published_yet_is_asked_for_again_soon() -> None:
    world = World([Ended(0, waiting=True)] * 3 + [Ended(0)] * 2)
    run(world, 5)
    gaps = [(b - a).total_seconds() for a, b in zip(world.ticks, world.ticks[1:], strict=False)]
    assert gaps[:3] == [2.0, 5.0, 10.0]
    assert world.ticks[-1] == datetime(2024, 5, 1, 23, 0, 2, tzinfo=UTC)


def test_an_exchange_that_never_publishes_is_left_until_the_next_close() -> None:
    world = World([Ended(0, waiting=True)] * 8)
    run(world, 8)
    assert world.ticks[6] - world.ticks[5] > timedelta(minutes=15)


def test_failures_of_the_exchange_do_not_end_it_and_a_faulty_configuration_does() -> None:
    world = World([Ended(4), Ended(75), Ended(5), Ended(2), Ended(0)])
    world.unreachable = True
    assert run(world, 5) == 2
    assert len(world.ticks) == 4
    assert (world.ticks[1] - world.ticks[0]).total_seconds() == 30.0


def test_told_to_stop_it_starts_no_tick() -> None:
    world = World([Ended(0)])
    world.set()
    assert run(world, 5) == 0
    assert world.ticks == []


@pytest.mark.parametrize("seconds", [0, 1, 3_599])
def test_the_next_close_is_ahead_and_on_the_grid(seconds: int) -> None:
    at = datetime(2024, 5, 1, 5, tzinfo=UTC) + timedelta(seconds=seconds)
    assert next_close([DAILY, HOURLY], at) == datetime(2024, 5, 1, 6, tzinfo=UTC)


def test_metrics_are_served_on_this_machine_only(tmp_path) -> None:
    (tmp_path / "a.prom").write_text("one 1\n")
    (tmp_path / "other.txt").write_text("secret\n")
    server = metrics_server(tmp_path, 0)
    try:
        assert server.server_address[0] == "127.0.0.1"
        base = f"http://127.0.0.1:{server.server_port}"
        assert urlopen(f"{base}/metrics").read() == b"one 1\n"
        with pytest.raises(HTTPError) as caught:
            urlopen(f"{base}/other.txt")
        caught.value.close()
        assert caught.value.code == 404
    finally:
        server.shutdown()
        server.server_close()
