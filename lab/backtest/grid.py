"""Parameter sets of a sweep by index; a product of values is never spelled out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError

from lab.core.errors import ConfigError
from lab.strategies import Strategy

__all__ = ["Grid", "ParameterSets"]

Grid = Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ParameterSets:
    """The sets of a grid: all combinations of values (the last parameter varies fastest), or those listed."""

    strategy: Strategy[Any]
    names: tuple[str, ...]
    axes: tuple[tuple[Any, ...], ...]
    listed: tuple[Mapping[str, Any], ...] | None

    @classmethod
    def of(cls, strategy: Strategy[Any], grid: Grid) -> ParameterSets:
        """Take a mapping of values per parameter, or a sequence of sets.

        Raises
        ------
        ConfigError
            If a parameter has a value twice: its sets would be run and counted twice.
        """
        if isinstance(grid, Mapping):
            for name, values in grid.items():
                _check_distinct(name, values)
            return cls(strategy, tuple(grid), tuple(tuple(values) for values in grid.values()), None)
        return cls(strategy, tuple(dict.fromkeys(itertools.chain(*grid))), (), tuple(grid))

    def __len__(self) -> int:
        return math.prod(len(axis) for axis in self.axes) if self.listed is None else len(self.listed)

    def values(self, index: int) -> Mapping[str, Any]:
        """Return the parameters that the grid names."""
        if self.listed is not None:
            return self.listed[index]
        chosen = {}
        for name, axis in zip(reversed(self.names), reversed(self.axes), strict=True):
            index, place = divmod(index, len(axis))
            chosen[name] = axis[place]
        return {name: chosen[name] for name in self.names}

    def params(self, index: int) -> Any:
        """Return the family's parameters, defaults filled in.

        Raises
        ------
        ConfigError
            Naming the set and what is wrong with it.
        """
        values = self.values(index)
        try:
            return self.strategy.params(**values)
        except ValidationError as error:
            fault = error.errors()[0]
            where = ".".join(str(part) for part in fault["loc"]) or "parameters"
            raise ConfigError(
                f"{self.strategy.family}: parameter set {index} {dict(values)}: {where}: "
                f"{fault['msg'].removeprefix('Value error, ')}"
            ) from None

    def columns(self, places: Sequence[int]) -> dict[str, pl.Series]:
        """Return the values of the sets at `places` by parameter, null where a set does not name one."""
        if self.listed is not None:
            sets = [self.listed[place] for place in places]
            return {name: pl.Series([one.get(name) for one in sets], strict=False) for name in self.names}
        # Places that polars takes as they are: a large grid's table is most of what a sweep keeps.
        narrow = np.uint32 if len(self) < 2**32 else np.int64
        left: NDArray[Any] = np.fromiter(places, dtype=narrow, count=len(places))
        found = {}
        for name, axis in zip(reversed(self.names), reversed(self.axes), strict=True):
            found[name] = pl.Series(axis, strict=False).gather(left % len(axis))
            left //= len(axis)
        return {name: found[name] for name in self.names}


def _check_distinct(name: str, values: Sequence[Any]) -> None:
    seen: set[Hashable] = set()
    for value in values:
        key = _key(value)
        if key in seen:
            raise ConfigError(f"grid: {name} has the value {value!r} twice; list every value once")
        seen.add(key)


def _key(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:  # a list, or a tuple that holds mappings, as an ensemble's members do
        return repr(value)
    return value
