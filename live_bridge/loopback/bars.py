"""Reading bars from disk into listings: the project's store, or plain Parquet files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from feature_store import FeatureStore, StoreError
from lab.core.errors import ConfigError, DataError
from lab.core.market import Market
from lab.core.timeframe import Timeframe
from live_bridge.loopback.history import Listing, Series

__all__ = ["listings_from_frames", "read_listings"]

_VALUES: Final = ["open", "high", "low", "close", "volume"]
_TIMEFRAMES: Final = "1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w"

Part = tuple[str, Timeframe, pl.DataFrame]


def read_listings(folder: Path, *, exchanges: Sequence[str] = ()) -> dict[str, Listing]:
    """Return every spot market stored under `folder`, by symbol.

    Parameters
    ----------
    folder : pathlib.Path
        A project root with ``data/bars``, that folder itself, or a folder of Parquet files with the
        columns ts, market or symbol, open, high, low, close, volume.
    exchanges : sequence of str
        Venues to serve; empty: all.

    Raises
    ------
    DataError
        If there are no bars, or two venues claim one symbol in one timeframe.
    """
    if not folder.is_dir():
        raise ConfigError(f"--bars {folder}: no such folder; expected stored bars or Parquet files")
    root = _project_root(folder)
    parts = _plain_files(folder) if root is None else _stored(root)
    wanted = set(exchanges)
    found = listings_from_frames([part for part in parts if not wanted or _venue(part[0]) in wanted])
    if not found:
        of = f" of {', '.join(sorted(wanted))}" if wanted else ""
        raise DataError(
            f"no spot bars{of} under {folder}; import some with 'mnemo data import', or name another folder"
        )
    return found


def listings_from_frames(parts: Sequence[Part]) -> dict[str, Listing]:
    """Return listings by symbol from (market name, timeframe, frame of ts and prices).

    Derivatives are left out: this is a spot exchange. A bar received twice counts once, the last one.
    """
    grouped: dict[str, dict[str, tuple[str, Series]]] = defaultdict(dict)
    names: dict[str, tuple[str, str]] = {}
    for name, timeframe, frame in parts:
        base, quote = _assets(name)
        if not base:
            continue
        symbol = (base + quote).upper()
        if names.setdefault(symbol, (base, quote)) != (base, quote):
            raise DataError(f"{name} and {'/'.join(names[symbol])} would both be {symbol}; serve one of them")
        if timeframe.name in grouped[symbol]:
            raise DataError(
                f"{symbol} {timeframe}: stored for {grouped[symbol][timeframe.name][0]} and for {name}; "
                "choose a venue with --exchange"
            )
        grouped[symbol][timeframe.name] = (name, _series(timeframe, frame))
    return {
        symbol: Listing(
            symbol=symbol,
            base=names[symbol][0],
            quote=names[symbol][1],
            sources={timeframe: source for timeframe, (source, _) in series.items()},
            series={timeframe: bars for timeframe, (_, bars) in series.items()},
        )
        for symbol, series in sorted(grouped.items())
    }


def _series(timeframe: Timeframe, frame: pl.DataFrame) -> Series:
    frame = frame.unique("ts", keep="last", maintain_order=True).sort("ts")
    return Series(
        timeframe=timeframe,
        opened=frame["ts"].dt.epoch("ms").to_numpy().astype(np.int64),
        values=np.ascontiguousarray(frame.select(pl.col(_VALUES).cast(pl.Float64)).to_numpy()),
    )


def _project_root(folder: Path) -> Path | None:
    if (folder / "data" / "bars").is_dir():
        return folder
    resolved = folder.resolve()
    return resolved.parent.parent if resolved.parts[-2:] == ("data", "bars") else None


def _stored(root: Path) -> Iterator[Part]:
    # Straight from the store, not through lab.data's catalog: an exchange serves bars as it received them,
    # and the catalog's quality marks would cost a compiled kernel's start-up.
    store = FeatureStore(root / "data" / "bars")
    try:
        for dataset in store.datasets():
            timeframe = Timeframe.parse(dataset.rpartition("/")[2])
            frame = store.scan(dataset, columns=["market", "ts", *_VALUES]).collect()
            yield from _by_market(frame, "market", timeframe)
    except StoreError as error:
        raise DataError(str(error)) from None


def _plain_files(folder: Path) -> Iterator[Part]:
    for path in sorted(folder.glob("*.parquet")):
        try:
            frame = pl.read_parquet(path)
        except (OSError, pl.exceptions.PolarsError) as error:
            raise DataError(f"{path}: not readable as Parquet: {error}; remove or replace it") from None
        name = "market" if "market" in frame.columns else "symbol"
        missing = [column for column in (name, "ts", *_VALUES) if column not in frame.columns]
        if missing or not isinstance(frame.schema["ts"], pl.Datetime):
            raise DataError(
                f"{path}: columns {', '.join(frame.columns)}; expected market or symbol, ts (a UTC time), "
                "open, high, low, close, volume"
            )
        yield from _by_market(frame, name, _timeframe(path, frame, name))


def _by_market(frame: pl.DataFrame, name: str, timeframe: Timeframe) -> Iterator[Part]:
    columns = frame.select(name, "ts", *_VALUES)
    for (market,), rows in columns.group_by(name, maintain_order=True):
        yield str(market), timeframe, rows


def _timeframe(path: Path, frame: pl.DataFrame, name: str) -> Timeframe:
    steps = frame.select(name, "ts").unique().sort(name, "ts")
    shortest = steps.select(pl.col("ts").diff().over(name).min()).item()
    seconds = int(shortest.total_seconds()) if shortest is not None else 0
    known = {(each := Timeframe.parse(text)).seconds: each for text in _TIMEFRAMES.split()}
    if seconds not in known:
        raise DataError(f"{path}: bars {seconds} s apart; expected one of {_TIMEFRAMES}")
    return known[seconds]


def _venue(name: str) -> str:
    return name.partition(":")[0] if ":" in name.partition("/")[0] else ""


def _assets(name: str) -> tuple[str, str]:
    """Return base and quote of ``venue:BASE/QUOTE`` or ``BASE/QUOTE``; empty for anything but spot."""
    try:
        market = Market.parse(name if _venue(name) else f"plain:{name}")
    except ConfigError:
        return "", ""
    return ("", "") if market.is_derivative else (market.base, market.quote)
