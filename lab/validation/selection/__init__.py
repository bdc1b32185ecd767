"""Which features say something about later returns: rank correlation, quantiles, importance out of sample.

All of it is research on one sample: what is chosen here was chosen by looking, and is judged like any other
choice, by walk-forward runs whose trials the ledger counts.
"""

from lab.validation.selection.elimination import eliminate
from lab.validation.selection.importance import importance
from lab.validation.selection.information import information, information_series
from lab.validation.selection.labels import forward_returns
from lab.validation.selection.quantiles import quantile_returns
from lab.validation.selection.samples import Samples, samples_of

__all__ = [
    "Samples",
    "eliminate",
    "forward_returns",
    "importance",
    "information",
    "information_series",
    "quantile_returns",
    "samples_of",
]
