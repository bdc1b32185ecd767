"""The control endpoints: what a test or rehearsal does to the exchange from outside its protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError

from lab.core.errors import ConfigError
from lab.core.settings import Section
from live_bridge.loopback.clock import parse_speed
from live_bridge.loopback.errors import RefusedError
from live_bridge.loopback.faults import Fault
from live_bridge.loopback.history import to_datetime, to_milliseconds
from live_bridge.loopback.matching import cancel, expire, fill_resting
from live_bridge.loopback.model import Balance, Order
from live_bridge.loopback.money import plain
from live_bridge.loopback.render import account_trade, queried
from live_bridge.loopback.session import Session
from live_bridge.loopback.settings import Amount

__all__ = ["CONTROLS", "ControlError"]


class ControlError(ValueError):
    """A control request is wrong; the exchange is as before it."""


class ClockChange(Section):
    """Set the clock, or move it on; ``at`` is ISO with a zone, or milliseconds."""

    at: str | int | None = None
    advance_ms: int = Field(0, ge=0)
    mode: str | None = Field(None, description="manual, real or xN")
    step_ms: int | None = Field(None, ge=0, description="every request moves the clock on by so much")


class BalanceChange(Section):
    """Set free balances, or add to them (a negative number withdraws)."""

    set: Mapping[str, Amount] = Field(default_factory=dict)
    add: Mapping[str, str] = Field(default_factory=dict)


class FaultChange(Section):
    """Put faults in force, or clear all of them first."""

    clear: bool = False
    faults: tuple[Fault, ...] = ()


class PermissionChange(Section):
    """What the API key may do, and when it was made; what is not given stays."""

    enable_reading: bool | None = None
    enable_spot_trading: bool | None = None
    enable_withdrawals: bool | None = None
    ip_restricted: bool | None = None
    revoked: bool | None = None
    created: str | int | None = Field(None, description="ISO with a zone, or milliseconds")


class OrderChange(Section):
    """What the exchange does to an open order of its own accord."""

    order_id: int
    action: Literal["cancel", "expire", "fill"]
    quantity: Amount | None = Field(None, description="of fill; none: what remains")


class MarketChange(Section):
    """Halt symbols (status BREAK, orders refused) or open them again."""

    halt: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()


class VenueChange(Section):
    """Spread, depth and fees from now on; what is not given stays."""

    spread_bps: Amount | None = None
    levels: int | None = Field(None, ge=1, le=1_000)
    level_bps: Amount | None = None
    level_quantity: Amount | None = None
    participation: Amount | None = None
    maker_bps: Amount | None = None
    taker_bps: Amount | None = None
    fee_asset: str | None = None
    fee_rates: Mapping[str, Amount] | None = None
    enforce_limits: bool | None = None
    weight_limit: int | None = Field(None, ge=1)


S = TypeVar("S", bound=Section)


def _read(model: type[S], body: Any) -> S:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc']) or 'body'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise ControlError(faults) from None


def _clock(session: Session, body: Any) -> dict[str, Any]:
    change = _read(ClockChange, body)
    try:
        speed = None if change.mode is None else parse_speed(change.mode)
    except ConfigError as error:
        raise ControlError(str(error)) from None
    now = session.clock.now() + change.advance_ms if change.at is None else _instant(change.at)
    if change.at is not None or change.advance_ms or speed is not None:
        session.clock.set(now, speed=speed)
    if change.step_ms is not None:
        session.clock.step = change.step_ms
    session.catch_up(session.clock.now())
    return _time(session)


def _instant(at: str | int) -> int:
    if isinstance(at, int):
        return at
    try:
        instant = datetime.fromisoformat(at)
    except ValueError:
        raise ControlError(f"at {at!r} not understood; write for example 2019-06-01T00:00:00Z") from None
    if instant.tzinfo is None:
        raise ControlError(f"at {at} has no zone; write {at}Z")
    return to_milliseconds(instant)


def _time(session: Session) -> dict[str, Any]:
    now = session.clock.now()
    return {
        "time": now,
        "iso": to_datetime(now).isoformat(),
        "speed": session.clock.speed,
        "step_ms": session.clock.step,
    }


def _balances(session: Session, body: Any) -> dict[str, Any]:
    change = _read(BalanceChange, body)
    state = session.state
    for asset, amount in change.set.items():
        locked = state.balance(asset).locked
        balances = MappingProxyType({**state.balances, asset: Balance(amount, locked)})
        state = replace(state, balances=balances)
    for asset, text in change.add.items():
        try:
            state = state.with_balance(asset, free=Decimal(text))
        except ArithmeticError:
            raise ControlError(f"add.{asset}: {text!r} is no number") from None
        if state.balance(asset).free < 0:
            raise ControlError(f"add.{asset}: only {session.state.balance(asset).free} {asset} is free")
    session.state = state
    return _shown_balances(session)


def _shown_balances(session: Session) -> dict[str, Any]:
    return {
        asset: {"free": plain(balance.free), "locked": plain(balance.locked)}
        for asset, balance in sorted(session.state.balances.items())
    }


def _faults(session: Session, body: Any) -> dict[str, Any]:
    # One fault may be sent bare: {"kind": "drop", ...}.
    change = _read(FaultChange, {"faults": [body]} if "kind" in body else body)
    if change.clear:
        session.plan.clear()
    return {"numbers": [session.plan.add(fault) for fault in change.faults], "faults": session.plan.report()}


def _permissions(session: Session, body: Any) -> dict[str, Any]:
    change = _read(PermissionChange, body).model_dump(exclude_none=True)
    if "created" in change:
        change["created_ms"] = _instant(change.pop("created"))
    session.state = replace(session.state, permissions=replace(session.state.permissions, **change))
    return asdict(session.state.permissions)


def _order(session: Session, body: Any) -> dict[str, Any]:
    change = _read(OrderChange, body)
    order = session.state.orders.get(change.order_id)
    if order is None or not order.is_open:
        raise ControlError(f"order_id {change.order_id}: no open order of that number")
    now = session.clock.now()
    if change.action == "cancel":
        session.state, order = cancel(session.state, order, now, cancelled_as="by-exchange")
    elif change.action == "expire":
        session.state, order = expire(session.state, order, now)
    else:
        session.state, order = _fill(session, order, change.quantity, now)
    return queried(order)


def _fill(session: Session, order: Order, quantity: Decimal | None, now: int) -> Any:
    quantity = order.remaining if quantity is None else quantity
    if not 0 < quantity <= order.remaining:
        raise ControlError(f"quantity {quantity}: {order.remaining} remains of order {order.order_id}")
    try:
        return fill_resting(session.venue, session.state, order, quantity, now)
    except RefusedError as error:
        raise ControlError(str(error)) from None


def _market(session: Session, body: Any) -> dict[str, Any]:
    change = _read(MarketChange, body)
    unknown = {*change.halt, *change.resume} - set(session.venue.listings)
    if unknown:
        raise ControlError(f"no such symbol: {', '.join(sorted(unknown))}")
    session.state = replace(
        session.state, halted=(session.state.halted | set(change.halt)) - set(change.resume)
    )
    return {"halted": sorted(session.state.halted)}


def _venue(session: Session, body: Any) -> dict[str, Any]:
    change = _read(VenueChange, body)
    # A key sent as null is meant: no limit on the level, no participation.
    given = {name: getattr(change, name) for name in change.model_fields_set}
    session.venue = replace(session.venue, settings=replace(session.venue.settings, **given))
    return {name: _plain_value(value) for name, value in asdict(session.venue.settings).items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: str(each) for name, each in value.items()}
    return str(value) if isinstance(value, Decimal) else value


def _state(session: Session, _: Any) -> dict[str, Any]:
    state = session.state
    session.catch_up(session.clock.now())
    return {
        **_time(session),
        "balances": _shown_balances(session),
        "orders": [queried(order) for order in state.orders.values()],
        "open_orders": sorted(state.open_orders),
        "trades": [account_trade(trade) for trade in state.trades],
        "permissions": asdict(state.permissions),
        "halted": sorted(state.halted),
        "faults": session.plan.report(),
        "pending": session.pending(),
        "requests": session.requests,
        "order_posts": dict(session.order_posts),
        "log": [asdict(entry) for entry in session.log],
    }


def _reset(session: Session, _: Any) -> dict[str, Any]:
    session.reset()
    return _time(session)


CONTROLS: Final[Mapping[tuple[str, str], Callable[[Session, Any], dict[str, Any]]]] = {
    ("GET", "state"): _state,
    ("GET", "clock"): lambda session, _: _time(session),
    ("POST", "clock"): _clock,
    ("POST", "fault"): _faults,
    ("POST", "balances"): _balances,
    ("POST", "permissions"): _permissions,
    ("POST", "order"): _order,
    ("POST", "market"): _market,
    ("POST", "venue"): _venue,
    ("POST", "reset"): _reset,
}
