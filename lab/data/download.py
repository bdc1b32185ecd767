"""Downloads bars through CCXT: what is missing between two times, page by page, each safe when it is in."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

import polars as pl

from lab.core.errors import ConfigError, UnknownMarketError, VenueError
from lab.core.market import Market
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog, store_errors
from lab.data.download_client import Feed, UnreachableError
from lab.data.download_pages import PageLog, Span, believed_page
from lab.data.download_result import DownloadVerdict
from lab.data.listings import Segment, segments

__all__ = ["download"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_GAPS: Final = 20

Progress = Callable[[str, int, int], None]


def download(
    feed: Feed,
    symbols: Iterable[str],
    timeframe: str | Timeframe,
    *,
    root: Path,
    since: datetime | None = None,
    until: datetime | None = None,
    again: bool = False,
    page_bars: int | None = None,
    progress: Progress = lambda task, done, total: None,
) -> list[DownloadVerdict]:
    """Download complete bars and store them, page by page.

    Whoever dies in between loses at most the page that was under way: what was asked and answered is read
    back from the disk, and the next call goes on there. Bars count as complete by the exchange's clock.

    Parameters
    ----------
    feed : Feed
        See :func:`lab.data.download_client.connect`.
    symbols : iterable of str
        Unified symbols.
    timeframe : str or Timeframe
        Length of a bar.
    root : Path
        Folder under which ``data/`` lies.
    since, until : datetime, optional
        ``since <= open < until``, timezone-aware. Without `since`: from what is stored on.
    again : bool
        Ask for bars that were already asked for, too, in order to find revised ones.
    page_bars : int, optional
        Bars per question; default and most: what the exchange gives.
    progress : callable
        Called with market, bars done and bars in all.

    Raises
    ------
    ConfigError, UnknownMarketError
        If the exchange does not offer the timeframe or a symbol; nothing was downloaded then.
    VenueError
        If the exchange cannot even tell its markets.
    DataError, LockedError
        If bars cannot be stored.
    """
    grid = Timeframe.parse(timeframe)
    wanted = list(dict.fromkeys(symbols))
    _check_timeframe(feed, grid)
    _check_symbols(feed, wanted)
    catalog = Catalog(root)
    job = _Job(feed, grid, catalog, PageLog(catalog), since, until, again, page_bars, progress)
    parts = [(symbol, part) for symbol in wanted for part in segments(root, feed.name, symbol)]
    for _, part in parts:
        if since is None and job.start(part) is None:
            raise ConfigError(f"nothing is stored of {part.market} {grid}: give --since, such as 2020-01-01")
    verdicts, silence = [], ""
    for symbol, part in parts:
        if silence:
            verdicts.append(DownloadVerdict(part.market, str(grid), "failed", error=silence))
            continue
        verdicts.append(job.run(symbol, part))
        if job.unreachable:
            silence = f"{feed.name} could not be reached before; not asked"
    return verdicts


class _Job:
    def __init__(
        self,
        feed: Feed,
        grid: Timeframe,
        catalog: Catalog,
        log: PageLog,
        since: datetime | None,
        until: datetime | None,
        again: bool,
        page_bars: int | None,
        progress: Progress,
    ) -> None:
        self.feed, self.grid, self.catalog, self.log = feed, grid, catalog, log
        self.since, self.until, self.again = since, until, again
        self.page_bars, self.progress = page_bars, progress
        self.step = grid.seconds * 1_000
        self.unreachable = False

    def run(self, symbol: str, part: Segment) -> DownloadVerdict:
        """Download one market; a failure of the exchange is a verdict, what came before is stored."""
        pages, bars, error = 0, 0, ""
        stop = 0
        try:
            self.log.finish(part.market, self.grid)
            start = self.start(part) or 0
            stop = self._stop(part)
            for span in self._unasked(part.market, (start, stop)):
                for page in self._pages(symbol, part.market, span):
                    pages, bars = pages + 1, bars + page
        except VenueError as failure:
            error = str(failure)
            self.unreachable = isinstance(failure, UnreachableError)
        return self._verdict(part, pages, bars, stop, error)

    def start(self, part: Segment) -> int | None:
        """Return where the wanted span starts: as asked, else where earlier downloads did or bars end."""
        if self.since is not None:
            first = self._ceil(_milliseconds(self.since))
        else:
            covered = self.log.covered(part.market, self.grid)
            stored = self._edges(part.market)
            if covered:
                first = covered[0][0]
            elif stored is not None:
                first = stored[1] + self.step
            else:
                return None
        return first if part.start is None else max(first, self._ceil(_milliseconds(part.start)))

    def _stop(self, part: Segment) -> int:
        """Return the first opening time, on the grid, that is not wanted or whose bar has not closed."""
        stop = self.feed.now() - self.step + 1
        for limit in (self.until, part.end):
            if limit is not None:
                stop = min(stop, _milliseconds(limit))
        return self._ceil(stop)

    def _ceil(self, stamp: int) -> int:
        origin = _milliseconds(self.grid.open_time(0))
        return origin - (origin - stamp) // self.step * self.step

    def _unasked(self, market: str, wanted: Span) -> list[Span]:
        if self.again:
            return [wanted] if wanted[0] < wanted[1] else []
        spans, position = [], wanted[0]
        for start, until in self.log.covered(market, self.grid):
            if start > position:
                spans.append((position, min(start, wanted[1])))
            position = max(position, until)
        spans.append((position, wanted[1]))
        return [span for span in spans if span[0] < span[1]]

    def _pages(self, symbol: str, market: str, span: Span) -> Iterable[int]:
        """Ask for a span from its start; yield the number of bars of each page that was kept."""
        most = self.feed.page_bars(symbol)
        limit = min(most, self.page_bars or most)
        total = (span[1] - span[0]) // self.step
        start = since = span[0]
        while since < span[1]:
            count = min(limit, (span[1] - since) // self.step)
            page = believed_page(
                self.feed, market, symbol, self.grid, start=start, since=since, stop=span[1], limit=count
            )
            if page is None:
                since += count * self.step
            else:
                if not self.again or self.log.news(page):
                    self.log.keep(page)
                    yield page.bars.height
                start = since = page.span[1]
            self.progress(f"{market} {self.grid}", (since - span[0]) // self.step, total)

    def _edges(self, market: str) -> Span | None:
        stored = self._stored(market)
        if stored.is_empty():
            return None
        numbers = stored.dt.epoch("ms")
        return int(numbers.min()), int(numbers.max())  # type: ignore[arg-type]

    def _stored(self, market: str) -> pl.Series:
        dataset = f"{Market.parse(market).exchange}/{self.grid}"
        with store_errors():
            if self.catalog.store.manifest(dataset) is None:
                return pl.Series("ts", [], dtype=pl.Datetime("us", "UTC"))
            rows = self.catalog.store.scan(dataset, columns=["ts"], entities=[market]).collect()
        return rows["ts"].sort()

    def _verdict(self, part: Segment, pages: int, bars: int, stop: int, error: str) -> DownloadVerdict:
        stored = self._stored(part.market)
        opened = stored.dt.epoch("ms")
        opened = opened.filter(opened < stop) if stop else opened
        if opened.is_empty() and stop:  # nothing came at all: everything is missing, from before the start
            opened = pl.Series([(self.start(part) or stop) - self.step], dtype=pl.Int64)
        edges = pl.concat([opened, pl.Series([stop] if stop else [], dtype=pl.Int64)])
        absent = (edges.diff().drop_nulls() - self.step) // self.step
        starts = (edges.head(len(absent)) + self.step).filter(absent > 0)
        gaps = [
            (_EPOCH + timedelta(milliseconds=start), count)
            for start, count in zip(starts, absent.filter(absent > 0), strict=True)
        ]
        status: Literal["downloaded", "unchanged", "failed"] = "downloaded" if pages else "unchanged"
        return DownloadVerdict(
            market=part.market,
            timeframe=str(self.grid),
            status="failed" if error else status,
            pages=pages,
            bars=bars,
            first=stored.min() if len(stored) else None,  # type: ignore[arg-type]
            last=stored.max() if len(stored) else None,  # type: ignore[arg-type]
            missing=int(absent.sum()),
            gaps=tuple(gaps[:_SHOWN_GAPS]),
            error=error,
        )


def _check_timeframe(feed: Feed, grid: Timeframe) -> None:
    if str(grid) not in feed.timeframes:
        offered = ", ".join(feed.timeframes)
        raise ConfigError(f"{feed.name} has no bars of {grid}; it offers {offered}")


def _check_symbols(feed: Feed, symbols: Sequence[str]) -> None:
    if not symbols:
        raise ConfigError("no symbol named; expected at least one, such as BTC/USDT")
    markets: Mapping[str, Any] = feed.markets()
    for symbol in symbols:
        Market.parse(f"{feed.name}:{symbol}")
        if symbol not in markets:
            near = difflib.get_close_matches(symbol, list(markets), n=3)
            hint = f"; nearest: {', '.join(near)}" if near else ""
            raise UnknownMarketError(f"{feed.name} does not list {symbol}{hint}")


def _milliseconds(instant: datetime) -> int:
    if instant.tzinfo is None:
        raise ConfigError(f"time {instant.isoformat()} has no time zone: times are UTC, write it with a Z")
    return (instant - _EPOCH) // timedelta(milliseconds=1)
