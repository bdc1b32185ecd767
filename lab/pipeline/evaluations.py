"""One evaluation of a strategy or a portfolio on its bars: what is run, and run again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import numpy as np
import polars as pl

from lab.backtest import BacktestResult, run_backtest
from lab.pipeline.inputs import Inputs
from lab.pipeline.portfolio_inputs import PortfolioInputs
from lab.pipeline.risk_use import risk_use
from lab.pipeline.subjects import PORTFOLIO_FAMILY, PORTFOLIO_VERSION, shares_of, subject_of
from lab.risk import plan_of
from lab.search import TrialBatch, panel_hash, parameter_hash, sketch
from lab.strategies import PortfolioWeights
from lab.validation.overfitting import sharpe_statistics

__all__ = ["Evaluation", "evaluate", "trial_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What one strategy or portfolio did on its bars.

    Attributes
    ----------
    result : BacktestResult
        From both engines.
    weights : polars.DataFrame
        ``ts, market, weight`` as decided.
    params : mapping
        What the table of runs shows: parameters, or shares of the capital.
    tables : mapping of str to DataFrame
        Further tables to keep: a portfolio's shares and reallocations.
    risk : mapping
        Use of budgets, and what rules and breakers did.
    """

    result: BacktestResult
    weights: pl.DataFrame
    params: Mapping[str, Any]
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    risk: Mapping[str, Any] = field(default_factory=dict)


@singledispatch
def evaluate(inputs: Inputs | PortfolioInputs) -> Evaluation:
    """Decide and backtest in both engines; an instance with its own parameters, a portfolio on one account.

    Raises
    ------
    WeightError
        As :func:`lab.strategies.decide` and :meth:`lab.strategies.Portfolio.decide`.
    """
    raise NotImplementedError(type(inputs).__name__)


@evaluate.register
def _(inputs: Inputs) -> Evaluation:
    instance, panel = inputs.instance, inputs.panel
    weights = instance.decide(panel)
    result = run_backtest(panel, weights, costs=instance.costs, risk=instance.risk, engine="both")
    plan = plan_of(instance.risk, costs=instance.costs, markets=panel.markets)
    return Evaluation(
        result,
        panel.to_frame(weights, "weight"),
        instance.params.model_dump(mode="json"),
        risk=risk_use(result, plan, instance.risk),
    )


@evaluate.register
def _(inputs: PortfolioInputs) -> Evaluation:
    portfolio, panel = inputs.portfolio, inputs.panel
    decided = inputs.decide()
    weights, plan = inputs.targets(decided), inputs.plan()
    result = run_backtest(
        panel,
        weights,
        costs=portfolio.costs,
        risk=plan,
        parts=inputs.parts(decided),
        cash=portfolio.capital,
        engine="both",
    )
    tables = {"shares": _shares(inputs, decided), "reallocations": decided.reallocations}
    used = risk_use(result, plan, portfolio.risk)
    return Evaluation(result, panel.to_frame(weights, "weight"), shares_of(portfolio), tables, used)


def trial_of(inputs: Inputs | PortfolioInputs, result: BacktestResult) -> TrialBatch:
    """Return the evaluation as the trial that the ledger counts."""
    returns = result.bars.returns
    sharpes = np.array([sharpe_statistics(returns).sharpe])
    sketches = sketch(returns[None, :], inputs.panel.bar)
    if isinstance(inputs, Inputs):
        return TrialBatch.of(
            inputs.instance,
            inputs.panel,
            positions=np.arange(len(inputs.panel)),
            parameter_hashes=[parameter_hash(inputs.instance.params.model_dump(mode="json"))],
            sharpes=sharpes,
            sketches=sketches,
        )
    portfolio, panel = inputs.portfolio, inputs.panel
    return TrialBatch(
        family=PORTFOLIO_FAMILY,
        version=PORTFOLIO_VERSION,
        identity=subject_of(inputs).identity,
        content_hash=panel_hash(panel),
        window=(str(panel.ts[0]), str(panel.ts[-1])),
        n_observations=len(returns),
        cost_hash=parameter_hash({"fee": portfolio.costs.fee, "slippage": portfolio.costs.slippage}),
        risk_hash=parameter_hash(portfolio.risk.model_dump(mode="json")),
        parameter_hashes=(parameter_hash({"config_hash": portfolio.config_hash}),),
        sharpes=sharpes,
        sketches=sketches,
    )


def _shares(inputs: PortfolioInputs, decided: PortfolioWeights) -> pl.DataFrame:
    instances = [one.strategy_id for one in inputs.portfolio.instances]
    shares = pl.DataFrame(decided.shares, schema=instances, orient="row")
    return shares.insert_column(0, pl.Series("ts", decided.ts).dt.replace_time_zone("UTC"))
