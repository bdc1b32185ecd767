"""The families' rules in plain Python, one bar and one market at a time; nothing is shared with the package.

Each function takes features as lists of rows (NaN where unknown) and returns rows of weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]
NAN = float("nan")


def time_series_momentum(
    past_return: Rows,
    volatility: Rows,
    *,
    threshold: float,
    target_volatility: float,
    max_volatility: float | None,
) -> list[list[float]]:
    """Weights of the trend rule."""
    weights = []
    for returns, spreads in zip(past_return, volatility, strict=True):
        row = []
        for r, sigma in zip(returns, spreads, strict=True):
            if math.isnan(r) or math.isnan(sigma):
                row.append(NAN)
            elif r <= threshold or (max_volatility is not None and sigma > max_volatility):
                row.append(0.0)
            else:
                size = min(1.0, target_volatility / sigma) if sigma > 0 else 1.0
                row.append(size / len(returns))
        weights.append(row)
    return weights


def dual_momentum(
    past_return: Rows, *, first_bar: int, threshold: float, top_k: int, rebalance_bars: int
) -> list[list[float]]:
    """Weights of the ranking rule: every bar takes those of the last ranking at or before it."""
    weights: list[list[float]] = []
    ranking = [NAN] * len(past_return[0])
    for t, returns in enumerate(past_return):
        if (first_bar + t) % rebalance_bars == 0:
            order = sorted((-r, market) for market, r in enumerate(returns) if not math.isnan(r))
            strongest = {market for _, market in order[:top_k]}
            ranking = [
                NAN if math.isnan(r) else 1 / top_k if market in strongest and r > threshold else 0.0
                for market, r in enumerate(returns)
            ]
        weights.append(list(ranking))
    return weights


def mean_reversion(
    score: Rows, *, entry_z: float, exit_z: float, max_holding: int, fall_window: int
) -> list[list[float]]:
    """Weights of the reversion rule, each from the bars before it alone, without a running state."""
    columns = len(score[0])
    return [
        [
            1 / columns
            if _held([row[i] for row in score[: t + 1]], entry_z, exit_z, max_holding, fall_window)
            else 0.0
            for i in range(columns)
        ]
        for t in range(len(score))
    ]


def _held(z: list[float], entry_z: float, exit_z: float, max_holding: int, fall_window: int) -> bool:
    recent = z[-(max_holding + fall_window) :]
    armed = [at for at, value in enumerate(recent) if value >= exit_z]
    if not armed:
        return False
    entries = [at for at in range(armed[-1] + 1, len(recent)) if recent[at] <= -entry_z]
    if not entries or entries[0] - armed[-1] > fall_window:
        return False
    return len(recent) - 1 - entries[0] < max_holding


def hold(weights: Rows, received: Rows, lookback: int) -> list[list[float]]:
    """Weights after the hold rules: NaN in the warm-up, where nothing came, and where a gap begins."""
    result = []
    for t, row in enumerate(weights):
        gap_begins = t > 0 and any(
            math.isnan(now) and not math.isnan(before)
            for now, before in zip(received[t], received[t - 1], strict=True)
        )
        if t < lookback - 1 or gap_begins:
            result.append([NAN] * len(row))
        else:
            result.append([NAN if math.isnan(c) else w for w, c in zip(row, received[t], strict=True)])
    return result
