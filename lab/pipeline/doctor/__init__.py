"""What ``mnemo doctor`` looks at: the environment, the stores, the machine."""

from lab.pipeline.doctor.check import Check, Status
from lab.pipeline.doctor.examination import examine

__all__ = ["Check", "Status", "examine"]
