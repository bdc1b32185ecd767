"""Accounts of the real bridge against their backtests: a whole one, and one with missed bars."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.cli import main
from lab.core.errors import ConfigError, DataError
from lab.core.market import Market
from lab.data import demo
from lab.pipeline.comparing import compare
from lab.pipeline.processes import loopback_exchange, run_bridge
from lab.strategies import load_portfolio

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("rehearsals")]

PORTFOLIO = Path(__file__).parents[3] / "research" / "portfolios" / "demo.yaml"
FIRST, LAST = "2018-11-09T00:00:01", "2018-11-27T00:00:01"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    demo.install(folder)
    return folder


def traded(root: Path, name: str, every: str, *options: str, last: str = LAST) -> Path:
    """Let the bridge tick `every` so often on paper, and return its configuration."""
    portfolio = load_portfolio(PORTFOLIO)
    settings: dict[str, Any] = {
        "account": name,
        "market_map": {market: Market.parse(market).symbol for market in portfolio.markets},
        "portfolio": str(PORTFOLIO),
        "state": f"data/live/{name}.sqlite",
    }
    with loopback_exchange(
        root, "--exchange", "bitstamp", "--clock", "manual", "--at", FIRST + "Z", *options
    ) as exchange:
        settings["exchange"] = {"id": "binance", "base_url": exchange.url}
        config = root / f"{name}.yaml"
        config.write_text(yaml.safe_dump(settings))
        command = [
            sys.executable,
            "-m",
            "live_bridge.rehearsing",
            "--config",
            str(config),
            "--root",
            str(root),
        ]
        command += [
            "--control",
            exchange.url,
            "--every",
            every,
            "--from",
            FIRST + "+00:00",
            "--to",
            last + "+00:00",
        ]
        subprocess.run(command, check=True, capture_output=True, env=dict(os.environ))
    return config


def test_a_whole_account_agrees_and_other_portfolios_are_refused(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = traded(root, "whole", "1d", last="2018-11-11T00:00:01")
    with pytest.raises(SystemExit) as left:
        main(["compare", str(PORTFOLIO), "--config", str(config), "--root", str(root), "--json"])
    found = json.loads(capsys.readouterr().out)
    assert not left.value.code
    assert found["ticks"] == found["bars"] == found["compared"] == 3
    assert (found["concordance"], found["missed"], found["mismatches"]) == (1.0, 0, 0)
    assert found["orders"] == found["orders_backtest"] > 0
    assert found["residual"] < 1e-9
    assert found["trading"]["slippage_bps"] == pytest.approx(
        found["trading"]["slippage_bps_modelled"], rel=1e-3
    )
    other = tmp_path / "other.yaml"
    files = str(PORTFOLIO.parents[1] / "strategies")
    text = PORTFOLIO.read_text().replace("../strategies", files)
    other.write_text(text.replace("portfolio_id: demo", "portfolio_id: another"))
    with pytest.raises(ConfigError, match="trades portfolio demo"):
        compare(other, config=config, root=root)
    with pytest.raises(DataError, match="no finished tick yet"):
        compare(PORTFOLIO, config=config, root=root, until=datetime(2018, 1, 1, tzinfo=UTC))


@pytest.mark.slow
def test_bars_without_a_tick_are_missed_and_everything_is_explained(
    root: Path, tally: Callable[..., None]
) -> None:
    config = traded(root, "gaps", "2d")
    found = compare(PORTFOLIO, config=config, root=root)
    tally("bars compared", cases=found["compared"], failed=found["residual"] > 1e-9, seed="none")
    assert (found["bars"], found["ticks"], found["missed"]) == (19, 10, 9)
    assert found["concordance"] <= 10 / 19
    assert found["mismatches"] == 0
    assert found["attribution"]["missed_tick"] != 0
    assert abs(found["attribution"]["total"]) > 1e-6 * found["equity"]
    assert found["residual"] < 1e-9


def test_the_history_of_a_journal_that_is_not_there_ends_as_the_bridge_does(root: Path) -> None:
    config = root / "nothing.yaml"
    config.write_text(f"portfolio: {PORTFOLIO}\nstate: data/live/nothing.sqlite\n")
    with pytest.raises(DataError, match="no journal yet"):
        run_bridge(["history", "--config", str(config), "--root", str(root)])
