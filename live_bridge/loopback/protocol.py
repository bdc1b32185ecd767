"""What passes between the HTTP shell and the pure exchange: requests, responses, endpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from live_bridge.loopback.errors import RefusedError
from live_bridge.loopback.history import Listing
from live_bridge.loopback.model import State, Venue
from live_bridge.loopback.parameters import Parameters

__all__ = ["Call", "Credentials", "Endpoint", "Request", "Response", "listing_of"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, still unread.

    Parameters
    ----------
    method, path : str
    query, body : str
        As sent, for the signature covers these bytes.
    api_key : str
        The ``X-MBX-APIKEY`` header, or empty.
    """

    method: str
    path: str
    query: str = ""
    body: str = ""
    api_key: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """One answer: HTTP status, a body of plain values to be written as JSON, headers."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The one API key of the exchange."""

    key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """What a handler sees of a request."""

    venue: Venue
    state: State
    parameters: Parameters
    now: int


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation: `handler` takes a call and returns the next state and the body of the answer."""

    handler: Callable[[Call], tuple[State, Any]]
    weight: int = 1
    security: Literal["none", "key", "signed"] = "none"
    counts_order: bool = False


def listing_of(call: Call, symbol: str | None = None) -> Listing:
    """Return the listing that the ``symbol`` parameter names, or refuse with -1121."""
    name = call.parameters.text("symbol") if symbol is None else symbol
    if name not in call.venue.listings:
        raise RefusedError(-1121, "Invalid symbol.")
    return call.venue.listings[name]
