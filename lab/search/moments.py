"""What the probability of overfitting is made of, as a table that is kept with a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from lab.validation.overfitting import BlockMoments

__all__ = ["moments_from_table", "moments_table"]


def moments_table(moments: BlockMoments, folds: Sequence[int], numbers: Sequence[int]) -> pl.DataFrame:
    """Return block moments as a table: one row per set, named by the trial that first tried it.

    Parameters
    ----------
    moments : BlockMoments
        Of the sets.
    folds, numbers : sequence of int
        Keys of the table of trials.

    Returns
    -------
    polars.DataFrame
        ``fold, number, bars`` (of a block), ``sums, squares`` (arrays, one value per block).

    Examples
    --------
    >>> from lab.validation.overfitting import block_moments
    >>> table = moments_table(block_moments([[1.0, 2.0], [3.0, 4.0]] * 2, blocks=2), [0, 0], [3, 5])
    >>> table.select("number", "bars", "sums").rows()
    [(3, 2, [4.0, 4.0]), (5, 2, [6.0, 6.0])]
    """
    width = moments.sums.shape[1]
    arrays = pl.Array(pl.Float64, width)
    return pl.DataFrame(
        {
            "fold": pl.Series(folds, dtype=pl.Int32),
            "number": pl.Series(numbers, dtype=pl.Int32),
            "bars": pl.Series(np.full(len(folds), moments.bars, dtype=np.int32)),
            "sums": pl.Series(np.ascontiguousarray(moments.sums), dtype=arrays),
            "squares": pl.Series(np.ascontiguousarray(moments.squares), dtype=arrays),
        }
    )


def moments_from_table(table: pl.DataFrame) -> BlockMoments:
    """Return the block moments that :func:`moments_table` was given, to the bit."""
    sums, squares = (np.ascontiguousarray(table[name].to_numpy()) for name in ("sums", "squares"))
    return BlockMoments(int(table["bars"][0]), sums, squares)
