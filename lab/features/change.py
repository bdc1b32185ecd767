"""Which bars are new, late or revised, and the windows that hold them, computed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import DataError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features.compute import compute
from lab.features.definition import definition_of
from lab.features.table import Table, bar_column, differs, dilated, held, long_frame

__all__ = ["Cells", "Change", "Update"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Bounds memory: this many cells, times columns of the table, are in the making at once.
BLOCK_CELLS: Final = 1 << 18


@dataclass(slots=True)
class Update:
    """What an update did.

    Parameters
    ----------
    dataset : str
        Of the table.
    windows : int
        Windows computed: one per feature, market and bar.
    rows : int
        Rows of the table that hold them.
    first, last : str or None
        Opening times of the first and the last such row, ISO 8601 UTC.
    """

    dataset: str
    windows: int = 0
    rows: int = 0
    first: str | None = None
    last: str | None = None


@dataclass(frozen=True, slots=True)
class Cells:
    """Columns of bars as (T, N) arrays, and which cells are known (a known bar may be missing: NaN)."""

    timeframe: Timeframe
    bar: NDArray[np.int64]
    markets: tuple[str, ...]
    values: Mapping[str, Array]
    known: Mask

    @classmethod
    def of(cls, panel: Panel, columns: tuple[str, ...]) -> Cells:
        """Return the cells of a panel; all are known."""
        if not len(panel):
            raise DataError("no bars given; expected at least one")
        lacking = [column for column in columns if column not in panel.fields]
        if lacking:
            names = ", ".join(sorted(str(key) for key in panel.fields))
            raise DataError(f"features read column {lacking[0]!r}; the panel has {names}")
        known = np.ones(panel.shape, dtype=np.bool_)
        return cls(panel.timeframe, panel.bar, panel.markets, {c: panel[c] for c in columns}, known)

    def widened(self, before: int, after: int) -> Cells:
        """Return unknown cells of the same columns, some bars more at both ends."""
        bar = np.arange(self.bar[0] - before, self.bar[-1] + after + 1, dtype=np.int64)
        return replace(self, bar=bar).unknown()

    def unknown(self) -> Cells:
        """Return the same cells, none of them known."""
        shape = (len(self.bar), len(self.markets))
        values = {column: np.full(shape, np.nan) for column in self.values}
        return replace(self, values=values, known=np.zeros(shape, dtype=np.bool_))

    def filled(self, rows: pl.DataFrame, columns: list[str]) -> Cells:
        """Return cells with the `columns` of long rows."""
        where = {market: index for index, market in enumerate(self.markets)}
        column = rows["market"].replace_strict(where, default=-1, return_dtype=pl.Int64).to_numpy()
        row = self.timeframe.numbers(rows["ts"].to_numpy()) - self.bar[0]
        kept = np.flatnonzero((column >= 0) & (row >= 0) & (row < len(self.bar)))
        shape = (len(self.bar), len(self.markets))
        at = row[kept] * shape[1] + column[kept]
        known = np.zeros(shape[0] * shape[1], dtype=np.bool_)
        known[at] = True
        values = {}
        for name in columns:
            flat = np.full(shape[0] * shape[1], np.nan)
            flat[at] = rows[name].to_numpy()[kept]
            values[name] = flat.reshape(shape)
        return replace(self, values=values, known=known.reshape(shape))

    def renamed(self, names: Mapping[str, str]) -> Cells:
        """Return the same cells under other names of columns."""
        return replace(self, values={names[column]: values for column, values in self.values.items()})

    def laid_over(self, other: Cells) -> Cells:
        """Return `other` with the cells that are known here put in their place."""
        start = int(self.bar[0] - other.bar[0])
        part = slice(start, start + len(self.bar))
        known = other.known.copy()
        known[part] |= self.known
        values = {}
        for column, array in other.values.items():
            values[column] = array.copy()
            values[column][part] = np.where(self.known, self.values[column], array[part])
        return replace(other, values=values, known=known)

    def cell(self, row: int, column: int) -> str:
        """Return market and time of a cell, for messages."""
        return f"{self.markets[column]} at {self.timeframe.open_time(int(self.bar[row])):%Y-%m-%d %H:%M}Z"

    def panel(self, start: int, stop: int) -> Panel:
        """Return rows ``start … stop - 1`` as a panel."""
        bar = self.bar[start:stop]
        fields: dict[str | Feature, Array] = {name: a[start:stop] for name, a in self.values.items()}
        return Panel(self.timeframe, bar, self.timeframe.open_times(bar), self.markets, fields)


@dataclass(frozen=True, slots=True)
class Change:
    """Bars as they are to be, and per column which of them are not stored like that."""

    cells: Cells
    stored: Mask
    changed: Mapping[str, Mask]

    @classmethod
    def between(cls, cells: Cells, stored: Cells) -> Change:
        """Compare bars with stored ones, which may be of more bars, to the last bit."""
        start = int(cells.bar[0] - stored.bar[0])
        part = slice(start, start + len(cells.bar))
        known = stored.known[part]
        changed = {
            column: cells.known & (~known | differs(values, stored.values[column][part]))
            for column, values in cells.values.items()
        }
        return cls(cells, known, changed)

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows with a changed bar."""
        lines = np.zeros(len(self.cells.bar), dtype=np.bool_)
        for mask in self.changed.values():
            lines |= mask.any(axis=1)
        return np.flatnonzero(lines)

    @property
    def any(self) -> bool:
        """Whether any bar changed."""
        return len(self.rows) > 0

    def missing(self, lookback: int) -> tuple[int, int]:
        """Return how many bars before and after those at hand belong to windows with a changed bar."""
        rows = self.rows
        if not len(rows):
            return 0, 0
        before = lookback - 1 - int(rows[0])
        after = int(rows[-1]) + lookback - len(self.cells.bar)
        return max(before, 0), max(after, 0)

    def frames(
        self, table: Table, stored: Callable[[Cells], Mapping[str, Array]], done: Update
    ) -> Iterator[pl.DataFrame]:
        """Yield the rows of all windows with a changed bar, block by block; an empty frame if there is none.

        Parameters
        ----------
        table : Table
            Whose features are computed.
        stored : callable
            Stored features of some cells: those of a row whose window did not change are kept.
        done : Update
            Counts what was computed.
        """
        rows = self.rows
        first, stop = (int(rows[0]), int(rows[-1]) + table.lookback) if len(rows) else (0, 0)
        stop = min(stop, len(self.cells.bar))
        step = max(BLOCK_CELLS // max(len(self.cells.markets), 1), 1)
        for start in range(first, max(stop, first + 1), step):
            yield self._block(table, start, min(start + step, stop), stored, done)

    def _block(
        self,
        table: Table,
        start: int,
        stop: int,
        stored: Callable[[Cells], Mapping[str, Array]],
        done: Update,
    ) -> pl.DataFrame:
        part = slice(start, stop)
        known = self.cells.known[part]
        masks = {feature: self._touched(feature, start, stop) & known for feature in table.features}
        anywhere, everywhere = np.zeros_like(known), known.copy()
        for mask in masks.values():
            anywhere |= mask
            everywhere &= mask
        here = replace(self.cells, bar=self.cells.bar[part], values={}, known=known)
        kept = stored(here) if (anywhere & ~everywhere & self.stored[part]).any() else {}
        values = {bar_column(name): array[part] for name, array in self.cells.values.items()}
        for feature, mask in masks.items():
            before = kept.get(feature.key, np.full(known.shape, np.nan))
            values[feature.key] = self._computed(feature, start, mask, before)
            done.windows += int(mask.sum())
        frame = long_frame(here.panel(0, stop - start), values, anywhere)
        _count(done, frame)
        return frame

    def _touched(self, feature: Feature, start: int, stop: int) -> Mask:
        definition = definition_of(feature)
        begin = max(start - feature.lookback + 1, 0)
        changed = np.zeros((stop - begin, len(self.cells.markets)), dtype=np.bool_)
        for column in definition.inputs(feature):
            changed |= self.changed[column][begin:stop]
        if not definition.per_market:
            changed[:] = changed.any(axis=1, keepdims=True)
        return dilated(changed, feature.lookback)[start - begin :]

    def _computed(self, feature: Feature, start: int, mask: Mask, before: Array) -> Array:
        """Return `before` with the windows of `mask` computed; NaN where one is not known as a whole."""
        lookback = feature.lookback
        for first, last in _runs(np.flatnonzero(mask.any(axis=1)), lookback):
            begin = max(start + first - lookback + 1, 0)
            panel = self.cells.panel(begin, start + last + 1)
            whole = held(self.cells.known[begin : start + last + 1], lookback)
            fresh = np.where(whole, compute(panel, [feature])[feature], np.nan)[start + first - begin :]
            part = slice(first, last + 1)
            before[part] = np.where(mask[part], fresh, before[part])
        return before


def _runs(rows: NDArray[np.int64], apart: int) -> Iterator[tuple[int, int]]:
    """Yield first and last of rows that are less than `apart` from the next one."""
    if len(rows):
        edges = np.flatnonzero(np.diff(rows) >= apart)
        for first, last in zip([0, *(edges + 1)], [*edges, len(rows) - 1], strict=True):
            yield int(rows[first]), int(rows[last])


def _count(done: Update, frame: pl.DataFrame) -> None:
    done.rows += frame.height
    if frame.height:
        span = frame.select(first=pl.col("ts").min(), last=pl.col("ts").max())
        first, last = span.select(pl.all().dt.strftime("%Y-%m-%dT%H:%M:%SZ")).row(0)
        done.first = min(done.first or first, first)
        done.last = max(done.last or last, last)
