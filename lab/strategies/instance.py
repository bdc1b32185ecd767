"""A strategy instance: a family, its parameters, markets, risk, costs and search, from one YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError, field_validator

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.panel import Panel
from lab.core.settings import CostSettings, RiskSettings, SearchSettings, Section, parse_document
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.strategies.columns import SeriesConfig, require_columns
from lab.strategies.decide import decide, require_history, total_lookback
from lab.strategies.protocol import Parameters, Strategy
from lab.strategies.registry import strategy_of
from lab.strategies.space import Dimension

__all__ = ["InstanceConfig", "MarketConfig", "StrategyInstance", "config_model", "load", "read_text"]

P = TypeVar("P", bound=BaseModel)

# Letters, digits, dash and underscore: an id becomes a file name, a tag and a part of order ids.
Identifier = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
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
    priority: int = Field(
        100, ge=1, le=1_000, description="in a portfolio, who is cut last when a limit binds: 1 before 2"
    )
    risk: RiskSettings = Field(default_factory=RiskSettings, description="limits of this instance")
    costs: CostSettings = Field(default_factory=CostSettings, description="costs in backtests")
    search: SearchSettings = Field(default_factory=SearchSettings, description="how parameters are tuned")

    @field_validator("timeframe")
    @classmethod
    def _timeframe(cls, timeframe: str) -> str:
        return Timeframe.parse(timeframe).name

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


class _FamilyOnly(BaseModel):
    family: str

    @field_validator("family")
    @classmethod
    def _known(cls, family: str) -> str:
        return strategy_of(family).family


@dataclass(frozen=True, slots=True)
class StrategyInstance:
    """A loaded instance, ready to decide.

    Attributes
    ----------
    config : InstanceConfig
        The file's content; after :meth:`with_params` its parameters are still the file's.
    strategy : Strategy
        The family's rule.
    params : Parameters
        What it decides with.
    config_hash : str
        SHA-256 of the file's content.
    source : Path
        The file.
    """

    config: InstanceConfig[Any]
    strategy: Strategy[Any]
    params: Parameters
    config_hash: str
    source: Path

    @property
    def strategy_id(self) -> str:
        """Identity of the instance."""
        return self.config.strategy_id

    @property
    def timeframe(self) -> Timeframe:
        """Bars it decides on."""
        return Timeframe.parse(self.config.timeframe)

    @property
    def markets(self) -> tuple[str, ...]:
        """Names of its markets, in the file's order."""
        return tuple(market.name for market in self.config.markets)

    @property
    def lookback(self) -> int:
        """Bars that a decision needs, features and hold rules included, the last bar too."""
        return total_lookback(self.strategy, self.params)

    @property
    def risk(self) -> RiskSettings:
        """Limits of the instance."""
        return self.config.risk

    @property
    def costs(self) -> Costs:
        """Costs in its backtests."""
        return Costs.from_settings(self.config.costs)

    @property
    def search(self) -> SearchSettings:
        """How its parameters are tuned."""
        return self.config.search

    @property
    def space(self) -> Mapping[str, Dimension]:
        """What a search varies: the family's space without parameters that this instance's rule ignores.

        A family says so in ``conditions``: parameter to (another parameter, the value at which it matters).
        """
        conditions: Mapping[str, tuple[str, Any]] = getattr(self.strategy, "conditions", {})
        idle = {name for name, (other, at) in conditions.items() if getattr(self.params, other) != at}
        return {name: axis for name, axis in self.strategy.space.items() if name not in idle}

    def decide(self, panel: Panel) -> NDArray[np.float64]:
        """Return :func:`lab.strategies.decide` of this instance on `panel`, shape (T, N).

        Raises
        ------
        DataError
            If the panel lacks a column that the family reads.
        """
        require_columns(self.strategy, panel, self.params, self.strategy_id)
        return decide(self.strategy, panel, self.params)

    def require_history(self, panel: Panel) -> None:
        """Refuse a panel with too little history: :func:`lab.strategies.require_history`."""
        require_history(self.strategy, panel, self.params, self.strategy_id)

    def with_params(self, params: Parameters | Mapping[str, Any]) -> StrategyInstance:
        """Return the instance with other parameters; a mapping replaces those it names.

        Raises
        ------
        ConfigError
            If a parameter is unknown or out of its range.
        """
        if isinstance(params, self.strategy.params):
            return replace(self, params=params)
        if not isinstance(params, Mapping):
            raise ConfigError(
                f"{self.strategy_id}: parameters are {type(params).__name__}, expected a mapping or "
                f"{self.strategy.params.__name__}"
            )
        try:
            changed = self.strategy.params.model_validate({**self.params.model_dump(), **params})
        except ValidationError as error:
            fault = error.errors()[0]
            name = ".".join(str(part) for part in fault["loc"]) or "parameters"
            raise ConfigError(
                f"{self.strategy_id}: {name}: found {fault['input']!r}, "
                f"{fault['msg'].removeprefix('Value error, ')}; "
                f"parameters are {', '.join(sorted(self.strategy.params.model_fields))}"
            ) from None
        return replace(self, params=changed)


def load(path: Path | str) -> StrategyInstance:
    """Read an instance file.

    Parameters
    ----------
    path : Path or str
        YAML; see :class:`InstanceConfig` for its keys.

    Raises
    ------
    ConfigError
        If the file cannot be read, or with one line ``file:line: key: …`` per fault in it.

    Examples
    --------
    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "tsm.yaml"
    >>> _ = file.write_text(
    ...     "{family: time_series_momentum, strategy_id: tsm_btc, version: 1.0.0, timeframe: 1d, "
    ...     "markets: [{exchange: binance, symbol: BTC/USDT}], parameters: {lookback_window: 90}}"
    ... )
    >>> instance = load(file)
    >>> instance.markets, instance.timeframe.name, instance.lookback
    (('binance:BTC/USDT',), '1d', 91)
    """
    text = read_text(Path(path), "strategy instance")
    if re.search(r"^portfolio_id\s*:", text, re.MULTILINE):
        raise ConfigError(
            f"{path}: found a portfolio; expected one strategy instance, such as its instances name"
        )
    strategy = strategy_of(parse_document(text, _FamilyOnly, source=str(path)).family)
    config = parse_document(text, config_model(strategy.family), source=str(path))
    return StrategyInstance(config, strategy, config.parameters, digest(text.encode()), Path(path))


def read_text(path: Path, what: str) -> str:
    """Return the text of a file that a user wrote, or raise ConfigError naming it as `what`."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; expected the YAML file of a {what}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as the YAML file of a {what}: {error}") from None
