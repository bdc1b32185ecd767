"""What a portfolio's backtest reads: its instances' bars, and the bars it trades on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import BacktestResult, run_backtest
from lab.core.errors import UnknownMarketError
from lab.core.hashing import digest
from lab.core.panel import Panel
from lab.data.catalog import Catalog
from lab.data.checking import content_hash
from lab.data.panels import panel_from_bars
from lab.pipeline.inputs import Inputs, load_inputs
from lab.risk import RiskPlan, plan_of
from lab.strategies import Portfolio, PortfolioWeights, load_portfolio

__all__ = ["PortfolioInputs", "backtest_from", "load_portfolio_inputs"]


@dataclass(frozen=True, slots=True, eq=False)
class PortfolioInputs:
    """What a portfolio's backtest reads.

    Attributes
    ----------
    portfolio : Portfolio
    instances : tuple of Inputs, each on its own timeframe
    panel : Panel of all markets on the finest timeframe, on which the portfolio trades
    marked : polars.DataFrame, the same bars with quality marks
    data_hash : str, SHA-256 over everything read
    """

    portfolio: Portfolio
    instances: tuple[Inputs, ...]
    panel: Panel
    marked: pl.DataFrame
    data_hash: str

    def decide(self) -> PortfolioWeights:
        """Return :meth:`lab.strategies.Portfolio.decide` on these bars."""
        return self.portfolio.decide([inputs.panel for inputs in self.instances])

    def targets(self, decided: PortfolioWeights) -> NDArray[np.float64]:
        """Return the decided weights on the rows of :attr:`panel`; NaN where nothing was decided."""
        return self._on_rows(decided, decided.weights)

    def parts(self, decided: PortfolioWeights) -> NDArray[np.float64]:
        """Return each instance's part of :meth:`targets`, shape (T, K, N); NaN where nothing was decided."""
        return self._on_rows(decided, decided.parts)

    def plan(self) -> RiskPlan:
        """Return what the portfolio's ``risk`` section enforces on its account."""
        portfolio = self.portfolio
        return plan_of(
            portfolio.risk, costs=portfolio.costs, markets=self.panel.markets, sleeves=portfolio.sleeves
        )

    def _on_rows(self, decided: PortfolioWeights, values: NDArray[np.float64]) -> NDArray[np.float64]:
        table = np.full((len(self.panel), *values.shape[1:]), np.nan)
        offset = int(decided.bar[0] - self.panel.bar[0])
        rows = np.arange(len(decided.bar)) + offset
        there = (rows >= 0) & (rows < len(table))
        table[rows[there]] = values[there]
        return table


def load_portfolio_inputs(
    config: Portfolio | Path | str,
    *,
    root: Path,
    start: datetime | None = None,
    end: datetime | None = None,
) -> PortfolioInputs:
    """Load a portfolio, and for each instance its markets' bars with ``start <= ts < end``.

    Raises
    ------
    ConfigError, DataError
        As :func:`~lab.pipeline.inputs.load_inputs` for each instance.
    UnknownMarketError
        If a market has no bars of the finest timeframe, on which the portfolio trades.
    """
    portfolio = config if isinstance(config, Portfolio) else load_portfolio(config)
    instances = tuple(load_inputs(one, root=root, start=start, end=end) for one in portfolio.instances)
    grid, catalog = portfolio.timeframe, Catalog(root)
    try:
        marked = catalog.bars(portfolio.markets, grid, start, end)
    except UnknownMarketError as error:
        raise UnknownMarketError(
            f"portfolio {portfolio.portfolio_id} trades on {grid} bars, its finest timeframe: {error}"
        ) from None
    panel = panel_from_bars(marked, timeframe=grid, markets=portfolio.markets, settings=catalog.settings)
    data_hash = digest([content_hash(marked), *(inputs.data_hash for inputs in instances)])
    return PortfolioInputs(portfolio, instances, panel, marked, data_hash)


def backtest_from(
    inputs: PortfolioInputs,
    start: datetime,
    *,
    capital: float | None = None,
    engine: Literal["fused", "both"] = "fused",
) -> tuple[BacktestResult, NDArray[np.float64]]:
    """Return the backtest that begins in cash and decides first at the bar before `start`.

    Parameters
    ----------
    inputs : PortfolioInputs
    start : datetime
        Opening time of the first bar traded in.
    capital : float, optional
        Default: the portfolio's.
    engine : {"fused", "both"}
        ``both`` checks the accounting with the second engine.

    Returns
    -------
    result : BacktestResult
    decided : ndarray of float64, shape (T, N)
        The weights it was given; NaN before the first decision.
    """
    found = inputs.decide()
    weights, parts = inputs.targets(found), inputs.parts(found)
    before = inputs.panel.bar < inputs.portfolio.timeframe.number(start) - 1
    weights[before], parts[before] = np.nan, np.nan
    result = run_backtest(
        inputs.panel,
        weights,
        costs=inputs.portfolio.costs,
        risk=inputs.plan(),
        parts=parts,
        cash=inputs.portfolio.capital if capital is None else capital,
        engine=engine,
    )
    return result, weights
