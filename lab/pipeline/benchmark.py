"""Buy and hold: what doing nothing with the same markets would have earned."""

from __future__ import annotations

import numpy as np

from lab.backtest import BacktestResult, run_backtest
from lab.core.panel import Panel
from lab.costs import Costs

__all__ = ["buy_and_hold"]


def buy_and_hold(panel: Panel, costs: Costs) -> BacktestResult:
    """Return the account that holds every market from its listing on, and does nothing in between.

    It buys all markets that are listed at the first bar in equal parts. When one more lists, which is at its
    first bar that was received, it sells so much of the others that all are equal again. A market that is
    delisted stays at its last price. So nothing that was not listed yet is known, and the capital is always
    at work.

    Parameters
    ----------
    panel : Panel
        Bars with ``received_close``; it decides at their closes and trades at the opens that follow.
    costs : Costs
        Paid at each purchase and sale.
    """
    received = ~np.isnan(panel["received_close"])
    listed = np.logical_or.accumulate(received, axis=0)
    count = listed.sum(axis=1)
    due = np.diff(count, prepend=0) > 0
    for t in np.flatnonzero(~received.any(axis=1)):
        # In an outage nobody could buy: what was due is decided again at each of its bars.
        due[t] |= t > 0 and due[t - 1]
    weights = np.full(panel.shape, np.nan)
    weights[0] = 0.0
    weights[due] = listed[due] / count[due, None]
    return run_backtest(panel, weights, costs=costs)
