"""The stored bars: append, list, look up with quality marks. One dataset per exchange and timeframe."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store import FeatureStore, Manifest, StoreError, StoreLockedError
from feature_store.atomic import exclusive
from lab.core.errors import ConfigError, DataError, LockedError, UnknownMarketError
from lab.core.frames import BAR_COLUMNS, TS, market_columns
from lab.core.market import Market
from lab.core.timeframe import Timeframe
from lab.data.quality import QualitySettings, mark
from lab.data.quality_file import settings_in_force

__all__ = ["Catalog", "store_errors"]

_STORED: Final = ("market", "ts", *BAR_COLUMNS, "known_at")
# New bars wait in a small file until there are so many rows: small enough to be written in a millisecond.
TAIL_ROWS: Final = 2_500


@contextmanager
def store_errors() -> Iterator[None]:
    """Turn errors of the store into those a command prints."""
    try:
        yield
    except StoreLockedError as error:
        raise LockedError(str(error)) from error
    except StoreError as error:
        raise DataError(
            f"{error}\n('mnemo data rebuild' makes the bars again from what was received)"
        ) from error


class Catalog:
    """Bars under ``root/data/bars/<exchange>/<timeframe>/``, all markets of a month in one Parquet file.

    Parameters
    ----------
    root : Path
        The folder that ``--root`` names; ``data/`` lies under it.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.store = FeatureStore(self.root / "data" / "bars")

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lock of all stored bars; LockedError when another run has it for 30 seconds."""
        with store_errors(), exclusive(self.store.root):
            yield

    def append(
        self,
        bars: pl.DataFrame,
        *,
        timeframe: str | Timeframe,
        known_at: datetime,
        inputs: Sequence[str] = (),
        live: bool = False,
    ) -> list[Manifest]:
        """Add bars as received; the same bars again change no byte, others replace what is stored.

        Parameters
        ----------
        bars : polars.DataFrame
            Long frame ``ts, market, open … volume`` of complete bars; of rows that share market and ts the
            last wins. BAD bars are stored too: marks are made when reading.
        timeframe : str or Timeframe
            Length of a bar.
        known_at : datetime
            Arrival of what the bars were read from, timezone-aware.
        inputs : sequence of str
            SHA-256 of it.
        live : bool
            Keep bars later than all others in a small tail (see :meth:`compact`): for a bar at a time.

        Returns
        -------
        list of Manifest
            One per exchange in `bars`.
        """
        grid = Timeframe.parse(timeframe)
        numbers = [pl.col(column).cast(pl.Float64) for column in BAR_COLUMNS]
        known = pl.lit(known_at).cast(TS).alias("known_at")
        rows = bars.select(pl.col("market").cast(pl.String), pl.col("ts").cast(TS), *numbers, known)
        exchange = {name: Market.parse(name).exchange for name in market_columns(rows["market"])[0]}
        written = []
        for venue in sorted(set(exchange.values())):
            names = [name for name in exchange if exchange[name] == venue]
            part = rows if len(names) == len(exchange) else rows.filter(pl.col("market").is_in(names))
            with store_errors():
                written.append(
                    self.store.write(
                        f"{venue}/{grid}",
                        part,
                        entity="market",
                        time="ts",
                        known="known_at",
                        inputs=inputs,
                        tail_rows=TAIL_ROWS if live else 0,
                    )
                )
        return written

    def compact(self) -> list[dict[str, Any]]:
        """Move all tails into the files of their months; return ``dataset, rows`` of those that had one."""
        moved = []
        for venue, grid in self.datasets():
            name = f"{venue}/{grid}"
            with store_errors():
                tail = self.store.tail(name)
                if tail is not None:
                    self.store.compact(name)
                    moved.append({"dataset": name, "rows": tail.height})
        return moved

    @property
    def settings(self) -> QualitySettings:
        """Quality settings in force under the root; see :func:`lab.data.quality_file.settings_in_force`."""
        return settings_in_force(self.root)

    def datasets(self) -> list[tuple[str, Timeframe]]:
        """Return stored (exchange, timeframe) pairs, sorted."""
        pairs = [name.split("/") for name in self.store.datasets() if name.count("/") == 1]
        return sorted((venue, Timeframe.parse(name)) for venue, name in pairs)

    def markets(
        self, timeframe: str | Timeframe | None = None, *, as_of: datetime | None = None
    ) -> pl.DataFrame:
        """Return a row per stored market and timeframe: ``market, timeframe, bars, first, last``.

        With `as_of` (timezone-aware): as it was known then.
        """
        wanted = None if timeframe is None else Timeframe.parse(timeframe)
        parts = [
            pl.DataFrame(
                schema={
                    "market": pl.String,
                    "timeframe": pl.String,
                    "bars": pl.Int64,
                    "first": TS,
                    "last": TS,
                }
            )
        ]
        for venue, grid in self.datasets():
            if wanted in {None, grid}:
                with store_errors():
                    rows = self.scan(f"{venue}/{grid}", as_of, columns=["market", "ts"])
                    parts.append(
                        rows.group_by("market")
                        .agg(bars=pl.len().cast(pl.Int64), first=pl.col("ts").min(), last=pl.col("ts").max())
                        .select("market", pl.lit(str(grid)).alias("timeframe"), "bars", "first", "last")
                        .collect()
                    )
        return pl.concat(parts).sort("market", "timeframe")

    def bars(
        self,
        markets: Iterable[str],
        timeframe: str | Timeframe,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        settings: QualitySettings | None = None,
        as_of: datetime | None = None,
    ) -> pl.DataFrame:
        """Return marked bars with ``start <= ts < end``.

        Marks are those of the full history: enough bars before `start` are read for them.

        Parameters
        ----------
        markets : iterable of str
            ``exchange:BASE/QUOTE``.
        timeframe : str or Timeframe
            Length of a bar.
        start, end : datetime, optional
            Timezone-aware.
        settings : QualitySettings, optional
            Default: those in force under the root.
        as_of : datetime, optional
            Bars as they were known then (timezone-aware): later ones are not there, revised ones are as they
            were.

        Returns
        -------
        polars.DataFrame
            ``ts, market, open, high, low, close, volume, quality, reason``, sorted by ts, then market; see
            :func:`lab.data.quality.mark`. Bars of a gap longer than one are absent.

        Raises
        ------
        UnknownMarketError
            If a market has no stored bars of that timeframe; the message has the nearest names.
        """
        settings = settings or self.settings
        grid = Timeframe.parse(timeframe)
        before = None if start is None else start - settings.context_bars * grid.duration
        # One bar more on the right: only the bar after a gap tells whether the gap is one bar long.
        after = None if end is None else end + grid.duration
        marked = mark(self._rows(list(markets), grid, before, after, as_of), grid, settings)
        if start is not None:
            marked = marked.filter(pl.col("ts") >= start)
        return marked if end is None else marked.filter(pl.col("ts") < end)

    def scan(self, dataset: str, as_of: datetime | None = None, **wanted: Any) -> pl.LazyFrame:
        """Return rows of ``exchange/timeframe`` as stored, or as known then; see :class:`FeatureStore`."""
        if as_of is None:
            return self.store.scan(dataset, **wanted)
        if as_of.tzinfo is None:
            raise ConfigError(f"as of {as_of.isoformat()}: no time zone; write {as_of.isoformat()}Z")
        return self.store.as_of(dataset, as_of, **wanted)

    def _rows(
        self,
        markets: list[str],
        grid: Timeframe,
        start: datetime | None,
        end: datetime | None,
        as_of: datetime | None,
    ) -> pl.DataFrame:
        by_venue: dict[str, list[str]] = {}
        for name in markets:
            by_venue.setdefault(Market.parse(name).exchange, []).append(name)
        frames = []
        for venue, names in by_venue.items():
            dataset = f"{venue}/{grid}"
            with store_errors():
                stored = self.store.entities(dataset) if self.store.manifest(dataset) else []
                unknown = [name for name in names if name not in stored]
                if unknown:
                    raise self._unknown(unknown[0], grid)
                entities = None if len(names) == len(stored) else names
                rows = self.scan(dataset, as_of, entities=entities, start=start, end=end)
                frames.append(rows.collect())
        if not frames:
            raise DataError("no market named; expected at least one, such as binance:BTC/USDT")
        return pl.concat(frames)

    def _unknown(self, market: str, grid: Timeframe) -> UnknownMarketError:
        known = self.markets()
        here = known.filter(pl.col("timeframe") == str(grid))["market"].to_list()
        other = known.filter(pl.col("market") == market)["timeframe"].to_list()
        if other:
            hint = f"it is stored as {', '.join(other)}"
        elif here:
            near = difflib.get_close_matches(market, here, n=3, cutoff=0.4) or here[:3]
            hint = f"nearest: {', '.join(near)} ({len(here)} markets stored; 'mnemo data list' shows them)"
        else:
            hint = f"no {grid} bars are stored at all"
        return UnknownMarketError(
            f"no {grid} bars of {market} stored; {hint}. Import it with 'mnemo data import FILES "
            f"--exchange {Market.parse(market).exchange} --timeframe {grid}'"
        )
