"""What is kept under a root: bars, features, trial ledger, runs, journals. Looks, and changes nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from feature_store import FeatureStore
from lab.core.errors import MnemoError
from lab.data.raw import file_digest
from lab.pipeline.doctor.check import Check

__all__ = ["database", "journals", "ledger", "runs", "store"]

_SHOWN: Final = 3


def store(name: str, folder: Path, remedy: str) -> Check:
    """Compare every file of a store with the checksum in its manifest.

    Parameters
    ----------
    name : str
        Of the check.
    folder : Path
        Root of the store.
    remedy : str
        What makes damaged files again.
    """
    if not folder.is_dir():
        return Check(name, "skipped", f"nothing under {folder}")
    opened = FeatureStore(folder)
    files, rows, damaged = 0, 0, []
    for dataset in opened.datasets():
        manifest = opened.manifest(dataset)
        if manifest is None:
            continue
        rows += manifest.rows
        for part in manifest.partitions:
            for entry in (part, *((part.earlier,) if part.earlier is not None else ())):
                files += 1
                path = opened.folder(dataset) / entry.file
                if not path.is_file() or not file_digest(path).startswith(entry.sha256):
                    damaged.append(path.relative_to(folder).as_posix())
    if damaged:
        more = f" and {len(damaged) - _SHOWN} more" if len(damaged) > _SHOWN else ""
        said = f"{len(damaged)} of {files} files missing or changed: {', '.join(damaged[:_SHOWN])}{more}"
        return Check(name, "failed", said, remedy)
    return Check(name, "ok", f"{rows:,} rows in {files} files, all as written")


def ledger(root: Path) -> Check:
    """Walk the whole chain of the trial ledger."""
    from lab.search import Ledger

    trials = Ledger(root)
    if not trials.path.exists():
        return Check("trial ledger", "skipped", "no trial was recorded yet")
    try:
        report = trials.verify()
    except MnemoError as error:
        return Check(
            "trial ledger", "failed", str(error), "restore data/ledger from a copy; N is not known until then"
        )
    return Check(
        "trial ledger", "ok", f"{report.trials:,} trials in {report.batches:,} entries, chain intact"
    )


def runs(root: Path) -> Check:
    """Look at the database of runs and at the folder of their files."""
    path = root / "mlruns" / "mlflow.db"
    if not path.exists():
        return Check("runs", "skipped", "no run was logged yet")
    found = database("runs", path, "restore mlruns/mlflow.db from a copy")
    if found.status != "ok":
        return found
    with closing(_read_only(path)) as connection:
        known = [
            row[0] for row in connection.execute("SELECT run_uuid FROM runs WHERE lifecycle_stage = 'active'")
        ]
    folders = {folder.name for folder in (root / "mlruns" / "artifacts").glob("*") if folder.is_dir()}
    orphans = len(folders - set(known))
    note = f"; {orphans} folders of artifacts belong to no run" if orphans else ""
    return Check("runs", "ok", f"{len(known)} runs, database sound{note}")


def journals(root: Path) -> list[Check]:
    """Look at every journal of a bridge under ``data/live``."""
    files = sorted((root / "data" / "live").glob("*.sqlite"))
    if not files:
        return [Check("journal", "skipped", "no bridge has run here")]
    remedy = "'live-bridge status' names the first event that does not fit; see the runbook"
    return [database(f"journal {file.name}", file, remedy) for file in files]


def database(name: str, path: Path, remedy: str) -> Check:
    """Let SQLite check one of its files, opened read-only."""
    try:
        with closing(_read_only(path)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    except sqlite3.Error as error:
        return Check(name, "failed", f"{path}: {error}", remedy)
    if found != "ok":
        return Check(name, "failed", f"{path}: {found}", remedy)
    if not tables:
        return Check(name, "failed", f"{path}: an empty database", remedy)
    return Check(name, "ok", f"{path.name}: {path.stat().st_size / 1e6:,.1f} MB, sound")


def _read_only(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
