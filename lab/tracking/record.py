"""What is recorded of a run, as frozen values that know nothing of MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from lab.core.errors import ConfigError, DataError
from lab.core.tolerances import ENGINE_TOLERANCE
from lab.tracking.code import CodeVersion
from lab.tracking.usage import Sample

__all__ = ["ChildRecord", "DataInput", "Provenance", "RunRecord", "TrackedRun"]

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class DataInput:
    """Data that a run read.

    Parameters
    ----------
    name : str
        For example ``binance 1d``.
    content_hash : str
        SHA-256 of the bars; MLflow keeps the first 32 digits as the digest, a tag keeps all.
    description : mapping of str to scalar
        What identifies it to a reader: markets, timeframe, first and last bar, number of bars.
    """

    name: str
    content_hash: str
    description: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Everything a run depends on; what :command:`mnemo reproduce` needs to rebuild it.

    Parameters
    ----------
    code : CodeVersion
    strategy_id, family, strategy_version : str
    config_hash : str
        SHA-256 of the configuration file's content.
    config_version : str
        The ``version`` key of that file.
    data : DataInput
    feature_hashes : mapping of str to str
        Readable feature to the hash of its definition.
    seed : int
    engine_difference : float
        Largest relative difference of equity between the engines over every result kept.
    ledger_head : str
        Trial ledger that the result was judged by.
    """

    code: CodeVersion
    strategy_id: str
    family: str
    strategy_version: str
    config_hash: str
    config_version: str
    data: DataInput
    feature_hashes: Mapping[str, str]
    seed: int
    engine_difference: float
    ledger_head: str

    def tags(self) -> dict[str, str]:
        """Return the provenance as flat text tags."""
        return {
            "code_version": str(self.code),
            "code_dirty": str(self.code.dirty).lower(),
            "strategy_id": self.strategy_id,
            "family": self.family,
            "strategy_version": self.strategy_version,
            "config_hash": self.config_hash,
            "config_version": self.config_version,
            "data_hash": self.data.content_hash,
            "feature_hashes": json.dumps(dict(sorted(self.feature_hashes.items()))),
            "seed": str(self.seed),
            "engine_difference": repr(float(self.engine_difference)),
            "ledger_head": self.ledger_head,
        }


@dataclass(frozen=True, slots=True)
class ChildRecord:
    """A part of a run that is compared on its own: a fold, a winner.

    Parameters
    ----------
    name : str
    params : mapping of str to scalar
    metrics : mapping of str to float
    tags : mapping of str to str
    """

    name: str
    params: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run, ready to be logged.

    Parameters
    ----------
    name : str
        Shown in the list of runs; normally the strategy id.
    kind : str
        ``backtest``, ``tune``, …; becomes a tag.
    started, ended : datetime
        Timezone-aware.
    provenance : Provenance
    config : str
        Text of the configuration file; becomes the artifact ``config.yaml``.
    params : mapping of str to scalar
        Flat; what the compare view shows.
    metrics : mapping of str to float
        Few and well named. Values that are not finite stay out of MLflow, which would turn infinity into
        1.8e308; put them into `result`.
    result : mapping
        JSON values; becomes the artifact ``result.json``.
    tables : mapping of str to DataFrame, or to a callable that returns one
        Become the artifacts ``<name>.parquet``: equity, weights, trades, orders, trials, folds. A callable is
        for a large one: it is called when the table is written, which is kept no longer than that.
    children : tuple of ChildRecord
    tags : mapping of str to str
        Beyond those of the provenance.
    files : mapping of str to str
        Further text artifacts by file name: the files of a portfolio's instances.
    usage : tuple of Sample
        Processor and memory while it ran; become MLflow's system metrics.
    """

    name: str
    kind: str
    started: datetime
    ended: datetime
    provenance: Provenance
    config: str
    params: Mapping[str, Scalar]
    metrics: Mapping[str, float]
    result: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, pl.DataFrame | Callable[[], pl.DataFrame]] = field(default_factory=dict)
    children: tuple[ChildRecord, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    usage: tuple[Sample, ...] = ()

    def __post_init__(self) -> None:
        if self.started.tzinfo is None or self.ended.tzinfo is None:
            raise ConfigError(f"run {self.name}: times need a timezone; pass datetime.now(UTC)")
        wrong = [name for name in self.tables if not name.replace("_", "").isalnum()]
        if wrong:
            raise ConfigError(f"run {self.name}: table {wrong[0]!r}: letters, digits and _ expected")
        paths = [name for name in self.files if Path(name).name != name]
        if paths:
            raise ConfigError(f"run {self.name}: file {paths[0]!r}: a name expected, no path")

    def with_usage(self, samples: Iterable[Sample]) -> RunRecord:
        """Return the record with what the run took of the machine."""
        return replace(self, usage=tuple(samples))

    @property
    def failed(self) -> bool:
        """Whether the engines disagree, in equity or in what risk permits: such a run is marked FAILED."""
        agree = self.provenance.engine_difference <= ENGINE_TOLERANCE
        return not agree or self.result.get("status") == "FAILED"


@dataclass(frozen=True, slots=True)
class TrackedRun:
    """A run as it was logged.

    Parameters
    ----------
    run_id, name, kind, status : str
        Status as MLflow has it: FINISHED, FAILED, RUNNING (never completed).
    started, ended : datetime
        UTC; `ended` is None for a run that never completed.
    params, tags : mapping of str to str
    metrics : mapping of str to float
    children : tuple of str
        Run ids, in the order in which they were logged.
    artifacts : mapping of str to Path
        By file name.
    parent : str or None
        Run id of the run that this is a part of.
    """

    run_id: str
    name: str
    kind: str
    status: str
    started: datetime
    ended: datetime | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]
    children: tuple[str, ...]
    artifacts: Mapping[str, Path]
    parent: str | None = None

    @property
    def config(self) -> str:
        """Text of the configuration that was run."""
        return self._artifact("config.yaml").read_text()

    @property
    def result(self) -> dict[str, Any]:
        """The result document."""
        document: dict[str, Any] = json.loads(self._artifact("result.json").read_bytes())
        return document

    def table(self, name: str) -> pl.DataFrame:
        """Return a table by the name it was logged under.

        Raises
        ------
        DataError
            If the run has no such table.
        """
        return pl.read_parquet(self._artifact(f"{name}.parquet"))

    def _artifact(self, name: str) -> Path:
        if name not in self.artifacts:
            known = ", ".join(sorted(self.artifacts)) or "none"
            raise DataError(f"run {self.run_id} has no artifact {name}; it has: {known}")
        return self.artifacts[name]
