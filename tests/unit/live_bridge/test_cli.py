"""The command line: help with examples, exit codes, one line per mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from live_bridge.cli import main


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.mark.parametrize("command", ["run", "status"])
def test_help_has_an_example(capsys: pytest.CaptureFixture[str], command: str) -> None:
    code, out, _ = call(capsys, command, "--help")
    assert code == 0
    assert f"Example: live-bridge {command} --config" in out


def test_help_lists_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "--help")
    assert code == 0
    assert "75 another run holds the lock" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run",), "Missing option '--config'"),
        (("run", "--config", "none.yaml"), "none.yaml: cannot be read"),
        (("run", "--confg", "x"), "No such option: --confg"),
        (("trade",), "No such command 'trade'"),
    ],
)
def test_usage_errors_are_one_line_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_mistake_in_the_portfolio_names_its_file(capsys: pytest.CaptureFixture[str], bridge: Path) -> None:
    portfolio = bridge.parent / "small.yaml"
    portfolio.write_text(portfolio.read_text() + "colour: red\n")
    code, _, err = call(capsys, "run", "--config", str(bridge), "--root", str(bridge.parent))
    assert code == 2
    assert "small.yaml:8: colour: unknown key" in err


def test_an_unreachable_exchange_exits_4(capsys: pytest.CaptureFixture[str], bridge: Path) -> None:
    bridge.write_text(
        bridge.read_text().replace("{id: binance}", '{id: binance, base_url: "http://127.0.0.1:9"}')
    )
    code, out, err = call(capsys, "run", "--config", str(bridge), "--root", str(bridge.parent), "--json")
    assert (code, out) == (4, "")
    assert "binance: cannot be reached" in err
    assert "Traceback" not in err
    assert not (bridge.parent / "data/live/main.sqlite").exists()


def test_status_before_the_first_run_exits_3(capsys: pytest.CaptureFixture[str], bridge: Path) -> None:
    code, _, err = call(capsys, "status", "--config", str(bridge), "--root", str(bridge.parent))
    assert code == 3
    assert "no journal yet" in err
