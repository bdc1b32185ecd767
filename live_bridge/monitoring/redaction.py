"""Keeps secrets out of whatever is written: known values, and what stands where secrets stand."""

from __future__ import annotations

import logging
import os
import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["MASK", "Redactor", "mask_all_logs", "remember"]

MASK: Final = "[redacted]"

# Environment variables whose values are secrets; also those that only this process knows about.
_SECRET_NAMES: Final = re.compile(r"(?i)(api_?key|secret|passphrase|password|token|_URLS?$)")
_SECRET_KEYS: Final = re.compile(
    r"(?i)^(.*(api_?key|secret|password|passphrase|token|signature|authorization))$"
)
# What a signed request carries in its address or headers, in a traceback or an exchange's message.
_IN_TEXT: Final = re.compile(
    r"(?i)\b(signature|apikey|api_key|x-mbx-apikey|secret|password|token|authorization)"
    r"(['\"]?\s*[=:]\s*['\"]?)(?:bearer\s+)?[^\s&'\",}]+"
)
# Shorter values would mask ordinary words.
_SHORTEST: Final = 6


# Secrets that this process read from elsewhere than its environment. They must be masked in what is written
# by whoever does not hold them, which is why they are the one thing here that is shared.
_remembered: set[str] = set()


def remember(*secrets: str) -> None:
    """Mask these values too, in everything that this process writes from now on."""
    _remembered.update(secret for secret in secrets if len(secret) >= _SHORTEST)


def mask_all_logs(redactor: Redactor) -> None:
    """Mask secrets in every record of every library's logger, whatever level somebody switched on.

    CCXT logs request headers at level debug, and urllib3 signed addresses.
    """
    made = logging.getLogRecordFactory()

    def masked(*arguments: Any, **options: Any) -> logging.LogRecord:
        record = made(*arguments, **options)
        record.msg, record.args = redactor.text(record.getMessage()), None
        if record.exc_info and record.exc_info[0] is not None:
            # A formatter takes this text instead of making its own.
            record.exc_text = redactor.text("".join(traceback.format_exception(*record.exc_info)))
        return record

    logging.setLogRecordFactory(masked)


class Redactor:
    """Replaces secrets in text and in nested values.

    Parameters
    ----------
    secrets : iterable of str
        Values to mask wherever they stand. Those below six characters are left: they would mask words.

    Examples
    --------
    >>> redactor = Redactor(["hunter2hunter2"])
    >>> redactor.text("GET /order?symbol=BTC&signature=9f8e7d failed for hunter2hunter2")
    'GET /order?symbol=BTC&signature=[redacted] failed for [redacted]'
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = frozenset(secret for secret in secrets if len(secret) >= _SHORTEST)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Redactor:
        """Return a redactor that knows the secrets of this process: ``MNEMO_*`` keys, secrets and URLs.

        The name of a file with a secret is none.
        """
        variables = os.environ if environment is None else environment
        return cls(
            value
            for name, value in variables.items()
            if name.startswith("MNEMO_") and _SECRET_NAMES.search(name) and not name.endswith("_FILE")
        )

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        # Longest first, so that a secret that contains another one is masked whole.
        for secret in sorted(self._secrets | _remembered, key=len, reverse=True):
            text = text.replace(secret, MASK)
        return _IN_TEXT.sub(lambda match: f"{match[1]}{match[2]}{MASK}", text)

    def value(self, value: Any) -> Any:
        """Return a JSON-like value with every secret masked, by name of its key or by content."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(key)): MASK if _SECRET_KEYS.match(str(key)) and entry else self.value(entry)
                for key, entry in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.value(entry) for entry in value]
        return value
