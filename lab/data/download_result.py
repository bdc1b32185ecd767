"""What a download is told to do in a file, and what it says in the end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from lab.core.errors import ConfigError
from lab.core.settings import Section, parse_document

__all__ = ["DownloadVerdict", "UniverseFile", "read_universe_file"]


class UniverseFile(Section):
    """A list of symbols to download: ``universe.yaml``."""

    exchange: str | None = Field(None, description="CCXT's id; the command line's must agree")
    timeframe: str | None = Field(None, description="where the command line names none")
    symbols: tuple[str, ...] = Field(min_length=1, description="unified symbols, such as BTC/USDT")


@dataclass(frozen=True, slots=True)
class DownloadVerdict:
    """What became of one market.

    Parameters
    ----------
    market, timeframe : str
        Which bars.
    status : str
        ``downloaded``; ``unchanged``, when there was nothing new; ``failed``, with what came before stored.
    pages, bars : int
        Kept, and received in them.
    first, last : datetime or None
        Of the stored bars.
    missing : int
        Bars between the first stored one and the last that had closed, which the exchange did not give.
    gaps : tuple of (datetime, int)
        Where: the opening time of the first missing bar and how many; the first twenty.
    error : str
        Why it failed.
    """

    market: str
    timeframe: str
    status: Literal["downloaded", "unchanged", "failed"]
    pages: int = 0
    bars: int = 0
    first: datetime | None = None
    last: datetime | None = None
    missing: int = 0
    gaps: tuple[tuple[datetime, int], ...] = ()
    error: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything that was asked for was answered."""
        return self.status != "failed"

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        gaps = [{"from": _iso(start), "bars": bars} for start, bars in self.gaps]
        return {**asdict(self), "first": _iso(self.first), "last": _iso(self.last), "gaps": gaps}


def read_universe_file(path: Path) -> UniverseFile:
    """Read ``universe.yaml``; ConfigError with one line per fault."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable: {error}") from None
    return parse_document(text, UniverseFile, source=str(path))


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant:%Y-%m-%dT%H:%M:%SZ}"
