"""From a panel of bars to checked target weights: the one way that backtest, sweep and bridge take."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.core.errors import InsufficientHistoryError, WeightError
from lab.core.frames import RECEIVED
from lab.core.panel import Panel
from lab.features import compute
from lab.strategies.protocol import Strategy

__all__ = [
    "checked_weights",
    "decide",
    "decide_on_features",
    "received_close",
    "require_history",
    "total_lookback",
]

Array = NDArray[np.float64]

_ABOVE_ONE: Final = 1e-9
# A gap is noticed by comparing with the bar before, so that no decision is made on a single bar.
_SHORTEST: Final = 2


def total_lookback(strategy: Strategy[Any], params: Any) -> int:
    """Return the bars that the weights at t depend on, features and hold rules included, bar t too.

    Examples
    --------
    >>> from lab.strategies import strategy_of
    >>> momentum = strategy_of("time_series_momentum")
    >>> total_lookback(momentum, momentum.params(lookback_window=90))
    91
    """
    longest = max((feature.lookback for feature in strategy.features(params)), default=1)
    return max(strategy.lookback(params) + longest - 1, _SHORTEST)


def decide(strategy: Strategy[Any], panel: Panel, params: Any) -> Array:
    """Return the weights that `strategy` wants at the close of every bar of `panel`.

    Parameters
    ----------
    strategy : Strategy
        What decides.
    panel : Panel
        Bars; with ``received_close`` among the fields where a quality policy gave the features other prices
        than were received, else ``close`` tells which bars were received. Features are computed here.
    params : Parameters
        Of the strategy's family.

    Returns
    -------
    ndarray of float64, shape (T, N)
        Row t is known at the close of bar t and depends on the :func:`total_lookback` bars up to t alone.
        NaN keeps the quantity. Rows with fewer bars before them are NaN. So is a market whose bar was not
        received, and the whole row at the first bar that a market misses: who decides live cannot know then
        whether that bar is late or lost, and waits.

    Raises
    ------
    WeightError
        If a weight is infinite, negative or above 1, a row sums to more than 1 + 1e-9, the array has the
        wrong shape, or all weights are NaN although the features are there.
    """
    return decide_on_features(strategy, compute(panel, strategy.features(params)), params)


def decide_on_features(strategy: Strategy[Any], panel: Panel, params: Any) -> Array:
    """Do as :func:`decide` with the features that `panel` already holds, computed once for many params."""
    weights = checked_weights(strategy, panel, strategy.signal(panel, params), params)
    return _with_holds(weights, received_close(panel), total_lookback(strategy, params) - 1)


def require_history(strategy: Strategy[Any], panel: Panel, params: Any, name: str) -> None:
    """Refuse a panel in which a market has fewer bars than the strategy needs.

    Parameters
    ----------
    strategy : Strategy
        What is to decide at the last bar of `panel`.
    panel : Panel
        Bars; a market's history starts at its first received bar, gaps after it count.
    params : Parameters
        Of the strategy's family.
    name : str
        What the message calls the strategy, normally the strategy_id.

    Raises
    ------
    InsufficientHistoryError
        Naming strategy, market, needed and available bars.
    """
    needed = total_lookback(strategy, params)
    there = ~np.isnan(received_close(panel))
    for column, market in enumerate(panel.markets):
        rows = np.flatnonzero(there[:, column])
        available = len(panel) - int(rows[0]) if len(rows) else 0
        if available < needed:
            raise InsufficientHistoryError(
                f"strategy {name}: {market} {panel.timeframe} needs {needed} bars, {available} available; "
                "fetch or import earlier bars, shorten the windows, or leave the market out"
            )


def received_close(panel: Panel) -> Array:
    """Return the closes that were received, shape (T, N); NaN where no bar was."""
    name = RECEIVED["close"]
    return panel[name] if name in panel.fields else panel["close"]


def checked_weights(strategy: Strategy[Any], panel: Panel, weights: Any, params: Any) -> Array:
    """Return what a signal gave as weights that can be held, or raise WeightError: see :func:`decide`."""
    if not isinstance(weights, np.ndarray) or weights.shape != panel.shape:
        found = getattr(weights, "shape", type(weights).__name__)
        raise WeightError(f"family {strategy.family}: signal returned {found}, expected shape {panel.shape}")
    values = np.ascontiguousarray(weights, dtype=np.float64)
    row, column = _first_fault(values)
    if row >= 0:
        where = f"family {strategy.family}: bar {_time(panel, row)}"
        if column >= 0:
            raise WeightError(
                f"{where}, market {panel.markets[column]}: weight {values[row, column]}, "
                "expected a number from 0 to 1, or NaN to keep the quantity"
            )
        largest = int(np.nanargmax(values[row]))
        raise WeightError(
            f"{where}: weights sum to {np.nansum(values[row])} (largest {values[row, largest]} in "
            f"{panel.markets[largest]}), expected at most 1; the rest is cash"
        )
    if len(values) and np.isnan(values).all():
        _refuse_silence(strategy, panel, params)
    return values


def _refuse_silence(strategy: Strategy[Any], panel: Panel, params: Any) -> None:
    complete = np.ones(panel.shape, dtype=np.bool_)
    for feature in strategy.features(params):
        complete &= ~np.isnan(panel[feature])
    # A strategy may keep its quantities for a while; never to decide in all bars it asked for is a fault.
    if (complete.sum(axis=0) >= total_lookback(strategy, params)).any():
        row, column = divmod(int(np.argmax(complete)), len(panel.markets))
        raise WeightError(
            f"family {strategy.family}: every weight is NaN although the features are complete from bar "
            f"{_time(panel, row)}, market {panel.markets[column]} on; expected numbers there"
        )


def _time(panel: Panel, row: int) -> str:
    return f"{np.datetime_as_string(panel.ts[row], unit='m')}Z".replace("T", " ")


@njit(cache=True, nogil=True)
def _first_fault(weights: Array) -> tuple[int, int]:
    for t in range(weights.shape[0]):
        total = 0.0
        for i in range(weights.shape[1]):
            weight = weights[t, i]
            if not np.isnan(weight):
                if weight < 0.0 or weight > 1.0:
                    return t, i
                total += weight
        if total > 1.0 + _ABOVE_ONE:
            return t, -1
    return -1, -1


@njit(cache=True, nogil=True)
def _with_holds(weights: Array, received: Array, warm_up: int) -> Array:
    result = np.full(weights.shape, np.nan)
    for t in range(max(warm_up, 1), weights.shape[0]):
        first_missing = False
        for i in range(weights.shape[1]):
            first_missing |= np.isnan(received[t, i]) and not np.isnan(received[t - 1, i])
        if first_missing:
            continue
        for i in range(weights.shape[1]):
            if not np.isnan(received[t, i]):
                result[t, i] = weights[t, i]
    return result
