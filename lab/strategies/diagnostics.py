"""Why a strategy wants what it wants: scores, filters and reasons beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.panel import Panel
from lab.features import compute
from lab.strategies.decide import decide_on_features, received_close, total_lookback
from lab.strategies.liquidity import Screened
from lab.strategies.protocol import Strategy

__all__ = ["DecisionReason", "Diagnostics", "diagnose", "reason_text"]

Array = NDArray[np.float64]


class DecisionReason(IntFlag):
    """Why a weight is what it is; several may hold at once."""

    HELD = 1
    FLAT = 2
    KEPT_BY_RULE = 4
    WARMING_UP = 8
    NOT_RECEIVED = 16
    GAP_BEGINS = 32
    SCORE_UNKNOWN = 64
    FILTERED = 128
    ILLIQUID = 256


@dataclass(frozen=True, slots=True, eq=False)
class Diagnostics:
    """What :func:`diagnose` returns; every array has shape (T, N) and belongs to the rows of the panel.

    Attributes
    ----------
    weights : ndarray of float64
        Exactly those of :func:`lab.strategies.decide`.
    scores : mapping of str to ndarray
        The features that the rule looked at, by readable key.
    filters : mapping of str to ndarray
        Conditions of the family by name: 1 passed, 0 refused, NaN unknown.
    reasons : ndarray of int64
        Union of :class:`DecisionReason` bits.
    """

    weights: Array
    scores: Mapping[str, Array]
    filters: Mapping[str, Array]
    reasons: NDArray[np.int64]

    def frame(self, panel: Panel) -> pl.DataFrame:
        """Return a long frame ``ts, market, weight``, scores, filters and ``reasons`` as text."""
        rows, columns = panel.shape
        order = np.argsort(np.array(panel.markets))
        parts = panel.to_frame(self.weights, "weight")
        for values in (self.scores, self.filters):
            for name, array in values.items():
                parts = parts.with_columns(panel.to_frame(array, name)[name])
        texts = {code: reason_text(code) for code in np.unique(self.reasons).tolist()}
        codes = self.reasons[:, order].reshape(rows * columns).tolist()
        return parts.with_columns(pl.Series("reasons", [texts[code] for code in codes], dtype=pl.String))


def reason_text(code: int) -> str:
    """Return the names in a reason code, joined by commas.

    Examples
    --------
    >>> reason_text(DecisionReason.FLAT | DecisionReason.FILTERED)
    'FLAT,FILTERED'
    """
    return ",".join(str(reason.name) for reason in DecisionReason if code & reason)


def diagnose(strategy: Strategy[Any], panel: Panel, params: Any) -> Diagnostics:
    """Return a strategy's weights with the scores and filters they come from, and a reason for each.

    A pure function that nothing on the way to an order calls: the weights do not depend on it. A family takes
    part by a method ``filters(panel, params)`` that returns (T, N) arrays of 1, 0 and NaN by name; one
    without it has scores and reasons only.

    Parameters
    ----------
    strategy, panel, params
        As :func:`lab.strategies.decide` takes them.

    Returns
    -------
    Diagnostics
        Row t depends on the bars that the weights at t depend on.

    Examples
    --------
    >>> from lab.core.timeframe import Timeframe
    >>> from lab.strategies import strategy_of
    >>> day = Timeframe.parse("1d")
    >>> bar = np.arange(20_000, 20_005)
    >>> close = np.array([[1.0, 1.0], [1.1, 1.0], [1.2, 0.9], [1.3, 0.8], [1.4, 0.7]])
    >>> panel = Panel(day, bar, day.open_times(bar), ("x:A/Q", "x:B/Q"), {"close": close})
    >>> momentum = strategy_of("time_series_momentum")
    >>> told = diagnose(momentum, panel, momentum.params(lookback_window=2, vol_window=2))
    >>> [reason_text(code) for code in told.reasons[-1]], told.filters["risen"][-1].tolist()
    (['HELD', 'FLAT,FILTERED'], [1.0, 0.0])
    """
    features = tuple(dict.fromkeys(strategy.features(params)))
    computed = compute(panel, features)
    weights = decide_on_features(strategy, computed, params)
    told = getattr(strategy, "filters", None)
    filters: dict[str, Array] = {} if told is None else told(computed, params)
    scores = {feature.key: computed[feature] for feature in features}
    reasons = _reasons(strategy, panel, params, weights, scores, filters)
    if isinstance(strategy, Screened):
        reasons |= _illiquid(reasons, filters["liquid"])
    return Diagnostics(weights, MappingProxyType(scores), MappingProxyType(filters), reasons)


def _illiquid(reasons: NDArray[np.int64], liquid: Array) -> NDArray[np.int64]:
    """Return the code of markets that are screened out, a volume that is not known included."""
    waiting = DecisionReason.WARMING_UP | DecisionReason.NOT_RECEIVED | DecisionReason.GAP_BEGINS
    blocked = (liquid != 1.0) & (reasons & np.int64(waiting) == 0)
    return np.where(blocked, np.int64(DecisionReason.ILLIQUID), np.int64(0))


def _reasons(
    strategy: Strategy[Any],
    panel: Panel,
    params: Any,
    weights: Array,
    scores: Mapping[str, Array],
    filters: Mapping[str, Array],
) -> NDArray[np.int64]:
    received = received_close(panel)
    there = ~np.isnan(received)
    missed = np.zeros(panel.shape, dtype=np.bool_)
    missed[1:] = ~there[1:] & there[:-1]
    warming = np.zeros(panel.shape, dtype=np.bool_)
    warming[: total_lookback(strategy, params) - 1] = True
    gap = np.broadcast_to(missed.any(axis=1, keepdims=True), panel.shape)
    unknown = np.zeros(panel.shape, dtype=np.bool_)
    for values in scores.values():
        unknown |= np.isnan(values)
    refused = np.zeros(panel.shape, dtype=np.bool_)
    for values in filters.values():
        refused |= values == 0.0
    kept = np.isnan(weights)
    by_rule = kept & there & ~gap & ~warming
    conditions = {
        DecisionReason.HELD: weights > 0.0,
        DecisionReason.FLAT: weights == 0.0,
        DecisionReason.KEPT_BY_RULE: by_rule,
        DecisionReason.WARMING_UP: warming,
        DecisionReason.NOT_RECEIVED: ~there,
        DecisionReason.GAP_BEGINS: gap,
        DecisionReason.SCORE_UNKNOWN: unknown & ~warming,
        DecisionReason.FILTERED: refused & ~warming,
    }
    codes = np.zeros(panel.shape, dtype=np.int64)
    for reason, where in conditions.items():
        codes |= np.where(where, np.int64(reason), np.int64(0))
    return codes
