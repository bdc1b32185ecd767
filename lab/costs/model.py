"""The cost model as a frozen value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from lab.core.errors import ConfigError
from lab.core.settings import CostSettings

__all__ = ["Costs"]

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
class Costs:
    """Fee and slippage in basis points of traded notional.

    A sell fills at ``price * (1 - slippage)``, a buy at ``price * (1 + slippage)``; the fee is charged on
    the notional at that fill price, in the quote currency.

    Parameters
    ----------
    fee_bps : float
        Fee per trade; 0 to 1,000.
    slippage_bps : float
        Price concession against the bar's price; 0 to 1,000.

    Raises
    ------
    ConfigError
        If a figure is negative, not finite or above 1,000 basis points (10 %).

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

    def __post_init__(self) -> None:
        for name in ("fee_bps", "slippage_bps"):
            value = getattr(self, name)
            if not (math.isfinite(value) and 0 <= value <= _LARGEST_BPS):
                raise ConfigError(
                    f"costs: {name} is {value}, expected basis points between 0 and 1000 (10 % of notional)"
                )

    @classmethod
    def preset(cls, name: str) -> Costs:
        """Return the figures called ``conservative``, ``base`` or ``optimistic``.

        Raises
        ------
        ConfigError
            If there is no such preset.
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
        return cls(
            named.fee_bps if settings.fee_bps is None else settings.fee_bps,
            named.slippage_bps if settings.slippage_bps is None else settings.slippage_bps,
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
