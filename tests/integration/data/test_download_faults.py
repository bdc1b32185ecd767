"""Every way in which an exchange can answer a download wrongly, over HTTP."""

from __future__ import annotations

import polars as pl
import pytest

from lab.data.catalog import Catalog
from lab.data.download import download
from tests.oracle.downloads import BARS, KLINES, START, SYMBOLS, expected, feed, run, stored
from tests.oracle.loopback_server import control

pytestmark = pytest.mark.integration


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
