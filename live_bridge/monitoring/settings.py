"""The section ``monitoring`` of ``bridge.yaml``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from lab.core.settings import PathText, Section

__all__ = ["MonitoringSettings"]


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
