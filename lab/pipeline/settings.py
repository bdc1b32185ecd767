"""What is in force, and what may be written: settings, schemas, families, as plain documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lab.core.errors import ConfigError
from lab.core.settings.quality import QualitySettings
from lab.data.download_result import UniverseFile
from lab.data.quality_file import settings_in_force
from lab.pipeline.campaign.config import CampaignConfig
from lab.strategies import Portfolio, StrategyInstance, families, load, load_portfolio
from lab.strategies.instance import InstanceConfig
from lab.strategies.portfolio import PortfolioConfig

__all__ = ["family_rows", "in_force", "load_file", "schema_of"]


def load_file(path: Path | str) -> StrategyInstance | Portfolio:
    """Load a strategy or a portfolio file, told apart by the key ``portfolio_id``."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""  # the loader below says what is wrong
    return load_portfolio(path) if re.search(r"^portfolio_id\s*:", text, re.MULTILINE) else load(path)


def in_force(path: Path | None, *, root: Path) -> dict[str, Any]:
    """Return a file's settings with every default filled in; without one, `root`'s quality settings."""
    if path is None:
        return {"quality": settings_in_force(root).model_dump(mode="json")}
    loaded = load_file(path)
    if isinstance(loaded, StrategyInstance):
        return {**loaded.config.model_dump(mode="json"), "parameters": loaded.params.model_dump(mode="json")}
    return loaded.config.model_dump(mode="json")


def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a kind of file.

    Raises
    ------
    ConfigError
        If there is no such kind.
    """
    if kind == "strategy":
        return {"anyOf": [InstanceConfig[s.params].model_json_schema() for s in families().values()]}  # type: ignore[name-defined]
    if kind == "portfolio":
        return PortfolioConfig.model_json_schema()
    if kind == "campaign":
        return CampaignConfig.model_json_schema()
    if kind == "quality":
        return QualitySettings.model_json_schema()
    if kind == "universe":
        return UniverseFile.model_json_schema()
    raise ConfigError(
        f"no schema called {kind!r}; there are strategy, portfolio, campaign, quality and universe"
    )


def family_rows() -> list[dict[str, Any]]:
    """Return a row per registered family: name, version, default parameters, search space."""
    return [
        {
            "family": strategy.family,
            "version": strategy.version,
            "parameters": strategy.params().model_dump(mode="json"),
            "space": {name: _dimension(dimension) for name, dimension in strategy.space.items()},
        }
        for strategy in families().values()
    ]


def _dimension(dimension: Any) -> str:
    if hasattr(dimension, "options"):
        return "{" + ", ".join(str(value) for value in dimension.options) + "}"
    step = "" if dimension.step is None else f" step {dimension.step}"
    return f"{dimension.low}..{dimension.high}{step}"
