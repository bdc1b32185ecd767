"""Strategies: pure functions from features to target weights, the files that configure them, portfolios."""

from lab.strategies.allocation import AllocationRule
from lab.strategies.carry import Carry, CarryParameters
from lab.strategies.columns import SeriesConfig, require_columns, required_columns
from lab.strategies.combining import combine
from lab.strategies.cross_sectional_momentum import CrossSectionalMomentum, CrossSectionalMomentumParameters
from lab.strategies.decide import decide, decide_on_features, require_history, total_lookback
from lab.strategies.diagnostics import DecisionReason, Diagnostics, diagnose
from lab.strategies.dual_momentum import DualMomentum, DualMomentumParameters
from lab.strategies.ensemble import Ensemble, EnsembleParameters
from lab.strategies.instance import StrategyInstance, load
from lab.strategies.instance_config import InstanceConfig, MarketConfig, config_model
from lab.strategies.liquidity import Screened, rule_of
from lab.strategies.ma_breakout import MaBreakout, MaBreakoutParameters
from lab.strategies.mean_reversion import MeanReversion, MeanReversionParameters
from lab.strategies.portfolio import AllocationConfig, Portfolio, PortfolioConfig, load_portfolio
from lab.strategies.portfolio_weights import PortfolioWeights
from lab.strategies.protocol import Parameters, Strategy, signal_of
from lab.strategies.registry import families, register, strategy_of
from lab.strategies.space import Choice, Dimension, Range
from lab.strategies.standing import standing
from lab.strategies.time_series_momentum import TimeSeriesMomentum, TimeSeriesMomentumParameters
from lab.strategies.value_quality import ValueQuality, ValueQualityParameters

__all__ = [
    "AllocationConfig",
    "AllocationRule",
    "Carry",
    "CarryParameters",
    "Choice",
    "CrossSectionalMomentum",
    "CrossSectionalMomentumParameters",
    "DecisionReason",
    "Diagnostics",
    "Dimension",
    "DualMomentum",
    "DualMomentumParameters",
    "Ensemble",
    "EnsembleParameters",
    "InstanceConfig",
    "MaBreakout",
    "MaBreakoutParameters",
    "MarketConfig",
    "MeanReversion",
    "MeanReversionParameters",
    "Parameters",
    "Portfolio",
    "PortfolioConfig",
    "PortfolioWeights",
    "Range",
    "Screened",
    "SeriesConfig",
    "Strategy",
    "StrategyInstance",
    "TimeSeriesMomentum",
    "TimeSeriesMomentumParameters",
    "ValueQuality",
    "ValueQualityParameters",
    "combine",
    "config_model",
    "decide",
    "decide_on_features",
    "diagnose",
    "families",
    "load",
    "load_portfolio",
    "register",
    "require_columns",
    "require_history",
    "required_columns",
    "rule_of",
    "signal_of",
    "standing",
    "strategy_of",
    "total_lookback",
]
