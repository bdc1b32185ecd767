"""Commands of ``live-bridge`` that a person gives: reconcile, halt, resume, flatten."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from live_bridge.cli_options import Config, Json, Root

__all__ = ["register_commands"]

Live = Annotated[bool, typer.Option("--live", help="Needed where the file says mode: live.")]
By = Annotated[str, typer.Option("--by", envvar="USER", help="Who says so; it is kept.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept.")]

_EXAMPLE = "--config research/bridge.example.yaml"
_WHY = '--by ada --reason "exchange incident"'


def register_commands(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command("reconcile", epilog=f"Example: live-bridge reconcile {_EXAMPLE} --live")(reconcile_command)
    app.command("halt", epilog=f"Example: live-bridge halt {_EXAMPLE} {_WHY}")(halt_command)
    app.command("resume", epilog=f"Example: live-bridge resume {_EXAMPLE} {_WHY}")(resume_command)
    app.command("settings", hidden=True)(settings_command)
    app.command("flatten", epilog=f"Example: live-bridge flatten {_EXAMPLE} --live {_WHY}")(flatten_command)


def settings_command(
    config: Annotated[Path | None, typer.Option("--config", help="The bridge's YAML file.")] = None,
    root: Root = Path(),
    as_json: Json = True,
) -> None:
    """Print what is in force, without a file the schema of one; what ``mnemo config`` shows of the bridge."""
    from live_bridge.config import in_force, load_config, schema

    if config is None:
        document = schema()
    else:
        document = in_force(load_config(config, root=root, environment=os.environ), os.environ)
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def reconcile_command(
    config: Config,
    root: Root = Path(),
    live: Live = False,
    accept: Annotated[
        bool, typer.Option("--accept", help="An account that shows nothing of what is held is right.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Settle what was sent, and bring the ledger to what the account holds; orders nothing."""
    from live_bridge.operations import reconcile

    _observed(partial(reconcile, config, root=root, live=live, accept=accept), config, root, as_json)


def halt_command(config: Config, by: By, reason: Reason, root: Root = Path(), as_json: Json = False) -> None:
    """Stop deciding and ordering until 'resume'; asks no exchange."""
    from live_bridge.operations import halt

    _observed(partial(halt, config, root=root, by=by, reason=reason), config, root, as_json)


def resume_command(
    config: Config, by: By, reason: Reason, root: Root = Path(), as_json: Json = False
) -> None:
    """Let the bridge decide and order again."""
    from live_bridge.operations import resume

    _observed(partial(resume, config, root=root, by=by, reason=reason), config, root, as_json)


def flatten_command(
    config: Config, by: By, reason: Reason, root: Root = Path(), live: Live = False, as_json: Json = False
) -> None:
    """Halt, cancel what is open, and sell all positions at market."""
    from live_bridge.operations import flatten

    act = partial(flatten, config, root=root, by=by, reason=reason, live=live)
    _observed(act, config, root, as_json)


def _observed(act: Callable[[], tuple[dict[str, Any], int]], config: Path, root: Path, as_json: bool) -> None:
    from live_bridge.monitoring.session import observation_of, observed
    from live_bridge.report import table

    document, code = observed(act, observation_of(config, root=root))
    sys.stdout.write((json.dumps(document, indent=2, allow_nan=False) if as_json else table(document)) + "\n")
    raise typer.Exit(code)
