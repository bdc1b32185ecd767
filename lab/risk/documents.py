"""The memory of risk as exact JSON: floats as hexadecimal text, by the names of what they are about."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lab.risk.plan import RiskPlan
from lab.risk.state import BANNED, NORMAL, NOT_BEGUN, PAST_MARK, TRIPPED, RiskState, initial_state

__all__ = ["memory_document", "read_memory", "resumed_document"]


def memory_document(state: RiskState, plan: RiskPlan) -> dict[str, Any]:
    """Return what `state` remembers from one step to the next; what is observed anew is left out.

    Parameters
    ----------
    state : RiskState
        As :func:`lab.risk.step` returned it.
    plan : RiskPlan
        What it was made for.

    Returns
    -------
    dict
        ``day, day_start_equity, mode`` alone where the limits have no layers.

    Examples
    --------
    >>> from lab.core.settings import RiskSettings
    >>> from lab.risk import plan_of
    >>> plan = plan_of(RiskSettings(), markets=["binance:BTC/USDT"])
    >>> memory_document(initial_state(1, 1000.0), plan)
    {'day': -1, 'day_start_equity': '0x1.f400000000000p+9', 'mode': 0}
    """
    document: dict[str, Any] = {
        "day": int(state.day),
        "day_start_equity": float(state.day_start_equity).hex(),
        "mode": int(state.mode),
    }
    if plan.limits.neutral:
        return document
    return {
        **document,
        "marks": {
            market: float(state.markets[PAST_MARK, i]).hex()
            for i, market in enumerate(plan.markets)
            if not math.isnan(state.markets[PAST_MARK, i])
        },
        "banned": [market for i, market in enumerate(plan.markets) if state.markets[BANNED, i] != 0.0],
        "sleeves": {
            name: {
                market: float(state.sleeves[k, i]).hex()
                for i, market in enumerate(plan.markets)
                if state.sleeves[k, i] != 0.0
            }
            for k, name in enumerate(plan.instances)
        },
        "virtual": {name: float(state.virtual[s]).hex() for s, name in enumerate(plan.scopes)},
        "equity": float(state.virtual[-1]).hex(),
        "breakers": {
            rule.key: [float(figure).hex() for figure in state.breakers[b]]
            for b, rule in enumerate(plan.breakers)
        },
    }


def read_memory(document: Mapping[str, Any], plan: RiskPlan, *, capital: float) -> RiskState:
    """Return the state that :func:`memory_document` wrote, for the account as it is now.

    Instances, markets and breakers that the document does not know start afresh; those that are no longer
    there are forgotten. An empty document is an account that starts with `capital`.

    Parameters
    ----------
    document : mapping
        As :func:`memory_document` returned it, also after a way through JSON.
    plan : RiskPlan
        What will be enforced now.
    capital : float
        Equity, for what has no memory.

    Returns
    -------
    RiskState
        To be observed before the next step.
    """
    state = initial_state(len(plan.markets), capital, plan.limits)
    if not document:
        return state
    state = state._replace(
        day=int(document["day"]),
        day_start_equity=float.fromhex(document["day_start_equity"]),
        mode=int(document["mode"]),
    )
    if plan.limits.neutral or "virtual" not in document:
        return state
    marks, banned, sleeves = document["marks"], set(document["banned"]), document["sleeves"]
    for i, market in enumerate(plan.markets):
        state.markets[PAST_MARK, i] = float.fromhex(marks.get(market, "nan"))
        state.markets[BANNED, i] = float(market in banned)
        for k, name in enumerate(plan.instances):
            state.sleeves[k, i] = float.fromhex(sleeves.get(name, {}).get(market, "0x0p+0"))
    for s, name in enumerate(plan.scopes):
        state.virtual[s] = float.fromhex(document["virtual"].get(name, "0x1p+0"))
    state.virtual[-1] = float.fromhex(document["equity"])
    for b, rule in enumerate(plan.breakers):
        if rule.key in document["breakers"]:
            state.breakers[b] = [float.fromhex(text) for text in document["breakers"][rule.key]]
    return state


def resumed_document(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the memory after a person's command to go on: :func:`lab.risk.resume` on what was written.

    Examples
    --------
    >>> resumed_document({"day": 3, "day_start_equity": "0x1p+3", "mode": 2})["mode"]
    0
    """
    resumed = {**document, "mode": NORMAL}
    if "virtual" in document:
        resumed["banned"] = []
        resumed["virtual"] = {
            name: text if 0.0 < float.fromhex(text) < math.inf else (1.0).hex()
            for name, text in document["virtual"].items()
        }
        afresh = [figure.hex() for figure in (0.0, NOT_BEGUN, 0.0, 0.0)]
        resumed["breakers"] = {
            key: afresh if float.fromhex(row[TRIPPED]) != 0.0 else row
            for key, row in document["breakers"].items()
        }
    return resumed
