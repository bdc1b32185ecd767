"""What a user may set: strict models, defaults as YAML, and the reader that names file and line."""

from lab.core.settings.document import Section, parse_document
from lab.core.settings.sections import (
    CostSettings,
    Fraction,
    PortfolioRiskSettings,
    RiskSettings,
    SearchSettings,
)

__all__ = [
    "CostSettings",
    "Fraction",
    "PortfolioRiskSettings",
    "RiskSettings",
    "SearchSettings",
    "Section",
    "parse_document",
]
