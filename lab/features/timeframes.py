"""Features of coarser bars on a finer panel, visible from the close of the coarser bar on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.timeframe import Timeframe
from lab.features import kernels
from lab.features.definition import (
    Bars,
    Definition,
    checked_share,
    define,
    definition_of,
    frozen,
    least_valid,
)
from lab.features.nested import as_parameters, inner_feature, inner_inputs

__all__ = ["coarser"]

Array = NDArray[np.float64]

# How finer bars make a coarser one; any other column has its last value.
_RULES: Final = (
    ("open", kernels.FIRST),
    ("high", kernels.HIGHEST),
    ("low", kernels.LOWEST),
    ("volume", kernels.SUM),
)


def _ratio(parameters: Mapping[str, Any]) -> int:
    timeframe, of = (Timeframe.parse(parameters[name]) for name in ("timeframe", "of"))
    return timeframe.seconds // of.seconds


def _lookback(parameters: Mapping[str, Any]) -> int:
    ratio = _ratio(parameters)
    # The last of these bars may be the one before the next coarser bar closes.
    return inner_feature(parameters).lookback * ratio + ratio - 1


def _rule(column: str) -> int:
    base = column.rpartition("_")[2]
    return next((how for name, how in _RULES if name == base), kernels.LAST)


@cache
def _bind(feature: Feature) -> Definition:
    """Return the definition of `feature` with the feature inside it."""
    inner = inner_feature(dict(feature.parameters))
    definition = definition_of(inner)

    def evaluate(feature: Feature, bars: Bars) -> Array:
        return _on_coarser_bars(feature, bars, inner, definition)

    return replace(_coarser, evaluate=evaluate, bind=None, per_market=definition.per_market)


def _on_coarser_bars(feature: Feature, bars: Bars, inner: Feature, definition: Definition) -> Array:
    timeframe, ratio = Timeframe.parse(feature["timeframe"]), _ratio(dict(feature.parameters))
    if bars.timeframe.name != feature["of"]:
        raise ConfigError(
            f"feature {feature} is made for bars of {feature['of']}, the panel has {bars.timeframe}; "
            f"use coarser(…, of={bars.timeframe.name!r})"
        )
    rows, columns = bars.columns[0].shape
    first, start = _first_complete(bars, timeframe, ratio)
    complete = max((rows - start) // ratio, 0)
    least = least_valid(feature["complete"], ratio)
    made = tuple(
        frozen(kernels.coarser_bars(values, start, complete, ratio, least, _rule(name)))
        for name, values in zip(definition.inputs(inner), bars.columns, strict=True)
    )
    values = definition.evaluate(inner, Bars(made, first, timeframe, bars.markets))
    values[: inner.lookback - 1] = np.nan
    out = np.full((rows, columns), np.nan)
    closed = np.arange(start + ratio - 1, rows)  # rows at whose close a complete coarser bar has closed
    out[closed] = values[(closed - start + 1) // ratio - 1]
    return out


def _first_complete(bars: Bars, timeframe: Timeframe, ratio: int) -> tuple[int, int]:
    """Return the number of the first coarser bar that begins in the panel, and the row where it does."""
    opens = bars.timeframe.open_times(np.array([bars.first_bar]))
    number = int(timeframe.numbers(opens)[0])
    begins = bars.timeframe.numbers(timeframe.open_times(np.array([number, number + 1])))
    later = int(begins[0] < bars.first_bar)
    return number + later, int(begins[later]) - bars.first_bar


@define("coarser", version="1", inputs=inner_inputs, lookback=_lookback, bind=_bind)
def _coarser(feature: Feature, bars: Bars) -> Array:
    return _bind(feature).evaluate(feature, bars)


def coarser(feature: Feature, timeframe: str, *, of: str, complete: float = 0.8) -> Feature:
    """Return `feature` on bars of a coarser timeframe, for a panel of finer bars.

    The coarser bars are aggregated from the panel's own, aligned to UTC (weeks to Monday): first open,
    highest high, lowest low, last close, sum of volumes, and the last value of any other column. The value of
    a coarser bar is visible from the finer bar on that closes with it, until the next coarser bar closes; a
    bar that is not closed, or began before the panel, gives none.

    Parameters
    ----------
    feature : Feature
        Its lookback counts coarser bars.
    timeframe : str
        Coarser timeframe, a multiple of `of`.
    of : str
        Timeframe of the panels that it is made for.
    complete : float
        Share of its finer bars that a coarser bar needs, else it is missing.

    Returns
    -------
    Feature
        With a lookback of ``feature.lookback * n + n - 1`` bars, n finer ones making a coarser one.

    Raises
    ------
    ConfigError
        If `timeframe` is no multiple of `of`.

    Examples
    --------
    >>> from lab.features import mean
    >>> coarser(mean("close", 20), "1d", of="1h").lookback
    503
    """
    wide, fine = Timeframe.parse(timeframe), Timeframe.parse(of)
    if wide.seconds <= fine.seconds or wide.seconds % fine.seconds:
        raise ConfigError(
            f"feature coarser: timeframe {wide} found for bars of {fine}; expected a multiple of {fine}"
        )
    return _coarser.feature(
        **as_parameters(feature, outer="coarser"),
        timeframe=wide.name,
        of=fine.name,
        complete=checked_share(complete, name="coarser"),
    )
