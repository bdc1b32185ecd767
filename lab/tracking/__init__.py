"""Runs as values, written to MLflow and read back; the only place that imports MLflow."""

from lab.tracking.code import CodeVersion, code_version
from lab.tracking.record import ChildRecord, DataInput, Provenance, RunRecord, TrackedRun
from lab.tracking.store import EXPERIMENT, tracking_uri
from lab.tracking.tracker import Tracker
from lab.tracking.usage import Sample, Samples, usage

__all__ = [
    "EXPERIMENT",
    "ChildRecord",
    "CodeVersion",
    "DataInput",
    "Provenance",
    "RunRecord",
    "Sample",
    "Samples",
    "TrackedRun",
    "Tracker",
    "code_version",
    "tracking_uri",
    "usage",
]
