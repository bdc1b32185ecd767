"""Compiled window-local kernels: the value at t depends on its own window of bars, to the last bit.

All take (T, N) arrays, time down and markets across, and the absolute number of their first bar. Windows are
cut into blocks aligned to that number. A window is then the end of one block and the beginning of the next,
so that every bar costs the same work whatever the window, and nothing is carried from before the window.
"""

from lab.features.kernels.changes import log_changes, relative_change, scaled, true_range
from lab.features.kernels.extremes import highest_in_window, lowest_in_window
from lab.features.kernels.moments import DEVIATION, MEAN, ZSCORE, moments_of_window, total_of_window
from lab.features.kernels.smoothing import decayed_mean

__all__ = [
    "DEVIATION",
    "MEAN",
    "ZSCORE",
    "decayed_mean",
    "highest_in_window",
    "log_changes",
    "lowest_in_window",
    "moments_of_window",
    "relative_change",
    "scaled",
    "total_of_window",
    "true_range",
]
