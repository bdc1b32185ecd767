"""Downloads from an exchange that fails at random: the store has the truth, or it is said what it lacks."""

from __future__ import annotations

import json
import random
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ccxt
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.download import download
from lab.data.download_client import Feed, Patience

START = datetime(2024, 1, 20, tzinfo=UTC)
DAY_MS = 86_400_000
FIRST = round(START.timestamp() * 1_000)


class Client:
    """What the lab uses of a CCXT class, over bars in memory; spoils answers as told."""

    id = "binance"
    timeframes = {"1d": "1d"}  # noqa: RUF012
    has = {"fetchTime": True}  # noqa: RUF012
    last_response_headers: dict[str, str] = {}  # noqa: RUF012
    last_http_response = ""

    def __init__(self, days: list[int], spoils: list[str], seed: int, now: int) -> None:
        self.bars = [
            [FIRST + day * DAY_MS, 10.0 + day, 11.0 + day, 9.0 + day, 10.5 + day, 1.0 + day] for day in days
        ]
        self.spoils, self.random, self.clock = list(spoils), random.Random(seed), now

    def load_markets(self, reload: bool = False) -> dict[str, Any]:
        return {"A/B": {}}

    def fetch_time(self) -> int:
        return self.clock

    def feature_value(self, *names: Any) -> int:
        return 5

    def fetch_ohlcv(self, symbol: str, timeframe: str, since: int, limit: int) -> list[list[float]]:
        rows = [bar for bar in self.bars if since <= bar[0] <= self.clock][:limit]
        spoil = self.spoils.pop(0) if self.spoils else ""
        if spoil == "refuse":
            raise ccxt.ExchangeNotAvailable("binance 503")
        if spoil == "some":
            rows = [row for row in rows if self.random.random() < 0.6]
        elif spoil == "twice":
            rows = rows + rows[: self.random.randint(0, 3)]
        elif spoil == "shuffled":
            rows = self.random.sample(rows, len(rows))
        self.last_http_response = '[[1, "cut' if spoil == "cut" else json.dumps(rows)
        return [] if spoil in {"cut", "empty"} else rows


def stored(root: Path) -> pl.DataFrame:
    if Catalog(root).markets().is_empty():
        return pl.DataFrame({"ts": []}, schema={"ts": pl.Datetime("us", "UTC")})
    bars = Catalog(root).bars(["binance:A/B"], "1d").filter(pl.col("reason") != "filled")
    return bars.select("ts", *BAR_COLUMNS)


@settings(max_examples=40, deadline=None)
@given(
    days=st.sets(st.integers(0, 22), min_size=1).map(sorted),
    spoils=st.lists(
        st.sampled_from(["", "", "refuse", "some", "twice", "shuffled", "cut", "empty"]), max_size=14
    ),
    seed=st.integers(0, 99),
    late=st.integers(0, DAY_MS - 1),
)
def test_the_store_has_the_truth_or_the_verdict_names_what_it_lacks(days, spoils, seed, late):
    client = Client(days, spoils, seed, FIRST + 21 * DAY_MS + late)
    feed = Feed(client, Patience(attempts=3, wait_initial=0.0, wait_max=0.0), lambda: START)
    truth = [START + timedelta(days=day) for day in days if day <= 20]  # the bar of day 21 has not closed
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (verdict,) = download(feed, ["A/B"], "1d", root=root, since=START)
        while not verdict.ok:  # every failure uses up spoils
            assert set(stored(root)["ts"]) <= set(truth)
            (verdict,) = download(feed, ["A/B"], "1d", root=root, since=START)
        found = stored(root)
        assert set(found["ts"]) <= set(truth)
        numbers = (found["ts"] - START).dt.total_days().cast(pl.Float64)
        assert (found["close"] - numbers).eq(10.5).all()
        begins = verdict.first or START
        absent = [day for day in range(21) if START + timedelta(days=day) not in set(found["ts"])]
        named = [(start - START).days + number for start, count in verdict.gaps for number in range(count)]
        assert named == [day for day in absent if START + timedelta(days=day) >= begins]
        # Asked again, a sound exchange gives all it has, whatever was believed before.
        client.spoils = []
        download(feed, ["A/B"], "1d", root=root, since=START, again=True)
        assert stored(root)["ts"].to_list() == truth
