"""The file of a strategy instance: what its author may write, and the model that reads it."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationInfo, field_validator, model_validator

from lab.core.errors import ConfigError
from lab.core.market import Market
from lab.core.settings import CostSettings, LiquiditySettings, RiskSettings, SearchSettings, Section
from lab.core.timeframe import Timeframe
from lab.strategies.auxiliary import auxiliary_timeframes
from lab.strategies.columns import SeriesConfig
from lab.strategies.registry import strategy_of

__all__ = ["IDENTIFIER", "Identifier", "InstanceConfig", "MarketConfig", "Version", "config_model"]

P = TypeVar("P", bound=BaseModel)

# Letters, digits, dash and underscore: an id becomes a file name, a tag and a part of order ids.
IDENTIFIER: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$")]


class MarketConfig(Section):
    """One market to trade.

    Examples
    --------
    >>> MarketConfig(exchange="binance", symbol="BTC/USDT").name
    'binance:BTC/USDT'
    """

    exchange: str = Field(description="CCXT's id of the exchange")
    symbol: str = Field(description="CCXT's unified symbol, BASE/QUOTE")

    @field_validator("symbol")
    @classmethod
    def _spot(cls, symbol: str) -> str:
        try:
            market = Market.parse(f"any:{symbol}")
        except ConfigError:
            raise ValueError("expected BASE/QUOTE as CCXT writes it, for example BTC/USDT") from None
        if market.is_derivative:
            raise ValueError("a derivative can be read as data but not traded; name the spot market")
        return symbol

    @field_validator("exchange")
    @classmethod
    def _named(cls, exchange: str) -> str:
        try:
            return Market.parse(f"{exchange}:BASE/QUOTE").exchange
        except ConfigError:
            raise ValueError("expected CCXT's id of an exchange, for example binance") from None

    @property
    def name(self) -> str:
        """The market's name, ``exchange:BASE/QUOTE``."""
        return f"{self.exchange}:{self.symbol}"


class InstanceConfig(Section, Generic[P]):
    """The file of one instance, as its author wrote it; `parameters` is of the family's own model."""

    family: str = Field(description="name of the rule")
    strategy_id: Identifier = Field(description="identity of this instance in runs, journal and orders")
    version: Version = Field(description="version of this instance, MAJOR.MINOR.PATCH")
    description: str = Field("", description="what it is, in words")
    hypothesis: str = Field("", description="why it should earn money, and when it should not")
    mode: Literal["backtest", "paper", "live"] = Field("backtest", description="highest stage it may run at")
    timeframe: str = Field(description="CCXT's notation: 1m … 1w")
    markets: tuple[MarketConfig, ...] = Field(description="markets to trade, at least one")
    series: tuple[SeriesConfig, ...] = Field((), description="stored series that become columns of the panel")
    parameters: P = Field(description="parameters of the family")
    auxiliary_timeframes: tuple[str, ...] = Field(
        (),
        validate_default=True,
        description="coarser timeframes that the features read, each made of the instance's own bars",
    )
    priority: int = Field(
        100, ge=1, le=1_000, description="in a portfolio, who is cut last when a limit binds: 1 before 2"
    )
    liquidity: LiquiditySettings | None = Field(
        None, description="least volume of a market that may be held; without this section every one may"
    )
    risk: RiskSettings = Field(default_factory=RiskSettings, description="limits of this instance")
    costs: CostSettings = Field(default_factory=CostSettings, description="costs in backtests")
    search: SearchSettings = Field(default_factory=SearchSettings, description="how parameters are tuned")
    flags: tuple[Identifier, ...] = Field(
        (), description="switches of 'mnemo strategy flag' that stop entries of this instance, too"
    )

    @field_validator("timeframe")
    @classmethod
    def _timeframe(cls, timeframe: str) -> str:
        return Timeframe.parse(timeframe).name

    @model_validator(mode="before")
    @classmethod
    def _told_its_bars(cls, values: Any) -> Any:
        """Tell a rule that wants to know on which bars it decides, where coarser ones are read too."""
        if not isinstance(values, dict) or not values.get("auxiliary_timeframes"):
            return values
        parameters = values.get("parameters")
        known = getattr(cls.model_fields["parameters"].annotation, "model_fields", {})
        if not isinstance(parameters, dict) or "timeframe" not in known or "timeframe" in parameters:
            return values
        return {**values, "parameters": {**parameters, "timeframe": values.get("timeframe")}}

    @field_validator("auxiliary_timeframes")
    @classmethod
    def _read_by_features(cls, listed: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if not {"family", "timeframe", "parameters"} <= info.data.keys():
            return listed  # another fault, which is told
        names = tuple(Timeframe.parse(name).name for name in listed)
        strategy = strategy_of(info.data["family"])
        read = auxiliary_timeframes(strategy, info.data["parameters"], on=info.data["timeframe"])
        if sorted(names) != sorted(read):
            expected = f"[{', '.join(read)}]" if read else "none: no feature reads coarser bars"
            raise ValueError(f"expected {expected}")
        return names

    @field_validator("flags")
    @classmethod
    def _different(cls, flags: tuple[str, ...]) -> tuple[str, ...]:
        twice = [name for name in flags if flags.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is listed twice; list each switch once")
        return flags

    @field_validator("markets")
    @classmethod
    def _once(cls, markets: tuple[MarketConfig, ...]) -> tuple[MarketConfig, ...]:
        if not markets:
            raise ValueError("expected at least one market")
        names = [market.name for market in markets]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"{twice[0]} is listed twice; list each market once")
        return markets

    def __reduce__(self) -> tuple[Any, ...]:
        # The model of a family is made at run time, so that pickle cannot find it by name.
        return _restored, (self.family, self.model_dump())


@cache
def config_model(family: str) -> type[InstanceConfig[Any]]:
    """Return the model of an instance file of `family`, for reading it and for its JSON schema.

    Raises
    ------
    ConfigError
        If there is no such family.
    """
    parameters = strategy_of(family).params
    model: type[InstanceConfig[Any]] = InstanceConfig[parameters]  # type: ignore[valid-type]
    return model


def _restored(family: str, values: dict[str, Any]) -> InstanceConfig[Any]:
    return config_model(family).model_validate(values)
