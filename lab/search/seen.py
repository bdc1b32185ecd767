"""Which keys have been seen, at sixteen bytes each: there may be millions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["SeenKeys"]

_DIGEST: Final = 16


class SeenKeys:
    """A set of keys, kept as their hashes in a few sorted arrays, each more than twice the next.

    Examples
    --------
    >>> seen = SeenKeys()
    >>> seen.first([b"a", b"b", b"a"]), seen.first([b"c", b"b"]), len(seen)
    ([0, 1], [0], 3)
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.bytes_]] = []

    def __len__(self) -> int:
        return sum(len(run) for run in self._runs)

    def first(self, keys: Sequence[bytes]) -> list[int]:
        """Return the places of those `keys` that are there for the first time, and remember them."""
        digests = b"".join(hashlib.blake2b(key, digest_size=_DIGEST).digest() for key in keys)
        hashes, places = np.unique(np.frombuffer(digests, dtype=f"S{_DIGEST}"), return_index=True)
        new = np.ones(len(hashes), dtype=bool)
        for run in self._runs:
            found = np.minimum(np.searchsorted(run, hashes), len(run) - 1)
            new &= run[found] != hashes
        self._add(hashes[new])
        return np.sort(places[new]).tolist()

    def _add(self, hashes: NDArray[np.bytes_]) -> None:
        while self._runs and len(self._runs[-1]) <= 2 * len(hashes):
            hashes = np.sort(np.concatenate([self._runs.pop(), hashes]))
        if len(hashes):
            self._runs.append(hashes)
