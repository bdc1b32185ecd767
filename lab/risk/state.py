"""What the risk step knows: the account as observed, and what it remembers from one step to the next."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.risk.limits import Limits

__all__ = [
    "HALTED",
    "MARK",
    "MARKET_ROWS",
    "NORMAL",
    "REDUCE_ONLY",
    "RiskState",
    "copied",
    "halt",
    "initial_state",
    "layered",
    "observe",
    "resume",
    "see",
    "starting_state",
]

Figures = NDArray[np.float64]

NORMAL: Final = 0
REDUCE_ONLY: Final = 1
HALTED: Final = 2

_BEFORE_ANY_DAY: Final = -1

# Rows of `markets`: observed, then remembered.
MARK: Final = 0
VOLATILITY: Final = 1
VOLUME: Final = 2
TROUBLE: Final = 3
PAST_MARK: Final = 4
BANNED: Final = 5
MARKET_ROWS: Final = 6

# Columns of `breakers`.
REFERENCE: Final = 0
PERIOD: Final = 1
TRIPPED: Final = 2
SINCE: Final = 3
NOT_BEGUN: Final = -1.0

_NO_MARKETS: Final[Figures] = np.zeros((MARKET_ROWS, 0))
_NO_PARTS: Final[Figures] = np.zeros((0, 0))
_NO_VIRTUAL: Final[Figures] = np.zeros(0)
_NO_BREAKERS: Final[Figures] = np.zeros((0, 4))


class RiskState(NamedTuple):
    """The account at one execution time, and the memory of the breakers.

    `equity`, `weights`, `tradeable`, the first four rows of `markets` and `parts` are observed anew for every
    step. The rest is remembered, and only :func:`observe` and :func:`lab.risk.step` change it (and a person,
    who alone leaves HALTED: :func:`resume`). The arrays from `markets` on are empty where the limits have no
    layers; make states by :func:`initial_state`.

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
    markets : ndarray of float64, shape (6, N)
        Mark; volatility or distance to the stop, as a fraction of the price; mean traded value per bar, in
        the reference currency; trouble (0 none, 1 stale or BAD data, 2 exchange unwell, 3 banned by it).
        Remembered: mark of the last step, and 1 where a ban waits for a person.
    parts : ndarray of float64, shape (K, N)
        What each instance wants of each target; NaN: what it holds.
    sleeves : ndarray of float64, shape (K, N)
        Which share of each position is whose.
    virtual : ndarray of float64, shape (K + F + 1,)
        Virtual equity of instances, then families, from 1; last, the account's equity at the last step.
    breakers : ndarray of float64, shape (B, 4)
        Equity that the loss is measured from, number of the measure's period, whether it is tripped, and
        number of the period that it waits for the end of.
    """

    equity: float
    weights: Figures
    tradeable: NDArray[np.bool_]
    day: int
    day_start_equity: float
    mode: int
    markets: Figures = _NO_MARKETS
    parts: Figures = _NO_PARTS
    sleeves: Figures = _NO_PARTS
    virtual: Figures = _NO_VIRTUAL
    breakers: Figures = _NO_BREAKERS


@njit(cache=True, nogil=True)
def layered(limits: Limits) -> bool:
    """Tell whether anything beyond the plain figures is to be enforced: not :attr:`Limits.neutral`."""
    tables = limits.groups.shape[0] + limits.sleeves.shape[0] + limits.breakers.shape[0]
    least = min(limits.trade_risk, limits.volume_share, limits.max_positions)
    return tables > 0 or least < np.inf


@njit(cache=True, nogil=True)
def starting_state(n: int, capital: float, limits: Limits) -> RiskState:
    """Return the state of an account of `n` markets that holds `capital` in cash and has seen no day yet."""
    active = layered(limits)
    instances, scopes = limits.sleeves.shape[0], limits.scopes.shape[0]
    markets = np.full((MARKET_ROWS, n if active else 0), np.nan)
    markets[TROUBLE] = 0.0
    markets[BANNED] = 0.0
    virtual = np.ones(scopes + 1 if active else 0)
    if active:
        virtual[scopes] = capital
    breakers = np.zeros((limits.breakers.shape[0], 4))
    breakers[:, PERIOD] = NOT_BEGUN
    return RiskState(
        capital,
        np.zeros(n),
        np.ones(n, dtype=np.bool_),
        _BEFORE_ANY_DAY,
        capital,
        NORMAL,
        markets,
        np.full((instances, n if active else 0), np.nan),
        np.zeros((instances, n if active else 0)),
        virtual,
        breakers,
    )


def initial_state(n_markets: int, capital: float, limits: Limits | None = None) -> RiskState:
    """Return the state of an account that holds `capital` in cash and has seen no day yet.

    Parameters
    ----------
    n_markets : int
        Markets of the account.
    capital : float
        Cash at the start.
    limits : Limits, optional
        What will be enforced; needed where it is not :attr:`~lab.risk.Limits.neutral`.

    Examples
    --------
    >>> state = initial_state(2, 1000.0)
    >>> state.weights, state.day, state.mode
    (array([0., 0.]), -1, 0)
    """
    state: RiskState = starting_state(n_markets, float(capital), Limits() if limits is None else limits)
    return state


@njit(cache=True, nogil=True)
def copied(state: RiskState) -> RiskState:
    """Return the state with a memory of its own."""
    return RiskState(
        state.equity,
        state.weights,
        state.tradeable,
        state.day,
        state.day_start_equity,
        state.mode,
        state.markets.copy(),
        state.parts,
        state.sleeves.copy(),
        state.virtual.copy(),
        state.breakers.copy(),
    )


@njit(cache=True, nogil=True)
def observe(
    state: RiskState, equity: float, weights: Figures, tradeable: NDArray[np.bool_], day: int
) -> RiskState:
    """Return `state` as the account stands now, with the breakers' memory carried over.

    Call it once per bar, also where there is nothing to trade, before :func:`lab.risk.step`. On the first
    call of a UTC day the day's start is `equity`, and REDUCE_ONLY gives way to NORMAL; HALTED stays.
    On bars of a day or longer every bar is a new day, so that a daily loss limit cannot act there.

    Parameters
    ----------
    state : RiskState
        As the last step returned it, or :func:`initial_state`; see :func:`see` for what limits with layers
        want to know beside it.
    equity, weights, tradeable, day
        See :class:`RiskState`. The arrays are referred to, not copied.

    Examples
    --------
    >>> state = observe(initial_state(1, 100.0), 90.0, np.array([0.5]), np.array([True]), 19_000)
    >>> state.day_start_equity
    90.0
    """
    start, mode = state.day_start_equity, state.mode
    if day != state.day:
        start, mode = equity, HALTED if state.mode == HALTED else NORMAL
    return RiskState(
        equity,
        weights,
        tradeable,
        day,
        start,
        mode,
        state.markets,
        state.parts,
        state.sleeves,
        state.virtual,
        state.breakers,
    )


def see(
    state: RiskState,
    *,
    marks: Figures,
    volatility: Figures | None = None,
    volume: Figures | None = None,
    trouble: Figures | None = None,
    parts: Figures | None = None,
) -> RiskState:
    """Return `state` with what limits with layers look at; a state without layers is returned as it is.

    Parameters
    ----------
    state : RiskState
        As the last step returned it.
    marks : ndarray of float64, shape (N,)
        Last known prices.
    volatility, volume : ndarray of float64, shape (N,), optional
        See :class:`RiskState` and :func:`lab.risk.measures`; NaN or left out: not known, which is the most
        cautious figure.
    trouble : ndarray of float64, shape (N,), optional
        See :class:`RiskState` and :func:`lab.risk.exchange_trouble`; left out: none. NaN counts as BAD data.
    parts : ndarray of float64, shape (K, N), optional
        What each instance wants; left out: what it holds.

    Examples
    --------
    >>> limits = Limits(trade_risk=0.005)
    >>> state = see(initial_state(1, 100.0, limits), marks=np.array([7.0]), volatility=np.array([0.05]))
    >>> state.markets[:4, 0]
    array([7.  , 0.05,  nan, 0.  ])
    """
    if not state.markets.shape[1]:
        return state
    markets = state.markets.copy()
    markets[MARK] = marks
    markets[VOLATILITY] = np.nan if volatility is None else volatility
    markets[VOLUME] = np.nan if volume is None else volume
    markets[TROUBLE] = 0.0 if trouble is None else trouble
    wanted = np.full(state.parts.shape, np.nan)
    if parts is not None:
        wanted[:] = parts
    return state._replace(markets=markets, parts=wanted)


def halt(state: RiskState) -> RiskState:
    """Return the state after a person's command to halt.

    Examples
    --------
    >>> halt(initial_state(1, 100.0)).mode == HALTED
    True
    """
    return state._replace(mode=HALTED)


def resume(state: RiskState) -> RiskState:
    """Return the state after a person's command to go on: the one way out of HALTED.

    Mode NORMAL; bans are over; every breaker of the table that is tripped is reset and measures from the next
    step's equity. The day's loss is not forgotten: where it is reached, the next step reduces only.

    Examples
    --------
    >>> resume(halt(initial_state(1, 100.0))).mode == NORMAL
    True
    """
    markets, virtual, breakers = state.markets.copy(), state.virtual.copy(), state.breakers.copy()
    markets[BANNED] = 0.0
    virtual[:-1][~((virtual[:-1] > 0.0) & (virtual[:-1] < np.inf))] = 1.0
    breakers[breakers[:, TRIPPED] != 0.0] = (0.0, NOT_BEGUN, 0.0, 0.0)
    return state._replace(mode=NORMAL, markets=markets, virtual=virtual, breakers=breakers)
