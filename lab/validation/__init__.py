"""Judging a result: splits, overfitting, causality."""
