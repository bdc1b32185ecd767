"""From a position to its size: how much of its share of the capital a market gets."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit

__all__ = ["atr_scale", "capped", "equal_share", "volatility_scale"]


@njit(cache=True, nogil=True)
def equal_share(markets: int) -> float:
    """Return the share of each of `markets` markets, ``1 / markets``.

    Examples
    --------
    >>> equal_share(4)
    0.25
    """
    return 1.0 / markets


@njit(cache=True, nogil=True, error_model="numpy")
def volatility_scale(volatility: float, target: float) -> float:
    """Return the fraction of its share that a market gets so that its volatility is at most `target`.

    Parameters
    ----------
    volatility, target : float
        Annualised, in the same unit; `target` is above 0.

    Returns
    -------
    float
        ``min(1, target / volatility)``: there is no leverage. NaN for a NaN volatility.

    References
    ----------
    T. Moskowitz, Y. H. Ooi, L. H. Pedersen, "Time series momentum", Journal of Financial Economics 104
    (2012), equation 5, there with leverage.

    Examples
    --------
    >>> volatility_scale(0.8, 0.4), volatility_scale(0.2, 0.4)
    (0.5, 1.0)
    """
    scaled = target / volatility if volatility != 0.0 else 1.0
    return 1.0 if volatility <= target else scaled


@njit(cache=True, nogil=True)
def atr_scale(price: float, average_range: float, risk_fraction: float, multiple: float) -> float:
    """Return the fraction of the capital that loses `risk_fraction` if the price falls `multiple` ranges.

    Parameters
    ----------
    price, average_range : float
        Price and average true range of the market, in the same unit; the price is above 0.
    risk_fraction : float
        Share of the capital to be lost at most, for example 0.01.
    multiple : float
        Average true ranges between the price and the point where the position is given up, above 0.

    Returns
    -------
    float
        ``min(1, risk_fraction * price / (multiple * average_range))``: units of ``risk_fraction * equity /
        (multiple * average_range)``, valued at the price; there is no leverage. 1 for a range of 0, NaN for
        a NaN.

    References
    ----------
    C. M. Faith, "Way of the Turtle" (2007), chapter 8: 1 % of equity per 2 average true ranges.

    Examples
    --------
    >>> atr_scale(100.0, 5.0, 0.01, 2.0), atr_scale(100.0, 0.1, 0.01, 2.0)
    (0.1, 1.0)
    """
    away = multiple * average_range
    if risk_fraction * price >= away:
        return 1.0
    return risk_fraction * price / away


@njit(cache=True, nogil=True)
def capped(weights: NDArray[np.float64], max_position: float, max_exposure: float) -> NDArray[np.float64]:
    """Return `weights` with each market and each row's sum cut to its cap; NaN stays NaN.

    Parameters
    ----------
    weights : ndarray of float64, shape (T, N)
        Target weights.
    max_position : float
        Largest weight of one market; larger ones are cut to it.
    max_exposure : float
        Largest sum of a row; a larger one is scaled down pro rata.

    Examples
    --------
    >>> capped(np.array([[0.9, 0.1], [0.4, 0.4]]), 0.5, 0.6)
    array([[0.5, 0.1],
           [0.3, 0.3]])
    """
    rows, columns = weights.shape
    result = np.empty((rows, columns))
    for t in range(rows):
        total = 0.0
        for i in range(columns):
            result[t, i] = weights[t, i]
            if weights[t, i] > max_position:
                result[t, i] = max_position
            if not np.isnan(result[t, i]):
                total += result[t, i]
        if total > max_exposure:
            factor = max_exposure / total
            for i in range(columns):
                result[t, i] *= factor
    return result
