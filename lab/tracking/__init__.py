"""Runs as values, written to MLflow and read back; the only place that imports MLflow."""

from lab.tracking.code import CodeVersion, code_version
from lab.tracking.record import ChildRecord, DataInput, Provenance, RunRecord, TrackedRun
from lab.tracking.registry import RegisteredStrategy, register, registered
from lab.tracking.searching import search_runs
from lab.tracking.store import EXPERIMENT, tracking_uri
from lab.tracking.tracker import Tracker
from lab.tracking.usage import Sample, Samples, usage
from lab.tracking.view import runs_page

__all__ = [
    "EXPERIMENT",
    "ChildRecord",
    "CodeVersion",
    "DataInput",
    "Provenance",
    "RegisteredStrategy",
    "RunRecord",
    "Sample",
    "Samples",
    "TrackedRun",
    "Tracker",
    "code_version",
    "register",
    "registered",
    "runs_page",
    "search_runs",
    "tracking_uri",
    "usage",
]
