"""What the trials on record amount to once those that moved together are counted as one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from lab.search.trials import TrialBatch, distinct_trials
from lab.validation.clustering import EffectiveTrials, effective_trials

__all__ = ["effective_of"]

# Trials that are compared with each other, evenly chosen when there are more: time grows with the square.
COMPARED: Final = 1_000


def effective_of(batches: Iterable[TrialBatch], *, compared: int = COMPARED) -> EffectiveTrials | None:
    """Return the effective number of the distinct trials of `batches`, from their return sketches.

    Sketches estimate the correlations of the returns over the bars that two trials share (see
    :func:`lab.search.sketches.sketch`), so that the same parameters on windows apart are two trials. They
    blur: an effective number is an estimate, and the headline figures use the number of distinct trials,
    which is never smaller.

    Parameters
    ----------
    batches : iterable of TrialBatch
        Normally of one family and data identity.
    compared : int
        At most so many trials are clustered.

    Returns
    -------
    EffectiveTrials or None
        None without a trial that ever moved; those that never did are left out.
    """
    rows = [batch.sketches[place].astype(np.float64) for batch, place in distinct_trials(batches)]
    lengths = [float(np.sqrt(row @ row)) for row in rows]
    moving = [row / length for row, length in zip(rows, lengths, strict=True) if length > 0.0]
    if not moving:
        return None
    count = min(len(moving), compared)
    vectors = np.stack([moving[index * len(moving) // count] for index in range(count)])
    # Sums in one order, whatever the machine's matrix product does: the result is the same everywhere.
    correlations = np.einsum("ik,jk->ij", vectors, vectors, optimize=False)
    return effective_trials(correlations, population=len(moving))
