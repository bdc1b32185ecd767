"""Errors of the store.

::

    StoreError                  a file, key or manifest is not what it should be
    ├── CorruptFileError        a file exists and cannot be read; never treated as empty
    └── StoreLockedError        another process holds the lock
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["CorruptFileError", "StoreError", "StoreLockedError"]


class StoreError(Exception):
    """A store cannot do what was asked; the message names the path and what to do."""

    # What a command that ends with this error exits with.
    exit_code: ClassVar[int] = 3


class CorruptFileError(StoreError):
    """A stored file cannot be read. It is named, kept for inspection and never read as empty."""


class StoreLockedError(StoreError):
    """Another process holds the lock; nothing was changed."""

    exit_code: ClassVar[int] = 75
