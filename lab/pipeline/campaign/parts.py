"""The parts of history that a campaign looks at: all of it, named periods, regimes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lab.backtest import regimes
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog
from lab.data.panels import panel_from_bars
from lab.pipeline.campaign.config import CampaignConfig, Period, RegimeRule

__all__ = ["ALL", "Part", "Regimes", "parts_of"]

ALL: Final = "all"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Some bars of a member.

    Attributes
    ----------
    kind : str
        ``all``; ``crash``, ``bull``, ``bear`` or ``sideways`` for a named period; ``regime``.
    name : str
    rows : ndarray of int64
        Ascending; consecutive unless it is a regime.
    """

    kind: str
    name: str
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Regimes:
    """Regimes of the reference market's bars, each known before its bar opens.

    Attributes
    ----------
    timeframe : Timeframe
        Of the reference.
    first : int
        Absolute number of its first bar.
    labels : tuple of str or None
    """

    timeframe: Timeframe
    first: int
    labels: tuple[str | None, ...]

    @classmethod
    def read(cls, rule: RegimeRule, *, root: Path) -> Regimes:
        """Label the stored bars of the rule's market.

        Raises
        ------
        UnknownMarketError
            If there are none.
        """
        frame = Timeframe.parse(rule.timeframe)
        catalog = Catalog(root)
        stored = catalog.bars([rule.market], frame)
        panel = panel_from_bars(stored, timeframe=frame, markets=[rule.market], settings=catalog.settings)
        close = np.ascontiguousarray(panel["received_close"][:, 0])
        labels = regimes(close, window=rule.window_bars, threshold=rule.threshold)
        return cls(frame, int(panel.bar[0]), tuple(labels))

    def of(self, panel: Panel) -> list[str | None]:
        """Return the regime of every bar of `panel`: that of the reference's bar which it opens in."""
        places = self.timeframe.numbers(panel.ts) - self.first
        known = len(self.labels)
        return [self.labels[place] if 0 <= place < known else None for place in places.tolist()]


def parts_of(config: CampaignConfig, panel: Panel, first: int, regimes: Regimes | None) -> Iterator[Part]:
    """Yield the parts of `panel` from row `first` on that have at least two bars."""
    yield Part(ALL, ALL, np.arange(first, len(panel)))
    for period in config.periods:
        rows = _within(period, panel, first)
        if len(rows) > 1:
            yield Part(period.kind, period.name, rows)
    if regimes is None:
        return
    labels = np.array([label or "" for label in regimes.of(panel)])
    for name in ("bull", "sideways", "bear"):
        rows = np.flatnonzero(labels == name)
        rows = rows[rows >= first]
        if len(rows) > 1:
            yield Part("regime", name, rows)


def _within(period: Period, panel: Panel, first: int) -> NDArray[np.int64]:
    start, end = np.datetime64(period.start, "us"), np.datetime64(period.end, "us")
    rows = np.flatnonzero((panel.ts >= start) & (panel.ts < end))
    return rows[rows >= first]
