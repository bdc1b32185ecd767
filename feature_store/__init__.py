"""A Parquet store for columns by time and entity: keyed, atomic, checked when read. Knows no finance."""

from feature_store.errors import CorruptFileError, StoreError, StoreLockedError
from feature_store.manifest import Manifest, Partition
from feature_store.store import FeatureStore

__all__ = ["CorruptFileError", "FeatureStore", "Manifest", "Partition", "StoreError", "StoreLockedError"]
