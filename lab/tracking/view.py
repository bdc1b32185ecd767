"""How the MLflow UI opens: in its mode for training, with the columns by which runs are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from lab.tracking.store import RunStore

__all__ = ["COLUMNS", "runs_page"]

# What MLflow's "share view" button writes: the state of the table, in a tag of the experiment.
_TAG: Final = "mlflow.sharedViewState.mnemo"
_METRICS: Final = (
    "sharpe",
    "deflated_sharpe",
    "pbo",
    "n_trials",
    "annualised_return",
    "max_drawdown",
    "turnover",
)
COLUMNS: Final = (*(f"metrics.`{name}`" for name in _METRICS), "tags.`family`")


def runs_page(root: Path) -> str:
    """Return the path of the table of runs in the MLflow UI, after storing the view that it shows.

    MLflow's table starts without any metric, and its menu in a mode for language models.

    Raises
    ------
    StoreError
        If the view cannot be stored.
    """
    store = RunStore(root)
    state = {"selectedColumns": list(COLUMNS), "orderByKey": "attributes.start_time", "orderByAsc": False}
    with store.alone():
        client = store.open()
        client.set_experiment_tag(store.experiment, _TAG, json.dumps(state))
    return f"/#/experiments/{store.experiment}/runs?workflowType=machine_learning&viewStateShareKey=mnemo"
