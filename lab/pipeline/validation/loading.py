"""From a run id or a file to the result that is judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from lab.core.errors import ConfigError, DataError
from lab.pipeline.evaluations import evaluate
from lab.pipeline.inputs import Inputs, load_inputs
from lab.pipeline.parts import parameters_of
from lab.pipeline.portfolio_inputs import PortfolioInputs, load_portfolio_inputs
from lab.pipeline.reproduction import recorded_inputs
from lab.pipeline.settings import load_file
from lab.pipeline.validation.judged import Judged
from lab.pipeline.validation.portfolio import JudgedPortfolio
from lab.pipeline.validation.strategy import JudgedStrategy, Segment
from lab.strategies import Portfolio
from lab.tracking import TrackedRun, Tracker

__all__ = ["judged_config", "judged_run"]

_KINDS: Final = ("backtest", "tune")


def judged_run(run_id: str, *, root: Path) -> Judged:
    """Return the result of a logged backtest or search, on the stored bars that it was made on.

    Raises
    ------
    ConfigError
        If no run has that id, or it is no backtest or search.
    DataError
        If the bars, or what is decided on them, are not what they were.
    """
    tracker = Tracker(root)
    run = tracker.load_run(run_id)
    run = run if run.parent is None else tracker.load_run(run.parent)
    if "result.json" not in run.artifacts or run.result.get("kind") not in _KINDS:
        raise ConfigError(
            f"run {run_id} is no finished backtest or tune; expected the id that one of them printed"
        )
    recorded = run.result
    inputs = recorded_inputs(run, recorded, root)
    if inputs.data_hash != recorded["data_hash"]:
        raise DataError(
            f"run {run_id}: its bars have changed since ({recorded['data_hash'][:12]} recorded, "
            f"{inputs.data_hash[:12]} now), so that its figures cannot be judged by them. Run it again, or "
            f"ask 'mnemo reproduce {run_id}' what changed"
        )
    judged = _of_run(run, recorded, inputs)
    _require_same(judged, run)
    return judged


def judged_config(path: Path | str, *, root: Path) -> Judged:
    """Return what a strategy or portfolio file does on its stored bars, in both engines.

    Raises
    ------
    ConfigError, DataError
        As :func:`~lab.pipeline.inputs.load_inputs`.
    """
    loaded = load_file(path)
    inputs: Inputs | PortfolioInputs
    if isinstance(loaded, Portfolio):
        inputs = load_portfolio_inputs(loaded, root=root)
    else:
        inputs = load_inputs(loaded, root=root)
    result = evaluate(inputs).result
    difference = result.engine_difference
    common: dict[str, Any] = {
        "run_id": None,
        "kind": "config",
        "engine_difference": float("inf") if difference is None else difference,
        "failed": result.status == "FAILED",
    }
    if isinstance(inputs, PortfolioInputs):
        return JudgedPortfolio(name=inputs.portfolio.portfolio_id, inputs=inputs, **common)
    return JudgedStrategy(
        name=inputs.instance.strategy_id, inputs=inputs, segments=(_whole(inputs),), **common
    )


def _of_run(run: TrackedRun, recorded: dict[str, Any], inputs: Inputs | PortfolioInputs) -> Judged:
    difference = recorded["engine_difference"]
    common: dict[str, Any] = {
        "name": run.name,
        "run_id": run.run_id,
        "kind": recorded["kind"],
        "recorded": recorded,
        "engine_difference": float("inf") if difference is None else float(difference),
        "failed": "FAILED" in (run.status, recorded.get("status")),
    }
    if isinstance(inputs, PortfolioInputs):
        return JudgedPortfolio(inputs=inputs, **common)
    if recorded["kind"] == "tune":
        kept = "pbo_moments.parquet" in run.artifacts
        return JudgedStrategy(
            inputs=inputs,
            segments=_folds(run, inputs),
            trials=run.table("trials"),
            moments=run.table("pbo_moments") if kept else None,
            **common,
        )
    return JudgedStrategy(inputs=inputs, segments=(_whole(inputs),), **common)


def _whole(inputs: Inputs) -> Segment:
    return Segment(0, len(inputs.panel), inputs.instance)


def _folds(run: TrackedRun, inputs: Inputs) -> tuple[Segment, ...]:
    """Return each fold's test bars with the winner that decided on them."""
    segments = []
    for row in run.table("folds").iter_rows(named=True):
        ends = pl.Series([row["test_start"], row["test_end"]]).dt.replace_time_zone(None).to_numpy()
        start, last = np.searchsorted(inputs.panel.ts, ends.astype("datetime64[us]"))
        segments.append(Segment(int(start), int(last) + 1, inputs.instance.with_params(parameters_of(row))))
    return tuple(segments)


def _require_same(judged: Judged, run: TrackedRun) -> None:
    """Refuse to judge decisions that are not those of the run."""
    now = judged.panel.to_frame(judged.decisions().weights, "weight")
    before = run.table("weights")
    if not now.equals(before.select(now.columns)):
        raise DataError(
            f"run {judged.run_id}: what is decided now is not what was decided then; the code was changed. "
            f"Ask 'mnemo reproduce {judged.run_id}' what changed, or run it again"
        )
