"""What the stationary bootstrap needs to know of a series: block length, variance of the mean, shape.

References
----------
.. [1] D. Politis, J. Romano, "The stationary bootstrap", Journal of the American Statistical Association 89
   (1994).
.. [2] A. Patton, D. Politis, H. White, "Correction to 'Automatic block-length selection for the dependent
   bootstrap'", Econometric Reviews 28 (2009).
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.core.errors import ConfigError

__all__ = [
    "block_length_of",
    "check_draws",
    "checked",
    "length_or",
    "mean_variance",
    "mean_variances",
    "varies",
]

Array = NDArray[np.float64]

# Below this share of the mean square, a variance is rounding noise of a constant series.
_CONSTANT: Final = 1e-14
_SHORTEST: Final = 4


def mean_variance(values: ArrayLike, *, block_length: float) -> float:
    """Return the exact variance of a series' mean under the stationary bootstrap [1]_.

    What infinitely many resamples would give, in closed form: their mean's autocovariances, weighted with
    the chance that two bars a distance apart come from one block.

    Parameters
    ----------
    values : array_like, shape (T,)
        Finite.
    block_length : float
        Mean length of the blocks, at least 1; a new block begins with probability ``1 / block_length``.

    Examples
    --------
    >>> x = [0.4, 0.2, 0.1, 0.4, 0.3, 0.1, 0.3, 0.4, 0.2, 0.5, 0.1, 0.2]
    >>> round(mean_variance(x, block_length=4), 15)
    0.000468285478376
    """
    return float(mean_variances(checked(values, least=1), block_length)[0])


def block_length_of(returns: ArrayLike) -> int:
    """Return the block length that suits a series, or several together: whole bars, at least 1 [2]_.

    Of several columns the mean of their optimal lengths. Columns that do not vary have none.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=2_001)
    >>> block_length_of(noise), block_length_of(np.convolve(noise, np.ones(20), "valid")) > 20
    (1, True)
    """
    from arch.bootstrap import optimal_block_length

    values = checked(returns)
    moving = values[:, varies(values)]
    if not moving.shape[1]:
        return 1
    lengths = optimal_block_length(moving)["stationary"].to_numpy()
    known = lengths[np.isfinite(lengths)]
    return max(1, math.ceil(float(known.mean()))) if len(known) else 1


def mean_variances(values: Array, block_length: float) -> Array:
    """Return the exact bootstrap variance of each column's mean, shape (k,)."""
    if not block_length >= 1:
        raise ConfigError(f"block_length is {block_length}; expected at least one bar")
    total = len(values)
    lags = np.arange(1, total)
    stay = 1.0 - 1.0 / block_length
    weights = (1 - lags / total) * stay**lags + lags / total * stay ** (total - lags)
    centred = values - values.mean(axis=0)
    # Autocovariances of every lag at once: the inverse transform of the padded series' power.
    padded = np.fft.rfft(centred, n=2 * total, axis=0)
    power = np.fft.irfft(padded * np.conj(padded), n=2 * total, axis=0)[:total] / total
    # Never negative but for rounding, where a series turns back on itself at every bar.
    return np.maximum(power[0] + 2 * weights @ power[1:], _CONSTANT * power[0]) / total


def varies(values: Array) -> NDArray[np.bool_]:
    """Return which columns vary by more than rounding, shape (k,)."""
    return np.asarray(values.var(axis=0) > _CONSTANT * (values**2).mean(axis=0))


def length_or(given: Any, values: Array) -> int:
    """Return the block length that was asked for, or the one that suits `values`."""
    if given is None:
        return block_length_of(values)
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < 1:
        raise ConfigError(f"block_length is {given!r}; expected a whole number of bars, at least 1")
    return int(given)


def checked(values: ArrayLike, *, least: int = _SHORTEST) -> Array:
    """Return `values` as a finite array of shape (T, k)."""
    array = np.asarray(values, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2 or len(array) < least or not array.shape[1]:
        raise ConfigError(
            f"returns have shape {array.shape}; expected (T,) or (T, models) with at least {least} bars"
        )
    if not np.isfinite(array).all():
        raise ConfigError(
            f"returns hold {int((~np.isfinite(array)).sum())} values that are not finite; drop or fill them"
        )
    return array


def check_draws(seed: Any, resamples: Any) -> None:
    """Refuse a seed or a number of resamples that makes no sense."""
    for name, value, least in (("seed", seed, 0), ("resamples", resamples, 100)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
            raise ConfigError(f"{name} is {value!r}; expected a whole number, at least {least}")
