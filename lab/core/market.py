"""Market names: ``exchange:BASE/QUOTE`` for spot, ``exchange:BASE/QUOTE:SETTLE`` for derivatives."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from lab.core.errors import ConfigError

__all__ = ["Market"]

# Upper and lower case letters, digits, dot, dash: no path separators, quotes, spaces or angle brackets.
_PATTERN: Final = re.compile(
    r"(?P<exchange>[a-z0-9][a-z0-9_-]{0,31})"
    r":(?P<base>[A-Za-z0-9][A-Za-z0-9.-]{0,31})/(?P<quote>[A-Za-z0-9][A-Za-z0-9.-]{0,31})"
    r"(?::(?P<settle>[A-Za-z0-9][A-Za-z0-9.-]{0,63}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Market:
    """One market on one exchange, named as CCXT's unified symbols are.

    Examples
    --------
    >>> market = Market.parse("binance:BTC/USDT")
    >>> market.exchange, market.base, market.quote, market.symbol
    ('binance', 'BTC', 'USDT', 'BTC/USDT')
    >>> Market.parse("okx:BTC/USDT:USDT").is_derivative
    True
    """

    exchange: str
    base: str
    quote: str
    settle: str | None = None

    @classmethod
    def parse(cls, name: str) -> Market:
        """Read ``exchange:BASE/QUOTE`` or ``exchange:BASE/QUOTE:SETTLE``.

        Raises
        ------
        ConfigError
            If the name has another form or carries characters that no market name has.
        """
        match = _PATTERN.fullmatch(name)
        if match is None:
            raise ConfigError(
                f"market {name!r} not understood: expected exchange:BASE/QUOTE, for example binance:BTC/USDT"
            )
        return cls(**match.groupdict())

    @property
    def symbol(self) -> str:
        """CCXT's unified symbol on the exchange."""
        return f"{self.base}/{self.quote}" + (f":{self.settle}" if self.settle else "")

    @property
    def is_derivative(self) -> bool:
        """Whether the market settles in a currency of its own: readable as data, never a trading target."""
        return self.settle is not None

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"
