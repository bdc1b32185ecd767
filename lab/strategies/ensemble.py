"""Ensemble: the weighted opinion of other rules, or what enough of them agree on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, field_validator, model_validator

from lab.core.compiled import njit
from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.settings import Section
from lab.features import Bars, compute, define, definition_of
from lab.strategies.decide import total_lookback
from lab.strategies.protocol import Parameters, Strategy, call_core
from lab.strategies.registry import register, strategy_of
from lab.strategies.sizing import capped
from lab.strategies.space import Choice, Dimension, Range
from lab.strategies.standing import standing

__all__ = ["Ensemble", "EnsembleParameters", "MemberConfig", "weights_of"]

Array = NDArray[np.float64]

# What the rounding of adding shares may make of a sum of 1.
_ABOVE_ONE = 1e-9


class MemberConfig(Section):
    """One rule of an ensemble: a family with parameters, and what its opinion counts."""

    family: str = Field(description="name of the rule")
    parameters: dict[str, Any] = Field(default_factory=dict, description="parameters of that family")
    weight: float = Field(gt=0, le=1.0, description="share of the capital that follows the rule")

    @model_validator(mode="after")
    def _understood(self) -> MemberConfig:
        self.parsed()
        return self

    def parsed(self) -> Parameters:
        """Return the parameters as the family's own model."""
        return _rule(self.family, json.dumps(self.parameters, sort_keys=True))[1]

    def feature(self) -> Feature:
        """Return the member's weights as a feature."""
        return weights_of(self.family, self.parsed())


def _months(window: int) -> MemberConfig:
    return MemberConfig(
        family="time_series_momentum", parameters={"lookback_window": window}, weight=1.0 / 3.0
    )


class EnsembleParameters(Parameters):
    """Parameters of :class:`Ensemble`."""

    # Members come from files as lists, which strict models refuse where a tuple is declared.
    model_config = ConfigDict(strict=True)

    members: tuple[MemberConfig, ...] = Field(
        default_factory=lambda: (_months(30), _months(60), _months(120)),
        strict=False,
        description="the rules, at least one; their weights sum to at most 1",
    )
    quorum: float = Field(
        0.0, ge=0, le=1.0, description="share of the members' weights that must hold a market; 0: no vote"
    )
    hold_bars: int = Field(7, ge=1, le=1_000, description="bars for which a member that keeps still counts")

    @field_validator("members")
    @classmethod
    def _at_most_all(cls, members: tuple[MemberConfig, ...]) -> tuple[MemberConfig, ...]:
        if not members:
            raise ValueError("expected at least one member")
        total = sum(member.weight for member in members)
        if total > 1 + _ABOVE_ONE:
            raise ValueError(f"weights of members sum to {total:g}, expected at most 1")
        features = [member.feature() for member in members]
        twice = [feature for feature in features if features.count(feature) > 1]
        if twice:
            raise ValueError(f"member {twice[0]['family']} is listed twice with equal parameters")
        return members


@lru_cache(maxsize=4_096)
def _rule(family: str, parameters: str) -> tuple[Strategy[Any], Parameters]:
    try:
        strategy = strategy_of(family)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return strategy, strategy.params.model_validate_json(parameters, strict=None)


def _member(feature: Feature) -> tuple[Strategy[Any], Parameters]:
    return _rule(feature["family"], feature["parameters"])


def _columns(feature: Feature) -> tuple[str, ...]:
    strategy, params = _member(feature)
    inner = (definition_of(wanted).inputs(wanted) for wanted in strategy.features(params))
    return tuple(dict.fromkeys(column for columns in inner for column in columns))


def _memory(parameters: Mapping[str, Any]) -> int:
    return total_lookback(*_rule(parameters["family"], parameters["parameters"]))


@define("strategy_weights", version="1", inputs=_columns, lookback=_memory, per_market=False)
def _strategy_weights(feature: Feature, bars: Bars) -> Array:
    strategy, params = _member(feature)
    rows, count = bars.columns[0].shape
    bar = np.arange(bars.first_bar, bars.first_bar + rows)
    fields: dict[str | Feature, Array] = dict(zip(_columns(feature), bars.columns, strict=True))
    # Features are not told the markets' names, and no rule asks for them.
    names = tuple(str(index) for index in range(count))
    panel = Panel(bars.timeframe, bar, bars.timeframe.open_times(bar), names, fields)
    return np.array(strategy.signal(compute(panel, strategy.features(params)), params), dtype=np.float64)


def weights_of(family: str, params: Parameters) -> Feature:
    """Return the weights of a rule as a feature, before any hold rule.

    Parameters
    ----------
    family : str
        Name of a registered family.
    params : Parameters
        Of that family.

    Returns
    -------
    Feature
        Fractions of the capital; NaN where the rule keeps. The lookback is
        :func:`~lab.strategies.total_lookback` of the rule.

    Examples
    --------
    >>> momentum = strategy_of("time_series_momentum")
    >>> weights_of("time_series_momentum", momentum.params(lookback_window=60)).lookback
    61
    """
    text = params.model_dump_json()
    parameters = {"family": family, "parameters": text}
    return Feature.of("strategy_weights", "1", lookback=_memory(parameters), **parameters)


@njit(cache=True, nogil=True)
def _combined(latest: Array, virtual: Array, shares: Array, quorum: float) -> Array:
    members, rows, columns = latest.shape
    weights = np.full((rows, columns), np.nan)
    needed = 0.0
    for m in range(members):
        needed += shares[m]
    needed *= quorum
    for t in range(rows):
        for i in range(columns):
            decided = False
            total = 0.0
            votes = 0.0
            for m in range(members):
                decided |= not np.isnan(latest[m, t, i])
                if virtual[m, t, i] > 0.0:
                    total += shares[m] * virtual[m, t, i]
                    votes += shares[m]
            if decided:
                weights[t, i] = total if votes >= needed - _ABOVE_ONE else 0.0
    return weights


def core(*arguments: Any) -> Array:
    """Return weights, shape (T, N), from the members' (T, N) weights and then numbers.

    The numbers are quorum, hold_bars and one share per member. NaN where every member keeps.
    """
    count = (len(arguments) - 2) // 2
    latest = np.ascontiguousarray(np.stack(arguments[:count]))
    quorum, hold_bars, *shares = arguments[count:]
    # What a member keeps and what it newly wants may exceed its capital together; then all is cut pro rata.
    virtual = np.stack([capped(standing(one, hold_bars), 1.0, 1.0) for one in latest])
    return _combined(latest, virtual, np.array(shares, dtype=np.float64), quorum)


@register
class Ensemble:
    """Hold the sum of what other rules hold, each for its share, where enough of them agree.

    **Rule.** Each member is a family with parameters and a share of the capital. A market's weight is the sum
    over members of ``share * weight``, if members with at least `quorum` of all shares hold it (weight above
    0), else 0. A quorum of 0 is the weighted mean, 0.5 a majority, 1 unanimity. A member that keeps its
    quantity counts with its last weight, for at most `hold_bars` bars, then as 0 (its weights are scaled to a
    sum of 1 where new and kept ones exceed it); where all keep, so does the ensemble.

    **Hypothesis.** Errors of rules with different windows or ideas are only partly alike: their mean has
    the edge of the average rule with less of its luck, and no window has to be chosen.

    **Source.** J. M. Bates, C. W. J. Granger, "The Combination of Forecasts", Operational Research Quarterly
    20 (1969); for trend windows, B. Hurst, Y. H. Ooi, L. H. Pedersen, "A Century of Evidence on Trend-
    Following Investing", Journal of Portfolio Management 44 (2017), who weigh 1, 3 and 12 months equally.

    **Evidence.** R. T. Clemen, "Combining forecasts: A review and annotated bibliography", International
    Journal of Forecasting 5 (1989): over many fields simple means are hard to beat, fitted weights seldom do.

    **Defaults.** Time-series momentum over 30, 60 and 120 bars, a third each, no quorum.

    **Lookback.** `hold_bars` bars of the longest member.

    **Works** where its members' mistakes differ. **Fails** where they are one bet under several names: in a
    crash all trends are long. With a high quorum it is late, for the last member decides.

    **Data.** What its members need.

    Examples
    --------
    >>> strategy = Ensemble()
    >>> trend = {"family": "time_series_momentum", "weight": 0.5}
    >>> leader = {"family": "dual_momentum", "parameters": {"top_k": 2}, "weight": 0.5}
    >>> params = strategy.params(members=[trend, leader], quorum=1.0)
    >>> [feature.lookback for feature in strategy.features(params)]
    [91, 97]
    """

    family = "ensemble"
    version = "1.0.0"
    per_market = False
    params = EnsembleParameters
    space: Mapping[str, Dimension] = MappingProxyType(
        {"quorum": Range(0.0, 1.0, step=0.25), "hold_bars": Choice((1, 7, 30))}
    )
    core = staticmethod(core)

    def features(self, params: EnsembleParameters) -> tuple[Feature, ...]:
        """Return the members' weights."""
        return tuple(member.feature() for member in params.members)

    def lookback(self, params: EnsembleParameters) -> int:
        """Return `hold_bars`: a member's last number may be that long ago."""
        return params.hold_bars

    def numbers(self, params: EnsembleParameters, *, markets: int, first_bar: int) -> tuple[int | float, ...]:
        """Return quorum, hold_bars, and one share per member."""
        return params.quorum, params.hold_bars, *(member.weight for member in params.members)

    def signal(self, panel: Panel, params: EnsembleParameters) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`."""
        return call_core(self, panel, params)
