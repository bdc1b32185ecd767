"""Key files that are encrypted: AES-256-GCM under a key that scrypt derives from a passphrase.

A file is JSON that says what it is: format and version, exchange, how the key was derived, the cipher, and
what is sealed. All of it but the checksum is authenticated. The checksum tells a damaged file from a wrong
passphrase, and nothing about either.
"""

from __future__ import annotations

import binascii
import json
import os
import secrets
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from feature_store.atomic import replacing
from lab.core.errors import ConfigError
from lab.core.hashing import canonical_json, digest
from live_bridge.keys import PHRASE, PHRASE_FILE, Keys

__all__ = ["FORMAT", "LEAST_PASSPHRASE", "VERSION", "seal", "unseal", "write_sealed"]

FORMAT: Final = "mnemo-quant encrypted keys"
VERSION: Final = 1
LEAST_PASSPHRASE: Final = 12

_KDF: Final = "scrypt"
_CIPHER: Final = "aes-256-gcm"
# OWASP's choice for scrypt: 128 MiB and half a second, once per tick.
_COST: Final = 2**17
_LEAST_COST: Final = 2**14
# A file from elsewhere must not be able to ask for all memory there is.
_MOST_COST: Final = 2**18
_BLOCK: Final = 8
_KEY_BYTES: Final = 32
_SALT_BYTES: Final = 16
_NONCE_BYTES: Final = 12


def seal(keys: Keys, *, exchange: str, passphrase: str, cost: int = _COST) -> dict[str, Any]:
    """Return the document of an encrypted key file.

    Parameters
    ----------
    keys : Keys
    exchange : str
        CCXT's id; the file opens for it alone.
    passphrase : str
        At least 12 characters.
    cost : int, optional
        Of scrypt: a power of two. Memory is a kibibyte times it.

    Raises
    ------
    ConfigError
        If the passphrase is shorter.

    Examples
    --------
    >>> document = seal(Keys("k", "s"), exchange="binance", passphrase="correct horse", cost=2**14)
    >>> unseal(document, exchange="binance", passphrase="correct horse", source="keys.enc").secret
    's'
    """
    if len(passphrase) < LEAST_PASSPHRASE:
        raise ConfigError(f"the passphrase is shorter than {LEAST_PASSPHRASE} characters; take a longer one")
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    told = {
        "format": FORMAT,
        "version": VERSION,
        "exchange": exchange,
        "kdf": {"name": _KDF, "salt": b64encode(salt).decode(), "n": cost, "r": _BLOCK, "p": 1},
        "cipher": {"name": _CIPHER, "nonce": b64encode(nonce).decode()},
    }
    text = json.dumps({"api_key": keys.key, "api_secret": keys.secret}).encode()
    cipher = AESGCM(_derived(passphrase, salt, cost))
    document = told | {"sealed": b64encode(cipher.encrypt(nonce, text, _authenticated(told))).decode()}
    return document | {"checksum": digest(document)}


def unseal(document: Mapping[str, Any], *, exchange: str, passphrase: str | None, source: str) -> Keys:
    """Return the keys in the document of an encrypted key file.

    Parameters
    ----------
    document : mapping
        What :func:`seal` made.
    exchange : str
        Whose keys are wanted.
    passphrase : str or None
    source : str
        The file, for messages.

    Raises
    ------
    ConfigError
        If it is of another format, a newer version or another exchange, damaged, or does not open. No secret
        is part of the message.
    """
    _check_readable(document, exchange, source)
    if passphrase is None:
        raise ConfigError(f"{source} is encrypted; expected its passphrase in {PHRASE} or {PHRASE_FILE}")
    damaged = ConfigError(f"{source} is damaged; restore it, or make it anew with 'live-bridge keys encrypt'")
    try:
        salt, nonce = _bytes(document["kdf"]["salt"]), _bytes(document["cipher"]["nonce"])
        sealed, cost = _bytes(document["sealed"]), _checked_cost(document["kdf"])
        cipher = AESGCM(_derived(passphrase, salt, cost))
        text = cipher.decrypt(nonce, sealed, _authenticated(document))
    except InvalidTag:
        raise ConfigError(
            f"{source} does not open: the passphrase in {PHRASE} or {PHRASE_FILE} is not the one it "
            "was made with"
        ) from None
    except (KeyError, TypeError, ValueError):
        raise damaged from None
    try:
        found = json.loads(text)
        return Keys(found["api_key"], found["api_secret"], "encrypted file")
    except (KeyError, TypeError, ValueError):
        raise damaged from None


def write_sealed(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document of an encrypted key file, all or nothing, for its owner's eyes only (0600)."""
    with replacing(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
            file.write("\n")


def _check_readable(document: Mapping[str, Any], exchange: str, source: str) -> None:
    version = document.get("version")
    if document["format"] != FORMAT:
        raise ConfigError(f"{source} is of another program; expected what 'live-bridge keys encrypt' writes")
    if isinstance(version, int) and version > VERSION:
        raise ConfigError(
            f"{source} is of version {version}, this program reads {VERSION}: update it, or make the "
            "file anew"
        )
    whole = {name: value for name, value in document.items() if name != "checksum"}
    try:
        intact = digest(whole) == document.get("checksum")
    except (TypeError, ValueError):
        intact = False
    if not intact or version != VERSION:
        raise ConfigError(
            f"{source} is damaged: it is not what its checksum says; restore it, or make it anew with "
            "'live-bridge keys encrypt'"
        )
    if document.get("exchange") != exchange:
        raise ConfigError(f"{source} holds keys of {document.get('exchange')}; expected those of {exchange}")


def _checked_cost(kdf: Mapping[str, Any]) -> int:
    if (kdf["name"], kdf["r"], kdf["p"]) != (_KDF, _BLOCK, 1):
        raise ValueError
    cost = kdf["n"]
    if not isinstance(cost, int) or not _LEAST_COST <= cost <= _MOST_COST:
        raise ValueError
    return cost


def _derived(passphrase: str, salt: bytes, cost: int) -> bytes:
    # One and the same however a keyboard composes accents; what is not UTF-8 in the environment stays bytes.
    given = unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")
    return Scrypt(salt=salt, length=_KEY_BYTES, n=cost, r=_BLOCK, p=1).derive(given)


def _authenticated(document: Mapping[str, Any]) -> bytes:
    return canonical_json(
        {name: document[name] for name in ("format", "version", "exchange", "kdf", "cipher")}
    ).encode()


def _bytes(text: Any) -> bytes:
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError from None
