"""Features on disk: one dataset per feature and timeframe, under a key that its code is part of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.core.errors import DataError
from lab.core.feature import Feature
from lab.core.hashing import digest
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.features.code import code_digest
from lab.features.compute import compute
from lab.features.definition import definition_of

__all__ = ["FeatureFiles", "Verification", "dataset_name"]

Array = NDArray[np.float64]
_SHOWN: Final = 16


class Store(Protocol):
    """What is needed of :class:`feature_store.FeatureStore`."""

    def write(
        self,
        dataset: str,
        frame: pl.DataFrame,
        *,
        entity: str,
        time: str,
        inputs: Mapping[str, list[str]],
        metadata: Mapping[str, Any],
        overwrite: bool,
    ) -> Any: ...

    def scan(
        self, dataset: str, *, entities: list[str] | None, start: datetime | None, end: datetime | None
    ) -> pl.LazyFrame: ...

    def manifest(self, dataset: str) -> Any: ...

    def lineage(self, dataset: str) -> list[dict[str, Any]]: ...


@dataclass(frozen=True, slots=True)
class Verification:
    """Stored values against values computed again: rows compared, rows that differ, the first of them."""

    rows: int
    mismatches: int
    first: str | None


def dataset_name(feature: Feature, timeframe: Timeframe, markets: Iterable[str] = ()) -> str:
    """Return where a feature is stored: timeframe, name, and a key of definition, parameters and code.

    A feature over the universe at one time is another feature for other `markets`.

    Examples
    --------
    >>> from lab.features import mean
    >>> dataset_name(mean("close", 20), Timeframe.parse("1d")).rpartition("/")[0]
    '1d/mean'
    """
    definition = definition_of(feature)
    universe = [] if definition.per_market else sorted(markets)
    key = digest([feature.digest, code_digest(definition), universe])
    return f"{timeframe}/{feature.name}/{key[:_SHOWN]}"


class FeatureFiles:
    """Writes and reads features of panels through a :class:`feature_store.FeatureStore`.

    A stored row is ``ts, market, value``. Only rows for which the panel held the whole lookback are written,
    so that a row never depends on how much history the writer had: adding bars to a dataset gives the same
    rows as building it anew.

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
    >>> files.update(panel.rows(0, 3), [mean("close", 2)])
    >>> files.update(panel.rows(2, 4), [mean("close", 2)])
    >>> files.read(panel, [mean("close", 2)])[mean("close", 2)][:, 0]
    array([nan, 1.5, 3. , 6. ])
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def update(self, panel: Panel, features: Iterable[Feature]) -> None:
        """Bring the datasets of `features` up to the last bar of `panel`; equal rows change no byte.

        Parameters
        ----------
        panel : Panel
            Bars from ``lookback - 1`` bars before the first new, late or revised one on, up to the last
            stored one at least: a revised bar then reaches every window that holds it.

        Raises
        ------
        DataError
            If the panel begins too late to continue a dataset, or ends before it.
        """
        computed = compute(panel, features)
        for feature in dict.fromkeys(features):
            self._write(computed, feature, overwrite=False)

    def rebuild(self, panel: Panel, features: Iterable[Feature]) -> None:
        """Write the datasets of `features` anew from `panel`, whatever was stored."""
        computed = compute(panel, features)
        for feature in dict.fromkeys(features):
            self._write(computed, feature, overwrite=True)

    def scan(self, feature: Feature, timeframe: Timeframe, markets: Iterable[str] = ()) -> pl.LazyFrame:
        """Return the stored rows ``ts, market, value`` of a feature; of some markets if any are named."""
        names = list(markets)
        dataset = dataset_name(feature, timeframe, names)
        return self.store.scan(dataset, entities=names or None, start=None, end=None)

    def read(self, panel: Panel, features: Iterable[Feature]) -> Panel:
        """Return `panel` with stored features, unchecked (see :meth:`verify`); NaN where no row is stored."""
        return panel.with_fields({feature: self._stored(panel, feature) for feature in features})

    def verify(self, panel: Panel, feature: Feature) -> Verification:
        """Compare stored rows with those computed again from `panel`, to the last bit."""
        fresh = compute(panel, [feature])[feature]
        stored = self._stored(panel, feature)
        warm = slice(feature.lookback - 1, None)
        differ = fresh.view(np.int64) != stored.view(np.int64)
        differ &= ~(np.isnan(fresh) & np.isnan(stored))
        at = np.argwhere(differ[warm])
        first = None
        if len(at):
            row, column = int(at[0, 0]) + feature.lookback - 1, int(at[0, 1])
            first = f"{panel.markets[column]} at {np.datetime_as_string(panel.ts[row], unit='m')}Z"
        return Verification(int(differ[warm].size), len(at), first)

    def lineage(self, feature: Feature, timeframe: Timeframe, markets: Iterable[str] = ()) -> dict[str, Any]:
        """Return what a dataset was made from: feature, code hash, and per month the hashes of its bars."""
        dataset = dataset_name(feature, timeframe, markets)
        manifest = self.store.manifest(dataset)
        if manifest is None:
            raise DataError(f"feature {feature} on {timeframe} is not stored; run 'mnemo features build'")
        metadata = {key: value for key, value in manifest.metadata.items() if key != "last"}
        return {"dataset": dataset, **metadata, "partitions": self.store.lineage(dataset)}

    def _write(self, panel: Panel, feature: Feature, *, overwrite: bool) -> None:
        start = feature.lookback - 1
        if len(panel) <= start:
            raise DataError(
                f"feature {feature}: {len(panel)} bars found, {feature.lookback} needed for a row"
            )
        dataset = dataset_name(feature, panel.timeframe, panel.markets)
        manifest = None if overwrite else self.store.manifest(dataset)
        last: dict[str, int] = dict(manifest.metadata["last"]) if manifest else {}
        for market in panel.markets:
            _check_continues(panel, feature, market, last.get(market))
        rows = panel.rows(start, len(panel))
        frame = rows.to_frame(rows[feature], "value")
        definition = definition_of(feature)
        metadata = {
            "feature": feature.key,
            "lookback": feature.lookback,
            "code": code_digest(definition),
            "last": last | dict.fromkeys(panel.markets, int(panel.bar[-1])),
        }
        self.store.write(
            dataset,
            frame,
            entity="market",
            time="ts",
            inputs=_inputs(panel, feature),
            metadata=metadata,
            overwrite=overwrite,
        )

    def _stored(self, panel: Panel, feature: Feature) -> Array:
        values = np.full(panel.shape, np.nan)
        dataset = dataset_name(feature, panel.timeframe, panel.markets)
        if len(panel) and self.store.manifest(dataset) is not None:
            first, beyond = (panel.timeframe.open_time(int(n)) for n in (panel.bar[0], panel.bar[-1] + 1))
            frame = self.store.scan(dataset, entities=list(panel.markets), start=first, end=beyond).collect()
            row = panel.timeframe.numbers(frame["ts"].to_numpy()) - panel.bar[0]
            column = {market: index for index, market in enumerate(panel.markets)}
            at = frame["market"].replace_strict(column, return_dtype=pl.Int64).to_numpy()
            values[row, at] = frame["value"].to_numpy()
        return values


def _check_continues(panel: Panel, feature: Feature, market: str, last: int | None) -> None:
    if last is None:
        return
    stored = (
        f"feature {feature} of {market} is stored up to {panel.timeframe.open_time(last):%Y-%m-%d %H:%M}Z"
    )
    first = int(panel.bar[0]) + feature.lookback - 1
    if first > last + 1:
        late = panel.timeframe.open_time(last + 2 - feature.lookback)
        raise DataError(
            f"{stored}; bars from {late:%Y-%m-%d %H:%M}Z on are needed to continue, found {panel.ts[0]}Z"
        )
    if int(panel.bar[-1]) < last:
        raise DataError(f"{stored}, the bars end at {panel.ts[-1]}Z; give all later bars too, or rebuild")


def _inputs(panel: Panel, feature: Feature) -> dict[str, list[str]]:
    """Return, per month, the hash of the bars that its rows were computed from."""
    columns = definition_of(feature).inputs(feature)
    month = panel.ts.astype("datetime64[M]")
    out: dict[str, list[str]] = {}
    for each in np.unique(month[feature.lookback - 1 :]):
        at = np.flatnonzero(month == each)
        rows = slice(max(int(at[0]) - feature.lookback + 1, 0), int(at[-1]) + 1)
        text = hashlib.sha256(digest([list(columns), list(panel.markets)]).encode())
        text.update(panel.bar[rows].tobytes())
        for column in columns:
            text.update(panel[column][rows].tobytes())
        out[str(each)] = [text.hexdigest()]
    return out
