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
from lab.core.panel import Panel
from lab.core.settings import CostSettings, Fraction, PortfolioRiskSettings, Section, parse_document
from lab.core.settings.paths import PathText
from lab.core.sleeves import Sleeve
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.strategies.allocation import AllocationRule, cut_to_caps
from lab.strategies.combining import combine, cut_by_priority, limited, parts_of
from lab.strategies.instance import StrategyInstance, load, read_text
from lab.strategies.instance_config import Identifier
from lab.strategies.portfolio_weights import PortfolioWeights, decide_portfolio
from lab.strategies.registry import strategy_of
from lab.strategies.sleeves import sleeves_of

__all__ = ["AllocationConfig", "Portfolio", "PortfolioConfig", "load_portfolio"]

Array = NDArray[np.float64]

_ABOVE_ONE = 1e-9


class AllocationConfig(Section):
    """One instance of a portfolio."""

    config: PathText = Field(min_length=1, description="file of the instance, relative to this one")
    allocation: Fraction = Field(description="its share of the portfolio's capital")


class PortfolioConfig(Section):
    """The file of one portfolio, as its author wrote it."""

    portfolio_id: Identifier = Field(description="identity of the portfolio in journal and orders")
    description: str = Field("", description="what it is, in words")
    reference_currency: str = Field(description="currency of capital, equity and all markets' quotes")
    capital: float = Field(gt=0, description="capital at the start, in the reference currency")
    instances: tuple[AllocationConfig, ...] = Field(description="instances and their shares")
    allocation: AllocationRule = Field(
        default_factory=AllocationRule, description="fixed shares, or shares that follow the record"
    )
    family_caps: dict[str, Fraction] = Field(
        default_factory=dict, description="family: largest share of the capital; the rest is cash"
    )
    hold_bars: int = Field(
        48, ge=1, le=5_000, description="bars for which an instance that keeps counts with its last weight"
    )
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

    @field_validator("family_caps")
    @classmethod
    def _families(cls, caps: dict[str, float]) -> dict[str, float]:
        for family in caps:
            try:
                strategy_of(family)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return caps


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

    @property
    def timeframe(self) -> Timeframe:
        """The finest timeframe of its instances: when the portfolio may change."""
        return min(instance.timeframe for instance in self.instances)

    @property
    def period(self) -> Timeframe:
        """The coarsest timeframe of its instances: what allocations are reckoned in."""
        return max(instance.timeframe for instance in self.instances)

    @property
    def families(self) -> tuple[str, ...]:
        """The family of each instance."""
        return tuple(instance.strategy.family for instance in self.instances)

    @property
    def priorities(self) -> tuple[int, ...]:
        """The priority of each instance; the smallest number is cut last."""
        return tuple(instance.config.priority for instance in self.instances)

    @property
    def shares(self) -> tuple[float, ...]:
        """The file's allocations, cut to the caps of their families: by priority, else pro rata."""
        base = np.array(self.allocations)
        cut = cut_to_caps(base, self.families, self.priorities, self.config.family_caps)
        return tuple(float(share) for share in cut)

    @property
    def sleeves(self) -> tuple[Sleeve, ...]:
        """What :func:`lab.risk.plan_of` needs to know of the instances."""
        return sleeves_of(self)

    def bars_needed(self, instance: StrategyInstance) -> int:
        """Return the bars of an instance's own timeframe that :meth:`decide` needs for its last row.

        Those of the instance itself, of the holds it may remember, and, with adaptive allocation, of the
        record that is looked at.
        """
        own = instance.lookback + self.config.hold_bars - 1
        rule = self.config.allocation
        if rule.method == "static":
            return own
        # Two bars before the first return whose weights traded, one period cut by the start, one by the end.
        periods = rule.window_bars + rule.rebalance_bars + 2
        return own + 3 + -(-periods * self.period.seconds // instance.timeframe.seconds)

    def combine(
        self,
        weights: Sequence[Array],
        standing: Sequence[Array] | None = None,
        shares: Array | None = None,
    ) -> Array:
        """Return the portfolio's weights on :attr:`markets`, given one array per instance.

        Each instance's own ``max_position_pct`` and ``max_exposure_pct`` act on its weights first. Where
        instances differ in priority and the portfolio's limits would bind, the later ones are cut first;
        among equal ones :func:`lab.risk.step` cuts pro rata.

        Parameters
        ----------
        weights : sequence of ndarray, shapes (N_k,) or (T, N_k)
            What each instance decides now; NaN keeps, also where it does not decide now.
        standing : sequence of ndarray, of the same shapes, optional
            What each holds virtually: its last weights, NaN where it has none. See :func:`combine`.
        shares : ndarray of float64, shape (K,) or (T, K), optional
            Share of each instance; default :attr:`shares`.
        """
        return self.combine_parts(weights, standing, shares)[0]

    def combine_parts(
        self,
        weights: Sequence[Array],
        standing: Sequence[Array] | None = None,
        shares: Array | None = None,
    ) -> tuple[Array, Array]:
        """Return :meth:`combine`, and what each instance adds to it, shape (K, N) or (T, K, N)."""
        names = [instance.markets for instance in self.instances]
        share = np.asarray(self.shares if shares is None else shares, dtype=np.float64)
        held = weights if standing is None else standing
        filled = [np.where(np.isnan(now), kept, now) for now, kept in zip(weights, held, strict=True)]
        whole = [limited(*pair) for pair in zip(filled, self.instances, strict=True)]
        cut = [np.where(np.isnan(now), np.nan, all_) for now, all_ in zip(weights, whole, strict=True)]
        virtual = None if standing is None else whole
        if len(set(self.priorities)) > 1:
            risk = self.risk
            caps = (risk.max_weight_per_asset, risk.max_exposure_pct)
            cut, virtual = cut_by_priority(cut, virtual, names, share, self.priorities, caps)
        each = list(np.moveaxis(share, -1, 0))
        return combine(cut, names, each, virtual)[1], parts_of(cut, names, each, virtual)

    def decide(self, panels: Sequence[Panel]) -> PortfolioWeights:
        """Return the portfolio's weights at every bar, from one panel per instance.

        See :func:`lab.strategies.portfolio_weights.decide_portfolio`.
        """
        return decide_portfolio(self, panels)


def load_portfolio(path: Path | str, instances: Sequence[Path] | None = None) -> Portfolio:
    """Read a portfolio file and the instance files that it names.

    Parameters
    ----------
    path : Path or str
        YAML; see :class:`PortfolioConfig` for its keys.
    instances : sequence of Path, optional
        Files to read instead of those that it names, in its order: copies that a run kept.

    Raises
    ------
    ConfigError
        If a file cannot be read or is faulty, an instance appears twice, or a market is not quoted in the
        reference currency.
    """
    text = read_text(Path(path), "portfolio")
    config = parse_document(text, PortfolioConfig, source=str(path))
    named = [Path(path).parent / entry.config for entry in config.instances]
    files = named if instances is None else instances
    loaded = tuple(_load(file, f"{path}: instances.{number}.config") for number, file in enumerate(files))
    ids = [instance.strategy_id for instance in loaded]
    twice = [name for name in ids if ids.count(name) > 1]
    if twice:
        raise ConfigError(f"{path}: instance {twice[0]} appears twice; add up its allocations")
    for instance in loaded:
        for market in instance.markets:
            if Market.parse(market).quote != config.reference_currency:
                raise ConfigError(
                    f"{path}: reference_currency: {market} of {instance.strategy_id} is not quoted in "
                    f"{config.reference_currency}; a portfolio has one currency"
                )
    _check_timeframes(loaded, str(path))
    hashes = [digest(text.encode()), *(instance.config_hash for instance in loaded)]
    allocations = tuple(entry.allocation for entry in config.instances)
    return Portfolio(config, loaded, allocations, digest(hashes), Path(path))


def _load(file: Path, named_by: str) -> StrategyInstance:
    if not file.is_file():
        raise ConfigError(
            f"{named_by}: no such file; expected the YAML file of a strategy instance at {file}"
        )
    return load(file)


def _check_timeframes(instances: Sequence[StrategyInstance], source: str) -> None:
    finest = min(instance.timeframe for instance in instances)
    coarsest = max(instance.timeframe for instance in instances)
    for one in instances:
        for inner, outer in ((finest, one.timeframe), (one.timeframe, coarsest)):
            starts = inner.on_grid(outer.open_times(np.array([0, 1])))
            if not starts.all():
                raise ConfigError(
                    f"{source}: bars of {outer} ({one.strategy_id} or the coarsest) do not consist of whole "
                    f"bars of {inner}; choose timeframes of which each divides the next, such as 1h, 4h, 1d"
                )
