"""The section ``monitoring`` of ``bridge.yaml``."""

from __future__ import annotations

import os
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from lab.core.settings import Section

__all__ = ["MonitoringSettings", "PathText"]

# Below what Linux takes, for files beside it have longer names, and a root stands before it.
_LONGEST_NAME: Final = 200
_LONGEST_PATH: Final = 1_000


def _path(text: str) -> str:
    """Return a path that the system can be asked about, or say why it cannot."""
    parts = [os.fsencode(part) for part in text.split("/")]
    if "\0" in text or max(map(len, parts)) > _LONGEST_NAME or len(os.fsencode(text)) > _LONGEST_PATH:
        raise ValueError(
            f"expected a path of at most {_LONGEST_PATH} bytes, its names of {_LONGEST_NAME}, none zero"
        )
    return text


PathText = Annotated[str, AfterValidator(_path)]


class MonitoringSettings(Section):
    """Where the bridge writes what it tells, and whom it tells.

    Addresses for alerts carry passwords, so they come from the environment: ``MNEMO_ALERT_URLS`` (Apprise
    addresses, separated by blanks) and ``MNEMO_HEARTBEAT_URL``.

    Examples
    --------
    >>> MonitoringSettings().alert_from
    'WARNING'
    """

    logs: PathText = Field(
        "data/live/logs", min_length=1, description="folder of the logs; relative to --root"
    )
    metrics: PathText = Field(
        "data/live/metrics", min_length=1, description="folder of the text file for Prometheus' node exporter"
    )
    alert_from: Literal["INFO", "WARNING", "CRITICAL"] = Field(
        "WARNING", description="least severity that is sent"
    )
    alert_repeat_hours: float = Field(
        6.0, gt=0, le=168, description="a lasting incident is sent again after this many hours"
    )
    alert_timeout_seconds: float = Field(
        10.0, gt=0, le=60, description="how long a tick waits for the services that take alerts"
    )
