"""CCXT's exchange classes: load one, and point it at another host (a test net, the loopback exchange).

``import ccxt`` executes a module that imports every exchange (0.4 s with compiled bytecode); the one class
that is needed takes 0.13 s. The package is therefore put in place unexecuted, from its own spec: its
sub-modules import normally, and whoever asks it for a name that it does not have yet gets the whole package
then, as if ``import ccxt`` had just run. Nothing of CCXT is changed.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
import sys
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

from lab.core.errors import ConfigError

__all__ = ["ccxt_options", "checked_base_url", "errors", "exchange_class"]

# CCXT chooses its table of spot error codes by the address https://api.binance.com; elsewhere its general
# table is used, which has all codes that orders meet.
#
# Every section of ccxt.binance's urls['api'] with the path that Binance serves it under. All are
# replaced, the derivatives' too, so that a redirected class cannot reach the real exchange by any call.
_BINANCE_PATHS: Final = {
    "public": "/api/v3",
    "private": "/api/v3",
    "v1": "/api/v1",
    "sapi": "/sapi/v1",
    "sapiV2": "/sapi/v2",
    "sapiV3": "/sapi/v3",
    "sapiV4": "/sapi/v4",
    "papi": "/papi/v1",
    "papiV2": "/papi/v2",
    "eapiPublic": "/eapi/v1",
    "eapiPrivate": "/eapi/v1",
    "dapiPublic": "/dapi/v1",
    "dapiPrivate": "/dapi/v1",
    "dapiPrivateV2": "/dapi/v2",
    "dapiData": "/futures/data",
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "fapiData": "/futures/data",
}
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})


def ccxt_options(base_url: str) -> dict[str, Any]:
    """Return the constructor argument that points ``ccxt.binance`` at `base_url`, spot only.

    Parameters
    ----------
    base_url : str
        Scheme and host, for example ``https://testnet.binance.vision``.

    Returns
    -------
    dict
        ``urls`` with every API section replaced, and ``options`` for spot trading, which correct local
        time by the server's when markets are loaded (``load_time_difference()`` does it again).

    Raises
    ------
    ConfigError
        If `base_url` is no http or https address, has a path, or is plain http to another machine.

    Examples
    --------
    >>> ccxt_options("http://127.0.0.1:8080")["urls"]["api"]["private"]
    'http://127.0.0.1:8080/api/v3'
    """
    root = checked_base_url(base_url)
    return {
        "urls": {"api": {section: root + path for section, path in _BINANCE_PATHS.items()}},
        "options": {
            "defaultType": "spot",
            "fetchMarkets": {"types": ["spot"]},
            "fetchMargins": False,
            # Signed, and called before the clock difference is known: a skewed clock would fail here.
            "fetchCurrencies": False,
            "adjustForTimeDifference": True,
        },
    }


def checked_base_url(base_url: str) -> str:
    """Return an address of scheme and host, without a slash at its end.

    Raises
    ------
    ConfigError
        If it is anything else, or plain http to another machine. An address that may hold a secret is not
        repeated: messages are logged.
    """
    try:
        parts = urlsplit(base_url)
        hidden = "@" in base_url or parts.query or parts.fragment
        parts.port  # noqa: B018 - looked at for the error it raises
    except ValueError:
        raise ConfigError(
            "base_url not understood: expected scheme and host only, for example http://127.0.0.1:8080"
        ) from None
    if hidden:
        raise ConfigError(
            "base_url has a user name, a password or a query in it; expected scheme and host only. Keys come "
            "from the environment; replace the ones that stood here"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise ConfigError(
            f"base_url {base_url!r} not understood: expected scheme and host only, "
            "for example https://testnet.binance.vision or http://127.0.0.1:8080"
        )
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigError(
            f"base_url {base_url!r} is plain http to another machine: keys would travel in the clear. "
            "Use https, or an address on 127.0.0.1"
        )
    return base_url.rstrip("/")


def exchange_class(name: str) -> Any:
    """Return CCXT's class of the exchange `name`, unmodified.

    Raises
    ------
    ConfigError
        If CCXT has no such exchange; the message has the nearest ids.
    """
    package = _package()
    if importlib.util.find_spec(f"ccxt.{name}") is not None:
        found = getattr(importlib.import_module(f"ccxt.{name}"), name, None)
        if isinstance(found, type):
            # The package's own last word on that name: the class, not the sub-module the import left there.
            setattr(package, name, found)
            return found
    known = [module.name for module in pkgutil.iter_modules(package.__path__) if not module.ispkg]
    near = difflib.get_close_matches(name, known, n=3)
    hint = f"; did you mean {', '.join(near)}?" if near else ""
    raise ConfigError(f"exchange id {name!r} is not one of CCXT's {len(known)} exchanges{hint}")


def errors() -> Any:
    """Return CCXT's module of exceptions."""
    _package()
    return importlib.import_module("ccxt.base.errors")


def _package() -> ModuleType:
    loaded = sys.modules.get("ccxt")
    if loaded is not None:
        return loaded
    spec = importlib.util.find_spec("ccxt")
    if spec is None or spec.loader is None:
        raise ConfigError("CCXT is not installed; run 'make setup'")
    loader = spec.loader
    package = importlib.util.module_from_spec(spec)

    def complete(attribute: str) -> Any:
        # Called for names the package does not have: only then is it worth executing as a whole.
        # Python itself probes modules for its own names.
        if attribute.startswith("__") and attribute not in {"__all__", "__version__"}:
            raise AttributeError(attribute)
        package.__dict__.pop("__getattr__", None)
        loader.exec_module(package)
        return getattr(package, attribute)

    package.__dict__["__getattr__"] = complete
    sys.modules["ccxt"] = package
    return package
