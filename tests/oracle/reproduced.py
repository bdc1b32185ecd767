"""A strategy, another and a portfolio of both, whose runs are run again."""

from __future__ import annotations

__all__ = ["LEADER", "PORTFOLIO", "STRATEGY"]

STRATEGY = """\
family: time_series_momentum
strategy_id: again
version: 1.0.0
timeframe: 1d
markets: [{exchange: synthetic, symbol: AAA/USDT}, {exchange: synthetic, symbol: AAB/USDT}]
parameters: {lookback_window: 30, vol_window: 10}
search: {trials: 5, train_bars: 150, test_bars: 50}
"""
LEADER = """\
family: dual_momentum
strategy_id: leader
version: 1.0.0
timeframe: 1d
markets: [{exchange: synthetic, symbol: AAA/USDT}, {exchange: synthetic, symbol: AAB/USDT}]
parameters: {lookback_window: 40, top_k: 1}
"""
PORTFOLIO = """\
portfolio_id: both
reference_currency: USDT
capital: 5000
instances:
  - {config: strategies/again.yaml, allocation: 0.5}
  - {config: strategies/leader.yaml, allocation: 0.3}
risk: {max_weight_per_asset: 0.8}
"""
