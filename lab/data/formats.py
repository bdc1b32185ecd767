"""Files that other programs wrote: Binance's public klines, freqtrade's candles, pages of downloads."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.core.errors import ConfigError, DataError
from lab.core.frames import BAR_COLUMNS
from lab.core.timeframe import Timeframe

__all__ = [
    "PAGE_VERSION",
    "Table",
    "binance_header",
    "binance_symbol",
    "read_binance",
    "read_freqtrade",
    "read_page",
]

PAGE_VERSION: Final = 1
MAX_BYTES: Final = 1 << 30
# Klines shrink about tenfold; a thousandfold is no data. Small files may hold one line again and again.
MAX_RATIO: Final = 200
_SMALL: Final = 1 << 20

_BINANCE: Final = (
    "open_time", *BAR_COLUMNS, "close_time", "quote_volume", "count", "taker_buy_volume",
    "taker_buy_quote_volume", "ignore",
)  # fmt: skip
_BINANCE_NAME: Final = re.compile(r"([A-Z0-9]{4,40})-(\d+[a-zA-Z]+)-\d{4}-\d{2}(-\d{2})?")
# Longest first would be a guess: a symbol that two of them end is refused.
_QUOTES: Final = (
    "USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USDP", "USDS", "USD1", "UST", "DAI", "VAI", "PAX", "BTC", "ETH",
    "BNB", "XRP", "TRX", "DOGE", "DOT", "SOL", "EUR", "EURI", "AEUR", "GBP", "AUD", "JPY", "TRY", "BRL",
    "RUB", "UAH", "NGN", "ZAR", "IDRT", "BIDR", "BVND", "ARS", "COP", "CZK", "MXN", "PLN", "RON",
)  # fmt: skip
_FREQTRADE_NAME: Final = re.compile(
    r"(?P<base>[A-Za-z0-9.-]+?)_(?P<quote>[A-Za-z0-9.]+?)(_(?P<settle>[A-Za-z0-9.]+))?"
    r"-(?P<timeframe>\d+[a-zA-Z]+)(-(?P<kind>[a-z_]+))?"
)
_DAMAGED: Final = (OSError, EOFError, ValueError, RecursionError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True, slots=True)
class Table:
    """What a file holds, before its columns are judged.

    Parameters
    ----------
    frame : polars.DataFrame
        Its rows.
    mapping : mapping
        Its columns by meaning, and its symbol where the file's name told it.
    timeframe : Timeframe or None
        Where the file tells it.
    """

    frame: pl.DataFrame
    mapping: Mapping[str, str] = field(default_factory=dict)
    timeframe: Timeframe | None = None


def binance_header(line: bytes) -> bool:
    """Tell whether a file's first line is one of Binance's: twelve numbers, or their names.

    Examples
    --------
    >>> binance_header(b"1502942400000,4261,4328,4261,4315,70,1502945999999,304,171,47,203,0")
    True
    """
    cells = line.decode("ascii", errors="replace").strip().split(",")
    if len(cells) != len(_BINANCE):
        return False
    named = cells[0] == "open_time" and cells[-1] == "ignore"
    return named or all(re.fullmatch(r"-?\d+(\.\d+)?", cell) for cell in cells)


def read_binance(path: Path, *, named: bool = False) -> Table:
    """Read public klines of Binance, as CSV or as the zip around it; header or none.

    The symbol comes from the file's name (``BTCUSDT-1d-2024-01.zip``) unless it is `named` elsewhere; the
    timeframe from its opening and closing times, which must agree in every row.

    Raises
    ------
    DataError
        If the file is not the one whose checksum lies beside it; if the archive holds anything but one CSV
        file, unpacks to more than a gigabyte or two hundred times its size, or is damaged; if the rows are
        no klines.
    """
    name, data = path.name, _bytes(path)
    _check_published(path, data)
    if data[:4] == b"PK\x03\x04":
        name, data = _unzipped(data, name)
    first = data.split(b"\n", 1)[0]
    if not binance_header(first):
        raise DataError(f"no klines of Binance: expected {len(_BINANCE)} columns, {', '.join(_BINANCE)}")
    last = data.rstrip(b"\r\n").rsplit(b"\n", 1)[-1]
    if last.count(b",") != len(_BINANCE) - 1:
        raise DataError(f"truncated: the last line has {last.count(b',') + 1} columns, expected 12")
    try:
        frame = pl.read_csv(
            io.BytesIO(data),
            has_header=False,
            skip_rows=int(first.startswith(b"open_time")),
            new_columns=list(_BINANCE),
            infer_schema_length=10_000,
        )
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise DataError(f"not readable as klines of Binance: {str(error).splitlines()[0][:200]}") from None
    if len(frame.columns) != len(_BINANCE):
        raise DataError(f"no klines of Binance: {len(frame.columns)} columns found, expected 12")
    symbol = None if named else binance_symbol(path.name) or binance_symbol(name)
    mapping = {"ts": "open_time", **({"symbol": symbol} if symbol else {})}
    return Table(frame, mapping, _binance_timeframe(frame))


def _check_published(path: Path, data: bytes) -> None:
    """Compare with the checksum that is published beside the file, where that was fetched, too."""
    beside = path.with_name(f"{path.name}.CHECKSUM")
    if not beside.is_file() or beside.stat().st_size > 4_096:
        return
    published = beside.read_bytes().split()[:1]
    if (
        published
        and published[0].decode("ascii", errors="replace").lower() != hashlib.sha256(data).hexdigest()
    ):
        raise DataError(f"the file is not the one that {beside.name} tells of; fetch it again")


def binance_symbol(name: str) -> str | None:
    """Return BASE/QUOTE of a file's name; None where it tells none.

    Raises
    ------
    DataError
        If the name's symbol ends in no known quote currency, or in two.

    Examples
    --------
    >>> binance_symbol("BTCUSDT-1d-2024-01.zip")
    'BTC/USDT'
    """
    match = _BINANCE_NAME.match(name)
    if match is None:
        return None
    symbol = match[1]
    fits = [quote for quote in _QUOTES if symbol.endswith(quote) and len(symbol) > len(quote)]
    if len(fits) != 1:
        found = " or ".join(fits) if fits else "no known currency"
        raise DataError(f"{symbol} ends in {found}; say which with --map symbol=BASE/QUOTE")
    return f"{symbol.removesuffix(fits[0])}/{fits[0]}"


def _binance_timeframe(frame: pl.DataFrame) -> Timeframe:
    opened, closed = frame["open_time"], frame["close_time"]
    if not (opened.dtype.is_integer() and closed.dtype.is_integer()) or opened.null_count():
        raise DataError("open_time and close_time are no whole numbers; expected times since 1970")
    lengths = (closed - opened + 1).unique().sort().to_list()
    per_second = 1_000_000 if int(opened.max() or 0) > 10**14 else 1_000  # type: ignore[arg-type]
    if len(lengths) != 1 or not lengths[0] or lengths[0] % (60 * per_second):
        shown = ", ".join(f"{length / per_second:g} s" for length in lengths[:4] if length is not None)
        raise DataError(f"bars of several lengths: {shown}; expected one timeframe of at least a minute")
    return _timeframe(lengths[0] // per_second)


def _timeframe(seconds: int) -> Timeframe:
    for unit, size in (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % size == 0:
            return Timeframe.parse(f"{seconds // size}{unit}")
    raise DataError(f"bars are {seconds} seconds long; expected whole minutes")


def _bytes(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise DataError(f"{size:,} bytes; at most {MAX_BYTES:,} are read of one file of this format")
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}") from None


def _unzipped(data: bytes, name: str) -> tuple[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) != 1 or not members[0].filename.lower().endswith(".csv"):
                names = ", ".join(repr(member.filename[:60]) for member in members[:5])
                raise DataError(f"the archive holds {names or 'nothing'}; expected one CSV file")
            member = members[0]
            if re.search(r"[/\\:\x00]|\.\.", member.filename):
                raise DataError(f"the archive names a path, {member.filename[:80]!r}; refused")
            allowed = min(MAX_BYTES, max(_SMALL, MAX_RATIO * len(data)))
            with archive.open(member) as file:
                # The size an archive declares may lie: what counts is what comes out.
                unpacked = file.read(allowed + 1)
    except (RuntimeError, NotImplementedError) as error:  # encrypted, or an unknown compression
        raise DataError(f"the archive cannot be opened: {error}") from None
    except DataError:
        raise
    except _DAMAGED as error:
        raise DataError(f"not readable as zip, truncated or damaged: {error}") from None
    if len(unpacked) > allowed:
        raise DataError(f"{name} unpacks to more than {allowed:,} bytes; refused")
    return member.filename, unpacked


def read_freqtrade(path: Path) -> Table:
    """Read candles of freqtrade: feather, JSON or Parquet, the pair in the name (``BTC_USDT-1d.feather``).

    Raises
    ------
    DataError
        If the file is damaged, holds something else, or its name tells candles that are no trades (mark,
        index, funding rates).
    """
    data = _bytes(path)
    columns = ["date", *BAR_COLUMNS]
    try:
        if data[:6] == b"ARROW1":
            frame = pl.read_ipc(io.BytesIO(data))
        elif data[:4] == b"PAR1":
            frame = pl.read_parquet(io.BytesIO(data))
        else:
            frame = _rows(json.loads(data), columns)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, *_DAMAGED) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"not readable as candles of freqtrade, truncated or damaged: {str(error)[:200]}"
        ) from None
    missing = [column for column in columns if column not in frame.columns]
    if missing or frame.is_empty():
        found = "no rows" if not missing else f"no column {missing[0]} among {', '.join(frame.columns[:12])}"
        raise DataError(f"{found}; expected candles of freqtrade: {', '.join(columns)}")
    symbol, timeframe = _freqtrade_name(path.name)
    return Table(frame, {"ts": "date", **({"symbol": symbol} if symbol else {})}, timeframe)


def _freqtrade_name(name: str) -> tuple[str | None, Timeframe | None]:
    match = _FREQTRADE_NAME.fullmatch(Path(name).stem)
    if match is None:
        return None, None
    if match["kind"] not in {None, "futures", "spot"}:
        raise DataError(f"{name} holds {match['kind']} candles, which are no trades; refused as bars")
    settle = f":{match['settle']}" if match["settle"] else ""
    try:
        timeframe = Timeframe.parse(match["timeframe"])
    except ConfigError as error:
        raise DataError(f"{name}: {error}") from None
    return f"{match['base']}/{match['quote']}{settle}", timeframe


def read_page(path: Path) -> Table:
    """Read a kept page of a download: the bars that had closed by the exchange's clock when it was asked."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(_bytes(path))) as file:
            unpacked = file.read(MAX_BYTES + 1)
        if len(unpacked) > MAX_BYTES:
            raise DataError(f"unpacks to more than {MAX_BYTES:,} bytes; refused")
        page = json.loads(unpacked)
        version = page["schema_version"]
        if version != PAGE_VERSION:
            raise DataError(f"schema version {version} found, this program reads pages of {PAGE_VERSION}")
        rows = [row for row in page["rows"] if page["from"] <= row[0] < page["until"]]
        frame = _rows(rows, ["ts", *BAR_COLUMNS])
        market, timeframe = f"{page['exchange']}:{page['market']}", Timeframe.parse(page["timeframe"])
    except DataError:
        raise
    except (KeyError, TypeError, IndexError, *_DAMAGED) as error:
        raise DataError(f"not readable as a page of a download, truncated or damaged: {error}") from None
    return Table(frame.with_columns(pl.lit(market).alias("market")).sort("ts"), {}, timeframe)


def _rows(rows: Any, columns: list[str]) -> pl.DataFrame:
    whole = isinstance(rows, list) and bool(rows)
    if not whole or not all(isinstance(row, list) and len(row) >= len(columns) for row in rows):
        raise DataError(f"no list of rows of {len(columns)} values ({', '.join(columns)})")
    values: list[pl.Series] = []
    for position, column in enumerate(columns):
        cells = [row[position] for row in rows]
        if not all(isinstance(cell, (int, float, type(None))) for cell in cells):
            raise DataError(f"column {column} holds something that is no number")
        values.append(pl.Series(column, cells, dtype=pl.Float64 if position else None, strict=False))
    return pl.DataFrame(values)
