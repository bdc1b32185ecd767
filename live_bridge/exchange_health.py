"""How well an exchange answers: what its calls of a run, and a ban that was met, mean for entries.

Calls are counted within one run, on purpose: what failed a bar ago says nothing of now, and a count that
outlived the failure would keep entries shut after it. A ban does outlive the run (:mod:`live_bridge.bans`).
"""

from __future__ import annotations

import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, runtime_checkable

from lab.core.settings import HealthSettings
from lab.risk import exchange_trouble

__all__ = ["WELL", "CallLog", "Health", "Observed", "exchange_health", "was_banned"]

# HealthSettings.calls allows no more.
_KEPT: Final = 1_000
_CODE: Final = "EXCHANGE_HEALTH"

T = TypeVar("T")
Calls = tuple[tuple[bool, float], ...]


@runtime_checkable
class Observed(Protocol):
    """An exchange that counts its calls."""

    @property
    def banned(self) -> bool:
        """Whether it answered that we are banned."""
        ...

    def calls(self) -> Calls:
        """Return whether each of the last calls was answered, and its milliseconds; latest last."""
        ...


class CallLog:
    """Outcome and latency of the last calls.

    Parameters
    ----------
    clock : callable
        Seconds; never goes back.

    Examples
    --------
    >>> log = CallLog(iter([0.0, 0.25]).__next__)
    >>> log.timed(lambda: "pong", answered=lambda error: False)
    'pong'
    >>> log.calls()
    ((True, 250.0),)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._calls: deque[tuple[bool, float]] = deque(maxlen=_KEPT)

    def timed(self, call: Callable[[], T], *, answered: Callable[[Exception], bool]) -> T:
        """Return what `call` returns, and keep how it went.

        Parameters
        ----------
        call : callable
        answered : callable
            Whether an error is the sound answer of an exchange that is well, such as "insufficient funds".
        """
        started = self._clock()
        try:
            result = call()
        except Exception as error:
            self._calls.append((answered(error), (self._clock() - started) * 1_000))
            raise
        self._calls.append((True, (self._clock() - started) * 1_000))
        return result

    def calls(self) -> Calls:
        """Return the last calls, latest last: whether it was answered, and milliseconds."""
        return tuple(self._calls)


@dataclass(frozen=True, slots=True)
class Health:
    """A code of :func:`lab.risk.exchange_trouble`, and what to tell of it: nothing where all is well."""

    code: float
    reason: str


WELL: Final = Health(0.0, "")


def was_banned(market: object) -> bool:
    """Return whether an exchange answered that we are banned; False where nobody counts."""
    return isinstance(market, Observed) and market.banned


def exchange_health(market: object, settings: HealthSettings, *, banned: bool = False) -> Health:
    """Return how well an exchange is.

    Parameters
    ----------
    market : object
        One that is :class:`Observed`; any other, such as a recording, is well.
    settings : HealthSettings
        How many calls count, and what is tolerated.
    banned : bool
        Whether a run before this one was banned, and none has told the risk step yet.
    """
    banned = banned or was_banned(market)
    calls = market.calls() if isinstance(market, Observed) else ()
    code = exchange_trouble(calls, settings, banned=banned)
    if banned:
        return Health(
            code,
            f"{_CODE} the exchange banned this address; entries that this stops wait for a person's "
            "'live-bridge resume'",
        )
    return Health(code, f"{_CODE} {_figures(calls, settings)}") if code else WELL


def _figures(calls: Calls, settings: HealthSettings) -> str:
    last = calls[-settings.calls :]
    taken = [milliseconds for answered, milliseconds in last if answered]
    typical = f"their median {statistics.median(taken):.0f} ms" if taken else "none was answered"
    return (
        f"{len(last) - len(taken)} of the last {len(last)} calls failed ({settings.max_error_rate_pct:.0%} "
        f"may), {typical} ({settings.max_latency_ms:.0f} ms may be)"
    )
