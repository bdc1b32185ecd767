"""The weights of a rule as a feature, for rules that are made of others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features import Bars, compute, define, definition_of
from lab.strategies.decide import total_lookback
from lab.strategies.protocol import Parameters, Strategy
from lab.strategies.registry import strategy_of

__all__ = ["parsed_rule", "rule_in", "weights_of"]

Array = NDArray[np.float64]


@lru_cache(maxsize=4_096)
def parsed_rule(family: str, parameters: str) -> tuple[Strategy[Any], Parameters]:
    """Return a rule, and its parameters from their JSON text; ValueError where they are wrong."""
    try:
        strategy = strategy_of(family)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return strategy, strategy.params.model_validate_json(parameters, strict=None)


def rule_in(feature: Feature) -> tuple[Strategy[Any], Parameters]:
    """Return the rule, and its parameters, whose weights a feature made by :func:`weights_of` is."""
    return parsed_rule(feature["family"], feature["parameters"])


def _columns(feature: Feature) -> tuple[str, ...]:
    strategy, params = rule_in(feature)
    inner = (definition_of(wanted).inputs(wanted) for wanted in strategy.features(params))
    return tuple(dict.fromkeys(column for columns in inner for column in columns))


def _memory(parameters: Mapping[str, Any]) -> int:
    return total_lookback(*parsed_rule(parameters["family"], parameters["parameters"]))


@define("strategy_weights", version="1", inputs=_columns, lookback=_memory, per_market=False)
def _strategy_weights(feature: Feature, bars: Bars) -> Array:
    strategy, params = rule_in(feature)
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
