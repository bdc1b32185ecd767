"""Do the last bars suffice? Tails at every bar, and the lookback that they really need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.validation.causality_bits import differing, distance
from lab.validation.causality_subject import Finding, SignalError, Subject

__all__ = ["History", "Tails", "compare_tails", "explain_tails", "measured_lookback"]

Array = NDArray[np.float64]
Cell = tuple[int, int]

# A running sum whose error cancels at one length shows itself at the next ones.
LONGER: Final = (0, 1, 7)
SAMPLED: Final = 32
# An old peak or trough shows only when it is higher or lower than all that came after.
_FACTORS: Final = (64.0, 1.0 / 64.0)


@dataclass(frozen=True, slots=True)
class Tails:
    """Last rows of windows against the full history: bars compared, rows that differ, largest difference."""

    bars: int = 0
    rows: tuple[int, ...] = ()
    max_ulp: int = 0


@dataclass(frozen=True, slots=True)
class History:
    """Why tails differ: cells that depend on later bars, and what earlier bars are needed."""

    ahead: tuple[Cell, ...] = ()
    findings: tuple[Finding, ...] = ()
    measured: int | None = None


def compare_tails(
    subject: Subject, reference: Array, lookback: int, progress: Callable[[float], None]
) -> Tails:
    """Compare the last rows of the last `lookback`, + 1 and + 7 bars with the full history, at every bar."""
    rows = len(reference)
    wrong: list[int] = []
    max_ulp = 0
    for row in range(lookback - 1, rows):
        for bars in sorted({min(lookback + more, row + 1) for more in LONGER}):
            values = subject.last(row, bars)
            if values is None:
                raise SignalError(f"the signal asks for more than the declared {lookback} bars")
            if differing(values, reference[row]).any():
                max_ulp = max(max_ulp, distance(values, reference[row]))
                if not wrong or wrong[-1] != row:
                    wrong.append(row)
        if row % 256 == 0:
            progress((row + 1) / rows)
    return Tails(rows - lookback + 1, tuple(wrong), max_ulp)


def explain_tails(subject: Subject, reference: Array, lookback: int, tails: Tails) -> History:
    """Tell tails that lack earlier bars from a full history that knows later ones.

    The history up to a bar is the judge: where it gives what the full history gave, later bars play no part,
    and a tail that differs needs more bars than it has.
    """
    ahead: list[Cell] = []
    short: list[int] = []
    first: Cell | None = None
    for row in _sample(tails.rows):
        known = subject.last(row, row + 1)
        if known is None:
            continue
        later = np.flatnonzero(differing(known, reference[row]))
        if len(later):
            ahead.append((row, int(later[0])))
        cells = _short_cells(subject, known, row, lookback)
        if cells:
            first = first or (row, cells[0])
            short.append(row)
    if first is None:
        return History(tuple(ahead))
    longest = max(short)
    needed = _smallest(subject, longest, lookback, longest + 1)
    if needed == longest + 1 or _depends_before(subject, longest, needed):
        detail = f"the value depends on all {longest + 1} bars up to it, {lookback} are declared"
        return History(tuple(ahead), (subject.finding("unbounded", first, detail),))
    others = short if ahead else tails.rows
    needed = _enough(subject, others, needed, len(reference))
    detail = f"the value needs {needed} bars, {lookback} are declared"
    return History(tuple(ahead), (subject.finding("lookback", first, detail),), needed)


def measured_lookback(subject: Subject, reference: Array, lookback: int) -> int:
    """Return the fewest bars that give the bits of the full history at every bar.

    Bars are visited in random order, and a bar for which the present number is too small is bisected: nearly
    all bars cost one evaluation.
    """
    rows = np.arange(lookback - 1, len(reference))
    order = np.random.default_rng(subject.seed).permutation(rows)
    return _enough(subject, (int(row) for row in order), 1, lookback, reference)


def _depends_before(subject: Subject, row: int, bars: int) -> bool:
    """Return whether earlier bars than the last `bars` matter when they are far higher or lower."""
    truth = subject.last(row, row + 1)
    pasts = (subject.with_past(row, bars, factor) for factor in _FACTORS)
    return truth is not None and any(
        past is not None and bool(differing(past[row], truth).any()) for past in pasts
    )


def _enough(
    subject: Subject, rows: Iterable[int], bars: int, most: int, reference: Array | None = None
) -> int:
    for row in rows:
        if bars >= most:
            break
        truth = subject.last(row, row + 1) if reference is None else reference[row]
        if truth is not None and not _equal(subject, row, bars, truth):
            bars = _smallest(subject, row, bars, min(most, row + 1), truth)
    return bars


def _smallest(subject: Subject, row: int, low: int, high: int, truth: Array | None = None) -> int:
    """Return the fewest bars in ``low + 1 … high`` that give the values of `row`; `high` is known to."""
    if truth is None:
        truth = subject.last(row, row + 1)
    while truth is not None and high - low > 1:
        middle = (low + high) // 2
        if _equal(subject, row, middle, truth):
            high = middle
        else:
            low = middle
    return high


def _equal(subject: Subject, row: int, bars: int, truth: Array) -> bool:
    values = subject.last(row, bars)
    return values is not None and not differing(values, truth).any()


def _short_cells(subject: Subject, known: Array, row: int, lookback: int) -> list[int]:
    for more in LONGER:
        values = subject.last(row, lookback + more)
        if values is not None:
            at = np.flatnonzero(differing(values, known))
            if len(at):
                return [int(column) for column in at]
    return []


def _sample(rows: tuple[int, ...]) -> list[int]:
    """Return the first rows and some of the rest, the last one included."""
    if len(rows) <= SAMPLED:
        return list(rows)
    half = SAMPLED // 2
    spread = np.linspace(half, len(rows) - 1, half).astype(np.int64)
    return [*rows[:half], *(rows[int(index)] for index in spread)]
