"""A missing head of an answer is asked for again before it counts as absent."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from lab.core.timeframe import Timeframe
from live_bridge.bars import _with_head
from live_bridge.exchange import Candle

START = datetime(2024, 1, 1, tzinfo=UTC)
BARS = tuple(Candle(START + timedelta(days=day), 1.0, 1.0, 1.0, 1.0, 1.0) for day in range(10))


@dataclass
class Truncating:
    """Answers at most the newest `limit` of its bars."""

    bars: tuple[Candle, ...]
    limit: int
    asked: list[tuple[datetime, datetime]] = field(default_factory=list)

    def candles(
        self, symbol: str, timeframe: Timeframe, *, start: datetime, end: datetime
    ) -> tuple[Candle, ...]:
        self.asked.append((start, end))
        return tuple(bar for bar in self.bars if start <= bar.ts < end)[-self.limit :]


@pytest.mark.parametrize("limit", [3, 5, 10])
@pytest.mark.parametrize("listed", [0, 4, 10])
def test_truncated_answers_are_completed_and_absent_heads_stay_absent(limit: int, listed: int) -> None:
    market = Truncating(BARS[listed:], limit)
    end = START + timedelta(days=10)
    assert _with_head(market, "BTC/USDT", Timeframe.parse("1d"), START, end) == BARS[listed:]
    if listed:
        first = BARS[listed].ts if listed < 10 else end
        assert market.asked[-1] == (START, first)
