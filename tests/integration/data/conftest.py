from __future__ import annotations

from collections.abc import Iterator

import polars as pl
import pytest

from lab.data.synthetic import synthetic_market
from tests.oracle.downloads import BARS, NOW, START
from tests.oracle.loopback_server import control, loopback


@pytest.fixture(scope="module")
def source() -> pl.DataFrame:
    """Two markets; the second was listed three days later and lacks four bars."""
    bars = synthetic_market(seed=5, markets=2, bars=BARS, start=START)
    day = (pl.col("ts") - START).dt.total_days()
    return bars.filter((pl.col("market") == "synthetic:AAA/USDT") | ((day > 2) & ~day.is_between(8, 11)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, source: pl.DataFrame) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("exchange")
    source.write_parquet(folder / "bars.parquet")
    with loopback(folder, "--at", NOW.isoformat()) as address:
        yield address


@pytest.fixture
def url(server: str) -> str:
    """The exchange as it was started, without faults."""
    control(server, "reset")
    control(server, "fault", clear=True)
    return server
