"""From results to what is recorded of a run: one document, a few tables, provenance."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Final

import polars as pl

from feature_store.atomic import parquet_bytes
from lab.backtest import BacktestResult
from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.pipeline.environment import environment
from lab.pipeline.inputs import Inputs
from lab.strategies.instance import read_text
from lab.tracking import DataInput, Provenance, code_version

__all__ = ["config_text", "document_of", "fingerprint", "numbers", "provenance_of", "tables_of"]

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


def provenance_of(inputs: Inputs, *, seed: int, engine_difference: float, ledger_head: str) -> Provenance:
    """Return everything that the run depends on."""
    instance, panel = inputs.instance, inputs.panel
    features = instance.strategy.features(instance.params)
    return Provenance(
        code=code_version(),
        strategy_id=instance.strategy_id,
        family=instance.strategy.family,
        strategy_version=instance.strategy.version,
        config_hash=instance.config_hash,
        config_version=instance.config.version,
        data=DataInput(
            name=f"{instance.markets[0].split(':')[0]} {instance.timeframe}",
            content_hash=inputs.data_hash,
            description={
                "markets": ", ".join(instance.markets),
                "timeframe": str(instance.timeframe),
                "first": f"{panel.ts[0]}Z",
                "last": f"{panel.ts[-1]}Z",
                "bars": inputs.bars.height,
            },
        ),
        feature_hashes={feature.key: feature.digest for feature in features},
        seed=seed,
        engine_difference=engine_difference,
        ledger_head=ledger_head,
    )


def document_of(
    inputs: Inputs, result: BacktestResult, benchmark: BacktestResult, **judged: Any
) -> dict[str, Any]:
    """Return the result document: what a report or another program needs, as JSON values."""
    instance, panel = inputs.instance, inputs.panel
    returns = result.returns
    return {
        "strategy_id": instance.strategy_id,
        "family": instance.strategy.family,
        "strategy_version": instance.strategy.version,
        "config_version": instance.config.version,
        "config_hash": instance.config_hash,
        "description": instance.config.description,
        "hypothesis": instance.config.hypothesis,
        "markets": list(instance.markets),
        "timeframe": str(instance.timeframe),
        "periods_per_year": instance.timeframe.periods_per_year,
        "data_hash": inputs.data_hash,
        "data_first": f"{panel.ts[0]}Z",
        "data_last": f"{panel.ts[-1]}Z",
        "first_bar": returns["ts"][0].isoformat(),
        "last_bar": returns["ts"][-1].isoformat(),
        "parameters": instance.params.model_dump(mode="json"),
        "costs": dataclasses.asdict(instance.costs),
        "risk": instance.risk.model_dump(mode="json"),
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
    inputs: Inputs, result: BacktestResult, benchmark: BacktestResult, weights: pl.DataFrame
) -> dict[str, pl.DataFrame]:
    """Return the tables that are kept with the run."""
    first = result.returns["ts"][0]
    return {
        "equity": result.equity,
        "returns": result.returns,
        "benchmark": benchmark.equity,
        "weights": weights,
        "positions": result.positions,
        "orders": result.orders,
        "trades": result.trades,
        "risk_events": result.risk_events,
        "dropped": result.dropped,
        "bars": inputs.bars.filter(pl.col("ts") >= first),
        "quality": _quality(inputs.marked),
    }


def numbers(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics that the table of runs shows."""
    return {name: float(metrics[name]) for name in _SHOWN if name in metrics}


def config_text(inputs: Inputs) -> str:
    """Return the text of the instance's file as it was run.

    Raises
    ------
    ConfigError
        If the file was changed since.
    """
    instance = inputs.instance
    text = read_text(instance.source, "strategy instance")
    if digest(text.encode()) != instance.config_hash:
        raise ConfigError(f"{instance.source}: changed while it was run; run it again")
    return text


def fingerprint(tables: Mapping[str, pl.DataFrame], metrics: Mapping[str, float]) -> str:
    """Return one hash over weights, orders, trades, equity and metrics: equal runs have equal ones."""
    parts = {name: digest(parquet_bytes(tables[name])) for name in ("weights", "orders", "trades", "equity")}
    return digest({**parts, "metrics": {name: repr(value) for name, value in sorted(metrics.items())}})


def _quality(marked: pl.DataFrame) -> pl.DataFrame:
    return (
        marked.group_by("market", "quality", "reason").agg(bars=pl.len()).sort("market", "quality", "reason")
    )
