"""Makes coarser bars of stored ones, or bars of trades, compares them with what is stored, and adds them."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store.atomic import write_parquet
from lab.core.errors import DataError
from lab.core.frames import BAR_COLUMNS, PRICE_COLUMNS, TS
from lab.core.timeframe import Timeframe
from lab.data.aggregation import aggregate_bars, bars_from_trades
from lab.data.catalog import Catalog
from lab.data.importing import import_files
from lab.data.stamps import read_stamps
from lab.data.symbols import market_names

__all__ = ["Resampled", "read_trades", "resample", "resample_trades"]

# Sums of the same volumes in another order differ in their last bits.
VOLUME_TOLERANCE: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Resampled:
    """What became of one market.

    Parameters
    ----------
    market, timeframe : str
        Of the bars made.
    made, partial : int
        Whole bars; bars left out because a part of them is missing.
    equal, different, new : int
        Of the bars made: those stored already with the same prices and volume (within 1e-9), those stored
        with others (they stay as they are), those not stored yet.
    first_difference : str
        ``ts column: made, stored`` of the first differing value; empty when all agree.
    """

    market: str
    timeframe: str
    made: int
    partial: int
    equal: int
    different: int
    new: int
    first_difference: str

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def resample(
    *,
    root: Path,
    source: str | Timeframe,
    target: str | Timeframe,
    arrived: datetime,
    exchange: str | None = None,
    markets: Sequence[str] = (),
    store: bool = True,
) -> list[Resampled]:
    """Make `target` bars of all stored `source` bars that are not BAD.

    Parameters
    ----------
    root : Path
        Folder under which ``data/`` lies.
    source, target : str or Timeframe
        Length of the stored bars, and of those wanted.
    arrived : datetime
        Now: when the new bars become known. They are kept under ``data/raw`` too, like any import.
    exchange, markets : optional
        Only these; default: all with `source` bars.
    store : bool
        Add the bars that are not stored yet; False only compares.

    Raises
    ------
    DataError
        If no such bars are stored.
    """
    fine, coarse = Timeframe.parse(source), Timeframe.parse(target)
    catalog = Catalog(root)
    names = list(markets) or [
        name
        for name in catalog.markets(fine)["market"].to_list()
        if exchange is None or name.startswith(f"{exchange}:")
    ]
    if not names:
        raise DataError(
            f"no {fine} bars are stored{f' of {exchange}' if exchange else ''}; import some first"
        )
    stored = catalog.bars(names, fine)
    received = stored.filter(pl.col("quality") != "BAD", pl.col("reason") != "filled")
    made = aggregate_bars(received, fine, coarse)
    spans = received.group_by("market").agg(number=_number(coarse).n_unique())
    records = _compared(catalog, made, dict(spans.iter_rows()), coarse)
    if store:
        _add(catalog, made, coarse, arrived, f"resampled-{fine}-{coarse}")
    return records


def resample_trades(
    path: Path,
    *,
    root: Path,
    target: str | Timeframe,
    exchange: str | None,
    arrived: datetime,
    mapping: Mapping[str, str] | None = None,
    store: bool = True,
) -> list[Resampled]:
    """Make bars of a file of trades; see :func:`read_trades` and :func:`resample`."""
    grid = Timeframe.parse(target)
    trades = read_trades(path, exchange=exchange, mapping=mapping or {})
    made = bars_from_trades(trades, grid)
    spans = trades.group_by("market").agg(number=_number(grid).n_unique())
    catalog = Catalog(root)
    records = _compared(catalog, made, dict(spans.iter_rows()), grid)
    if store:
        _add(catalog, made, grid, arrived, f"trades-{grid}")
    return records


def read_trades(path: Path, *, exchange: str | None, mapping: Mapping[str, str]) -> pl.DataFrame:
    """Read trades: columns ``ts, symbol`` or ``market, price, amount``, or those that `mapping` names.

    Returns
    -------
    polars.DataFrame
        ``ts, market, price, amount`` in the order of the file.

    Raises
    ------
    DataError
        Naming the file and what is wrong with it.
    """
    read = pl.read_csv if path.suffix == ".csv" else pl.read_parquet
    try:
        table = read(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: not readable as trades: {str(error).splitlines()[0]}") from None
    symbol = "market" if "market" in mapping or "market" in table.columns else "symbol"
    wanted = {name: mapping.get(name, name) for name in ("ts", symbol, "price", "amount")}
    missing = [f"{source} (for {name})" for name, source in wanted.items() if source not in table.columns]
    if missing:
        raise DataError(
            f"{path}: columns {', '.join(missing)} missing; found {', '.join(table.columns[:20])}. "
            "Name them with --map"
        )
    try:
        stamps, _ = read_stamps(table[wanted["ts"]])
        symbols = table[wanted[symbol]].cast(pl.String)
        names = market_names(symbols.unique().sort().to_list(), exchange=exchange, quote=None)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    market = symbols.replace_strict(names, return_dtype=pl.String).alias("market")
    numbers = [table[wanted[name]].cast(pl.Float64, strict=False).alias(name) for name in ("price", "amount")]
    return pl.DataFrame([stamps.alias("ts"), market, *numbers])


def _compared(
    catalog: Catalog, made: pl.DataFrame, spans: Mapping[str, int], grid: Timeframe
) -> list[Resampled]:
    known = _stored(catalog, sorted(spans), grid)
    joined = made.join(known, on=["market", "ts"], how="left", maintain_order="left", suffix="_stored")
    there = pl.col("_there").is_not_null()
    wrong = [_differs(column) & there for column in BAR_COLUMNS]
    judged = joined.with_columns(different=pl.any_horizontal(wrong), there=there)
    records = []
    for market in sorted(spans):
        rows = judged.filter(pl.col("market") == market)
        differ = rows.filter("different")
        records.append(
            Resampled(
                market=market,
                timeframe=str(grid),
                made=rows.height,
                partial=spans[market] - rows.height,
                equal=int(rows["there"].sum()) - differ.height,
                different=differ.height,
                new=rows.height - int(rows["there"].sum()),
                first_difference=_described(differ) if differ.height else "",
            )
        )
    return records


def _stored(catalog: Catalog, markets: list[str], grid: Timeframe) -> pl.DataFrame:
    listed = catalog.markets(grid)["market"].to_list()
    here = [name for name in markets if name in listed]
    if here:
        rows = catalog.bars(here, grid).filter(pl.col("reason") != "filled")
    else:
        rows = pl.DataFrame(schema=_EMPTY)
    return rows.select("market", "ts", *BAR_COLUMNS, pl.lit(True).alias("_there"))


_EMPTY: Final = {"market": pl.String(), "ts": TS, **dict.fromkeys(BAR_COLUMNS, pl.Float64())}


def _differs(column: str) -> pl.Expr:
    made, stored = pl.col(column), pl.col(f"{column}_stored")
    if column in PRICE_COLUMNS:
        return made.ne_missing(stored)
    return ~((made - stored).abs() <= VOLUME_TOLERANCE * stored.abs()).fill_null(False)


def _described(differ: pl.DataFrame) -> str:
    row = differ.row(0, named=True)
    column = next(
        name for name in BAR_COLUMNS if differ.head(1).select(_differs(name).alias("wrong"))["wrong"][0]
    )
    return f"{row['ts']:%Y-%m-%d %H:%M}Z {column}: {row[column]!r} made, {row[f'{column}_stored']!r} stored"


def _add(catalog: Catalog, made: pl.DataFrame, grid: Timeframe, arrived: datetime, name: str) -> None:
    known = _stored(catalog, sorted(made["market"].unique().to_list()), grid)
    fresh = made.join(known, on=["market", "ts"], how="anti", maintain_order="left")
    if fresh.is_empty():
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.parquet"
        write_parquet(path, fresh)
        (verdict,) = import_files([path], root=catalog.root, exchange=None, timeframe=grid, arrived=arrived)
    if not verdict.ok:
        raise DataError(verdict.error)


def _number(grid: Timeframe) -> pl.Expr:
    since = pl.col("ts").dt.epoch("us") - int(grid.open_time(0).timestamp()) * 1_000_000
    return since // grid.microseconds
