"""Why a weight was cut or kept, as bits that a compiled kernel can write."""

from __future__ import annotations

from enum import IntFlag

__all__ = ["Reason", "reason_names"]


class Reason(IntFlag):
    """One bit per rule of :func:`lab.risk.step`; a market's code is their union, 0 when nothing acted."""

    MAX_POSITION = 1
    """The target was above the largest weight of one market."""
    MAX_EXPOSURE = 2
    """The targets together were above the largest sum of weights; all were scaled by one factor, or the
    buys were, because positions that are kept take the room."""
    CASH = 4
    """Buys were scaled by one factor, so that cash pays for them and for all costs."""
    BAND = 8
    """The change is smaller than the rebalance band: kept."""
    DUST = 16
    """The order would be smaller than the smallest worth sending: kept."""
    UNTRADEABLE = 32
    """The market has no price to trade at: kept."""
    DAILY_LOSS = 64
    """The day's loss reached its limit and only reductions pass until the next UTC day: kept."""
    HALTED = 128
    """Trading is halted and only reductions pass until a person resumes it: kept."""
    INSTANCE_CAP = 256
    """An instance's weights together were above its cap: cut."""
    FAMILY_CAP = 512
    """A family's weights together were above its cap: cut, by priority."""
    ASSET_CAP = 1024
    """All markets of the base currency together were above their cap: cut, by priority."""
    EXCHANGE_CAP = 2048
    """All markets of the exchange together were above their cap: cut, by priority."""
    CURRENCY_CAP = 4096
    """All markets quoted in the currency together were above their cap: cut, by priority."""
    POSITIONS = 8192
    """The instance, family or portfolio holds as many markets as it may: not entered."""
    TRADE_RISK = 16384
    """The buy would have put more at risk than one trade may: made smaller."""
    VOLUME = 32768
    """The buy was too large for what the market trades: made smaller."""
    NO_ENTRY = 65536
    """A breaker lets no market be entered anew: not entered."""
    WEEKLY_LOSS = 131072
    """The week's loss tripped a breaker."""
    MONTHLY_LOSS = 262144
    """The month's loss tripped a breaker."""
    DRAWDOWN = 524288
    """The loss from a peak, of instance, family or portfolio, tripped a breaker."""
    DATA = 1048576
    """The market's data is stale or BAD: only reductions pass."""
    EXCHANGE_HEALTH = 2097152
    """The exchange fails or answers late, or has banned the account: only reductions pass."""


def reason_names(code: int) -> list[str]:
    """Return the names of the bits in `code`, lowest bit first.

    Raises
    ------
    ValueError
        If a bit has no name: the code was not written by this version.

    Examples
    --------
    >>> reason_names(5)
    ['MAX_POSITION', 'CASH']
    >>> reason_names(0)
    []
    """
    unknown = int(code) & ~int(~Reason(0))
    if unknown or code < 0:
        known = ", ".join(f"{int(reason)} {reason.name}" for reason in Reason)
        raise ValueError(f"reason code {code} has bits without a name; known bits are {known}")
    return [str(reason.name) for reason in Reason if code & reason]
