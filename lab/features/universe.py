"""Cross-sectional features: a market's feature among those of all markets of the panel at the same bar."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.features import kernels
from lab.features.definition import Bars, Definition, checked_window, define, definition_of, frozen
from lab.features.nested import as_parameters, inner_feature, inner_inputs, inner_lookback

__all__ = ["universe_rank", "universe_zscore"]

Array = NDArray[np.float64]


def _bound(feature: Feature, outer: Definition, across: Callable[[Array, int], Array]) -> Definition:
    """Return the definition of `feature` with the feature inside it."""
    inner = inner_feature(dict(feature.parameters))
    definition = definition_of(inner)

    def evaluate(feature: Feature, bars: Bars) -> Array:
        values = definition.evaluate(inner, bars)
        values[: inner.lookback - 1] = np.nan
        return across(frozen(values), feature["least_markets"])

    return replace(outer, evaluate=evaluate, bind=None)


@cache
def _bind_rank(feature: Feature) -> Definition:
    return _bound(feature, _universe_rank, kernels.rank_in_row)


@cache
def _bind_zscore(feature: Feature) -> Definition:
    return _bound(feature, _universe_zscore, kernels.zscore_in_row)


_across = partial(define, version="1", inputs=inner_inputs, lookback=inner_lookback, per_market=False)


@_across("universe_rank", bind=_bind_rank)
def _universe_rank(feature: Feature, bars: Bars) -> Array:
    return _bind_rank(feature).evaluate(feature, bars)


@_across("universe_zscore", bind=_bind_zscore)
def _universe_zscore(feature: Feature, bars: Bars) -> Array:
    return _bind_zscore(feature).evaluate(feature, bars)


def universe_rank(feature: Feature, *, least_markets: int = 3) -> Feature:
    """Share of the other markets of the panel whose `feature` is lower at the same bar.

    Parameters
    ----------
    feature : Feature
        What is compared; ``latest("close")`` for a bare column.
    least_markets : int
        Markets that must have a value at the bar, else the result is NaN; at least 2.

    Returns
    -------
    Feature
        In [0, 1]: 0 for the lowest, 1 for the highest; equal values count half. NaN where the market has no
        value. It depends on which markets are in the panel, not on their order.

    References
    ----------
    N. Jegadeesh, S. Titman, "Returns to buying winners and selling losers", The Journal of Finance 48 (1993).

    Examples
    --------
    >>> from lab.features import simple_return
    >>> universe_rank(simple_return("close", 90)).lookback
    91
    """
    return _universe_rank.feature(**_parameters("universe_rank", feature, least_markets))


def universe_zscore(feature: Feature, *, least_markets: int = 3) -> Feature:
    """Distance of a market's `feature` from the mean of all markets at the same bar, in sample deviations.

    Parameters and NaN rule as for :func:`universe_rank`; NaN also where all values are equal. The order of
    the markets changes no bit.

    Examples
    --------
    >>> from lab.features import simple_return
    >>> universe_zscore(simple_return("close", 90)).lookback
    91
    """
    return _universe_zscore.feature(**_parameters("universe_zscore", feature, least_markets))


def _parameters(name: str, feature: Feature, least_markets: int) -> dict[str, Any]:
    least = checked_window(least_markets, name=name, least=2)
    return {**as_parameters(feature, outer=name), "least_markets": least}
