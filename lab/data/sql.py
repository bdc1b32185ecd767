"""SQL over the stored bars: DuckDB views on the same Parquet files, read only, nothing copied."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl

from lab.core.errors import ConfigError, DataError
from lab.core.frames import TS
from lab.data.catalog import Catalog, store_errors

if TYPE_CHECKING:
    import duckdb

__all__ = ["query"]

_MARKETS: Final = """CREATE VIEW markets AS SELECT market, exchange, timeframe, count(*) AS bars,
min(ts) AS first, max(ts) AS last, max(known_at) AS known_at FROM bars GROUP BY ALL"""
_NO_MARKS: Final = pl.Schema(
    {
        "market": pl.String(),
        "timeframe": pl.String(),
        "ts": TS,
        "quality": pl.String(),
        "reason": pl.String(),
    }
)


def query(sql: str, *, root: Path, as_of: datetime | None = None) -> pl.DataFrame:
    """Run one SELECT over the views ``bars``, ``quality`` and ``markets``.

    Parameters
    ----------
    sql : str
        One statement. ``bars`` has ``market, ts, open, high, low, close, volume, known_at, exchange,
        timeframe``: rows as stored. ``quality`` has ``market, timeframe, ts, quality, reason``: their marks,
        made when asked for; single missing bars are in it as ``filled``. ``markets`` has ``market, exchange,
        timeframe, bars, first, last, known_at`` (the latest arrival). Times are UTC.
    root : Path
        Folder under which ``data/`` lies.
    as_of : datetime, optional
        What was known then (timezone-aware).

    Raises
    ------
    ConfigError
        If the statement is no single SELECT, or DuckDB refuses it; other files cannot be reached from it.
    DataError
        If nothing is stored, or a stored file is damaged.
    """
    import duckdb

    catalog = Catalog(root)
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        if as_of is None:
            _views_on_files(catalog, connection)
        else:
            connection.register("_known", _known(catalog, as_of).to_arrow())
            connection.execute("SET enable_external_access = false")
            connection.execute("CREATE VIEW bars AS SELECT * FROM _known")
        connection.execute(_MARKETS)
        if re.search(r"\bquality\b", sql, flags=re.IGNORECASE):
            connection.register("quality", _marks(catalog, as_of).to_arrow())
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise ConfigError("expected one SELECT statement; stored bars are read only")
            frame: pl.DataFrame = connection.sql(sql).pl()
        except duckdb.Error as error:
            raise ConfigError(f"the query cannot be run: {error}") from None
    stamps = [
        name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone
    ]
    return frame.with_columns(pl.col(name).dt.convert_time_zone("UTC") for name in stamps)


def _views_on_files(catalog: Catalog, connection: duckdb.DuckDBPyConnection) -> None:
    parts: list[str] = []
    everything: list[Path] = []
    with store_errors():
        for exchange, timeframe in catalog.datasets():
            files = catalog.store.files(f"{exchange}/{timeframe}")
            everything += files
            names = ", ".join(_quoted(path) for path in files)
            parts.append(
                f"SELECT *, {_quoted(exchange)} AS exchange, {_quoted(str(timeframe))} AS timeframe "  # noqa: S608
                f"FROM read_parquet([{names}])"
            )
    _some(parts)
    connection.execute(f"SET allowed_paths = [{', '.join(_quoted(path) for path in everything)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute(f"CREATE VIEW bars AS {' UNION ALL BY NAME '.join(parts)}")


def _known(catalog: Catalog, as_of: datetime) -> pl.DataFrame:
    frames = []
    with store_errors():
        for exchange, timeframe in catalog.datasets():
            rows = catalog.scan(f"{exchange}/{timeframe}", as_of=as_of)
            labels = (pl.lit(exchange).alias("exchange"), pl.lit(str(timeframe)).alias("timeframe"))
            frames.append(rows.with_columns(*labels).collect())
    _some(frames)
    return pl.concat(frames)


def _marks(catalog: Catalog, as_of: datetime | None) -> pl.DataFrame:
    frames = [pl.DataFrame(schema=_NO_MARKS)]
    for (timeframe,), rows in catalog.markets(as_of=as_of).group_by("timeframe", maintain_order=True):
        marked = catalog.bars(rows["market"].to_list(), str(timeframe), as_of=as_of)
        frames.append(
            marked.select("market", pl.lit(timeframe).alias("timeframe"), "ts", "quality", "reason")
        )
    return pl.concat(frames)


def _some(parts: list[str] | list[pl.DataFrame]) -> None:
    if not parts:
        raise DataError("no bars are stored; import some with 'mnemo data import'")


def _quoted(value: Path | str) -> str:
    return "'" + str(value).replace("'", "''") + "'"
