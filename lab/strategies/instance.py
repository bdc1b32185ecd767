"""A strategy instance: a family, its parameters, markets, risk, costs and search, from one YAML file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError, field_validator

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.core.panel import Panel
from lab.core.settings import RiskSettings, SearchSettings, parse_document
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.strategies.columns import require_columns
from lab.strategies.decide import decide, require_history, total_lookback
from lab.strategies.instance_config import InstanceConfig, config_model
from lab.strategies.liquidity import Screened
from lab.strategies.protocol import Parameters, Strategy
from lab.strategies.registry import strategy_of
from lab.strategies.space import Dimension

__all__ = ["StrategyInstance", "load", "read_text"]


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
        The family's rule; where the file has a ``liquidity`` section, :class:`lab.strategies.Screened`.
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

    def daily_volumes(self, panel: Panel) -> NDArray[np.float64] | None:
        """Return the daily quote volumes that a ``liquidity`` section looks at; None without one.

        See :meth:`lab.strategies.Screened.daily_volumes`.
        """
        return self.strategy.daily_volumes(panel) if isinstance(self.strategy, Screened) else None

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
    if config.liquidity is not None:
        strategy = Screened(strategy, config.liquidity, Timeframe.parse(config.timeframe))
    return StrategyInstance(config, strategy, config.parameters, digest(text.encode()), Path(path))


def read_text(path: Path, what: str) -> str:
    """Return the text of a file that a user wrote, or raise ConfigError naming it as `what`."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; expected the YAML file of a {what}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable as the YAML file of a {what}: {error}") from None
