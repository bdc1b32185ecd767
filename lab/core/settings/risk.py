"""Risk sections of the files a user writes: limits, the table of circuit breakers, scenarios, health."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, model_validator

from lab.core.settings.document import Section
from lab.core.settings.sections import Fraction

__all__ = [
    "SHIPPED_BREAKERS",
    "SHIPPED_SCENARIOS",
    "TREND_FAMILIES",
    "BreakerRule",
    "HealthSettings",
    "PortfolioRiskSettings",
    "RiskSettings",
]

TREND_FAMILIES: Final = frozenset({"time_series_momentum", "ma_breakout"})


class BreakerRule(Section):
    """One row of the table of circuit breakers: what is measured, when it trips, what then, until when.

    Losses are measured against the equity at the first step of the UTC day, of the week (from Monday) or of
    the month; drawdown against the highest equity seen, which starts anew when the breaker is reset. Families
    and instances are measured by the equity of their own positions, before costs. An equity that is not a
    number trips.
    """

    scope: Literal["portfolio", "family", "instance"] = Field(description="whose equity, and who is stopped")
    measure: Literal["daily_loss", "weekly_loss", "monthly_loss", "drawdown"] = Field(
        description="what is measured"
    )
    at_pct: Fraction = Field(gt=0, description="it trips when this fraction is lost")
    action: Literal["no_entries", "reduce_only", "halt"] = Field(
        description="no_entries: no market is entered anew; reduce_only: nothing is bought; halt: the same, "
        "and only a person ends it"
    )
    reset: Literal["day", "week", "month", "person"] = Field(
        description="it is over when the next UTC day, week or month begins, or when a person resumes"
    )

    @model_validator(mode="after")
    def _person_ends_halt(self) -> BreakerRule:
        if self.action == "halt" and self.reset != "person":
            raise ValueError(
                f"action halt ends by a person's command alone: write reset: person, not {self.reset}"
            )
        return self


def _rule(scope: str, measure: str, at: float, action: str, reset: str) -> BreakerRule:
    return BreakerRule.model_validate(
        {"scope": scope, "measure": measure, "at_pct": at, "action": action, "reset": reset}
    )


# The loss of a day that leaves only reductions is the key max_daily_loss_pct.
SHIPPED_BREAKERS: Final = (
    _rule("portfolio", "daily_loss", 0.03, "no_entries", "day"),
    _rule("portfolio", "weekly_loss", 0.07, "reduce_only", "week"),
    _rule("portfolio", "monthly_loss", 0.10, "reduce_only", "month"),
    _rule("family", "drawdown", 0.20, "reduce_only", "month"),
    _rule("instance", "drawdown", 0.15, "reduce_only", "month"),
)

# What was lost from one daily close to another on Binance: 13 to 25 November 2018, 11 to 12 March 2020, 11 to
# 23 May 2021, 6 to 18 June 2022. "*" is the median of all pairs listed then, and stands for all not named.
SHIPPED_SCENARIOS: Final[dict[str, dict[str, float]]] = {
    "november_2018": {"BTC": 0.37, "ETH": 0.43, "*": 0.43},
    "march_2020": {"BTC": 0.39, "ETH": 0.45, "*": 0.44},
    "may_2021": {"BTC": 0.39, "ETH": 0.50, "*": 0.54},
    "june_2022": {"BTC": 0.40, "ETH": 0.47, "*": 0.34},
}


class HealthSettings(Section):
    """When an exchange counts as unwell, by its last calls."""

    calls: int = Field(20, ge=1, le=1_000, description="last calls that are looked at")
    max_error_rate_pct: Fraction = Field(0.25, description="share of them that may fail")
    max_latency_ms: float = Field(5_000.0, gt=0, description="what their median may take")


class _Limits(Section):
    max_exposure_pct: Fraction = Field(1.0, description="largest sum of weights")
    min_cash_pct: Fraction = Field(0.0, description="cash that buys leave, as a fraction of equity")
    rebalance_band_pct: Fraction = Field(0.0, description="weight changes smaller than this are not traded")
    min_order_pct: Fraction = Field(
        0.0, description="orders below this fraction of equity are dust, not traded"
    )
    max_positions: int | None = Field(None, ge=1, le=10_000, description="markets held at a time; none: any")


class RiskSettings(_Limits):
    """Limits of one instance; every figure is a fraction of its capital.

    The layers of a portfolio (families, assets, exchanges, shipped breakers) are not those of an instance: a
    rule for one market would be cut to a third of its capital. What is written here acts in the instance's
    own backtest; in a portfolio, its position and exposure limits and its drawdown act on its part.

    Examples
    --------
    >>> RiskSettings(max_position_pct=0.3).max_position_pct
    0.3
    """

    max_position_pct: Fraction = Field(1.0, description="largest weight of one market")
    max_daily_loss_pct: Fraction = Field(
        1.0,
        description="a loss since 00:00 UTC that leaves only reductions until the next UTC day; 1 is off",
    )
    max_trade_risk_pct: Fraction | None = Field(
        None, gt=0, description="what a buy may lose over a day of ordinary movement; none: any"
    )
    max_order_volume_pct: Fraction | None = Field(
        None, gt=0, description="largest buy, as a fraction of the mean traded value of a bar; none: any"
    )
    max_drawdown_pct: Fraction | None = Field(
        None,
        gt=0,
        description="loss from the peak that leaves only reductions until the next month; none: any",
    )
    breakers: tuple[BreakerRule, ...] = Field((), description="circuit breakers of the instance's account")


class PortfolioRiskSettings(_Limits):
    """Limits of a portfolio; every figure is a fraction of its capital, and the defaults act.

    Examples
    --------
    >>> PortfolioRiskSettings(max_weight_per_asset=0.5).max_daily_loss_pct
    0.05
    """

    max_weight_per_asset: Fraction = Field(
        0.30, description="largest weight of one market, and of all markets of one base currency together"
    )
    max_exchange_pct: Fraction = Field(0.60, description="largest sum of weights on one exchange")
    max_currency_pct: Fraction = Field(
        1.0, description="largest sum of weights in markets quoted in one currency"
    )
    max_instance_pct: Fraction = Field(
        0.10, description="largest sum of an instance's weights, unless its allocation is larger"
    )
    max_trend_family_pct: Fraction = Field(
        0.40, description="the same for time_series_momentum and for ma_breakout, each"
    )
    max_mean_reversion_family_pct: Fraction = Field(0.15, description="the same for mean_reversion")
    max_other_family_pct: Fraction = Field(0.25, description="the same for every other family, each")
    max_positions_per_family: int | None = Field(
        None, ge=1, le=10_000, description="markets that one family holds at a time; none: any"
    )
    max_positions_per_instance: int | None = Field(
        None, ge=1, le=10_000, description="markets that one instance holds at a time; none: any"
    )
    max_trade_risk_pct: Fraction | None = Field(
        0.005, gt=0, description="what a buy may lose over a day of ordinary movement; null: any"
    )
    max_order_volume_pct: Fraction | None = Field(
        0.05, gt=0, description="largest buy, as a fraction of the mean traded value of a bar; null: any"
    )
    max_daily_loss_pct: Fraction = Field(
        0.05,
        description="a loss since 00:00 UTC that leaves only reductions until the next UTC day; 1 is off",
    )
    breakers: tuple[BreakerRule, ...] = Field(SHIPPED_BREAKERS, description="table of circuit breakers")
    stress: dict[str, dict[str, Fraction]] = Field(
        SHIPPED_SCENARIOS, description="scenario: base currency (or *): share of its value that is lost"
    )
    health: HealthSettings = Field(default_factory=HealthSettings, description="when an exchange is unwell")

    def family_cap(self, family: str) -> float:
        """Return the shipped cap of a family."""
        if family in TREND_FAMILIES:
            return self.max_trend_family_pct
        return self.max_mean_reversion_family_pct if family == "mean_reversion" else self.max_other_family_pct
