"""Features that many parameter sets share, within a given memory."""

from __future__ import annotations

import math
from typing import Final

from lab.backtest.layout import Array
from lab.core.errors import ConfigError
from lab.core.feature import Feature
from lab.core.panel import Panel
from lab.features.compute import compute_values

__all__ = ["FeatureCache"]

_MEGABYTE: Final = 2**20


class FeatureCache:
    """Features of one panel, computed when needed; the one unused for longest goes when room is short.

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
        self._known: dict[Feature, Array] = {}

    def arrays(self, features: tuple[Feature, ...]) -> tuple[Array, ...]:
        """Return the values of features that are needed together, each of shape (T, N)."""
        if len(features) * self.each > self.room:
            raise ConfigError(
                f"memory: the features of a single set need {len(features) * self.each / _MEGABYTE:.0f} MB, "
                f"{max(self.room, 0) / _MEGABYTE:.0f} MB are left of what was given; give more, or "
                "fewer markets or bars"
            )
        if math.isinf(self.room) and all(feature in self._known for feature in features):
            return tuple(self._known[feature] for feature in features)
        # Those known are put last, so that they are not the ones to go.
        found = {feature: self._known.pop(feature) for feature in features if feature in self._known}
        missing = [feature for feature in dict.fromkeys(features) if feature not in found]
        while self._known and (len(self._known) + len(found) + len(missing)) * self.each > self.room:
            del self._known[next(iter(self._known))]
        if missing:
            found |= compute_values(self._panel, tuple(missing))
            self.computed += len(missing)
        self._known |= found
        return tuple(found[feature] for feature in features)
