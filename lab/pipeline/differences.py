"""Where the equity of a bridge and of its backtest come apart, exactly: every fill's share, and no rest.

Both accounts are cash and quantities. With signed fills q at prices f and fees c, an account that began with
K is worth, at prices C, ``K + sum(q * (C - f)) - sum(c)``. The difference of two accounts is therefore a sum
over their fills. With p the bar's reference price and d the difference of the quantities, a fill's share is

* ``d * (C - p)``: another quantity was traded; d itself is a sum of what rounding, a smallest order, a
  partial fill, a missed tick, a later price or a person took from what the bridge's weight asked for, of what
  another weight asked for, and of what was wanted otherwise because something else was held;
* ``q * (p - f)`` of each account: slippage;
* ``c`` of each account: fees.

What came into one account or left it without a trade counts with its value at C.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

__all__ = ["Attribution", "Fill", "Shortfall", "attribute"]


@dataclass(frozen=True, slots=True)
class Fill:
    """What an account traded of one market in one bar: signed quantity, price, fee in quote currency.

    `fee_quantity` is a fee taken from the base currency; it changes in value with the price.
    """

    quantity: float
    price: float
    fee: float = 0.0
    fee_quantity: float = 0.0


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What kept the bridge's quantity from the backtest's wish in one market of one bar, signed like it."""

    rounding: float = 0.0
    min_notional: float = 0.0
    partial_fill: float = 0.0
    missed_tick: float = 0.0
    timing: float = 0.0
    signal: float = 0.0
    risk: float = 0.0
    command: float = 0.0

    def __add__(self, other: Shortfall) -> Shortfall:
        return Shortfall(
            **{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Shortfall)}
        )


@dataclass(frozen=True, slots=True)
class Attribution:
    """Differences of equity, bridge minus backtest, in quote currency; they sum to `total`.

    Attributes
    ----------
    rounding, min_notional, partial_fill, missed_tick : float
        Quantities that were rounded away, too small to send, not filled, or never decided on.
    timing : float
        Quantities sized at another price than the bar's open.
    signal, risk : float
        Quantities that another decision asked for, and those that the risk step permitted otherwise of the
        same decision: a limit of the bridge alone, or one that two accounts meet at different places.
    command : float
        Quantities that a person had sold.
    carried : float
        Quantities wanted otherwise, because the accounts already differed: what the causes before did later.
    price, fee : float
        Other prices and other fees than the backtest's.
    transfer : float
        What reconciliation took in or off without a trade.
    residual : float
        What is left of the whole difference; floating point alone, or the accounts do not add up.
    total : float
        The whole difference.
    """

    rounding: float = 0.0
    min_notional: float = 0.0
    partial_fill: float = 0.0
    missed_tick: float = 0.0
    timing: float = 0.0
    signal: float = 0.0
    risk: float = 0.0
    command: float = 0.0
    carried: float = 0.0
    price: float = 0.0
    fee: float = 0.0
    transfer: float = 0.0
    residual: float = 0.0
    total: float = 0.0


Key = tuple[int, str]


def attribute(
    bridge: Mapping[Key, Sequence[Fill]],
    backtest: Mapping[Key, Sequence[Fill]],
    shortfalls: Mapping[Key, Shortfall],
    references: Mapping[Key, float],
    marks: Mapping[str, float],
    *,
    equity_difference: float,
    transfers: Mapping[str, float] | None = None,
) -> Attribution:
    """Return the causes of a difference in equity.

    Parameters
    ----------
    bridge, backtest : mapping of (bar number, market) to sequence of Fill
        What each account traded up to the bar that is looked at.
    shortfalls : mapping of (bar number, market) to Shortfall
        Why the bridge's quantity is not what it wanted.
    references : mapping of (bar number, market) to float
        Price of the bar that both accounts would trade at without costs.
    marks : mapping of market to float
        Prices at which equity is compared.
    equity_difference : float
        Bridge minus backtest, from their own books.
    transfers : mapping of market to float, optional
        Quantities that came into the bridge's account, or left it, without a trade; quote currency under the
        empty name.

    Examples
    --------
    >>> found = attribute(
    ...     {(1, "A"): [Fill(0.9, 10.0, fee=0.1)]},
    ...     {(1, "A"): [Fill(1.0, 10.0, fee=0.1)]},
    ...     {(1, "A"): Shortfall(rounding=-0.1)},
    ...     {(1, "A"): 10.0},
    ...     {"A": 12.0},
    ...     equity_difference=0.9 * 2 - 0.1 - (1.0 * 2 - 0.1),
    ... )
    >>> round(found.rounding, 12), round(found.total, 12), abs(found.residual) < 1e-12
    (-0.2, -0.2, True)
    """
    sums = dict.fromkeys((field.name for field in fields(Attribution)), 0.0)
    for key in sorted({*bridge, *backtest, *shortfalls}):
        mark, reference = marks[key[1]], references[key]
        ours, theirs = bridge.get(key, ()), backtest.get(key, ())
        move = mark - reference
        difference = _quantity(ours) - _quantity(theirs)
        short = shortfalls.get(key, Shortfall())
        explained = 0.0
        for field in fields(Shortfall):
            quantity = getattr(short, field.name)
            sums[field.name] += quantity * move
            explained += quantity
        sums["carried"] += (difference - explained) * move
        sums["price"] += _slippage(theirs, reference) - _slippage(ours, reference)
        sums["fee"] += _fees(theirs, mark) - _fees(ours, mark)
    for market, quantity in (transfers or {}).items():
        sums["transfer"] += quantity * (marks[market] if market else 1.0)
    causes = sum(sums.values())
    return Attribution(**{**sums, "residual": equity_difference - causes, "total": equity_difference})


def _quantity(fills: Sequence[Fill]) -> float:
    return sum(fill.quantity for fill in fills)


def _slippage(fills: Sequence[Fill], reference: float) -> float:
    return sum(fill.quantity * (fill.price - reference) for fill in fills)


def _fees(fills: Sequence[Fill], mark: float) -> float:
    return sum(fill.fee + fill.fee_quantity * mark for fill in fills)
