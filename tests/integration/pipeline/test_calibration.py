"""The study of the pipeline itself: planted edges are what they claim, and rates are counted right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from typer.testing import CliRunner

from lab.cli import app
from lab.core.errors import ConfigError
from lab.data.worlds import make_world
from lab.pipeline.calibration import Calibration, Planter, Rate, calibrate, in_synthetic_markets
from lab.search import MemoryLedger
from lab.search.selection import select, warm_up_of
from lab.strategies import load
from tests.oracle.calibration import planted_bar_by_bar

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("calibration")]

STRATEGIES = Path(__file__).resolve().parents[3] / "research" / "strategies"
TREND = STRATEGIES / "demo_tsm_1d.yaml"
FILE = """\
family: {family}
strategy_id: calibrated
version: 1.0.0
timeframe: 1d
markets: [{{exchange: a, symbol: X/Y}}, {{exchange: a, symbol: Z/Y}}]
parameters: {{lookback_window: 30}}
costs: {{preset: base}}
search: {{sampler: random}}
"""


@pytest.fixture(params=["time_series_momentum", "dual_momentum"])
def instance(request: pytest.FixtureRequest, tmp_path: Path):
    (tmp_path / "x.yaml").write_text(FILE.format(family=request.param))
    return in_synthetic_markets(load(tmp_path / "x.yaml"))


@pytest.mark.parametrize(("count", "total"), [(0, 400), (7, 400), (20, 400), (150, 200), (200, 200)])
def test_bounds_are_those_of_the_exact_test(count: int, total: int) -> None:
    interval = binomtest(count, total).proportion_ci(confidence_level=0.9, method="exact")
    rate = Rate(count, total)
    assert (rate.lower, rate.upper) == pytest.approx((interval.low, interval.high), abs=1e-12)


def test_drift_and_decisions_are_solved_for_together(instance) -> None:
    planter = Planter(instance, sharpe=1.5, bars=150, seed=1)
    bare = planter._bare(number=0, stream=0)
    world = planter._planted(bare, strength=0.4)
    assert (world.moves != bare.moves).any()
    np.testing.assert_array_equal(world.moves, planted_bar_by_bar(instance, bare, strength=0.4).moves)


def test_the_planted_parameters_earn_what_was_asked_for(instance) -> None:
    planter = Planter(instance, sharpe=2.0, bars=2 * 365, seed=2, pilots=24)
    found = [planter.earned(planter.world(number)) for number in range(24)]
    error = np.std(found, ddof=1) / len(found) ** 0.5
    # The drift was found on as many other worlds, so that both means are off by as much.
    assert abs(np.mean(found) - 2.0) < 3 * 2**0.5 * error
    assert error < 0.2
    own = [planter.earned(planter.world(number, stream=1_000)) for number in range(24)]
    assert np.mean(own) == pytest.approx(2.0, abs=0.05)


def test_no_drift_gives_an_edge_to_who_holds_nothing(tmp_path: Path) -> None:
    text = FILE.format(family="time_series_momentum").replace(
        "{lookback_window: 30}", "{lookback_window: 30, threshold: 0.5, max_volatility: 0.01}"
    )
    (tmp_path / "x.yaml").write_text(text)
    planter = Planter(in_synthetic_markets(load(tmp_path / "x.yaml")), sharpe=1.0, bars=300, seed=0)
    with pytest.raises(ConfigError, match="Does it ever hold anything"):
        _ = planter.strength


def test_selection_counts_every_set_it_tried(instance) -> None:
    ledger = MemoryLedger()
    panel = make_world("noise", seed=1, bars=warm_up_of(instance) + 200, markets=2).panel()
    found = select(instance, panel, trials=30, seed=3, ledger=ledger)
    assert found.n_trials == ledger.judge(*_key(instance)).n_trials
    assert 20 < found.n_trials <= 30
    again = select(instance, panel, trials=30, seed=4, ledger=ledger)
    assert found.n_trials < again.n_trials <= 60
    assert 0.0 <= found.overfitting() <= 1.0


def _key(instance):
    from lab.search import DataIdentity

    return instance.strategy.family, DataIdentity.of(instance.markets, instance.timeframe)


def test_what_was_selected_is_the_best_of_what_was_tried(instance) -> None:
    panel = make_world("noise", seed=5, bars=warm_up_of(instance) + 200, markets=2).panel()
    few = select(instance, panel, trials=5, seed=3, ledger=MemoryLedger())
    many = select(instance, panel, trials=40, seed=3, ledger=MemoryLedger())
    # The sampler's first five sets are the same.
    assert many.sharpe >= few.sharpe


@pytest.fixture(scope="module")
def small() -> Calibration:
    return calibrate(TREND, worlds=8, trials=8, seed=1, sharpe=3.0, years=2, workers=2)


def test_the_result_does_not_depend_on_workers(small: Calibration) -> None:
    one = calibrate(TREND, worlds=8, trials=8, seed=1, sharpe=3.0, years=2, workers=1)
    assert one.outcomes == small.outcomes
    assert {**one.document, "seconds": 0} == {**small.document, "seconds": 0}
    other = calibrate(TREND, worlds=4, trials=2, seed=2, sharpe=3.0, years=2)
    assert other.outcomes["noise"] != small.outcomes["noise"][:4]


def test_a_large_edge_is_found_and_noise_is_not(small: Calibration) -> None:
    planted, noise = ([one.deflated_sharpe for one in small.outcomes[name]] for name in ("planted", "noise"))
    assert min(planted) > 0.9
    assert max(noise) < 0.95
    assert small.document["power"] == sum(value >= 0.95 for value in planted) / 4
    assert not small.broken


def test_made_up_volumes_screen_no_market(tmp_path: Path) -> None:
    plain = FILE.format(family="time_series_momentum")
    (tmp_path / "x.yaml").write_text(plain)
    (tmp_path / "thick.yaml").write_text(plain + "liquidity: {min_daily_volume: 1.0e+12}\n")
    panel = make_world("noise", seed=1, bars=80, markets=2).panel()
    one, other = (in_synthetic_markets(load(tmp_path / name)) for name in ("x.yaml", "thick.yaml"))
    assert one.decide(panel).tobytes() == other.decide(panel).tobytes()
    assert (one.decide(panel) > 0).any()


def test_a_pipeline_that_forgets_its_trials_is_caught(tmp_path: Path) -> None:
    """Judged as if the best of 20 had been the only one, noise passes far more often than promised."""

    class Forgetful(MemoryLedger):
        def judge(self, *key, **options):
            whole = super().judge(*key, **options)
            return type(whole)(1, 0.0, whole.head)

    (tmp_path / "x.yaml").write_text(TREND.read_text().replace("search: {", "search: {sampler: random, "))
    instance = in_synthetic_markets(load(tmp_path / "x.yaml"))
    bars = warm_up_of(instance) + 730
    panels = [make_world("noise", seed=seed, bars=bars).panel() for seed in range(20)]
    passed = [
        sum(
            select(instance, panel, trials=20, seed=1, ledger=ledger()).deflated_sharpe >= 0.95
            for panel in panels
        )
        for ledger in (MemoryLedger, Forgetful)
    ]
    assert Rate(passed[1], 20).lower > 0.05
    assert passed[0] < passed[1]


@pytest.mark.slow
def test_walk_forward_can_be_calibrated_too() -> None:
    found = calibrate(TREND, worlds=4, trials=4, seed=1, years=0.5, sharpe=3.0, method="walk_forward")
    assert found.document["method"] == "walk_forward"
    # Two folds of 90 bars fit into half a year.
    assert 4 < found.document["n_trials"] <= 8


def test_the_command_prints_rates_writes_nothing_and_counts_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call = ["calibrate", str(TREND), "--worlds", "4", "--trials", "5", "--years", "0.5", "--sharpe", "3"]
    answer = CliRunner().invoke(app, [*call, "--json"])
    assert answer.exit_code == 0, answer.output
    document = json.loads(answer.stdout)
    assert {"false_promotion", "no_edge", "planted", "power", "false_discovery", "gates"} <= set(document)
    assert document["false_promotion"]["worlds"] == 4
    assert set(document["no_edge"]) == {"noise", "fat_tails", "volatility_clusters", "outages"}
    assert list(tmp_path.iterdir()) == []
    shown = CliRunner().invoke(app, call)
    assert "Of noise" in shown.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"worlds": 3}, "worlds is 3"),
        ({"trials": 1}, "trials is 1"),
        ({"method": "x"}, "method 'x' unknown"),
        ({"sharpe": float("nan")}, "sharpe is nan"),
        ({"sharpe": float("inf")}, "sharpe is inf"),
    ],
)
def test_figures_out_of_range_are_named(change: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        calibrate(TREND, **change)


def test_a_strategy_that_reads_series_is_refused() -> None:
    with pytest.raises(ConfigError, match="reads series beside bars"):
        calibrate(STRATEGIES / "binance_value_quality_1d.yaml")


@pytest.mark.slow
@pytest.mark.timeout(5_400)
@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_noise_is_promoted_less_often_than_promised(sampler: str, tmp_path: Path) -> None:
    """400 worlds of noise with 100 trials each, and 200 with a planted Sharpe ratio of 1.5 over 4 years."""
    (tmp_path / "x.yaml").write_text(
        TREND.read_text().replace("search: {", f"search: {{sampler: {sampler}, ")
    )
    found = calibrate(tmp_path / "x.yaml", worlds=400, trials=100, seed=0, workers=2)
    print(json.dumps(found.document, indent=2))
    assert found.document["false_promotion"]["worlds"] == 400
    assert found.document["false_promotion"]["upper_95"] <= 0.075
    assert found.document["planted"]["worlds"] == 200
    assert abs(found.document["planted"]["sharpe_earned"] - 1.5) < 0.15
    assert found.document["power"] > 0.3
