"""Combinatorially symmetric cross-validation from block moments, streamed over the trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lab.core.compiled import njit
from lab.core.errors import ConfigError

__all__ = ["BlockMoments", "block_moments", "overfit_logits", "overfit_share"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class BlockMoments:
    """Sums and sums of squares of returns in equal blocks of bars: 256 bytes a trial for 16 blocks.

    Parameters
    ----------
    bars : int
        Bars in a block, at least 2.
    sums, squares : ndarray of float64, shape (trials, blocks)
        Of simple returns per bar, blocks in time order.
    """

    bars: int
    sums: Array
    squares: Array

    @classmethod
    def concatenate(cls, parts: Sequence[BlockMoments]) -> BlockMoments:
        """Join the trials of several parts, which must have the same blocks."""
        shapes = {(part.bars, part.sums.shape[1]) for part in parts}
        if len(shapes) != 1:
            raise ConfigError(
                f"block moments of {len(shapes)} different shapes; expected trials over the same bars"
            )
        sums = np.concatenate([part.sums for part in parts])
        return cls(parts[0].bars, sums, np.concatenate([part.squares for part in parts]))


def block_moments(returns: ArrayLike, *, blocks: int = 16) -> BlockMoments:
    """Return the block moments of returns per bar.

    Parameters
    ----------
    returns : array_like, shape (T,) or (T, trials)
        Simple returns. The oldest ``T % blocks`` bars are left out.
    blocks : int
        Even, from 2 to 20.

    Raises
    ------
    ConfigError
        If there are fewer than two bars a block, `blocks` is odd or out of range, or values are not finite.

    Examples
    --------
    >>> moments = block_moments([9.0, 1.0, 2.0, 3.0, 4.0], blocks=2)
    >>> moments.bars, moments.sums, moments.squares
    (2, array([[3., 7.]]), array([[ 5., 25.]]))
    """
    values = np.asarray(returns, dtype=np.float64)
    values = values[:, None] if values.ndim == 1 else values
    if blocks < 2 or blocks > 20 or blocks % 2:
        raise ConfigError(f"blocks is {blocks}; expected an even number from 2 to 20")
    bars = len(values) // blocks
    if values.ndim != 2 or bars < 2:
        raise ConfigError(
            f"returns have shape {values.shape}; expected (T, trials) with at least {2 * blocks} bars "
            f"for {blocks} blocks"
        )
    if not np.isfinite(values).all():
        raise ConfigError("returns hold values that are not finite; every trial needs a return at every bar")
    cut = np.ascontiguousarray(values[len(values) - bars * blocks :].T).reshape(-1, blocks, bars)
    return BlockMoments(bars, cut.sum(axis=2), (cut * cut).sum(axis=2))


def overfit_share(moments: BlockMoments) -> float:
    """Return the share of splits whose in-sample best ranks at or below the median out of sample."""
    below, equal = _ranks(moments)
    # Mean rank (below + (equal + 1) / 2) at most the middle one, (trials + 1) / 2; in whole numbers.
    return float(np.mean(2 * below + equal <= len(moments.sums)))


def overfit_logits(moments: BlockMoments) -> Array:
    """Return, for every split, the logit of the in-sample best's relative rank out of sample.

    The share of logits at or below 0 is the probability of overfitting.

    Returns
    -------
    ndarray of float64, shape (splits,)
        ``log(w / (1 - w))`` of ``w = rank / (trials + 1)``, with 1 the lowest rank; ties share their mean.

    Raises
    ------
    ConfigError
        On fewer than two trials.

    Examples
    --------
    The first trial is the better one in both halves; of two trials the best rank is 2 of 3:

    >>> overfit_logits(block_moments([[2.0, 0.0], [1.0, 1.0], [2.0, 0.0], [1.0, 1.0]], blocks=2)).round(4)
    array([0.6931, 0.6931])
    """
    below, equal = _ranks(moments)
    rank = below + (equal + 1) / 2
    share = rank / (len(moments.sums) + 1)
    # A rank in the very middle is exactly 0, as the share of splits counts it.
    return np.asarray(np.log(share / (1 - share)), dtype=np.float64)


def _ranks(moments: BlockMoments) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, per split, how many trials lie below and level with the in-sample best out of sample."""
    trials, blocks = moments.sums.shape
    if trials < 2:
        raise ConfigError(f"{trials} trial found; overfitting by selection needs at least two")
    half_sets = np.array(
        [mask for mask in range(1 << blocks) if mask.bit_count() == blocks // 2], dtype=np.int64
    )
    below, equal = _rank_of_best(moments.sums, moments.squares, half_sets, moments.bars * (blocks // 2))
    return below, equal


@njit(cache=True, nogil=True)
def _subset_sums(values, into):  # type: ignore[no-untyped-def]
    """Fill `into` with the sum of every subset of `values`, by bit mask."""
    into[0] = 0.0
    for bit in range(len(values)):
        size = 1 << bit
        for mask in range(size):
            into[size + mask] = into[mask] + values[bit]


@njit(cache=True, nogil=True)
def _sharpe_of_half_sets(sums, squares, half_sets, count, tables, into):  # type: ignore[no-untyped-def]
    """Fill `into` with one trial's Sharpe ratio in every half set; 0 where it does not vary."""
    low = len(sums) // 2
    _subset_sums(sums[:low], tables[0])
    _subset_sums(sums[low:], tables[1])
    _subset_sums(squares[:low], tables[2])
    _subset_sums(squares[low:], tables[3])
    keep = (1 << low) - 1
    for split in range(len(half_sets)):
        first, second = half_sets[split] & keep, half_sets[split] >> low
        total = tables[0, first] + tables[1, second]
        square = tables[2, first] + tables[3, second]
        deviation = square - total * total / count
        if deviation > 1e-14 * square:
            into[split] = total / count / np.sqrt(deviation / (count - 1))
        else:
            into[split] = 0.0


@njit(cache=True, nogil=True)
def _rank_of_best(sums, squares, half_sets, count):  # type: ignore[no-untyped-def]
    """Per split: how many trials lie below, and level with, the in-sample best out of sample.

    Half sets ascend, so the complement of the first is the last: one pass over a trial's Sharpe ratios serves
    both sides of every split. Two passes over the trials; memory does not grow with them.
    """
    trials, blocks = sums.shape
    splits = len(half_sets)
    tables = np.empty((4, 1 << (blocks - blocks // 2)))
    sharpe = np.empty(splits)
    best = np.full(splits, -np.inf)
    outside = np.zeros(splits)
    for trial in range(trials):
        _sharpe_of_half_sets(sums[trial], squares[trial], half_sets, count, tables, sharpe)
        for split in range(splits):
            if sharpe[split] > best[split]:
                best[split] = sharpe[split]
                outside[split] = sharpe[splits - 1 - split]
    below = np.zeros(splits, dtype=np.int64)
    equal = np.zeros(splits, dtype=np.int64)
    for trial in range(trials):
        _sharpe_of_half_sets(sums[trial], squares[trial], half_sets, count, tables, sharpe)
        for split in range(splits):
            if sharpe[splits - 1 - split] < outside[split]:
                below[split] += 1
            elif sharpe[splits - 1 - split] == outside[split]:
                equal[split] += 1
    return below, equal
