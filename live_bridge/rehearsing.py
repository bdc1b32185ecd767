"""Many ticks in one process, for rehearsals: the clock of the loopback exchange is set, then a tick runs.

Every tick is the bridge's own :func:`live_bridge.runner.run`: it opens the journal, connects, recovers and
closes as a process of its own would. Only the imports are shared, which are most of a tick's seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from lab.core.errors import ConfigError, MnemoError
from lab.core.timeframe import Timeframe
from live_bridge.runner import run

__all__ = ["main", "rehearse"]


def rehearse(
    config: Path, *, root: Path, control: str, times: Sequence[datetime], live: bool = False
) -> Iterator[dict[str, Any]]:
    """Run a tick at each of `times` of the exchange's clock and yield what it told.

    Parameters
    ----------
    config : pathlib.Path
        ``bridge.yaml``, pointed at the loopback exchange.
    root : pathlib.Path
        Folder that holds ``data/``.
    control : str
        Address of the loopback exchange, ``http://127.0.0.1:…``.
    times : sequence of datetime
        Ascending, UTC.
    live : bool
        As ``live-bridge run --live``.

    Yields
    ------
    dict
        The run's document with ``code``; a run that failed has ``code`` and ``error`` alone.
    """
    parts = urlsplit(control)
    if parts.scheme != "http" or parts.hostname != "127.0.0.1":
        raise ConfigError(
            f"--control {control}: rehearsals run against the loopback exchange, http://127.0.0.1:…"
        )
    for number, at in enumerate(times):
        _set_clock(control, at)
        try:
            document, code = run(
                config,
                root=root,
                live=live,
                new_account=live and number == 0,
                # This machine's clock is another one than history's.
                local_now=partial(_same, at),
            )
        except MnemoError as error:
            yield {"at": at.isoformat(), "code": error.exit_code, "error": str(error)}
            continue
        yield {"at": at.isoformat(), "code": code, **document}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``python -m live_bridge.rehearsing``: one JSON line per tick on stdout."""
    parser = argparse.ArgumentParser(prog="live_bridge.rehearsing", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--control", required=True)
    parser.add_argument("--from", dest="start", required=True, help="first tick, ISO 8601, UTC")
    parser.add_argument("--to", dest="end", required=True, help="last tick, ISO 8601, UTC")
    parser.add_argument("--every", required=True, help="timeframe of the ticks")
    parser.add_argument("--live", action="store_true")
    options = parser.parse_args(arguments)
    step = Timeframe.parse(options.every).duration
    start, end = datetime.fromisoformat(options.start), datetime.fromisoformat(options.end)
    try:
        for told in rehearse(
            options.config,
            root=options.root,
            control=options.control,
            times=list(_times(start, end, step)),
            live=options.live,
        ):
            sys.stdout.write(json.dumps(told, allow_nan=False) + "\n")
            sys.stdout.flush()
    except MnemoError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


def _times(start: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    at = start
    while at <= end:
        yield at
        at += step


def _same(at: datetime) -> datetime:
    return at


def _set_clock(control: str, at: datetime) -> None:
    request = Request(  # noqa: S310 - http://127.0.0.1 alone passes the check above
        f"{control}/_control/clock",
        data=json.dumps({"at": at.isoformat()}).encode(),
        headers={"Content-Type": "application/json"},
        method="POST",
    )
    with urlopen(request, timeout=30):  # noqa: S310 # nosec B310 # as above
        pass


if __name__ == "__main__":
    sys.exit(main())
