"""Maker and taker fees by exchange, tier and token discount."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from lab.core.errors import ConfigError

__all__ = ["fee_bps"]


def fee_bps(
    exchange: str,
    *,
    tier: int = 0,
    liquidity: Literal["maker", "taker"] = "taker",
    token_discount: bool = False,
) -> float:
    """Return the fee of an exchange's schedule, in basis points of notional.

    Parameters
    ----------
    exchange : str
        CCXT's id.
    tier : int
        Volume tier, 0 for none.
    liquidity : {"maker", "taker"}
        Whether orders rest in the book or take from it. Backtests fill at the open: they take.
    token_discount : bool
        Whether fees are paid in the exchange's own token.

    Raises
    ------
    ConfigError
        If the schedule has no such exchange, tier or discount, or `liquidity` is neither.

    Examples
    --------
    >>> fee_bps("binance"), fee_bps("binance", token_discount=True), fee_bps("kraken", liquidity="maker")
    (10.0, 7.5, 25.0)
    """
    schedule = _schedules()
    if exchange not in schedule:
        raise ConfigError(
            f"costs: no fee schedule for {exchange!r}; there are {', '.join(sorted(schedule))}. "
            "Give fee_bps instead"
        )
    tiers, discount = schedule[exchange]["tiers"], schedule[exchange]["token_discount"]
    if tier not in range(len(tiers)):
        raise ConfigError(
            f"costs: {exchange} has tiers 0 to {len(tiers) - 1}, found {tier!r}; give fee_bps instead"
        )
    if liquidity not in ("maker", "taker"):
        raise ConfigError(f"costs: liquidity is {liquidity!r}, expected maker or taker")
    if token_discount and not discount:
        raise ConfigError(f"costs: {exchange} has no discount for paying in its token; drop token_discount")
    return float(tiers[tier][liquidity == "taker"] * (1.0 - discount * token_discount))


@cache
def _schedules() -> dict[str, Any]:
    text = resources.files("lab.costs").joinpath("fees.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))
