"""The families by name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

from lab.core.errors import ConfigError
from lab.strategies.protocol import Strategy

__all__ = ["families", "register", "strategy_of"]

S = TypeVar("S", bound=type[Any])

_families: Final[dict[str, Strategy[Any]]] = {}


def register(family: S) -> S:
    """Class decorator: make the class's one instance known by its ``family``.

    Raises
    ------
    ConfigError
        If another class has that name already.
    """
    known = _families.get(family.family)
    if known is not None and type(known).__qualname__ != family.__qualname__:
        raise ConfigError(f"strategy family {family.family!r} is registered twice; choose another name")
    # A worker process that receives a strategy finds its own one, equal by identity.
    setattr(family, "__reduce__", _by_name)  # noqa: B010
    _families[family.family] = family()
    return family


def _by_name(strategy: Strategy[Any]) -> tuple[Any, ...]:
    return strategy_of, (strategy.family,)


def families() -> Mapping[str, Strategy[Any]]:
    """Return every registered family by name, read-only."""
    return MappingProxyType(_families)


def strategy_of(family: str) -> Strategy[Any]:
    """Return the strategy called `family`.

    Raises
    ------
    ConfigError
        If there is none; the message lists the nearest names.

    Examples
    --------
    >>> strategy_of("time_series_momentum").params().lookback_window
    90
    """
    if family not in _families:
        near = difflib.get_close_matches(family, _families, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"family {family!r} unknown; {hint}families: {', '.join(sorted(_families))}")
    return _families[family]
