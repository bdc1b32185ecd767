"""What risk needs to know of an instance in a portfolio: its name, family, share, rank and caps."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Sleeve"]


class Sleeve(NamedTuple):
    """The part of an account that one instance trades.

    Attributes
    ----------
    name : str
        Identity of the instance.
    family : str
        Its family.
    allocation : float
        Its share of the capital, as the portfolio's file says.
    priority : int
        The smallest number is cut last.
    family_cap : float or None
        Cap of its family where the portfolio's file names one; None takes the shipped one.
    max_drawdown : float or None
        Loss from its peak that trips its breaker where its own file names one.

    Examples
    --------
    >>> Sleeve("tsm_btc", "time_series_momentum", 0.6).priority
    100
    """

    name: str
    family: str
    allocation: float
    priority: int = 100
    family_cap: float | None = None
    max_drawdown: float | None = None
