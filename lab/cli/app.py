"""The command tree, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import errno
import sys

import typer

from lab.cli import (
    calibrating,
    campaigning,
    comparing,
    data,
    doctor,
    exchange,
    features,
    ingest,
    logged,
    rehearsing,
    reporting,
    research,
    settings,
    storage,
    strategy,
    sweeping,
    validating,
)

__all__ = ["app", "main"]

EXIT_CODES = """Exit codes: 0 ok, 1 failed check, 2 usage or configuration, 3 data, 4 exchange,
5 halted by risk, 75 another run holds the lock."""

# What the file system refuses, wherever in a command: not the project's fault, so no traceback.
_DISK = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT})
_INTERRUPTED = 130
_DISK_HINT = "nothing half-written is left behind. Check free space and permissions, or name another --root"

app = typer.Typer(
    name="mnemo",
    help="A research lab for systematic crypto strategies whose results can be believed.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(data.app, name="data")
storage.register(data.app)
ingest.register(data.app)
app.add_typer(features.app, name="features")
app.add_typer(exchange.app, name="exchange")
app.add_typer(strategy.app, name="strategy")
app.add_typer(settings.app, name="config")
research.register(app)
reporting.register(app)
doctor.register(app)
campaigning.register(app)
sweeping.register(app)
calibrating.register(app)
logged.register(app, strategy.app)
rehearsing.register(app)
comparing.register(app)
validating.register(app)


def main(arguments: list[str] | None = None) -> None:
    """Run ``mnemo`` and leave with its exit code; a user's mistake is one clear message."""
    try:
        code = app(args=arguments, prog_name="mnemo", standalone_mode=False)
        if code == _INTERRUPTED:  # typer's word for Ctrl-C
            code = _fail("interrupted; nothing half-written is left behind", code)
    except (KeyboardInterrupt, typer.Abort):
        code = _fail("interrupted; nothing half-written is left behind", _INTERRUPTED)
    except BrokenPipeError:
        # The reader (head, less) went away: what it wanted was printed.
        sys.stderr.close()
        code = 0
    except Exception as error:
        if hasattr(error, "format_message"):
            # A usage error of the command line parser: unknown option, missing argument.
            code = _fail(error.format_message(), 2)
        elif hasattr(error, "exit_code"):
            code = _fail(str(error), error.exit_code)
        elif _was_interrupted(error):
            code = _fail("interrupted; nothing half-written is left behind", _INTERRUPTED)
        elif isinstance(error, OSError) and error.errno in _DISK:
            code = _fail(f"{error.filename or 'disk'}: {error.strerror}; {_DISK_HINT}", 3)
        else:
            raise
    sys.exit(code or 0)


def _was_interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C is behind an error: numba trips over it in the middle of compiling."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"error: {message}\n")
    return code
