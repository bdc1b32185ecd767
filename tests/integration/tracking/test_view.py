"""The view that the MLflow UI opens with: stored once more or once, it is the same."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from lab.tracking import runs_page
from lab.tracking.view import COLUMNS

pytestmark = pytest.mark.integration


def test_the_table_of_runs_opens_with_the_columns_that_matter(tmp_path: Path) -> None:
    page = runs_page(tmp_path)
    assert runs_page(tmp_path) == page
    assert "workflowType=machine_learning" in page
    key = page.split("viewStateShareKey=")[1]
    with closing(sqlite3.connect(tmp_path / "mlruns" / "mlflow.db")) as store:
        ((text,),) = store.execute(
            "SELECT value FROM experiment_tags WHERE key = ?", (f"mlflow.sharedViewState.{key}",)
        ).fetchall()
    assert json.loads(text)["selectedColumns"] == list(COLUMNS)
    assert {"metrics.`sharpe`", "metrics.`deflated_sharpe`", "metrics.`pbo`"} <= set(COLUMNS)
