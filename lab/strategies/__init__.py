"""Strategies: pure functions from features to target weights, the files that configure them, portfolios."""

from lab.strategies.decide import decide, decide_on_features, require_history, total_lookback
from lab.strategies.dual_momentum import DualMomentum, DualMomentumParameters
from lab.strategies.instance import InstanceConfig, MarketConfig, StrategyInstance, config_model, load
from lab.strategies.mean_reversion import MeanReversion, MeanReversionParameters
from lab.strategies.portfolio import AllocationConfig, Portfolio, PortfolioConfig, combine, load_portfolio
from lab.strategies.protocol import Parameters, Strategy, signal_of
from lab.strategies.registry import families, register, strategy_of
from lab.strategies.space import Choice, Dimension, Range
from lab.strategies.time_series_momentum import TimeSeriesMomentum, TimeSeriesMomentumParameters

__all__ = [
    "AllocationConfig",
    "Choice",
    "Dimension",
    "DualMomentum",
    "DualMomentumParameters",
    "InstanceConfig",
    "MarketConfig",
    "MeanReversion",
    "MeanReversionParameters",
    "Parameters",
    "Portfolio",
    "PortfolioConfig",
    "Range",
    "Strategy",
    "StrategyInstance",
    "TimeSeriesMomentum",
    "TimeSeriesMomentumParameters",
    "combine",
    "config_model",
    "decide",
    "decide_on_features",
    "families",
    "load",
    "load_portfolio",
    "register",
    "require_history",
    "signal_of",
    "strategy_of",
    "total_lookback",
]
