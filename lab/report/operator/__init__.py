"""The operator's report: what an account earned, held, paid and met with in a day, a week or a month."""

from lab.report.operator.journal import JournalFrames, read_journal
from lab.report.operator.period import PERIODS, Period, period_before
from lab.report.operator.summary import OperatorInput

__all__ = ["PERIODS", "JournalFrames", "OperatorInput", "Period", "period_before", "read_journal"]
