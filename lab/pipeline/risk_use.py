"""What a backtest's risk section did: use of budgets at the last bar, how often rules acted, scenarios."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from lab.backtest import BacktestResult
from lab.core.settings import PortfolioRiskSettings, RiskSettings
from lab.risk import RiskPlan, budgets, stress

__all__ = ["risk_use"]

_MODES = ("NORMAL", "REDUCE_ONLY", "HALTED")


def risk_use(
    result: BacktestResult, plan: RiskPlan, settings: RiskSettings | PortfolioRiskSettings
) -> dict[str, Any]:
    """Return the ``risk`` part of what ``mnemo backtest --json`` prints.

    Parameters
    ----------
    result : BacktestResult
        Of a run with `plan`.
    plan : RiskPlan
        What was enforced.
    settings : RiskSettings or PortfolioRiskSettings
        The file's ``risk`` section, for its scenarios.

    Returns
    -------
    dict
        ``mode`` and ``budgets`` as the last bar's step found them, ``events``: market-bars by reason,
        ``stress``: what each scenario would cost the positions that it found.
    """
    state = result.risk_state
    if state is None:
        return {}
    events: Counter[str] = Counter()
    for reasons, count in result.risk_events["reasons"].value_counts().iter_rows():
        for name in reasons.split(", "):
            events[name] += count
    scenarios = settings.stress if isinstance(settings, PortfolioRiskSettings) else {}
    weights = np.nan_to_num(state.weights)
    return {
        "mode": _MODES[state.mode],
        "budgets": [{**budget.document(), "text": str(budget)} for budget in budgets(state, plan)],
        "events": dict(sorted(events.items())),
        "stress": [one._asdict() for one in stress(weights, plan.markets, scenarios)],
    }
