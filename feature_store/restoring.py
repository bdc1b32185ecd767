"""Puts months of a dataset back from another store that has them; nothing else of the dataset changes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from feature_store.atomic import exclusive, fault_point, write_bytes
from feature_store.errors import CorruptFileError, StoreError
from feature_store.manifest import FILE_NAME, Earlier, Manifest, Partition, load_manifest
from feature_store.partition import checksum, sweep
from feature_store.store import FeatureStore
from feature_store.tail import next_generation, tail_of
from feature_store.verified import QUARANTINE, Verified

__all__ = ["damaged_files", "restore"]


def damaged_files(store: FeatureStore, dataset: str) -> list[str]:
    """Return the names of a dataset's files that are missing or damaged; damaged ones are moved aside."""
    folder = store.folder(dataset)
    try:
        manifest = load_manifest(folder, dataset)
    except CorruptFileError:
        return [FILE_NAME]
    if manifest is None:
        return []
    found, verified = [], Verified()
    for entry in _entries(manifest):
        try:
            verified.path(folder, entry)
        except CorruptFileError:
            found.append(entry.file)
    tail = tail_of(folder, manifest.generation)
    if tail is not None and not checksum(folder / tail.file).startswith(tail.sha256):
        found.append(tail.file)
    return found


def restore(store: FeatureStore, source: FeatureStore, dataset: str, months: Collection[str]) -> Manifest:
    """Replace months of a dataset by those of `source`; a damaged manifest is replaced as a whole.

    Parameters
    ----------
    store, source : FeatureStore
        Where to, and where from.
    dataset : str
        Name in both.
    months : collection of str
        ``YYYY-MM``, each in `source`.

    Returns
    -------
    Manifest
        Of the restored dataset. Its tail, if damaged, lies in quarantine.

    Raises
    ------
    StoreError
        If `source` does not have the dataset; nothing was changed then.
    """
    folder, there = store.folder(dataset), source.manifest(dataset)
    if there is None:
        raise StoreError(f"dataset {dataset} is not in {source.root}; nothing to restore it from")
    with exclusive(folder):
        try:
            here = load_manifest(folder, dataset)
        except CorruptFileError:
            _keep_copy(folder, FILE_NAME)
            here = None
        # A new generation leaves a damaged tail behind; one that is whole goes on.
        tail = None if here is None else tail_of(folder, here.generation)
        whole = tail is not None and checksum(folder / tail.file).startswith(tail.sha256)
        if tail is not None and not whole:
            _keep_copy(folder, tail.file)
        if here is None:
            here = replace(there, partitions=())
            months = [part.month for part in there.partitions]
        parts = {part.month: part for part in here.partitions}
        for part in there.partitions:
            if part.month in months:
                _copy(source.folder(dataset), folder, part)
                parts[part.month] = part
        generation = here.generation if whole else next_generation(folder)
        result = replace(
            here, partitions=tuple(parts[month] for month in sorted(parts)), generation=generation
        )
        write_bytes(folder / FILE_NAME, result.to_bytes())
        sweep(folder, result)
    return result


def _entries(manifest: Manifest) -> list[Partition | Earlier]:
    earlier = [part.earlier for part in manifest.partitions if part.earlier is not None]
    return [*manifest.partitions, *earlier]


def _copy(source: Path, folder: Path, part: Partition) -> None:
    for entry in (part, part.earlier):
        if entry is not None:
            write_bytes(folder / entry.file, (source / entry.file).read_bytes())


def _keep_copy(folder: Path, file: str) -> None:
    target = folder / QUARANTINE / f"{file}.damaged"
    fault_point("quarantine", target)
    write_bytes(target, (folder / file).read_bytes())
