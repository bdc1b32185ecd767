"""Ensemble: the weighted opinion of other rules, or what enough of them agree on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from lab.core.compiled import njit
from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.settings import Section
from lab.core.timeframe import Timeframe
from lab.features import coarser
from lab.strategies.protocol import Parameters, call_core
from lab.strategies.registry import register
from lab.strategies.rule_weights import parsed_rule, weights_of
from lab.strategies.sizing import capped
from lab.strategies.space import Choice, Dimension, Range
from lab.strategies.standing import standing

__all__ = ["Ensemble", "EnsembleParameters", "MemberConfig"]

Array = NDArray[np.float64]

# What the rounding of adding shares may make of a sum of 1.
_ABOVE_ONE = 1e-9


class MemberConfig(Section):
    """One rule of an ensemble: a family with parameters, and what its opinion counts."""

    family: str = Field(description="name of the rule")
    parameters: dict[str, Any] = Field(default_factory=dict, description="parameters of that family")
    weight: float = Field(gt=0, le=1.0, description="share of the capital that follows the rule")
    timeframe: str | None = Field(
        None, description="coarser bars that the rule decides on; null: those of the ensemble"
    )

    @field_validator("timeframe")
    @classmethod
    def _timeframe(cls, timeframe: str | None) -> str | None:
        return None if timeframe is None else Timeframe.parse(timeframe).name

    @model_serializer(mode="wrap")
    def _as_written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_timeframe(write(self))

    @model_validator(mode="after")
    def _understood(self) -> MemberConfig:
        self.parsed()
        return self

    def parsed(self) -> Parameters:
        """Return the parameters as the family's own model."""
        return parsed_rule(self.family, json.dumps(self.parameters, sort_keys=True))[1]

    def feature(self, of: str | None) -> Feature:
        """Return the member's weights as a feature of bars of the timeframe `of`.

        Raises
        ------
        ConfigError
            If it decides on coarser bars and `of` is None, or its timeframe is no multiple of `of`.
        """
        weights = weights_of(self.family, self.parsed())
        if self.timeframe is None:
            return weights
        if of is None:
            raise ConfigError(
                f"member {self.family} decides on bars of {self.timeframe}; list them under "
                "auxiliary_timeframes in the instance's file, or say by the parameter timeframe on which "
                "bars the ensemble decides"
            )
        return coarser(weights, self.timeframe, of=of)


def _without_timeframe(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out a timeframe that is not given: hashes of parameters stay what they were without the key."""
    return {name: value for name, value in values.items() if name != "timeframe" or value is not None}


def _months(window: int) -> MemberConfig:
    return MemberConfig(
        family="time_series_momentum", parameters={"lookback_window": window}, weight=1.0 / 3.0
    )


class EnsembleParameters(Parameters):
    """Parameters of :class:`Ensemble`."""

    # Members come from files as lists, which strict models refuse where a tuple is declared.
    model_config = ConfigDict(strict=True)

    timeframe: str | None = Field(
        None, description="bars that it decides on; needed, and filled in from the file, where members differ"
    )
    members: tuple[MemberConfig, ...] = Field(
        default_factory=lambda: (_months(30), _months(60), _months(120)),
        strict=False,
        description="the rules, at least one; their weights sum to at most 1",
    )
    quorum: float = Field(
        0.0, ge=0, le=1.0, description="share of the members' weights that must hold a market; 0: no vote"
    )
    hold_bars: int = Field(7, ge=1, le=1_000, description="bars for which a member that keeps still counts")

    @model_serializer(mode="wrap")
    def _as_written(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return _without_timeframe(write(self))

    @field_validator("timeframe")
    @classmethod
    def _timeframe(cls, timeframe: str | None) -> str | None:
        return None if timeframe is None else Timeframe.parse(timeframe).name

    @field_validator("members")
    @classmethod
    def _at_most_all(
        cls, members: tuple[MemberConfig, ...], info: ValidationInfo
    ) -> tuple[MemberConfig, ...]:
        if not members:
            raise ValueError("expected at least one member")
        total = sum(member.weight for member in members)
        if total > 1 + _ABOVE_ONE:
            raise ValueError(f"weights of members sum to {total:g}, expected at most 1")
        features = [member.feature(info.data.get("timeframe")) for member in members]
        twice = [
            one.family for one, feature in zip(members, features, strict=True) if features.count(feature) > 1
        ]
        if twice:
            raise ValueError(f"member {twice[0]} is listed twice with equal parameters")
        return members


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
    sum of 1 where new and kept ones exceed it); where all keep, so does the ensemble. A member with a coarser
    `timeframe` decides on bars made of the ensemble's own; what it wants is known from their close on, until
    the next one closes: with a quorum of 1, an entry by the hour that the daily trend must agree with.

    **Hypothesis.** Errors of rules with different windows or ideas are only partly alike: their mean has
    the edge of the average rule with less of its luck, and no window has to be chosen.

    **Source.** J. M. Bates, C. W. J. Granger, "The Combination of Forecasts", Operational Research Quarterly
    20 (1969); for trend windows, B. Hurst, Y. H. Ooi, L. H. Pedersen, "A Century of Evidence on Trend-
    Following Investing", Journal of Portfolio Management 44 (2017), who weigh 1, 3 and 12 months equally.

    **Evidence.** R. T. Clemen, "Combining forecasts: A review and annotated bibliography", International
    Journal of Forecasting 5 (1989): over many fields simple means are hard to beat, fitted weights seldom do.

    **Defaults.** Time-series momentum over 30, 60 and 120 bars, a third each, no quorum.

    **Lookback.** `hold_bars` bars of the longest member, a coarser one's counted in the ensemble's bars.

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
        return tuple(member.feature(params.timeframe) for member in params.members)

    def lookback(self, params: EnsembleParameters) -> int:
        """Return `hold_bars`: a member's last number may be that long ago."""
        return params.hold_bars

    def numbers(self, params: EnsembleParameters, *, markets: int, first_bar: int) -> tuple[int | float, ...]:
        """Return quorum, hold_bars, and one share per member."""
        return params.quorum, params.hold_bars, *(member.weight for member in params.members)

    def signal(self, panel: Panel, params: EnsembleParameters) -> Array:
        """Return weights, shape (T, N); see :class:`lab.strategies.Strategy`."""
        return call_core(self, panel, params)
