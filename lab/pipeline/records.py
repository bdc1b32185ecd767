"""From results to what is recorded of a run: document, tables, provenance, of strategies and portfolios."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from feature_store.atomic import parquet_bytes
from lab.backtest import BacktestResult
from lab.core.hashing import digest
from lab.pipeline.environment import environment
from lab.pipeline.inputs import Inputs
from lab.pipeline.portfolio_inputs import PortfolioInputs
from lab.pipeline.subjects import subject_of
from lab.tracking import DataInput, Provenance, code_version

__all__ = ["document_of", "fingerprint", "numbers", "provenance_of", "tables_of"]

_SHOWN: Final = (
    "sharpe",
    "total_return",
    "annualised_return",
    "annualised_volatility",
    "max_drawdown",
    "calmar",
    "sortino",
    "hit_ratio",
    "turnover",
    "exposure",
    "cost_share",
    "time_in_market",
)


def provenance_of(
    inputs: Inputs | PortfolioInputs, *, seed: int, engine_difference: float | None, ledger_head: str
) -> Provenance:
    """Return everything that the run depends on."""
    subject = subject_of(inputs)
    return Provenance(
        code=code_version(),
        strategy_id=subject.name,
        family=subject.family,
        strategy_version=subject.version,
        config_hash=subject.config_hash,
        config_version=subject.config_version,
        data=DataInput(
            name=f"{subject.markets[0].split(':')[0]} {subject.timeframe}",
            content_hash=subject.data_hash,
            description={
                "markets": ", ".join(subject.markets),
                "timeframe": str(subject.timeframe),
                "first": f"{subject.panel.ts[0]}Z",
                "last": f"{subject.panel.ts[-1]}Z",
                "bars": subject.bars.height,
            },
        ),
        feature_hashes=subject.features,
        seed=seed,
        engine_difference=float("inf") if engine_difference is None else engine_difference,
        ledger_head=ledger_head,
    )


def document_of(
    inputs: Inputs | PortfolioInputs, result: BacktestResult, benchmark: BacktestResult, **judged: Any
) -> dict[str, Any]:
    """Return the result document: what a report or another program needs, as JSON values."""
    subject, returns = subject_of(inputs), result.returns
    return {
        "strategy_id": subject.name,
        "family": subject.family,
        "strategy_version": subject.version,
        "config_version": subject.config_version,
        "config_hash": subject.config_hash,
        "config": dict(subject.config),
        "description": subject.description,
        "hypothesis": subject.hypothesis,
        "instances": list(subject.instances),
        "markets": list(subject.markets),
        "timeframe": str(subject.timeframe),
        "periods_per_year": subject.timeframe.periods_per_year,
        "features": dict(subject.features),
        "data_hash": subject.data_hash,
        "data_first": f"{subject.panel.ts[0]}Z",
        "data_last": f"{subject.panel.ts[-1]}Z",
        "first_bar": returns["ts"][0].isoformat(),
        "last_bar": returns["ts"][-1].isoformat(),
        "parameters": dict(subject.parameters),
        "costs": dataclasses.asdict(subject.costs),
        "risk": dict(subject.risk),
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


def tables_of(
    inputs: Inputs | PortfolioInputs,
    result: BacktestResult,
    benchmark: BacktestResult,
    weights: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Return the tables that are kept with the run; the benchmark starts with the account's capital."""
    subject, first = subject_of(inputs), result.returns["ts"][0]
    scale = result.cash / benchmark.cash
    return {
        "equity": result.equity,
        "returns": result.returns,
        "benchmark": benchmark.equity.with_columns(pl.col("equity") * scale),
        "weights": weights,
        "positions": result.positions,
        "orders": result.orders,
        "trades": result.trades,
        "risk_events": result.risk_events,
        "dropped": result.dropped,
        "bars": subject.bars.filter(pl.col("ts") >= first),
        "quality": _quality(subject.marked),
    }


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that the table of runs shows."""
    return {name: float(metrics[name]) for name in _SHOWN if name in metrics}


def fingerprint(tables: Mapping[str, pl.DataFrame], metrics: Mapping[str, float]) -> str:
    """Return one hash over weights, orders, trades, equity and metrics: equal runs have equal ones."""
    parts = {name: digest(parquet_bytes(tables[name])) for name in ("weights", "orders", "trades", "equity")}
    return digest({**parts, "metrics": {name: repr(value) for name, value in sorted(metrics.items())}})


def _quality(marked: pl.DataFrame) -> pl.DataFrame:
    return (
        marked.group_by("market", "quality", "reason").agg(bars=pl.len()).sort("market", "quality", "reason")
    )
