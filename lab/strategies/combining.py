"""The sum of what instances want: whose opinion counts where some of them keep, and who is cut first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.core.errors import ConfigError
from lab.strategies.allocation import cut_to_limit
from lab.strategies.instance import StrategyInstance
from lab.strategies.sizing import capped

__all__ = ["combine", "cut_by_priority", "limited", "parts_of"]

Array = NDArray[np.float64]


def combine(
    weights: Sequence[Array],
    markets: Sequence[Sequence[str]],
    allocations: Sequence[float | Array],
    standing: Sequence[Array] | None = None,
) -> tuple[tuple[str, ...], Array]:
    """Sum the weights of instances, each times its allocation.

    An instance keeps (NaN) where its bar has not come, where a bar of its own timeframe has not closed, or by
    its own rule. Half a position cannot be kept, so that the portfolio trades a market as soon as one
    instance decides about it, to the sum of what that one wants and what the others hold virtually: their
    `standing` weights. Where all keep, so does the portfolio.

    Parameters
    ----------
    weights : sequence of ndarray, shapes (N_k,) or (T, N_k)
        Weights of each instance at the same times, fractions of the instance's capital; NaN keeps.
    markets : sequence of sequences of str
        Markets of each instance.
    allocations : sequence of float or ndarray of shape (T,)
        Share of each instance.
    standing : sequence of ndarray, of the same shapes, optional
        Last weight of each instance in each market (:func:`~lab.strategies.standing`); NaN, nothing decided
        within its memory, counts as 0. Without it nobody knows what is held, and one instance that keeps a
        market keeps it for all.

    Returns
    -------
    markets : tuple of str
        All markets, sorted by name.
    weights : ndarray of float64, shape (N,) or (T, N)
        Fractions of the portfolio's capital; NaN keeps.

    Raises
    ------
    ConfigError
        If the sequences do not match each other.

    Examples
    --------
    >>> btc, eth = "binance:BTC/USDT", "binance:ETH/USDT"
    >>> now = [np.array([1.0]), np.array([np.nan, np.nan])]
    >>> held = [np.array([1.0]), np.array([0.5, 0.5])]
    >>> combine(now, [(btc,), (btc, eth)], [0.6, 0.4], held)
    (('binance:BTC/USDT', 'binance:ETH/USDT'), array([0.8, nan]))
    """
    if not len(weights) == len(markets) == len(allocations) or not weights:
        raise ConfigError(
            f"combine: {len(weights)} weights, {len(markets)} lists of markets and {len(allocations)} "
            "allocations; expected one of each per instance"
        )
    names = tuple(sorted({name for listed in markets for name in listed}))
    total = np.zeros((*np.shape(weights[0])[:-1], len(names)))
    decided = np.zeros(total.shape, dtype=np.bool_)
    virtual = list(weights) if standing is None else list(standing)
    for array, held, listed, allocation in zip(weights, virtual, markets, allocations, strict=True):
        expected = (*total.shape[:-1], len(listed))
        if np.shape(array) != expected or np.shape(held) != expected:
            raise ConfigError(
                f"combine: weights of shape {np.shape(array)} for {len(listed)} markets, expected {expected}"
            )
        for column, name in enumerate(listed):
            at = names.index(name)
            now = array[..., column]
            kept = np.nan_to_num(held[..., column], nan=np.nan if standing is None else 0.0)
            total[..., at] += allocation * np.where(np.isnan(now), kept, now)
            decided[..., at] |= ~np.isnan(now)
    return names, np.where(decided, total, np.nan)


def parts_of(
    weights: Sequence[Array],
    markets: Sequence[Sequence[str]],
    allocations: Sequence[float | Array],
    standing: Sequence[Array] | None = None,
) -> Array:
    """Return what each instance adds to the sums of :func:`combine`, shape (K, N) or (T, K, N).

    An instance that keeps counts with what it holds virtually, 0 where it has no opinion. Where a market is
    decided on, its parts sum to its weight.

    Parameters
    ----------
    weights, markets, allocations, standing
        As :func:`combine` takes them.

    Examples
    --------
    >>> btc, eth = "binance:BTC/USDT", "binance:ETH/USDT"
    >>> now = [np.array([1.0]), np.array([np.nan, np.nan])]
    >>> held = [np.array([1.0]), np.array([0.5, 0.5])]
    >>> parts_of(now, [(btc,), (btc, eth)], [0.6, 0.4], held)
    array([[0.6, 0. ],
           [0.2, 0.2]])
    """
    names = tuple(sorted({name for listed in markets for name in listed}))
    parts = np.zeros((*np.shape(weights[0])[:-1], len(weights), len(names)))
    virtual = list(weights) if standing is None else list(standing)
    for k, (array, held) in enumerate(zip(weights, virtual, strict=True)):
        for column, name in enumerate(markets[k]):
            now, kept = array[..., column], np.nan_to_num(held[..., column], nan=0.0)
            parts[..., k, names.index(name)] = allocations[k] * np.where(np.isnan(now), kept, now)
    return parts


def limited(weights: Array, instance: StrategyInstance) -> Array:
    """Return weights of shape (N,) or (T, N) within the instance's own position and exposure limits."""
    rows = np.ascontiguousarray(np.atleast_2d(weights), dtype=np.float64)
    cut: Array = capped(rows, instance.risk.max_position_pct, instance.risk.max_exposure_pct)
    return cut.reshape(np.shape(weights))


def cut_by_priority(
    weights: Sequence[Array],
    standing: Sequence[Array] | None,
    markets: Sequence[Sequence[str]],
    shares: Array,
    priorities: Sequence[int],
    caps: tuple[float, float],
) -> tuple[list[Array], list[Array] | None]:
    """Return weights and standing weights with those of later priority cut where the caps would bind.

    Parameters
    ----------
    weights, standing : sequence of ndarray, shapes (N_k,) or (T, N_k)
        As :func:`combine` takes them.
    markets : sequence of sequences of str
        Markets of each instance.
    shares : ndarray of float64, shape (K,) or (T, K)
        Share of each instance.
    priorities : sequence of int
        The smallest number is served first.
    caps : (float, float)
        Largest weight of one market, then largest sum of all, fractions of the portfolio's capital.
    """
    names = tuple(sorted({name for listed in markets for name in listed}))
    rows = np.atleast_2d(weights[0]).shape[0]
    share = np.ascontiguousarray(np.broadcast_to(np.atleast_2d(shares), (rows, len(weights))))
    parts = np.zeros((rows, len(weights), len(names)))
    held = weights if standing is None else standing
    for k, listed in enumerate(markets):
        now, kept = np.atleast_2d(weights[k]), np.atleast_2d(held[k])
        columns = [names.index(name) for name in listed]
        parts[:, k, columns] = share[:, k : k + 1] * np.nan_to_num(
            np.where(np.isnan(now), kept, now), nan=0.0
        )
    factors = _factors(parts, np.array(priorities, dtype=np.int64), *caps)
    cut: list[list[Array]] = [[], []]
    for k, listed in enumerate(markets):
        columns = [names.index(name) for name in listed]
        own = factors[:, k, :][:, columns]
        for side, arrays in zip(cut, (weights, standing), strict=True):
            if arrays is not None:
                side.append((np.atleast_2d(arrays[k]) * own).reshape(np.shape(arrays[k])))
    return cut[0], None if standing is None else cut[1]


@njit(cache=True, nogil=True)
def _factors(
    parts: Array, priorities: NDArray[np.int64], largest_position: float, largest_exposure: float
) -> Array:
    """Return what is left of each part, shape (T, K, N), as a fraction of it."""
    rows, instances, columns = parts.shape
    factors = np.ones(parts.shape)
    for t in range(rows):
        exposures = np.zeros(instances)
        for i in range(columns):
            wanted = parts[t, :, i].copy()
            left = cut_to_limit(wanted, priorities, largest_position)
            for k in range(instances):
                exposures[k] += left[k]
                if wanted[k] > 0.0:
                    factors[t, k, i] = left[k] / wanted[k]
        allowed = cut_to_limit(exposures, priorities, largest_exposure)
        for k in range(instances):
            if exposures[k] > 0.0:
                for i in range(columns):
                    factors[t, k, i] *= allowed[k] / exposures[k]
    return factors
