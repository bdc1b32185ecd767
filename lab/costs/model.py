"""The cost model as a frozen value."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from numbers import Real
from typing import Any, Final

from lab.core.errors import ConfigError
from lab.core.settings import CostSettings
from lab.costs.fees import fee_bps

__all__ = ["Costs", "MarketRules"]

_BASIS_POINTS: Final = 10_000.0
_LARGEST_BPS: Final = 1_000.0
# (fee, slippage) in basis points. Base: Binance Spot's taker fee without discounts, and about half a
# typical spread plus impact on its major pairs. Conservative: double fee, thin books. Optimistic: the
# discounted fee of an account that pays in the exchange's token, and the touch price.
_PRESETS: Final = {
    "conservative": (20.0, 15.0),
    "base": (10.0, 5.0),
    "optimistic": (7.5, 1.0),
}


@dataclass(frozen=True, slots=True)
class MarketRules:
    """How a market rounds orders; 0 rounds nothing.

    Parameters
    ----------
    market : str
        Name of the market; ``*`` stands for every market without rules of its own.
    lot : float
        Quantities are whole multiples of it, rounded down.
    tick : float
        Prices are whole multiples of it, rounded against the trader.
    min_notional : float
        Orders worth less, in the quote currency, are not filled.
    """

    market: str = "*"
    lot: float = 0.0
    tick: float = 0.0
    min_notional: float = 0.0

    def __post_init__(self) -> None:
        for name in ("lot", "tick", "min_notional"):
            value = getattr(self, name)
            if not _between(value, 0.0, math.inf) or value == math.inf:
                raise ConfigError(f"costs: {name} of {self.market} is {value!r}, expected a number from 0 on")


@dataclass(frozen=True, slots=True, repr=False)
class Costs:
    """Fee and slippage in basis points of traded notional, and on request what a market does to orders.

    A sell fills at ``price * (1 - slippage)``, a buy at ``price * (1 + slippage)``; the fee is charged on
    the notional at that fill price, in the quote currency.

    Parameters
    ----------
    fee_bps : float
        Fee per trade; 0 to 1,000.
    slippage_bps : float
        Price concession against the bar's price; 0 to 1,000.
    slippage_volatility : float
        Concession added in proportion to volatility: this many standard deviations of one-bar log returns
        over the 20 bars before the one that trades; 0 to 10.
    impact_bps : float
        Concession added by participation: this much for an order of the bar's whole volume, and with the
        square root of the order's share of it for smaller ones; 0 to 10,000.
    max_participation : float, optional
        Largest share of a bar's volume that an order may take, above 0, at most 1. The remainder is carried
        to later bars until the next decision for that market.
    clip_to_bar : bool
        Whether fills stay within the bar's low and high.
    rules : tuple of MarketRules
        Rounding of quantities and prices, and smallest orders.

    Raises
    ------
    ConfigError
        If a figure is negative, not finite or beyond its range.

    Notes
    -----
    Square root of participation: R. Almgren, C. Thum, E. Hauptmann, H. Li, "Direct estimation of equity
    market impact", Risk 18 (2005), find a power of 0.6; the square root is what most desks use.

    Examples
    --------
    >>> costs = Costs(fee_bps=10.0, slippage_bps=5.0)
    >>> costs.fee, costs.slippage
    (0.001, 0.0005)
    >>> Costs.preset("conservative")
    Costs(fee_bps=20.0, slippage_bps=15.0)
    """

    fee_bps: float = 10.0
    slippage_bps: float = 5.0
    slippage_volatility: float = 0.0
    impact_bps: float = 0.0
    max_participation: float | None = None
    clip_to_bar: bool = False
    rules: tuple[MarketRules, ...] = ()

    def __post_init__(self) -> None:
        for name in ("fee_bps", "slippage_bps"):
            value = getattr(self, name)
            if not _between(value, 0.0, _LARGEST_BPS):
                raise ConfigError(
                    f"costs: {name} is {value!r}, expected basis points between 0 and 1000 (10 % of notional)"
                )
        for name, largest in (("slippage_volatility", 10.0), ("impact_bps", _BASIS_POINTS)):
            value = getattr(self, name)
            if not _between(value, 0.0, largest):
                raise ConfigError(f"costs: {name} is {value!r}, expected a number between 0 and {largest:g}")
        share = self.max_participation
        if share is not None and not (_between(share, 0.0, 1.0) and share > 0.0):
            raise ConfigError(
                f"costs: max_participation is {share!r}, expected a share above 0, at most 1, or None"
            )
        if not isinstance(self.rules, tuple):
            raise ConfigError(f"costs: rules is {self.rules!r}, expected a tuple of MarketRules")

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.identity().items())
        return f"Costs({', '.join(shown)})"

    def identity(self) -> dict[str, Any]:
        """Return the two rates, and everything else that is not at its default, as JSON values.

        Examples
        --------
        >>> Costs(impact_bps=50.0).identity()
        {'fee_bps': 10.0, 'slippage_bps': 5.0, 'impact_bps': 50.0}
        """
        every = asdict(self)
        every["rules"] = [list(rule.values()) for rule in every["rules"]]
        usual = {field.name: field.default for field in fields(self)} | {"rules": []}
        return {
            name: value
            for name, value in every.items()
            if name in ("fee_bps", "slippage_bps") or value != usual[name]
        }

    @property
    def simple(self) -> bool:
        """Whether there is nothing but a fixed fee and a fixed slippage."""
        return self == Costs(self.fee_bps, self.slippage_bps)

    @classmethod
    def preset(cls, name: str) -> Costs:
        """Return the figures called ``conservative``, ``base`` or ``optimistic``.

        Raises
        ------
        ConfigError
            If there is no such preset.

        Examples
        --------
        >>> Costs.preset("base").fee_bps, Costs.preset("base").slippage_bps
        (10.0, 5.0)
        """
        if name not in _PRESETS:
            raise ConfigError(f"costs: no preset {name!r}; presets are {', '.join(_PRESETS)}")
        fee, slippage = _PRESETS[name]
        return cls(fee, slippage)

    @classmethod
    def from_settings(cls, settings: CostSettings) -> Costs:
        """Return the preset of `settings` (``base`` without one); explicit figures replace the preset's.

        Examples
        --------
        >>> Costs.from_settings(CostSettings(preset="base", fee_bps=0.0))
        Costs(fee_bps=0.0, slippage_bps=5.0)
        """
        named = cls.preset(settings.preset or "base")
        fee = named.fee_bps
        if settings.exchange is not None:
            fee = fee_bps(
                settings.exchange,
                tier=settings.tier,
                liquidity=settings.liquidity,
                token_discount=settings.token_discount,
            )
        return cls(
            fee if settings.fee_bps is None else settings.fee_bps,
            named.slippage_bps if settings.slippage_bps is None else settings.slippage_bps,
            slippage_volatility=settings.slippage_volatility,
            impact_bps=settings.impact_bps,
            max_participation=settings.max_participation_pct,
            clip_to_bar=settings.clip_to_bar,
        )

    @property
    def fee(self) -> float:
        """Fee as a fraction of the notional at the fill price."""
        return self.fee_bps / _BASIS_POINTS

    @property
    def slippage(self) -> float:
        """Price concession as a fraction of the bar's price."""
        return self.slippage_bps / _BASIS_POINTS

    @property
    def rate(self) -> float:
        """What a buy costs beyond its value at the mark: ``(1 + slippage) * (1 + fee) - 1``.

        A sell loses slightly less, ``1 - (1 - slippage) * (1 - fee)``; reserving this rate for both sides
        is therefore always enough.
        """
        return (1.0 + self.slippage) * (1.0 + self.fee) - 1.0


def _between(value: Any, low: float, high: float) -> bool:
    """Return whether a value is a number from `low` to `high`; True and False are none."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return low <= float(value) <= high
