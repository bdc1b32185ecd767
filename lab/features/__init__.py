"""Features of bars whose value at t depends on the declared lookback alone, to the last bit."""

from lab.features.compute import compute
from lab.features.definition import Bars, Definition, define, definition_of, definitions
from lab.features.returns import atr, simple_return, volatility
from lab.features.windows import deviation, ema, highest, lowest, mean, total, zscore

__all__ = [
    "Bars",
    "Definition",
    "atr",
    "compute",
    "define",
    "definition_of",
    "definitions",
    "deviation",
    "ema",
    "highest",
    "lowest",
    "mean",
    "simple_return",
    "total",
    "volatility",
    "zscore",
]
