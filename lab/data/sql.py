"""SQL over the stored bars: DuckDB views on the same Parquet files, read only, nothing copied."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lab.core.errors import ConfigError, DataError
from lab.data.catalog import Catalog, store_errors

__all__ = ["query"]


def query(sql: str, *, root: Path) -> pl.DataFrame:
    """Run one SELECT over the view ``bars``.

    Parameters
    ----------
    sql : str
        One statement. The view has ``market, ts, open, high, low, close, volume, known_at, exchange,
        timeframe``: rows as stored, without marks. Times are UTC.
    root : Path
        Folder under which ``data/`` lies.

    Raises
    ------
    ConfigError
        If the statement is no single SELECT, or DuckDB refuses it; other files cannot be reached from it.
    DataError
        If nothing is stored, or a stored file is damaged.
    """
    import duckdb

    view, files = _view(Catalog(root))
    with duckdb.connect(":memory:") as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"SET allowed_paths = [{', '.join(_quoted(path) for path in files)}]")
        connection.execute("SET enable_external_access = false")
        connection.execute(view)
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise ConfigError("expected one SELECT statement; stored bars are read only")
            frame = connection.sql(sql).pl()
        except duckdb.Error as error:
            raise ConfigError(f"the query cannot be run: {error}") from None
    stamps = [
        name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone
    ]
    return frame.with_columns(pl.col(name).dt.convert_time_zone("UTC") for name in stamps)


def _view(catalog: Catalog) -> tuple[str, list[Path]]:
    parts, everything = [], []
    with store_errors():
        for exchange, timeframe in catalog.datasets():
            files = catalog.store.files(f"{exchange}/{timeframe}")
            everything += files
            names = ", ".join(_quoted(path) for path in files)
            parts.append(
                f"SELECT *, {_quoted(exchange)} AS exchange, {_quoted(str(timeframe))} AS timeframe "  # noqa: S608
                f"FROM read_parquet([{names}])"
            )
    if not parts:
        raise DataError("no bars are stored; import some with 'mnemo data import'")
    return f"CREATE VIEW bars AS {' UNION ALL BY NAME '.join(parts)}", everything


def _quoted(value: Path | str) -> str:
    return "'" + str(value).replace("'", "''") + "'"
