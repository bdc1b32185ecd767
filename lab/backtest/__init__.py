"""Simulation: a fused engine, vectorbt as the second one, metrics, and one frozen result."""

from lab.backtest.attribution import by_family
from lab.backtest.breakdowns import against, by_hour, by_market, by_period, by_regime, regimes
from lab.backtest.evaluator import Evaluated, Evaluator
from lab.backtest.many import simulate_many
from lab.backtest.metrics import METRICS, Bars, compute_metrics, sharpe_per_period
from lab.backtest.planning import Clocks, SweepPlan, plan_sweep
from lab.backtest.prices import ExecutionPrices
from lab.backtest.result import BacktestResult
from lab.backtest.run import run_backtest
from lab.backtest.simulate import Simulation, simulate_weights
from lab.backtest.sweep import Sweep, sweep

__all__ = [
    "METRICS",
    "BacktestResult",
    "Bars",
    "Clocks",
    "Evaluated",
    "Evaluator",
    "ExecutionPrices",
    "Simulation",
    "Sweep",
    "SweepPlan",
    "against",
    "by_family",
    "by_hour",
    "by_market",
    "by_period",
    "by_regime",
    "compute_metrics",
    "plan_sweep",
    "regimes",
    "run_backtest",
    "sharpe_per_period",
    "simulate_many",
    "simulate_weights",
    "sweep",
]
