"""Features made of another feature: how one is written into the parameters of the other, and read back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.features.definition import definition_of, definitions

__all__ = ["as_parameters", "inner_feature", "inner_inputs", "inner_lookback"]

_KEY: Final = "feature"


def as_parameters(inner: Feature, *, outer: str) -> dict[str, Any]:
    """Return the parameters that say which feature `inner` is.

    Raises
    ------
    ConfigError
        If `inner` has no definition, or is itself an `outer`.

    Examples
    --------
    >>> from lab.features import mean
    >>> as_parameters(mean("close", 20), outer="universe_rank")
    {'feature': 'mean@1', 'feature.column': 'close', 'feature.min_valid': 0.8, 'feature.window': 20}
    """
    definition_of(inner)
    if any(name.endswith(_KEY) and str(value).startswith(f"{outer}@") for name, value in _named(inner)):
        raise ConfigError(f"feature {outer}: {inner} is one already; give the feature that is inside it")
    return {
        _KEY: f"{inner.name}@{inner.version}",
        **{f"{_KEY}.{name}": value for name, value in inner.parameters},
    }


def inner_feature(parameters: Mapping[str, Any]) -> Feature:
    """Return the feature that :func:`as_parameters` wrote."""
    name, _, version = str(parameters[_KEY]).partition("@")
    prefix = f"{_KEY}."
    inner = {key.removeprefix(prefix): value for key, value in parameters.items() if key.startswith(prefix)}
    lookback = definitions()[name].lookback(inner)
    return Feature.of(name, version, lookback=lookback, **inner)


def inner_lookback(parameters: Mapping[str, Any]) -> int:
    """Return the lookback of the feature inside."""
    return inner_feature(parameters).lookback


def inner_inputs(feature: Feature) -> tuple[str, ...]:
    """Return the columns that the feature inside reads."""
    inner = inner_feature(dict(feature.parameters))
    return definition_of(inner).inputs(inner)


def _named(inner: Feature) -> list[tuple[str, Any]]:
    return [(_KEY, f"{inner.name}@{inner.version}"), *inner.parameters]
