"""Where runs are: MLflow's SQLite database and the artifacts, under ``mlruns/``."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from feature_store.atomic import exclusive
from feature_store.errors import StoreError, StoreLockedError
from lab.core.errors import ConfigError, LockedError

__all__ = ["EXPERIMENT", "RunStore", "tracking_uri"]

EXPERIMENT: Final = "mnemo"


def tracking_uri(root: Path) -> str:
    """Return MLflow's tracking URI of a root folder.

    Raises
    ------
    ConfigError
        If MLflow would take the path for another.

    Examples
    --------
    >>> tracking_uri(Path("/srv/mnemo"))
    'sqlite:////srv/mnemo/mlruns/mlflow.db'
    """
    path = root.resolve() / "mlruns" / "mlflow.db"
    if set("%?") & set(str(path)):
        # MLflow reads %41 as a letter, and what follows a question mark as options of another file.
        raise ConfigError(
            f"--root {root}: MLflow cannot keep runs under a path with % or ?; rename the folder"
        )
    return f"sqlite:///{path}"


class RunStore:
    """The database and the artifacts of one root; opened when first needed.

    Parameters
    ----------
    root : Path
        The folder that ``data/``, ``mlruns/`` and ``reports/`` lie under.
    """

    def __init__(self, root: Path) -> None:
        self.folder = root.resolve() / "mlruns"
        self.database = self.folder / "mlflow.db"
        self.artifacts = self.folder / "artifacts"
        self.experiment = ""
        self._uri = tracking_uri(root)
        self._client: Any = None

    def artifact_folder(self, run_id: str) -> Path:
        """Return the folder of a run's artifacts."""
        return self.artifacts / run_id / "artifacts"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder's lock; what the store refuses becomes one sentence.

        Raises
        ------
        LockedError
            If another process is writing here for more than 30 seconds.
        StoreError
            If the store cannot be written.
        """
        # Before the lock: the import takes seconds, which others would have to wait for.
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            with exclusive(self.folder):
                yield
        except StoreLockedError as error:
            raise LockedError(str(error)) from None
        except (OSError, sqlite3.Error, SQLAlchemyError, MlflowException) as error:
            reason = str(error).splitlines()[0]
            raise StoreError(
                f"{self.folder}: runs cannot be written ({reason}). Check free space and permissions"
            ) from error

    def open(self) -> Any:
        """Return MLflow's client; create database and experiment once, before anybody else writes."""
        if self._client is not None:
            return self._client
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        # After the import, which sets them to INFO.
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self._require_readable()
        _log_ahead(self.database)
        client = MlflowClient(tracking_uri=self._uri)
        found = client.get_experiment_by_name(EXPERIMENT)
        location = self.artifacts.as_uri()
        if found is None:
            self.experiment = client.create_experiment(EXPERIMENT, artifact_location=location)
        else:
            self.experiment = found.experiment_id
            if found.artifact_location != location:
                try:
                    self._correct_locations(location)
                except sqlite3.OperationalError as error:
                    raise StoreError(
                        f"{self.database}: was moved, and its paths cannot be corrected ({error}). "
                        "Check free space and permissions"
                    ) from None
        self._client = client
        return client

    def _require_readable(self) -> None:
        # MLflow tries a file that is no database again and again, for about a minute.
        if not self.database.is_file():
            return
        try:
            with closing(sqlite3.connect(self.database)) as found:
                found.execute("PRAGMA schema_version").fetchone()
        except sqlite3.OperationalError:
            # Locked or read-only: another matter, which MLflow's own attempt decides.
            return
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{self.database}: runs cannot be read ({error}). Put a copy of it back, or move it away to "
                "start with no runs"
            ) from None

    def settle(self) -> None:
        """Move what was committed into the database's own file, durably: a copy of it is complete then."""
        with closing(sqlite3.connect(self.database)) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _correct_locations(self, location: str) -> None:
        with closing(sqlite3.connect(self.database)) as database, database:
            database.execute(
                "UPDATE experiments SET artifact_location = ? WHERE experiment_id = ?",
                (location, self.experiment),
            )
            database.execute(
                "UPDATE runs SET artifact_uri = ? || '/' || run_uuid || '/artifacts' WHERE experiment_id = ?",
                (location, self.experiment),
            )
            for column in ("source", "storage_location"):
                database.execute(
                    f"UPDATE model_versions SET {column} = ? || '/' || run_id || '/artifacts' "  # noqa: S608
                    f"WHERE run_id IS NOT NULL AND {column} IS NOT NULL",
                    (location,),
                )


@cache
def _log_ahead(path: Path) -> None:
    """Let connections to the database of `path` commit to a write-ahead log, without waiting for the disk.

    MLflow commits several times per run; each would wait for the disk twice. :meth:`RunStore.settle` waits
    once, when a run and its parts are complete.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    @event.listens_for(Engine, "connect")
    def prepare(connection: Any, _: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        files = {Path(row[2]) for row in connection.execute("PRAGMA database_list") if row[2]}
        if path in files:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
