"""Is a search too large: what it would take, before it begins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.core.errors import ConfigError
from lab.search.proposals import SamplerName, grid_size
from lab.strategies import Dimension

__all__ = ["SearchSize", "require_capacity", "search_size"]

# Of one trial, in every table and count that holds it at a time; and what no trial is faster than.
_BYTES: Final = 800
_SECONDS: Final = 5e-5
# TPE weighs every earlier trial for each new one: seconds per square of their number.
_TPE_SECONDS: Final = 2.5e-6
_MOST_SECONDS: Final = 30 * 86_400.0
_SHARE: Final = 0.8


@dataclass(frozen=True, slots=True)
class SearchSize:
    """What a search takes.

    Parameters
    ----------
    trials : int
        Over all folds.
    bytes : int
        Of memory, for the trials alone.
    seconds : float
        On one processor; it will not be less.
    """

    trials: int
    bytes: int
    seconds: float


def search_size(
    sampler: SamplerName, space: Mapping[str, Dimension], *, trials: int, folds: int
) -> SearchSize:
    """Return what a search of `trials` sets per fold takes; a grid has no more sets than it has.

    Examples
    --------
    >>> from lab.strategies import Range
    >>> search_size("grid", {"window": Range(10, 100, step=10)}, trials=10**12, folds=5).trials
    50
    >>> search_size("tpe", {"window": Range(10, 100, step=10)}, trials=10**6, folds=2).seconds / 86_400 > 50
    True
    """
    most = grid_size(space) if sampler == "grid" else None
    each = trials if most is None else min(trials, most)
    seconds = each * _SECONDS + (_TPE_SECONDS * each**2 if sampler == "tpe" else 0.0)
    return SearchSize(each * folds, each * folds * _BYTES, seconds * folds)


def require_capacity(size: SearchSize, *, free_bytes: int) -> None:
    """Refuse a search that cannot end well.

    Parameters
    ----------
    free_bytes : int
        Memory that is free now.

    Raises
    ------
    ConfigError
        If it needs more than 80 % of that, or more than 30 days.

    Examples
    --------
    >>> require_capacity(SearchSize(20_000, 16_000_000, 1.0), free_bytes=10**9)
    """
    if size.bytes <= _SHARE * free_bytes and size.seconds <= _MOST_SECONDS:
        return
    days = size.seconds / 86_400
    fitting = math.floor(size.trials * min(_SHARE * free_bytes / size.bytes, 1.0))
    raise ConfigError(
        f"search: {size.trials:,} trials need some {size.bytes / 1e9:,.1f} GB of memory for their table, "
        f"{free_bytes / 1e9:,.1f} GB are free, and at least {days:,.1f} days of one processor; expected at "
        f"most {fitting:,} in all folds together and 30 days. Ask for fewer with --trials, or have a grid "
        "that is no finer than what you would tell apart"
    )
