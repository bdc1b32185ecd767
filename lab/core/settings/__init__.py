"""What a user may set: strict models, defaults as YAML, and the reader that names file and line."""

from lab.core.settings.document import Section, parse_document
from lab.core.settings.layers import Layered, Layers, parse_layers, schema_with_profiles
from lab.core.settings.liquidity import LEAST_KNOWN, LiquiditySettings
from lab.core.settings.paths import PathText
from lab.core.settings.risk import BreakerRule, HealthSettings, PortfolioRiskSettings, RiskSettings
from lab.core.settings.sections import CostSettings, Fraction, SearchSettings

__all__ = [
    "LEAST_KNOWN",
    "BreakerRule",
    "CostSettings",
    "Fraction",
    "HealthSettings",
    "Layered",
    "Layers",
    "LiquiditySettings",
    "PathText",
    "PortfolioRiskSettings",
    "RiskSettings",
    "SearchSettings",
    "Section",
    "parse_document",
    "parse_layers",
    "schema_with_profiles",
]
