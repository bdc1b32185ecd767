"""What is in force, and what may be written: settings, schemas, families, as plain documents."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from lab.core.errors import ConfigError
from lab.core.settings import Section, parse_document
from lab.core.settings.quality import QualitySettings
from lab.data.download_result import UniverseFile
from lab.data.housekeeping import Retention, retention_in_force
from lab.data.quality_file import Outages, settings_in_force
from lab.pipeline.campaign.config import CampaignConfig
from lab.pipeline.processes import run_bridge
from lab.strategies import Portfolio, StrategyInstance, families, load, load_portfolio
from lab.strategies.instance import read_text
from lab.strategies.instance_config import InstanceConfig
from lab.strategies.portfolio import PortfolioConfig

__all__ = ["family_rows", "in_force", "load_file", "schema_of"]

_MODELS: Final[dict[str, type[Section]]] = {
    "portfolio": PortfolioConfig,
    "campaign": CampaignConfig,
    "universe": UniverseFile,
    "quality": QualitySettings,
    "outages": Outages,
    "retention": Retention,
}


def load_file(path: Path | str) -> StrategyInstance | Portfolio:
    """Load a strategy or a portfolio file, told apart by the key ``portfolio_id``."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""  # the loader below says what is wrong
    return load_portfolio(path) if re.search(r"^portfolio_id\s*:", text, re.MULTILINE) else load(path)


def in_force(path: Path | None, *, root: Path) -> dict[str, Any]:
    """Return a file's settings with every default filled in; without one, those of `root`.

    The kind of file is told by its keys. The bridge's API keys and addresses come from the environment; of
    these it is said whether they are set, never what they are.

    Raises
    ------
    ConfigError
        If the file is wrong, with one line per fault.
    """
    if path is None:
        settings = {"quality": settings_in_force(root), "retention": retention_in_force(root)}
        return {name: section.model_dump(mode="json") for name, section in settings.items()}
    text = read_text(path, "strategy, portfolio, campaign, universe or bridge")
    if _says("campaign_id", text):
        return parse_document(text, CampaignConfig, source=str(path)).model_dump(mode="json")
    if _says("symbols", text):
        return parse_document(text, UniverseFile, source=str(path)).model_dump(mode="json")
    if _says("portfolio", text) and not _says("family", text):
        return run_bridge(["settings", "--config", str(path), "--root", str(root)])
    loaded = load_file(path)
    if isinstance(loaded, StrategyInstance):
        return {**loaded.config.model_dump(mode="json"), "parameters": loaded.params.model_dump(mode="json")}
    return loaded.config.model_dump(mode="json")


def _says(key: str, text: str) -> bool:
    return re.search(rf"^{key}\s*:", text, re.MULTILINE) is not None


def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON schema of a kind of file.

    Raises
    ------
    ConfigError
        If there is no such kind.
    """
    if kind == "strategy":
        return {"anyOf": [InstanceConfig[s.params].model_json_schema() for s in families().values()]}  # type: ignore[name-defined]
    if kind == "bridge":
        return run_bridge(["settings"])
    if kind not in _MODELS:
        raise ConfigError(f"no schema called {kind!r}; there are strategy, bridge, {', '.join(_MODELS)}")
    return _MODELS[kind].model_json_schema()


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
