"""From a run id to a page."""

from __future__ import annotations

from pathlib import Path

from lab.report import tearsheet
from lab.tracking import Tracker

__all__ = ["write_tearsheet"]


def write_tearsheet(run_id: str, *, root: Path) -> Path:
    """Write the tearsheet of a run to ``reports/<strategy_id>-<run_id>.html`` and return its path.

    Raises
    ------
    ConfigError
        If no run has that id.
    """
    run = Tracker(root).load_run(run_id)
    raise SystemExit(run and tearsheet)
