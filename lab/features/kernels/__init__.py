"""Compiled window-local kernels: the value at t depends on its own window of bars, to the last bit.

All take (T, N) arrays, time down and markets across, and most the absolute number of their first bar: windows
are cut into blocks aligned to that number. A window is then the end of one block and the beginning of the
next, so that every bar costs the same work whatever the window, and nothing is carried from before the
window. The others visit the whole window at every bar, or keep it sorted, and say why.
"""

from lab.features.kernels.calendar import FIRST, HIGHEST, LAST, LOWEST, SUM, coarser_bars, latest_in_window
from lab.features.kernels.changes import (
    directional_movement,
    log_changes,
    log_ratio,
    moves,
    place_between,
    relative_change,
    scaled,
    share_of_sum,
    signed_volume,
    true_range,
    typical_price,
)
from lab.features.kernels.extremes import age_of_extreme, highest_in_window, lowest_in_window
from lab.features.kernels.lines import ENDPOINT, SLOPE, WEIGHTED_MEAN, line_of_window
from lab.features.kernels.moments import (
    DEVIATION,
    POPULATION_DEVIATION,
    POPULATION_ZSCORE,
    RELATIVE_DEVIATION,
    VARIANCE,
    ZSCORE,
    mean_of_window,
    moments_of_window,
    total_of_window,
)
from lab.features.kernels.order import QUANTILE, RANK, order_of_window
from lab.features.kernels.pairs import BETA, CORRELATION, pairs_of_window
from lab.features.kernels.shape import (
    ABSOLUTE_DEVIATION,
    DEVIATIONS_AWAY,
    KURTOSIS,
    SKEWNESS,
    shape_of_window,
)
from lab.features.kernels.smoothing import decayed_mean
from lab.features.kernels.universe import rank_in_row, zscore_in_row

__all__ = [
    "ABSOLUTE_DEVIATION",
    "BETA",
    "CORRELATION",
    "DEVIATION",
    "DEVIATIONS_AWAY",
    "ENDPOINT",
    "FIRST",
    "HIGHEST",
    "KURTOSIS",
    "LAST",
    "LOWEST",
    "POPULATION_DEVIATION",
    "POPULATION_ZSCORE",
    "QUANTILE",
    "RANK",
    "RELATIVE_DEVIATION",
    "SKEWNESS",
    "SLOPE",
    "SUM",
    "VARIANCE",
    "WEIGHTED_MEAN",
    "ZSCORE",
    "age_of_extreme",
    "coarser_bars",
    "decayed_mean",
    "directional_movement",
    "highest_in_window",
    "latest_in_window",
    "line_of_window",
    "log_changes",
    "log_ratio",
    "lowest_in_window",
    "mean_of_window",
    "moments_of_window",
    "moves",
    "order_of_window",
    "pairs_of_window",
    "place_between",
    "rank_in_row",
    "relative_change",
    "scaled",
    "shape_of_window",
    "share_of_sum",
    "signed_volume",
    "total_of_window",
    "true_range",
    "typical_price",
    "zscore_in_row",
]
