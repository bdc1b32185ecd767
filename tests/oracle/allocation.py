"""Adaptive allocation in plain Python with the statistics module; nothing is shared with the package."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def adaptive_shares(
    returns: Sequence[Sequence[float]],
    base: Sequence[float],
    *,
    window: int,
    every: int,
    first_bar: int,
    periods_per_year: float,
    strength: float,
    counts: tuple[float, float, float],
) -> list[list[float]]:
    """Shares of each family at every bar."""
    shares = list(base)
    result = []
    for t in range(len(returns)):
        if (first_bar + t) % every == 0:
            past = list(returns[t - window + 1 : t + 1]) if t >= window - 1 else []
            grades = _grades(past, periods_per_year) if past else None
            shares = list(base)
            if grades is not None:
                moved = [
                    b * (1 + strength * sum(c * g for c, g in zip(counts, graded, strict=True)))
                    for b, graded in zip(base, grades, strict=True)
                ]
                shares = [m * sum(base) / sum(moved) for m in moved]
        result.append(list(shares))
    return result


def _grades(past: list[Sequence[float]], periods_per_year: float) -> list[list[float]] | None:
    known = [row for row in past if not any(math.isnan(r) for r in row)]
    if len(known) < 0.8 * len(past):
        return None
    families = range(len(past[0]))
    columns = [[row[f] for row in known] for f in families]
    grades = []
    for f in families:
        spread = statistics.stdev(columns[f])
        sharpe = statistics.mean(columns[f]) / spread * math.sqrt(periods_per_year) if spread else 0.0
        quarters = []
        for q in range(4):
            part = past[q * len(past) // 4 : (q + 1) * len(past) // 4]
            grown = math.prod(1 + row[f] for row in part if row in known)
            quarters.append((grown > 1) + 0.5 * (grown == 1))
        alike = [statistics.correlation(columns[f], columns[g]) for g in families if g != f]
        grades.append(
            [
                max(-1.0, min(1.0, sharpe / 2)),
                2 * statistics.mean(quarters) - 1,
                -statistics.mean(alike),
            ]
        )
    return grades
