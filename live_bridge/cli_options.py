"""Options that commands of ``live-bridge`` share, and how they print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["Config", "Json", "Root", "show"]

Config = Annotated[Path, typer.Option("--config", help="The bridge's YAML file.")]
Root = Annotated[
    Path, typer.Option("--root", envvar="MNEMO_ROOT", help="Folder that holds data/.", show_default=".")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def show(document: dict[str, Any], lines: list[str], *, as_json: bool) -> None:
    """Print the document, or the lines that a person reads instead."""
    text = json.dumps(document, indent=2, allow_nan=False) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")
