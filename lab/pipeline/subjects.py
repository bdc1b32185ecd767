"""What a run was of: a strategy or a portfolio, in the words that its record needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import polars as pl

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.data.panels import received_bars
from lab.pipeline.inputs import Inputs
from lab.pipeline.portfolio_inputs import PortfolioInputs
from lab.search import DataIdentity
from lab.strategies import Portfolio, StrategyInstance
from lab.strategies.instance import read_text

__all__ = [
    "PORTFOLIO_FAMILY",
    "PORTFOLIO_VERSION",
    "Subject",
    "instance_files",
    "shares_of",
    "subject_of",
    "texts_of",
]

PORTFOLIO_FAMILY: Final = "portfolio"
# Of the way in which instances are combined.
PORTFOLIO_VERSION: Final = "1.0.0"


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """A strategy or a portfolio on the bars that it was run on.

    Attributes
    ----------
    name, family, version : str
        Id of the strategy or portfolio, its family (``portfolio``) and the version of that rule.
    config : mapping
        The file's content, defaults filled in; a portfolio's with its instances' under ``instances``.
    config_version, config_hash, description, hypothesis : str
        Of the file.
    markets : tuple of str
    timeframe : Timeframe
    parameters : mapping
        Of a strategy; a portfolio's are its shares.
    costs : Costs
    risk : mapping
        Limits in force.
    features : mapping of str to str
        Features read, by their definition's hash.
    panel : Panel
    marked, bars : polars.DataFrame
        Stored bars with their quality marks; those that can be traded on, as received.
    data_hash : str
    """

    name: str
    family: str
    version: str
    config: Mapping[str, Any]
    config_version: str
    config_hash: str
    description: str
    hypothesis: str
    markets: tuple[str, ...]
    timeframe: Timeframe
    parameters: Mapping[str, Any]
    costs: Costs
    risk: Mapping[str, Any]
    features: Mapping[str, str]
    panel: Panel
    marked: pl.DataFrame
    bars: pl.DataFrame
    data_hash: str

    @property
    def identity(self) -> DataIdentity:
        """Which data its trials looked at."""
        return DataIdentity.of(self.markets, self.timeframe)

    @property
    def instances(self) -> tuple[str, ...]:
        """Ids of a portfolio's instances, in its order; none for a strategy."""
        return tuple(self.config["instances"]) if self.family == PORTFOLIO_FAMILY else ()


def subject_of(inputs: Inputs | PortfolioInputs) -> Subject:
    """Return what `inputs` are of."""
    return _of_strategy(inputs) if isinstance(inputs, Inputs) else _of_portfolio(inputs)


def shares_of(portfolio: Portfolio) -> dict[str, float]:
    """Return each instance's share of the capital."""
    return {
        f"allocation.{one.strategy_id}": share
        for one, share in zip(portfolio.instances, portfolio.shares, strict=True)
    }


def instance_files(portfolio: Portfolio) -> list[str]:
    """Return the names under which a run keeps the files of a portfolio's instances, in its order."""
    return [f"instance_{number:02d}.yaml" for number in range(len(portfolio.instances))]


def texts_of(inputs: Inputs | PortfolioInputs) -> tuple[str, dict[str, str]]:
    """Return the text of the file as it was run, and of a portfolio's instances' files by name.

    Raises
    ------
    ConfigError
        If a file was changed since.
    """
    if isinstance(inputs, Inputs):
        return _unchanged(inputs.instance.source, "strategy instance", inputs.instance.config_hash), {}
    portfolio = inputs.portfolio
    instances = [_unchanged(one.source, "strategy instance", one.config_hash) for one in portfolio.instances]
    text = read_text(portfolio.source, "portfolio")
    if digest([digest(text.encode()), *(one.config_hash for one in portfolio.instances)]) != (
        portfolio.config_hash
    ):
        raise _changed(portfolio.source)
    return text, dict(zip(instance_files(portfolio), instances, strict=True))


def _of_strategy(inputs: Inputs) -> Subject:
    instance = inputs.instance
    return Subject(
        name=instance.strategy_id,
        family=instance.strategy.family,
        version=instance.strategy.version,
        config=instance.config.model_dump(mode="json"),
        config_version=instance.config.version,
        config_hash=instance.config_hash,
        description=instance.config.description,
        hypothesis=instance.config.hypothesis,
        markets=instance.markets,
        timeframe=instance.timeframe,
        parameters=instance.params.model_dump(mode="json"),
        costs=instance.costs,
        risk=instance.risk.model_dump(mode="json"),
        features=_features([instance]),
        panel=inputs.panel,
        marked=inputs.marked,
        bars=inputs.bars,
        data_hash=inputs.data_hash,
    )


def _of_portfolio(inputs: PortfolioInputs) -> Subject:
    portfolio = inputs.portfolio
    instances = {one.strategy_id: one.config.model_dump(mode="json") for one in portfolio.instances}
    return Subject(
        name=portfolio.portfolio_id,
        family=PORTFOLIO_FAMILY,
        version=PORTFOLIO_VERSION,
        config={"portfolio": portfolio.config.model_dump(mode="json"), "instances": instances},
        config_version=PORTFOLIO_VERSION,
        config_hash=portfolio.config_hash,
        description=portfolio.config.description,
        hypothesis="",
        markets=portfolio.markets,
        timeframe=portfolio.timeframe,
        parameters=shares_of(portfolio),
        costs=portfolio.costs,
        risk=portfolio.risk.model_dump(mode="json"),
        features=_features(portfolio.instances),
        panel=inputs.panel,
        marked=inputs.marked,
        bars=received_bars(inputs.marked),
        data_hash=inputs.data_hash,
    )


def _features(instances: tuple[StrategyInstance, ...] | list[StrategyInstance]) -> dict[str, str]:
    return {feature.key: feature.digest for one in instances for feature in one.strategy.features(one.params)}


def _unchanged(path: Path, what: str, known: str) -> str:
    text = read_text(path, what)
    if digest(text.encode()) != known:
        raise _changed(path)
    return text


def _changed(path: Path) -> ConfigError:
    return ConfigError(f"{path}: changed while it was run; run it again")
