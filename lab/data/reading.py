"""Reads a file of bars into the one frame that everything else knows; says what it found on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

import polars as pl

from lab.core.errors import ConfigError, DataError
from lab.core.frames import BAR_COLUMNS, market_columns
from lab.core.timeframe import Timeframe
from lab.data.formats import Table, binance_header, read_binance, read_freqtrade, read_page
from lab.data.stamps import read_stamps
from lab.data.symbols import market_names

__all__ = ["Format", "Received", "check_mapping", "listed_files", "read_bars", "read_table"]

Format = Literal["auto", "binance", "csv", "freqtrade", "page", "parquet"]

_TARGETS: Final = ("ts", "market", "symbol", *BAR_COLUMNS, "quote")
_PARQUET_MAGIC: Final = b"PAR1"
_BARS: Final = frozenset({".csv", ".feather", ".json", ".parquet", ".zip"})
# What a file's first bytes say; of some, freqtrade writes the same.
_MAGIC: Final = {_PARQUET_MAGIC: "parquet", b"PK\x03\x04": "binance", b"ARROW1": "freqtrade"}
_ALSO: Final = {("parquet", "freqtrade"), ("csv", "binance")}
_UNREADABLE: Final = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


@dataclass(frozen=True, slots=True)
class Received:
    """The rows of one file, in its order.

    Parameters
    ----------
    bars : polars.DataFrame
        ``ts, market, open, high, low, close, volume``; prices and volumes may be null.
    format : str
        ``binance, csv, freqtrade, page`` or ``parquet``.
    stamps : str
        What the times were detected as.
    mapping : mapping
        With which the same bytes under another name give the same rows.
    timeframe : Timeframe or None
        Where the file or its name tells it.
    """

    bars: pl.DataFrame
    format: str
    stamps: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    timeframe: Timeframe | None = None


def check_mapping(mapping: Mapping[str, str], fmt: str) -> None:
    """Check names that the user typed; ConfigError with what is allowed."""
    unknown = [name for name in mapping if name not in _TARGETS]
    if unknown:
        raise ConfigError(f"--map {unknown[0]}=…: unknown column; allowed: {', '.join(_TARGETS)}")
    if fmt not in get_args(Format):
        raise ConfigError(f"--format {fmt}: unknown; allowed: {', '.join(get_args(Format))}")


def read_bars(
    path: Path,
    *,
    exchange: str | None,
    mapping: Mapping[str, str] | None = None,
    fmt: Format = "auto",
    any_symbol: bool = False,
) -> Received:
    """Read a file of bars: CSV, Parquet, Binance's public klines (CSV or zip), freqtrade's feather or JSON.

    Parameters
    ----------
    path : Path
        The file; its content tells the format, not its name.
    exchange : str or None
        Exchange of symbols that name none.
    mapping : mapping, optional
        Column names by meaning: ``ts, market`` or ``symbol, open … volume``. ``symbol`` may also be one
        symbol for the whole file, such as ``BTC/USDT``; ``quote`` is the quote currency of symbols that name
        none.
    fmt : str
        ``auto``, ``binance``, ``csv``, ``freqtrade`` or ``parquet``; ``page`` is a kept page of a download.
    any_symbol : bool
        Keep symbols that make no market name as they are: for looking at a file, not for storing it.

    Raises
    ------
    DataError
        Naming the file and what is wrong with it.
    """
    mapping = dict(mapping or {})
    check_mapping(mapping, fmt)
    try:
        found = _format(path, fmt, mapping)
        source = _READERS[found](path, mapping)
        known = {**source.mapping, **mapping}
        stated, mapping, table = mapping, known, source.frame
        _check_columns(table, mapping)
        stamps, detected = read_stamps(_column(table, mapping, "ts"))
        numbers = [_numbers(_column(table, mapping, name), name) for name in BAR_COLUMNS]
        symbols = _symbols(table, mapping)
        market = _markets(symbols, exchange, mapping.get("quote"), any_symbol)
    except DataError as error:
        raise type(error)(f"{path}: {error}") from None
    if "symbol" in source.mapping:  # it may have come from the file's name, which the raw copy does not keep
        stated.setdefault("symbol", source.mapping["symbol"])
    bars = pl.DataFrame([stamps.alias("ts"), market, *numbers])
    return Received(bars, found, detected, stated, source.timeframe)


def read_table(path: Path) -> tuple[pl.DataFrame, str]:
    """Return the columns of a CSV or Parquet file, and which of the two it is; DataError naming the file."""
    try:
        found = _format(path, "auto", {"ts": ""})
        if found not in {"csv", "parquet"}:
            raise DataError(f"the file is {found}; expected CSV or Parquet")
        return (_read_parquet(path) if found == "parquet" else _read_csv(path)), found
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def listed_files(paths: Iterable[Path]) -> list[Path]:
    """Return the files that paths name: themselves, those of bars in a folder, or those a pattern matches.

    Raises
    ------
    DataError
        If a folder or a pattern holds none.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.iterdir() if each.suffix in _BARS and each.is_file())
        elif any(sign in str(path) for sign in "*?[") and not path.exists():
            base = Path(path.anchor)
            inside = sorted(each for each in base.glob(str(path.relative_to(base))) if each.is_file())
        else:
            inside = [path]
        if not inside:
            raise DataError(f"{path}: no files of bars there; expected {', '.join(sorted(_BARS))}")
        found += inside
    return found


def _format(path: Path, fmt: Format, mapping: Mapping[str, str]) -> str:
    try:
        with path.open("rb") as file:
            line = file.readline(4_096)
            head = line[:8]
    except FileNotFoundError:
        raise DataError("no such file") from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from None
    if not head:
        raise DataError("the file is empty")
    found = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "csv")
    if head.startswith(b"\x1f\x8b"):
        found = "page" if fmt == "page" else "gzip"
    elif found == "csv" and head.lstrip()[:1] == b"[":
        found = "freqtrade"
    elif found == "csv" and fmt == "auto" and "ts" not in mapping and binance_header(line):
        found = "binance"
    if found == "gzip":
        raise DataError("the file is gzip; expected CSV or Parquet, unpack it first")
    if fmt not in {"auto", found} and (found, fmt) not in _ALSO:
        raise DataError(f"--format {fmt} given, but the file is {found}")
    return found if fmt == "auto" else fmt


def _read_parquet(path: Path) -> pl.DataFrame:
    try:
        return pl.read_parquet(path, glob=False, hive_partitioning=False)
    except _UNREADABLE as error:
        raise DataError(f"not readable as Parquet, truncated or damaged: {_first_line(error)}") from None


def _read_csv(path: Path) -> pl.DataFrame:
    try:
        with path.open("rb") as file:
            header = file.readline()
            file.seek(max(0, path.stat().st_size - 65_536))
            tail = file.read()
        if b"\x00" in header + tail:
            raise DataError("the file is neither CSV nor Parquet: it has zero bytes")
        table = pl.read_csv(path, infer_schema_length=10_000, glob=False, low_memory=False)
    except _UNREADABLE as error:
        raise DataError(f"not readable as CSV: {_first_line(error)}") from None
    last = tail.rstrip(b"\r\n").rsplit(b"\n", 1)[-1]
    if b'"' not in last and last.count(b",") != header.count(b","):
        found, expected = last.count(b",") + 1, header.count(b",") + 1
        raise DataError(f"truncated: the last line has {found} columns, the header {expected}")
    if table.is_empty():
        raise DataError("the file has a header and no rows")
    return table


_READERS: Final[Mapping[str, Callable[[Path, Mapping[str, str]], Table]]] = {
    "binance": lambda path, mapping: read_binance(path, named="symbol" in mapping or "market" in mapping),
    "csv": lambda path, mapping: Table(_read_csv(path)),
    "freqtrade": lambda path, mapping: read_freqtrade(path),
    "page": lambda path, mapping: read_page(path),
    "parquet": lambda path, mapping: Table(_read_parquet(path)),
}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _column(table: pl.DataFrame, mapping: Mapping[str, str], name: str) -> pl.Series:
    return table[mapping.get(name, name)]


def _check_columns(table: pl.DataFrame, mapping: Mapping[str, str]) -> None:
    wanted = {name: mapping.get(name, name) for name in ("ts", *BAR_COLUMNS)}
    missing = [name for name, source in wanted.items() if source not in table.columns]
    if missing:
        named = ", ".join(f"{wanted[name]} (for {name})" if name in mapping else name for name in missing)
        raise DataError(
            f"columns {named} missing; found {', '.join(table.columns[:20])}. Name them with "
            f"--map {missing[0]}=COLUMN"
        )


def _numbers(column: pl.Series, name: str) -> pl.Series:
    values = column.cast(pl.Float64, strict=False)
    lost = column.filter(values.is_null() & column.is_not_null())
    if len(lost):
        raise DataError(
            f"column {column.name} for {name}: {str(lost[0])[:40]!r} is no number ({len(lost)} rows)"
        )
    return values.alias(name)


def _symbols(table: pl.DataFrame, mapping: Mapping[str, str]) -> pl.Series:
    name = (
        "market"
        if "market" in mapping or ("market" in table.columns and "symbol" not in mapping)
        else "symbol"
    )
    source = mapping.get(name, name)
    if source not in table.columns and "/" in source:
        return pl.repeat(source, table.height, dtype=pl.String, eager=True)
    if source not in table.columns:
        raise DataError(
            f"no column {source} for {name}; found {', '.join(table.columns[:20])}. Name it with "
            "--map symbol=COLUMN, or give one symbol for the file: --map symbol=BTC/USDT"
        )
    column = table[source].cast(pl.String)
    if column.null_count():
        raise DataError(f"{column.null_count()} rows have no {name} in column {source}")
    return column


def _markets(symbols: pl.Series, exchange: str | None, quote: str | None, any_symbol: bool) -> pl.Series:
    names_found, column = market_columns(symbols)
    known = list(names_found)
    try:
        names = market_names(known, exchange=exchange, quote=quote)
    except DataError:
        if not any_symbol:
            raise
        names = {symbol: f"{exchange}:{symbol}" if exchange else symbol for symbol in known}
    return pl.Series("market", [names[symbol] for symbol in known], dtype=pl.String).gather(column)
