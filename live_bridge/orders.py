"""From permitted weights to orders: `Decimal` arithmetic under the exchange's rules, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from typing import Final, NamedTuple

from live_bridge.exchange import Order, OrderKind, Rules, Side
from live_bridge.order_ids import order_id

__all__ = [
    "CONTEXT",
    "Costing",
    "Placing",
    "Plan",
    "Skipped",
    "Target",
    "cash_flow",
    "limit_price",
    "plan_orders",
    "round_down",
]

# The digits of IEEE decimal128: far below any step, and results stay short enough to read.
CONTEXT: Final = Context(prec=34)


@dataclass(frozen=True, slots=True)
class Target:
    """Where one market should go.

    Attributes
    ----------
    symbol : str
    weight : float
        Permitted weight, fraction of equity; NaN keeps the quantity.
    quantity : Decimal
        Held now, base currency.
    price : Decimal or None
        Mark at decision time, quote currency; None when the market has no price.
    """

    symbol: str
    weight: float
    quantity: Decimal
    price: Decimal | None


@dataclass(frozen=True, slots=True)
class Costing:
    """What trades will cost, as exact fractions: `fee` of the notional, `slippage` of the price."""

    fee: Decimal
    slippage: Decimal

    @classmethod
    def from_basis_points(cls, fee_bps: float, slippage_bps: float) -> Costing:
        """Read basis points as the decimal numbers that a user wrote.

        Examples
        --------
        >>> Costing.from_basis_points(7.5, 5.0)
        Costing(fee=Decimal('0.00075'), slippage=Decimal('0.00050'))
        """
        per_unit = Decimal(1).scaleb(-4)
        return cls(Decimal(str(fee_bps)) * per_unit, Decimal(str(slippage_bps)) * per_unit)


@dataclass(frozen=True, slots=True)
class Placing:
    """How a trade becomes orders.

    Attributes
    ----------
    kind : "market" or "limit"
    offset_bps : float
        How far a limit lies on the cheap side of the mark, basis points.
    max_notional : Decimal or None
        Largest order, quote currency; a larger trade is split.
    max_quantity : mapping of str to Decimal
        Largest order by symbol, base currency.
    max_slices : int
        Orders that one trade may be split into; the rest is left.
    """

    kind: OrderKind = "market"
    offset_bps: float = 0.0
    max_notional: Decimal | None = None
    max_quantity: Mapping[str, Decimal] = field(default_factory=dict)
    max_slices: int = 10


@dataclass(frozen=True, slots=True)
class Skipped:
    """A wanted trade that the exchange's rules or the cash do not let through, and by which one."""

    symbol: str
    side: Side
    quantity: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Orders in the order they are to be sent, and the trades that were dropped."""

    orders: tuple[Order, ...]
    skipped: tuple[Skipped, ...]


def plan_orders(
    targets: Sequence[Target],
    rules: Mapping[str, Rules],
    *,
    equity: Decimal,
    cash: Decimal,
    costs: Costing,
    scope: Sequence[str],
    placing: Placing | None = None,
) -> Plan:
    """Return the orders that lead from the held quantities to the permitted weights.

    The value of an order is ``weight * equity - quantity * price``, as in the backtest. Quantities are
    rounded towards zero to the market's step; what falls below the smallest quantity or notional is dropped
    with its reason. Sells come before buys, the smallest buy first, so that sales pay for purchases; a
    buy that the cash left does not cover is cut to it. A weight of zero sells all that is held.

    Parameters
    ----------
    targets : sequence of Target
        One per market.
    rules : mapping of str to Rules
        By symbol; the only source of rounding.
    equity, cash : Decimal
        Value of the account at the targets' prices, and its free cash; quote currency.
    costs : Costing
        What the fills are expected to cost.
    scope : sequence of str
        Account, portfolio, tick and whatever else makes the order ids unique.
    placing : Placing, optional
        How trades become orders; default: one market order each, split only where the market's largest order
        asks for it.
    """
    how = placing or Placing()
    with localcontext(CONTEXT):
        orders: list[Order] = []
        skipped: list[Skipped] = []
        left = cash
        for trade in sorted(_trades(targets, equity), key=lambda trade: trade.value):
            rule = rules[trade.symbol]
            exact, reason = _exact(trade, left, costs)
            made, dropped = _slices(trade, exact, reason, rule, how, scope)
            orders += made
            skipped += dropped
            notional = sum((order.quantity for order in made), Decimal(0)) * trade.price
            left += cash_flow(trade.side, notional, costs)
        return Plan(tuple(orders), tuple(skipped))


def round_down(quantity: Decimal, step: Decimal) -> Decimal:
    """Return the largest multiple of `step` that is not above `quantity`; any quantity for step 0.

    Examples
    --------
    >>> round_down(Decimal("1.23456"), Decimal("0.001"))
    Decimal('1.234')
    """
    if step <= 0:
        return quantity
    with localcontext(CONTEXT):
        return (quantity / step).to_integral_value(rounding=ROUND_DOWN) * step


def limit_price(side: Side, price: Decimal, rules: Rules, offset_bps: float) -> Decimal:
    """Return a limit on the cheap side of `price`, rounded to the tick away from the market.

    Examples
    --------
    >>> rules = Rules("BTC/USDT", "BTC", "USDT", tick=Decimal("0.5"))
    >>> limit_price("buy", Decimal(100), rules, 30), limit_price("sell", Decimal(100), rules, 30)
    (Decimal('99.5'), Decimal('100.5'))
    """
    with localcontext(CONTEXT):
        share = Decimal(str(offset_bps)).scaleb(-4)
        if side == "buy":
            return round_down(price * (1 - share), rules.tick)
        exact = price * (1 + share)
        rounded = round_down(exact, rules.tick)
        return rounded if rounded == exact else rounded + rules.tick


class _Trade(NamedTuple):
    """What one market lacks: `value` in quote currency, negative to sell; `leave` when all must go."""

    symbol: str
    value: Decimal
    price: Decimal
    held: Decimal
    leave: bool

    @property
    def side(self) -> Side:
        return "sell" if self.value < 0 else "buy"


def _trades(targets: Sequence[Target], equity: Decimal) -> list[_Trade]:
    trades = []
    for target in targets:
        if math.isnan(target.weight) or target.price is None or target.price <= 0:
            continue
        # The shortest decimal of the float: the exact binary value of 0.6 is below 0.6 and costs a step.
        value = Decimal(repr(float(target.weight))) * equity - target.quantity * target.price
        if value:
            leave = target.weight == 0
            trades.append(_Trade(target.symbol, value, target.price, target.quantity, leave))
    return trades


def _exact(trade: _Trade, cash: Decimal, costs: Costing) -> tuple[Decimal, str]:
    if trade.value < 0:
        sold = trade.held if trade.leave else min(-trade.value / trade.price, trade.held)
        return sold, "ROUNDED_TO_ZERO"
    affordable = max(cash, Decimal(0)) / (trade.price * (1 + costs.slippage) * (1 + costs.fee))
    wanted = trade.value / trade.price
    return (affordable, "CASH_SHORT") if affordable < wanted else (wanted, "ROUNDED_TO_ZERO")


def _slices(
    trade: _Trade, exact: Decimal, reason: str, rule: Rules, how: Placing, scope: Sequence[str]
) -> tuple[list[Order], list[Skipped]]:
    orders: list[Order] = []
    left = exact
    largest = _largest(trade, rule, how)
    while len(orders) < how.max_slices:
        quantity = round_down(left if largest is None else min(left, largest), rule.step)
        refused = _refusal(quantity, trade.price, rule) or (reason if quantity <= 0 else "")
        if refused:
            # The rest of a split trade that is less than a step is no trade that was missed.
            lost = not orders or quantity > 0
            return orders, [Skipped(trade.symbol, trade.side, left, refused)] if lost else []
        limit = None if how.kind == "market" else limit_price(trade.side, trade.price, rule, how.offset_bps)
        parts = (*scope, trade.symbol, trade.side, str(len(orders)), "0", "0")
        orders.append(
            Order(
                order_id(parts),
                trade.symbol,
                trade.side,
                quantity,
                trade.price,
                how.kind,
                limit,
                slice=len(orders),
            )
        )
        left -= quantity
        if largest is None:
            return orders, []
    rest = round_down(left, rule.step)
    return orders, [Skipped(trade.symbol, trade.side, left, "MAX_SLICES")] if rest > 0 else []


def _largest(trade: _Trade, rule: Rules, how: Placing) -> Decimal | None:
    caps = [rule.max_quantity, how.max_quantity.get(trade.symbol)]
    caps.append(None if how.max_notional is None else how.max_notional / trade.price)
    # A cap below the smallest order would split a trade into nothing.
    smallest = max(rule.min_quantity, rule.min_notional / trade.price) + rule.step
    found = [max(cap, smallest) for cap in caps if cap is not None and cap > 0]
    return min(found) if found else None


def _refusal(quantity: Decimal, price: Decimal, rule: Rules) -> str:
    if not rule.active:
        return "NOT_TRADING"
    if 0 < quantity < rule.min_quantity:
        return "BELOW_MIN_QUANTITY"
    if 0 < quantity * price < rule.min_notional:
        return "BELOW_MIN_NOTIONAL"
    return ""


def cash_flow(side: Side, notional: Decimal, costs: Costing) -> Decimal:
    """Return what a trade adds to the cash, slippage and fee taken off; negative for a buy."""
    if side == "sell":
        return notional * (1 - costs.slippage) * (1 - costs.fee)
    return -notional * (1 + costs.slippage) * (1 + costs.fee)
