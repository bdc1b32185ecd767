"""Takes months out of a dataset, on purpose: the manifest remembers which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from feature_store.atomic import exclusive, write_bytes
from feature_store.errors import StoreError
from feature_store.manifest import FILE_NAME, Manifest, load_manifest
from feature_store.partition import sweep
from feature_store.store import FeatureStore

__all__ = ["DROPPED", "drop_months"]

# Key of the metadata under which the names of dropped months are kept.
DROPPED: Final = "dropped_months"


def drop_months(store: FeatureStore, dataset: str, months: Iterable[str]) -> Manifest:
    """Remove months and their replaced rows from a dataset; its last month always stays.

    Raises
    ------
    StoreError
        If the dataset does not exist.
    """
    folder, names = store.folder(dataset), set(months)
    with exclusive(folder):
        manifest = load_manifest(folder, dataset)
        if manifest is None or not manifest.partitions:
            raise StoreError(f"nothing is stored under {folder}")
        kept = tuple(part for part in manifest.partitions[:-1] if part.month not in names)
        kept += manifest.partitions[-1:]
        gone = {part.month for part in manifest.partitions} - {part.month for part in kept}
        dropped = sorted(gone | set(manifest.metadata.get(DROPPED, ())))
        metadata = {**manifest.metadata, DROPPED: dropped}
        result = replace(manifest, partitions=kept, metadata=metadata)
        write_bytes(folder / FILE_NAME, result.to_bytes())
        sweep(folder, result)
    return result
