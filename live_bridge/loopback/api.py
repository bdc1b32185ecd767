"""The pure exchange: (venue, state, request, time) -> (state, response)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from live_bridge.loopback import market_data, trading, wallet
from live_bridge.loopback.errors import RefusedError
from live_bridge.loopback.matching import advance
from live_bridge.loopback.model import State, Usage, Venue
from live_bridge.loopback.parameters import Parameters
from live_bridge.loopback.protocol import Call, Credentials, Endpoint, Request, Response

__all__ = ["ENDPOINTS", "Timing", "respond", "sign"]

ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    **market_data.ENDPOINTS,
    **trading.ENDPOINTS,
    **wallet.ENDPOINTS,
}
_AHEAD_MS: Final = 1_000
_DEFAULT_WINDOW_MS: Final = 5_000
_LARGEST_WINDOW_MS: Final = 60_000
_ORDERS_PER_TEN_SECONDS: Final = 100
_ORDERS_PER_DAY: Final = 200_000
_MINUTE, _TEN_SECONDS, _DAY = 60_000, 10_000, 86_400_000


def sign(secret: str, payload: str) -> str:
    """Return Binance's signature of query string and body: HMAC-SHA256, hexadecimal."""
    return hmac.new(secret.encode(), payload.encode(), hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Timing:
    """How exchange time relates to the client's, for the check of signed timestamps.

    Parameters
    ----------
    ahead : int
        Milliseconds a client may run ahead, beyond Binance's one second: a clock that stands still
        cannot hold a client's moving one against it.
    stretch : float
        Factor on all windows, for a clock that runs faster than real.
    """

    ahead: int = 0
    stretch: float = 1.0


def respond(
    venue: Venue, state: State, request: Request, now: int, *, credentials: Credentials, timing: Timing
) -> tuple[State, Response]:
    """Answer one request at exchange time `now`; a refusal leaves balances and orders as they were."""
    state = advance(venue, state, now)
    found = ENDPOINTS.get((request.method, request.path))
    if found is None:
        body = {"code": -1000, "msg": f"The loopback exchange has no {request.method} {request.path}."}
        return state, Response(404, body)
    state = replace(state, usage=_count(state.usage, found, now))
    headers = _headers(state.usage, found)
    try:
        _check_limits(venue, state.usage, found)
        parameters = Parameters(request.query, request.body)
        if found.security != "none":
            _authenticate(state, request, parameters, found, credentials)
        if found.security == "signed":
            _check_timestamp(parameters, now, timing)
        state, body = found.handler(Call(venue, state, parameters, now))
    except RefusedError as refusal:
        if refusal.status in {418, 429}:
            headers["Retry-After"] = str(max(1, (_MINUTE - now % _MINUTE) // 1_000))
        return state, Response(refusal.status, {"code": refusal.code, "msg": refusal.message}, headers)
    return state, Response(200, body, headers)


def _count(usage: Usage, found: Endpoint, now: int) -> Usage:
    minute, ten_seconds, day = now // _MINUTE, now // _TEN_SECONDS, now // _DAY
    orders = int(found.counts_order)
    return Usage(
        minute=minute,
        weight=found.weight + (usage.weight if usage.minute == minute else 0),
        ten_seconds=ten_seconds,
        orders_ten_seconds=orders + (usage.orders_ten_seconds if usage.ten_seconds == ten_seconds else 0),
        day=day,
        orders_day=orders + (usage.orders_day if usage.day == day else 0),
    )


def _headers(usage: Usage, found: Endpoint) -> dict[str, str]:
    headers = {"X-MBX-USED-WEIGHT": str(usage.weight), "X-MBX-USED-WEIGHT-1M": str(usage.weight)}
    if found.counts_order:
        headers["X-MBX-ORDER-COUNT-10S"] = str(usage.orders_ten_seconds)
        headers["X-MBX-ORDER-COUNT-1D"] = str(usage.orders_day)
    return headers


def _check_limits(venue: Venue, usage: Usage, found: Endpoint) -> None:
    limit = venue.settings.weight_limit
    if not venue.settings.enforce_limits:
        return
    if usage.weight > limit:
        raise RefusedError(
            -1003,
            f"Too much request weight used; current limit is {limit} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
            status=429,
        )
    if found.counts_order and (
        usage.orders_ten_seconds > _ORDERS_PER_TEN_SECONDS or usage.orders_day > _ORDERS_PER_DAY
    ):
        raise RefusedError(
            -1015,
            f"Too many new orders; current limit is {_ORDERS_PER_TEN_SECONDS} orders per 10 SECOND.",
            status=429,
        )


def _authenticate(
    state: State, request: Request, parameters: Parameters, found: Endpoint, credentials: Credentials
) -> None:
    if not request.api_key:
        raise RefusedError(-2014, "API-key format invalid.", status=401)
    readable = state.permissions.enable_reading and not state.permissions.revoked
    if not hmac.compare_digest(request.api_key.encode(), credentials.key.encode()) or not readable:
        raise RefusedError(-2015, "Invalid API-key, IP, or permissions for action.", status=401)
    if found.security != "signed":
        return
    given = parameters.text("signature")
    payload = _without_signature(request.query) + _without_signature(request.body)
    if not hmac.compare_digest(given.encode(), sign(credentials.secret, payload).encode()):
        raise RefusedError(-1022, "Signature for this request is not valid.")


def _without_signature(text: str) -> str:
    return "&".join(part for part in text.split("&") if part and not part.startswith("signature="))


def _check_timestamp(parameters: Parameters, now: int, timing: Timing) -> None:
    sent = parameters.integer("timestamp")
    if sent is None:
        raise RefusedError.missing("timestamp")
    window = parameters.integer("recvWindow")
    if window is not None and window > _LARGEST_WINDOW_MS:
        raise RefusedError(-1131, "recvWindow must be less than 60000")
    window = _DEFAULT_WINDOW_MS if window is None else window
    if sent >= now + _AHEAD_MS * timing.stretch + timing.ahead:
        raise RefusedError(-1021, f"Timestamp for this request was {_AHEAD_MS}ms ahead of the server's time.")
    if now - sent > window * timing.stretch:
        raise RefusedError(-1021, "Timestamp for this request is outside of the recvWindow.")
