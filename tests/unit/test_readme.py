"""The README's commands exist, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
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


@pytest.mark.parametrize("link", LINKS)
def test_every_link_leads_to_a_file(link: str) -> None:
    assert (ROOT / link).exists()


def test_every_package_is_in_the_table() -> None:
    for init in sorted((ROOT / "lab").glob("*/__init__.py")):
        assert f"lab/{init.parent.name}" in TEXT


def test_packages_have_a_readme() -> None:
    for folder in re.findall(r"^\| \[([a-z_/]+)\]\(", TEXT, flags=re.MULTILINE):
        assert (ROOT / folder / "README.md").exists(), folder
