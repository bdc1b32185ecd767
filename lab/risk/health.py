"""Trouble as the risk step sees it: an exchange that fails, answers late or bans, data stale or BAD."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Final

from lab.core.settings import HealthSettings

__all__ = ["BANNED_NOW", "NO_TROUBLE", "STALE_DATA", "UNWELL", "exchange_trouble", "worst_trouble"]

NO_TROUBLE: Final = 0.0
STALE_DATA: Final = 1.0
UNWELL: Final = 2.0
BANNED_NOW: Final = 3.0


def exchange_trouble(
    calls: Sequence[tuple[bool, float]], health: HealthSettings, *, banned: bool = False
) -> float:
    """Return the code of trouble of all markets of one exchange.

    Parameters
    ----------
    calls : sequence of (bool, float)
        Latest last: whether the call succeeded, and how many milliseconds it took.
    health : HealthSettings
        How many of them count, and what is tolerated.
    banned : bool
        Whether it answered that we are banned (418, or 403 of its firewall). A ban is remembered by the step
        and halts the exchange's markets until a person resumes.

    Returns
    -------
    float
        0 well, 2 unwell: too many failures, or a median latency (of calls that succeeded) too long; 3 banned.
        A latency that is not a number counts as unwell.

    Examples
    --------
    >>> health = HealthSettings(calls=4, max_error_rate_pct=0.25, max_latency_ms=1_000)
    >>> exchange_trouble([(True, 90.0)] * 3 + [(False, 0.0)], health)
    0.0
    >>> exchange_trouble([(True, 90.0)] * 2 + [(False, 0.0)] * 2, health)
    2.0
    """
    if banned:
        return BANNED_NOW
    last = calls[-health.calls :]
    if not last:
        return NO_TROUBLE
    failed = sum(not succeeded for succeeded, _ in last)
    if failed > health.max_error_rate_pct * len(last):
        return UNWELL
    taken = [milliseconds for succeeded, milliseconds in last if succeeded]
    if any(not milliseconds >= 0.0 for milliseconds in taken):
        return UNWELL
    return UNWELL if taken and statistics.median(taken) > health.max_latency_ms else NO_TROUBLE


def worst_trouble(*codes: float) -> float:
    """Return the gravest of some codes; a code that is not a number counts as stale data.

    Examples
    --------
    >>> worst_trouble(0.0, 2.0, float("nan"))
    2.0
    """
    return max((STALE_DATA if math.isnan(code) else code for code in codes), default=NO_TROUBLE)
