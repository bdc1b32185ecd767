"""Reading a request's parameters, with the refusals that Binance gives for bad ones."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final
from urllib.parse import parse_qsl

from live_bridge.loopback.errors import RefusedError

__all__ = ["Parameters"]

_CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
_INTEGER: Final = re.compile(r"[0-9]{1,20}")
_DECIMAL: Final = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})?")


class Parameters:
    """The parameters of one request, from query string and form body.

    Parameters
    ----------
    query, body : str
        URL-encoded; a name may appear once.

    Raises
    ------
    RefusedError
        -1101 when a parameter appears twice.
    """

    def __init__(self, query: str, body: str = "") -> None:
        pairs = parse_qsl(query, keep_blank_values=True) + parse_qsl(body, keep_blank_values=True)
        self.values: Mapping[str, str] = dict(pairs)
        if len(self.values) != len(pairs):
            raise RefusedError(-1101, "Duplicate values for a parameter detected.")

    def text(self, name: str) -> str:
        """Return a mandatory parameter."""
        value = self.values.get(name, "")
        if not value:
            raise RefusedError.missing(name)
        return value

    def optional(self, name: str) -> str | None:
        """Return a parameter, or None when it is absent or empty."""
        return self.values.get(name) or None

    def integer(self, name: str) -> int | None:
        """Return a whole number, or None when absent."""
        value = self.optional(name)
        if value is None:
            return None
        if not _INTEGER.fullmatch(value):
            raise RefusedError(
                -1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
            )
        return int(value)

    def decimal(self, name: str, *, places: int) -> Decimal | None:
        """Return an exact number with at most `places` decimals, or None when absent."""
        value = self.optional(name)
        if value is None:
            return None
        try:
            number = Decimal(value) if _DECIMAL.fullmatch(value) else None
        except InvalidOperation:
            number = None
        if number is None:
            raise RefusedError(
                -1100,
                f"Illegal characters found in parameter '{name}'; "
                "legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'.",
            )
        if number != number.quantize(Decimal(1).scaleb(-places)):
            raise RefusedError(-1111, f"Parameter '{name}' has too much precision.")
        return number

    def limit(self, *, default: int, largest: int) -> int:
        """Return the page size: `default` when absent, never above `largest`."""
        value = self.integer("limit")
        if value is None:
            return default
        if value < 1:
            raise RefusedError(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, largest)

    def client_id(self, name: str) -> str | None:
        """Return a client order id, or None when absent."""
        value = self.optional(name)
        if value is not None and not _CLIENT_ID.fullmatch(value):
            raise RefusedError(
                -1100,
                f"Illegal characters found in parameter '{name}'; "
                "legal range is '^[\\.A-Z\\:/a-z0-9_-]{1,36}$'.",
            )
        return value

    def symbols(self) -> list[str] | None:
        """Return the symbols asked for by ``symbol`` or ``symbols`` (a JSON list); None for all."""
        one, many = self.optional("symbol"), self.optional("symbols")
        if one is not None:
            return [one]
        if many is None:
            return None
        try:
            names = json.loads(many)
        except ValueError:
            names = None
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RefusedError(-1100, "Illegal characters found in parameter 'symbols'.")
        return names
