"""Several accounts at once, side by side in lanes: the bits of ``lean.run_shared`` at less cost.

What an order pays or brings does not depend on the sequence of the orders; only the sum of the cash does, and
whether a buy still fits. So the orders of all lanes are made without a branch, brought into sequence by one
sorting network, and added up. A lane where this is not exact on a bar (a buy that may not fit, two orders of
the same size, an amount near rounding) takes that bar as ``lean.rebalance`` does. No lane sees another: which
sets run together changes nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.backtest.alone import note_all
from lab.backtest.layout import NOTHING, ROUNDING, Array, Codes, Rates, Tape
from lab.backtest.lean import rebalance
from lab.backtest.sorting import SPARE
from lab.backtest.survey import NONE
from lab.core.compiled import njit

__all__ = ["LANES", "network", "run_lanes"]

LANES: Final = 16
# Rows of weights that are laid out lane by lane at a time.
_ROWS: Final = 64
Flags = NDArray[np.bool_]


@cache
def network(size: int) -> Codes:
    """Return the exchanges that sort `size` numbers, shape (exchanges, 2).

    Batcher's merge exchange: Knuth, The Art of Computer Programming 3, algorithm 5.2.2M.

    Examples
    --------
    >>> network(4).tolist()
    [[0, 2], [1, 3], [0, 1], [2, 3], [1, 2]]
    """
    pairs: list[tuple[int, int]] = []
    top = (1 << max(size - 1, 0).bit_length()) >> 1
    step = top
    while step > 0:
        reach, distance, offset = top, step, 0
        while distance > 0:
            pairs += [(i, i + distance) for i in range(size - distance) if i & step == offset]
            distance, reach, offset = reach - step, reach >> 1, step
        step >>= 1
    exchanges = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    exchanges.flags.writeable = False
    return exchanges


@njit(cache=True, nogil=True, error_model="numpy")
def _lay_out(
    weights: Array, decided: Codes, lane: int, first: int, rows: int, wanted: Array, live: Flags
) -> None:
    """Copy rows of one lane's weights; a row that decides nothing is NaN."""
    for r in range(rows):
        decides = decided[lane, first + r] != NONE
        live[r] |= decides
        for i in range(weights.shape[1]):
            wanted[r, i, lane] = weights[first + r, i] if decides else np.nan


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _value(cash: Array, held: Array, prices: Array, t: int, value: Array) -> None:
    for lane in range(cash.shape[0]):
        value[lane] = cash[lane]
    for i in range(held.shape[0]):
        price = prices[t, i]
        for lane in range(cash.shape[0]):
            value[lane] += held[i, lane] * price


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _make_orders(
    t: int,
    price: Array,
    mark: Array,
    wanted: Array,
    row: int,
    value: Array,
    held: Array,
    slippage: float,
    after: Array,
    keys: Array,
    amounts: Array,
    slipped: Array,
) -> None:
    """Write what every lane trades and what it holds then, as if its cash were enough.

    `keys` to sort by, `amounts` of cash before fees (negative: buys), and what slippage takes.
    """
    for i in range(held.shape[0]):
        reference, worthless = price[t, i], mark[t, i]
        dear, cheap = reference * (1.0 + slippage), reference * (1.0 - slippage)
        known = not np.isnan(reference)
        for lane in range(held.shape[1]):
            before = held[i, lane]
            worth = wanted[row, i, lane] * value[lane]
            quantity = worth / worthless - before
            buys = quantity > 0.0
            traded = quantity if buys else min(before, -quantity)
            trades = (abs(quantity) > NOTHING) & (traded > NOTHING) & known & (value[lane] > NOTHING)
            rest = before - traded
            kept = rest if (rest > ROUNDING * before) & (rest > NOTHING) else 0.0
            then = before + quantity if buys else kept
            notional = traded * (dear if buys else cheap)
            after[i, lane] = then if trades else before
            keys[i, lane] = worth - before * worthless if trades else np.inf
            amounts[i, lane] = (-notional if buys else notional) if trades else 0.0
            slipped[i, lane] = traded * reference * slippage if trades else 0.0


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _sort(keys: Array, amounts: Array, slipped: Array, exchanges: Codes, full: bool) -> None:
    """Bring the orders of every lane into ascending order of their keys."""
    for c in range(exchanges.shape[0]):
        a, b = exchanges[c, 0], exchanges[c, 1]
        if full:
            for lane in range(keys.shape[1]):
                swaps = keys[a, lane] > keys[b, lane]
                low, high = slipped[a, lane], slipped[b, lane]
                slipped[a, lane] = high if swaps else low
                slipped[b, lane] = low if swaps else high
        for lane in range(keys.shape[1]):
            key, other = keys[a, lane], keys[b, lane]
            low, high = amounts[a, lane], amounts[b, lane]
            swaps = key > other
            keys[a, lane] = other if swaps else key
            keys[b, lane] = key if swaps else other
            amounts[a, lane] = high if swaps else low
            amounts[b, lane] = low if swaps else high


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def _add_up(
    keys: Array,
    amounts: Array,
    slipped: Array,
    fee: float,
    left: Array,
    notional: Array,
    costs: Array,
    doubtful: Array,
    full: bool,
) -> float:
    """Add the sorted orders to the cash `left`; mark lanes where that is not exact, return their number."""
    doubtful[:] = 0.0
    for k in range(keys.shape[0]):
        for lane in range(left.shape[0]):
            cash, amount = left[lane], amounts[k, lane]
            flow = amount - abs(amount) * fee
            rest = cash + flow
            least = ROUNDING * (cash if amount < 0.0 else amount)
            exact = ((rest if amount < 0.0 else flow) > max(least, NOTHING)) | (amount == 0.0)
            doubtful[lane] = doubtful[lane] if exact else 1.0
            left[lane] = rest
        if full:
            for lane in range(left.shape[0]):
                amount = abs(amounts[k, lane])
                notional[lane] += amount
                costs[lane] += amount * fee + slipped[k, lane]
    for k in range(keys.shape[0] - 1):
        for lane in range(left.shape[0]):
            key = keys[k, lane]
            twice = (key == keys[k + 1, lane]) & (key < np.inf)
            doubtful[lane] = 1.0 if twice else doubtful[lane]
    found = 0.0
    for lane in range(left.shape[0]):
        found += doubtful[lane]
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def _trade_in_sequence(
    t: int,
    price: Array,
    mark: Array,
    wanted: Array,
    row: int,
    value: Array,
    held: Array,
    cash: Array,
    rates: Rates,
    doubtful: Array,
    after: Array,
    left: Array,
    notional: Array,
    costs: Array,
) -> None:
    """Trade the bar of every doubtful lane as one account does."""
    n = held.shape[0]
    floats, codes = np.zeros((4, n + SPARE)), np.zeros((4, n + SPARE), dtype=np.int64)
    own, target = np.empty(n), np.empty((1, n))
    for lane in range(doubtful.shape[0]):
        if doubtful[lane] == 0.0:
            continue
        for i in range(n):
            own[i], target[0, i] = held[i, lane], wanted[row, i, lane]
        left[lane], notional[lane], costs[lane] = rebalance(
            t, price, mark, target, 0, value[lane], own, cash[lane], rates.fee, rates.slippage, floats, codes
        )
        for i in range(n):
            after[i, lane] = own[i]


@njit(cache=True, nogil=True, error_model="numpy")
def run_lanes(
    tape: Tape,
    weights: tuple[Array, ...],
    decided: Codes,
    rates: Rates,
    exchanges: Codes,
    returns: Array,
    others: Array,
    growth: Array,
) -> None:
    """Simulate an account per set of weights; arguments as of ``lean.run_shared``, a column per set.

    `weights` is a tuple of ``LANES`` arrays (T, N), `decided` (LANES, T), `exchanges` those of
    :func:`network` for the markets.
    """
    price, mark, last = tape.price, tape.mark, tape.last
    (bars, n), lanes, lag = price.shape, growth.shape[0], rates.lag
    held, after, keys = np.zeros((n, lanes)), np.zeros((n, lanes)), np.zeros((n, lanes))
    amounts, slipped = np.zeros((n, lanes)), np.zeros((n, lanes))
    cash, left, before = np.full(lanes, rates.cash), np.zeros(lanes), np.full(lanes, rates.cash)
    value, notional, costs, doubtful = np.zeros(lanes), np.zeros(lanes), np.zeros(lanes), np.zeros(lanes)
    wanted, live = np.empty((_ROWS, n, lanes)), np.zeros(_ROWS, dtype=np.bool_)
    keep, full = returns.shape[0] > 0, others.shape[1] > 0
    for t in range(bars):
        row = (t - lag) % _ROWS
        if t >= lag and row == 0:
            live[:] = False
            for lane, own in enumerate(weights):
                _lay_out(own, decided, lane, t - lag, min(_ROWS, bars - t + lag), wanted, live)
        notional[:] = 0.0
        costs[:] = 0.0
        if t >= lag and live[row]:
            _value(cash, held, mark, t, value)
            _make_orders(
                t, price, mark, wanted, row, value, held, rates.slippage, after, keys, amounts, slipped
            )
            _sort(keys, amounts, slipped, exchanges, full)
            left[:] = cash
            if _add_up(keys, amounts, slipped, rates.fee, left, notional, costs, doubtful, full) > 0.0:
                _trade_in_sequence(
                    t, price, mark, wanted, row, value, held, cash, rates, doubtful, after, left,
                    notional, costs,
                )  # fmt: skip
            cash[:] = left
            held[:] = after
        if keep or t == bars - 1:
            _value(cash, held, last, t, value)
        if keep:
            note_all(t, value, before, cash, notional, costs, returns, others)
    for lane in range(lanes):
        growth[lane] = value[lane] / rates.cash
