"""``bridge.yaml``: what the bridge trades, where, and under which state file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.core.market import Market
from lab.core.settings import Fraction, PathText, Section, parse_document
from lab.core.settings.quality import QualitySettings
from lab.data.quality_file import settings_in_force
from lab.data.venues import checked_base_url
from live_bridge.monitoring.settings import MonitoringSettings

__all__ = [
    "BridgeConfig",
    "ExchangeConfig",
    "LoadedConfig",
    "OrderSettings",
    "in_force",
    "load_config",
    "parse_config",
]

_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}"


_CREDENTIAL: Final = re.compile(r"apikey|secret|passw|passphrase|privatekey|accesstoken|^token$")


class ExchangeConfig(Section):
    """Which exchange, and which host of it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9_]{2,32}$", description="CCXT's id of the exchange")] = (
        "binance"
    )
    base_url: str | None = Field(None, description="another host: a test net, or the loopback exchange")
    options: dict[str, Any] = Field(default_factory=dict, description="CCXT options; the bridge's own win")


class OrderSettings(Section):
    """How live orders are placed, and the caps of the last gate before them.

    Examples
    --------
    >>> OrderSettings().type
    'market'
    """

    type: Literal["market", "limit"] = Field("market", description="limit rests at a price of its own first")
    limit_offset_bps: float = Field(
        0.0, ge=-100, le=1_000, description="how far a limit lies on the cheap side of the last price"
    )
    limit_timeout_s: float = Field(30.0, gt=0, le=3_600, description="how long a limit order rests")
    replacements: int = Field(1, ge=0, le=20, description="new limit prices before the last resort")
    last_resort: Literal["market", "drop"] = Field("market", description="what becomes of the rest then")
    max_slice_notional: float | None = Field(
        None, gt=0, description="larger orders are split, quote currency"
    )
    max_slice_volume_pct: Fraction | None = Field(
        None, gt=0, description="larger orders are split: share of the mean volume of the 20 bars before"
    )
    max_slices: int = Field(10, ge=1, le=100, description="parts of one order; the rest is left")
    per_minute: int = Field(30, ge=1, le=1_000, description="orders per minute of exchange time")
    max_order_pct: Fraction = Field(1.0, description="largest buy, fraction of equity")
    max_daily_turnover: float = Field(
        4.0, gt=0, le=1_000, description="buys of a UTC day stop at so many equities"
    )
    price_collar_pct: Fraction = Field(
        0.05, description="no order when the price moved further since the decision"
    )
    settle_s: float = Field(60.0, gt=0, le=3_600, description="real seconds a run may wait for the exchange")
    lag_ms: int = Field(1_000, ge=0, le=60_000, description="how late the exchange may show what it accepted")
    at_halt: Literal["cancel", "leave_exits"] = Field(
        "cancel", description="while HALTED: cancel all open orders, or leave those that sell"
    )


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
    mode: Literal["paper", "live"] = Field(
        "paper",
        description="paper simulates fills; live trades, and needs --live and MNEMO_ENV=prod beside it",
    )
    portfolio: PathText = Field(
        min_length=1, description="portfolio file; relative to this file, else to --root"
    )
    state: PathText = Field("data/live/main.sqlite", min_length=1, description="journal; relative to --root")
    orders: OrderSettings = Field(default_factory=OrderSettings, description="how live orders are placed")
    adopt: bool = Field(
        False, description="take what else the live account holds in the traded coins into the portfolio"
    )
    recv_window_ms: int = Field(5000, ge=100, le=60_000, description="how long a signed request is valid")
    series_wait_s: float = Field(
        3_600.0,
        ge=0,
        le=604_800,
        description="seconds for which a value of a stored series is waited for after it was due",
    )
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
    root : pathlib.Path
        Folder that holds ``data/``.
    """

    settings: BridgeConfig
    source: Path
    portfolio: Path
    state: Path
    quality: QualitySettings
    digest: str
    root: Path = Path()


def parse_config(text: str, *, source: str) -> BridgeConfig:
    """Read the text of a ``bridge.yaml``.

    Raises
    ------
    ConfigError
        With one line per fault: file, line, key, what was found and what is allowed.
    """
    settings = parse_document(text, BridgeConfig, source=source)
    if settings.exchange.base_url is not None:
        try:
            checked_base_url(settings.exchange.base_url)
        except ConfigError as error:
            raise ConfigError(f"{source}: exchange.{error}") from None
    for key in _credentials(settings.exchange.options):
        # Without the value: the options are written to the journal and its log.
        raise ConfigError(
            f"{source}: exchange.options: {key} looks like a credential; expected none in this file. "
            "Remove it and give keys as live_bridge/README.md says; keys that stood here should be replaced"
        )
    return settings


def _credentials(options: Mapping[str, Any]) -> Iterator[str]:
    for key, value in options.items():
        if _CREDENTIAL.search(re.sub(r"[^a-z]", "", str(key).lower())):
            yield str(key)
        if isinstance(value, Mapping):
            yield from _credentials(value)


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
        root,
    )


def in_force(loaded: LoadedConfig, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings with every default filled in, and what the environment adds to them.

    Keys and addresses are secrets: of each it is said whether it is set, and nothing else.
    """
    prefix = f"MNEMO_{loaded.settings.exchange.id.upper()}"
    secrets = (f"{prefix}_API_KEY", f"{prefix}_API_SECRET", "MNEMO_ALERT_URLS", "MNEMO_HEARTBEAT_URL")
    variables = {
        "MNEMO_ENV": environment.get("MNEMO_ENV", "dev"),
        f"{prefix}_KEYS_FILE": environment.get(f"{prefix}_KEYS_FILE") or None,
        **{name: "***" if environment.get(name) else None for name in secrets},
    }
    return {**loaded.settings.model_dump(mode="json"), "environment": variables}


def _portfolio(name: str, source: Path, root: Path) -> Path:
    candidates = list(dict.fromkeys(((source.parent / name).resolve(), (root / name).resolve())))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"{source}: portfolio {name!r} not found; looked for {' and '.join(str(path) for path in candidates)}"
    )
