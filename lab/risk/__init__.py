"""Risk as one pure compiled step: target weights in, permitted weights and coded reasons out."""

from lab.risk.limits import Limits
from lab.risk.reasons import Reason, reason_names
from lab.risk.state import HALTED, NORMAL, REDUCE_ONLY, RiskState, initial_state, observe
from lab.risk.step import step, step_into

__all__ = [
    "HALTED",
    "NORMAL",
    "REDUCE_ONLY",
    "Limits",
    "Reason",
    "RiskState",
    "initial_state",
    "observe",
    "reason_names",
    "step",
    "step_into",
]
