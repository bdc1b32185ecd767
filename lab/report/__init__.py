"""Reports: tables that are tested, figures that only draw, and one offline page made by a notebook."""

from lab.report import blocks, figures, tables
from lab.report.execution import ReportError
from lab.report.inputs import ReportInput
from lab.report.tearsheet import tearsheet, tearsheet_notebook
from lab.report.verdict import Verdict, verdict

__all__ = [
    "ReportError",
    "ReportInput",
    "Verdict",
    "blocks",
    "figures",
    "tables",
    "tearsheet",
    "tearsheet_notebook",
    "verdict",
]
