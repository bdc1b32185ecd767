"""How much of a Sharpe ratio is left once luck, fat tails and the number of trials are counted.

Units, everywhere: a Sharpe ratio is per period (mean over sample standard deviation of one bar's returns, not
annualised); kurtosis is raw (3 for a normal distribution).

References
----------
.. [1] D. Bailey, M. López de Prado, "The Sharpe ratio efficient frontier", Journal of Risk 15 (2012).
.. [2] D. Bailey, M. López de Prado, "The deflated Sharpe ratio", Journal of Portfolio Management 40 (2014).
.. [3] D. Bailey, J. Borwein, M. López de Prado, Q. Zhu, "Pseudo-mathematics and financial charlatanism",
   Notices of the AMS 61 (2014).
.. [4] D. Bailey, J. Borwein, M. López de Prado, Q. Zhu, "The probability of backtest overfitting", Journal of
   Computational Finance 20 (2017).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from lab.core.errors import ConfigError
from lab.validation.crossvalidation import BlockMoments, block_moments, overfit_share

__all__ = [
    "BlockMoments",
    "SharpeStatistics",
    "block_moments",
    "deflated_sharpe_ratio",
    "expected_max_sharpe",
    "min_backtest_length",
    "min_track_record_length",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
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
    _require(n_observations > 1, f"n_observations is {n_observations}; expected more than 1")
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
    _require(0.5 < confidence < 1, f"confidence is {confidence}; expected more than 0.5 and less than 1")
    variance = _error_variance(sharpe, skewness, kurtosis)
    if sharpe <= benchmark:
        return math.inf
    return 1.0 + variance * (float(ndtri(confidence)) / (sharpe - benchmark)) ** 2


def expected_max_sharpe(n_trials: float, *, variance: float = 1.0) -> float:
    """Return the largest Sharpe ratio to expect of `n_trials` independent trials without any edge [2]_.

    Parameters
    ----------
    n_trials : float
        At least 1; an effective number need not be whole. One trial selects nothing: 0.
    variance : float
        Variance of the trials' Sharpe ratios, in the unit wanted back, squared.

    Notes
    -----
    The false-strategy theorem's approximation by extreme values. From three trials on it lies above the exact
    mean of a normal maximum, on the careful side: by 2.6 % at most, by 0.4 % at 1,000 trials.

    Examples
    --------
    >>> [round(expected_max_sharpe(n), 6) for n in (10, 100, 1000)]
    [1.574598, 2.530603, 3.255122]
    """
    _require(1 <= n_trials < math.inf, f"n_trials is {n_trials}; expected a finite number, at least 1")
    _require(0 <= variance < math.inf, f"variance is {variance}; expected a finite number, not negative")
    if n_trials == 1:
        return 0.0
    gamma = float(np.euler_gamma)
    quantiles = (1 - gamma) * ndtri(1 - 1 / n_trials) + gamma * ndtri(1 - 1 / (n_trials * math.e))
    return math.sqrt(variance) * max(float(quantiles), 0.0)


def min_backtest_length(n_trials: float, *, target_sharpe: float) -> float:
    """Return the length below which `n_trials` without edge are expected to show `target_sharpe` [3]_.

    Parameters
    ----------
    n_trials : float
        Independent trials, at least 1.
    target_sharpe : float
        Best Sharpe ratio in the sample, positive. Annual gives years, per period gives periods.

    Examples
    --------
    >>> round(min_backtest_length(45, target_sharpe=1.0), 3)
    4.998
    """
    _require(target_sharpe > 0, f"target_sharpe is {target_sharpe}; expected a positive number")
    return (expected_max_sharpe(n_trials) / target_sharpe) ** 2


def deflated_sharpe_ratio(
    sharpe: float,
    *,
    n_observations: float,
    n_trials: float,
    variance: float,
    skewness: float = 0.0,
    kurtosis: float = 3.0,
) -> float:
    """Return the probability that a Sharpe ratio selected among `n_trials` is above what luck gives [2]_.

    The probabilistic Sharpe ratio against :func:`expected_max_sharpe`.

    Parameters
    ----------
    sharpe : float
        Of the selected result, per period.
    n_observations : float
        Returns behind it.
    n_trials : float
        Everything that was tried; the trial ledger knows.
    variance : float
        Variance of the trials' Sharpe ratios, per period.
    skewness, kurtosis : float
        Of the selected result's returns; kurtosis raw.

    Examples
    --------
    >>> round(
    ...     deflated_sharpe_ratio(
    ...         2.5 / 250**0.5,
    ...         n_observations=1250,
    ...         n_trials=100,
    ...         variance=0.5 / 250,
    ...         skewness=-3,
    ...         kurtosis=10,
    ...     ),
    ...     6,
    ... )
    0.900397
    """
    return probabilistic_sharpe_ratio(
        sharpe,
        n_observations=n_observations,
        skewness=skewness,
        kurtosis=kurtosis,
        benchmark=expected_max_sharpe(n_trials, variance=variance),
    )


def probability_of_backtest_overfitting(returns: ArrayLike | BlockMoments, *, blocks: int = 16) -> float:
    """Return how often the best in one half of history is no better than the median in the other [4]_.

    Combinatorially symmetric cross-validation: history is cut into `blocks` equal parts; for every choice of
    half of them (12,870 for 16) the column with the best Sharpe ratio there is ranked among all columns in
    the remaining half. Counted as overfit at the median and below; ties share their mean rank.

    Parameters
    ----------
    returns : array_like, shape (T, trials), or BlockMoments
        Returns per bar of each trial, all over the same bars; or their block moments
        (:func:`block_moments`), which is all the method needs and keeps memory flat in T. The oldest
        ``T % blocks`` bars are left out.
    blocks : int
        Even, from 2 to 20. Ignored for block moments, which carry their own.

    Raises
    ------
    ConfigError
        On fewer than two trials, too few bars for the blocks, or values that are not finite.

    Examples
    --------
    >>> rng = np.random.default_rng(7)
    >>> noise = rng.normal(0, 0.01, size=(320, 10))
    >>> probability_of_backtest_overfitting(noise + np.where(np.arange(10) == 3, 0.02, 0.0))
    0.0
    >>> probability_of_backtest_overfitting(noise - noise.mean(axis=0))
    1.0
    """
    moments = returns if isinstance(returns, BlockMoments) else block_moments(returns, blocks=blocks)
    return overfit_share(moments)


def _error_variance(sharpe: float, skewness: float, kurtosis: float) -> float:
    """Variance of the Sharpe estimator, times n - 1."""
    variance = 1.0 - skewness * sharpe + (kurtosis - 1.0) / 4.0 * sharpe**2
    _require(
        kurtosis >= 1.0 and variance >= 0.0,
        f"skewness {skewness} and kurtosis {kurtosis} belong to no distribution; "
        "expected raw kurtosis (normal: 3), at least 1 + skewness squared",
    )
    return variance


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(message)
