"""What a dataset holds, as one JSON file: keys, schema, range and, per partition, checksum and inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import polars as pl

from feature_store.errors import CorruptFileError, StoreError

__all__ = ["SCHEMA_VERSION", "Earlier", "Manifest", "Partition", "load_manifest", "schema_of"]

SCHEMA_VERSION: Final = 2
FILE_NAME: Final = "manifest.json"
# Version 1 had neither tails nor replaced rows: it is read as a dataset that has none, and the next write
# makes it version 2.
_READABLE: Final = (1, SCHEMA_VERSION)


@dataclass(frozen=True, slots=True)
class Earlier:
    """The file of rows that later ones of the same keys replaced: name, checksum and size, rows."""

    file: str
    sha256: str
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class Partition:
    """One Parquet file: all entities of one month, sorted by entity, then time.

    Parameters
    ----------
    month : str
        ``YYYY-MM``, UTC.
    file : str
        Name within the dataset's folder; carries the beginning of the checksum, so that a new version of
        the month is a new file and a reader never sees half of a change.
    sha256 : str
        Of the file's bytes.
    bytes, rows : int
        Size of the file, rows in it.
    first, last : str
        Earliest and latest time in it, ISO 8601 UTC.
    inputs : tuple of str
        Hashes of what the rows were made from, in the order they were first used.
    earlier : Earlier or None
        Rows that were replaced, where the dataset knows when rows became known.
    """

    month: str
    file: str
    sha256: str
    bytes: int
    rows: int
    first: str
    last: str
    inputs: tuple[str, ...] = ()
    earlier: Earlier | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; no key for what is not there."""
        document = asdict(self)
        if self.earlier is None:
            del document["earlier"]
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Partition:
        """Read what :meth:`to_dict` returned."""
        earlier = document.get("earlier")
        values = {
            **document,
            "inputs": tuple(document["inputs"]),
            "earlier": None if earlier is None else Earlier(**earlier),
        }
        return cls(**values)


@dataclass(frozen=True, slots=True)
class Manifest:
    """The one description of a dataset; files that it does not name do not exist for readers.

    Parameters
    ----------
    dataset : str
        Name, which is also the folder under the store's root.
    entity, time : str
        Key columns: one row per (entity, time).
    known : str or None
        Column that says when a row became known; not compared when a row is written again.
    schema : mapping of str to str
        Column names and types, in order.
    partitions : tuple of Partition
        Sorted by month.
    metadata : mapping
        What the writer wants to remember; JSON values.
    generation : int
        Of the tail that continues the partitions (see :mod:`feature_store.tail`).
    """

    dataset: str
    entity: str
    time: str
    known: str | None
    schema: Mapping[str, str]
    partitions: tuple[Partition, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0

    @property
    def rows(self) -> int:
        """Rows in all partitions."""
        return sum(partition.rows for partition in self.partitions)

    @property
    def first(self) -> str | None:
        """Earliest time, ISO 8601 UTC; None without rows."""
        return min((partition.first for partition in self.partitions), default=None)

    @property
    def last(self) -> str | None:
        """Latest time, ISO 8601 UTC; None without rows."""
        return max((partition.last for partition in self.partitions), default=None)

    def to_bytes(self) -> bytes:
        """Return the JSON text that :func:`load_manifest` reads; equal manifests give equal bytes."""
        document = {
            "schema_version": SCHEMA_VERSION,
            "dataset": self.dataset,
            "entity": self.entity,
            "time": self.time,
            "known": self.known,
            "rows": self.rows,
            "first": self.first,
            "last": self.last,
            "schema": dict(self.schema),
            "metadata": dict(self.metadata),
            "generation": self.generation,
            "partitions": [partition.to_dict() for partition in self.partitions],
        }
        return (json.dumps(document, indent=1, allow_nan=False) + "\n").encode()


def load_manifest(folder: Path, dataset: str) -> Manifest | None:
    """Read the manifest in `folder`; None if there is none.

    Raises
    ------
    CorruptFileError
        If the file is there and is no manifest.
    StoreError
        If its schema version is another than this program's.
    """
    path = folder / FILE_NAME
    try:
        document = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise CorruptFileError(f"{path} cannot be read as a manifest: {error}") from error
    version = document.get("schema_version") if isinstance(document, dict) else None
    if version not in _READABLE:
        raise StoreError(
            f"{path}: schema version {version} found, this program reads versions 1 to {SCHEMA_VERSION}. "
            "Use the release that wrote it, or delete the dataset's folder and write it again"
        )
    try:
        partitions = tuple(Partition.from_dict(entry) for entry in document["partitions"])
        keys = ("dataset", "entity", "time", "known", "schema", "metadata")
        values = {key: document[key] for key in keys}
        manifest = Manifest(partitions=partitions, generation=document.get("generation", 0), **values)
    except (KeyError, TypeError) as error:
        raise CorruptFileError(f"{path} is no complete manifest: {error}") from error
    if manifest.dataset != dataset or manifest.rows != document.get("rows"):
        raise CorruptFileError(f"{path} describes {manifest.dataset!r} and contradicts itself or its place")
    return manifest


def schema_of(frame: pl.DataFrame) -> dict[str, str]:
    """Return column names and types as text, in order."""
    return {name: str(dtype) for name, dtype in frame.schema.items()}
