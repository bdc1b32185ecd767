"""How far two engines are apart, and what a result says about it."""

from __future__ import annotations

from typing import Final

import numpy as np

from lab.backtest.layout import Array

__all__ = ["TOLERANCE", "agree", "complaints", "equity_difference", "weight_difference"]

# Largest relative difference between two engines that keep the same accounts: rounding, nothing else.
TOLERANCE: Final = 1e-9
# An account worn down to this share of its capital is compared against it, not against its own last cent.
_SMALLEST_SHARE: Final = 1e-9


def equity_difference(ours: Array, theirs: Array, cash: float) -> float:
    """Return the largest difference at any bar, relative to max(`ours`, 1e-9 x `cash`); NaN if one is NaN.

    Examples
    --------
    >>> round(equity_difference(np.array([100.0, 200.0]), np.array([100.0, 201.0]), 100.0), 9)
    0.005
    """
    scale = np.maximum(np.abs(ours), _SMALLEST_SHARE * cash)
    return float(np.max(np.abs(ours - theirs) / scale, initial=0.0))


def weight_difference(ours: Array, theirs: Array) -> float:
    """Return the largest difference of permitted weights; infinite where one keeps and the other trades.

    Examples
    --------
    >>> weight_difference(np.array([[0.5, np.nan]]), np.array([[0.25, np.nan]]))
    0.25
    >>> weight_difference(np.array([[0.5, np.nan]]), np.array([[0.5, 0.0]]))
    inf
    """
    if (np.isnan(ours) != np.isnan(theirs)).any():
        return float("inf")
    both = ~np.isnan(ours)
    return float(np.max(np.abs(ours[both] - theirs[both]), initial=0.0))


def agree(difference: float | None) -> bool:
    """Tell whether a difference, if there is one, is rounding; one that is not a number is not."""
    return difference is None or difference <= TOLERANCE


def complaints(equity: float | None, weights: float | None) -> tuple[str, ...]:
    """Return a sentence for each difference beyond rounding.

    Examples
    --------
    >>> complaints(2e-9, None)
    ('FAILED: equity of the two engines differs by 2e-09, at most 1e-09 expected',)
    """
    named = (("equity", equity), ("what risk permits on the accounts", weights))
    return tuple(
        f"FAILED: {what} of the two engines differs by {figure:.3g}, at most {TOLERANCE:g} expected"
        for what, figure in named
        if not agree(figure)
    )
