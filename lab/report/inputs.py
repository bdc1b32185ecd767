"""What a report is made of: the folder of files that a run left, read once and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.core.errors import ConfigError, DataError, FrameError
from lab.core.frames import TS
from lab.core.timeframe import Timeframe

__all__ = ["TABLES", "ReportInput"]

# Columns that a table must have if the run recorded it; more are kept.
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "equity": ("ts", "equity"),
    "returns": ("ts", "return", "turnover", "cost", "exposure"),
    "benchmark": ("ts", "equity"),
    "in_sample": ("ts", "equity"),
    "weights": ("ts", "market", "weight"),
    "positions": ("ts", "market", "weight"),
    "orders": ("ts", "market", "side", "quantity", "price", "notional", "fee", "slippage"),
    "trades": ("market", "entry_ts", "exit_ts", "bars", "profit", "return", "fees", "open"),
    "risk_events": ("ts", "market", "reasons"),
    "dropped": ("ts", "market", "reason"),
    "bars": ("ts", "market", "close"),
    "quality": ("market", "quality", "reason", "bars"),
    "folds": ("fold", "test_start", "test_end", "train_sharpe", "test_sharpe"),
    "trials": ("fold", "sharpe"),
    "pbo": ("logit",),
    "diagnostics": ("ts", "market", "weight", "reasons"),
}
_REQUIRED: Final = ("equity",)


@dataclass(frozen=True, slots=True, eq=False)
class ReportInput:
    """Everything that a tearsheet may show of one run; what was not recorded is absent, never made up.

    Attributes
    ----------
    result : mapping
        ``result.json``: strategy_id, family, metrics, benchmark, deflated_sharpe, n_trials, pbo, hashes, …
    tables : mapping of str to DataFrame
        ``<name>.parquet`` by name; the columns each must have are in :data:`TABLES`. ``ts`` is a bar's
        opening time, UTC.
    certificate : mapping or None
        ``certificate.json``, as ``mnemo parity --json`` prints it.
    run : mapping
        What the run's record says beside its files: run_id, kind, status, started, ended, params, metrics,
        tags. Empty for a folder that is no tracked run.
    timeframe : Timeframe
        From the result, or the shortest distance between two bars.

    Examples
    --------
    >>> frame = pl.DataFrame({"ts": [0, 86_400_000_000], "equity": [100.0, 101.0]})
    >>> frame = frame.with_columns(pl.col("ts").cast(pl.Datetime("us", "UTC")))
    >>> report = ReportInput({"strategy_id": "a"}, {"equity": frame}, None, {}, Timeframe.parse("1d"))
    >>> report.fact("strategy_id"), report.fact("seed"), report.table("trades")
    ('a', None, None)
    """

    result: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame]
    certificate: Mapping[str, Any] | None
    run: Mapping[str, Any] = field(default_factory=dict)
    timeframe: Timeframe = field(default_factory=lambda: Timeframe.parse("1d"))

    @classmethod
    def read(cls, folder: Path | str, run: Mapping[str, Any] | None = None) -> ReportInput:
        """Read a run's folder.

        Parameters
        ----------
        folder : path
            Holds ``result.json`` and ``equity.parquet``, and of the other tables those that were recorded.
        run : mapping, optional
            What the run's record says beside its files.

        Raises
        ------
        DataError
            If the folder or a required file is missing, or a file cannot be read.
        FrameError
            If a table lacks a column.
        """
        place = Path(folder)
        if not place.is_dir():
            raise DataError(f"{place} is not a folder; expected the folder of a run's artifacts")
        result = _document(place / "result.json")
        if result is None:
            raise DataError(f"{place} has no result.json; expected the folder of a run's artifacts")
        tables = {name: frame for name in TABLES if (frame := _table(place, name)) is not None}
        for name in _REQUIRED:
            if name not in tables:
                raise DataError(f"{place} has no {name}.parquet, without which there is nothing to report")
        return cls(
            result=result,
            tables=tables,
            certificate=_document(place / "certificate.json") or result.get("certificate"),
            run=dict(run or {}),
            timeframe=_timeframe(result, tables["equity"]),
        )

    def table(self, name: str) -> pl.DataFrame | None:
        """Return a table that has rows, or None."""
        frame = self.tables.get(name)
        return frame if frame is not None and frame.height else None

    def fact(self, name: str) -> Any:
        """Return a single recorded fact: from the result, else the run's tags, params or record; or None."""
        places = (self.result, self.run.get("tags") or {}, self.run.get("params") or {}, self.run)
        return next((place[name] for place in places if place.get(name) is not None), None)

    def text(self, name: str) -> str:
        """Return a fact as text, empty where it was not recorded."""
        found = self.fact(name)
        return "" if found is None else str(found)

    def number(self, name: str) -> float | None:
        """Return a fact as a number, None where it was not recorded or is no number."""
        found = self.fact(name)
        try:
            return None if found is None else float(found)
        except (TypeError, ValueError):
            return None

    @property
    def metrics(self) -> dict[str, float]:
        """The run's logged metrics; what is missing or was not a number stays out."""
        logged = self.result.get("metrics") or self.run.get("metrics") or {}
        return {name: float(value) for name, value in logged.items() if isinstance(value, (int, float))}

    @property
    def benchmark_metrics(self) -> dict[str, float]:
        """The logged metrics of the benchmark."""
        logged = (self.result.get("benchmark") or {}).get("metrics") or {}
        return {name: float(value) for name, value in logged.items() if isinstance(value, (int, float))}

    @property
    def markets(self) -> tuple[str, ...]:
        """The markets, as recorded or as seen in the bars."""
        named = self.result.get("markets")
        if named:
            return tuple(str(name) for name in named)
        for table in ("bars", "positions", "weights"):
            frame = self.table(table)
            if frame is not None:
                return tuple(frame["market"].unique().sort())
        return ()

    @property
    def periods_per_year(self) -> float:
        """Bars in a year, by which figures are annualised."""
        return self.timeframe.periods_per_year


def _document(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{path} holds {type(found).__name__}; expected a JSON object")
    return found


def _table(folder: Path, name: str) -> pl.DataFrame | None:
    path = folder / f"{name}.parquet"
    if not path.exists():
        return None
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    missing = [column for column in TABLES[name] if column not in frame.columns]
    if missing:
        raise FrameError(f"{path}: columns {', '.join(missing)} missing; found {', '.join(frame.columns)}")
    if "ts" in frame.columns:
        return frame.with_columns(pl.col("ts").cast(TS)).sort("ts", maintain_order=True)
    return frame


def _timeframe(result: Mapping[str, Any], equity: pl.DataFrame) -> Timeframe:
    if result.get("timeframe"):
        return Timeframe.parse(str(result["timeframe"]))
    step = equity["ts"].diff().drop_nulls().min()
    if step is None:
        raise DataError(f"result.json names no timeframe and equity has {equity.height} bars; expected one")
    try:
        return Timeframe.from_seconds(step.total_seconds())  # type: ignore[union-attr]
    except ConfigError as error:
        raise DataError(f"result.json names no timeframe, and equity has none: {error}") from None
