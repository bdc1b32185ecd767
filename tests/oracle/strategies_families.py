"""The rules of the later families in plain Python, each bar from its own past alone; nothing is shared.

Each function takes features as lists of rows (NaN where unknown) and returns rows of weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Rows = Sequence[Sequence[float]]
NAN = float("nan")


def _scale(sigma: float, target: float | None) -> float:
    if math.isnan(sigma):
        return NAN
    return 1.0 if target is None or sigma <= target else target / sigma


def cross_sectional_momentum(
    past_return: Rows,
    volatility: Rows,
    *,
    first_bar: int,
    skip: int,
    top_fraction: float,
    min_markets: int,
    threshold: float,
    target: float | None,
    rebalance_bars: int,
) -> list[list[float]]:
    """Weights of the best fraction; every bar takes those of the last ranking at or before it."""
    markets = range(len(past_return[0]))
    ranking = [NAN for _ in markets]
    weights = []
    for t in range(len(past_return)):
        if (first_bar + t) % rebalance_bars == 0:
            ranking = [NAN for _ in markets]
            returns = past_return[t - skip] if t >= skip else [NAN for _ in markets]
            known = [i for i in markets if not math.isnan(returns[i]) and not math.isnan(volatility[t][i])]
            places = max(1, math.floor(round(top_fraction * len(known), 6)))
            best = sorted(known, key=lambda i: (-returns[i], i))[:places]
            for i in known:
                held = i in best and len(known) >= min_markets and returns[i] > threshold
                ranking[i] = _scale(volatility[t][i], target) / places if held else 0.0
        weights.append(list(ranking))
    return weights


def carry(
    funding: Rows,
    past_return: Rows,
    volatility: Rows,
    *,
    payments_per_day: float,
    full_below: float,
    none_above: float,
    threshold: float,
    target: float,
) -> list[list[float]]:
    """Weights of the funding tilt."""
    weights = []
    for rates, returns, spreads in zip(funding, past_return, volatility, strict=True):
        row = []
        for rate, r, sigma in zip(rates, returns, spreads, strict=True):
            yearly = rate * payments_per_day * 365
            if math.isnan(rate) or math.isnan(r) or math.isnan(sigma):
                row.append(NAN)
            elif r <= threshold or yearly >= none_above:
                row.append(0.0)
            elif yearly <= full_below:
                row.append(_scale(sigma, target) / len(rates))
            else:
                part = (yearly - full_below) / (none_above - full_below)
                row.append((1 - part) * _scale(sigma, target) / len(rates))
        weights.append(row)
    return weights


def value_quality(
    features: Sequence[Rows],
    *,
    full_below: float,
    none_above: float,
    min_quality: float,
    target: float,
) -> list[list[float]]:
    """Weights of cheapness, given MVRV, use, value, usual use, usual value, volatility."""
    bars, markets = len(features[0]), len(features[0][0])
    weights = [[NAN] * markets for _ in range(bars)]
    for t in range(bars):
        for i in range(markets):
            mvrv, users, value, usual_users, usual_value, sigma = (rows[t][i] for rows in features)
            if any(math.isnan(x) for x in (mvrv, users, value, usual_users, usual_value, sigma)):
                continue
            if 0 in (value, usual_users, usual_value):
                continue
            cheap = 1 - (mvrv - full_below) / (none_above - full_below)
            grown = (users * usual_value) / (value * usual_users)
            share = min(1.0, max(0.0, cheap)) if grown - 1 >= min_quality else 0.0
            weights[t][i] = share * _scale(sigma, target) / markets
    return weights


def ma_breakout(
    price: Rows,
    upper: Rows,
    lower: Rows,
    imbalance: Rows,
    spread: Rows,
    *,
    band: float,
    max_holding: int,
    min_imbalance: float | None,
    max_spread: float | None,
) -> list[list[bool]]:
    """Whether each market is held: whether the last signal of the last bars was upwards."""
    held = []
    for t in range(len(price)):
        row = []
        for i in range(len(price[0])):
            state = False
            for s in range(max(0, t - max_holding + 1), t + 1):
                up = price[s][i] >= upper[s][i] * (1 + band) and price[s][i] > lower[s][i] * (1 - band)
                down = price[s][i] <= lower[s][i] * (1 - band) and not up
                refused = (min_imbalance is not None and imbalance[s][i] < min_imbalance) or (
                    max_spread is not None and spread[s][i] > max_spread
                )
                state = (state and not down) or (up and not refused)
            row.append(state)
        held.append(row)
    return held


def ensemble(
    members: Sequence[Rows], shares: Sequence[float], *, quorum: float, hold_bars: int
) -> list[list[float]]:
    """Sum of what the members hold, where enough of them hold."""
    weights = []
    markets = range(len(members[0][0]))
    for t in range(len(members[0])):
        last = [[_last([rows[s][i] for s in range(t + 1)], hold_bars) for i in markets] for rows in members]
        last = [[w / max(1.0, sum(row)) for w in row] for row in last]
        row = []
        for i in markets:
            if all(math.isnan(rows[t][i]) for rows in members):
                row.append(NAN)
                continue
            votes = sum(share for share, held in zip(shares, last, strict=True) if held[i] > 0)
            total = sum(share * held[i] for share, held in zip(shares, last, strict=True))
            row.append(total if votes >= quorum * sum(shares) - 1e-9 else 0.0)
        weights.append(row)
    return weights


def _last(past: list[float], hold_bars: int) -> float:
    given = [w for w in past[-hold_bars:] if not math.isnan(w)]
    return given[-1] if given else 0.0


def imbalance(high: Rows, low: Rows, close: Rows, volume: Rows, *, window: int, least: int) -> list[float]:
    """Of the first market: signed volume over volume."""
    result = []
    for t in range(len(close)):
        signed, whole = [], []
        for s in range(max(0, t - window + 1), t + 1):
            h, lo, c, v = high[s][0], low[s][0], close[s][0], volume[s][0]
            if any(math.isnan(x) for x in (h, lo, c, v)):
                continue
            signed.append(v * (2 * (c - lo) / (h - lo) - 1) if h > lo else 0.0)
            whole.append(v)
        known = t >= window - 1 and len(whole) >= least and sum(whole) > 0
        result.append(sum(signed) / sum(whole) if known else NAN)
    return result
