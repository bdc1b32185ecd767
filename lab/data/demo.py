"""The bundled demo bars: real, small, and free to pass on (see NOTICE)."""

from __future__ import annotations

import json
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any, Final

from lab.core.errors import DataError
from lab.data.importing import FileVerdict, import_files
from lab.data.raw import file_digest

__all__ = ["DAILY", "HOURLY", "install", "provenance"]

# Two venues, not one market: their closes differ by 6 basis points in the median.
HOURLY: Final = ("coinbase:BTC/USD",)
DAILY: Final = ("bitstamp:BTC/USD", "bitstamp:ETH/USD", "bitstamp:LTC/USD")


def provenance() -> dict[str, Any]:
    """Return where the bundled files come from: ``source, licence, changes, arrived, files``."""
    text = resources.files("lab.data").joinpath("demo_bars/provenance.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


def install(root: Path) -> list[FileVerdict]:
    """Import the bundled bars under `root`; nothing changes when they are there.

    ``coinbase:BTC/USD`` hourly, 2017-07 to 2019-10; ``bitstamp:BTC/USD``, ``ETH/USD`` and ``LTC/USD`` daily,
    2014-11 to 2020-01. Their arrival is the date in the provenance file, so that every installation has the
    same bytes.

    Raises
    ------
    DataError
        If a bundled file is not the one that was published, or cannot be stored.
    """
    origin = provenance()
    verdicts = []
    for entry in origin["files"]:
        with resources.as_file(resources.files("lab.data").joinpath("demo_bars", entry["file"])) as path:
            if file_digest(path) != entry["sha256"]:
                raise DataError(f"{path} is not the published file; install the package again")
            verdicts += import_files(
                [path],
                root=root,
                exchange=entry["exchange"],
                timeframe=entry["timeframe"],
                arrived=datetime.fromisoformat(origin["arrived"]),
                strict=True,
            )
    refused = [verdict for verdict in verdicts if not verdict.ok]
    if refused:
        raise DataError(refused[0].error)
    return verdicts
