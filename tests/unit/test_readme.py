"""The README's commands exist, and its links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from lab.cli import app
from live_bridge.cli import app as bridge

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted(set(re.findall(r"(?:^|`)((?:mnemo|live-bridge) [a-z][^`\n]*)", TEXT, flags=re.MULTILINE)))
LINKS = sorted(set(re.findall(r"\]\((?!http)([^)#]+)\)", TEXT)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists(command: str) -> None:
    program, *words = command.split()
    found = typer.main.get_command(app if program == "mnemo" else bridge)
    while words and hasattr(found, "commands"):
        found = found.commands[words.pop(0)]
    options = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    wanted = {word.strip("[]").split("=")[0] for word in words if word.startswith(("--", "[--"))}
    assert wanted <= options


def leaves(command: Any, name: str) -> Iterator[str]:
    """Yield the full names of a program's commands, those of groups included."""
    if hasattr(command, "commands"):
        for word, below in command.commands.items():
            yield from leaves(below, f"{name} {word}")
    elif not command.hidden:
        yield name


@pytest.mark.parametrize(("program", "application"), [("mnemo", app), ("live-bridge", bridge)])
def test_no_command_is_left_out(program: str, application: typer.Typer) -> None:
    shown = "\n".join(COMMANDS)
    missing = [name for name in leaves(typer.main.get_command(application), program) if name not in shown]
    assert set(missing) <= {"mnemo demo"}  # which `make demo` runs


@pytest.mark.parametrize("link", LINKS)
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_package_is_in_the_table() -> None:
    for init in sorted((ROOT / "lab").glob("*/__init__.py")):
        assert f"lab/{init.parent.name}" in TEXT


def test_packages_have_a_readme() -> None:
    for folder in re.findall(r"^\| \[([a-z_/]+)\]\(", TEXT, flags=re.MULTILINE):
        assert (ROOT / folder / "README.md").exists(), folder
