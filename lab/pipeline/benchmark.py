"""Buy and hold: what doing nothing with the same markets would have earned."""

from __future__ import annotations

import numpy as np

from lab.backtest import BacktestResult, run_backtest
from lab.core.panel import Panel
from lab.costs import Costs

__all__ = ["buy_and_hold"]


def buy_and_hold(panel: Panel, costs: Costs) -> BacktestResult:
    """Return the account that buys, once, every market listed at the first bar, in equal parts.

    Parameters
    ----------
    panel : Panel
        Bars with ``received_close``; it decides at the first one's close.
    costs : Costs
        Paid once.
    """
    listed = ~np.isnan(panel["received_close"][0])
    weights = np.full(panel.shape, np.nan)
    weights[0] = np.where(listed, 1.0 / max(int(listed.sum()), 1), 0.0)
    return run_backtest(panel, weights, costs=costs)
