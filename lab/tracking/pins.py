"""What logged runs need of the stored bars, so that housekeeping leaves it alone."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from lab.core.errors import DataError
from lab.data.housekeeping import Pin

__all__ = ["pinned_by_runs"]


def pinned_by_runs(root: Path) -> list[Pin]:
    """Return the bars that runs read: of every run that was not deleted.

    Raises
    ------
    DataError
        If there are runs and what they read cannot be told: then nothing may be removed.
    """
    path = Path(root) / "mlruns" / "mlflow.db"
    if not path.exists():
        return []
    ask = (
        "SELECT DISTINCT runs.run_uuid, datasets.dataset_profile FROM runs "
        "JOIN inputs ON inputs.destination_id = runs.run_uuid AND inputs.destination_type = 'RUN' "
        "JOIN datasets ON datasets.dataset_uuid = inputs.source_id AND inputs.source_type = 'DATASET' "
        "WHERE runs.lifecycle_stage = 'active'"
    )
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            found = database.execute(ask).fetchall()
        return [pin for run, profile in found for pin in _pins(run, json.loads(profile or "{}"))]
    except (sqlite3.Error, ValueError, KeyError) as error:
        raise DataError(f"{path}: cannot tell which bars runs need ({error}); nothing was removed") from None


def _pins(run: str, profile: dict[str, str]) -> list[Pin]:
    first, last = (datetime.fromisoformat(profile[edge]).astimezone(UTC) for edge in ("first", "last"))
    return [
        Pin(market, profile["timeframe"], first, last, f"run {run}")
        for market in profile["markets"].split(", ")
    ]
