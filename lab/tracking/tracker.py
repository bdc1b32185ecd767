"""Runs to MLflow and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from feature_store.atomic import write_bytes, write_parquet
from lab.core.errors import ConfigError
from lab.core.hashing import canonical_json
from lab.tracking.children import ChildRun, add_children
from lab.tracking.record import ChildRecord, DataInput, RunRecord, Scalar, TrackedRun
from lab.tracking.store import RunStore
from lab.tracking.usage import SYSTEM

__all__ = ["Tracker"]

_PARENT_TAG: Final = "mlflow.parentRunId"
_KIND_TAG: Final = "kind"
# MLflow's limits: it refuses longer parameters, tags and digests.
_LONGEST_PARAM: Final = 6_000
_LONGEST_TAG: Final = 8_000
_DIGEST_DIGITS: Final = 32
# Metrics in one call, which takes a thousand things of all kinds.
_LARGEST_BATCH: Final = 800
# Markdown, shown on the run's page.
_NOTE: Final = "Run again: `mnemo reproduce {run_id}` · tearsheet: `mnemo report {run_id}`"


class Tracker:
    """Writes run records to MLflow and reads them back.

    Only one process at a time writes: workers return results, their parent logs them. The first use in a
    root folder creates the database, which takes MLflow some seconds.

    Parameters
    ----------
    root : Path
        The folder that ``data/``, ``mlruns/`` and ``reports/`` lie under. Artifact paths are stored absolute;
        after the folder was moved or copied, the next use corrects them.
    """

    def __init__(self, root: Path) -> None:
        self._store = RunStore(root)

    def log(self, record: RunRecord) -> str:
        """Write a run, its children and artifacts; return the run id.

        The parent is completed last: whoever dies in between leaves a run that is still RUNNING, never one
        that looks finished. A record whose engines disagree is marked FAILED.

        Raises
        ------
        LockedError
            If another process is writing here for more than 30 seconds.
        StoreError
            If an artifact cannot be written.
        """
        with self._store.alone():
            run_id = self._log(self._store.open(), record)
            self._store.settle()
        return run_id

    def prepare(self) -> None:
        """Create or check the store, so that what cannot be logged is known before it is computed.

        Raises
        ------
        LockedError
            If another process is writing here for more than 30 seconds.
        StoreError
            If the store cannot be written.
        """
        with self._store.alone():
            self._store.open()

    def load_run(self, run_id: str) -> TrackedRun:
        """Read a run back.

        Raises
        ------
        ConfigError
            If no run here has that id.
        """
        unknown = ConfigError(
            f"run {run_id!r} not found under {self._store.folder}: expected the run id that backtest, tune "
            "or demo printed; check --root, or list the runs with 'mnemo ui'"
        )
        if not (len(run_id) == 32 and run_id.isalnum()) or not (self._store.folder / "mlflow.db").exists():
            raise unknown
        client = self._store.open()
        from mlflow.exceptions import MlflowException

        try:
            run = client.get_run(run_id)
        except MlflowException:
            raise unknown from None
        children = client.search_runs(
            [self._store.experiment],
            f"tags.`{_PARENT_TAG}` = '{run_id}'",
            order_by=["attributes.start_time ASC"],
        )
        folder = self._store.artifact_folder(run_id)
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        return TrackedRun(
            run_id=run_id,
            name=run.info.run_name,
            kind=run.data.tags.get(_KIND_TAG, ""),
            status=run.info.status,
            started=_from_milliseconds(run.info.start_time),
            ended=_from_milliseconds(run.info.end_time) if run.info.end_time else None,
            params=dict(run.data.params),
            tags={name: text for name, text in run.data.tags.items() if not name.startswith("mlflow.")},
            metrics={name: value for name, value in run.data.metrics.items() if not name.startswith(SYSTEM)},
            children=tuple(child.info.run_id for child in children),
            artifacts={file.name: file for file in files},
            parent=run.data.tags.get(_PARENT_TAG),
        )

    def _log(self, client: Any, record: RunRecord) -> str:
        from mlflow.entities import Param, RunTag

        status = "FAILED" if record.failed else "FINISHED"
        started, ended = _milliseconds(record.started), _milliseconds(record.ended)
        tags = {_KIND_TAG: record.kind, **record.provenance.tags(), **record.tags, **_shown(record)}
        run_id: str = client.create_run(
            self._store.experiment, start_time=started, tags=_cut(tags), run_name=record.name
        ).info.run_id
        figures = _figures(record, started)
        client.log_batch(
            run_id,
            metrics=figures[:_LARGEST_BATCH],
            params=[Param(key, text) for key, text in _texts(record.params).items()],
            tags=[RunTag("mlflow.note.content", _NOTE.format(run_id=run_id))],
        )
        for start in range(_LARGEST_BATCH, len(figures), _LARGEST_BATCH):
            client.log_batch(run_id, metrics=figures[start : start + _LARGEST_BATCH])
        client.log_inputs(run_id, datasets=[_dataset(record.provenance.data)])
        self._write_artifacts(run_id, record)
        if record.children:
            shared = {_KIND_TAG: f"{record.kind}-part", _PARENT_TAG: run_id}
            # One millisecond apart, so that their order can be asked for.
            runs = (
                _child_run(child, shared, started + number, ended, status)
                for number, child in enumerate(record.children)
            )
            add_children(self._store.database, run_id, self._store.artifacts.as_uri(), runs)
        client.set_terminated(run_id, status=status, end_time=ended)
        return run_id

    def _write_artifacts(self, run_id: str, record: RunRecord) -> None:
        folder = self._store.artifact_folder(run_id)
        write_bytes(folder / "config.yaml", record.config.encode())
        write_bytes(folder / "result.json", canonical_json(_finite(record.result)).encode())
        patch = record.provenance.code.patch
        for name, text in {**record.files, **({"code.patch": patch} if patch else {})}.items():
            write_bytes(folder / name, text.encode("utf-8", "surrogateescape"))
        for name, table in record.tables.items():
            write_parquet(folder / f"{name}.parquet", table() if callable(table) else table)


def _figures(record: RunRecord, started: int) -> list[Any]:
    """Return the run's metrics and the samples of what it took of the machine, as MLflow's."""
    from mlflow.entities import Metric

    metrics = [Metric(key, value, started, 0) for key, value in _finite_metrics(record.metrics).items()]
    samples = [
        Metric(key, value, _milliseconds(sample.at), step)
        for step, sample in enumerate(record.usage)
        for key, value in sample.figures().items()
    ]
    return metrics + samples


def _child_run(
    child: ChildRecord, shared: Mapping[str, str], started: int, ended: int, status: str
) -> ChildRun:
    return ChildRun(
        name=child.name,
        started=started,
        ended=ended,
        status=status,
        params=_texts(child.params),
        tags=_cut({**child.tags, **shared}),
        metrics=_finite_metrics(child.metrics),
    )


def _shown(record: RunRecord) -> dict[str, str]:
    """Return the tags that MLflow's table of runs makes its columns Source and Version of."""
    commit = record.provenance.code.commit
    source = {"mlflow.source.name": f"mnemo {record.kind}", "mlflow.source.type": "LOCAL"}
    return source if commit is None else {**source, "mlflow.source.git.commit": commit}


def _dataset(data: DataInput) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=data.name,
        digest=data.content_hash[:_DIGEST_DIGITS],
        source_type="local",
        source=json.dumps({"uri": "data/bars"}),
        profile=canonical_json(dict(data.description)),
    )
    return DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "bars")])


def _finite(value: Any) -> Any:
    """Return JSON values with None where a number is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value


def _finite_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    return {key: float(value) for key, value in metrics.items() if math.isfinite(value)}


def _texts(params: Mapping[str, Scalar]) -> dict[str, str]:
    return {
        key: (repr(value) if isinstance(value, float) else str(value))[:_LONGEST_PARAM]
        for key, value in params.items()
    }


def _cut(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: text[:_LONGEST_TAG] for key, text in tags.items()}


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


def _from_milliseconds(moment: int) -> datetime:
    return datetime.fromtimestamp(moment / 1_000, tz=UTC)
