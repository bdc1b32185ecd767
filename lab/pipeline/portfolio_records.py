"""From a portfolio's result to what is recorded of its run."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import BacktestResult
from lab.data.panels import received_bars
from lab.pipeline.environment import environment
from lab.pipeline.portfolio_inputs import PortfolioInputs
from lab.strategies import Portfolio, PortfolioWeights
from lab.tracking import DataInput, Provenance, code_version

__all__ = ["PORTFOLIO_VERSION", "portfolio_document", "portfolio_provenance", "portfolio_tables", "shares_of"]

# Of the way in which instances are combined.
PORTFOLIO_VERSION: Final = "1.0.0"


def shares_of(portfolio: Portfolio) -> dict[str, float]:
    """Return each instance's share of the capital."""
    return {
        f"allocation.{one.strategy_id}": share
        for one, share in zip(portfolio.instances, portfolio.shares, strict=True)
    }


def portfolio_tables(
    inputs: PortfolioInputs,
    decided: PortfolioWeights,
    result: BacktestResult,
    benchmark: BacktestResult,
    weights: NDArray[np.float64],
) -> dict[str, pl.DataFrame]:
    """Return the tables that are kept with the run."""
    first = result.returns["ts"][0]
    scale = inputs.portfolio.capital / benchmark.cash
    instances = [one.strategy_id for one in inputs.portfolio.instances]
    shares = pl.DataFrame(decided.shares, schema=instances, orient="row")
    ts = pl.Series("ts", decided.ts).dt.replace_time_zone("UTC")
    return {
        "equity": result.equity,
        "returns": result.returns,
        "benchmark": benchmark.equity.with_columns(pl.col("equity") * scale),
        "weights": inputs.panel.to_frame(weights, "weight"),
        "shares": shares.insert_column(0, ts),
        "reallocations": decided.reallocations,
        "positions": result.positions,
        "orders": result.orders,
        "trades": result.trades,
        "risk_events": result.risk_events,
        "dropped": result.dropped,
        "bars": received_bars(inputs.marked).filter(pl.col("ts") >= first),
    }


def portfolio_provenance(inputs: PortfolioInputs, seed: int, result: BacktestResult, head: str) -> Provenance:
    """Return everything that the run depends on."""
    portfolio, panel = inputs.portfolio, inputs.panel
    features = {
        feature.key: feature.digest
        for one in portfolio.instances
        for feature in one.strategy.features(one.params)
    }
    return Provenance(
        code=code_version(),
        strategy_id=portfolio.portfolio_id,
        family="portfolio",
        strategy_version=PORTFOLIO_VERSION,
        config_hash=portfolio.config_hash,
        config_version=PORTFOLIO_VERSION,
        data=DataInput(
            name=f"{portfolio.markets[0].split(':')[0]} {portfolio.timeframe}",
            content_hash=inputs.data_hash,
            description={
                "markets": ", ".join(portfolio.markets),
                "timeframe": str(portfolio.timeframe),
                "first": f"{panel.ts[0]}Z",
                "last": f"{panel.ts[-1]}Z",
                "bars": inputs.marked.height,
            },
        ),
        feature_hashes=features,
        seed=seed,
        engine_difference=np.inf if result.engine_difference is None else result.engine_difference,
        ledger_head=head,
    )


def portfolio_document(
    inputs: PortfolioInputs, result: BacktestResult, benchmark: BacktestResult, judged: dict[str, Any]
) -> dict[str, Any]:
    """Return the result document, with the keys of an instance's."""
    portfolio, panel, returns = inputs.portfolio, inputs.panel, result.returns
    return {
        "strategy_id": portfolio.portfolio_id,
        "family": "portfolio",
        "strategy_version": PORTFOLIO_VERSION,
        "config_version": PORTFOLIO_VERSION,
        "config_hash": portfolio.config_hash,
        "description": portfolio.config.description,
        "hypothesis": "",
        "instances": [one.strategy_id for one in portfolio.instances],
        "markets": list(portfolio.markets),
        "timeframe": str(portfolio.timeframe),
        "periods_per_year": portfolio.timeframe.periods_per_year,
        "data_hash": inputs.data_hash,
        "data_first": f"{panel.ts[0]}Z",
        "data_last": f"{panel.ts[-1]}Z",
        "first_bar": returns["ts"][0].isoformat(),
        "last_bar": returns["ts"][-1].isoformat(),
        "parameters": shares_of(portfolio),
        "costs": dataclasses.asdict(portfolio.costs),
        "risk": portfolio.risk.model_dump(mode="json"),
        "cash": result.cash,
        "metrics": dict(result.metrics),
        "benchmark": {"name": "buy and hold, equal parts", "metrics": dict(benchmark.metrics)},
        "engine_difference": result.engine_difference,
        "risk_difference": result.risk_difference,
        "status": result.status,
        "warnings": list(result.warnings),
        "environment": environment(),
        **judged,
    }
