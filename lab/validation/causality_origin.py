"""Through which field of the panel does a leak come, and what was known at the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.validation.causality_bits import differing
from lab.validation.causality_future import CUTS, drawn
from lab.validation.causality_subject import FUTURES, Finding, SignalError, Subject

__all__ = ["AHEAD", "AsKnown", "revised_cell", "with_origin"]

Array = NDArray[np.float64]
AsKnown = Callable[[int], Panel]

AHEAD: Final = frozenset({"lookahead", "full_sample", "backfill"})
BEHIND: Final = frozenset({"lookback", "unbounded"})


def with_origin(subject: Subject, reference: Array, lookback: int, finding: Finding) -> Finding:
    """Return a finding with the fields of the panel that it comes through, where one alone shows it."""
    row = finding.bar - int(subject.panel.bar[0])
    shown = [
        str(field)
        for field in subject.panel.fields
        if (finding.kind in AHEAD and _from_future(subject, reference, row, field))
        or (finding.kind in BEHIND and _from_past(subject, reference, row, lookback, field))
    ]
    return replace(finding, feature=", ".join(shown))


def _from_future(subject: Subject, reference: Array, row: int, field: str | Feature) -> bool:
    futures = (subject.with_future(row, kind, only=field) for kind in FUTURES)
    return any(part is not None and bool(differing(part[row], reference[row]).any()) for part in futures)


def _from_past(subject: Subject, reference: Array, row: int, lookback: int, field: str | Feature) -> bool:
    changed = subject.with_past(row, lookback, 0.0, field)
    return changed is not None and bool(differing(changed[row], reference[row]).any())


def revised_cell(
    subject: Subject, reference: Array, lookback: int, as_known: AsKnown
) -> tuple[int, int] | None:
    """Return the first cell, of 64 bars, that differs when only what was known then is given.

    Markets that were known then and are not in the panel now take part: a universe of survivors shows.
    """
    panel = subject.panel
    for row in drawn(lookback - 1, len(reference), CUTS, subject.seed):
        known = as_known(int(panel.bar[row]))
        if not len(known) or known.bar[-1] != panel.bar[row]:
            raise SignalError(f"as_known({panel.bar[row]}) returned a panel that does not end with that bar")
        values = subject.on(known)
        if values is None:
            continue
        if values.shape[1] != len(known.markets):
            columns, there = list(range(values.shape[1])), list(range(values.shape[1]))
        else:
            common = [market for market in panel.markets if market in known.markets]
            columns = [panel.markets.index(market) for market in common]
            there = [known.markets.index(market) for market in common]
        at = np.flatnonzero(differing(values[-1, there], reference[row, columns]))
        if len(at):
            return row, columns[int(at[0])]
    return None
