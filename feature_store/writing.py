"""One write in the making: new partitions and a new tail beside the old ones, visible to nobody yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store.atomic import write_bytes
from feature_store.manifest import FILE_NAME, Earlier, Manifest, Partition
from feature_store.partition import read_file, store_rows, sweep
from feature_store.rows import arrange, merge, months, revise
from feature_store.tail import next_generation, write_tail

__all__ = ["Inputs", "Writing", "as_frames", "folded"]

MAX_INPUTS: Final = 48
CHAIN: Final = "chain:"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Inputs = Sequence[str] | Mapping[str, Sequence[str]] | Callable[[pl.DataFrame], Sequence[str]]


class Writing:
    """Takes rows piece by piece; :meth:`finish` makes all of them visible at once.

    Parameters
    ----------
    folder : Path
        Of the dataset, locked.
    manifest : Manifest
        What is stored; without partitions when the dataset is new.
    tail : polars.DataFrame or None
        Rows of the stored tail.
    limit : int
        Rows that a tail may have; 0 puts every row into partitions.
    inputs : see :meth:`feature_store.FeatureStore.write`
    verified : callable
        Path of a partition whose bytes have been checked.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        tail: pl.DataFrame | None,
        limit: int,
        inputs: Inputs,
        verified: Callable[[Path, Partition | Earlier], Path],
    ) -> None:
        self._folder, self._manifest, self._limit = folder, manifest, limit
        self._stored_tail = self._tail = tail
        self._inputs, self._verified = inputs, verified
        self._parts = {part.month: part for part in manifest.partitions}

    @property
    def tail(self) -> pl.DataFrame | None:
        """Rows that are in no partition."""
        return self._tail

    def add(self, rows: pl.DataFrame) -> None:
        """Take arranged rows with the stored columns."""
        for month, part in months(self._without_tail(rows), time=self._manifest.time):
            self._update(month, part)

    def finish(self, metadata: Mapping[str, Any] | None) -> Manifest:
        """Replace what readers see, in one step, and remove what they no longer need."""
        stored = self._manifest
        result = replace(
            stored,
            partitions=tuple(self._parts[month] for month in sorted(self._parts)),
            metadata=stored.metadata if metadata is None else dict(metadata),
        )
        path = self._folder / FILE_NAME
        same = path.exists() and (result == stored or path.read_bytes() == result.to_bytes())
        if self._tail is not self._stored_tail:
            if not same:
                result = replace(result, generation=next_generation(self._folder))
            if self._tail is not None:
                write_tail(self._folder, result.generation, self._tail)
        if not same:
            write_bytes(path, result.to_bytes())
        sweep(self._folder, result)
        return result

    def _without_tail(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Put what is new into the tail, as far as it has room; return the rows for partitions."""
        if not self._limit or not self._parts:
            return self._drained(rows)
        last = max(datetime.fromisoformat(part.last) for part in self._parts.values())
        # As numbers: an expression with a timestamp in it costs a millisecond to make.
        later = rows[self._manifest.time].to_physical() > (last - _EPOCH) // timedelta(microseconds=1)
        if not later.any():
            return rows
        fresh, late = rows.filter(later), rows.filter(~later)
        merged = self._with_tail(fresh)
        if merged is None:
            return late
        if merged.is_empty():
            return self._drained(rows)
        if merged.height <= self._limit:
            self._tail = merged
            return late
        self._tail = None
        return self._arranged([late, merged])

    def _with_tail(self, fresh: pl.DataFrame) -> pl.DataFrame | None:
        """Return the tail with `fresh` rows; None: nothing new; empty: there are revisions.

        A tail has one row per key: where rows know their arrival, revised ones are kept beside partitions.
        """
        keys = [self._manifest.entity, self._manifest.time]
        tail, known = self._tail, self._manifest.known
        if known is None:
            return fresh if tail is None else merge(tail, fresh, entity=keys[0], time=keys[1])
        if tail is not None and fresh[keys[1]].min() <= tail[keys[1]].max():  # type: ignore[operator]
            values = [column for column in tail.columns if column != known]
            said = tail.rename({known: "_known"})
            matched = fresh.join(said, on=values, how="left", nulls_equal=True, maintain_order="left")
            new = pl.col("_known").is_null() | (pl.col(known) < pl.col("_known"))
            fresh = matched.filter(new).select(tail.columns)
            if fresh.is_empty():
                return None
            if fresh.join(tail, on=keys, how="semi").height:
                return tail.clear()
        if fresh.height > 1 and fresh.select(keys).is_duplicated().any():
            return fresh.clear()
        return fresh if tail is None else pl.concat([tail, fresh]).sort(keys)

    def _drained(self, rows: pl.DataFrame) -> pl.DataFrame:
        if self._tail is None:
            return rows
        tail, self._tail = self._tail, None
        return self._arranged([tail, rows])

    def _arranged(self, frames: list[pl.DataFrame]) -> pl.DataFrame:
        manifest = self._manifest
        return arrange(pl.concat(frames), entity=manifest.entity, time=manifest.time, known=manifest.known)

    def _update(self, month: str, rows: pl.DataFrame) -> None:
        old = self._parts.get(month)
        before = rows.clear() if old is None else read_file(self._verified(self._folder, old))
        earlier = None if old is None else self._earlier(old)
        merged = self._merged(before, earlier, rows)
        if merged is None:
            return
        rows, replaced = merged
        if callable(self._inputs):
            inputs = tuple(self._inputs(rows))
        else:
            added = self._inputs.get(month, ()) if isinstance(self._inputs, Mapping) else self._inputs
            inputs = folded([*(old.inputs if old else ()), *added])
        self._parts[month] = store_rows(self._folder, month, rows, self._manifest.time, inputs, replaced)

    def _merged(
        self, stored: pl.DataFrame, earlier: pl.DataFrame | None, rows: pl.DataFrame
    ) -> tuple[pl.DataFrame, pl.DataFrame | None] | None:
        entity, time, known = self._manifest.entity, self._manifest.time, self._manifest.known
        if known is not None:
            return revise(stored, earlier, rows, entity=entity, time=time, known=known)
        if stored.is_empty():
            return rows, None
        merged = merge(stored, rows, entity=entity, time=time)
        return None if merged is None else (merged, None)

    def _earlier(self, part: Partition) -> pl.DataFrame | None:
        if part.earlier is None:
            return None
        return read_file(self._verified(self._folder, part.earlier))


def folded(inputs: Sequence[str]) -> tuple[str, ...]:
    """Return hashes without repeats; the oldest beyond a bound become one, ``chain:`` and their SHA-256.

    A month that grows by a bar an hour would have hundreds, and every manifest would carry them for ever.
    """
    distinct = list(dict.fromkeys(inputs))
    while len(distinct) > MAX_INPUTS:
        first, second, *rest = distinct
        chain = hashlib.sha256(f"{first}\n{second}".encode()).hexdigest()
        distinct = [f"{CHAIN}{chain}", *rest]
    return tuple(distinct)


def as_frames(frames: pl.DataFrame | Iterable[pl.DataFrame]) -> Iterable[pl.DataFrame]:
    """Return frames one by one, whether one or many were given."""
    return [frames] if isinstance(frames, pl.DataFrame) else frames
