"""Portfolios: instances with allocations, and the sum of their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.settings import CostSettings, Fraction, PortfolioRiskSettings, Section, parse_document
from lab.costs import Costs
from lab.strategies.instance import Identifier, StrategyInstance, load, read_text
from lab.strategies.sizing import capped

__all__ = ["AllocationConfig", "Portfolio", "PortfolioConfig", "combine", "load_portfolio"]

Array = NDArray[np.float64]

_ABOVE_ONE = 1e-9


class AllocationConfig(Section):
    """One instance of a portfolio."""

    config: str = Field(description="file of the instance, relative to the portfolio's file")
    allocation: Fraction = Field(description="its share of the portfolio's capital")


class PortfolioConfig(Section):
    """The file of one portfolio, as its author wrote it."""

    portfolio_id: Identifier = Field(description="identity of the portfolio in journal and orders")
    description: str = Field("", description="what it is, in words")
    reference_currency: str = Field(description="currency of capital, equity and all markets' quotes")
    capital: float = Field(gt=0, description="capital at the start, in the reference currency")
    instances: tuple[AllocationConfig, ...] = Field(description="instances and their shares")
    risk: PortfolioRiskSettings = Field(
        default_factory=PortfolioRiskSettings, description="limits of the portfolio"
    )
    costs: CostSettings = Field(
        default_factory=CostSettings, description="costs in its backtests and paper fills"
    )

    @field_validator("instances")
    @classmethod
    def _at_most_all(cls, instances: tuple[AllocationConfig, ...]) -> tuple[AllocationConfig, ...]:
        if not instances:
            raise ValueError("expected at least one instance")
        total = sum(instance.allocation for instance in instances)
        if total > 1 + _ABOVE_ONE:
            raise ValueError(f"allocations sum to {total:g}, expected at most 1; the rest stays in cash")
        return instances


@dataclass(frozen=True, slots=True)
class Portfolio:
    """A loaded portfolio.

    Attributes
    ----------
    config : PortfolioConfig
        The file's content.
    instances : tuple of StrategyInstance
        In the file's order.
    allocations : tuple of float
        Share of each instance in the capital; their sum is at most 1.
    config_hash : str
        SHA-256 over the portfolio's file and those of its instances.
    source : Path
        The file.
    """

    config: PortfolioConfig
    instances: tuple[StrategyInstance, ...]
    allocations: tuple[float, ...]
    config_hash: str
    source: Path

    @property
    def portfolio_id(self) -> str:
        """Identity of the portfolio."""
        return self.config.portfolio_id

    @property
    def reference_currency(self) -> str:
        """Currency of the capital."""
        return self.config.reference_currency

    @property
    def capital(self) -> float:
        """Capital at the start, in the reference currency."""
        return self.config.capital

    @property
    def risk(self) -> PortfolioRiskSettings:
        """Limits of the portfolio."""
        return self.config.risk

    @property
    def costs(self) -> Costs:
        """Costs in its backtests and paper fills."""
        return Costs.from_settings(self.config.costs)

    @property
    def markets(self) -> tuple[str, ...]:
        """Markets of all instances, sorted by name."""
        return tuple(sorted({market for instance in self.instances for market in instance.markets}))

    def combine(self, weights: Sequence[Array]) -> Array:
        """Return the portfolio's weights on :attr:`markets`, one array per instance given.

        Each instance's own ``max_position_pct`` and ``max_exposure_pct`` act on its weights first.
        See :func:`combine`.
        """
        limited = [_limited(array, instance) for array, instance in zip(weights, self.instances, strict=True)]
        return combine(limited, [instance.markets for instance in self.instances], self.allocations)[1]


def _limited(weights: Array, instance: StrategyInstance) -> Array:
    rows = np.ascontiguousarray(np.atleast_2d(weights), dtype=np.float64)
    cut: Array = capped(rows, instance.risk.max_position_pct, instance.risk.max_exposure_pct)
    return cut.reshape(np.shape(weights))


def combine(
    weights: Sequence[Array], markets: Sequence[Sequence[str]], allocations: Sequence[float]
) -> tuple[tuple[str, ...], Array]:
    """Sum the weights of instances, each times its allocation.

    Parameters
    ----------
    weights : sequence of ndarray, shapes (N_k,) or (T, N_k)
        Weights of each instance at the same times, fractions of the instance's capital; NaN keeps.
    markets : sequence of sequences of str
        Markets of each instance.
    allocations : sequence of float
        Share of each instance.

    Returns
    -------
    markets : tuple of str
        All markets, sorted by name.
    weights : ndarray of float64, shape (N,) or (T, N)
        Fractions of the portfolio's capital. NaN where any instance that trades the market keeps it: half a
        position cannot be kept.

    Raises
    ------
    ConfigError
        If the three sequences do not match each other.

    Examples
    --------
    >>> btc, eth = "binance:BTC/USDT", "binance:ETH/USDT"
    >>> combine([np.array([1.0]), np.array([0.5, 0.5])], [(btc,), (btc, eth)], [0.6, 0.4])
    (('binance:BTC/USDT', 'binance:ETH/USDT'), array([0.8, 0.2]))
    """
    if not len(weights) == len(markets) == len(allocations) or not weights:
        raise ConfigError(
            f"combine: {len(weights)} weights, {len(markets)} lists of markets and {len(allocations)} "
            "allocations; expected one of each per instance"
        )
    names = tuple(sorted({name for listed in markets for name in listed}))
    total = np.zeros((*np.shape(weights[0])[:-1], len(names)))
    for array, listed, allocation in zip(weights, markets, allocations, strict=True):
        if np.shape(array) != (*total.shape[:-1], len(listed)):
            raise ConfigError(
                f"combine: weights of shape {np.shape(array)} for {len(listed)} markets, "
                f"expected {(*total.shape[:-1], len(listed))}"
            )
        for column, name in enumerate(listed):
            total[..., names.index(name)] += allocation * array[..., column]
    return names, total


def load_portfolio(path: Path | str) -> Portfolio:
    """Read a portfolio file and the instance files that it names.

    Parameters
    ----------
    path : Path or str
        YAML; see :class:`PortfolioConfig` for its keys.

    Raises
    ------
    ConfigError
        If a file cannot be read or is faulty, an instance appears twice, or a market is not quoted in the
        reference currency.
    """
    text = read_text(Path(path), "portfolio")
    config = parse_document(text, PortfolioConfig, source=str(path))
    instances = tuple(load(Path(path).parent / entry.config) for entry in config.instances)
    ids = [instance.strategy_id for instance in instances]
    twice = [name for name in ids if ids.count(name) > 1]
    if twice:
        raise ConfigError(f"{path}: instance {twice[0]} appears twice; add up its allocations")
    for instance in instances:
        for market in instance.markets:
            if Market.parse(market).quote != config.reference_currency:
                raise ConfigError(
                    f"{path}: reference_currency: {market} of {instance.strategy_id} is not quoted in "
                    f"{config.reference_currency}; a portfolio has one currency"
                )
    hashes = [digest(text.encode()), *(instance.config_hash for instance in instances)]
    allocations = tuple(entry.allocation for entry in config.instances)
    return Portfolio(config, instances, allocations, digest(hashes), Path(path))
