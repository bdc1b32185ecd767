"""Which coarser timeframes the features of a strategy read, found in the features themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.timeframe import Timeframe
from lab.features.nested import inner_feature
from lab.strategies.protocol import Strategy
from lab.strategies.rule_weights import rule_in

__all__ = ["auxiliary_timeframes"]


def auxiliary_timeframes(strategy: Strategy[Any], params: Any, *, on: str) -> tuple[str, ...]:
    """Return the coarser timeframes that a strategy's features read, finest first.

    Parameters
    ----------
    strategy, params
        Whose features; those of the members of an ensemble are looked at, too.
    on : str
        Timeframe that it decides on.

    Raises
    ------
    ConfigError
        If a feature is made for bars of another timeframe than it would get.

    Examples
    --------
    >>> from lab.strategies import strategy_of
    >>> ensemble = strategy_of("ensemble")
    >>> slow = {"family": "time_series_momentum", "timeframe": "1d", "weight": 0.5}
    >>> fast = {"family": "mean_reversion", "weight": 0.5}
    >>> auxiliary_timeframes(ensemble, ensemble.params(timeframe="1h", members=[slow, fast]), on="1h")
    ('1d',)
    """
    found = {name for feature in strategy.features(params) for name in _read(feature, on)}
    return tuple(sorted(found, key=lambda name: Timeframe.parse(name).seconds))


def _read(feature: Feature, on: str) -> Iterator[str]:
    parameters = dict(feature.parameters)
    if feature.name == "coarser":
        if feature["of"] != on:
            raise ConfigError(
                f"a feature of {feature['timeframe']} bars is made for bars of {feature['of']}, "
                f"the strategy decides on {on}"
            )
        on = feature["timeframe"]
        yield on
    if "feature" in parameters:
        yield from _read(inner_feature(parameters), on)
    elif feature.name == "strategy_weights":
        strategy, params = rule_in(feature)
        for each in strategy.features(params):
            yield from _read(each, on)
