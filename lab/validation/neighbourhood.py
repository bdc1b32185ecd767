"""Which parameter sets are neighbours of a given one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from lab.strategies import Choice, Dimension

__all__ = ["neighbourhood", "neighbours"]

# Neighbours lie a tenth and a fifth of a parameter's value away, at least one step of its grid.
_REACH: Final = (0.1, 0.2)


def neighbourhood(
    space: Mapping[str, Dimension], params: Mapping[str, Any], *, reach: Sequence[float] = _REACH
) -> dict[str, tuple[Any, ...]]:
    """Return the values around `params` that make a small grid, by parameter, their own included.

    Parameters
    ----------
    space : mapping of str to Range or Choice
        What a search may vary; other parameters stay.
    params : mapping
        The set in the middle.
    reach : sequence of float
        Distances up and down, as shares of the value (of the range's width where it is 0), rounded to the
        range's steps and at least one of them. Of a choice the options next to it.

    Examples
    --------
    >>> from lab.strategies import Range
    >>> space = {"window": Range(20, 180, step=5), "k": Choice((1, 2, 5)), "threshold": Range(0.0, 0.1)}
    >>> neighbourhood(space, {"window": 90, "k": 2, "threshold": 0.0})
    {'window': (70, 80, 90, 100, 110), 'k': (1, 2, 5), 'threshold': (0.0, 0.01, 0.02)}
    """
    return {name: _around(space[name], params[name], reach) for name in space if params.get(name) is not None}


def neighbours(
    space: Mapping[str, Dimension], params: Mapping[str, Any], *, largest: int = 300
) -> list[dict[str, Any]]:
    """Return the parameter sets around `params`, without itself, at most about `largest`.

    All combinations of :func:`neighbourhood` where they are few enough; else those of the nearest values;
    else the nearest and second nearest values of one parameter at a time.

    Examples
    --------
    >>> from lab.strategies import Range
    >>> neighbours({"a": Range(1, 3), "b": Range(1, 3)}, {"a": 2, "b": 1, "fixed": 0}, largest=5)
    [{'a': 1, 'b': 1}, {'a': 1, 'b': 2}, {'a': 2, 'b': 2}, {'a': 3, 'b': 1}, {'a': 3, 'b': 2}]
    """
    near, wide = neighbourhood(space, params, reach=_REACH[:1]), neighbourhood(space, params)
    fitting = (axes for axes in (wide, near) if math.prod(map(len, axes.values())) <= largest + 1)
    grid = next(fitting, None)
    if grid is None:
        own = {name: params[name] for name in wide}
        sets = [{**own, name: value} for name, values in wide.items() for value in values]
    else:
        sets = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    return [one for one in sets if any(one[name] != params[name] for name in one)]


def _around(dimension: Dimension, value: Any, reach: Sequence[float]) -> tuple[Any, ...]:
    if isinstance(dimension, Choice):
        options = sorted(dimension.options)
        if value not in options:
            return (value,)
        place = options.index(value)
        return tuple(options[max(place - 1, 0) : place + 2])
    size = abs(value) if value else dimension.high - dimension.low
    step = 1 if dimension.step is None and dimension.is_integer else dimension.step
    found = {value}
    for share in reach:
        distance = share * size
        if step is not None:
            distance = max(round(distance / step), 1) * step
        for each in (value - distance, value + distance):
            if dimension.low <= each <= dimension.high:
                found.add(int(each) if dimension.is_integer else float(f"{each:.12g}"))
    return tuple(sorted(found))
