"""A portfolio's weights: instances on their own timeframes, brought onto one grid, shared out and summed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.compiled import njit
from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.strategies.reallocation import Allocations, allocate
from lab.strategies.standing import standing

if TYPE_CHECKING:
    from lab.strategies.portfolio import Portfolio

__all__ = ["PortfolioWeights", "decide_portfolio"]

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PortfolioWeights:
    """What a portfolio wants at the close of every bar of its finest timeframe.

    Attributes
    ----------
    timeframe : Timeframe
        The finest of its instances.
    bar : ndarray of int64, shape (T,)
        Absolute bar numbers, consecutive.
    ts : ndarray of datetime64[us], shape (T,)
        Opening times.
    markets : tuple of str, length N
        Sorted by name.
    weights : ndarray of float64, shape (T, N)
        Fractions of the portfolio's capital; NaN keeps the quantity.
    parts : ndarray of float64, shape (T, K, N)
        What each instance adds to the weights; where none decided, what it holds virtually.
    shares : ndarray of float64, shape (T, K)
        Share of each instance in the capital.
    reallocations : polars.DataFrame
        One row per family and decision: see :func:`~lab.strategies.reallocation.allocate`.
    """

    timeframe: Timeframe
    bar: NDArray[np.int64]
    ts: NDArray[np.datetime64]
    markets: tuple[str, ...]
    weights: Array
    parts: Array
    shares: Array
    reallocations: pl.DataFrame


def decide_portfolio(portfolio: Portfolio, panels: Sequence[Panel]) -> PortfolioWeights:
    """Return the weights of a portfolio: a pure function of its instances' bars.

    The rows are the bars of the finest timeframe, from the first to the last that any panel of it has. An
    instance of a coarser one decides at the finest bar that closes together with its own, and keeps until
    its next: in between, and for up to ``hold_bars`` bars of its own without a number, it counts with its
    last weight (see :func:`~lab.strategies.combine`). A row depends on the last
    :meth:`~lab.strategies.Portfolio.bars_needed` bars of each instance alone, to the last bit.

    Parameters
    ----------
    portfolio : Portfolio
        What is to decide.
    panels : sequence of Panel
        Bars of each instance, in the order of :attr:`~lab.strategies.Portfolio.instances`, on its own
        timeframe and with its own markets. Bars that have not closed do not belong to them.

    Raises
    ------
    ConfigError
        If the panels are not those of the instances.
    WeightError, DataError
        As :meth:`lab.strategies.StrategyInstance.decide`.
    """
    _check(portfolio, panels)
    grid = portfolio.timeframe
    finest = [panel for panel in panels if panel.timeframe == grid]
    first, last = (end(int(panel.bar[at]) for panel in finest) for end, at in ((min, 0), (max, -1)))
    bar = np.arange(first, last + 1, dtype=np.int64)
    closes = grid.open_times(bar + 1)
    hold_bars = portfolio.config.hold_bars
    decided = [instance.decide(panel) for instance, panel in zip(portfolio.instances, panels, strict=True)]
    moved = []
    kept = []
    for panel, weights in zip(panels, decided, strict=True):
        own_closes, own = _to_the_end(panel, weights, closes[-1])
        now, held = _on_grid(own_closes, closes, own, standing(own, hold_bars))
        moved.append(now)
        kept.append(held)
    allocations: Allocations = allocate(portfolio, panels, decided, grid, bar)
    combined, parts = portfolio.combine_parts(moved, kept, allocations.shares)
    return PortfolioWeights(
        timeframe=grid,
        bar=bar,
        ts=grid.open_times(bar),
        markets=portfolio.markets,
        weights=combined,
        parts=parts,
        shares=allocations.shares,
        reallocations=allocations.log,
    )


def _check(portfolio: Portfolio, panels: Sequence[Panel]) -> None:
    if len(panels) != len(portfolio.instances):
        raise ConfigError(
            f"portfolio {portfolio.portfolio_id}: {len(panels)} panels found, one for each of its "
            f"{len(portfolio.instances)} instances expected"
        )
    for instance, panel in zip(portfolio.instances, panels, strict=True):
        if panel.timeframe != instance.timeframe or panel.markets != instance.markets or not len(panel):
            raise ConfigError(
                f"portfolio {portfolio.portfolio_id}: the panel of {instance.strategy_id} has {len(panel)} "
                f"bars of {panel.timeframe} of {', '.join(panel.markets)}; expected bars of "
                f"{instance.timeframe} of {', '.join(instance.markets)}"
            )


def _to_the_end(
    panel: Panel, weights: Array, last_close: np.datetime64
) -> tuple[NDArray[np.datetime64], Array]:
    """Return closing times and weights, with a row of NaN for each own bar that should have come since."""
    frame = panel.timeframe
    last = int(frame.numbers(np.array([last_close]))[0]) - 1
    late = max(last - int(panel.bar[-1]), 0)
    bar = np.arange(int(panel.bar[0]), int(panel.bar[-1]) + late + 1)
    rest = np.full((late, weights.shape[1]), np.nan)
    return frame.open_times(bar + 1), np.concatenate([weights, rest])


def _on_grid(
    own_closes: NDArray[np.datetime64], closes: NDArray[np.datetime64], weights: Array, held: Array
) -> tuple[Array, Array]:
    """Return weights where own bars close, NaN elsewhere, and the last standing weights, on the grid."""
    place = np.searchsorted(own_closes, closes, side="right") - 1
    return _placed(place, own_closes[np.maximum(place, 0)] == closes, weights, held)


@njit(cache=True, nogil=True)
def _placed(
    place: NDArray[np.int64], deciding: NDArray[np.bool_], weights: Array, held: Array
) -> tuple[Array, Array]:
    rows, columns = len(place), weights.shape[1]
    now = np.full((rows, columns), np.nan)
    kept = np.full((rows, columns), np.nan)
    for t in range(rows):
        if place[t] >= 0:
            for i in range(columns):
                kept[t, i] = held[place[t], i]
                if deciding[t]:
                    now[t, i] = weights[place[t], i]
    return now, kept
