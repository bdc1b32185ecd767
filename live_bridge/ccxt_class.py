"""Load one exchange class of CCXT without the hundred others.

``import ccxt`` executes a module that imports every exchange (0.4 s with compiled bytecode); the one class
that a tick needs takes 0.13 s. The package is therefore put in place unexecuted, from its own spec: its
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
from typing import Any

from lab.core.errors import ConfigError

__all__ = ["errors", "exchange_class"]


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
