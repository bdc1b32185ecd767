"""A planted edge, bar by bar: decide on the bars so far, then let the next one come."""

from __future__ import annotations

import numpy as np


def planted_bar_by_bar(instance, world, strength):
    """Return the world in which what is held after each close drifts in the next bar."""
    bars, markets = world.volumes.shape
    drift = np.zeros((bars, markets))
    held = np.zeros(markets)
    for bar in range(bars - 1):
        past = world.with_drift(drift).panel().rows(0, bar + 1)
        decided = instance.decide(past)[-1]
        for market in range(markets):
            if not np.isnan(decided[market]):
                held[market] = decided[market]
            if held[market] > 0.0:
                drift[bar + 1, market] = strength * world.deviation
    return world.with_drift(drift)
