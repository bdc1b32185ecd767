"""What can be set about the exchange: trading rules per symbol, spread, depth and fees."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Annotated, Any, Final

import numpy as np
from pydantic import BeforeValidator, Field

from lab.core.settings import Section
from live_bridge.loopback.history import Listing

__all__ = ["FilterFile", "Filters", "VenueSettings", "filters_of"]

_SIGNIFICANT_DIGITS: Final = 7
_MAX_DECIMALS: Final = 8
_MAX_LOT_DECIMALS: Final = 5


def _number(value: Any) -> Any:
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


Amount = Annotated[Decimal, BeforeValidator(_number), Field(ge=0)]


class FilterSection(Section):
    """Trading rules of a symbol; what is not given is chosen from the size of its prices."""

    tick_size: Amount | None = Field(None, description="price step; 0 switches the filter off")
    min_price: Amount | None = None
    max_price: Amount | None = None
    step_size: Amount | None = Field(None, description="quantity step; 0 switches the filter off")
    min_quantity: Amount | None = None
    max_quantity: Amount | None = None
    market_max_quantity: Amount | None = None
    min_notional: Amount | None = None
    max_notional: Amount | None = None
    multiplier_up: Amount | None = None
    multiplier_down: Amount | None = None
    max_open_orders: int | None = Field(None, ge=1)


class FilterFile(Section):
    """``--filters``: rules for all symbols, and for single ones.

    Examples
    --------
    >>> FilterFile(symbols={"BTCUSD": {"min_notional": 5}}).symbols["BTCUSD"].min_notional
    Decimal('5')
    """

    default: FilterSection = FilterSection()
    symbols: Mapping[str, FilterSection] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filters:
    """Trading rules of one symbol, in exact numbers; the filters of Binance's ``exchangeInfo``."""

    tick_size: Decimal
    step_size: Decimal
    min_price: Decimal
    min_quantity: Decimal
    max_price: Decimal = Decimal(1_000_000)
    max_quantity: Decimal = Decimal(900_000_000)
    market_max_quantity: Decimal = Decimal(900_000_000)
    min_notional: Decimal = Decimal(10)
    max_notional: Decimal = Decimal(9_000_000)
    multiplier_up: Decimal = Decimal(5)
    multiplier_down: Decimal = Decimal("0.2")
    max_open_orders: int = 200


def filters_of(listing: Listing, file: FilterFile) -> Filters:
    """Return the rules of a symbol: its own, else the file's default, else from the size of its prices.

    The defaults keep seven significant digits of the median close, and so many places of quantity
    that price times quantity fits Binance's eight decimals exactly.
    """
    chosen: dict[str, Any] = {}
    for section in (file.default, file.symbols.get(listing.symbol, FilterSection())):
        chosen |= section.model_dump(exclude_none=True)
    places = _price_decimals(listing)
    tick = chosen.pop("tick_size", Decimal(1).scaleb(-places))
    lots = max(0, min(_MAX_LOT_DECIMALS, _MAX_DECIMALS - places))
    step = chosen.pop("step_size", Decimal(1).scaleb(-lots))
    chosen.setdefault("min_price", tick)
    chosen.setdefault("min_quantity", step)
    return Filters(tick_size=tick, step_size=step, **chosen)


def _price_decimals(listing: Listing) -> int:
    closes = listing.finest.values[:, 3]
    closes = closes[np.isfinite(closes) & (closes > 0)]
    if not len(closes):
        return _MAX_DECIMALS
    digits_before_point = math.floor(math.log10(np.median(closes))) + 1
    return min(_MAX_DECIMALS, max(0, _SIGNIFICANT_DIGITS - digits_before_point))


@dataclass(frozen=True, slots=True)
class VenueSettings:
    """How the exchange fills and charges.

    Parameters
    ----------
    spread_bps : Decimal
        Ask minus bid in basis points of the bar's open; half of it lies on each side.
    levels : int
        Price levels on each side of the book.
    level_bps : Decimal
        Distance of a level from the one before, basis points of the open.
    level_quantity : Decimal, optional
        Base quantity on each level; None: without limit.
    participation : Decimal, optional
        Share of the bar's volume that a side of the book offers, spread over the levels; None:
        `level_quantity` rules.
    maker_bps, taker_bps : Decimal
    fee_asset : str
        ``received`` (as Binance: base of a buy, quote of a sell), ``quote``, or a coin such as BNB,
        which is charged while the account holds enough of it.
    fee_rates : mapping
        Price of the fee coin in a quote asset, where no listed symbol gives one.
    decimals : int
        Places to which balances are kept.
    enforce_limits : bool
        Whether request weight and order count beyond the limits are answered with 429.
    weight_limit : int
        Request weight per minute of exchange time.
    """

    spread_bps: Decimal = Decimal(0)
    levels: int = 1
    level_bps: Decimal = Decimal(1)
    level_quantity: Decimal | None = None
    participation: Decimal | None = None
    maker_bps: Decimal = Decimal(10)
    taker_bps: Decimal = Decimal(10)
    fee_asset: str = "received"
    fee_rates: Mapping[str, Decimal] = field(default_factory=dict)
    decimals: int = 8
    enforce_limits: bool = False
    weight_limit: int = 6_000
