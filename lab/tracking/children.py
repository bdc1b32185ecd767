"""Parts of a run as runs of their own, all in one transaction.

MLflow's client takes four calls and some 25 ms of a processor for each: with thirty of them more than a small
search itself. The rows are those that the client would write; a test compares them.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["ChildRun", "add_children"]


@dataclass(frozen=True, slots=True)
class ChildRun:
    """A finished run below another, in MLflow's terms: texts cut to its limits, metrics finite.

    Parameters
    ----------
    name : str
    started, ended : int
        Milliseconds since 1970, UTC.
    status : str
    params, tags : mapping of str to str
    metrics : mapping of str to float
    """

    name: str
    started: int
    ended: int
    status: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]


def add_children(database: Path, parent: str, artifacts: str, children: Iterable[ChildRun]) -> list[str]:
    """Add runs below the run `parent` to MLflow's SQLite database; return their run ids, in order.

    All of them are there, or none. What they share with the parent (experiment, user) is copied from its row.

    Parameters
    ----------
    database : Path
        Written by nobody else meanwhile.
    parent : str
        Run id.
    artifacts : str
        URI of the folder in which every run has a folder of artifacts.
    children : iterable of ChildRun
    """
    made = [(uuid.uuid4().hex, child) for child in children]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("PRAGMA synchronous=NORMAL")
        cursor = connection.execute("SELECT * FROM runs WHERE run_uuid = ?", (parent,))
        columns = [column[0] for column in cursor.description]
        known = dict(zip(columns, cursor.fetchone(), strict=True))
        rows = [_run(known, run_id, artifacts, child) for run_id, child in made]
        _insert(connection, "runs", columns, ([row[name] for name in columns] for row in rows))
        for table in ("params", "tags"):
            texts = (
                (key, text, run_id) for run_id, child in made for key, text in _texts(child, table).items()
            )
            _insert(connection, table, ("key", "value", "run_uuid"), texts)
        for table in ("metrics", "latest_metrics"):
            figures = (
                (key, value, child.started, 0, 0, run_id)
                for run_id, child in made
                for key, value in child.metrics.items()
            )
            _insert(connection, table, ("key", "value", "timestamp", "step", "is_nan", "run_uuid"), figures)
    return [run_id for run_id, _ in made]


def _run(parent: Mapping[str, Any], run_id: str, artifacts: str, child: ChildRun) -> dict[str, Any]:
    return {
        **parent,
        "run_uuid": run_id,
        "name": child.name,
        "status": child.status,
        "start_time": child.started,
        "end_time": child.ended,
        "artifact_uri": f"{artifacts}/{run_id}/artifacts",
    }


def _texts(child: ChildRun, table: str) -> dict[str, str]:
    # MLflow keeps the name twice.
    return dict(child.params) if table == "params" else {**child.tags, "mlflow.runName": child.name}


def _insert(
    connection: sqlite3.Connection, table: str, columns: Iterable[str], rows: Iterable[Sequence[Any]]
) -> None:
    names = list(columns)
    places = ", ".join("?" * len(names))
    connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", rows)  # noqa: S608
