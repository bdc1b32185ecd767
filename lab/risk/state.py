"""What the risk step knows: the account as observed, and what it remembers from one step to the next."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit

__all__ = ["HALTED", "NORMAL", "REDUCE_ONLY", "RiskState", "initial_state", "observe"]

NORMAL: Final = 0
REDUCE_ONLY: Final = 1
HALTED: Final = 2

_BEFORE_ANY_DAY: Final = -1


class RiskState(NamedTuple):
    """The account at one execution time, and the memory of the breakers.

    `equity`, `weights` and `tradeable` are observed anew for every step; `day`, `day_start_equity` and
    `mode` are remembered, and only :func:`observe` and :func:`lab.risk.step` change them (and a person, who
    alone leaves HALTED).

    Attributes
    ----------
    equity : float
        Value of the account at the marks, in the reference currency, before any trade of this step.
    weights : ndarray of float64, shape (N,)
        Value of each position at its mark, as a fraction of `equity`. The rest, ``1 - sum``, is cash.
    tradeable : ndarray of bool, shape (N,)
        Whether the market has a price to trade at now.
    day : int
        UTC day number (days since 1970-01-01) of the execution time; -1 before the first step.
    day_start_equity : float
        Equity at the first step of that day.
    mode : int
        0 NORMAL, 1 REDUCE_ONLY, 2 HALTED.
    """

    equity: float
    weights: NDArray[np.float64]
    tradeable: NDArray[np.bool_]
    day: int
    day_start_equity: float
    mode: int


def initial_state(n_markets: int, capital: float) -> RiskState:
    """Return the state of an account that holds `capital` in cash and has seen no day yet.

    Examples
    --------
    >>> state = initial_state(2, 1000.0)
    >>> state.weights, state.day, state.mode
    (array([0., 0.]), -1, 0)
    """
    return RiskState(
        float(capital),
        np.zeros(n_markets),
        np.ones(n_markets, dtype=np.bool_),
        _BEFORE_ANY_DAY,
        float(capital),
        NORMAL,
    )


@njit(cache=True, nogil=True)
def observe(
    state: RiskState, equity: float, weights: NDArray[np.float64], tradeable: NDArray[np.bool_], day: int
) -> RiskState:
    """Return `state` as the account stands now, with the breakers' memory carried over.

    Call it once per bar, also where there is nothing to trade, before :func:`lab.risk.step`. On the first
    call of a UTC day the day's start is `equity`, and REDUCE_ONLY gives way to NORMAL; HALTED stays.
    On bars of a day or longer every bar is a new day, so that a daily loss limit cannot act there.

    Parameters
    ----------
    state : RiskState
        As the last step returned it, or :func:`initial_state`.
    equity, weights, tradeable, day
        See :class:`RiskState`. The arrays are referred to, not copied.

    Examples
    --------
    >>> state = observe(initial_state(1, 100.0), 90.0, np.array([0.5]), np.array([True]), 19_000)
    >>> state.day_start_equity
    90.0
    """
    if day == state.day:
        return RiskState(equity, weights, tradeable, day, state.day_start_equity, state.mode)
    mode = HALTED if state.mode == HALTED else NORMAL
    return RiskState(equity, weights, tradeable, day, equity, mode)
