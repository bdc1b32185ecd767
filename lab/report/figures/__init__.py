"""Drawing only: frames of `lab.report.tables` in, plotly figures out."""

from lab.report.figures import evidence, parameters, performance, style, trading

__all__ = ["evidence", "parameters", "performance", "style", "trading"]
