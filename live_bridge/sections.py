"""The settings of ``bridge.yaml``: what there is, and what each key may be."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from lab.core.errors import ConfigError
from lab.core.market import Market
from lab.core.settings import Fraction, PathText, Section
from live_bridge.monitoring.settings import MonitoringSettings

__all__ = ["BridgeConfig", "ExchangeConfig", "OrderSettings"]

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"


class ExchangeConfig(Section):
    """Which exchange, and which host of it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]{2,32}$", description="CCXT's id of the exchange")] = (
        "binance"
    )
    base_url: str | None = Field(None, description="another host: a test net, or the loopback exchange")
    options: dict[str, Any] = Field(default_factory=dict, description="CCXT options; the bridge's own win")


class OrderSettings(Section):
    """How live orders are placed, and the caps of the last gate before them.

    Examples
    --------
    >>> OrderSettings().type
    'market'
    """

    type: Literal["market", "limit"] = Field("market", description="limit rests at a price of its own first")
    limit_offset_bps: float = Field(
        0.0, ge=-100, le=1_000, description="how far a limit lies on the cheap side of the last price"
    )
    limit_timeout_s: float = Field(30.0, gt=0, le=3_600, description="how long a limit order rests")
    replacements: int = Field(1, ge=0, le=20, description="new limit prices before the last resort")
    last_resort: Literal["market", "drop"] = Field("market", description="what becomes of the rest then")
    max_slice_notional: float | None = Field(
        None, gt=0, description="larger orders are split, quote currency"
    )
    max_slice_volume_pct: Fraction | None = Field(
        None, gt=0, description="larger orders are split: share of the mean volume of the 20 bars before"
    )
    max_slices: int = Field(10, ge=1, le=100, description="parts of one order; the rest is left")
    per_minute: int = Field(30, ge=1, le=1_000, description="orders per minute of exchange time")
    max_order_pct: Fraction = Field(1.0, description="largest buy, fraction of equity")
    max_daily_turnover: float = Field(
        4.0, gt=0, le=1_000, description="buys of a UTC day stop at so many equities"
    )
    price_collar_pct: Fraction = Field(
        0.05, description="no order when the price moved further since the decision"
    )
    settle_s: float = Field(60.0, gt=0, le=3_600, description="real seconds a run may wait for the exchange")
    lag_ms: int = Field(1_000, ge=0, le=60_000, description="how late the exchange may show what it accepted")
    at_halt: Literal["cancel", "leave_exits"] = Field(
        "cancel", description="while HALTED: cancel all open orders, or leave those that sell"
    )


class BridgeConfig(Section):
    """The whole of ``bridge.yaml``.

    Examples
    --------
    >>> BridgeConfig(portfolio="core.yaml").state
    'data/live/main.sqlite'
    """

    account: Annotated[str, Field(pattern=rf"^{_NAME}$", description="name of the account")] = "main"
    exchange: ExchangeConfig = Field(default_factory=ExchangeConfig)
    market_map: dict[str, str] = Field(
        default_factory=dict, description="market name to the symbol it trades as, where the venues differ"
    )
    mode: Literal["paper", "live"] = Field(
        "paper",
        description="paper simulates fills; live trades, and needs --live and MNEMO_ENV=prod beside it",
    )
    portfolio: PathText = Field(
        min_length=1, description="portfolio file; relative to this file, else to --root"
    )
    state: PathText = Field("data/live/main.sqlite", min_length=1, description="journal; relative to --root")
    orders: OrderSettings = Field(default_factory=OrderSettings, description="how live orders are placed")
    adopt: bool = Field(
        False, description="take what else the live account holds in the traded coins into the portfolio"
    )
    key_max_age_days: float = Field(
        90.0, gt=0, le=3_650, description="a live run warns of an API key that was made longer ago"
    )
    recv_window_ms: int = Field(5000, ge=100, le=60_000, description="how long a signed request is valid")
    series_wait_s: float = Field(
        3_600.0,
        ge=0,
        le=604_800,
        description="seconds for which a value of a stored series is waited for after it was due",
    )
    monitoring: MonitoringSettings = Field(
        default_factory=MonitoringSettings, description="logs, metrics and alerts"
    )

    @field_validator("market_map")
    @classmethod
    def _check_map(cls, value: dict[str, str]) -> dict[str, str]:
        for name, symbol in value.items():
            Market.parse(name)
            if not re.fullmatch(r"[A-Za-z0-9.-]{1,32}/[A-Za-z0-9.-]{1,32}", symbol):
                raise ValueError(
                    f"symbol {symbol!r} not understood: expected BASE/QUOTE, for example BTC/USD"
                )
        return value

    def symbol(self, market: str) -> str:
        """Return the symbol that `market` trades as on the configured exchange.

        Raises
        ------
        ConfigError
            If the market is a derivative, or another venue's without an entry in ``market_map``.
        """
        parsed = Market.parse(market)
        if parsed.is_derivative:
            raise ConfigError(
                f"market {market}: derivatives are data, not trading targets; name a spot market"
            )
        if market in self.market_map:
            return self.market_map[market]
        if parsed.exchange != self.exchange.id:
            raise ConfigError(
                f"market {market} is of exchange {parsed.exchange}, the bridge trades on {self.exchange.id}; "
                f'say what it trades as: market_map: {{"{market}": "{parsed.symbol}"}}'
            )
        return parsed.symbol
