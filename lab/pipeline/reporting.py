"""From a run id to a page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from feature_store.atomic import write_bytes
from lab.core.errors import DataError
from lab.report import tearsheet
from lab.report.naming import file_stem
from lab.tracking import TrackedRun, Tracker

__all__ = ["PAGE", "write_tearsheet"]

# Beside the run's files, where the MLflow UI shows it.
PAGE: Final = "tearsheet.html"


def write_tearsheet(run_id: str, *, root: Path) -> Path:
    """Write the tearsheet of a run to ``reports/<strategy_id>-<run id>.html`` and return its path.

    A copy goes to the run's artifacts, for the MLflow UI.

    Raises
    ------
    ConfigError
        If no run has that id.
    DataError
        If the run left no artifacts to report on.
    """
    run = Tracker(root).load_run(run_id)
    if "result.json" not in run.artifacts:
        raise DataError(
            f"run {run_id} has no result to report; it is a part of another run, or never completed"
        )
    name = f"{file_stem(str(run.result['strategy_id']))}-{run_id[:8]}.html"
    folder = run.artifacts["result.json"].parent
    page = tearsheet(folder, root / "reports" / name, run=_record(run))
    write_bytes(folder / PAGE, page.read_bytes())
    return page


def _record(run: TrackedRun) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "status": run.status,
        "started": run.started.isoformat(),
        "ended": None if run.ended is None else run.ended.isoformat(),
        "params": dict(run.params),
        "metrics": dict(run.metrics),
        "tags": dict(run.tags),
    }
