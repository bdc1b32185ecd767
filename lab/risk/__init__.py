"""Risk as one pure compiled step: target weights in, permitted weights and coded reasons out."""

from lab.risk.budget import Budget, budgets
from lab.risk.documents import memory_document, read_memory, resumed_document
from lab.risk.health import exchange_trouble, worst_trouble
from lab.risk.limits import Limits
from lab.risk.plan import RiskPlan, plan_of
from lab.risk.reasons import Reason, reason_names
from lab.risk.rules import Plain, mode_of, permit_plain, plain_of
from lab.risk.state import (
    HALTED,
    NORMAL,
    REDUCE_ONLY,
    RiskState,
    halt,
    initial_state,
    observe,
    resume,
    see,
    starting_state,
)
from lab.risk.step import step, step_into
from lab.risk.stress import Stress, currency_exposures, stress
from lab.risk.tables import Breaker
from lab.risk.watch import MEASURE_BARS, NO_WATCH, Watch, look, measures

__all__ = [
    "HALTED",
    "MEASURE_BARS",
    "NORMAL",
    "NO_WATCH",
    "REDUCE_ONLY",
    "Breaker",
    "Budget",
    "Limits",
    "Plain",
    "Reason",
    "RiskPlan",
    "RiskState",
    "Stress",
    "Watch",
    "budgets",
    "currency_exposures",
    "exchange_trouble",
    "halt",
    "initial_state",
    "look",
    "measures",
    "memory_document",
    "mode_of",
    "observe",
    "permit_plain",
    "plain_of",
    "plan_of",
    "read_memory",
    "reason_names",
    "resume",
    "resumed_document",
    "see",
    "starting_state",
    "step",
    "step_into",
    "stress",
    "worst_trouble",
]
