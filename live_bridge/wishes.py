"""What all instances want together at one close: the backtest's sum of a portfolio, at its last row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.panel import Panel
from lab.strategies import Portfolio, StrategyInstance, standing
from lab.strategies.combining import limited
from lab.strategies.reallocation import allocate

__all__ = ["Opinion", "Wishes", "wishes_of"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Opinion:
    """An instance's bars, and its weights on each of them, shape (T, N)."""

    instance: StrategyInstance
    panel: Panel
    weights: Array


@dataclass(frozen=True, slots=True, eq=False)
class Wishes:
    """What a portfolio wants, on :attr:`lab.strategies.Portfolio.markets`.

    Attributes
    ----------
    markets : tuple of str
    weights : ndarray of float64, shape (N,)
        Fractions of the portfolio's capital; NaN where no instance decided now.
    virtual : ndarray of float64, shape (N,)
        The same where all instances count with what they hold virtually; NaN where none holds an opinion.
    parts : ndarray of float64, shape (K, N)
        What each instance adds to the weights; where none decided now, to the virtual ones.
    shares : tuple of float
        Share of each instance in the capital.
    limited : frozenset of str
        Markets in which an instance's own limits cut what it decided now.
    """

    markets: tuple[str, ...]
    weights: Array
    virtual: Array
    parts: Array
    shares: tuple[float, ...]
    limited: frozenset[str]


def wishes_of(
    portfolio: Portfolio,
    decided: Mapping[str, Mapping[str, float]],
    opinions: Mapping[str, Opinion],
    remembered: Mapping[str, Mapping[str, float]],
    now: datetime,
    shares: Sequence[float] | None = None,
) -> Wishes:
    """Return the row that :meth:`lab.strategies.Portfolio.decide` has at the last close.

    Parameters
    ----------
    portfolio : Portfolio
    decided : mapping of str to mapping
        By instance that decides now: its weights by market; NaN keeps.
    opinions : mapping of str to Opinion
        By instance, as far as there are bars that reach back :meth:`~lab.strategies.Portfolio.bars_needed`.
    remembered : mapping of str to mapping
        Last weights of each instance, which stand in for an opinion that cannot be formed.
    now : datetime
        Exchange time.
    shares : sequence of float, optional
        The shares of the last tick, for adaptive allocation when an instance has no bars.
    """
    held = [_standing(one, portfolio, opinions, remembered, now) for one in portfolio.instances]
    rows = [_row(one, decided.get(one.strategy_id, {})) for one in portfolio.instances]
    share = _shares(portfolio, opinions, now, shares)
    cut = [limited(row, one) < row for row, one in zip(rows, portfolio.instances, strict=True)]
    weights, parts = portfolio.combine_parts(rows, held, share)
    virtual, standing_parts = portfolio.combine_parts(held, held, share)
    return Wishes(
        portfolio.markets,
        weights,
        virtual,
        np.where(np.isnan(weights), standing_parts, parts),
        tuple(float(value) for value in share),
        frozenset(
            market
            for one, flags in zip(portfolio.instances, cut, strict=True)
            for market, flag in zip(one.markets, flags, strict=True)
            if flag
        ),
    )


def _row(instance: StrategyInstance, weights: Mapping[str, float]) -> Array:
    return np.array([weights.get(market, np.nan) for market in instance.markets])


def _standing(
    instance: StrategyInstance,
    portfolio: Portfolio,
    opinions: Mapping[str, Opinion],
    remembered: Mapping[str, Mapping[str, float]],
    now: datetime,
) -> Array:
    opinion = opinions.get(instance.strategy_id)
    if opinion is None:
        return _row(instance, remembered.get(instance.strategy_id, {}))
    late = max(_closed(instance, portfolio, now) - int(opinion.panel.bar[-1]), 0)
    hold_bars = portfolio.config.hold_bars
    # Bars that should have come since are rows without a number, as in the backtest.
    tail = opinion.weights[-hold_bars:]
    rows = np.concatenate([tail, np.full((late, tail.shape[1]), np.nan)])
    return np.asarray(standing(rows, hold_bars)[-1], dtype=np.float64)


def _closed(instance: StrategyInstance, portfolio: Portfolio, now: datetime) -> int:
    """Return the number of the instance's last bar at the close of the portfolio's last one."""
    grid, own = portfolio.timeframe, instance.timeframe
    return own.last_complete(grid.open_time(grid.last_complete(now) + 1))


def _shares(
    portfolio: Portfolio, opinions: Mapping[str, Opinion], now: datetime, last: Sequence[float] | None
) -> NDArray[Any]:
    if portfolio.config.allocation.method == "static":
        return np.array(portfolio.shares)
    found = [opinions.get(one.strategy_id) for one in portfolio.instances]
    formed = [opinion for opinion in found if opinion is not None]
    if len(formed) < len(found):
        return np.array(portfolio.shares if last is None else last)
    grid = portfolio.timeframe
    bar = np.array([grid.last_complete(now)], dtype=np.int64)
    panels, weights = [one.panel for one in formed], [one.weights for one in formed]
    return np.asarray(allocate(portfolio, panels, weights, grid, bar).shares[-1])
