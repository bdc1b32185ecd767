"""API keys: read from the environment or a file of the user's own, shown to nobody."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from lab.core.errors import ConfigError
from live_bridge.monitoring.redaction import remember

__all__ = ["Keys", "read_keys"]

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class Keys:
    """An API key and its secret; neither shows when the value is printed.

    Examples
    --------
    >>> Keys("k-123", "s-456")
    Keys()
    """

    key: str = field(repr=False)
    secret: str = field(repr=False)


def read_keys(exchange: str, environment: Mapping[str, str]) -> Keys:
    """Return the keys of an exchange.

    Parameters
    ----------
    exchange : str
        CCXT's id.
    environment : mapping of str to str
        ``MNEMO_<EXCHANGE>_API_KEY`` and ``MNEMO_<EXCHANGE>_API_SECRET``, or ``MNEMO_<EXCHANGE>_KEYS_FILE``: a
        YAML file with ``api_key`` and ``api_secret`` that nobody else may read.

    Raises
    ------
    ConfigError
        If they are missing, or in a file that others can read. No value is ever part of the message.
    """
    prefix = f"MNEMO_{exchange.upper()}"
    key, secret = environment.get(f"{prefix}_API_KEY", ""), environment.get(f"{prefix}_API_SECRET", "")
    if key and secret:
        return Keys(key, secret)
    name = environment.get(f"{prefix}_KEYS_FILE", "")
    if not name:
        raise ConfigError(
            f"no API key found: expected {prefix}_API_KEY and {prefix}_API_SECRET in the environment, or "
            f"{prefix}_KEYS_FILE with the name of a file that holds api_key and api_secret"
        )
    return _from_file(Path(name), f"{prefix}_KEYS_FILE")


def _from_file(path: Path, variable: str) -> Keys:
    try:
        mode = path.stat().st_mode
        if mode & _OTHERS:
            raise ConfigError(
                f"{variable}: {path} has mode {stat.S_IMODE(mode):04o}, others can read it; expected 0600: "
                "chmod 600 it, and exchange keys that were readable"
            )
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        keys = Keys(str(document["api_key"]), str(document["api_secret"]))
    except OSError as error:
        raise ConfigError(f"{variable}: {path} cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, KeyError, TypeError, UnicodeDecodeError):
        # Not even the parser's words: they quote the line they stumbled on.
        raise ConfigError(f"{variable}: {path} does not hold api_key and api_secret as YAML") from None
    # Those in the environment are known to whoever masks them.
    remember(keys.key, keys.secret)
    return keys
