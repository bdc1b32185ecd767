"""Recorded bars come back to the bit, whatever the exchange changed, added or withdrew in between."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from lab.core.timeframe import Timeframe
from live_bridge.exchange import Candle
from live_bridge.inputs import candles_digest, read_candles, record_candles
from live_bridge.schema import SCHEMA

HOUR = Timeframe.parse("1h")
START = datetime(2024, 1, 1, tzinfo=UTC)
numbers = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))


@st.composite
def answers(draw: st.DrawFn) -> tuple[datetime, datetime, tuple[Candle, ...]]:
    first = draw(st.integers(0, 6))
    length = draw(st.integers(1, 6))
    hours = draw(st.sets(st.integers(first, first + length - 1)))
    bars = [
        Candle(START + timedelta(hours=hour), *(draw(numbers) for _ in range(5))) for hour in sorted(hours)
    ]
    return START + timedelta(hours=first), START + timedelta(hours=first + length), tuple(bars)


@given(st.lists(answers(), min_size=1, max_size=6))
def test_every_answer_can_be_read_back_after_all_later_ones(
    given_answers: list[tuple[datetime, datetime, tuple[Candle, ...]]],
) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        kept = [
            record_candles(connection, "BTC/USDT", HOUR, bars, start=start, end=end)
            for start, end, bars in given_answers
        ]
        for (start, end, bars), number in zip(given_answers, kept, strict=True):
            found = read_candles(connection, "BTC/USDT", HOUR, start=start, end=end, number=number)
            assert found == bars
            assert candles_digest(found) == candles_digest(bars)


@given(answers())
def test_the_same_answer_again_writes_nothing(answer: tuple[datetime, datetime, tuple[Candle, ...]]) -> None:
    start, end, bars = answer
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        first = record_candles(connection, "BTC/USDT", HOUR, bars, start=start, end=end)
        assert record_candles(connection, "BTC/USDT", HOUR, bars, start=start, end=end) == first
        assert connection.execute("SELECT count(*) FROM bars").fetchone() == (len(bars),)
