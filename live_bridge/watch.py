"""``live-bridge watch``: a tick at every bar close by the exchange's clock, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import Final

from lab.core.errors import ConfigError, VenueError
from lab.core.timeframe import Timeframe

__all__ = ["Ended", "next_close", "tick_process", "watch"]

# A closed bar that is not published yet is asked for again after these seconds; so is a late value of a
# series, and after the last of them as often as a tick says that it waits: it stops by itself.
_AGAIN_SECONDS: Final = (2.0, 5.0, 10.0, 30.0, 60.0)
# Without an answer from the exchange there is no time of the next close; it is asked again.
_UNREACHABLE_SECONDS: Final = 30.0
_USAGE: Final = ConfigError.exit_code
# Longer than any deadline inside a tick; a tick that hangs is killed, and the next one recovers.
_TICK_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a tick's process ended: its exit code, and whether it waits for a closed bar or for a series."""

    code: int
    waiting: bool = False
    series: bool = False


def next_close(timeframes: Iterable[Timeframe], now: datetime) -> datetime:
    """Return the next time at which a bar of any of `timeframes` closes.

    Examples
    --------
    >>> from datetime import UTC
    >>> daily, hourly = Timeframe.parse("1d"), Timeframe.parse("1h")
    >>> next_close([daily, hourly], datetime(2024, 5, 1, 12, 30, tzinfo=UTC)).isoformat()
    '2024-05-01T13:00:00+00:00'
    """
    return min(timeframe.open_time(timeframe.last_complete(now) + 2) for timeframe in timeframes)


def watch(
    timeframes: Sequence[Timeframe],
    *,
    tick: Callable[[], Ended],
    now: Callable[[], datetime],
    stop: Event,
    delay: float,
    ticks: int | None = None,
) -> int:
    """Run ticks until told to stop; return the exit code.

    Parameters
    ----------
    timeframes : sequence of Timeframe
        Of the portfolio's instances.
    tick : callable
        Runs one tick; never called twice at once.
    now : callable
        The exchange's time; may raise VenueError.
    stop : threading.Event
        Ends the loop, also while it waits; a running tick is let finish.
    delay : float
        Seconds after a close before the tick.
    ticks : int, optional
        Stop after this many.

    Returns
    -------
    int
        0, or 2 when a tick found its configuration at fault: that does not mend itself.
    """
    done = again = 0
    pause = 0.0
    while (ticks is None or done < ticks) and not stop.wait(pause):
        ended = tick()
        done += 1
        if ended.code == _USAGE:
            return _USAGE
        if ended.series or (ended.waiting and again < len(_AGAIN_SECONDS)):
            pause, again = _AGAIN_SECONDS[min(again, len(_AGAIN_SECONDS) - 1)], again + 1
            continue
        again = 0
        pause = _until_close(timeframes, now, delay)
    return 0


def _until_close(timeframes: Sequence[Timeframe], now: Callable[[], datetime], delay: float) -> float:
    try:
        at = now()
    except VenueError:
        return _UNREACHABLE_SECONDS
    return (next_close(timeframes, at) - at + timedelta(seconds=delay)).total_seconds()


def tick_process(arguments: Sequence[str]) -> Ended:
    """Run ``live-bridge run --json`` with `arguments` in a new process and say how it ended."""
    command = [sys.executable, "-m", "live_bridge", "run", "--json", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TICK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        sys.stderr.write(f"error: a tick did not end within {_TICK_SECONDS:g} s and was killed\n")
        return Ended(VenueError.exit_code)
    sys.stderr.write(done.stderr)
    try:
        reasons = json.loads(done.stdout)["reasons"]
    except (ValueError, KeyError):
        reasons = []
    bar, series = (
        any(str(reason).startswith(f"WAITING_FOR_{what}") for reason in reasons) for what in ("BAR", "SERIES")
    )
    return Ended(done.returncode, bar, series)
