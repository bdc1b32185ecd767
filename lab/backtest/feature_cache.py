"""Features that many parameter sets share, within a given memory."""

from __future__ import annotations

import contextlib
import math
import mmap
import threading
from concurrent.futures import Future
from typing import Final

import numpy as np

from lab.backtest.layout import Array
from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features.compute import compute_values

__all__ = ["FeatureCache"]

_MEGABYTE: Final = 2**20
# Pages that no other process sees, had at once where the system can do that.
_PRIVATE: Final = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_POPULATE", 0)
_Claimed = dict[Feature, Future[Array]]


class FeatureCache:
    """Features of one panel, computed when needed; the one unused for longest goes when room is short.

    Safe to use from threads.

    Attributes
    ----------
    room : float
        Bytes that they may take.
    each : int
        Bytes of one.
    computed : int
        How many were computed so far.
    """

    def __init__(self, panel: Panel, room: float) -> None:
        self._panel = panel
        self.room = room
        self.computed = 0
        self.each = 8 * max(panel.shape[0] * panel.shape[1], 1)
        self._known: dict[Feature, Future[Array]] = {}
        # Those that will never go, to be had without a lock.
        self._kept: dict[Feature, Array] = {}
        self._guard = threading.Lock()

    def arrays(self, features: tuple[Feature, ...]) -> tuple[Array, ...]:
        """Return the values of features that are needed together, each of shape (T, N).

        What one thread computes, others wait for, and compute what else they need meanwhile.
        """
        with contextlib.suppress(KeyError):
            return tuple([self._kept[feature] for feature in features])
        if len(features) * self.each > self.room:
            raise ConfigError(
                f"memory: the features of a single set need {len(features) * self.each / _MEGABYTE:.0f} MB, "
                f"{max(self.room, 0) / _MEGABYTE:.0f} MB are left of what was given; give more, or "
                "fewer markets or bars"
            )
        found, missing = self._claim(features)
        if missing:
            self._compute(missing)
        values = tuple(found[feature].result() for feature in features)
        if math.isinf(self.room):
            self._kept.update(zip(features, values, strict=True))
        return values

    def _claim(self, features: tuple[Feature, ...]) -> tuple[dict[Feature, Future[Array]], _Claimed]:
        """Return where all values will be, and those among them that the caller has to compute."""
        with self._guard:
            # Those known are put last, so that they are not the ones to go.
            found = {feature: self._known.pop(feature) for feature in features if feature in self._known}
            missing: _Claimed = {feature: Future() for feature in features if feature not in found}
            while self._known and (len(self._known) + len(found) + len(missing)) * self.each > self.room:
                del self._known[next(iter(self._known))]
            found |= missing
            self._known |= found
            self.computed += len(missing)
            return found, missing

    def _compute(self, missing: _Claimed) -> None:
        try:
            empty = np.empty if math.isinf(self.room) else _mapped
            for feature, values in compute_values(self._panel, tuple(missing), empty=empty).items():
                missing[feature].set_result(values)
        except BaseException as error:
            with self._guard:
                for feature, place in missing.items():
                    if self._known.get(feature) is place:
                        del self._known[feature]
            for place in missing.values():
                if not place.done():
                    place.set_exception(error)
            raise


def _mapped(shape: tuple[int, ...]) -> Array:
    """Return a new array whose memory goes back to the system with it.

    The allocator would keep what one thread has freed for that thread, and ask for more for another.
    """
    size = 8 * math.prod(shape)
    if size == 0:
        return np.empty(shape)
    return np.ndarray(shape, dtype=np.float64, buffer=mmap.mmap(-1, size, flags=_PRIVATE))
