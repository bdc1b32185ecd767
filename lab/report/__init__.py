"""Reports: tables that are tested, figures that only draw, and one offline page made by a notebook.

``blocks``, ``figures`` and ``tables`` are imported by name, ``from lab.report import tables``: the process
that has a page made needs neither plotly nor the engine.
"""

from lab.report.comparing import compare_runs, comparison_notebook
from lab.report.execution import ReportError
from lab.report.inputs import ReportInput
from lab.report.tearsheet import tearsheet, tearsheet_notebook

__all__ = [
    "ReportError",
    "ReportInput",
    "compare_runs",
    "comparison_notebook",
    "tearsheet",
    "tearsheet_notebook",
]
