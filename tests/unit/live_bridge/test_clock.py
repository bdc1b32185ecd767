"""Exchange time carried on, and pauses that grow up to a bound."""

from __future__ import annotations

from datetime import UTC, datetime

from live_bridge.clock import ExchangeClock

NOW = datetime(2024, 1, 1, tzinfo=UTC)


def test_pauses_grow_to_a_second_and_stay_there_however_often_it_waits() -> None:
    pauses: list[float] = []
    clock = ExchangeClock(lambda: NOW, NOW, pause=pauses.append)
    # An order that rests for an hour is asked about some thousands of times.
    for attempt in (0, 1, 2, 3, 7, 8, 100, 4_000):
        clock.wait(attempt)
    assert pauses == sorted(pauses)
    assert (pauses[0], pauses[-3:]) == (0.05, [1.0, 1.0, 1.0])
