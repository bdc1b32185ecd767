"""Returns after a feature, from its lowest to its highest values."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import ConfigError, FrameError
from lab.validation.selection.information import FEWEST_MARKETS

__all__ = ["quantile_returns"]

Array = NDArray[np.float64]


def quantile_returns(
    values: Array, later: Array, *, quantiles: int = 5, across: bool | None = None
) -> pl.DataFrame:
    """Return the mean return after a feature's values, by quantile of the value.

    Parameters
    ----------
    values, later : ndarray of float64, shape (T, N)
        A feature, and the returns after it.
    quantiles : int
        Groups of equal size, at least 2.
    across : bool, optional
        True: groups are made among the markets of each bar, bars with fewer markets than groups are left
        out. False: among all bars of each market, which looks at the whole sample and describes, but cannot
        be traded. By default across where there are at least 5 markets.

    Returns
    -------
    polars.DataFrame
        ``quantile`` (1: lowest values), ``mean, median, hit_ratio, samples``; returns are fractions.

    Examples
    --------
    >>> value = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    >>> quantile_returns(value, value / 10, quantiles=5).select("quantile", "mean").rows()
    [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4), (5, 0.5)]
    """
    if quantiles < 2:
        raise ConfigError(f"quantiles {quantiles}: expected at least 2")
    if values.shape != later.shape:
        raise FrameError(f"feature {values.shape} and returns {later.shape} differ in shape (bars, markets)")
    wide = values.shape[1] >= FEWEST_MARKETS if across is None else across
    known = np.isfinite(values) & np.isfinite(later)
    row, column = np.nonzero(known)
    frame = pl.DataFrame({"group": row if wide else column, "value": values[known], "later": later[known]})
    rank = pl.col("value").rank("ordinal").over("group") - 1
    size = pl.len().over("group")
    return (
        frame.filter(size >= quantiles)
        .with_columns(quantile=(rank * quantiles // size + 1).cast(pl.Int64))
        .group_by("quantile")
        .agg(
            mean=pl.col("later").mean(),
            median=pl.col("later").median(),
            hit_ratio=(pl.col("later") > 0).mean(),
            samples=pl.len().cast(pl.Int64),
        )
        .sort("quantile")
    )
