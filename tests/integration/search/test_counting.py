"""N is the number of trials that were made, whatever mixture of functions and commands made them."""

from __future__ import annotations

import json
import re
import shutil
from itertools import count

import polars as pl
import pytest
from typer.testing import CliRunner

import lab.pipeline
import lab.tracking
from lab.cli.app import app, main
from lab.data.demo import install
from lab.search import DataIdentity, Ledger

pytestmark = pytest.mark.integration

# Every public function of the pipeline, by whether what it evaluates is new.
EVALUATING = {"backtest", "run_campaign", "sweep", "tune", "validate"}
COUNTING_NOTHING = {"parity", "reproduce", "export_run"}

CONFIG = """
family: time_series_momentum
strategy_id: counted_v1
version: 1.0.0
timeframe: 1d
markets: [{exchange: bitstamp, symbol: BTC/USD}]
parameters: {lookback_window: 75, vol_window: 30}
risk: {max_position_pct: 0.8}
costs: {fee_bps: 10, slippage_bps: 5}
search: {trials: 6, sampler: random, train_bars: 400, test_bars: 600, purged_bars: 1}
"""
FAMILY = "time_series_momentum"
IDENTITY = DataIdentity.of(["bitstamp:BTC/USD"], "1d")


class Counter:
    """A root folder whose trials are counted before and after."""

    def __init__(self, root):
        self.root = root
        self.numbers = count()
        install(root)

    def config(self, old="", new=""):
        path = self.root / f"config-{next(self.numbers)}.yaml"
        path.write_text(CONFIG.replace(old, new) if old else CONFIG, encoding="utf-8")
        return path

    @property
    def n(self):
        return Ledger(self.root).judge(FAMILY, IDENTITY).n_trials

    def command(self, *arguments):
        done = CliRunner().invoke(app, [*map(str, arguments), "--root", str(self.root), "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def counter(tmp_path_factory):
    return Counter(tmp_path_factory.mktemp("root"))


def test_every_public_function_of_the_pipeline_is_known_here():
    functions = {name for name in lab.pipeline.__all__ if callable(getattr(lab.pipeline, name))}
    functions = {name for name in functions if not isinstance(getattr(lab.pipeline, name), type)}
    assert functions == EVALUATING | COUNTING_NOTHING


def distinct(*tables):
    names = [name for name in tables[0].columns if name.startswith("parameter_")]
    complete = pl.concat(tables).filter(pl.col("state") == "complete")
    return complete.unique(["fold", *names]).height


def test_whatever_made_them_the_ledger_counts_what_was_tried(counter):
    config, root = counter.config(), counter.root
    first = lab.pipeline.tune(config, root=root, seed=1, log_trials=0)
    expected = distinct(first.search.trials)
    assert first.document["n_trials_ledger"] == counter.n == expected > 6

    again = counter.command("tune", config, "--seed", "2", "--log-trials", "0")
    second = lab.tracking.Tracker(root).load_run(again["run_id"]).table("trials")
    expected = distinct(first.search.trials, second)
    assert again["n_trials_ledger"] == counter.n == expected

    lab.pipeline.backtest(config, root=root)
    counter.command("backtest", config)
    lab.pipeline.backtest(config, root=root, seed=5)
    expected += 1
    assert counter.n == expected
    for old, new in (
        ("fee_bps: 10", "fee_bps: 11"),
        ("slippage_bps: 5", "slippage_bps: 5, impact_bps: 20"),
        ("slippage_bps: 5", "slippage_bps: 5, slippage_volatility: 0.1"),
        ("max_position_pct: 0.8", "max_position_pct: 0.7"),
        ("max_position_pct: 0.8", "max_position_pct: 0.8, max_exposure_pct: 0.6"),
        ("vol_window: 30", "vol_window: 31"),
    ):
        counter.command("backtest", counter.config(old, new))
        expected += 1
        assert counter.n == expected, new
    lab.pipeline.backtest(config, root=root, start=first.search.oos.equity["ts"][0])
    expected += 1

    swept = lab.pipeline.sweep(config, {"lookback_window": [20, 30, 40], "threshold": [0.0, 0.1]}, root=root)
    expected += 6
    assert swept.document["n_trials_ledger"] == counter.n == expected
    document = counter.command("sweep", config, "--grid", "lookback_window=30:75:15", "--grid", "threshold=0")
    # 30 was swept already, 75 is what the file has; 45 and 60 are new.
    assert document["n_trials_ledger"] == counter.n == expected + 2

    before = counter.n
    campaign = root / "campaign.yaml"
    campaign.write_text(f"campaign_id: counted\ninstances: [{{config: {config}}}]\ncosts: [gross, base]\n")
    # The file's own costs are the base level's, and were tried.
    (member,) = lab.pipeline.run_campaign(campaign, root=root).document["members"]
    assert member["n_trials_ledger"] == counter.n == before + 1
    assert counter.command("campaign", campaign)["members"][0]["n_trials_ledger"] == before + 1

    before = counter.n
    judged = lab.pipeline.validate(config, root=root, resamples=100).document
    assert judged["trials"]["before_this_validation"] == before
    assert judged["trials"]["family"] == judged["n_trials_ledger"] == counter.n > before
    assert counter.command("validate", config, "--resamples", "100")["n_trials_ledger"] == counter.n

    before = Ledger(root).verify()
    lab.pipeline.parity(config, root=root)
    assert lab.pipeline.reproduce(first.run_id, root=root).identical
    lab.pipeline.export_run(first.run_id, root=root, folder=root / "exported")
    assert Ledger(root).verify() == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[1:], "changed, moved or removed|last line is not the one recorded"),
        # Of two lines, either fault is met first.
        (
            lambda lines: [lines[1], lines[0], *lines[2:]],
            "changed, moved or removed|last line is not the one recorded",
        ),
        (
            lambda lines: [lines[0].replace(b'"observations":4', b'"observations":9', 1), *lines[1:]],
            "changed",
        ),
        (lambda lines: lines[:-1], "last line is not the one recorded"),
    ],
    ids=["deleted", "reordered", "edited", "cut off"],
)
def test_a_ledger_that_was_touched_is_refused_by_the_next_command(counter, change, words, tmp_path, capsys):
    config = counter.config()
    if counter.n == 0:
        lab.pipeline.tune(config, root=counter.root, seed=1, log_trials=0)
    root = tmp_path / "root"
    shutil.copytree(counter.root / "data", root / "data")
    path = Ledger(root).path
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["backtest", str(config), "--root", str(root)])
    answer = capsys.readouterr()
    assert left.value.code == 3
    assert answer.out == ""
    assert re.search(words, answer.err)
    assert "restore" in answer.err
