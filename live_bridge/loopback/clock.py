"""The exchange's own clock: standing still, real, or N times real."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Final

from lab.core.errors import ConfigError

__all__ = ["Clock", "parse_speed"]

_SPEED: Final = re.compile(r"x(\d+(?:\.\d+)?)")


def parse_speed(text: str) -> float:
    """Read ``manual`` (0), ``real`` (1) or ``xN`` (N).

    Examples
    --------
    >>> parse_speed("manual"), parse_speed("x60")
    (0.0, 60.0)
    """
    if text in {"manual", "real"}:
        return float(text == "real")
    match = _SPEED.fullmatch(text)
    if match is None or not float(match[1]):
        raise ConfigError(f"clock {text!r} not understood: use manual, real or xN, for example x60")
    return float(match[1])


class Clock:
    """Exchange time in milliseconds.

    Parameters
    ----------
    start : int
        Exchange time now.
    speed : float
        Exchange seconds per real second; 0 stands still until it is set.
    step : int
        Milliseconds that every request moves the clock on, so that waiting for exchange time ends
        without real time passing.
    monotonic : callable
        Real seconds; an argument so that tests need no waiting.
    """

    def __init__(
        self,
        start: int,
        *,
        speed: float = 0.0,
        step: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.speed = speed
        self.step = step
        self._monotonic = monotonic
        self._start = start
        self._since = monotonic()

    def now(self) -> int:
        """Return exchange time in milliseconds."""
        return self._start + int(self.idle() * 1_000 * self.speed)

    def idle(self) -> float:
        """Return the real seconds since the clock was last set."""
        return self._monotonic() - self._since

    def set(self, now: int, *, speed: float | None = None) -> None:
        """Set exchange time and, if given, its speed."""
        self._start, self._since = now, self._monotonic()
        self.speed = self.speed if speed is None else speed

    def tick(self) -> int:
        """Move on by `step`, as every request does, and return exchange time."""
        self._start += self.step
        return self.now()

    def allowance(self) -> int:
        """Return by how many milliseconds a client may rightly run ahead of this clock.

        A client that asked for the time once goes on with real seconds; a clock that stands still
        would otherwise refuse its signatures after one second.
        """
        return int(self.idle() * 1_000) if self.speed < 1 else 0

    def stretch(self) -> float:
        """Return the factor by which windows of exchange time grow, so that N times real stays usable."""
        return max(1.0, self.speed)
