"""Backtest of a portfolio: its instances decide together, on one account, with the portfolio's limits."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lab.backtest import BacktestResult, run_backtest
from lab.pipeline.benchmark import buy_and_hold
from lab.pipeline.portfolio_inputs import PortfolioInputs, load_portfolio_inputs
from lab.pipeline.portfolio_records import (
    PORTFOLIO_VERSION,
    portfolio_document,
    portfolio_provenance,
    portfolio_tables,
    shares_of,
)
from lab.pipeline.records import fingerprint, numbers
from lab.pipeline.runs import BacktestRun
from lab.search import DataIdentity, Judgement, Ledger, TrialBatch, panel_hash, parameter_hash, sketch
from lab.strategies import Portfolio, PortfolioWeights
from lab.tracking import RunRecord, Tracker
from lab.validation.overfitting import sharpe_statistics

__all__ = ["backtest_portfolio"]


def backtest_portfolio(
    config: Portfolio | Path | str,
    *,
    root: Path,
    seed: int = 0,
    start: datetime | None = None,
    end: datetime | None = None,
) -> BacktestRun:
    """Backtest a portfolio in both engines, count the trial and log the run.

    The account starts with the portfolio's capital and pays its costs; its ``risk`` section acts in
    :func:`lab.risk.step`. Trials are counted under the family ``portfolio``.

    Parameters
    ----------
    config : Portfolio or path
        The portfolio, or its file.
    root, seed, start, end
        See :func:`lab.pipeline.backtest`.

    Raises
    ------
    ConfigError, DataError, WeightError
        As :func:`load_portfolio_inputs` and :meth:`lab.strategies.Portfolio.decide`.
    """
    began = datetime.now(UTC)
    inputs = load_portfolio_inputs(config, root=root, start=start, end=end)
    portfolio, panel = inputs.portfolio, inputs.panel
    decided = inputs.decide()
    weights = inputs.targets(decided)
    cash = portfolio.capital
    result = run_backtest(
        panel, weights, costs=portfolio.costs, risk=portfolio.risk, cash=cash, engine="both"
    )
    benchmark = buy_and_hold(panel, portfolio.costs)
    judgement, deflated = _judged(inputs, result, root)
    tables = portfolio_tables(inputs, decided, result, benchmark, weights)
    judged = {
        "deflated_sharpe": deflated,
        "n_trials": judgement.n_trials,
        "fingerprint": fingerprint(tables, result.metrics),
    }
    kept = {"kind": "backtest", "seed": seed, "ledger_head": judgement.head, **judged}
    record = RunRecord(
        name=portfolio.portfolio_id,
        kind="backtest",
        started=began,
        ended=datetime.now(UTC),
        provenance=portfolio_provenance(inputs, seed, result, judgement.head),
        config=portfolio.source.read_text(encoding="utf-8"),
        params=shares_of(portfolio),
        metrics={**numbers(result.metrics), "deflated_sharpe": deflated, "n_trials": judgement.n_trials},
        result=portfolio_document(inputs, result, benchmark, kept),
        tables=tables,
    )
    run_id = Tracker(root).log(record)
    printed = _printed(inputs, decided, result, {"run_id": run_id, **judged})
    return BacktestRun(run_id, result, deflated, judgement.n_trials, printed)


def _printed(
    inputs: PortfolioInputs, decided: PortfolioWeights, result: BacktestResult, judged: dict[str, Any]
) -> dict[str, Any]:
    """Return what ``mnemo backtest PORTFOLIO --json`` prints."""
    return {
        **judged,
        "n_trials_ledger": judged["n_trials"],
        "metrics": dict(result.metrics),
        "engine_difference": result.engine_difference,
        "data_hash": inputs.data_hash,
        "config_hash": inputs.portfolio.config_hash,
        "reallocations": decided.reallocations["ts"].n_unique(),
        "status": result.status,
        "warnings": list(result.warnings),
    }


def _judged(inputs: PortfolioInputs, result: BacktestResult, root: Path) -> tuple[Judgement, float]:
    """Count this evaluation in the ledger and deflate its Sharpe ratio by all of them."""
    portfolio, panel = inputs.portfolio, inputs.panel
    returns = result.bars.returns
    statistics = sharpe_statistics(returns)
    costs = portfolio.costs
    trial = TrialBatch(
        family="portfolio",
        version=PORTFOLIO_VERSION,
        identity=DataIdentity.of(portfolio.markets, portfolio.timeframe),
        content_hash=panel_hash(panel),
        window=(str(panel.ts[0]), str(panel.ts[-1])),
        n_observations=len(returns),
        cost_hash=parameter_hash({"fee": costs.fee, "slippage": costs.slippage}),
        risk_hash=parameter_hash(portfolio.risk.model_dump(mode="json")),
        parameter_hashes=(parameter_hash({"config_hash": portfolio.config_hash}),),
        sharpes=np.array([statistics.sharpe]),
        sketches=sketch(returns[None, :], panel.bar),
    )
    (ledger := Ledger(root)).append(trial)
    judgement = ledger.judge(trial.family, trial.identity)
    return judgement, judgement.deflated(statistics)
