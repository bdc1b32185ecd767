"""From a run id to a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from feature_store.atomic import write_bytes
from lab.core.errors import ConfigError, DataError
from lab.core.hashing import digest
from lab.report import compare_runs, tearsheet
from lab.report.naming import file_stem
from lab.tracking import TrackedRun, Tracker

__all__ = ["PAGE", "write_comparison", "write_tearsheet"]

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
    run = _reportable(run_id, Tracker(root))
    name = f"{file_stem(str(run.result['strategy_id']))}-{run_id[:8]}.html"
    folder = run.artifacts["result.json"].parent
    page = tearsheet(folder, root / "reports" / name, run=_record(run))
    write_bytes(folder / PAGE, page.read_bytes())
    return page


def write_comparison(run_ids: Sequence[str], *, root: Path, shares: Sequence[float] = ()) -> Path:
    """Write the comparison of several runs to ``reports/comparison-<hash of the ids>.html``.

    Raises
    ------
    ConfigError
        If no run has one of the ids, an id is given twice, or the runs have no time in common.
    DataError
        If a run left no artifacts to report on, or has no equity of its own, as a campaign.
    """
    twice = [run_id for run_id in run_ids if list(run_ids).count(run_id) > 1]
    if twice:
        raise ConfigError(f"run {twice[0]} is given twice; compare it with another one")
    tracker = Tracker(root)
    runs = [_reportable(run_id, tracker) for run_id in run_ids]
    folders = [run.artifacts["result.json"].parent for run in runs]
    target = root / "reports" / f"comparison-{digest([list(run_ids), list(shares)])[:12]}.html"
    return compare_runs(folders, target, runs=[_record(run) for run in runs], shares=shares)


def _reportable(run_id: str, tracker: Tracker) -> TrackedRun:
    run = tracker.load_run(run_id)
    if "result.json" not in run.artifacts:
        raise DataError(
            f"run {run_id} has no result to report; it is a part of another run, or never completed"
        )
    return run


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
