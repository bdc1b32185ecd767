"""The quality settings in force under a root: the shipped ones, what its files override, known outages."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Final

from pydantic import Field

from lab.core.errors import ConfigError
from lab.core.settings import Section, parse_document
from lab.core.settings.quality import Outage, QualitySettings
from lab.data.quality import default_settings

__all__ = ["OUTAGE_FILE", "QUALITY_FILE", "Outages", "settings_in_force"]

QUALITY_FILE: Final = Path("data", "quality.yaml")
OUTAGE_FILE: Final = Path("data", "outages.yaml")


class Outages(Section):
    """The file of known outages; they are added to those of the quality file."""

    outages: tuple[Outage, ...] = Field(description="spans in which a venue was down: exchange, start, end")


def settings_in_force(root: Path) -> QualitySettings:
    """Return thresholds, policies and outages under a root.

    Parameters
    ----------
    root : Path
        ``data/quality.yaml`` under it overrides single keys of the shipped settings, ``data/outages.yaml``
        lists known outages; both may be missing.

    Raises
    ------
    ConfigError
        With one line per fault, each naming file, line and key.
    """
    quality, outages = _text(Path(root) / QUALITY_FILE), _text(Path(root) / OUTAGE_FILE)
    if quality is None and outages is None:
        return default_settings()
    return _parsed(Path(root), quality, outages)


@functools.lru_cache(maxsize=8)
def _parsed(root: Path, quality: str | None, outages: str | None) -> QualitySettings:
    settings = default_settings()
    if quality is not None:
        source, defaults = str(root / QUALITY_FILE), settings.model_dump()
        settings = parse_document(quality, QualitySettings, source=source, defaults=defaults)
    if outages is not None:
        known = parse_document(outages, Outages, source=str(root / OUTAGE_FILE)).outages
        settings = settings.model_copy(update={"outages": (*settings.outages, *known)})
    return settings


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; correct it or remove it") from None
