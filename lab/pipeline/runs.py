"""Backtest of one strategy or portfolio: load, call, count, log. What commands and notebooks call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lab.backtest import BacktestResult
from lab.pipeline.benchmark import buy_and_hold
from lab.pipeline.decisions import recent_decisions
from lab.pipeline.evaluations import Evaluation, evaluate, trial_of
from lab.pipeline.inputs import Inputs, load_inputs
from lab.pipeline.portfolio_inputs import PortfolioInputs, load_portfolio_inputs
from lab.pipeline.records import document_of, fingerprint, numbers, provenance_of, tables_of
from lab.pipeline.settings import load_file
from lab.pipeline.subjects import subject_of, texts_of
from lab.search import Judgement, Ledger
from lab.strategies import Portfolio, StrategyInstance
from lab.tracking import RunRecord, Tracker, usage
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
    config: StrategyInstance | Portfolio | Path | str,
    *,
    root: Path,
    seed: int = 0,
    start: datetime | None = None,
    end: datetime | None = None,
) -> BacktestRun:
    """Backtest a strategy or portfolio as its file has it in both engines, count the trial and log the run.

    A portfolio's account starts with its capital and pays its costs; its ``risk`` section acts in
    :func:`lab.risk.step`, and its trials are counted under the family ``portfolio``.

    Parameters
    ----------
    config : StrategyInstance, Portfolio or path
        The strategy or portfolio, or its file.
    root : pathlib.Path
        Folder that holds ``data/``, ``mlruns/`` and ``reports/``.
    seed : int
        Recorded; a backtest draws nothing.
    start, end : datetime, optional
        Only bars with ``start <= ts < end``; timezone-aware.

    Raises
    ------
    ConfigError, DataError, WeightError
        As :func:`~lab.pipeline.inputs.load_inputs`,
        :func:`~lab.pipeline.portfolio_inputs.load_portfolio_inputs` and :func:`evaluate`.
    """
    began = datetime.now(UTC)
    loaded = config if isinstance(config, (StrategyInstance, Portfolio)) else load_file(config)
    with usage() as samples:
        inputs: Inputs | PortfolioInputs
        if isinstance(loaded, Portfolio):
            inputs = load_portfolio_inputs(loaded, root=root, start=start, end=end)
        else:
            inputs = load_inputs(loaded, root=root, start=start, end=end)
        done = evaluate(inputs)
        ledger, trial = Ledger(root), trial_of(inputs, done.result)
        ledger.append(trial)
        judgement = ledger.judge(trial.family, trial.identity)
        record = _record(inputs, done, judgement, seed, began)
    run_id = Tracker(root).log(record.with_usage(samples))
    printed = _printed(record, done, run_id)
    return BacktestRun(run_id, done.result, printed["deflated_sharpe"], judgement.n_trials, printed)


def _record(
    inputs: Inputs | PortfolioInputs, done: Evaluation, judgement: Judgement, seed: int, began: datetime
) -> RunRecord:
    subject, result = subject_of(inputs), done.result
    benchmark = buy_and_hold(inputs.panel, subject.costs)
    deflated = judgement.deflated(sharpe_statistics(result.bars.returns))
    tables = {**tables_of(inputs, result, benchmark, done.weights), **done.tables}
    if isinstance(inputs, Inputs):
        tables["diagnostics"] = recent_decisions(inputs.instance, inputs.panel)
    judged = {
        "kind": "backtest",
        "seed": seed,
        "deflated_sharpe": deflated,
        "n_trials": judgement.n_trials,
        "ledger_head": judgement.head,
        "fingerprint": fingerprint(tables, result.metrics),
    }
    text, files = texts_of(inputs)
    return RunRecord(
        name=subject.name,
        kind="backtest",
        started=began,
        ended=datetime.now(UTC),
        provenance=provenance_of(
            inputs, seed=seed, engine_difference=result.engine_difference, ledger_head=judgement.head
        ),
        config=text,
        files=files,
        params=done.params,
        metrics={**numbers(result.metrics), "deflated_sharpe": deflated, "n_trials": judgement.n_trials},
        result=document_of(inputs, result, benchmark, **judged),
        tables=tables,
    )


def _printed(record: RunRecord, done: Evaluation, run_id: str) -> dict[str, Any]:
    """Return what ``mnemo backtest --json`` prints."""
    kept = (
        "metrics",
        "engine_difference",
        "data_hash",
        "config_hash",
        "deflated_sharpe",
        "fingerprint",
        "status",
        "warnings",
    )
    printed = {"run_id": run_id, **{name: record.result[name] for name in kept}}
    printed["n_trials_ledger"] = record.result["n_trials"]
    if "reallocations" in done.tables:
        printed["reallocations"] = done.tables["reallocations"]["ts"].n_unique()
    return {**printed, "risk": dict(done.risk)}
