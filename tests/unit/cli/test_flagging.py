"""Flags are thrown for what exists, by someone, for a reason; one that names nothing known is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["strategy", "flag", "--root", str(tmp_path), *arguments])
        written = capsys.readouterr()
        return int(left.value.code or 0), written.out, written.err

    return call


def test_what_was_switched_is_listed_with_who_and_why(run: Run) -> None:
    why = ("--by", "ada", "--reason", "under review", "--json")
    assert run("--market", "binance:BTC/USDT", "--off", *why)[0] == 0
    code, out, _ = run("--market", "binance:BTC/USDT", "--on", *why)
    assert code == 0
    assert [(row["enabled"], row["by"]) for row in json.loads(out)] == [(False, "ada"), (True, "ada")]
    assert json.loads(run("--json")[1]) == json.loads(out)


def test_a_switch_is_thrown_at_the_exchanges_time_where_it_is_another(run: Run) -> None:
    why = ("--family", "carry", "--by", "ada", "--reason", "rehearsal", "--json")
    (row,) = json.loads(run(*why, "--off", "--at", "2018-06-01T00:00:01Z")[1])
    assert row["at"].replace(" ", "T") == "2018-06-01T00:00:01+00:00"
    code, _, err = run(*why, "--on", "--at", "2018-05-31")
    assert (code, "the last change was at 2018-06-01" in err) == (2, True)
    assert run("--at", "2018-06-02")[0] == 2
    assert run(*why, "--on", "--at", "soon")[0] == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--family", "cary"), "did you mean carry"),
        (("--market", "BTC"), "expected exchange:BASE/QUOTE"),
        (("--timeframe", "1M"), "use 1w"),
        (("--switch", "Peg!"), "names of small letters"),
        ((), "expected some of exchange, market"),
    ],
)
def test_a_switch_for_nothing_known_is_refused(run: Run, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = run(*arguments, "--off", "--by", "ada", "--reason", "x")
    assert (code, out) == (2, "")
    assert words in err
    assert json.loads(run("--json")[1]) == []


def test_a_switch_needs_a_reason(run: Run) -> None:
    code, _, err = run("--family", "carry", "--off", "--by", "ada")
    assert code == 2
    assert "who and why" in err
