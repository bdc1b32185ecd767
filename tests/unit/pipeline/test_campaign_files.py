from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from lab.core.errors import ConfigError
from lab.pipeline.campaign import load_campaign
from lab.pipeline.campaign.config import Neighbourhood
from lab.pipeline.campaign.neighbourhoods import neighbours
from lab.pipeline.campaign.parts import Regimes, parts_of
from lab.strategies import load
from tests.oracle.portfolios import panel_of

RESEARCH = Path(__file__).parents[3] / "research"
TSM = RESEARCH / "strategies" / "demo_tsm_1d.yaml"
BASIC = f"campaign_id: probe\ninstances: [{{config: {TSM}}}]\n"


def refused(tmp_path: Path, text: str) -> str:
    path = tmp_path / "campaign.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_campaign(path)
    return str(raised.value)


@pytest.mark.parametrize("path", sorted((RESEARCH / "campaigns").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_campaign_file_loads(path: Path) -> None:
    campaign = load_campaign(path)
    assert campaign.config.campaign_id == path.stem
    assert {"gross", "base"} <= set(campaign.config.costs)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("cost: [gross]", "cost"),
        ("costs: [free]", "free"),
        ("costs: [base, base]", "base is listed twice"),
        ("costs: [gross]", "headline_costs base is not among costs"),
        ("periods: [{name: x, kind: crash, start: 2020-02-01, end: 2020-01-01}]", "is not before end"),
        ("periods: [{name: x, kind: crash, start: 2020-01-01}]", "end"),
        ("regimes: {market: BTC}", "BTC"),
        ("regimes: {market: 'binance:BTC/USDT', timeframe: 7x}", "7x"),
        ("neighbourhood: {steps: 0}", "steps"),
    ],
)
def test_what_is_not_understood_is_named(tmp_path: Path, more: str, message: str) -> None:
    assert message in refused(tmp_path, BASIC + more)


def test_a_campaign_needs_members_and_each_once(tmp_path: Path) -> None:
    assert "instances or portfolios" in refused(tmp_path, "campaign_id: probe")
    twice = f"campaign_id: probe\ninstances: [{{config: {TSM}}}, {{config: {TSM}, end: 2019-01-01}}]"
    assert "demo_tsm_1d appears twice" in refused(tmp_path, twice)


def test_days_become_instants_and_files_are_hashed(tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(BASIC.replace("yaml}", "yaml, start: 2018-01-06, end: 2018-12-16}"))
    campaign = load_campaign(path)
    (member,) = campaign.members
    assert (member.start, member.end) == (
        datetime(2018, 1, 6, tzinfo=UTC),
        datetime(2018, 12, 16, tzinfo=UTC),
    )
    assert (member.name, member.family) == ("demo_tsm_1d", "time_series_momentum")
    path.write_text(BASIC + "description: another\n")
    assert load_campaign(path).config_hash != campaign.config_hash


def test_parts_begin_after_the_warm_up_and_end_before_their_last_day(tmp_path: Path) -> None:
    path = tmp_path / "campaign.yaml"
    path.write_text(
        BASIC
        + "periods:\n"
        + "  - {name: early, kind: bull, start: 2024-01-01, end: 2024-01-11}\n"
        + "  - {name: warm-up only, kind: bull, start: 2023-12-01, end: 2024-01-06}\n"
        + "  - {name: later, kind: crash, start: 2024-02-01, end: 2024-02-03}\n"
    )
    flat = np.ones((60, 1))
    labels = Regimes(panel_of(flat, flat).timeframe, int(panel_of(flat, flat).bar[10]), ("bull",) * 20)
    found = {
        (part.kind, part.name): part.rows
        for part in parts_of(load_campaign(path).config, panel_of(flat, flat), 5, labels)
    }
    assert {key: (int(rows[0]), int(rows[-1])) for key, rows in found.items()} == {
        ("all", "all"): (5, 59),
        ("bull", "early"): (5, 9),
        ("crash", "later"): (31, 32),
        ("regime", "bull"): (10, 29),
    }


def test_regimes_of_finer_bars_are_those_of_the_day_they_open_in() -> None:
    flat = np.ones((72, 1))
    panel = panel_of(flat, flat, "1h")
    day = panel_of(flat, flat).timeframe
    regimes = Regimes(day, day.number(datetime(2024, 1, 2, tzinfo=UTC)), ("bull", None))
    assert regimes.of(panel) == [None] * 24 + ["bull"] * 24 + [None] * 24


def test_neighbours_are_one_step_away_and_allowed() -> None:
    instance = load(RESEARCH / "strategies" / "binance_ma_breakout_33_1d.yaml")
    found = neighbours(instance, Neighbourhood(steps=1))
    assert found["entry_window"] == [45, 55, 65]
    assert found["max_holding"] == [30, 60, 120]
    cross = instance.with_params({"rule": "cross", "fast_window": 20, "slow_window": 21, "band": 0.0})
    moved = neighbours(cross, Neighbourhood(steps=1, parameters=("slow_window", "band")))
    assert moved == {"slow_window": [21, 31], "band": [0.0, 0.01]}
    assert set(neighbours(cross, Neighbourhood())) == {"slow_window", "fast_window", "band", "max_holding"}
    with pytest.raises(ConfigError, match="searches no parameter vol_window"):
        neighbours(instance, Neighbourhood(parameters=("vol_window",)))
