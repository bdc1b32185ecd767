"""What a strategy is: parameters, features and one compiled core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.settings import Section
from lab.features import compute
from lab.strategies.space import Dimension

__all__ = ["Parameters", "Strategy", "call_core", "passed", "signal_of"]

Array = NDArray[np.float64]


class Parameters(Section):
    """Base of every family's parameters: frozen, unknown names refused, every number within its range."""

    model_config = ConfigDict(strict=True)


P = TypeVar("P", bound=Parameters)


class Strategy(Protocol[P]):
    """A pure function from features and parameters to target weights, with its declarations beside it.

    Attributes
    ----------
    family, version : str
        Name in instance files, and version of the rule; the version changes whenever a weight does.
    params : type of Parameters
        Model of the parameters, with defaults and ranges.
    space : mapping of str to Range or Choice
        What a search varies by default; other parameters keep their value. A family with several rules may
        declare ``conditions`` beside it: see :attr:`lab.strategies.StrategyInstance.space`.
    per_market : bool
        Whether a market's weights depend on that market alone, given the arguments of `numbers`.
    core : compiled function
        The one implementation that sweep, backtest and live call: ``core(*arrays, *numbers)`` returns a new
        (T, N) array. `arrays` are the features of :meth:`features` in their order, `numbers` those of
        :meth:`numbers`.
    """

    family: str
    version: str
    params: type[P]
    space: Mapping[str, Dimension]
    per_market: bool
    core: Callable[..., Array]

    def features(self, params: P) -> tuple[Feature, ...]:
        """Return the features that the core reads, in the order of its arguments."""
        ...

    def lookback(self, params: P) -> int:
        """Return the bars of features that the weights at t depend on, bar t included; at least 1."""
        ...

    def numbers(self, params: P, *, markets: int, first_bar: int) -> tuple[int | float, ...]:
        """Return the core's arguments after the features.

        Parameters
        ----------
        params : Parameters
            Of this family.
        markets : int
            Number of markets that share the capital.
        first_bar : int
            Absolute number of the first row's bar, for rules that act on a calendar.
        """
        ...

    def signal(self, panel: Panel, params: P) -> Array:
        """Return target weights.

        Parameters
        ----------
        panel : Panel
            With the features of :meth:`features` among its fields.
        params : Parameters
            Of this family.

        Returns
        -------
        ndarray of float64, shape (T, N)
            Row t is known at the close of bar t. Weights lie in [0, 1], their sum is at most 1, the rest is
            cash. NaN keeps the quantity.
        """
        ...


def call_core(strategy: Strategy[Any], panel: Panel, params: Any, markets: int | None = None) -> Array:
    """Call the strategy's core on the features in `panel`: what every family's ``signal`` does.

    `markets` is how many share the capital, by default those of the panel.
    """
    arrays = (panel[feature] for feature in strategy.features(params))
    share = len(panel.markets) if markets is None else markets
    first_bar = int(panel.bar[0]) if len(panel) else 0
    return strategy.core(*arrays, *strategy.numbers(params, markets=share, first_bar=first_bar))


def passed(known: Array, condition: NDArray[np.bool_]) -> Array:
    """Return 1 where a condition holds, 0 where not, NaN where `known` is NaN: what ``filters`` return."""
    return np.where(np.isnan(known), np.nan, np.where(condition, 1.0, 0.0))


def signal_of(strategy: Strategy[Any], *, markets: int | None = None) -> Callable[[Panel, Any], Array]:
    """Return the strategy's signal as a function of bars, for :func:`lab.validation.causality.certify`.

    Features are computed from the bars at hand, and no hold rule acts: with `markets` fixed, what a market
    gets in a panel of some markets is, for a family that is ``per_market``, what it gets among all of them.

    Parameters
    ----------
    strategy : Strategy
        Whose signal.
    markets : int, optional
        How many markets share the capital; by default those of the panel.
    """

    def signal(panel: Panel, params: Any) -> Array:
        return call_core(strategy, compute(panel, strategy.features(params)), params, markets)

    return signal
