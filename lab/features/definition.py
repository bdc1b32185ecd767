"""What a feature means: definitions, and the registry that finds them by name."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.timeframe import Timeframe

__all__ = ["Bars", "Definition", "define", "definition_of", "definitions"]

Array = NDArray[np.float64]


class Bars(NamedTuple):
    """All that an evaluation sees: the declared input columns and the grid they lie on.

    ``columns`` are (T, N), float64, C-contiguous and read-only, in the order of the definition's inputs;
    ``markets`` names the N, for features that look for one of them.
    """

    columns: tuple[Array, ...]
    first_bar: int
    timeframe: Timeframe
    markets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """How the features of one name are computed.

    Parameters
    ----------
    name, version : str
        Identity. The version changes whenever the meaning of the numbers does.
    inputs : callable
        From a feature to the names of the panel columns it reads.
    lookback : callable
        From a feature to the bars that its value at t depends on, t included.
    evaluate : callable
        From a feature and its :class:`Bars` to a (T, N) array, a new one. Row t may depend on rows
        ``t - lookback + 1 … t`` only, and on absolute bar numbers; the first ``lookback - 1`` rows are
        overwritten with NaN by the caller.
    per_market : bool
        Whether a market's values depend on that market alone. False for ranks and other features over the
        universe at one time.
    bind : callable, optional
        For definitions whose features are made of another feature: from a feature to its own definition,
        which has that other one in its evaluation (and so in the hash of its code).
    """

    name: str
    version: str
    inputs: Callable[[Feature], tuple[str, ...]]
    lookback: Callable[[Mapping[str, Any]], int]
    evaluate: Callable[[Feature, Bars], Array]
    per_market: bool = True
    bind: Callable[[Feature], Definition] | None = None

    def feature(self, **parameters: Any) -> Feature:
        """Return the feature of this definition with `parameters`."""
        return Feature.of(self.name, self.version, lookback=self.lookback(parameters), **parameters)


_registry: Final[dict[str, Definition]] = {}


def define(
    name: str,
    *,
    version: str,
    inputs: tuple[str, ...] | Callable[[Feature], tuple[str, ...]] | None = None,
    lookback: Callable[[Mapping[str, Any]], int],
    per_market: bool = True,
    bind: Callable[[Feature], Definition] | None = None,
) -> Callable[[Callable[[Feature, Bars], Array]], Definition]:
    """Register the decorated evaluation as the definition called `name`.

    Parameters
    ----------
    name, version, lookback, per_market, bind
        See :class:`Definition`.
    inputs : tuple of str or callable, optional
        Panel columns, or a function from a feature to them; by default the one that the parameter ``column``
        names.
    """

    def register(evaluate: Callable[[Feature, Bars], Array]) -> Definition:
        if name in _registry:
            raise ConfigError(f"feature {name} is defined twice; give the second definition another name")
        made = Definition(name, version, _reads(inputs), lookback, evaluate, per_market, bind)
        _registry[name] = made
        return made

    return register


def _reads(
    inputs: tuple[str, ...] | Callable[[Feature], tuple[str, ...]] | None,
) -> Callable[[Feature], tuple[str, ...]]:
    if inputs is None:
        return lambda feature: (feature["column"],)
    if callable(inputs):
        return inputs
    return lambda feature: inputs


def definition_of(feature: Feature | Any) -> Definition:
    """Return the registered definition of `feature`.

    Raises
    ------
    ConfigError
        If it is no feature, no definition has its name, or the definition has another version or lookback
        than the feature was made with.
    """
    if not isinstance(feature, Feature):
        raise ConfigError(f"{feature!r} is no feature; build features with the constructors of lab.features")
    found = _registry.get(feature.name)
    if found is None:
        near = difflib.get_close_matches(feature.name, _registry, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else f"defined are {', '.join(sorted(_registry))}"
        raise ConfigError(f"feature {feature.name!r} is not defined; {hint}")
    if found.version != feature.version:
        raise ConfigError(
            f"feature {feature.key}: version {feature.version} found, {found.version} is defined; "
            "build features with the constructors of lab.features"
        )
    lookback = found.lookback(dict(feature.parameters))
    if lookback != feature.lookback:
        raise ConfigError(
            f"feature {feature.key}: lookback {feature.lookback} found, its definition needs {lookback}; "
            "build features with the constructors of lab.features"
        )
    return found if found.bind is None else found.bind(feature)


def definitions() -> Mapping[str, Definition]:
    """Return all registered definitions by name, read-only."""
    return MappingProxyType(_registry)


def is_number(value: Any) -> bool:
    """Return whether a value is a real number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def checked_window(window: Any, *, name: str, least: int = 1) -> int:
    """Return `window` as an int, or raise ConfigError if it is no whole number of at least `least` bars."""
    if not is_number(window) or not float(window).is_integer() or window < least:
        raise ConfigError(f"feature {name}: {window!r} found, expected a whole number of bars >= {least}")
    return int(window)


def checked_share(share: Any, *, name: str) -> float:
    """Return `share` as a float, or raise ConfigError if it is not in (0, 1]."""
    if not (is_number(share) and 0.0 < share <= 1.0):
        raise ConfigError(f"feature {name}: min_valid {share!r} found, expected a share above 0, at most 1")
    return float(share)


def least_valid(share: float, window: int, *, least: int = 1) -> int:
    """Return how many of `window` bars must be valid for a share of `share`, never fewer than `least`."""
    return max(math.ceil(share * window - 1e-9), least)


def windowed(
    definition: Definition, window: Any, min_valid: Any, *, least: int = 1, **others: Any
) -> Feature:
    """Return the feature of `definition` over a checked window, with whatever other parameters it has."""
    window = checked_window(window, name=definition.name, least=least)
    return _kept(
        definition, window=window, min_valid=checked_share(min_valid, name=definition.name), **others
    )


@lru_cache(maxsize=4096, typed=True)
def _kept(definition: Definition, **parameters: Any) -> Feature:
    # The last ones are kept: a sweep asks for the features of every one of its sets.
    return definition.feature(**parameters)


def bars_of_window(parameters: Mapping[str, Any]) -> int:
    """Return the lookback of features that read `window` bars."""
    return int(parameters["window"])


def bars_of_changes(parameters: Mapping[str, Any]) -> int:
    """Return the lookback of features that read `window` changes from bar to bar."""
    return int(parameters["window"]) + 1


def frozen(values: Array) -> Array:
    """Return `values`, a C-contiguous array, as read-only.

    Kernels are compiled for the read-only arrays of panels; a writeable one would compile them again.
    """
    values.flags.writeable = False
    return values
