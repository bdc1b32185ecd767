"""Backtest the backtester: how often the whole pipeline promotes what has no edge, and finds what has one."""

from lab.pipeline.calibration.planting import Planter, in_synthetic_markets
from lab.pipeline.calibration.rates import Rate
from lab.pipeline.calibration.study import METHODS, Calibration, calibrate

__all__ = ["METHODS", "Calibration", "Planter", "Rate", "calibrate", "in_synthetic_markets"]
