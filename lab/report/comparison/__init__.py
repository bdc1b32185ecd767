"""The comparison of several runs: how they move together, what they are worth combined, what each adds."""

from lab.report.comparison.inputs import ComparisonInput

__all__ = ["ComparisonInput"]
