"""What is stored together: the features of one build, and the bars that they were computed from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.feature import Feature
from lab.core.hashing import digest
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features.code import code_digest
from lab.features.definition import definition_of

__all__ = ["Table", "bar_column", "bars_digest", "differs", "dilated", "held", "long_frame"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
_SHOWN: Final = 16
_BAR: Final = "bar:"


class Store(Protocol):
    """What is needed of :class:`feature_store.FeatureStore`."""

    def datasets(self) -> list[str]: ...

    def manifest(self, dataset: str) -> Any: ...

    def lineage(self, dataset: str) -> list[dict[str, Any]]: ...

    def tail(self, dataset: str) -> pl.DataFrame | None: ...

    def write(
        self,
        dataset: str,
        frame: pl.DataFrame | Iterable[pl.DataFrame],
        *,
        entity: str,
        time: str,
        inputs: Any,
        metadata: Mapping[str, Any],
        overwrite: bool,
        tail_rows: int,
    ) -> Any: ...

    def scan(
        self,
        dataset: str,
        *,
        columns: list[str] | None,
        entities: list[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pl.LazyFrame: ...


@dataclass(frozen=True, slots=True)
class Table:
    """The datasets' unit: features that are computed from the same bars and updated together.

    Parameters
    ----------
    name : str
        Of the dataset: timeframe, the feature's name (``set`` for several), and a key of definitions,
        parameters and code.
    features : tuple of Feature
        Each once, sorted by key; one column each.
    columns : tuple of str
        Columns of bars that they read, sorted. They are stored too, so that a bar which comes late or
        revised is noticed by comparison, and every row can be computed again.
    """

    name: str
    timeframe: Timeframe
    features: tuple[Feature, ...]
    columns: tuple[str, ...]

    @classmethod
    def of(cls, features: Iterable[Feature], timeframe: Timeframe, markets: Iterable[str] = ()) -> Table:
        """Return the table of some features; one over the universe is another one for other `markets`."""
        wanted = tuple(sorted(set(features), key=lambda feature: feature.key))
        definitions = [definition_of(feature) for feature in wanted]
        universe = [] if all(each.per_market for each in definitions) else sorted(markets)
        parts = [[each.digest, code_digest(made)] for each, made in zip(wanted, definitions, strict=True)]
        label = wanted[0].name if len(wanted) == 1 else "set"
        key = digest([str(timeframe), parts, universe])[:_SHOWN]
        reads = {
            column for made, each in zip(definitions, wanted, strict=True) for column in made.inputs(each)
        }
        return cls(f"{timeframe}/{label}/{key}", timeframe, wanted, tuple(sorted(reads)))

    @property
    def lookback(self) -> int:
        """Bars that a row depends on, the longest of its features."""
        return max(feature.lookback for feature in self.features)

    def metadata(self, markets: Iterable[str]) -> dict[str, Any]:
        """Return what the manifest remembers about the features."""
        entries = []
        for feature in self.features:
            definition = definition_of(feature)
            entries.append(
                {
                    "feature": feature.key,
                    "name": feature.name,
                    "version": feature.version,
                    "parameters": dict(feature.parameters),
                    "lookback": feature.lookback,
                    "reads": list(definition.inputs(feature)),
                    "per_market": definition.per_market,
                    "code": code_digest(definition),
                }
            )
        alone = all(entry["per_market"] for entry in entries)
        universe = {} if alone else {"universe": sorted(markets)}
        return {"timeframe": str(self.timeframe), "features": entries, **universe}


def bar_column(column: str) -> str:
    """Return the name under which a column of bars is stored beside features."""
    return f"{_BAR}{column}"


def bars_digest(rows: pl.DataFrame) -> list[str]:
    """Return the hash of the bars in rows of a table: of market, time and all columns of bars, to the bit."""
    columns = sorted(name for name in rows.columns if name.startswith(_BAR))
    markets = rows["market"].rle().struct.unnest()
    text = hashlib.sha256(digest([columns, markets["value"].to_list(), markets["len"].to_list()]).encode())
    text.update(rows["ts"].to_physical().to_numpy().tobytes())
    for column in columns:
        text.update(rows[column].to_numpy().tobytes())
    return [text.hexdigest()]


def differs(left: Array, right: Array) -> Mask:
    """Return where numbers differ in any bit; NaN equals NaN."""
    unequal = np.ascontiguousarray(left).view(np.int64) != np.ascontiguousarray(right).view(np.int64)
    return np.asarray(unequal & ~(np.isnan(left) & np.isnan(right)))


def dilated(changed: Mask, lookback: int) -> Mask:
    """Return the rows whose window of `lookback` rows holds a changed one."""
    rows = np.arange(len(changed))[:, None]
    last = np.maximum.accumulate(np.where(changed, rows, -lookback), axis=0)
    return np.asarray(rows - last < lookback)


def held(known: Mask, lookback: int) -> Mask:
    """Return the rows whose window of `lookback` rows is known as a whole."""
    rows = np.arange(len(known))[:, None]
    last = np.maximum.accumulate(np.where(known, -1, rows), axis=0)
    return np.asarray(rows - last >= lookback)


def long_frame(panel: Panel, values: dict[str, Array], where: Mask) -> pl.DataFrame:
    """Return the cells of (T, N) arrays that `where` names as rows ``market, ts, …``, sorted by both."""
    order = np.argsort(np.array(panel.markets))
    column, row = np.nonzero(where[:, order].T)
    flat = row * len(panel.markets) + order[column]
    return pl.DataFrame(
        {
            "market": pl.Series(panel.markets, dtype=pl.String).gather(order[column]),
            "ts": pl.Series(panel.ts[row]).dt.replace_time_zone("UTC"),
            **{name: _canonical(array.reshape(-1)[flat]) for name, array in values.items()},
        }
    )


def _canonical(values: Array) -> Array:
    """Give every NaN the same bits, so that equal rows give equal files."""
    values[np.isnan(values)] = np.nan
    return values
