"""One running exchange: the pure core with a clock, faults and a log of what was asked. No sockets."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from live_bridge.loopback.api import Timing, respond
from live_bridge.loopback.clock import Clock
from live_bridge.loopback.faults import Fault, FaultPlan
from live_bridge.loopback.matching import advance
from live_bridge.loopback.model import State, Venue
from live_bridge.loopback.protocol import Credentials, Request, Response

__all__ = ["LogEntry", "Session"]

_LOGGED: Final = 20_000
_UNLOGGED: Final = frozenset({"signature"})


@dataclass(slots=True)
class LogEntry:
    """One request as it arrived, and what became of it: processed ``now``, ``later`` or ``never``."""

    number: int
    time: int
    method: str
    path: str
    parameters: Mapping[str, str]
    faults: tuple[str, ...] = ()
    processed: str = "never"
    status: int = 0
    code: int = 0


@dataclass(slots=True)
class Session:
    """A running exchange.

    Parameters
    ----------
    venue : Venue
    state : State
    clock : Clock
    credentials : Credentials
    plan : FaultPlan
    """

    venue: Venue
    state: State
    clock: Clock
    credentials: Credentials
    plan: FaultPlan
    log: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=_LOGGED))
    order_posts: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    _later: list[tuple[int, Request, LogEntry]] = field(default_factory=list)
    _first: tuple[Venue, State, float, int] = field(init=False)
    _last: dict[tuple[str, str, str, str], Response] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._first = (self.venue, self.state, self.clock.speed, self.clock.step)

    def reset(self) -> None:
        """Go back to the first moment; faults, log and requests still to arrive are gone."""
        self.venue, self.state, speed, self.clock.step = self._first
        self.clock.set(self.state.time, speed=speed)
        self.plan = FaultPlan(self.plan.seed)
        self.requests = 0
        for kept in (self.log, self.order_posts, self._later, self._last):
            kept.clear()

    def arrive(self, request: Request) -> tuple[LogEntry, list[Fault]]:
        """Note a request, let time pass up to now, and return the faults that hit it."""
        self.catch_up(self.clock.tick())
        parameters = dict(parse_qsl(request.query) + parse_qsl(request.body))
        faults = self.plan.hit(request.method, request.path, parameters)
        self.requests += 1
        shown = {name: value for name, value in parameters.items() if name not in _UNLOGGED}
        entry = LogEntry(
            self.requests,
            self.state.time,
            request.method,
            request.path,
            shown,
            tuple(fault.kind for fault in faults),
        )
        self.log.append(entry)
        if (request.method, request.path) == ("POST", "/api/v3/order"):
            self.order_posts[parameters.get("newClientOrderId", "")] += 1
        return entry, faults

    def process(self, request: Request, entry: LogEntry) -> Response:
        """Answer a request at exchange time now."""
        now = self.clock.now()
        self.catch_up(now)
        entry.processed = "now"
        return self._respond(request, entry, now)

    def postpone(self, request: Request, entry: LogEntry, milliseconds: int) -> None:
        """Let a request arrive `milliseconds` of exchange time later; nobody hears the answer."""
        entry.processed = "later"
        self._later.append((self.clock.now() + milliseconds, request, entry))

    def catch_up(self, now: int) -> None:
        """Process what was to arrive until `now`, each at its own time, and move on to `now`."""
        for due in sorted(each for each in {item[0] for item in self._later} if each <= now):
            for _, request, entry in [item for item in self._later if item[0] == due]:
                self._respond(request, entry, due)
        self._later = [item for item in self._later if item[0] > now]
        self.state = advance(self.venue, self.state, now)

    def previous(self, request: Request) -> Response | None:
        """Return the last good answer to the same question, if it was asked before."""
        return self._last.get(_question(request))

    def timing(self) -> Timing:
        """Return how strictly signed timestamps are checked just now."""
        return Timing(ahead=self.clock.allowance(), stretch=self.clock.stretch())

    def pending(self) -> Sequence[tuple[int, int]]:
        """Return (due time, request number) of the requests still to arrive."""
        return [(due, entry.number) for due, _, entry in self._later]

    def _respond(self, request: Request, entry: LogEntry, now: int) -> Response:
        self.state, response = respond(
            self.venue, self.state, request, now, credentials=self.credentials, timing=self.timing()
        )
        entry.status = response.status
        if response.status == 200:
            self._last[_question(request)] = response
        else:
            entry.code = int(response.body["code"])
        return response


def _question(request: Request) -> tuple[str, str, str, str]:
    parameters: dict[str, Any] = dict(parse_qsl(request.query))
    return (
        request.method,
        request.path,
        parameters.get("symbol", parameters.get("symbols", "")),
        parameters.get("interval", ""),
    )
