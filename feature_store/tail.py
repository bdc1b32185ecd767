"""The tail of a dataset: its newest rows in one small file, so that a new row does not rewrite a month.

A tail belongs to the generation of the manifest that it continues. Whoever moves its rows into partitions, or
changes both in one write, raises the generation: the manifest that is replaced last switches both at once.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.atomic import parquet_bytes, write_bytes
from feature_store.errors import CorruptFileError

__all__ = ["TailFile", "next_generation", "superseded", "tail_of", "write_tail"]

_NAME: Final = re.compile(r"tail\.(\d+)-(\d+)\.([0-9a-f]{12})\.parquet")
# Who has found a tail may still read it while the next one is written.
_KEPT: Final = 2


@dataclass(frozen=True, slots=True, order=True)
class TailFile:
    """A tail by its name: generation, sequence within it, beginning of its checksum."""

    generation: int
    sequence: int
    sha256: str

    @property
    def file(self) -> str:
        """Name within the dataset's folder."""
        return f"tail.{self.generation}-{self.sequence}.{self.sha256}.parquet"


def tail_of(folder: Path, generation: int) -> TailFile | None:
    """Return the newest tail of a generation, None without one."""
    return max((tail for tail in _tails(folder) if tail.generation == generation), default=None)


def next_generation(folder: Path) -> int:
    """Return a generation that no tail in the folder has."""
    return max((tail.generation + 1 for tail in _tails(folder)), default=0)


def superseded(folder: Path, generation: int) -> list[Path]:
    """Return the tails that no reader of `generation` looks for."""
    tails = sorted(_tails(folder))
    kept = [tail for tail in tails if tail.generation == generation][-_KEPT:]
    return [folder / tail.file for tail in tails if tail not in kept]


def write_tail(folder: Path, generation: int, rows: pl.DataFrame) -> None:
    """Write `rows` as the newest tail of a generation."""
    last = tail_of(folder, generation)
    data = parquet_bytes(rows)
    sequence = 0 if last is None else last.sequence + 1
    name = TailFile(generation, sequence, hashlib.sha256(data).hexdigest()[:12]).file
    write_bytes(folder / name, data)


def _tails(folder: Path) -> list[TailFile]:
    try:
        names = [path.name for path in folder.iterdir() if path.name.startswith("tail.")]
    except OSError as error:
        raise CorruptFileError(f"{folder} cannot be read: {error}") from error
    found = (_NAME.fullmatch(name) for name in names)
    return [TailFile(int(match[1]), int(match[2]), match[3]) for match in found if match]
