"""One Sharpe ratio and its own uncertainty: length, fat tails, skewness.

Units: a Sharpe ratio is per period (mean over sample standard deviation of one bar's returns, not
annualised); kurtosis is raw (3 for a normal distribution).

References
----------
.. [1] D. Bailey, M. López de Prado, "The Sharpe ratio efficient frontier", Journal of Risk 15 (2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from lab.core.errors import ConfigError

__all__ = [
    "SharpeStatistics",
    "min_track_record_length",
    "probabilistic_sharpe_ratio",
    "sharpe_statistics",
]

# Below this share of the mean square, a variance is rounding noise of a constant series.
_CONSTANT = 1e-14


@dataclass(frozen=True, slots=True)
class SharpeStatistics:
    """What the Sharpe statistics need to know about a return series.

    Parameters
    ----------
    sharpe : float
        Per period, from the sample standard deviation (n - 1); 0 for a series that does not vary.
    n_observations : int
        Length of the series.
    skewness, kurtosis : float
        Of the population; kurtosis raw. 0 and 3 for a series that does not vary.
    """

    sharpe: float
    n_observations: int
    skewness: float
    kurtosis: float


def sharpe_statistics(returns: ArrayLike) -> SharpeStatistics:
    """Return Sharpe ratio, length, skewness and raw kurtosis of simple returns per bar.

    Parameters
    ----------
    returns : array_like, shape (T,)
        Finite; NaN is refused, for a bar without a return belongs out of the sample by decision.

    Raises
    ------
    ConfigError
        On fewer than two returns, or values that are not finite.

    Examples
    --------
    >>> found = sharpe_statistics([0.01, -0.01, 0.02, -0.02, 0.02])
    >>> round(found.sharpe, 4), round(found.skewness, 4), round(found.kurtosis, 4)
    (0.2202, -0.3805, 1.4421)
    """
    values = np.ascontiguousarray(returns, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ConfigError(
            f"returns have shape {values.shape}; expected one dimension and at least two values"
        )
    if not np.isfinite(values).all():
        raise ConfigError(
            f"returns hold {int((~np.isfinite(values)).sum())} values that are not finite; drop or fill them"
        )
    mean = float(values.mean())
    centred = values - mean
    variance = float((centred**2).mean())
    if variance <= _CONSTANT * float((values**2).mean()):
        return SharpeStatistics(0.0, len(values), 0.0, 3.0)
    sample_deviation = math.sqrt(variance * len(values) / (len(values) - 1))
    return SharpeStatistics(
        sharpe=mean / sample_deviation,
        n_observations=len(values),
        skewness=float((centred**3).mean()) / variance**1.5,
        kurtosis=float((centred**4).mean()) / variance**2,
    )


def probabilistic_sharpe_ratio(
    sharpe: float,
    *,
    n_observations: float,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    benchmark: float = 0.0,
) -> float:
    """Return the probability that the true Sharpe ratio exceeds `benchmark` [1]_.

    Parameters
    ----------
    sharpe, benchmark : float
        Observed and compared Sharpe ratio, per period.
    n_observations : float
        Returns behind `sharpe`, more than 1.
    skewness, kurtosis : float
        Of those returns; kurtosis raw.

    Examples
    --------
    >>> round(probabilistic_sharpe_ratio(0.458, n_observations=24, skewness=-2.448, kurtosis=10.164), 6)
    0.913361
    """
    require(n_observations > 1, f"n_observations is {n_observations}; expected more than 1")
    error = math.sqrt(_error_variance(sharpe, skewness, kurtosis) / (n_observations - 1))
    if error == 0.0:
        return float(np.heaviside(sharpe - benchmark, 0.5))
    return float(ndtr((sharpe - benchmark) / error))


def min_track_record_length(
    sharpe: float,
    *,
    benchmark: float = 0.0,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
    confidence: float = 0.95,
) -> float:
    """Return how many returns are needed to hold `sharpe` above `benchmark` with `confidence` [1]_.

    In periods: divide by the periods of a year to have years. Infinite when `sharpe` is not above the
    benchmark: no track record is long enough.

    Examples
    --------
    >>> daily = min_track_record_length(2 / 250**0.5, benchmark=1 / 250**0.5)
    >>> round(daily / 250, 4)
    2.7312
    """
    require(0.5 < confidence < 1, f"confidence is {confidence}; expected more than 0.5 and less than 1")
    variance = _error_variance(sharpe, skewness, kurtosis)
    if sharpe <= benchmark:
        return math.inf
    return 1.0 + variance * (float(ndtri(confidence)) / (sharpe - benchmark)) ** 2


def _error_variance(sharpe: float, skewness: float, kurtosis: float) -> float:
    """Variance of the Sharpe estimator, times n - 1."""
    variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    require(
        kurtosis >= 1.0 and variance >= 0.0,
        f"skewness {skewness} and kurtosis {kurtosis} belong to no distribution; "
        "expected raw kurtosis (normal: 3), at least 1 + skewness squared",
    )
    return variance


def require(condition: bool, message: str) -> None:
    """Refuse input without meaning, with the `message` that says what was found and expected."""
    if not condition:
        raise ConfigError(message)
