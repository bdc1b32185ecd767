"""Pages of a download: judged when they come, kept as they came, and what they cover."""

from __future__ import annotations

import gzip
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import polars as pl

from feature_store.atomic import exclusive
from lab.core.errors import VenueError
from lab.core.frames import BAR_COLUMNS, TS
from lab.core.hashing import canonical_json, digest
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog, store_errors
from lab.data.checking import received_counts
from lab.data.download_client import Answer, Feed
from lab.data.formats import PAGE_VERSION
from lab.data.raw import ImportRecord, RawStore, utc_text
from lab.data.reading import read_bars

__all__ = ["Page", "PageLog", "Span", "believed_page"]

# Two answers that agree are believed; one that cannot make up its mind so often is not.
MAX_LOOKS: Final = 5

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Page:
    """One believed answer.

    Parameters
    ----------
    market : str
        Under which its bars are stored.
    timeframe : Timeframe
        Of the bars.
    span : (int, int)
        Milliseconds ``start <= t < until`` that need not be asked again.
    clock : int
        The exchange's time before which bars had closed, milliseconds.
    arrived : int
        The exchange's time after the answer, milliseconds.
    rows : tuple
        CCXT's rows, as they came.
    body : str
        The text they came as.
    bars : polars.DataFrame
        ``ts, market, open … volume``: the complete bars in the span.
    """

    market: str
    timeframe: Timeframe
    span: Span
    clock: int
    arrived: int
    rows: tuple[tuple[Any, ...], ...]
    body: str
    bars: pl.DataFrame

    def to_bytes(self) -> bytes:
        """Return what is kept in ``data/raw``; equal pages give equal bytes."""
        exchange, _, market = self.market.partition(":")
        document = {
            "schema_version": PAGE_VERSION,
            "exchange": exchange,
            "market": market,
            "timeframe": str(self.timeframe),
            "clock": self.clock,
            "from": self.span[0],
            "until": self.span[1],
            "rows": [[_plain(value) for value in row[:6]] for row in self.rows],
            "body": self.body,
        }
        # The level that costs a third of the best one's time for the same size within a few per cent.
        return gzip.compress(canonical_json(document).encode(), compresslevel=6, mtime=0)


def _plain(value: Any) -> Any:
    return value if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)) else None


@dataclass(frozen=True, slots=True)
class _Judged:
    bars: pl.DataFrame
    doubts: tuple[str, ...]


def believed_page(
    feed: Feed,
    market: str,
    symbol: str,
    timeframe: Timeframe,
    *,
    start: int,
    since: int,
    stop: int,
    limit: int,
) -> Page | None:
    """Ask for up to `limit` bars from `since` on, until the answer can be believed; None: there are no bars.

    An answer beyond suspicion is believed at once. One with holes, too few bars, repeated, misaligned or
    impossible ones is asked for again; when two in a row agree, that is what the exchange has.

    Parameters
    ----------
    start : int
        Where the span begins that the page is to cover (milliseconds); `since` or earlier.
    since, stop : int
        Milliseconds; bars with ``since <= open < stop`` are wanted.

    Raises
    ------
    VenueError
        If five answers contradict each other, or bars do not open on the timeframe's grid.
    """
    step = timeframe.seconds * 1_000
    before: _Judged | None = None
    asked = feed.now()
    for _ in range(MAX_LOOKS):
        answer = feed.page(symbol, timeframe.name, since=since, limit=limit)
        arrived = feed.now()
        # A clock that goes wrong for a moment must not make an open bar complete.
        clock = min(asked, arrived)
        end = min(stop, clock - step + 1)
        judged = _judge(answer.rows, market, timeframe, since, min(since + limit * step, stop), end)
        agreed = before is not None and judged.bars.equals(before.bars) and judged.doubts == before.doubts
        if not judged.doubts or agreed:
            return _page(feed, judged, answer, market, symbol, timeframe, start, clock, max(asked, arrived))
        before, asked = judged, arrived
    doubts = ", ".join(before.doubts) if before else ""
    raise VenueError(
        f"{feed.name}: {MAX_LOOKS} answers about {timeframe} bars of {symbol} from "
        f"{_time(since):%Y-%m-%d %H:%M}Z contradict each other (last: {doubts}). "
        "What came before is stored; run the same command again to continue"
    )


def _page(
    feed: Feed,
    judged: _Judged,
    answer: Answer,
    market: str,
    symbol: str,
    timeframe: Timeframe,
    start: int,
    clock: int,
    arrived: int,
) -> Page | None:
    if "misaligned" in judged.doubts:
        raise VenueError(
            f"{feed.name}: {timeframe} bars of {symbol} do not open on the {timeframe} grid in UTC"
        )
    if judged.bars.is_empty():
        return None
    last = judged.bars.select(pl.col("ts").max().dt.epoch("ms")).item()
    span = (start, int(last) + timeframe.seconds * 1_000)
    return Page(market, timeframe, span, clock, arrived, answer.rows, answer.body, judged.bars)


def _judge(
    rows: tuple[tuple[Any, ...], ...], market: str, timeframe: Timeframe, since: int, full: int, end: int
) -> _Judged:
    schema: dict[str, Any] = {"ts": pl.Int64, **dict.fromkeys(BAR_COLUMNS, pl.Float64)}
    cells = [[_plain(value) for value in row[:6]] for row in rows]
    frame = pl.DataFrame(cells, schema=schema, orient="row", strict=False)
    stamps = pl.from_epoch("ts", time_unit="ms").dt.replace_time_zone("UTC").cast(TS)
    bars = (
        frame.filter((pl.col("ts") >= since) & (pl.col("ts") < end))
        .sort("ts", maintain_order=True)
        .select(stamps, pl.lit(market).alias("market"), *BAR_COLUMNS)
    )
    wanted = max(0, -(-(min(full, end) - since) // (timeframe.seconds * 1_000)))
    distinct = bars["ts"].n_unique()
    doubts = {
        "misaligned": not timeframe.on_grid(bars["ts"].to_physical().to_numpy().view("datetime64[us]")).all(),
        "bars missing": distinct < wanted,
        "bars repeated": distinct < bars.height,
        "impossible prices": int(received_counts(bars)["ohlc_violations"].sum()) > 0,
        "impossible volumes": bool(bars.select((~(pl.col("volume") >= 0)).fill_null(True).any()).item()),
    }
    return _Judged(bars, tuple(name for name, found in doubts.items() if found))


def _time(milliseconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


class PageLog:
    """What downloads have kept under a root: the spans they cover; keeps further pages.

    Records are files that never change, so each is read once.

    Parameters
    ----------
    catalog : Catalog
        Where bars go.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._raw = RawStore(catalog.root)
        self._seen: dict[str, ImportRecord] = {}

    def covered(self, market: str, timeframe: Timeframe) -> list[Span]:
        """Return the spans of a market that pages cover: sorted, joined where they touch."""
        self._refresh()
        joined: list[Span] = []
        for covers in sorted(
            (record.covers["start"], record.covers["until"])
            for record in self._seen.values()
            if _of(record, market, timeframe) and record.covers
        ):
            if joined and covers[0] <= joined[-1][1]:
                joined[-1] = (joined[-1][0], max(joined[-1][1], covers[1]))
            else:
                joined.append(covers)
        return joined

    def finish(self, market: str, timeframe: Timeframe) -> None:
        """Store the bars of the page that was kept last: whoever was killed may not have got that far."""
        self._refresh()
        pages = [record for record in self._seen.values() if _of(record, market, timeframe)]
        if pages:
            record = max(pages, key=lambda each: each.arrived)
            payload = self._raw.payload(record)
            bars = read_bars(payload, exchange=record.exchange, mapping=record.mapping, fmt="page").bars
            with self._locked():
                self._append(bars, timeframe, record)

    def keep(self, page: Page) -> None:
        """Keep a page and store its bars; both are on the disk when this returns."""
        data = page.to_bytes()
        with self._locked():
            self._raw.sweep()
            self._refresh()
            record = ImportRecord(
                sha256=digest(data),
                name=f"{page.market} {page.timeframe} {_time(page.span[0]):%Y-%m-%dT%H:%M:%SZ}",
                arrived=utc_text(self._free(_time(page.arrived))),
                exchange=page.market.partition(":")[0],
                timeframe=str(page.timeframe),
                format="page",
                mapping={},
                received={row.pop("market"): row for row in received_counts(page.bars).to_dicts()},
                covers={"market": page.market, "start": page.span[0], "until": page.span[1]},
            )
            record = self._raw.find(record.key) or record
            self._raw.keep_bytes(data, record)
            self._append(page.bars, page.timeframe, record)

    def news(self, page: Page) -> bool:
        """Tell whether a page has bars that are not stored, or stored with other values."""
        dataset = f"{page.market.partition(':')[0]}/{page.timeframe}"
        with store_errors():
            if self._catalog.store.manifest(dataset) is None:
                return True
            stored = self._catalog.store.scan(
                dataset,
                columns=["ts", *BAR_COLUMNS],
                entities=[page.market],
                start=_time(page.span[0]),
                end=_time(page.span[1]),
            ).collect()
        fresh = page.bars.select("ts", *BAR_COLUMNS).unique("ts", keep="last")
        return bool(fresh.join(stored, on=fresh.columns, how="anti", nulls_equal=True).height)

    def _append(self, bars: pl.DataFrame, timeframe: Timeframe, record: ImportRecord) -> None:
        self._catalog.append(bars, timeframe=timeframe, known_at=record.arrival, inputs=[record.sha256])

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with store_errors(), exclusive(self._raw.folder):
            yield

    def _free(self, arrived: datetime) -> datetime:
        taken = {record.arrived for record in self._seen.values()}
        while utc_text(arrived) in taken:
            arrived += timedelta(microseconds=1)
        return arrived

    def _refresh(self) -> None:
        for key in self._raw.keys() - self._seen.keys():
            record = self._raw.find(key)
            if record is not None:
                self._seen[key] = record


def _of(record: ImportRecord, market: str, timeframe: Timeframe) -> bool:
    covers: Mapping[str, Any] = record.covers or {}
    return covers.get("market") == market and record.timeframe == str(timeframe)
