"""Folders such as runs leave: a backtest on a made-up market, with made-up folds and trials around it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lab.backtest import run_backtest
from lab.core.panel import Panel
from lab.costs import Costs
from lab.data.synthetic import synthetic_market

FOLD_BARS = 60


def write_run(
    folder: Path,
    *,
    seed: int = 3,
    markets: int = 3,
    bars: int = 420,
    timeframe: str = "1d",
    rename: Mapping[int, str] | None = None,
    walk_forward: bool = True,
    **facts: Any,
) -> Path:
    """Write a complete run; `rename` gives markets other names, `facts` replace entries of result.json."""
    rng = np.random.default_rng(seed)
    frame = synthetic_market(seed=seed, markets=markets, bars=bars, timeframe=timeframe)
    names = sorted(frame["market"].unique())
    new = {names[number]: name for number, name in (rename or {}).items()}
    frame = frame.with_columns(pl.col("market").replace(new))
    weights = _weights(frame, rng)
    costs = Costs()
    result = run_backtest(frame, weights, costs=costs, timeframe=timeframe)
    hold = weights.with_columns(
        weight=pl.when(pl.col("ts") == pl.col("ts").min()).then(1.0 / markets).otherwise(float("nan"))
    )
    benchmark = run_backtest(frame, hold, costs=costs, timeframe=timeframe)
    tables = {
        "equity": result.equity,
        "returns": result.returns,
        "benchmark": benchmark.equity,
        "weights": weights,
        "positions": result.positions,
        "orders": result.orders,
        "trades": result.trades,
        "risk_events": result.risk_events,
        "dropped": result.dropped,
        "bars": frame,
        "quality": frame.group_by("market")
        .agg(bars=pl.len())
        .with_columns(quality=pl.lit("GOOD"), reason=pl.lit("")),
    }
    if walk_forward:
        tables |= _search(result.equity["ts"], rng)
    document = {
        "strategy_id": "demo",
        "family": "time_series_momentum",
        "kind": "tune" if walk_forward else "backtest",
        "strategy_version": "1.0.0",
        "timeframe": timeframe,
        "markets": [new.get(name, name) for name in names],
        "cash": 10_000.0,
        "seed": seed,
        "metrics": dict(result.metrics),
        "benchmark": {"name": "buy and hold", "metrics": dict(benchmark.metrics)},
        "engine_difference": 2.2e-16,
        "deflated_sharpe": 0.31,
        "expected_max_sharpe": 1.4,
        "pbo": 0.42,
        "n_trials": 140,
        "config_hash": "c" * 64,
        "data_hash": "d" * 64,
        "parameters": {"lookback_window": 30, "threshold": 0.1},
        "warnings": [],
        **facts,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(_finite(document)))
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return folder


def _weights(frame: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """Momentum of 30 bars, equal parts, with some bars kept."""
    panel = Panel.from_frame(frame)
    close = panel["close"]
    rising = np.zeros(close.shape)
    rising[30:] = close[30:] > close[:-30]
    weights = rising / close.shape[1]
    weights[rng.random(close.shape) < 0.2] = np.nan
    return panel.to_frame(weights, "weight")


def _search(ts: pl.Series, rng: np.random.Generator) -> dict[str, pl.DataFrame]:
    starts = range(0, len(ts) - FOLD_BARS + 1, FOLD_BARS)
    trials, folds = [], []
    for fold, start in enumerate(starts):
        lookback = rng.integers(2, 19, size=20) * 10
        threshold = rng.integers(0, 6, size=20) * 0.02
        sharpe = rng.normal(1.0, 0.8, size=20)
        trials.append(
            pl.DataFrame(
                {
                    "fold": fold,
                    "number": range(20),
                    "state": ["complete"] * 19 + ["repeated"],
                    "parameter_lookback_window": lookback,
                    "parameter_threshold": threshold,
                    "sharpe": sharpe,
                }
            )
        )
        best = int(np.argmax(sharpe))
        folds.append(
            {
                "fold": fold,
                "test_start": ts[start],
                "test_end": ts[start + FOLD_BARS - 1],
                "trials": 19,
                "parameter_lookback_window": int(lookback[best]),
                "parameter_threshold": float(threshold[best]),
                "train_sharpe": float(sharpe[best]),
                "test_sharpe": float(rng.normal(0.5, 1.5)),
                "test_total_return": float(rng.normal(0.02, 0.1)),
                "test_max_drawdown": -0.1,
            }
        )
    return {"folds": pl.DataFrame(folds), "trials": pl.concat(trials)}


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not np.isfinite(value) else value
