"""A run's equity, weights, trades and returns as files for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store.atomic import write_bytes, write_parquet
from lab.core.errors import ConfigError, DataError
from lab.tracking import TrackedRun, Tracker

__all__ = ["EXPORTED", "export_run", "quantstats_returns"]

EXPORTED: Final = ("equity", "returns", "benchmark", "weights", "positions", "orders", "trades")
_FORMATS: Final = ("csv", "parquet")


def export_run(
    run_id: str, *, root: Path, folder: Path, formats: tuple[str, ...] = _FORMATS
) -> dict[str, list[str]]:
    """Write a run's tables to `folder`, and its returns as QuantStats reads them.

    Parameters
    ----------
    run_id : str
        Of a backtest or a tune, of a strategy or a portfolio.
    root : Path
        The folder that ``mlruns/`` lies under.
    folder : Path
        Made if missing; files of the same names are replaced.
    formats : tuple of {"csv", "parquet"}

    Returns
    -------
    dict of str to list of str
        File names by table. ``quantstats_returns.csv`` has ``Date`` (a day, or the bar's time for shorter
        ones, UTC without a zone) and ``return``, simple and per bar:
        ``pandas.read_csv(path, index_col=0, parse_dates=True).squeeze()`` is what QuantStats takes.

    Raises
    ------
    ConfigError
        If no run has that id, or a format is unknown.
    DataError
        If the run recorded no equity: it is a part of a run, or never completed.
    """
    unknown = [name for name in formats if name not in _FORMATS]
    if unknown or not formats:
        raise ConfigError(f"format {unknown[0] if unknown else ''!r} unknown; expected csv, parquet or both")
    run = Tracker(root).load_run(run_id)
    if "equity.parquet" not in run.artifacts:
        raise DataError(
            f"run {run_id} recorded no equity; give the id of a whole backtest or tune"
            + ("" if run.parent is None else f", such as {run.parent}, which it is a part of")
        )
    written: dict[str, list[str]] = {}
    for name in EXPORTED:
        if f"{name}.parquet" in run.artifacts:
            written[name] = [_write(folder, name, run.table(name), form) for form in formats]
    write_bytes(folder / "quantstats_returns.csv", _csv(_dated(run)))
    return {**written, "quantstats": ["quantstats_returns.csv"]}


def quantstats_returns(run: TrackedRun) -> Any:
    """Return a run's simple returns per bar as the pandas Series that QuantStats takes.

    Indexed by time, UTC without a zone; named by the run.
    """
    frame = run.table("returns")
    times = frame["ts"].dt.replace_time_zone(None).to_pandas()
    series = frame["return"].to_pandas().set_axis(times)
    return series.rename(run.name).rename_axis("Date")


def _dated(run: TrackedRun) -> pl.DataFrame:
    frame = run.table("returns")
    days = (frame["ts"].dt.truncate("1d") == frame["ts"]).all()
    text = frame["ts"].dt.to_string("%Y-%m-%d" if days else "%Y-%m-%d %H:%M:%S")
    return pl.DataFrame({"Date": text, "return": frame["return"]})


def _write(folder: Path, name: str, table: pl.DataFrame, form: str) -> str:
    path = folder / f"{name}.{form}"
    if form == "parquet":
        write_parquet(path, table)
    else:
        write_bytes(path, _csv(table))
    return path.name


def _csv(table: pl.DataFrame) -> bytes:
    """Return CSV whose numbers read back to the same bits, and times with their zone."""
    nested = [name for name, kind in table.schema.items() if kind.is_nested()]
    flat = table.with_columns(pl.col(name).list.join("; ") for name in nested)
    return flat.write_csv(datetime_format="%Y-%m-%dT%H:%M:%SZ").encode()
