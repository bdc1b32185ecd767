"""Exchange time between two looks at it, and how long a run may still take."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from lab.core.errors import VenueError

__all__ = ["ExchangeClock", "check_plausible"]

_FIRST_TRADE: Final = datetime(2010, 7, 17, tzinfo=UTC)
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
# From here on the pause is the longest; an order may rest for thousands of attempts.
_LAST_STEP: Final = 10


class ExchangeClock:
    """The exchange's time: asked, and in between carried on by this machine's monotonic clock.

    Parameters
    ----------
    ask : callable
        Asks the exchange for its time.
    now : datetime
        Its last answer.
    seconds : float
        Real seconds that the run may take; see :attr:`expired`.
    monotonic, pause : callable
        Real seconds, and waiting for some; arguments so that tests need none.
    """

    def __init__(
        self,
        ask: Callable[[], datetime],
        now: datetime,
        *,
        seconds: float = 60.0,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ask, self._monotonic, self._pause = ask, monotonic, pause
        self._asked, self._since = now, monotonic()
        self._began = monotonic()
        self._end = self._began + seconds

    def now(self) -> datetime:
        """Return exchange time as far as it is known, to the millisecond."""
        passed = timedelta(milliseconds=int((self._monotonic() - self._since) * 1_000))
        return self._asked + passed

    def milliseconds(self) -> int:
        """Return :meth:`now` in milliseconds since 1970."""
        return milliseconds(self.now())

    def ask(self) -> int:
        """Ask the exchange, and return its time in milliseconds."""
        asked = self._ask()
        self._asked, self._since = asked, self._monotonic()
        return milliseconds(asked)

    def elapsed_ms(self) -> int:
        """Return this machine's milliseconds since the run began, whatever the exchange's clock does."""
        return int((self._monotonic() - self._began) * 1_000)

    @property
    def expired(self) -> bool:
        """Whether the run has taken as long as it may."""
        return self._monotonic() >= self._end

    def wait(self, attempt: int) -> None:
        """Wait a little, longer with every attempt."""
        self._pause(min(_FIRST_PAUSE_S * 1.5 ** min(attempt, _LAST_STEP), _LONGEST_PAUSE_S))


def milliseconds(instant: datetime) -> int:
    """Return milliseconds since 1970."""
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def check_plausible(now: datetime, local: datetime) -> None:
    """Refuse an exchange time that cannot be one.

    History may be replayed on the loopback exchange, so that the past is no fault; the future is, and so is
    a time before anybody traded.

    Raises
    ------
    VenueError
        Naming both clocks.
    """
    if now < _FIRST_TRADE or now > local + timedelta(days=1):
        raise VenueError(
            f"the exchange's clock says {now:%Y-%m-%d %H:%M:%S}Z, this machine's {local:%Y-%m-%d %H:%M:%S}Z: "
            "one of them is wrong by far. Nothing was decided; check this machine's clock, then the exchange"
        )
