"""Decimals: from stored floats to exact numbers, to steps, and to the text that Binance writes."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final

__all__ = ["ZERO", "ceil_to", "exact", "floor_to", "is_multiple", "plain", "truncate"]

ZERO: Final = Decimal(0)


def exact(value: float) -> Decimal:
    """Return the shortest decimal that reads back as `value`.

    Examples
    --------
    >>> exact(0.1)
    Decimal('0.1')
    """
    return Decimal(repr(float(value)))


def plain(value: Decimal, decimals: int = 8) -> str:
    """Write a number as Binance does: no exponent, at least `decimals` places, nothing cut off.

    Examples
    --------
    >>> plain(Decimal("1E-7")), plain(Decimal("12"))
    ('0.00000010', '12.00000000')
    """
    exponent = value.as_tuple().exponent
    if isinstance(exponent, int) and exponent > -decimals:
        value = value.quantize(Decimal(1).scaleb(-decimals))
    return format(value, "f")


def floor_to(value: Decimal, step: Decimal) -> Decimal:
    """Round down to a multiple of `step`; a step of zero leaves the number alone."""
    return value if step == 0 else (value / step).to_integral_value(ROUND_FLOOR) * step


def ceil_to(value: Decimal, step: Decimal) -> Decimal:
    """Round up to a multiple of `step`; a step of zero leaves the number alone."""
    return value if step == 0 else (value / step).to_integral_value(ROUND_CEILING) * step


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Return whether `value` is a multiple of `step`; everything is one of a step of zero."""
    return step == 0 or value % step == 0


def truncate(value: Decimal, decimals: int) -> Decimal:
    """Cut `value` to `decimals` places, towards minus infinity."""
    return value.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_FLOOR)
