"""Every command explains itself, and finding that out is quick."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from lab.cli import app


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands(typer.main.get_command(app)))


def test_the_documented_commands_are_there() -> None:
    wanted = {"demo", "backtest", "tune", "parity", "report", "ui", "bench", "data import", "data check"}
    assert wanted <= ALL.keys()


@pytest.mark.parametrize("name", sorted(ALL))
def test_help_says_what_it_does_and_shows_an_example(name: str) -> None:
    command = ALL[name]
    assert command.help
    assert command.epilog is not None
    assert command.epilog.startswith(f"Example: mnemo {name}")


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_takes_the_root_folder(name: str) -> None:
    assert "--root" in {option for parameter in ALL[name].params for option in parameter.opts}


def test_help_loads_no_heavy_library() -> None:
    heavy = "{'polars', 'numba', 'vectorbt', 'mlflow', 'optuna', 'pandas'}"
    code = (
        "import sys\nfrom lab.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        f"found = {heavy} & set(sys.modules)\nassert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
