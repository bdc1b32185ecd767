"""``bridge.yaml``: what the bridge trades, where, and under which state file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, field_validator

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.settings import Section, parse_document
from lab.core.settings.quality import QualitySettings
from lab.data.quality_file import settings_in_force
from live_bridge.monitoring.settings import MonitoringSettings

__all__ = ["BridgeConfig", "ExchangeConfig", "LoadedConfig", "load_config", "parse_config"]

MODES: Final = ("paper",)
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"


def _mode(value: Any) -> Any:
    if value not in MODES:
        raise ValueError(f"this version runs {' and '.join(MODES)} only; write mode: paper")
    return value


class ExchangeConfig(Section):
    """Which exchange, and which host of it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]{2,32}$", description="CCXT's id of the exchange")] = (
        "binance"
    )
    base_url: str | None = Field(None, description="another host: a test net, or the loopback exchange")
    options: dict[str, Any] = Field(default_factory=dict, description="CCXT options; the bridge's own win")


class BridgeConfig(Section):
    """The whole of ``bridge.yaml``.

    Examples
    --------
    >>> BridgeConfig(portfolio="core.yaml").state
    'data/live/main.sqlite'
    """

    account: Annotated[str, Field(pattern=rf"^{_NAME}$", description="name of the account")] = "main"
    exchange: ExchangeConfig = Field(default_factory=ExchangeConfig)
    market_map: dict[str, str] = Field(
        default_factory=dict, description="market name to the symbol it trades as, where the venues differ"
    )
    mode: Annotated[Literal["paper"], BeforeValidator(_mode)] = "paper"
    portfolio: str = Field(min_length=1, description="portfolio file; relative to this file, else to --root")
    state: str = Field("data/live/main.sqlite", min_length=1, description="journal; relative to --root")
    recv_window_ms: int = Field(5000, ge=100, le=60_000, description="how long a signed request is valid")
    monitoring: MonitoringSettings = Field(
        default_factory=MonitoringSettings, description="logs, metrics and alerts"
    )

    @field_validator("market_map")
    @classmethod
    def _check_map(cls, value: dict[str, str]) -> dict[str, str]:
        for name, symbol in value.items():
            Market.parse(name)
            if not re.fullmatch(r"[A-Za-z0-9.-]{1,32}/[A-Za-z0-9.-]{1,32}", symbol):
                raise ValueError(
                    f"symbol {symbol!r} not understood: expected BASE/QUOTE, for example BTC/USD"
                )
        return value

    def symbol(self, market: str) -> str:
        """Return the symbol that `market` trades as on the configured exchange.

        Raises
        ------
        ConfigError
            If the market is a derivative, or another venue's without an entry in ``market_map``.
        """
        parsed = Market.parse(market)
        if parsed.is_derivative:
            raise ConfigError(
                f"market {market}: derivatives are data, not trading targets; name a spot market"
            )
        if market in self.market_map:
            return self.market_map[market]
        if parsed.exchange != self.exchange.id:
            raise ConfigError(
                f"market {market} is of exchange {parsed.exchange}, the bridge trades on {self.exchange.id}; "
                f'say what it trades as: market_map: {{"{market}": "{parsed.symbol}"}}'
            )
        return parsed.symbol


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration with the paths it means.

    Attributes
    ----------
    settings : BridgeConfig
        The file's content.
    source, portfolio, state : pathlib.Path
        The file itself, the portfolio file, the journal; absolute.
    quality : QualitySettings
        How bars are judged: the shipped settings, as ``data/quality.yaml`` and ``data/outages.yaml`` under
        the root override them, for the lab and the bridge alike.
    digest : str
        SHA-256 of the settings in force, those of quality included.
    """

    settings: BridgeConfig
    source: Path
    portfolio: Path
    state: Path
    quality: QualitySettings
    digest: str


def parse_config(text: str, *, source: str) -> BridgeConfig:
    """Read the text of a ``bridge.yaml``.

    Raises
    ------
    ConfigError
        With one line per fault: file, line, key, what was found and what is allowed.
    """
    return parse_document(text, BridgeConfig, source=source)


def load_config(path: Path, *, root: Path) -> LoadedConfig:
    """Read ``bridge.yaml`` and resolve its paths.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    root : pathlib.Path
        Folder that holds ``data/``; relative state paths lie under it.

    Raises
    ------
    ConfigError
        If the file cannot be read, is wrong, or names a portfolio file that is not there.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"{path}: cannot be read ({reason}); expected a bridge configuration in YAML"
        ) from None
    settings = parse_config(text, source=str(path))
    source = path.resolve()
    quality = settings_in_force(root)
    values: Mapping[str, Any] = {
        **settings.model_dump(mode="json"),
        "quality": quality.model_dump(mode="json"),
    }
    return LoadedConfig(
        settings,
        source,
        _portfolio(settings.portfolio, source, root),
        (root / settings.state).resolve(),
        quality,
        digest(values),
    )


def _portfolio(name: str, source: Path, root: Path) -> Path:
    candidates = list(dict.fromkeys(((source.parent / name).resolve(), (root / name).resolve())))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"{source}: portfolio {name!r} not found; looked for {' and '.join(str(path) for path in candidates)}"
    )
