"""Downloads from the real loopback exchange over HTTP, and every way in which it can answer wrongly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import polars as pl
import pytest

from lab.core.errors import ConfigError, UnknownMarketError
from lab.core.frames import BAR_COLUMNS
from lab.data.catalog import Catalog
from lab.data.download import download
from lab.data.download_client import Feed, Patience, connect
from lab.data.raw import RawStore
from lab.data.reading import read_bars
from lab.data.synthetic import synthetic_market
from tests.oracle.killing import snapshot
from tests.oracle.loopback_server import control, loopback

pytestmark = pytest.mark.integration

START = datetime(2024, 1, 20, tzinfo=UTC)
BARS = 24
NOW = START + timedelta(days=BARS - 1, hours=5)
SYMBOLS = ["AAA/USDT", "AAB/USDT"]
KLINES = "/api/v3/klines"


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


def test_the_store_has_what_the_exchange_had_and_says_what_it_had_not(url, source, tmp_path):
    first, second = run(url, tmp_path)
    assert stored(tmp_path).equals(expected(source))
    assert (first.status, first.missing, first.last) == ("downloaded", 0, START + timedelta(days=BARS - 2))
    assert (second.missing, second.gaps) == (4, ((START + timedelta(days=8), 4),))
    assert second.first == START + timedelta(days=3)


def test_a_bar_is_complete_when_the_exchanges_clock_says_so(url, tmp_path):
    day = timedelta(days=1)
    run(url, tmp_path)
    assert stored(tmp_path)["ts"].max() == START + (BARS - 2) * day
    control(url, "clock", at=(START + BARS * day - timedelta(seconds=1)).isoformat())
    assert [verdict.status for verdict in run(url, tmp_path, since=None)] == ["unchanged"] * 2
    control(url, "clock", advance_ms=1_000)
    assert [verdict.bars for verdict in run(url, tmp_path, since=None)] == [1, 1]
    assert stored(tmp_path)["ts"].max() == START + (BARS - 1) * day


def test_what_was_answered_is_not_asked_again(url, tmp_path):
    run(url, tmp_path)
    files = sorted((tmp_path / "data").rglob("*"))
    before = sum(request["path"] == KLINES for request in requests(url))
    assert [verdict.status for verdict in run(url, tmp_path)] == ["unchanged"] * 2
    assert sum(request["path"] == KLINES for request in requests(url)) == before
    assert sorted((tmp_path / "data").rglob("*")) == files


def test_since_and_until_bound_what_is_asked_and_later_calls_fill_the_rest(url, source, tmp_path):
    day = timedelta(days=1)
    run(url, tmp_path, since=START + 5 * day, until=START + 7 * day, symbols=SYMBOLS[:1])
    assert stored(tmp_path)["ts"].to_list() == [START + 5 * day, START + 6 * day]
    run(url, tmp_path, since=START + 12 * day, until=START + 14 * day, symbols=SYMBOLS[:1])
    verdicts = run(url, tmp_path)
    assert stored(tmp_path).equals(expected(source))
    assert verdicts[0].bars == BARS - 1 - 4


def test_bars_are_rebuilt_from_the_pages_that_were_kept(url, tmp_path):
    run(url, tmp_path)
    raw, rebuilt = RawStore(tmp_path), tmp_path / "rebuilt"
    for record in raw.records():
        received = read_bars(
            raw.payload(record), exchange=record.exchange, mapping=record.mapping, fmt=record.format
        )
        Catalog(rebuilt).append(
            received.bars, timeframe=record.timeframe, known_at=record.arrival, inputs=[record.sha256]
        )
    dataset = Path("data") / "bars" / "binance" / "1d"
    names = [path.name for path in sorted((tmp_path / dataset).iterdir())]
    assert names == [path.name for path in sorted((rebuilt / dataset).iterdir())]
    for name in names:
        assert (tmp_path / dataset / name).read_bytes() == (rebuilt / dataset / name).read_bytes(), name


def test_revised_bars_are_found_when_asked_again(url, source, tmp_path):
    control(url, "fault", kind="klines", klines="high_below_low", path=KLINES)
    run(url, tmp_path, symbols=SYMBOLS[:1])
    wrong = stored(tmp_path)
    control(url, "fault", clear=True)
    assert run(url, tmp_path, symbols=SYMBOLS[:1])[0].status == "unchanged"
    control(url, "clock", advance_ms=60_000)
    (verdict,) = run(url, tmp_path, symbols=SYMBOLS[:1], again=True)
    right = stored(tmp_path)
    assert verdict.pages == 3
    assert right.equals(expected(source).filter(pl.col("market") == "binance:AAA/USDT"))
    assert not right.equals(wrong)
    assert run(url, tmp_path, symbols=SYMBOLS[:1], again=True)[0].status == "unchanged"


PASSING = [
    {"kind": "drop"},
    {"kind": "reset"},
    {"kind": "empty"},
    {"kind": "garbage"},
    {"kind": "truncated"},
    {"kind": "cut"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 418, "retry_after": 0},
    {"kind": "body", "body": "{}"},
    {"kind": "body", "body": "null"},
    {"kind": "replay"},
    *[
        {"kind": "klines", "klines": kind, "count": 2}
        for kind in (
            "stale", "missing", "duplicate", "unsorted", "zero", "nan", "negative_volume", "high_below_low",
            "misaligned", "future", "text", "empty_list",
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: "-".join(map(str, fault.values()))[:40])
def test_a_fault_that_passes_leaves_no_trace(url, source, tmp_path, fault):
    control(url, "fault", path=KLINES, nth=[1, 3, 6], **fault)
    verdicts = run(url, tmp_path)
    assert [verdict.error for verdict in verdicts] == ["", ""]
    assert [verdict.missing for verdict in verdicts] == [0, 4]
    assert stored(tmp_path).equals(expected(source))


def test_an_answer_that_never_comes_is_asked_for_again(url, source, tmp_path):
    control(url, "fault", path=KLINES, nth=2, kind="hang", milliseconds=3_000)
    made = feed(url)
    made.client.timeout = 500
    download(made, SYMBOLS, "1d", root=tmp_path, since=START, page_bars=9)
    assert stored(tmp_path).equals(expected(source))


@pytest.mark.parametrize("path", ["/api/v3/time", "/api/v3/exchangeInfo"])
def test_faults_of_other_answers_pass_as_well(url, source, tmp_path, path):
    control(url, "fault", path=path, nth=[1, 2], kind="cut")
    control(url, "fault", path=path, nth=[4], kind="garbage")
    run(url, tmp_path)
    assert stored(tmp_path).equals(expected(source))


@pytest.mark.parametrize("nth", [1, 2, 4])
def test_a_clock_that_is_wrong_for_a_moment_completes_no_bar(url, source, tmp_path, nth):
    control(url, "fault", path="/api/v3/time", nth=nth, kind="skew", milliseconds=86_400_000)
    run(url, tmp_path)
    assert stored(tmp_path).equals(expected(source))


def test_too_many_requests_are_waited_out_as_long_as_the_exchange_says(url, source, tmp_path):
    waited = []
    made = feed(url, wait_initial=30.0)  # its own waiting would outlast the test
    control(url, "fault", path=KLINES, nth=2, kind="status", status=429, code=-1003, retry_after=1)
    backoff = made._backoff
    made._backoff = lambda error: waited.append(backoff(error)) or waited[-1]  # type: ignore[method-assign]
    download(made, SYMBOLS, "1d", root=tmp_path, since=START, page_bars=9)
    assert waited == [1.0]
    assert stored(tmp_path).equals(expected(source))


def test_a_ban_of_hours_is_not_waited_for(url, tmp_path):
    control(url, "fault", path=KLINES, kind="status", status=418, code=-1003, retry_after=7_200)
    first, second = run(url, tmp_path)
    assert "too many requests" in first.error
    assert "it asks to wait 7200 s" in first.error
    assert second.error == "binance could not be reached before; not asked"


@pytest.mark.parametrize("kind", ["duplicate", "unsorted", "future"])
def test_a_bad_habit_that_loses_nothing_is_tolerated(url, source, tmp_path, kind):
    control(url, "fault", path=KLINES, kind="klines", klines=kind, count=2)
    assert all(verdict.ok for verdict in run(url, tmp_path))
    assert stored(tmp_path).equals(expected(source))


@pytest.mark.parametrize("kind", ["zero", "nan", "negative_volume", "high_below_low"])
def test_impossible_bars_that_the_exchange_insists_on_are_stored_as_bad(url, tmp_path, kind):
    control(url, "fault", path=KLINES, kind="klines", klines=kind)
    (verdict,) = run(url, tmp_path, symbols=SYMBOLS[:1])
    assert verdict.ok
    marked = Catalog(tmp_path).bars(["binance:AAA/USDT"], "1d")
    assert marked.height == BARS - 1
    assert marked.filter(pl.col("quality") == "BAD").height == verdict.pages == 3


@pytest.mark.parametrize(("kind", "missing"), [("missing", 3), ("stale", 1)])
def test_bars_that_never_come_are_named(url, source, tmp_path, kind, missing):
    control(url, "fault", path=KLINES, kind="klines", klines=kind)
    (verdict,) = run(url, tmp_path, symbols=SYMBOLS[:1])
    assert verdict.ok
    assert verdict.missing == missing == sum(count for _, count in verdict.gaps)
    market = expected(source).filter(pl.col("market") == "binance:AAA/USDT")
    absent = market.join(stored(tmp_path), on=market.columns, how="anti")
    assert absent["ts"].to_list() == [start for start, _ in verdict.gaps]


def test_an_exchange_that_has_no_bars_is_said_to_have_none(url, tmp_path):
    control(url, "fault", path=KLINES, kind="klines", klines="empty_list")
    (verdict,) = run(url, tmp_path, symbols=SYMBOLS[:1])
    assert (verdict.status, verdict.missing, verdict.first) == ("unchanged", BARS - 1, None)
    control(url, "fault", clear=True)
    assert run(url, tmp_path, symbols=SYMBOLS[:1])[0].bars == BARS - 1


def test_bars_off_the_grid_are_refused_and_what_came_before_is_kept(url, source, tmp_path):
    control(url, "fault", path=KLINES, kind="klines", klines="misaligned", nth=list(range(2, 30)))
    (verdict,) = run(url, tmp_path, symbols=SYMBOLS[:1])
    assert "do not open on the 1d grid in UTC" in verdict.error
    assert stored(tmp_path).equals(expected(source).filter(pl.col("market") == "binance:AAA/USDT").head(9))
    control(url, "fault", clear=True)
    run(url, tmp_path)
    assert stored(tmp_path).equals(expected(source))


def test_answers_that_contradict_each_other_are_not_believed(url, tmp_path):
    for nth, count in enumerate((1, 2, 3, 4, 5), start=1):
        control(url, "fault", path=KLINES, kind="klines", klines="stale", count=count, nth=nth)
    (verdict,) = run(url, tmp_path, symbols=SYMBOLS[:1])
    assert "5 answers about 1d bars of AAA/USDT from 2024-01-20 00:00Z contradict each other" in verdict.error
    assert stored(tmp_path).is_empty()


def test_an_outage_ends_the_run_and_the_next_one_continues(url, source, tmp_path):
    control(url, "fault", path=KLINES, kind="drop", nth=list(range(3, 40)))
    first, second = run(url, tmp_path)
    assert (first.status, first.pages) == ("failed", 2)
    assert "run the same command again to continue" in first.error
    assert second.error == "binance could not be reached before; not asked"
    control(url, "fault", clear=True)
    assert [verdict.ok for verdict in run(url, tmp_path)] == [True, True]
    assert stored(tmp_path).equals(expected(source))
    run(url, tmp_path / "calm")
    assert snapshot(tmp_path / "calm" / "data") == snapshot(tmp_path / "data")


def test_what_is_not_listed_is_refused_before_anything_is_asked(url, tmp_path):
    with pytest.raises(UnknownMarketError, match=r"does not list AAC/USDT; nearest: AA[AB]/USDT"):
        run(url, tmp_path, symbols=["AAA/USDT", "AAC/USDT"])
    with pytest.raises(ConfigError, match=r"binance has no bars of 7m; it offers .*1d"):
        download(feed(url), SYMBOLS, "7m", root=tmp_path, since=START)
    with pytest.raises(ConfigError, match="nothing is stored of binance:AAA/USDT 1d: give --since"):
        run(url, tmp_path, since=None)
    assert not (tmp_path / "data" / "raw" / "imports").exists()
    assert not [request for request in requests(url) if request["path"] == KLINES]


def test_the_client_keeps_to_the_exchanges_limits(url):
    made = connect("binance", base_url=url)
    assert made.client.enableRateLimit is True
    assert made.client.maxRetriesOnFailure == 0
    made.markets()
    assert made.page_bars("AAA/USDT") == 1_000


@pytest.mark.parametrize("address", ["http://example.org", "ftp://127.0.0.1", "http://127.0.0.1/api"])
def test_plain_http_goes_to_this_machine_only(address):
    with pytest.raises(ConfigError, match="base_url"):
        connect("binance", base_url=address)
    with pytest.raises(ConfigError, match="only binance can be pointed elsewhere"):
        connect("kraken", base_url="http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="did you mean"):
        connect("binanse")
