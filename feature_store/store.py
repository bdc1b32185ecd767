"""Keyed datasets in Parquet by month, opened by name from a manifest that is replaced last."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store.atomic import exclusive
from feature_store.errors import CorruptFileError, StoreError
from feature_store.manifest import FILE_NAME, Manifest, load_manifest, schema_of
from feature_store.partition import conform, read_file, read_tail
from feature_store.rows import arrange, known_by
from feature_store.tail import next_generation, tail_of
from feature_store.verified import Verified, select
from feature_store.writing import Inputs, Writing, as_frames

__all__ = ["FeatureStore"]

_DATASET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@=-]*(/[A-Za-z0-9][A-Za-z0-9_.@=-]*)*")


class FeatureStore:
    """Datasets under one root folder, each with one row per (entity, time).

    A dataset is a folder with ``manifest.json`` and one Parquet file per month (zstd level 3; all entities in
    it, sorted by entity, then time). A write puts new files beside the old ones and replaces the manifest
    last, under a lock: whoever reads sees the dataset before or after it, whoever dies leaves one of the two.

    Parameters
    ----------
    root : Path
        Folder of the store; made on the first write.

    Examples
    --------
    >>> import tempfile
    >>> from datetime import UTC, datetime
    >>> days = [datetime(2024, 1, 31, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)]
    >>> frame = pl.DataFrame({"ts": days, "name": ["a", "a"], "x": [1.0, 2.0]})
    >>> store = FeatureStore(Path(tempfile.mkdtemp()))
    >>> manifest = store.write("demo", frame, entity="name", time="ts", inputs=["abc"])
    >>> [(part.month, part.rows, part.inputs) for part in manifest.partitions]
    [('2024-01', 1, ('abc',)), ('2024-02', 1, ('abc',))]
    >>> store.scan("demo", columns=["x"]).collect()["x"].to_list()
    [1.0, 2.0]
    >>> store.lineage("demo")[1]["inputs"]
    ['abc']
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._verified = Verified()
        self._tail: tuple[Path, pl.DataFrame | None] | None = None  # as this object wrote it

    def datasets(self) -> list[str]:
        """Return the names of all datasets, sorted."""
        found = self.root.glob(f"**/{FILE_NAME}")
        return sorted(path.parent.relative_to(self.root).as_posix() for path in found)

    def manifest(self, dataset: str) -> Manifest | None:
        """Return what is stored under a name; None if nothing is.

        Raises
        ------
        StoreError, CorruptFileError
            If the name could be a path out of the store; if the manifest is there and cannot be read.
        """
        return load_manifest(self.folder(dataset), dataset)

    def folder(self, dataset: str) -> Path:
        """Return the folder of a dataset, after checking that its name is one."""
        if not _DATASET.fullmatch(dataset):
            raise StoreError(
                f"dataset name {dataset!r} refused: expected parts separated by '/', each a letter or digit "
                "followed by letters, digits, '_', '.', '@', '=' or '-'"
            )
        return self.root / dataset

    def write(
        self,
        dataset: str,
        frame: pl.DataFrame | Iterable[pl.DataFrame],
        *,
        entity: str,
        time: str,
        known: str | None = None,
        inputs: Inputs = (),
        metadata: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        tail_rows: int = 0,
    ) -> Manifest:
        """Add rows to a dataset; what is there already changes no byte.

        A row for a stored (entity, time) replaces it when any value differs, except when `known` says that
        the stored one arrived later. Within `frame` the last of repeated rows wins, and with `known` the
        latest. What was replaced stays recorded in a dataset with `known`: see :meth:`as_of`.

        Parameters
        ----------
        dataset : str
            Name, parts separated by ``/``.
        frame : polars.DataFrame, or iterable of such
            `time` as ``Datetime("us", "UTC")``, `entity`, and value columns; columns and types of an existing
            dataset must be the same. Of several frames, made one by one, readers see all or none.
        entity, time : str
            Key columns.
        known : str, optional
            Column with the time at which a row became known. It is stored, not compared: a row that arrives
            again keeps its first arrival. Writes come in the order of it; a straggler known earlier is put
            in its place, but a repetition that was dropped before it cannot come back.
        inputs : sequence of str, mapping of month (``YYYY-MM``) to such, or callable
            Hashes of what the rows were made from; added to each partition that changes. A callable gets all
            rows of such a partition and returns the hashes that it has from then on.
        metadata : mapping, optional
            JSON values to remember; replaces what is stored, None keeps it.
        overwrite : bool
            Drop the stored rows, columns and inputs first (for the reader, in one step).
        tail_rows : int
            Rows later than all partitions are kept in one small file while they are no more than this; then
            they are moved into partitions. 0 moves them at once.

        Returns
        -------
        Manifest
            Of the dataset after the write; the rows of the tail are not in its partitions. On any error
            (StoreError, CorruptFileError, StoreLockedError) nothing was changed.
        """
        folder = self.folder(dataset)
        with exclusive(folder):
            stored = None if overwrite else load_manifest(folder, dataset)
            writing: Writing | None = None
            for each in as_frames(frame):
                offered = Manifest(dataset, entity, time, known, schema_of(each))
                rows = arrange(each, entity=entity, time=time, known=known)
                if writing is None:
                    tail = None if stored is None else self._known_tail(folder, stored)
                    stored = stored or replace(offered, generation=next_generation(folder))
                    writing = Writing(folder, stored, tail, tail_rows, inputs, self._verified.path)
                writing.add(conform(rows, stored or offered, offered))
            if writing is None:
                raise StoreError(f"dataset {dataset}: no frame to write")
            result = writing.finish(metadata)
            newest = tail_of(folder, result.generation) if writing.tail is not None else None
            self._tail = None if newest is None else (folder / newest.file, writing.tail)
            return result

    def compact(self, dataset: str, *, inputs: Inputs = ()) -> Manifest:
        """Move the rows of the tail into partitions."""
        manifest = self._existing(dataset)
        keys = {"entity": manifest.entity, "time": manifest.time, "known": manifest.known}
        nothing = self.scan(dataset).head(0).collect()
        return self.write(dataset, nothing, inputs=inputs, **keys)  # type: ignore[arg-type]

    def tail(self, dataset: str) -> pl.DataFrame | None:
        """Return the rows that are not in partitions yet; None if there are none."""
        return read_tail(self.folder(dataset), self._existing(dataset))

    def scan(
        self,
        dataset: str,
        *,
        columns: Sequence[str] | None = None,
        entities: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        earlier: bool = False,
    ) -> pl.LazyFrame:
        """Return rows lazily: by month, within it by entity, then time.

        Parameters
        ----------
        columns, entities : sequence of str, optional
            Default: all.
        start, end : datetime, optional
            ``start <= time < end``, timezone-aware. Months outside are not opened.
        earlier : bool
            Whether the rows that later ones replaced come as well, in no order.

        Raises
        ------
        StoreError, CorruptFileError
            If there is no such dataset; if a file is missing or its bytes are not those the manifest names.
        """
        manifest, paths = self._verified_files(dataset, start, end, earlier=earlier)
        # Where no month overlaps a span any file has the schema, and filters leave no row of it.
        paths = paths or self.files(dataset)[:1]
        return select(paths, manifest, columns=columns, entities=entities, start=start, end=end)

    def as_of(
        self,
        dataset: str,
        instant: datetime,
        *,
        columns: Sequence[str] | None = None,
        entities: Sequence[str] | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> pl.LazyFrame:
        """Return the rows as they were known at `instant` (inclusive): none that came later, none revised.

        Parameters
        ----------
        instant : datetime
            Timezone-aware.
        columns, entities, start, end
            See :meth:`scan`; the rows come sorted by entity, then time.

        Raises
        ------
        StoreError
            If the dataset does not record when its rows became known.
        """
        manifest = self._existing(dataset)
        if manifest.known is None:
            raise StoreError(f"dataset {dataset} does not record when its rows became known; scan it instead")
        entity, time, known = manifest.entity, manifest.time, manifest.known
        wanted = None if columns is None else list(dict.fromkeys([entity, time, known, *columns]))
        rows = self.scan(dataset, columns=wanted, entities=entities, start=start, end=end, earlier=True)
        past = rows.filter(pl.col(known) <= instant).collect()
        found = known_by(past, instant, entity=entity, time=time, known=known)
        return found.lazy() if columns is None else found.lazy().select(list(columns))

    def files(
        self, dataset: str, *, start: datetime | None = None, end: datetime | None = None
    ) -> list[Path]:
        """Return the verified Parquet files that hold a span of time, for other readers of Parquet."""
        return self._verified_files(dataset, start, end)[1]

    def entities(self, dataset: str) -> list[str]:
        """Return all entities of a dataset, sorted."""
        manifest = self._existing(dataset)
        found = self.scan(dataset, columns=[manifest.entity]).unique().collect()
        return sorted(found[manifest.entity].to_list())

    def lineage(self, dataset: str) -> list[dict[str, Any]]:
        """Return what each partition was made from: ``month``, ``sha256`` of its file, ``rows``, ``inputs``.

        `inputs` are the hashes that writes gave. Rows that still lie in the tail are in no partition.
        """
        return [
            {"month": part.month, "sha256": part.sha256, "rows": part.rows, "inputs": list(part.inputs)}
            for part in self._existing(dataset).partitions
        ]

    def verify(self, dataset: str) -> None:
        """Read every file again; CorruptFileError names the first that differs from the manifest."""
        manifest = self._existing(dataset)
        self._verified.forget()
        self.tail(dataset)
        for part in manifest.partitions:
            frame = read_file(self._verified.path(self.folder(dataset), part))
            if part.earlier is not None:
                read_file(self._verified.path(self.folder(dataset), part.earlier))
            if frame.height != part.rows or schema_of(frame) != dict(manifest.schema):
                raise CorruptFileError(f"{self.folder(dataset) / part.file} and its manifest disagree")

    def _existing(self, dataset: str) -> Manifest:
        manifest = self.manifest(dataset)
        if manifest is None or not manifest.partitions:
            raise StoreError(f"nothing is stored under {self.folder(dataset)}")
        return manifest

    def _known_tail(self, folder: Path, manifest: Manifest) -> pl.DataFrame | None:
        newest = tail_of(folder, manifest.generation)
        if newest is not None and self._tail is not None and self._tail[0] == folder / newest.file:
            return self._tail[1]
        return read_tail(folder, manifest)

    def _verified_files(
        self, dataset: str, start: datetime | None, end: datetime | None, *, earlier: bool = False
    ) -> tuple[Manifest, list[Path]]:
        """Return the manifest in force and the files with rows of a span, their bytes compared."""
        manifest = self._existing(dataset)
        folder = self.folder(dataset)
        while True:
            tail = tail_of(folder, manifest.generation)
            try:
                paths = self._verified.paths(folder, manifest, tail, start, end, earlier=earlier)
            except CorruptFileError:
                # A writer may have replaced the manifest and removed the old files since it was read.
                newer = self._existing(dataset)
                if newer == manifest and tail == tail_of(folder, manifest.generation):
                    raise
                manifest = newer
                continue
            newer = manifest if tail is not None else self._existing(dataset)
            if newer == manifest:
                return manifest, paths
            manifest = newer  # what was looked for as a tail may have become a partition meanwhile
