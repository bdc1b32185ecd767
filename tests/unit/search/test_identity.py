"""Every figure of costs and limits is part of what a trial is a trial of."""

from __future__ import annotations

import dataclasses

from lab.core.settings import RiskSettings
from lab.costs import Costs, MarketRules
from lab.search import cost_hash, risk_hash


def every_field(model, **known):
    """Values other than the defaults, one field at a time."""
    for name, field in model.model_fields.items():
        if name in known:
            yield name, known[name]
        elif field.annotation is bool:
            yield name, not field.default
        elif isinstance(field.default, float) and 0.0 <= field.default <= 1.0:
            yield name, 0.37


def test_every_limit_and_every_cost_has_a_hash_of_its_own():
    limits = list(every_field(RiskSettings))
    assert len(limits) >= 5
    hashes = {risk_hash(RiskSettings.model_construct(**{name: value})) for name, value in limits}
    assert len(hashes | {risk_hash(RiskSettings())}) == len(limits) + 1
    costs = [
        Costs(fee_bps=11.0),
        Costs(slippage_bps=6.0),
        Costs(slippage_volatility=0.1),
        Costs(impact_bps=1.0),
        Costs(max_participation=0.1),
        Costs(clip_to_bar=True),
        Costs(rules=(MarketRules(lot=0.1),)),
    ]
    assert {field.name for field in dataclasses.fields(Costs)} == {
        name for one in costs for name in one.identity()
    }
    assert len({cost_hash(one) for one in (*costs, Costs())}) == len(costs) + 1
