"""The command ``live-bridge``: parse, call, print, exit code."""

from __future__ import annotations

import json
import sys
import traceback
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from live_bridge.cli_commands import register_commands
from live_bridge.cli_keys import register_keys
from live_bridge.cli_operations import register
from live_bridge.cli_options import Config, Json, Root
from live_bridge.monitoring.redaction import Redactor, mask_all_logs

__all__ = ["app", "main"]

EXIT_CODES = """Exit codes: 0 ok, 1 failed check, 2 usage or configuration, 3 data or journal, 4 exchange,
5 halted by risk, 75 another run holds the lock."""

app = typer.Typer(
    name="live-bridge",
    help="Trade what the lab proved: one tick at a time, no order twice and none lost.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)

Live = Annotated[bool, typer.Option("--live", help="Trade: one of the locks of mode: live.")]


@app.command("run", epilog="Example: live-bridge run --config research/bridge.example.yaml --root . --json")
def run_command(
    config: Config,
    root: Root = Path(),
    live: Live = False,
    new_account: Annotated[
        bool,
        typer.Option("--new-account", help="A live journal may begin: this portfolio never traded here."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Run one tick, made for cron: decide where a bar has closed, act, report; a bar never acts twice."""
    from live_bridge.monitoring.session import observation_of, observed
    from live_bridge.runner import run

    act = partial(run, config, root=root, live=live, new_account=new_account)
    document, code = observed(act, observation_of(config, root=root))
    _print(document, as_json=as_json)
    if code:
        # cron mails what stands on stderr: a tick that could not act says why there too.
        for reason in document["reasons"]:
            _fail(reason, code)
    raise typer.Exit(code)


@app.command("status", epilog="Example: live-bridge status --config research/bridge.example.yaml")
def status_command(config: Config, root: Root = Path(), as_json: Json = False) -> None:
    """Check the whole journal and show account, positions and last decisions; asks no exchange."""
    from live_bridge.runner import status

    _print(status(config, root=root), as_json=as_json)


register(app)
register_commands(app)
register_keys(app)


def main(arguments: list[str] | None = None) -> None:
    """Run ``live-bridge`` and leave with its exit code; a user's mistake is a line, never a traceback."""
    sys.exit(_run(arguments))


def _run(arguments: list[str] | None) -> int:
    mask_all_logs(Redactor.from_environment())
    try:
        code = int(app(args=arguments, prog_name="live-bridge", standalone_mode=False) or 0)
        # 130 is typer's word for Ctrl-C.
        return _fail("interrupted; the next run continues from the journal", code) if code == 130 else code
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted; the next run continues from the journal", 130)
    except BrokenPipeError:
        # The reader (head, less) went away: what it wanted was printed.
        sys.stderr.close()
        return 0
    except Exception as error:
        if hasattr(error, "format_message"):
            # A usage error of the command line parser: unknown option, missing argument.
            return _fail(error.format_message(), 2)
        if hasattr(error, "exit_code"):
            return _fail(str(error), error.exit_code)
        return _crash()


def _print(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        text = json.dumps(document, indent=2, allow_nan=False)
    else:
        from live_bridge.report import table

        text = table(document)
    sys.stdout.write(text + "\n")


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code


def _crash() -> int:
    # A fault of the bridge's own. Its traceback may quote a signed request, so it is masked.
    sys.stderr.write(Redactor.from_environment().text(traceback.format_exc()))
    return 1
