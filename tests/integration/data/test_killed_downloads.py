"""Downloads and imports that die by SIGKILL anywhere, and what the next run makes of it."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.synthetic import synthetic_market
from tests.oracle.killing import Executioner, executioner, snapshot
from tests.oracle.loopback_server import loopback

START = datetime(2024, 1, 20, tzinfo=UTC)
BARS = 24


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Two markets over the end of a month; the second lacks four bars."""
    bars = synthetic_market(seed=5, markets=2, bars=BARS, start=START)
    gap = (pl.col("market") == "synthetic:AAB/USDT") & pl.col("ts").is_between(
        START + timedelta(days=5), START + timedelta(days=8)
    )
    return bars.filter(~gap)


@pytest.fixture(scope="module")
def killer() -> Iterator[Executioner]:
    with executioner() as made:
        yield made


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, source: pl.DataFrame) -> Iterator[str]:
    """An exchange that has them; the last bar has not closed."""
    folder = tmp_path_factory.mktemp("exchange")
    source.write_parquet(folder / "bars.parquet")
    at = START + timedelta(days=BARS - 1, hours=5)
    with loopback(folder, "--at", at.isoformat()) as address:
        yield address


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, source: pl.DataFrame) -> list[str]:
    """Binance's zips of two months, and a revision of the second."""
    folder = tmp_path_factory.mktemp("files")
    bars = source.filter(pl.col("market") == "synthetic:AAA/USDT")
    january, february = bars.filter(pl.col("ts").dt.month() == 1), bars.filter(pl.col("ts").dt.month() == 2)
    parts = {
        "AAABTC-1d-2024-01": january,
        "AAABTC-1d-2024-02": february,
        "AAABTC-1d-2024-02-revised": february.with_columns(pl.col("volume") * 2),
    }
    for name, part in parts.items():
        opened = pl.col("ts").dt.epoch("ms")
        lines = part.select(
            opened.alias("opened"), *BAR_COLUMNS, (opened + 86_399_999).alias("closed"),
            *[pl.lit(0).alias(f"rest{number}") for number in range(5)],
        ).write_csv(include_header=False)  # fmt: skip
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo(f"{name}.csv"), lines)
    return [str(folder / f"{name}.zip") for name in parts]


def download_job(url: str) -> dict[str, Any]:
    return {
        "what": "download", "url": url, "symbols": ["AAA/USDT", "AAB/USDT"], "timeframe": "1d",
        "since": START.isoformat(), "page_bars": 9,
    }  # fmt: skip


def import_job(files: list[str]) -> dict[str, Any]:
    return {"what": "import", "files": files, "timeframe": "1d"}


def readable(root: Path, complete: pl.DataFrame) -> None:
    """Check that what is stored is some of what will be, each bar whole."""
    catalog = Catalog(root)
    markets = catalog.markets()["market"].to_list()
    if markets:
        found = catalog.bars(markets, "1d").filter(pl.col("reason") != "filled")
        assert found.join(complete, on=["ts", "market"], how="anti").is_empty()
        assert found.select(BAR_COLUMNS).null_count().sum_horizontal().item() == 0


def kill_everywhere(killer: Executioner, job: dict[str, Any], folder: Path, *, every: int) -> tuple[int, int]:
    """Kill a job before each event; return how many deaths there were, and after how many bytes differed."""
    calm = killer.run(**job, root=str(folder / "calm"))
    assert calm["code"] == 0, calm
    expected = snapshot(folder / "calm")
    catalog = Catalog(folder / "calm")
    complete = catalog.bars(catalog.markets()["market"].to_list(), "1d")
    failed = []
    points = range(0, len(calm["events"]), every)
    for point in points:
        root = folder / f"at{point}"
        assert killer.run(**job, root=str(root), point=point)["killed"]
        readable(root, complete)
        again = killer.run(**job, root=str(root))
        if again["code"] or snapshot(root) != expected:
            failed.append(f"{point}: {calm['events'][point]}")
    print(f"{job['what']}: {len(points)} of {len(calm['events'])} points, {len(failed)} failed")
    assert not failed, failed
    return len(points), len(calm["events"])


@pytest.mark.integration
def test_a_killed_download_goes_on_where_it_was(tmp_path, killer, url):
    points, events = kill_everywhere(killer, download_job(url), tmp_path, every=13)
    assert points >= 10
    assert events >= 100


@pytest.mark.integration
def test_a_killed_import_of_binances_files_is_completed_by_the_next(tmp_path, killer, files):
    points, _ = kill_everywhere(killer, import_job(files), tmp_path, every=11)
    assert points >= 5


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(900)
def test_every_page_and_every_file_operation_can_be_the_last(tmp_path, killer, url, files, capsys):
    cases = 0
    with capsys.disabled():
        print()
        for name, job in (("download", download_job(url)), ("import", import_job(files))):
            (tmp_path / name).mkdir()
            cases += kill_everywhere(killer, job, tmp_path / name, every=1)[0]
        print(f"killed at {cases} points, 0 failed")
    assert cases >= 100
