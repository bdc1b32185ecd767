"""From a run or a strategy file to what a careful person concludes of it."""

from lab.pipeline.validation.validate import Validation, validate

__all__ = ["Validation", "validate"]
