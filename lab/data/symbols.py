"""Turns the symbols of a file into market names, or refuses them by name."""

from __future__ import annotations

import re
from typing import Final

from lab.core.errors import ConfigError, DataError
from lab.core.market import Market

__all__ = ["market_name", "market_names"]

_DERIVATIVE: Final = re.compile(r"[-_](PERP|SWAP|FUTURES?|\d{6,8}(-.*)?)$", re.IGNORECASE)


def market_name(symbol: str, *, exchange: str | None, quote: str | None = None) -> str:
    """Return ``exchange:BASE/QUOTE[:SETTLE]`` for one symbol.

    Parameters
    ----------
    symbol : str
        ``BASE/QUOTE``, ``BASE/QUOTE:SETTLE``, either with ``exchange:`` before it, or just ``BASE`` where
        `quote` is given.
    exchange : str, optional
        Where symbols carry none. One that contradicts the symbol's own is an error.
    quote : str, optional
        Quote currency of symbols that have none.

    Raises
    ------
    DataError
        If this makes no market name.

    Examples
    --------
    >>> market_name("BTC/USDT:USDT", exchange="okx")
    'okx:BTC/USDT:USDT'
    >>> market_name("bitfinex:BTC", exchange=None, quote="USD")
    'bitfinex:BTC/USD'
    """
    head, colon, tail = symbol.partition(":")
    venue, pair = (head, tail) if colon and "/" not in head else (None, symbol)
    if venue is not None and exchange is not None and venue != exchange:
        raise DataError(
            f"{symbol!r} names the exchange {venue}, not {exchange}; leave out --exchange to use it"
        )
    where = venue or exchange
    if where is None:
        raise DataError(f"{symbol!r} names no exchange; give --exchange")
    if "/" not in pair:
        if _DERIVATIVE.search(pair):
            raise DataError(
                f"{symbol!r} names a derivative; give its unified name, e.g. --map symbol=BTC/USD:USD"
            )
        if quote is None:
            raise DataError(f"{symbol!r} has no quote currency; expected BASE/QUOTE, or give --map quote=USD")
        pair = f"{pair}/{quote}"
    try:
        return str(Market.parse(f"{where}:{pair}"))
    except ConfigError:
        raise DataError(
            f"{symbol!r} makes no market name; expected BASE/QUOTE or BASE/QUOTE:SETTLE"
        ) from None


def market_names(symbols: list[str], *, exchange: str | None, quote: str | None = None) -> dict[str, str]:
    """Return the market name of each symbol; DataError naming every symbol that has none."""
    names: dict[str, str] = {}
    faults: dict[str, str] = {}
    for symbol in symbols:
        try:
            names[symbol] = market_name(symbol, exchange=exchange, quote=quote)
        except DataError as error:
            faults[symbol] = str(error)
    if faults:
        first, *others = faults
        shown = ", ".join(repr(symbol) for symbol in others[:20]) + (" …" if len(others) > 20 else "")
        raise DataError(faults[first] + (f" ({len(others)} more refused: {shown})" if others else ""))
    return names
