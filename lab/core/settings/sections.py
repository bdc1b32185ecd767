"""Sections that several files share: costs, search; those of risk are in ``risk.py``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from lab.core.settings.document import Section

__all__ = ["CostSettings", "Fraction", "SearchSettings"]


def _fraction(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not 0 <= value <= 1:
        raise ValueError(
            "expected a fraction between 0 and 1: keys ending in _pct are fractions, write 30 % as 0.30"
        )
    return value


Fraction = Annotated[float, BeforeValidator(_fraction)]


class CostSettings(Section):
    """Costs of trading: a preset, or explicit figures in basis points of traded notional."""

    preset: Literal["conservative", "base", "optimistic"] | None = Field(None, description="named figures")
    fee_bps: float | None = Field(None, ge=0, le=1_000, description="fee per trade, basis points of notional")
    slippage_bps: float | None = Field(None, ge=0, le=1_000, description="price concession, basis points")
    exchange: str | None = Field(None, description="take the fee from this exchange's schedule")
    tier: int = Field(0, ge=0, description="volume tier of that schedule")
    liquidity: Literal["maker", "taker"] = Field("taker", description="whether orders rest or take")
    token_discount: bool = Field(False, description="fees paid in the exchange's own token")
    slippage_volatility: float = Field(
        0.0, ge=0, le=10, description="concession per standard deviation of the 20 bars before"
    )
    impact_bps: float = Field(
        0.0, ge=0, le=10_000, description="concession of an order of the whole bar's volume"
    )
    max_participation_pct: Fraction | None = Field(
        None, gt=0, description="largest share of a bar's volume that an order may take; the rest is carried"
    )
    clip_to_bar: bool = Field(False, description="fills stay within the bar's low and high")


class SearchSettings(Section):
    """Walk-forward search: how parameters are chosen and where they are judged.

    ``train_bars``, ``test_bars``, ``purged_bars`` and ``embargo_bars`` count bars of the timeframe.
    """

    trials: int = Field(40, ge=1, le=1_000_000, description="parameter sets evaluated per fold")
    splitter: Literal["rolling", "expanding", "anchored"] = Field(
        "rolling", description="how the training window moves; anchored is another name for expanding"
    )
    sampler: Literal["tpe", "random", "grid", "qmc", "cmaes", "nsga2"] = Field(
        "tpe", description="how parameter sets are proposed; nsga2 weighs the objective against the tradeoffs"
    )
    objective: Literal["sharpe", "calmar", "deflated_sharpe"] = Field(
        "sharpe", description="figure of the training bars that is maximised, less the penalties"
    )
    turnover_penalty: float = Field(
        0.0, ge=0, le=1_000, description="taken off the objective per unit of turnover (equity per year)"
    )
    drawdown_penalty: float = Field(
        0.0, ge=0, le=1_000, description="taken off the objective per unit of the largest drawdown (1 is all)"
    )
    tradeoffs: tuple[Literal["max_drawdown", "turnover"], ...] = Field(
        ("max_drawdown", "turnover"),
        min_length=1,
        description="figures that nsga2 lowers beside the objective",
    )
    train_bars: int = Field(365, ge=2, description="bars a fold is tuned on")
    test_bars: int = Field(90, ge=1, description="bars a fold is judged on, never seen in tuning")
    purged_bars: int = Field(1, ge=0, description="bars dropped between training and test")
    embargo_bars: int = Field(0, ge=0, description="bars dropped after each test before they may train again")
