"""The file of a campaign."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.settings import CostSettings, Section, parse_document
from lab.core.timeframe import Timeframe
from lab.strategies import Portfolio, StrategyInstance, load, load_portfolio
from lab.strategies.instance import read_text
from lab.strategies.instance_config import Identifier

__all__ = [
    "COST_LEVELS",
    "Campaign",
    "CampaignConfig",
    "CampaignEntry",
    "Member",
    "Neighbourhood",
    "Period",
    "RegimeRule",
    "load_campaign",
]

CostLevel = Literal["gross", "optimistic", "base", "conservative", "own"]

# What each level charges; the subject's own file says what `own` does.
COST_LEVELS: Final[dict[str, CostSettings | None]] = {
    "gross": CostSettings(fee_bps=0.0, slippage_bps=0.0),
    "optimistic": CostSettings(preset="optimistic"),
    "base": CostSettings(preset="base"),
    "conservative": CostSettings(preset="conservative"),
    "own": None,
}


class _Window(Section):
    start: date | None = Field(None, description="first day, UTC; default: the first stored")
    end: date | None = Field(None, description="the day after the last, UTC; default: the last stored")

    @model_validator(mode="after")
    def _in_order(self) -> Any:
        if self.start is not None and self.end is not None and self.start >= self.end:
            raise ValueError(f"start {self.start} is not before end {self.end}; no day lies between them")
        return self

    @property
    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """Return both ends as instants, UTC."""
        return _midnight(self.start), _midnight(self.end)


class CampaignEntry(_Window):
    """A strategy or portfolio of the campaign, on all stored bars or on a part of them."""

    config: str = Field(description="its file, relative to the campaign's file")


class Period(_Window):
    """A named stretch of history. It was named because of what happened in it: hindsight, not a forecast."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9 _-]{0,39}$", description="how tables call it")
    kind: Literal["crash", "bull", "bear", "sideways"] = Field(description="what it was, seen afterwards")
    start: date = Field(description="first day, UTC")
    end: date = Field(description="the day after the last, UTC")


class RegimeRule(Section):
    """How the regime of every bar is told from what was known before it; :func:`lab.backtest.regimes`."""

    market: str = Field(description="market that stands for all, exchange:BASE/QUOTE")
    timeframe: str = Field("1d", description="bars of that market")
    window_bars: int = Field(90, ge=1, le=5_000, description="bars over which it rose or fell")
    threshold: float = Field(0.20, gt=0, le=10.0, description="rise that makes a bull market, as a fraction")

    @field_validator("market")
    @classmethod
    def _market(cls, market: str) -> str:
        try:
            return str(Market.parse(market))
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @field_validator("timeframe")
    @classmethod
    def _timeframe(cls, timeframe: str) -> str:
        return Timeframe.parse(timeframe).name


class Neighbourhood(Section):
    """How far around an instance's parameters to look: one parameter at a time, the others its own."""

    steps: int = Field(1, ge=1, le=10, description="steps to either side")
    relative_step: float | None = Field(
        None, gt=0, lt=1.0, description="a step as a fraction of the own value; default: the search space's"
    )
    parameters: tuple[str, ...] = Field(
        (), description="parameters moved; default: the family's search space"
    )
    costs: CostLevel = Field("base", description="cost level")

    @model_validator(mode="after")
    def _above_zero(self) -> Neighbourhood:
        if self.steps * (self.relative_step or 0.0) >= 1.0:
            raise ValueError(
                f"{self.steps} steps of {self.relative_step:g} reach 0; take fewer or smaller ones"
            )
        return self


class CampaignConfig(Section):
    """The file of one campaign, as its author wrote it."""

    campaign_id: Identifier = Field(description="identity in runs and the name of the folder of its tables")
    description: str = Field("", description="what it is for, in words")
    instances: tuple[CampaignEntry, ...] = Field((), description="strategies, each on an account of its own")
    portfolios: tuple[CampaignEntry, ...] = Field((), description="portfolios of families")
    costs: tuple[CostLevel, ...] = Field(
        ("gross", "optimistic", "base", "conservative"), description="cost levels, each a run of its own"
    )
    headline_costs: CostLevel = Field("base", description="level of correlations and breakdowns")
    periods: tuple[Period, ...] = Field((), description="named stretches of history")
    regimes: RegimeRule | None = Field(None, description="rule that tells bull, bear and sideways apart")
    neighbourhood: Neighbourhood | None = Field(None, description="parameters around the instances' own")

    @model_validator(mode="after")
    def _consistent(self) -> CampaignConfig:
        if not self.instances and not self.portfolios:
            raise ValueError("expected at least one entry under instances or portfolios")
        for what, names in (("costs", self.costs), ("periods", [period.name for period in self.periods])):
            twice = [name for name in names if list(names).count(name) > 1]
            if twice:
                raise ValueError(f"{what}: {twice[0]} is listed twice; list each once")
        if self.headline_costs not in self.costs:
            raise ValueError(f"headline_costs {self.headline_costs} is not among costs; add it there")
        return self


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """A strategy or portfolio of a campaign, and the bars it runs on."""

    subject: StrategyInstance | Portfolio
    start: datetime | None
    end: datetime | None

    @property
    def name(self) -> str:
        """Its id."""
        subject = self.subject
        return subject.portfolio_id if isinstance(subject, Portfolio) else subject.strategy_id

    @property
    def family(self) -> str:
        """Its family; ``portfolio`` for a portfolio."""
        return "portfolio" if isinstance(self.subject, Portfolio) else self.subject.strategy.family


@dataclass(frozen=True, slots=True, eq=False)
class Campaign:
    """A loaded campaign: its file, and those it names; `config_hash` covers them all."""

    config: CampaignConfig
    members: tuple[Member, ...]
    config_hash: str
    text: str
    source: Path


def load_campaign(path: Path | str) -> Campaign:
    """Read a campaign file and the strategy and portfolio files that it names.

    Raises
    ------
    ConfigError
        If a file cannot be read or is faulty, or two members have one id.
    """
    text = read_text(Path(path), "campaign")
    config = parse_document(text, CampaignConfig, source=str(path))
    folder = Path(path).parent
    members = [Member(load(folder / entry.config), *entry.bounds) for entry in config.instances]
    members += [Member(load_portfolio(folder / entry.config), *entry.bounds) for entry in config.portfolios]
    names = [member.name for member in members]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConfigError(f"{path}: {twice[0]} appears twice; give each strategy or portfolio once")
    hashes = [digest(text.encode()), *(member.subject.config_hash for member in members)]
    return Campaign(config, tuple(members), digest(hashes), text, Path(path))


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)
