"""Splitters: which samples train and which judge, by position."""

from lab.validation.splits.combinatorial import CombinatorialPurgedCV
from lab.validation.splits.kfold import PurgedKFold
from lab.validation.splits.walk_forward import WalkForward

__all__ = ["CombinatorialPurgedCV", "PurgedKFold", "WalkForward"]
