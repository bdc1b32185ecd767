"""Downloads of two small markets from a loopback exchange, and what they should have brought."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import polars as pl

from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.download import download
from lab.data.download_client import Feed, Patience, connect

START = datetime(2024, 1, 20, tzinfo=UTC)
BARS = 24
NOW = START + timedelta(days=BARS - 1, hours=5)
SYMBOLS = ["AAA/USDT", "AAB/USDT"]
KLINES = "/api/v3/klines"


def feed(url: str, **patience: Any) -> Feed:
    made = connect(
        "binance", base_url=url, patience=Patience(**{"attempts": 4, "wait_initial": 0.01} | patience)
    )
    made.client.enableRateLimit = False
    return made


def run(url: str, root: Path, *, symbols: list[str] = SYMBOLS, **how: Any):
    options = {"since": START, "page_bars": 9, **how}
    return download(feed(url), symbols, "1d", root=root, **options)


def stored(root: Path) -> pl.DataFrame:
    catalog = Catalog(root)
    names = catalog.markets()["market"].to_list()
    if not names:
        return pl.DataFrame()
    return catalog.bars(names, "1d").filter(pl.col("reason") != "filled").select("ts", "market", *BAR_COLUMNS)


def expected(source: pl.DataFrame) -> pl.DataFrame:
    closed = source.filter(pl.col("ts") + timedelta(days=1) <= NOW)
    named = closed.with_columns(pl.col("market").str.replace("synthetic", "binance"))
    return named.select("ts", "market", *BAR_COLUMNS).sort("ts", "market")


def requests(url: str) -> list[dict[str, Any]]:
    with urlopen(f"{url}/_control/state", timeout=10) as answer:
        return json.loads(answer.read())["log"]
