"""One write in the making: new partitions and a new tail beside the old ones, visible to nobody yet."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from feature_store.atomic import write_bytes
from feature_store.manifest import FILE_NAME, Manifest, Partition
from feature_store.partition import read_file, store_rows, sweep
from feature_store.rows import arrange, merge, months
from feature_store.tail import next_generation, write_tail

__all__ = ["Inputs", "Writing", "as_frames"]

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
        verified: Callable[[Path, Partition], Path],
    ) -> None:
        self._folder, self._manifest, self._limit = folder, manifest, limit
        self._stored_tail = self._tail = tail
        self._inputs, self._verified = inputs, verified
        self._parts = {part.month: part for part in manifest.partitions}

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
        same = path.exists() and path.read_bytes() == result.to_bytes()
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
        manifest = self._manifest
        keys = {"entity": manifest.entity, "time": manifest.time, "known": manifest.known}
        if not self._limit or not self._parts:
            if self._tail is None:
                return rows
            tail, self._tail = self._tail, None
            return arrange(pl.concat([tail, rows]), **keys)  # type: ignore[arg-type]
        last = max(datetime.fromisoformat(part.last) for part in self._parts.values())
        fresh = rows.filter(pl.col(manifest.time) > last)
        if fresh.is_empty():
            return rows
        late = rows.filter(pl.col(manifest.time) <= last)
        merged = fresh if self._tail is None else merge(self._tail, fresh, **keys)  # type: ignore[arg-type]
        if merged is None:
            return late
        if merged.height <= self._limit:
            self._tail = merged
            return late
        self._tail = None
        return arrange(pl.concat([late, merged]), **keys)  # type: ignore[arg-type]

    def _update(self, month: str, rows: pl.DataFrame) -> None:
        manifest, old = self._manifest, self._parts.get(month)
        if old is not None:
            before = read_file(self._verified(self._folder, old))
            merged = merge(before, rows, entity=manifest.entity, time=manifest.time, known=manifest.known)
            if merged is None:
                return
            rows = merged
        if callable(self._inputs):
            inputs = tuple(self._inputs(rows))
        else:
            added = self._inputs.get(month, ()) if isinstance(self._inputs, Mapping) else self._inputs
            inputs = tuple(dict.fromkeys([*(old.inputs if old else ()), *added]))
        self._parts[month] = store_rows(self._folder, month, rows, manifest.time, inputs)


def as_frames(frames: pl.DataFrame | Iterable[pl.DataFrame]) -> Iterable[pl.DataFrame]:
    """Return frames one by one, whether one or many were given."""
    return [frames] if isinstance(frames, pl.DataFrame) else frames
