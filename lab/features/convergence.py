"""Momentum features: differences and changes of exponential means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.features import kernels
from lab.features.definition import Bars, checked_share, checked_window, define, frozen
from lab.features.windows import MEMORY_SPANS, exponential_mean

__all__ = ["macd", "macd_histogram", "macd_signal", "trix"]

Array = NDArray[np.float64]


def _lines(feature: Feature, bars: Bars) -> Array:
    share = feature["min_valid"]
    fast, slow = (
        exponential_mean(bars.columns[0], bars.first_bar, feature[span], share) for span in ("fast", "slow")
    )
    return fast - slow


def _macd_memory(parameters: Mapping[str, Any]) -> int:
    return MEMORY_SPANS * int(parameters["slow"])


def _macd_signal_memory(parameters: Mapping[str, Any]) -> int:
    return MEMORY_SPANS * (int(parameters["slow"]) + int(parameters["signal"])) - 1


@define("macd", version="1", lookback=_macd_memory)
def _macd(feature: Feature, bars: Bars) -> Array:
    return _lines(feature, bars)


@define("macd_signal", version="1", lookback=_macd_signal_memory)
def _macd_signal(feature: Feature, bars: Bars) -> Array:
    line = frozen(_lines(feature, bars))
    return exponential_mean(line, bars.first_bar, feature["signal"], feature["min_valid"])


@define("macd_histogram", version="1", lookback=_macd_signal_memory)
def _macd_histogram(feature: Feature, bars: Bars) -> Array:
    line = frozen(_lines(feature, bars))
    return line - exponential_mean(line, bars.first_bar, feature["signal"], feature["min_valid"])


def _thrice_and_one(parameters: Mapping[str, Any]) -> int:
    return 3 * MEMORY_SPANS * int(parameters["span"]) - 1


@define("trix", version="1", lookback=_thrice_and_one)
def _trix(feature: Feature, bars: Bars) -> Array:
    smooth = bars.columns[0]
    for _ in range(3):
        smooth = frozen(exponential_mean(smooth, bars.first_bar, feature["span"], feature["min_valid"]))
    return 100.0 * kernels.relative_change(smooth, 1)


def macd(column: str, fast: int = 12, slow: int = 26, *, min_valid: float = 0.8) -> Feature:
    """MACD, moving average convergence/divergence: exponential mean over `fast` less that over `slow` bars.

    Unit of the column; `fast` and `slow` are spans. Both means end after 11 spans: the difference to endless
    ones is as for :func:`lab.features.ema`, and so is the NaN rule. The lookback is ``11 * slow``.

    References
    ----------
    G. Appel, Technical Analysis: Power Tools for Active Investors (2005).

    Examples
    --------
    >>> macd("close").lookback
    286
    """
    return _macd.feature(**_spans("macd", column, fast, slow, min_valid))


def macd_signal(
    column: str, fast: int = 12, slow: int = 26, signal: int = 9, *, min_valid: float = 0.8
) -> Feature:
    """Signal line: exponential mean of :func:`macd` over `signal` spans.

    The lookback is ``11 * (slow + signal) - 1``.

    Examples
    --------
    >>> macd_signal("close").lookback
    384
    """
    signal = checked_window(signal, name="macd_signal")
    return _macd_signal.feature(**_spans("macd_signal", column, fast, slow, min_valid), signal=signal)


def macd_histogram(
    column: str, fast: int = 12, slow: int = 26, signal: int = 9, *, min_valid: float = 0.8
) -> Feature:
    """MACD less its signal line; lookback as for :func:`macd_signal`.

    Examples
    --------
    >>> macd_histogram("close").lookback
    384
    """
    signal = checked_window(signal, name="macd_histogram")
    return _macd_histogram.feature(**_spans("macd_histogram", column, fast, slow, min_valid), signal=signal)


def _spans(name: str, column: str, fast: int, slow: int, min_valid: float) -> dict[str, Any]:
    slow = checked_window(slow, name=name, least=2)
    fast = checked_window(fast, name=name)
    if fast >= slow:
        raise ConfigError(f"feature {name}: fast {fast} found, expected a span below slow {slow}")
    return {
        "column": str(column),
        "fast": fast,
        "slow": slow,
        "min_valid": checked_share(min_valid, name=name),
    }


def trix(column: str, span: int, *, min_valid: float = 0.8) -> Feature:
    """One-bar change of a triple exponential mean, in percent.

    Each mean ends after 11 spans (see :func:`lab.features.ema` for the difference to endless ones); the
    lookback is ``33 * span - 1``.

    References
    ----------
    J. K. Hutson, "Good TRIX", Technical Analysis of Stocks & Commodities 1 (1983).

    Examples
    --------
    >>> trix("close", 15).lookback
    494
    """
    share = checked_share(min_valid, name="trix")
    return _trix.feature(column=str(column), span=checked_window(span, name="trix"), min_valid=share)
