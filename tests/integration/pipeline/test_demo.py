"""The demo as a user runs it: its figures, its repetition, its rehearsal."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lab.pipeline import reproduce
from lab.tracking import Tracker, search_runs

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.xdist_group("demo")]

KEYS = {"seconds", "bars", "strategies", "engine_difference", "runs", "report", "rehearsal"}
STRATEGY_KEYS = {"sharpe", "max_drawdown", "deflated_sharpe", "n_trials"}


def demo(root: Path, *options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "lab.cli", "demo", "--root", str(root), "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("demo")
    return root, demo(root)


def judged(document: dict[str, Any]) -> dict[str, Any]:
    """What has to be the same bits: metrics, deflated Sharpe, N, hash over weights, orders and trades."""
    return {"strategies": document["strategies"], "bars": document["bars"]}


def test_demo_prints_what_its_users_rely_on(first: tuple[Path, dict[str, Any]]) -> None:
    _, document = first
    assert document.keys() >= KEYS
    assert len(document["strategies"]) == 3
    assert all(figures.keys() >= STRATEGY_KEYS for figures in document["strategies"].values())
    assert document["bars"] == 20_111 + 1_865 + 925 + 788
    assert len(document["runs"]) == 3
    assert Path(document["report"]).is_file()


def test_every_kept_result_has_two_engines_that_agree(first: tuple[Path, dict[str, Any]]) -> None:
    _, document = first
    assert 0 <= document["engine_difference"] <= 1e-9


def test_the_bridge_decided_what_the_lab_decides_bit_for_bit(first: tuple[Path, dict[str, Any]]) -> None:
    rehearsal = first[1]["rehearsal"]
    assert rehearsal["ticks"] == 1
    assert rehearsal["decisions"] == 4
    assert rehearsal["mismatches"] == 0
    assert rehearsal["orders"] >= 1
    # What is left is the lot size of the exchange: quantities are rounded down to it.
    assert abs(rehearsal["equity_difference"]) < 1e-6


def test_every_run_is_reproduced_from_its_id(first: tuple[Path, dict[str, Any]]) -> None:
    root, document = first
    logged = search_runs(root)["run_id"].to_list()
    assert set(document["runs"]) <= set(logged)
    for run_id in logged:
        again = reproduce(run_id, root=root)
        assert again.identical
        assert [text for text in again.differences if not text.startswith("code: ")] == []


def test_a_part_of_each_run_is_reproduced_from_its_id(first: tuple[Path, dict[str, Any]]) -> None:
    root, document = first
    for run_id, place in zip(document["runs"], (0, -20, -1), strict=True):
        again = reproduce(Tracker(root).load_run(run_id).children[place], root=root)
        assert again.identical


def test_again_in_the_same_root_gives_the_same_figures(first: tuple[Path, dict[str, Any]]) -> None:
    root, document = first
    assert judged(demo(root)) == judged(document)


def test_a_fresh_root_and_another_number_of_workers_give_the_same_figures(
    first: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert judged(demo(tmp_path, "--workers", "2")) == judged(first[1])


def readme_commands() -> list[list[str]]:
    """The commands of the README's shell block, which it says continue from the demo."""
    text = (Path(__file__).resolve().parents[3] / "README.md").read_text(encoding="utf-8")
    block = text.split("```sh\n")[1].split("```")[0]
    return [shlex.split(line) for line in block.splitlines()]


@pytest.mark.parametrize("command", readme_commands(), ids=" ".join)
def test_the_readme_shows_commands_that_work(first: tuple[Path, dict[str, Any]], command: list[str]) -> None:
    program, *arguments = command
    assert program == "mnemo"
    environment = {**os.environ, "MNEMO_ROOT": str(first[0])}
    done = subprocess.run(
        [sys.executable, "-m", "lab.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=Path(__file__).resolve().parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout
