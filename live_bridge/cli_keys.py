"""Commands of ``live-bridge keys``: encrypt a key for a file, ask the exchange what a key may do."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from live_bridge.cli_options import Config, Json, Root, show

if TYPE_CHECKING:
    from live_bridge.keys import Keys

__all__ = ["register_keys"]

_CHECK = "live-bridge keys check --config research/bridge.example.yaml"
_ENCRYPT = "live-bridge keys encrypt --exchange binance --to ~/.config/mnemo/keys.enc"


def register_keys(app: typer.Typer) -> None:
    """Add the group ``keys`` to `app`."""
    keys = typer.Typer(
        help="API keys: put them into an encrypted file, and see what they may do.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    keys.command("encrypt", epilog=f"Example: {_ENCRYPT}")(encrypt_command)
    keys.command("check", epilog=f"Example: {_CHECK}")(check_command)
    app.add_typer(keys, name="keys")


def encrypt_command(
    exchange: Annotated[str, typer.Option("--exchange", help="CCXT's id, such as binance.")],
    to: Annotated[Path, typer.Option("--to", help="The file; its owner alone may read it.")],
    replace: Annotated[bool, typer.Option("--replace", help="The file may be there already.")] = False,
    as_json: Json = False,
) -> None:
    """Write an API key and its secret to an encrypted file.

    They are taken from MNEMO_<EXCHANGE>_API_KEY and _API_SECRET, else asked for without showing them, else
    read from standard input: key and secret, a line each. The passphrase is taken from MNEMO_KEYS_PASSPHRASE
    or the file that MNEMO_KEYS_PASSPHRASE_FILE names, else asked for twice.
    """
    from lab.core.errors import ConfigError
    from live_bridge.keys import PHRASE, PHRASE_FILE, given_passphrase, read_keys
    from live_bridge.monitoring.redaction import remember
    from live_bridge.sealed_keys import seal, write_sealed

    if not re.fullmatch(r"[a-z0-9_]{2,32}", exchange):
        raise ConfigError("--exchange: expected CCXT's id of the exchange, such as binance")
    if to.exists() and not replace:
        raise ConfigError(f"{to} is there already; say --replace, or another name")
    passphrase = given_passphrase(os.environ)
    keys = _given_keys(exchange)
    passphrase = _asked_passphrase() if passphrase is None else passphrase
    remember(keys.key, keys.secret, passphrase)
    write_sealed(to, seal(keys, exchange=exchange, passphrase=passphrase))
    # What was written is what will be read: it is opened once, as a tick will open it.
    name = f"MNEMO_{exchange.upper()}_KEYS_FILE"
    if read_keys(exchange, {name: str(to), PHRASE: passphrase}) != keys:
        raise ConfigError(f"{to} does not open as it was written; make it anew")
    text = (
        f"{to}: key and secret of {exchange}, encrypted. Set {name}={to}, and {PHRASE_FILE} to a file of "
        f"mode 0600 with the passphrase (or {PHRASE}); then remove every copy that is not encrypted."
    )
    show({"path": str(to), "exchange": exchange, "variable": name}, [text], as_json=as_json)


def check_command(
    config: Config,
    root: Root = Path(),
    as_json: Json = False,
) -> None:
    """Ask the exchange what the key may do, from where, and how old it is; 1 when a live run refuses it."""
    from live_bridge.key_check import check_keys

    document, code = check_keys(config, root=root, environment=os.environ)
    if document["source"] is None:
        lines = ["no API key; mode: paper needs none"]
    else:
        age = "not told" if document["age_days"] is None else f"{document['age_days']:g} days"
        lines = [f"{document['exchange']}: key from the {document['source']}, age {age}"]
        lines += [f"{found['code']} {found['detail']}" for found in document["findings"]] or [
            "nothing to say"
        ]
    show(document, lines, as_json=as_json)
    raise typer.Exit(code)


def _given_keys(exchange: str) -> Keys:
    from lab.core.errors import ConfigError
    from live_bridge.keys import Keys

    prefix = f"MNEMO_{exchange.upper()}"
    key, secret = os.environ.get(f"{prefix}_API_KEY", ""), os.environ.get(f"{prefix}_API_SECRET", "")
    if not (key and secret):
        if sys.stdin.isatty():
            key, secret = _hidden(f"{exchange} API key"), _hidden(f"{exchange} API secret")
        else:
            key, _, secret = sys.stdin.read().strip().partition("\n")
    key, secret = key.strip(), secret.strip()
    if not (key and secret) or re.search(r"\s", key + secret):
        raise ConfigError(
            f"expected a key and a secret, without blanks: in {prefix}_API_KEY and {prefix}_API_SECRET, at "
            "the prompt, or as two lines on standard input"
        )
    return Keys(key, secret)


def _asked_passphrase() -> str:
    from lab.core.errors import ConfigError
    from live_bridge.keys import PHRASE, PHRASE_FILE

    if not sys.stdin.isatty():
        raise ConfigError(f"no passphrase: expected it in {PHRASE}, or a file with it in {PHRASE_FILE}")
    first = _hidden("passphrase for the file")
    if _hidden("the same again") != first:
        raise ConfigError("the two passphrases differ; nothing was written")
    return first


def _hidden(what: str) -> str:
    from getpass import getpass

    try:
        return getpass(f"{what} (not shown): ", stream=sys.stderr)
    except EOFError:
        raise typer.Abort from None
