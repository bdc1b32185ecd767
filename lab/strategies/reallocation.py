"""The shares of a portfolio's instances over time, and why they changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.core.frames import TS
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.strategies.allocation import Scores, adaptive_shares, cut_to_caps
from lab.strategies.combining import limited
from lab.strategies.standing import standing

if TYPE_CHECKING:
    from lab.strategies.portfolio import Portfolio

__all__ = ["Allocations", "allocate"]

Array = NDArray[np.float64]

_LOG: Final[dict[str, Any]] = {
    "ts": TS,
    "family": pl.String,
    "before": pl.Float64,
    "after": pl.Float64,
    "performance": pl.Float64,
    "stability": pl.Float64,
    "diversification": pl.Float64,
    "reason": pl.String,
}


@dataclass(frozen=True, slots=True, eq=False)
class Allocations:
    """Shares on the portfolio's grid, shape (T, K), and the log of decisions about them."""

    shares: Array
    log: pl.DataFrame


def allocate(
    portfolio: Portfolio,
    panels: Sequence[Panel],
    decided: Sequence[Array],
    grid: Timeframe,
    bar: NDArray[np.int64],
) -> Allocations:
    """Return each instance's share at every bar of the portfolio's grid, family caps included.

    With ``method: static`` the shares never change. With ``adaptive`` families are scored
    (:func:`~lab.strategies.allocation.adaptive_shares`) on what their virtual weights earned from open to
    open, costs of the portfolio off, in bars of its coarsest timeframe; within a family the instances keep
    their proportions. A decision acts from the bar on at whose close it was taken.

    Parameters
    ----------
    portfolio : Portfolio
        Whose shares.
    panels, decided : sequences
        Bars of each instance, and its weights on them.
    grid : Timeframe
        The portfolio's.
    bar : ndarray of int64, shape (T,)
        Its bars.

    Returns
    -------
    Allocations
        The log has ``ts`` (open of the grid's bar at whose close it was decided), ``family``, ``before``,
        ``after``, the scores and ``reason``.
    """
    fixed = np.array(portfolio.shares)
    rows = len(bar)
    if portfolio.config.allocation.method == "static":
        return Allocations(np.tile(fixed, (rows, 1)), pl.DataFrame(schema=_LOG))
    families = tuple(dict.fromkeys(portfolio.families))
    period = portfolio.period
    returns, first = _family_returns(portfolio, panels, decided, families)
    base = np.array([_sum_of(portfolio, portfolio.allocations, family) for family in families])
    scores = adaptive_shares(
        returns,
        base,
        portfolio.config.allocation,
        first_bar=first,
        periods_per_year=period.periods_per_year,
    )
    shares = _capped_shares(portfolio, families, base, scores.shares)
    # The last period that has closed when the grid's bar closes.
    place = period.numbers(grid.open_times(bar + 1)) - 1 - first
    on_grid = np.where((place >= 0)[:, None], shares[np.clip(place, 0, len(shares) - 1)], fixed)
    closed = int(place[-1]) + 1
    log = _log(portfolio, families, scores, shares[: max(closed, 0)], first, grid)
    return Allocations(np.ascontiguousarray(on_grid), log)


def _sum_of(portfolio: Portfolio, shares: Sequence[float], family: str) -> float:
    total = 0.0
    for name, share in zip(portfolio.families, shares, strict=True):
        total += share if name == family else 0.0
    return total


def _capped_shares(portfolio: Portfolio, families: tuple[str, ...], base: Array, wanted: Array) -> Array:
    """Return instances' shares, (T, K), from families' ones, (T, F)."""
    index = [families.index(family) for family in portfolio.families]
    part = np.array(
        [
            share / base[f] if base[f] > 0 else 0.0
            for share, f in zip(portfolio.allocations, index, strict=True)
        ]
    )
    rows = np.ascontiguousarray(wanted[:, index] * part)
    caps = (portfolio.families, portfolio.priorities, portfolio.config.family_caps)
    if not portfolio.config.family_caps:
        return rows
    changed = np.flatnonzero(np.r_[True, (rows[1:] != rows[:-1]).any(axis=1)])
    for start, stop in zip(changed, [*changed[1:], len(rows)], strict=True):
        rows[start:stop] = cut_to_caps(rows[start], *caps)
    return rows


def _family_returns(
    portfolio: Portfolio, panels: Sequence[Panel], decided: Sequence[Array], families: tuple[str, ...]
) -> tuple[Array, int]:
    """Return the returns of each family's capital per period, (P, F), and the number of the first period."""
    period = portfolio.period
    numbers = [period.numbers(panel.ts) for panel in panels]
    first, last = min(int(own[0]) for own in numbers), max(int(own[-1]) for own in numbers)
    total = np.zeros((last - first + 1, len(families)))
    rate = portfolio.costs.fee + portfolio.costs.slippage
    parts = zip(portfolio.instances, panels, decided, numbers, portfolio.allocations, strict=True)
    for instance, panel, weights, own, share in parts:
        family = families.index(instance.strategy.family)
        whole = _sum_of(portfolio, portfolio.allocations, instance.strategy.family)
        held = limited(standing(weights, portfolio.config.hold_bars), instance)
        earned = _earned(held, panel["open"], rate)
        compounded = _compounded(earned, own - first, len(total))
        total[:, family] += compounded * (share / whole if whole > 0 else 0.0)
    return total, first


@njit(cache=True, nogil=True)
def _earned(held: Array, price: Array, rate: float) -> Array:
    """Return what weights decided two bars ago earned from the last open to this one, costs off."""
    rows, columns = held.shape
    result = np.full(rows, np.nan)
    for t in range(3, rows):
        known = False
        total = 0.0
        for i in range(columns):
            now, before = held[t - 2, i], held[t - 3, i]
            if not np.isnan(now):
                known = True
                change = price[t, i] / price[t - 1, i] - 1.0
                if np.isfinite(change):
                    total += now * change
            traded = abs((0.0 if np.isnan(now) else now) - (0.0 if np.isnan(before) else before))
            total -= traded * rate
        if known:
            result[t] = total
    return result


@njit(cache=True, nogil=True)
def _compounded(returns: Array, period: NDArray[np.int64], periods: int) -> Array:
    """Return the returns of whole periods; NaN where one bar of it is unknown or there is none."""
    result = np.full(periods, np.nan)
    for t in range(len(returns)):
        p = period[t]
        before = 0.0 if t == 0 or period[t - 1] != p else result[p]
        result[p] = (1.0 + before) * (1.0 + returns[t]) - 1.0
    return result


def _log(
    portfolio: Portfolio,
    families: tuple[str, ...],
    scores: Scores,
    shares: Array,
    first: int,
    grid: Timeframe,
) -> pl.DataFrame:
    every = portfolio.config.allocation.rebalance_bars
    rows: list[tuple[Any, ...]] = []
    before = [_sum_of(portfolio, portfolio.shares, family) for family in families]
    for t in range(len(shares)):
        if (first + t) % every:
            continue
        end = portfolio.period.open_times(np.array([first + t + 1]))[0]
        ts = end - np.timedelta64(grid.microseconds, "us")
        for f, family in enumerate(families):
            after = _sum_of(portfolio, shares[t].tolist(), family)
            graded = (scores.performance[t, f], scores.stability[t, f], scores.diversification[t, f])
            reason = _reason(bool(scores.known[t]), after, float(scores.shares[t, f]), graded)
            rows.append((ts.astype(object), family, before[f], after, *map(float, graded), reason))
            before[f] = after
    frame = pl.DataFrame(rows, schema={**_LOG, "ts": pl.Datetime("us")}, orient="row")
    return frame.with_columns(pl.col("ts").dt.replace_time_zone("UTC"))


def _reason(known: bool, after: float, wanted: float, graded: tuple[float, ...]) -> str:
    parts = []
    if not known:
        parts.append("too little history: the file's share")
    else:
        names = ("performance", "stability", "diversification")
        parts += [f"{name} {score:+.2f}" for name, score in zip(names, graded, strict=True)]
    if after < wanted - 1e-12:
        parts.append(f"family cap: {wanted:.4f} cut to {after:.4f}")
    return "; ".join(parts)
