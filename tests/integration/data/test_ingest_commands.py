"""The commands that bring data in: their JSON, their exit codes, their messages."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lab.cli import main
from lab.data.synthetic import synthetic_market
from lab.pipeline.settings import schema_of
from tests.oracle.killing import snapshot
from tests.oracle.loopback_server import control, loopback

pytestmark = pytest.mark.integration

START = datetime(2024, 1, 20, tzinfo=UTC)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("exchange")
    synthetic_market(seed=5, markets=2, bars=30, start=START).write_parquet(folder / "bars.parquet")
    with loopback(folder, "--at", (START + timedelta(days=20)).isoformat()) as address:
        yield address


@pytest.fixture
def url(server: str) -> str:
    control(server, "reset")
    control(server, "fault", clear=True)
    return server


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def mnemo(*arguments: object) -> Done:
    """Run the command in this process: another one would spend seconds on imports."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as left:
        main(["data", *map(str, arguments)])
    return Done(int(left.value.code or 0), out.getvalue(), err.getvalue())


def answer(*arguments: object, code: int = 0) -> Any:
    done = mnemo(*arguments, "--json")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout)


def test_ingest_downloads_a_universe_and_goes_on_later(url, tmp_path):
    file = tmp_path / "universe.yaml"
    file.write_text("exchange: binance\ntimeframe: 1d\nsymbols: [AAA/USDT, AAB/USDT]\n")
    where = ("--universe", file, "--base-url", url, "--root", tmp_path)
    control(url, "fault", path="/api/v3/klines", nth=1, kind="status", status=503)
    found = answer("ingest", "binance", *where, "--since", "2024-01-20")
    assert [(each["market"], each["status"], each["bars"], each["missing"]) for each in found] == [
        ("binance:AAA/USDT", "downloaded", 20, 0),
        ("binance:AAB/USDT", "downloaded", 20, 0),
    ]
    assert found[0]["last"] == "2024-02-08T00:00:00Z"
    control(url, "clock", advance_ms=86_400_000)
    assert [each["bars"] for each in answer("ingest", "binance", *where)] == [1, 1]
    assert [each["status"] for each in answer("ingest", "binance", *where)] == ["unchanged"] * 2


def test_ingest_says_what_is_wrong_and_with_which_code(url, tmp_path):
    where = ("--base-url", url, "--root", tmp_path)
    for arguments, code, words in (
        (
            ("binance", "AAX/USDT", "--timeframe", "1d", "--since", "2024-01-20"),
            3,
            "does not list AAX/USDT; nearest",
        ),
        (
            ("binance", "AAA/USDT", "--timeframe", "7m", "--since", "2024-01-20"),
            2,
            "binance has no bars of 7m",
        ),
        (("binance", "AAA/USDT", "--timeframe", "1d", "--since", "yesterday"), 2, "--since 'yesterday'"),
        (("binance", "AAA/USDT", "--timeframe", "1d"), 2, "give --since"),
        (("binance", "--timeframe", "1d"), 2, "no symbol named"),
        (("binance", "AAA/USDT"), 2, "no timeframe named"),
        (("binanse", "AAA/USDT", "--timeframe", "1d"), 2, "did you mean binance"),
        (("binance", "../../x", "--timeframe", "1d", "--since", "2024-01-20"), 2, "not understood"),
    ):
        done = mnemo("ingest", *arguments, *where)
        assert (done.returncode, done.stdout) == (code, ""), done.stderr
        assert words in done.stderr
        assert "Traceback" not in done.stderr
    file = tmp_path / "universe.yaml"
    file.write_text("exchange: kraken\nsymbols: [AAA/USDT]\ncolour: red\n")
    done = mnemo("ingest", "binance", "--universe", file, *where)
    assert done.returncode == 2
    assert "universe.yaml:3: colour: unknown key; allowed: exchange, symbols, timeframe" in done.stderr
    assert schema_of("universe")["additionalProperties"] is False
    control(url, "fault", path="/api/v3/klines", kind="status", status=418, retry_after=7_200)
    done = mnemo("ingest", "binance", "AAA/USDT", "--timeframe", "1d", "--since", "2024-01-20", *where)
    assert done.returncode == 4
    assert "too many requests" in done.stderr


def test_what_was_downloaded_is_rebuilt_byte_for_byte(url, tmp_path):
    where = ("--base-url", url, "--root", tmp_path)
    answer("ingest", "binance", "AAA/USDT", "AAB/USDT", "--timeframe", "1d", "--since", "2024-01-20", *where)
    control(url, "clock", advance_ms=86_400_000)
    answer("ingest", "binance", "AAA/USDT", "AAB/USDT", "--timeframe", "1d", *where)
    before = snapshot(tmp_path / "data" / "raw")
    (rebuilt,) = answer("rebuild", "--root", tmp_path)
    assert (rebuilt["dataset"], rebuilt["differing"], rebuilt["damaged"]) == ("binance/1d", [], [])
    assert rebuilt["identical"] == rebuilt["months"] == 2
    assert snapshot(tmp_path / "data" / "raw") == before


def test_discover_and_universe_answer_for_an_instant(url, tmp_path):
    found = answer("discover", "binance", "--base-url", url, "--root", tmp_path)
    assert (found["version"], found["markets"], found["active"], found["listed"]) == (1, 2, 2, [])
    assert found["time"] == "2024-02-09T00:00:00Z"
    there = answer("universe", "--at", "2024-03-01", "--root", tmp_path)
    assert [(row["market"], row["source"], row["liquid"]) for row in there] == [
        ("binance:AAA/USDT", "seen", False),
        ("binance:AAB/USDT", "seen", False),
    ]
    assert answer("universe", "--at", "2024-01-01", "--root", tmp_path) == []


def test_series_are_imported_with_a_verdict_per_file(tmp_path):
    frame = {"symbol": ["XRP/USDT:USDT"], "ts": [START + timedelta(milliseconds=9)], "rate": [1e-4]}
    pl.DataFrame(frame).write_parquet(tmp_path / "good.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    rows = answer("series", "funding", tmp_path, "--exchange", "binance", "--root", tmp_path, code=3)
    assert [(Path(row["file"]).name, row["status"], row["snapped"]) for row in rows] == [
        ("bad.parquet", "refused", 0),
        ("good.parquet", "imported", 1),
    ]
    assert mnemo("series", "weather", tmp_path, "--root", tmp_path).returncode == 2


def test_comparing_two_sources_counts_and_judges_what_differs(tmp_path):
    bars = synthetic_market(seed=1, markets=2, bars=50)
    first = bars.with_columns(symbol=pl.col("market").str.split(":").list.last()).drop("market")
    day = pl.int_range(pl.len())
    second = first.with_columns(
        close=pl.when(day == 10)
        .then(pl.col("close") * 1.006)
        .when(day == 11)
        .then(pl.col("close") * 1.004)
        .otherwise("close"),
        volume=pl.when(day == 12)
        .then(pl.col("volume") * 1.21)
        .when(day == 13)
        .then(pl.col("volume") * 1.19)
        .otherwise("volume"),
    ).head(90)
    first.tail(95).write_parquet(tmp_path / "a.parquet")
    second.write_parquet(tmp_path / "b.parquet")
    found = answer("compare", tmp_path / "a.parquet", tmp_path / "b.parquet")
    counts = {name: value for name, value in found.items() if name != "rows"}
    assert counts == {
        "shared": 85, "only_first": 10, "only_second": 5, "ohlc_differences": 2, "volume_differences": 2,
        "questionable": 2,
    }  # fmt: skip
    assert [row["reason"] for row in found["rows"]] == ["close", "", "volume", ""]
    assert [row["quality"] for row in found["rows"]] == ["QUESTIONABLE", "GOOD"] * 2
    loose = answer("compare", tmp_path / "a.parquet", tmp_path / "b.parquet", "--close-tolerance", "0.01")
    assert loose["questionable"] == 1
    done = mnemo("compare", tmp_path / "a.parquet", tmp_path / "no.parquet", "--root", tmp_path)
    assert done.returncode == 2
    assert "no such file, and no market" in done.stderr


@pytest.mark.real_data
def test_two_recorded_copies_agree_but_for_volumes_that_were_revised(real_data):
    found = answer(
        "compare", real_data / "binance_spot_1d.parquet", real_data / "binance_spot_1d_second_copy.parquet"
    )
    assert (found["shared"], found["ohlc_differences"], found["volume_differences"]) == (12_539, 0, 111)
    assert found["questionable"] == 0
    assert max(row["volume_gap"] for row in found["rows"]) == pytest.approx(0.035, abs=0.001)


@pytest.mark.real_data
def test_recorded_series_are_read_as_they_are(real_data, tmp_path):
    (funding,) = answer(
        "series", "funding", real_data / "funding_xrp.parquet", "--exchange", "binance", "--root", tmp_path
    )
    assert (funding["rows"], funding["subjects"]) == (91, ["binance:XRP/USDT:USDT"])
    assert (
        funding["snapped"]
        == pl.read_parquet(real_data / "funding_xrp.parquet").filter(pl.col("ts").dt.millisecond() > 0).height
    )
    (chain,) = answer("series", "onchain", real_data / "onchain_1d.parquet", "--root", tmp_path)
    assert (chain["rows"], len(chain["subjects"]), chain["snapped"]) == (15_873, 7, 0)
    assert len(chain["columns"]) == 39
