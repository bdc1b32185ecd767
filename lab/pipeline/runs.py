"""Backtest of one instance: load, call, count, log. What the command line and notebooks call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lab.backtest import BacktestResult, run_backtest
from lab.pipeline.benchmark import buy_and_hold
from lab.pipeline.inputs import Inputs, load_inputs
from lab.pipeline.records import config_text, document_of, fingerprint, numbers, provenance_of, tables_of
from lab.search import Judgement, Ledger, TrialBatch, parameter_hash, sketch
from lab.strategies import StrategyInstance
from lab.tracking import RunRecord, Tracker
from lab.validation.overfitting import sharpe_statistics

__all__ = ["BacktestRun", "backtest"]


@dataclass(frozen=True, slots=True, eq=False)
class BacktestRun:
    """A logged backtest.

    Attributes
    ----------
    run_id : str
        Of the MLflow run.
    result : BacktestResult
        What the account did.
    deflated_sharpe : float
        Probability that its Sharpe ratio is above what the trials on record give by luck.
    n_trials : int
        Distinct trials of this family on this data, this one included.
    document : mapping
        What ``mnemo backtest --json`` prints.
    """

    run_id: str
    result: BacktestResult
    deflated_sharpe: float
    n_trials: int
    document: dict[str, Any]


def backtest(
    config: StrategyInstance | Path | str,
    *,
    root: Path,
    seed: int = 0,
    start: datetime | None = None,
    end: datetime | None = None,
) -> BacktestRun:
    """Backtest an instance with its own parameters in both engines, count the trial and log the run.

    Parameters
    ----------
    config : StrategyInstance or path
        The instance, or its file.
    root : pathlib.Path
        Folder that holds ``data/``, ``mlruns/`` and ``reports/``.
    seed : int
        Recorded; a backtest draws nothing.
    start, end : datetime, optional
        Only bars with ``start <= ts < end``; timezone-aware.

    Raises
    ------
    ConfigError, DataError, WeightError
        As :func:`~lab.pipeline.inputs.load_inputs` and :func:`lab.strategies.decide`.
    """
    began = datetime.now(UTC)
    inputs = load_inputs(config, root=root, start=start, end=end)
    instance, panel = inputs.instance, inputs.panel
    weights = instance.decide(panel)
    result = run_backtest(panel, weights, costs=instance.costs, risk=instance.risk, engine="both")
    benchmark = buy_and_hold(panel, instance.costs)
    judgement, deflated = _judged(inputs, result, root)
    tables = tables_of(inputs, result, benchmark, panel.to_frame(weights, "weight"))
    provenance = provenance_of(
        inputs, seed=seed, engine_difference=_difference(result), ledger_head=judgement.head
    )
    judged = {
        "kind": "backtest",
        "seed": seed,
        "deflated_sharpe": deflated,
        "n_trials": judgement.n_trials,
        "ledger_head": judgement.head,
        "fingerprint": fingerprint(tables, result.metrics),
    }
    document = document_of(inputs, result, benchmark, **judged)
    record = RunRecord(
        name=instance.strategy_id,
        kind="backtest",
        started=began,
        ended=datetime.now(UTC),
        provenance=provenance,
        config=config_text(inputs),
        params=instance.params.model_dump(mode="json"),
        metrics={**numbers(result.metrics), "deflated_sharpe": deflated, "n_trials": judgement.n_trials},
        result=document,
        tables=tables,
    )
    run_id = Tracker(root).log(record)
    printed = {
        "run_id": run_id,
        "metrics": dict(result.metrics),
        "engine_difference": result.engine_difference,
        "data_hash": inputs.data_hash,
        "config_hash": instance.config_hash,
        "deflated_sharpe": deflated,
        "n_trials_ledger": judgement.n_trials,
        "fingerprint": judged["fingerprint"],
        "status": result.status,
        "warnings": list(result.warnings),
    }
    return BacktestRun(run_id, result, deflated, judgement.n_trials, printed)


def _judged(inputs: Inputs, result: BacktestResult, root: Path) -> tuple[Judgement, float]:
    """Count this evaluation in the ledger and deflate its Sharpe ratio by all of them."""
    instance, panel = inputs.instance, inputs.panel
    ledger = Ledger(root)
    returns = result.bars.returns
    statistics = sharpe_statistics(returns)
    trial = TrialBatch.of(
        instance,
        panel,
        positions=np.arange(len(panel)),
        parameter_hashes=[parameter_hash(instance.params.model_dump(mode="json"))],
        sharpes=np.array([statistics.sharpe]),
        sketches=sketch(returns[None, :], panel.bar),
    )
    ledger.append(trial)
    judgement = ledger.judge(trial.family, trial.identity)
    return judgement, judgement.deflated(statistics)


def _difference(result: BacktestResult) -> float:
    return float("inf") if result.engine_difference is None else result.engine_difference
