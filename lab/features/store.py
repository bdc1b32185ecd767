"""Features on disk: tables of bars and what was computed from them, under a key that the code is part of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import DataError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features.change import Cells, Change, Update
from lab.features.code import code_digest
from lab.features.compute import compute
from lab.features.definition import definition_of
from lab.features.table import Store, Table, bar_column, bars_digest, differs

__all__ = ["FeatureFiles", "Update", "Verification"]

Array = NDArray[np.float64]
# New rows are kept in one small file while they are no more than this: 80 bars of 50 markets.
TAIL_ROWS: Final = 4_096
_BUILD: Final = "run 'mnemo features build CONFIG'"


@dataclass(frozen=True, slots=True)
class Verification:
    """Stored rows against rows computed again: values compared, values that differ, the first of them."""

    rows: int
    mismatches: int
    first: str | None


class FeatureFiles:
    """Writes and reads features of panels through a :class:`feature_store.FeatureStore`.

    Features that are computed from the same bars lie in one table: a row per market and bar, with the bars
    that were read (``bar:close``, …) and a column per feature. Since the bars are there, an update finds by
    comparison which of them are new, late or revised, and computes exactly the windows that hold one of them
    again: adding bars in whatever pieces and order gives the rows of a table built anew. A window that is not
    known as a whole has NaN.

    Parameters
    ----------
    store : feature_store.FeatureStore
        Normally with the root ``data/features``.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from feature_store import FeatureStore
    >>> from lab.features import mean
    >>> day = Timeframe.parse("1d")
    >>> bar = np.arange(20_000, 20_004)
    >>> close = np.array([[1.0], [2.0], [4.0], [8.0]])
    >>> panel = Panel(day, bar, day.open_times(bar), ("binance:BTC/USDT",), {"close": close})
    >>> files = FeatureFiles(FeatureStore(Path(tempfile.mkdtemp())))
    >>> files.update(panel.rows(0, 3), [mean("close", 2)]).windows
    3
    >>> files.update(panel.rows(3, 4), [mean("close", 2)]).windows
    1
    >>> files.read(panel, [mean("close", 2)])[mean("close", 2)][:, 0]
    array([nan, 1.5, 3. , 6. ])
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def update(
        self, panel: Panel, features: Iterable[Feature], *, source: Mapping[str, Any] | None = None
    ) -> Update:
        """Bring the table of `features` up to the bars of `panel`; bars that are stored already cost nothing.

        Parameters
        ----------
        panel : Panel
            Any bars: new, late and revised ones are told from known ones here. Earlier bars that windows need
            are taken from the table.
        features : iterable of Feature
            The same as in earlier updates of the table.
        source : mapping, optional
            What the bars were read from, to be remembered; None keeps what is stored.

        Raises
        ------
        DataError
            If there are bars between the stored ones and those of `panel` that neither holds, or the panel
            lacks a column.
        """
        table = Table.of(features, panel.timeframe, panel.markets)
        manifest = self.store.manifest(table.name)
        cells = Cells.of(panel, table.columns)
        stored = self._cells(table, cells.widened(1, 1), manifest)
        self._check_continues(table, cells, stored, manifest)
        change = Change.between(cells, stored)
        before, after = change.missing(table.lookback)
        # Stored bars of a market have no gap: without one beside those given there is none farther away.
        before, after = before * bool(stored.known[0].any()), after * bool(stored.known[-1].any())
        if before or after:
            around = self._cells(table, cells.widened(before, after), manifest)
            change = Change.between(cells.laid_over(around), around)
        return self._write(table, change, manifest, panel.markets, source, overwrite=False)

    def rebuild(
        self, panel: Panel, features: Iterable[Feature], *, source: Mapping[str, Any] | None = None
    ) -> Update:
        """Write the table of `features` anew from `panel`, whatever was stored."""
        table = Table.of(features, panel.timeframe, panel.markets)
        cells = Cells.of(panel, table.columns)
        change = Change.between(cells, cells.unknown())
        return self._write(table, change, None, panel.markets, source, overwrite=True)

    def scan(self, feature: Feature, timeframe: Timeframe, markets: Iterable[str] = ()) -> pl.LazyFrame:
        """Return the stored rows ``ts, market, value`` of a feature; of some markets if any are named."""
        names = list(markets)
        dataset = self._find(feature, timeframe, names)
        rows = self.store.scan(dataset, columns=["market", "ts", feature.key], entities=names or None)
        return rows.select("ts", "market", pl.col(feature.key).alias("value"))

    def read(self, panel: Panel, features: Iterable[Feature]) -> Panel:
        """Return `panel` with stored features.

        Raises
        ------
        DataError
            If a feature is not stored, has no row for a bar of `panel`, or was computed from another version
            of it.
        """
        fields: dict[str | Feature, Array] = {}
        for dataset, wanted in self._by_dataset(features, panel.timeframe, panel.markets).items():
            table = Table.of(wanted, panel.timeframe, panel.markets)
            cells = Cells.of(panel, table.columns)
            columns = [*map(bar_column, table.columns), *(feature.key for feature in wanted)]
            found = self._read(dataset, cells, columns)
            for feature in wanted:
                _check_current(feature, cells, found)
                fields[feature] = found.values[feature.key]
        return panel.with_fields(fields)

    def verify(self, panel: Panel, features: Iterable[Feature]) -> Verification:
        """Compare stored bars and features with `panel` and what is computed from it, to the last bit."""
        compared = mismatches = 0
        first: str | None = None
        for dataset, wanted in self._by_dataset(features, panel.timeframe, panel.markets).items():
            cells = Cells.of(panel, ())
            found = self._read(dataset, cells, [feature.key for feature in wanted])
            for feature in wanted:
                fresh = compute(panel, [feature])[feature]
                warm = slice(feature.lookback - 1, None)
                differ = differs(fresh, found.values[feature.key])[warm] | ~found.known[warm]
                at = np.argwhere(differ)
                if len(at) and first is None:
                    row, column = int(at[0, 0]) + feature.lookback - 1, int(at[0, 1])
                    first = f"{feature} of {cells.cell(row, column)}"
                compared, mismatches = compared + differ.size, mismatches + len(at)
        return Verification(compared, mismatches, first)

    def lineage(self, feature: Feature, timeframe: Timeframe, markets: Iterable[str] = ()) -> dict[str, Any]:
        """Return what a feature was made from: definition, code hash, and per month the hash of its bars.

        The last partition may be ``tail``: the newest rows. Windows that reach back into an earlier month
        read its bars too: ``lookback`` says how far.
        """
        return self.origin(self._find(feature, timeframe, markets), feature.key)

    def origin(self, dataset: str, key: str) -> dict[str, Any]:
        """Return the lineage of a dataset's column, whatever code computed it."""
        metadata = dict(self.store.manifest(dataset).metadata)
        entries = {entry["feature"]: entry for entry in metadata.pop("features")}
        partitions = self.store.lineage(dataset)
        tail = self.store.tail(dataset)
        if tail is not None:
            entry = {"month": "tail", "sha256": None, "rows": tail.height, "inputs": bars_digest(tail)}
            partitions.append(entry)
        return {"dataset": dataset, **entries[key], **metadata, "partitions": partitions}

    def stored(self) -> list[dict[str, Any]]:
        """Return a row per stored feature: what its manifest says of it, its dataset and its timeframe."""
        return [
            {"dataset": dataset, "timeframe": manifest.metadata["timeframe"], **entry}
            for dataset in self.store.datasets()
            for manifest in [self.store.manifest(dataset)]
            for entry in manifest.metadata.get("features", ())
        ]

    def table(self, features: Iterable[Feature], timeframe: Timeframe, markets: Iterable[str]) -> Any:
        """Return the manifest of the table of some features; None if it is not stored."""
        return self.store.manifest(Table.of(features, timeframe, markets).name)

    def _write(
        self,
        table: Table,
        change: Change,
        manifest: Any,
        markets: tuple[str, ...],
        source: Mapping[str, Any] | None,
        *,
        overwrite: bool,
    ) -> Update:
        old = {} if manifest is None else dict(manifest.metadata)
        origin = old.get("source") if source is None else dict(source)
        metadata = table.metadata(markets) | ({} if origin is None else {"source": origin})
        if not change.any and metadata == old:
            return Update(table.name)
        done = Update(table.name)

        def stored(cells: Cells) -> Mapping[str, Array]:
            return self._read(table.name, cells, [feature.key for feature in table.features]).values

        self.store.write(
            table.name,
            change.frames(table, stored, done),
            entity="market",
            time="ts",
            inputs=bars_digest,
            metadata=metadata,
            overwrite=overwrite,
            tail_rows=0 if overwrite else TAIL_ROWS,
        )
        return done

    def _cells(self, table: Table, wanted: Cells, manifest: Any) -> Cells:
        if manifest is None:
            return wanted.unknown()
        found = self._read(table.name, wanted, [bar_column(column) for column in table.columns])
        return found.renamed(dict(zip(map(bar_column, table.columns), table.columns, strict=True)))

    def _read(self, dataset: str, wanted: Cells, columns: list[str]) -> Cells:
        start, end = (wanted.timeframe.open_time(int(n)) for n in (wanted.bar[0], wanted.bar[-1] + 1))
        rows = self.store.scan(dataset, columns=["market", "ts", *columns], start=start, end=end).collect()
        return wanted.filled(rows, columns)

    def _find(self, feature: Feature, timeframe: Timeframe, markets: Iterable[str]) -> str:
        return next(iter(self._by_dataset([feature], timeframe, markets)))

    def _by_dataset(
        self, features: Iterable[Feature], timeframe: Timeframe, markets: Iterable[str]
    ) -> dict[str, list[Feature]]:
        """Return the datasets with the latest rows of features, computed by the present code."""
        names = [name for name in self.store.datasets() if name.startswith(f"{timeframe}/")]
        manifests = [(name, self.store.manifest(name)) for name in names]
        universe = sorted(markets)
        chosen: dict[str, list[Feature]] = {}
        for feature in dict.fromkeys(features):
            definition = definition_of(feature)
            code, found, outdated = code_digest(definition), [], False
            for name, manifest in manifests:
                for entry in manifest.metadata.get("features", ()):
                    same = definition.per_market or manifest.metadata.get("universe") == universe
                    if entry["feature"] == feature.key and same:
                        found += [(manifest.last, name)] if entry["code"] == code else []
                        outdated |= entry["code"] != code
            if not found:
                why = "was stored by other code than the present" if outdated else "is not stored"
                raise DataError(f"feature {feature} on {timeframe} {why}; {_BUILD}")
            chosen.setdefault(max(found)[1], []).append(feature)
        return chosen

    def _check_continues(self, table: Table, given: Cells, stored: Cells, manifest: Any) -> None:
        """Refuse bars that neither overlap nor adjoin the stored ones of their market."""
        apart = [market for column, market in enumerate(given.markets) if not stored.known[:, column].any()]
        if manifest is None or not apart:
            return
        rows = self.store.scan(table.name, columns=["market", "ts"], entities=apart)
        spans = rows.group_by("market").agg(first=pl.col("ts").min(), last=pl.col("ts").max()).collect()
        for market, first, last in spans.sort("market").iter_rows():
            begin, beyond = (given.timeframe.open_time(int(n)) for n in (given.bar[0], given.bar[-1] + 1))
            missing = last + table.timeframe.duration if last < begin else beyond
            upto = begin if last < begin else first
            raise DataError(
                f"features of {market} are stored from {first:%Y-%m-%d %H:%M}Z to {last:%Y-%m-%d %H:%M}Z, "
                f"the bars begin at {begin:%Y-%m-%d %H:%M}Z; bars from {missing:%Y-%m-%d %H:%M}Z to "
                f"{upto:%Y-%m-%d %H:%M}Z are needed to continue, or rebuild"
            )


def _check_current(feature: Feature, cells: Cells, found: Cells) -> None:
    for column in cells.values:
        there = ~np.isnan(cells.values[column])
        absent = np.argwhere(there & ~found.known)
        if len(absent):
            where = cells.cell(int(absent[0, 0]), int(absent[0, 1]))
            raise DataError(
                f"feature {feature} of {where}: no row is stored for {len(absent)} bars; {_BUILD}"
            )
        other = np.argwhere(differs(cells.values[column], found.values[bar_column(column)]) & found.known)
        if len(other):
            where = cells.cell(int(other[0, 0]), int(other[0, 1]))
            raise DataError(
                f"feature {feature} of {where}: stored from another {column} than the bar has now "
                f"({len(other)} bars differ: late or revised); {_BUILD}"
            )
