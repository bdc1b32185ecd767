"""API keys: from the environment or a file of the user's own, encrypted or not; shown to nobody."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from lab.core.errors import ConfigError
from live_bridge.monitoring.redaction import remember

__all__ = ["PHRASE", "PHRASE_FILE", "Keys", "Source", "given_passphrase", "key_source", "read_keys"]

Source = Literal["environment", "file", "encrypted file"]

PHRASE: Final = "MNEMO_KEYS_PASSPHRASE"
PHRASE_FILE: Final = "MNEMO_KEYS_PASSPHRASE_FILE"
# systemd hands a unit its credentials in a folder that nobody else may enter; the files in it may show the
# mask of an access list where a group's rights stand.
_CREDENTIALS: Final = "CREDENTIALS_DIRECTORY"
_LARGEST_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Keys:
    """An API key and its secret; neither shows when the value is printed.

    `source` is where they were read from: ``environment``, ``file`` or ``encrypted file``.

    Examples
    --------
    >>> Keys("k-123", "s-456")
    Keys(source='environment')
    """

    key: str = field(repr=False)
    secret: str = field(repr=False)
    source: Source = field(default="environment", compare=False)


def key_source(exchange: str, environment: Mapping[str, str]) -> str:
    """Return the variable that keys of an exchange come from; empty when there is none."""
    prefix = f"MNEMO_{exchange.upper()}"
    if environment.get(f"{prefix}_API_KEY") and environment.get(f"{prefix}_API_SECRET"):
        return f"{prefix}_API_KEY"
    return f"{prefix}_KEYS_FILE" if environment.get(f"{prefix}_KEYS_FILE") else ""


def read_keys(exchange: str, environment: Mapping[str, str]) -> Keys:
    """Return the keys of an exchange.

    Parameters
    ----------
    exchange : str
        CCXT's id.
    environment : mapping of str to str
        ``MNEMO_<EXCHANGE>_API_KEY`` and ``MNEMO_<EXCHANGE>_API_SECRET``, or ``MNEMO_<EXCHANGE>_KEYS_FILE``: a
        file that nobody else may read. It is what ``live-bridge keys encrypt`` wrote, with its passphrase in
        ``MNEMO_KEYS_PASSPHRASE`` or ``MNEMO_KEYS_PASSPHRASE_FILE``, or YAML with ``api_key`` and
        ``api_secret``.

    Raises
    ------
    ConfigError
        If they are missing, in a file that others can read, damaged, or do not open with the passphrase. No
        value is ever part of the message.
    """
    variable = key_source(exchange, environment)
    prefix = f"MNEMO_{exchange.upper()}"
    if not variable:
        raise ConfigError(
            f"no API key found: expected {prefix}_API_KEY and {prefix}_API_SECRET in the environment, or "
            f"{prefix}_KEYS_FILE with the name of a file that holds api_key and api_secret, which "
            "'live-bridge keys encrypt' writes encrypted"
        )
    if variable.endswith("_API_KEY"):
        return Keys(environment[variable], environment[f"{prefix}_API_SECRET"])
    keys = _from_file(Path(environment[variable]), variable, exchange, environment)
    # Those in the environment are known to whoever masks them.
    remember(keys.key, keys.secret)
    return keys


def given_passphrase(environment: Mapping[str, str]) -> str | None:
    """Return the passphrase of key files; None where the environment names none.

    Raises
    ------
    ConfigError
        If its file cannot be read, can be read by others, or does not hold one line.
    """
    if passphrase := environment.get(PHRASE, ""):
        remember(passphrase)
        return passphrase
    name = environment.get(PHRASE_FILE, "")
    if not name:
        return None
    path = Path(name)
    shared = _is_credential(path, environment)
    try:
        passphrase = _private(path, PHRASE_FILE, group_may_read=shared).decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ConfigError(f"{PHRASE_FILE}: {path} is not UTF-8 text; expected one line") from None
    if not passphrase or "\n" in passphrase:
        raise ConfigError(f"{PHRASE_FILE}: {path} does not hold one line; expected the passphrase alone")
    remember(passphrase)
    return passphrase


def _is_credential(path: Path, environment: Mapping[str, str]) -> bool:
    folder = environment.get(_CREDENTIALS, "")
    return bool(folder) and Path(folder).resolve() in path.resolve().parents


def _private(path: Path, variable: str, *, group_may_read: bool = False) -> bytes:
    """Read a file, if it is its owner's alone."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            others = stat.S_IRWXO | (0 if group_may_read else stat.S_IRWXG)
            if found.st_mode & others:
                raise ConfigError(
                    f"{variable}: {path} has mode {stat.S_IMODE(found.st_mode):04o}, others can read it; "
                    "expected 0600: chmod 600 it, and exchange keys that were readable"
                )
            data = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{variable}: {path} cannot be read ({error.strerror})") from None
    if len(data) > _LARGEST_BYTES:
        raise ConfigError(
            f"{variable}: {path} has more than {_LARGEST_BYTES:,} bytes; expected a file of keys"
        )
    return data


def _from_file(path: Path, variable: str, exchange: str, environment: Mapping[str, str]) -> Keys:
    data, source = _private(path, variable), f"{variable}: {path}"
    document = _parsed(data)
    if isinstance(document, Mapping) and "format" in document:
        # The library behind it is loaded by those who need it.
        from live_bridge.sealed_keys import unseal

        return unseal(document, exchange=exchange, passphrase=given_passphrase(environment), source=source)
    try:
        if not isinstance(document, Mapping):
            raise TypeError
        return Keys(_text(document["api_key"]), _text(document["api_secret"]), "file")
    except (KeyError, TypeError):
        # Not even the parser's words: they quote the line they stumbled on.
        raise ConfigError(
            f"{source} does not hold api_key and api_secret as YAML, nor is it whole and of "
            "'live-bridge keys encrypt'"
        ) from None


def _parsed(data: bytes) -> Any:
    """Return the document in a file, None where there is none."""
    with suppress(ValueError, RecursionError):
        return json.loads(data)
    with suppress(yaml.YAMLError, ValueError, RecursionError):
        return yaml.safe_load(data.decode("utf-8"))
    return None


def _text(value: Any) -> str:
    if not isinstance(value, (str, int)) or not str(value).strip():
        raise TypeError
    return str(value)
