"""Settings of bar validation: thresholds, and the policy per reason."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field, model_validator

from lab.core.settings.document import Section

__all__ = ["Outage", "Policies", "Policy", "QualitySettings"]

Policy = Literal["use", "last_good", "pause"]


class Policies(Section):
    """What features see of a QUESTIONABLE bar, by reason; of several reasons the strictest policy counts.

    ``use``: the bar as received. ``last_good``: flat at the last used close, volume as received. ``pause``:
    nothing (NaN). BAD bars are always NaN.
    """

    spike: Policy = Field(description="move beyond spike_atr_multiple mean true ranges")
    zero_volume: Policy = Field(description="volume is zero")
    low_volume: Policy = Field(description="volume below low_volume_share of the median")
    no_volume: Policy = Field(description="volume is null")
    outage: Policy = Field(description="received during a known outage")
    filled: Literal["last_good", "pause"] = Field(description="one missing bar, filled flat with volume 0")


class Outage(Section):
    """A span in which a venue is known to have been down: ``start <= ts < end``."""

    exchange: str = Field(description="venue, as in market names")
    start: AwareDatetime = Field(description="first instant, with time zone")
    end: AwareDatetime = Field(description="first instant after it, with time zone")

    @model_validator(mode="after")
    def _ordered(self) -> Outage:
        if self.end <= self.start:
            raise ValueError("end must be later than start")
        return self

    def covers(self, instant: datetime) -> bool:
        """Tell whether `instant` (timezone-aware) lies in the outage."""
        return self.start <= instant < self.end


class QualitySettings(Section):
    """Thresholds and policies of bar validation; the defaults are in ``quality.yaml`` beside this module."""

    ohlc_tolerance: float = Field(ge=0, le=0.1, description="allowed fraction of the price outside the range")
    spike_atr_multiple: float = Field(gt=0, description="multiple of the mean true range")
    atr_bars: int = Field(ge=1, le=1_000, description="bars of the mean true range")
    volume_bars: int = Field(ge=1, le=1_000, description="bars of the median volume")
    low_volume_share: float = Field(ge=0, le=1, description="share of the median volume")
    min_valid: float = Field(gt=0, le=1, description="share of a window that must be there")
    carry_bars: int = Field(ge=1, le=100, description="how far back last_good looks, in bars")
    policies: Policies
    outages: tuple[Outage, ...] = Field((), description="known outages")

    @property
    def context_bars(self) -> int:
        """Bars before a window that make its marks and fills equal to those of the full history."""
        return max(self.volume_bars, self.atr_bars + 2) + self.carry_bars
