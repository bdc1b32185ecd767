"""Columns beyond the bars: which ones a strategy reads, and where an instance's file says they come from."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from lab.core.errors import DataError
from lab.core.frames import BAR_COLUMNS
from lab.core.panel import Panel
from lab.core.settings import Section
from lab.features import definition_of
from lab.strategies.protocol import Strategy

__all__ = ["SeriesConfig", "require_columns", "required_columns"]

Column = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,63}$")]


class SeriesConfig(Section):
    """A stored series whose values become columns of the panel, as they were known at each bar's close.

    Examples
    --------
    >>> SeriesConfig(name="onchain", columns={"mvrv": "CapMVRVCur"}).max_age_days
    7.0
    """

    name: str = Field(description="name of the stored series, for example funding or onchain")
    columns: dict[Column, str] = Field(description="column of the panel: column of the series")
    subjects: dict[str, str] = Field(
        default_factory=dict,
        description="market: whose values it gets; by default its own, its perpetual's or its base coin's",
    )
    delay_hours: float = Field(0.0, ge=0, le=10_000, description="added to the time a value became known")
    max_age_days: float = Field(
        7.0, gt=0, le=10_000, description="values older than this at the close are none"
    )

    @field_validator("columns")
    @classmethod
    def _new(cls, columns: dict[str, str]) -> dict[str, str]:
        if not columns:
            raise ValueError("expected at least one column")
        taken = [name for name in columns if name in BAR_COLUMNS]
        if taken:
            raise ValueError(f"{taken[0]} is a column of the bars; choose another name")
        return columns


def required_columns(strategy: Strategy[Any], params: Any) -> tuple[str, ...]:
    """Return the panel columns that a strategy's features read and bars do not have, sorted.

    Examples
    --------
    >>> from lab.strategies import strategy_of
    >>> carry = strategy_of("carry")
    >>> required_columns(carry, carry.params())
    ('funding_rate',)
    """
    features = strategy.features(params)
    read = {column for feature in features for column in definition_of(feature).inputs(feature)}
    return tuple(sorted(read.difference(BAR_COLUMNS)))


def require_columns(strategy: Strategy[Any], panel: Panel, params: Any, name: str) -> None:
    """Refuse a panel without a column that the strategy reads.

    Raises
    ------
    DataError
        Naming strategy, column, and the key of the instance's file that brings it.
    """
    missing = [column for column in required_columns(strategy, params) if column not in panel.fields]
    if missing:
        raise DataError(
            f"strategy {name}: family {strategy.family} reads the column {missing[0]}, which the panel does "
            f"not have; import the series and name it in the instance's file: "
            f"series: [{{name: …, columns: {{{missing[0]}: …}}}}]"
        )
