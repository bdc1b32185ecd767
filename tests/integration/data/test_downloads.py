"""Downloads from the real loopback exchange over HTTP."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from lab.core.errors import ConfigError, UnknownMarketError
from lab.data.catalog import Catalog
from lab.data.download import download
from lab.data.download_client import connect
from lab.data.raw import RawStore
from lab.data.reading import read_bars
from tests.oracle.downloads import BARS, KLINES, START, SYMBOLS, expected, feed, requests, run, stored
from tests.oracle.killing import snapshot
from tests.oracle.loopback_server import control

pytestmark = pytest.mark.integration


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
