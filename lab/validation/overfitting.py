"""How much of a Sharpe ratio is left once luck, fat tails and the number of trials are counted.

One place to import the statistics from: :mod:`lab.validation.sharpe` has those of one series,
:mod:`lab.validation.luck` those of a selection among trials, and the probability of overfitting is here.

References
----------
.. [1] D. Bailey, J. Borwein, M. López de Prado, Q. Zhu, "The probability of backtest overfitting", Journal of
   Computational Finance 20 (2017).
"""

from __future__ import annotations

from numpy.typing import ArrayLike

from lab.validation.crossvalidation import BlockMoments, block_moments, overfit_logits, overfit_share
from lab.validation.luck import deflated_sharpe_ratio, expected_max_sharpe, min_backtest_length
from lab.validation.sharpe import (
    SharpeStatistics,
    min_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_statistics,
)

__all__ = [
    "BlockMoments",
    "SharpeStatistics",
    "block_moments",
    "deflated_sharpe_ratio",
    "expected_max_sharpe",
    "min_backtest_length",
    "min_track_record_length",
    "overfit_logits",
    "probabilistic_sharpe_ratio",
    "probability_of_backtest_overfitting",
    "sharpe_statistics",
]


def probability_of_backtest_overfitting(returns: ArrayLike | BlockMoments, *, blocks: int = 16) -> float:
    """Return how often the best in one half of history is no better than the median in the other [1]_.

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
    >>> import numpy as np
    >>> rng = np.random.default_rng(7)
    >>> noise = rng.normal(0, 0.01, size=(320, 10))
    >>> probability_of_backtest_overfitting(noise + np.where(np.arange(10) == 3, 0.02, 0.0))
    0.0
    >>> probability_of_backtest_overfitting(noise - noise.mean(axis=0))
    1.0
    """
    moments = returns if isinstance(returns, BlockMoments) else block_moments(returns, blocks=blocks)
    return overfit_share(moments)
