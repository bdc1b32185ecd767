"""``bridge.yaml`` in force: the file, its profile and single variables, with the paths that they mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from lab.core.errors import ConfigError
from lab.core.hashing import digest
from lab.core.settings import Layered, Layers, parse_layers, schema_with_profiles
from lab.core.settings.quality import QualitySettings
from lab.data.quality_file import settings_in_force
from lab.data.venues import checked_base_url
from live_bridge.keys import PHRASE, PHRASE_FILE
from live_bridge.monitoring.redaction import Redactor
from live_bridge.sections import BridgeConfig, ExchangeConfig, OrderSettings

__all__ = [
    "PROFILES",
    "VARIABLE_PREFIX",
    "BridgeConfig",
    "ExchangeConfig",
    "LoadedConfig",
    "OrderSettings",
    "in_force",
    "load_config",
    "parse_config",
    "schema",
]

PROFILES: Final = ("dev", "staging", "prod")
VARIABLE_PREFIX: Final = "MNEMO_BRIDGE__"

_REFUSED: Final = {
    "mode": "it is a lock of live mode, which is written in the file, there also in a profile",
}
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_CREDENTIAL: Final = re.compile(r"apikey|secret|passw|passphrase|privatekey|accesstoken|^token$")


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration with the paths it means.

    Attributes
    ----------
    settings : BridgeConfig
        What is in force: the file, its profile, variables.
    source, portfolio, state : pathlib.Path
        The file itself, the portfolio file, the journal; absolute.
    quality : QualitySettings
        How bars are judged: the shipped settings, as ``data/quality.yaml`` and ``data/outages.yaml`` under
        the root override them, for the lab and the bridge alike.
    digest : str
        SHA-256 of the settings in force, those of quality included.
    root : pathlib.Path
        Folder that holds ``data/``.
    origins : mapping of str to str
        Where each key that is not a default comes from: ``file``, ``profiles.NAME``, or a variable's name.
    """

    settings: BridgeConfig
    source: Path
    portfolio: Path
    state: Path
    quality: QualitySettings
    digest: str
    root: Path = Path()
    origins: Mapping[str, str] = field(default_factory=dict)


def parse_config(text: str, *, source: str, environment: Mapping[str, str] = _NOTHING) -> BridgeConfig:
    """Read the text of a ``bridge.yaml``, the profile of ``MNEMO_ENV`` and single variables over it.

    Raises
    ------
    ConfigError
        With one line per fault: file, line, key, what was found and what is allowed.
    """
    return _layered(text, source, environment).settings


def _layered(text: str, source: str, environment: Mapping[str, str]) -> Layered[BridgeConfig]:
    profile = environment.get("MNEMO_ENV", "")
    if profile and profile not in PROFILES:
        raise ConfigError(f"MNEMO_ENV={profile}: expected {', '.join(PROFILES)}")
    layers = Layers(PROFILES, profile, VARIABLE_PREFIX, environment, _REFUSED)
    layered = parse_layers(text, BridgeConfig, source=source, layers=layers)
    for name, settings in layered.others.items():
        _check_secrets(settings, f"{source}: profiles.{name}", {})
    _check_secrets(layered.settings, source, layered.origins)
    return layered


def _check_secrets(settings: BridgeConfig, source: str, origins: Mapping[str, str]) -> None:
    def told(key: str) -> str:
        origin = origins.get(key, "file")
        return origin if origin.upper().startswith(VARIABLE_PREFIX) else source

    if settings.exchange.base_url is not None:
        try:
            checked_base_url(settings.exchange.base_url)
        except ConfigError as error:
            raise ConfigError(f"{told('exchange.base_url')}: exchange.{error}") from None
    for key in _credentials(settings.exchange.options):
        # Without the value: the options are written to the journal and its log.
        raise ConfigError(
            f"{told('exchange.options')}: exchange.options: {key} looks like a credential; expected none "
            "here. Remove it and give keys as live_bridge/README.md says; keys that stood here should be "
            "replaced"
        )


def _credentials(options: Mapping[str, Any]) -> Iterator[str]:
    for key, value in options.items():
        if _CREDENTIAL.search(re.sub(r"[^a-z]", "", str(key).lower())):
            yield str(key)
        if isinstance(value, Mapping):
            yield from _credentials(value)


def load_config(path: Path, *, root: Path, environment: Mapping[str, str] = _NOTHING) -> LoadedConfig:
    """Read ``bridge.yaml`` and resolve its paths.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    root : pathlib.Path
        Folder that holds ``data/``; relative state paths lie under it.
    environment : mapping of str to str, optional
        ``MNEMO_ENV``, which chooses the profile, and ``MNEMO_BRIDGE__…``; default: the file alone.

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
    layered = _layered(text, str(path), environment)
    settings = layered.settings
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
        layered.origins,
    )


def in_force(loaded: LoadedConfig, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings with every default filled in, where each comes from, and what the environment adds.

    Keys and addresses are secrets: of each it is said whether it is set, and nothing else.
    """
    prefix = f"MNEMO_{loaded.settings.exchange.id.upper()}"
    secrets = (f"{prefix}_API_KEY", f"{prefix}_API_SECRET", PHRASE, "MNEMO_ALERT_URLS", "MNEMO_HEARTBEAT_URL")
    variables = {
        "MNEMO_ENV": environment.get("MNEMO_ENV") or None,
        **{name: environment.get(name) or None for name in (f"{prefix}_KEYS_FILE", PHRASE_FILE)},
        **{name: "***" if environment.get(name) else None for name in secrets},
    }
    # Values of settings are no secrets: only what is one elsewhere is masked among them.
    others = {
        name: value for name, value in environment.items() if not name.upper().startswith(VARIABLE_PREFIX)
    }
    settings = Redactor.from_environment(others).value(loaded.settings.model_dump(mode="json"))
    return {**settings, "layers": dict(loaded.origins), "environment": variables}


def _portfolio(name: str, source: Path, root: Path) -> Path:
    candidates = list(dict.fromkeys(((source.parent / name).resolve(), (root / name).resolve())))
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise ConfigError(
        f"{source}: portfolio {name!r} not found; looked for {' and '.join(str(path) for path in candidates)}"
    )


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``bridge.yaml``, its profiles included."""
    return schema_with_profiles(BridgeConfig, PROFILES)
