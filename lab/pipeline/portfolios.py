"""Backtest of a portfolio: its instances decide together, on one account, with the portfolio's limits."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from lab.pipeline.runs import BacktestRun, backtest
from lab.strategies import Portfolio, load_portfolio

__all__ = ["backtest_portfolio"]


def backtest_portfolio(
    config: Portfolio | Path | str,
    *,
    root: Path,
    seed: int = 0,
    start: datetime | None = None,
    end: datetime | None = None,
) -> BacktestRun:
    """Backtest a portfolio; see :func:`lab.pipeline.backtest`, which takes strategies too."""
    portfolio = config if isinstance(config, Portfolio) else load_portfolio(config)
    return backtest(portfolio, root=root, seed=seed, start=start, end=end)
