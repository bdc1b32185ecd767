"""From permitted weights to orders: `Decimal` arithmetic under the exchange's rules, and nothing else."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_DOWN, Context, Decimal, localcontext
from typing import Final, NamedTuple

from lab.core.errors import ConfigError
from live_bridge.exchange import Order, Rules, Side

__all__ = [
    "CONTEXT",
    "Costing",
    "Plan",
    "Skipped",
    "Target",
    "cash_flow",
    "order_id",
    "plan_orders",
    "round_down",
]

# The digits of IEEE decimal128: far below any step, and results stay short enough to read.
CONTEXT: Final = Context(prec=34)
_ID_LENGTH: Final = 36


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
) -> Plan:
    """Return the market orders that lead from the held quantities to the permitted weights.

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
        Account, portfolio and tick: what makes the order ids unique.
    """
    with localcontext(CONTEXT):
        orders: list[Order] = []
        skipped: list[Skipped] = []
        left = cash
        for trade in sorted(_trades(targets, equity), key=lambda trade: trade.value):
            rule = rules[trade.symbol]
            exact, reason = _exact(trade, left, costs)
            if rule.max_quantity is not None and exact > rule.max_quantity:
                rest = exact - rule.max_quantity
                skipped.append(Skipped(trade.symbol, trade.side, rest, "MAX_QUANTITY"))
                exact = rule.max_quantity
            quantity = round_down(exact, rule.step)
            reason = _refusal(quantity, trade.price, rule) or (reason if quantity <= 0 else "")
            if reason:
                skipped.append(Skipped(trade.symbol, trade.side, exact, reason))
                continue
            identity = order_id([*scope, trade.symbol, trade.side, "0", "0", "0"], prefix=scope[1])
            orders.append(Order(identity, trade.symbol, trade.side, quantity, trade.price))
            left += cash_flow(trade.side, quantity * trade.price, costs)
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


def order_id(parts: Iterable[str], *, prefix: str) -> str:
    """Return the client order id of a scope: the portfolio's prefix and a hash; 36 characters.

    Parameters
    ----------
    parts : iterable of str
        Account, portfolio, tick or command, market, side, slice, replacement, attempt.
    prefix : str
        The portfolio; its first 8 letters, digits, dashes and underscores are kept.

    Examples
    --------
    >>> order_id(["main", "core", "t1", "BTC/USDT", "buy", "0", "0", "0"], prefix="core")
    'core-7a7383d29c45a5eac4230bef4685865'
    """
    head = "".join(c for c in prefix if c.isascii() and (c.isalnum() or c in "-_"))[:8]
    if not head:
        raise ConfigError(f"order ids: prefix {prefix!r} has no letter or digit")
    body = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
    return f"{head}-{body}"[:_ID_LENGTH]


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
