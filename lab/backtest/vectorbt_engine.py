"""The second engine: vectorbt's Portfolio, called so that it keeps the same accounts.

vectorbt checks independently: the value of the account, the size and sequence of orders, cash that runs
short, fees, slippage and equity. It is fed the prices and their forward fill, the shifted weights, and, where
risk acts, the permitted weights; the risk step is then run again on vectorbt's own equity
(:func:`permitted_again`), and must permit the same.

With nearly any other setting the two differ, mostly without a warning: the default call sequence drops a
buy listed before the sell that funds it, `val_price` and `min_size` have other defaults, raw NaN closes value
positions at nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.backtest.kernel import close_bar, permit, subtract
from lab.backtest.layout import BUY, CASH_SHORT, EQUITY, FILLED, PATH_ROWS, SELL, Array, Tape, Terms
from lab.backtest.prices import ExecutionPrices, frozen
from lab.backtest.simulate import Trace
from lab.core.compiled import njit
from lab.costs import Costs
from lab.risk import RiskState, starting_state

__all__ = [
    "Rebuilt",
    "permit_along",
    "permitted_again",
    "portfolio",
    "portfolio_of_fills",
    "rebuild",
    "shifted",
    "trace_of",
]


_SETTINGS: Final = {
    "size_type": "targetpercent",
    "direction": "longonly",
    "fixed_fees": 0.0,
    "min_size": 0.0,
    "max_size": np.inf,
    "size_granularity": np.nan,
    "reject_prob": 0.0,
    "lock_cash": False,
    "allow_partial": True,
    "raise_reject": False,
    "cash_sharing": True,
    "call_seq": "auto",
    "ffill_val_price": True,
    "update_value": False,
    "engine": "numba",
}


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """The account as vectorbt's order records say it went.

    Attributes
    ----------
    path : ndarray, shape (PATH_ROWS, T)
        As of the fused engine.
    positions : ndarray, shape (T, N)
        Quantities at the close.
    cash : ndarray, shape (T,)
        At the close.
    """

    path: Array
    positions: Array
    cash: Array


def shifted(weights: Array, lag: int) -> Array:
    """Return weights in the row they trade at: row t holds what was decided at t - lag, NaN before."""
    moved = np.full(weights.shape, np.nan)
    moved[lag:] = weights[: max(len(weights) - lag, 0)]
    return moved


def portfolio(
    prices: ExecutionPrices,
    targets: Array,
    *,
    costs: Costs | Sequence[Costs],
    cash: float | Sequence[float],
    groups: Sequence[int] | None = None,
) -> Any:
    """Return vectorbt's Portfolio of weights that are already in the row they trade at.

    Parameters
    ----------
    prices : ExecutionPrices
        Columns of all accounts side by side.
    targets : ndarray, shape (T, N)
        Row t holds what trades at bar t, as :func:`shifted` returns it; NaN keeps the quantity.
    costs, cash
        One value, or one per account.
    groups : sequence of int, length N, optional
        Account of each column, ascending; without it all columns are one account.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # vectorbt on pandas 3 and 4 warns by the dozen
        import pandas as pd
        import vectorbt as vbt

        account = np.zeros(len(prices.markets), dtype=np.int64) if groups is None else np.asarray(groups)
        index = pd.DatetimeIndex(prices.ts, name="ts").tz_localize("UTC")
        columns = pd.Index(prices.markets, name="market")
        each = [costs] if isinstance(costs, Costs) else list(costs)
        wide = [each[0]] * len(account) if len(each) == 1 else [each[number] for number in account]

        return vbt.Portfolio.from_orders(
            close=pd.DataFrame(prices.last, index=index, columns=columns),
            size=targets,
            price=prices.price,
            val_price=prices.mark,
            fees=np.array([[one.fee for one in wide]]),
            slippage=np.array([[one.slippage for one in wide]]),
            init_cash=np.asarray(cash, dtype=np.float64),
            group_by=True if groups is None else account,
            freq=pd.Timedelta(seconds=prices.timeframe.seconds),
            **_SETTINGS,
        )


def portfolio_of_fills(
    prices: ExecutionPrices, traces: Sequence[Trace], *, costs: Sequence[Costs], cash: Sequence[float]
) -> Any:
    """Return vectorbt's Portfolio of fills that happened, sizes and prices, in the sequence they came in.

    This checks the accounting alone: cash, fees, positions and equity. `prices` hold the columns of all
    accounts side by side, in the order of `traces`.
    """
    size, price = np.full(prices.shape, np.nan), np.full(prices.shape, np.nan)
    sequence = np.empty(prices.shape, dtype=np.int64)
    fees, account, first = [], [], 0
    for number, (trace, own) in enumerate(zip(traces, costs, strict=True)):
        width = trace.positions.shape[1]
        part = slice(first, first + width)
        _lay_out(trace, size[:, part], price[:, part], sequence[:, part])
        fees += [own.fee] * width
        account += [number] * width
        first += width
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pandas as pd
        import vectorbt as vbt

        settings = {**_SETTINGS, "size_type": "amount", "call_seq": sequence}
        return vbt.Portfolio.from_orders(
            close=pd.DataFrame(prices.last, index=pd.DatetimeIndex(prices.ts).tz_localize("UTC")),
            size=size,
            price=price,
            val_price=prices.mark,
            fees=np.array([fees]),
            slippage=0.0,
            init_cash=np.asarray(cash, dtype=np.float64),
            group_by=np.array(account),
            freq=pd.Timedelta(seconds=prices.timeframe.seconds),
            **settings,
        )


def _lay_out(trace: Trace, size: Array, price: Array, sequence: NDArray[np.int64]) -> None:
    """Write the fills of one account as a wide feed, and who goes first in every bar."""
    filled = trace.log[:, 3] <= CASH_SHORT
    log, figures = trace.log[filled], trace.figures[filled]
    bar, market = log[:, 0], log[:, 1]
    size[bar, market] = log[:, 2] * figures[:, 0]
    price[bar, market] = figures[:, 1]
    rank = np.full(size.shape, len(log), dtype=np.int64)
    rank[bar, market] = np.arange(len(log))
    sequence[:] = np.argsort(rank, axis=1, kind="stable")


def rebuild(records: NDArray[Any], prices: ExecutionPrices, cash: float, slippage: float) -> Rebuilt:
    """Return the account that vectorbt's order records describe, marked at the closes.

    vectorbt's own ``value()`` drops small cash on accounts that costs have worn down; its records do not.
    A NaN slippage takes each fill's distance from the bar's price.
    """
    shape = prices.shape
    account = Rebuilt(np.empty((PATH_ROWS, shape[0])), np.empty(shape), np.empty(shape[0]))
    where = np.column_stack([records["idx"], records["col"], records["side"]]).astype(np.int64)
    figures = np.column_stack([records["size"], records["price"], records["fees"]])
    _rebuild(
        where, figures, prices.tape, float(cash), slippage, account.path, account.positions, account.cash
    )
    # Marked here once more, not by the kernel's own close: an error there must show as a difference.
    marks = np.where(account.positions != 0.0, prices.last, 0.0)
    account.path[EQUITY] = account.cash + (account.positions * marks).sum(axis=1)
    return account


@njit(cache=True, nogil=True, error_model="numpy")
def _rebuild(
    where: NDArray[np.int64],
    figures: Array,
    tape: Tape,
    cash: float,
    slippage: float,
    path: Array,
    positions: Array,
    left: Array,
) -> None:
    held = np.zeros(tape.price.shape[1])
    before = cash
    row = 0
    for t in range(tape.price.shape[0]):
        notional, costs = 0.0, 0.0
        while row < where.shape[0] and where[row, 0] == t:
            i = where[row, 1]
            size, fee = figures[row, 0], figures[row, 2]
            amount = size * figures[row, 1]
            if where[row, 2] == 0:
                held[i] += size
                cash = subtract(cash, amount + fee)
            else:
                held[i] = subtract(held[i], size)
                cash += subtract(amount, fee)
            notional += amount
            if np.isnan(slippage):
                costs += fee + size * abs(figures[row, 1] - tape.price[t, i])
            else:
                costs += fee + size * tape.price[t, i] * slippage
            row += 1
        before = close_bar(t, tape, held, cash, before, notional, costs, path)
        positions[t] = held
        left[t] = cash


def trace_of(records: NDArray[Any], account: Rebuilt, prices: ExecutionPrices, fused: Trace) -> Trace:
    """Return vectorbt's account in the form of the fused engine's.

    What vectorbt does not record (orders it ignored or rejected, and why risk acted) is taken from `fused`,
    whose permitted weights it was fed; a buy counts as cut where the fused engine cut it.
    """
    refused = fused.log[:, 3] > CASH_SHORT
    cut = {(int(bar), int(market)): int(status) for bar, market, _, status in fused.log[~refused]}
    bar, market = records["idx"].astype(np.int64), records["col"].astype(np.int64)
    side = np.where(records["side"] == 0, BUY, SELL).astype(np.int64)
    status = [cut.get(key, FILLED) for key in zip(bar.tolist(), market.tolist(), strict=True)]
    log = np.column_stack([bar, market, side, np.array(status, dtype=np.int64)])
    reference = prices.price[bar, market]
    figures = np.column_stack([records["size"], records["price"], reference, records["fees"]])
    log, figures = np.vstack([fused.log[refused], log]), np.vstack([fused.figures[refused], figures])
    order = np.argsort(log[:, 0], kind="stable")
    return Trace(
        account.path,
        account.positions,
        fused.permitted,
        fused.reasons,
        log[order],
        figures[order],
        fused.targets,
    )


def permitted_again(account: Rebuilt, prices: ExecutionPrices, weights: Array, terms: Terms) -> Array:
    """Run the risk step on vectorbt's own account and return what it permits, shape (T, N).

    `weights` are the decided ones, before any shift; rows before the lag are NaN.
    """
    permitted = np.full(prices.shape, np.nan)
    permit_along(account.positions, account.cash, prices.tape, frozen(weights), terms, permitted)
    return permitted


@njit(cache=True, nogil=True, error_model="numpy")
def permit_along(
    positions: Array, left: Array, tape: Tape, weights: Array, terms: Terms, permitted: Array
) -> RiskState:
    """Run the risk step along an account that is known; fill `permitted` and return the last state."""
    n = tape.price.shape[1]
    held = np.zeros(n)
    reasons = np.empty(n, dtype=np.int64)
    state = starting_state(n, terms.cash, terms.limits)
    for t in range(terms.lag, tape.price.shape[0]):
        value = terms.cash
        if t > 0:
            held[:] = positions[t - 1]
            value = left[t - 1]
        for i in range(n):
            if held[i] != 0.0:
                value += held[i] * tape.mark[t, i]
        target = weights[t - terms.lag]
        state = permit(t, tape, target, held, value, state, terms, permitted[t], reasons)
    return state
