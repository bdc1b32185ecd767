"""Rules on coarser bars inside an ensemble: known from their close on, the same everywhere, and declared."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from lab.backtest import run_backtest, sweep
from lab.core.errors import ConfigError
from lab.core.panel import Panel
from lab.core.timeframe import Timeframe
from lab.costs import Costs
from lab.features import compute
from lab.search import parameter_hash
from lab.strategies import decide, load, strategy_of, total_lookback
from lab.validation.causality_strategy import certify_strategy
from tests.oracle import strategies_families as oracle

FOUR_HOURS, DAY = Timeframe.parse("4h"), Timeframe.parse("1d")
MARKETS = ("binance:AAA/USDT", "binance:BBB/USDT")
TREND = {"lookback_window": 5, "vol_window": 4}
FALL = {"window": 9, "entry_z": 0.5, "max_holding": 8, "fall_window": 5}
PARAMETERS = {
    "timeframe": "4h",
    "hold_bars": 6,
    "members": [
        {"family": "mean_reversion", "parameters": FALL, "weight": 0.4},
        {"family": "time_series_momentum", "parameters": TREND, "timeframe": "1d", "weight": 0.6},
    ],
}
ENSEMBLE = strategy_of("ensemble")
FILE = """\
family: ensemble
strategy_id: two
version: 1.0.0
timeframe: 4h
auxiliary_timeframes: [1d]
markets: [{exchange: binance, symbol: AAA/USDT}, {exchange: binance, symbol: BBB/USDT}]
parameters:
  hold_bars: 6
  members:
    - {family: mean_reversion, weight: 0.4}
    - {family: time_series_momentum, timeframe: 1d, weight: 0.6}
"""


def bars(seed: int = 2, *, rows: int = 260) -> Panel:
    """Bars of four hours from the middle of a day on, with a hole that costs one day its bar."""
    random = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(random.normal(0.001, 0.02, (rows, 2)), axis=0))
    close[100:103, 1] = np.nan
    bar = np.arange(110_000, 110_000 + rows)
    prices = dict.fromkeys(("open", "high", "low", "close"), close)
    return Panel(FOUR_HOURS, bar, FOUR_HOURS.open_times(bar), MARKETS, prices)


def days_of(panel: Panel) -> tuple[Panel, list[int | None]]:
    """Return the days as a person would write them down, and at each bar the row of the last closed day."""
    close, first = panel["close"].tolist(), int(panel.bar[0])
    whole = [day for day in range(first // 6, (first + len(close)) // 6) if day * 6 >= first]
    rows = []
    for day in whole:
        inside = close[day * 6 - first : day * 6 - first + 6]
        known = [[row[i] for row in inside if not math.isnan(row[i])] for i in range(2)]
        rows.append([values[-1] if len(values) >= 5 else math.nan for values in known])
    number = np.array(whole)
    daily = Panel(DAY, number, DAY.open_times(number), MARKETS, {"close": np.array(rows)})
    closed = [(first + t + 1) // 6 - 1 for t in range(len(close))]
    return daily, [day - whole[0] if day >= whole[0] else None for day in closed]


def test_weights_are_the_row_loops_over_days_and_bars() -> None:
    panel, params = bars(), ENSEMBLE.params.model_validate(PARAMETERS)
    daily, at = days_of(panel)
    assert np.isnan(daily["close"]).any()
    fall, trend = strategy_of("mean_reversion"), strategy_of("time_series_momentum")
    fast, slow = fall.params(**FALL), trend.params(**TREND)
    by_bar = fall.signal(compute(panel, fall.features(fast)), fast)
    by_day = trend.signal(compute(daily, trend.features(slow)), slow)
    seen = [[math.nan] * 2 if row is None else by_day[row].tolist() for row in at]
    expected = np.array(oracle.ensemble([by_bar.tolist(), seen], [0.4, 0.6], quorum=0.0, hold_bars=6))
    found = decide(ENSEMBLE, panel, params)
    decided = ~np.isnan(found)
    np.testing.assert_allclose(found[decided], expected[decided], rtol=1e-14)
    first = total_lookback(ENSEMBLE, params) - 1
    assert first == (6 - 1) + 6 * 6 + 5 - 1
    assert decided[first:].mean() > 0.9
    assert len(np.unique(found[decided])) > 20


def test_a_day_is_known_from_its_close_on_and_not_before() -> None:
    panel, params = bars(), ENSEMBLE.params.model_validate(PARAMETERS)
    last = 200 + (5 - (110_200 % 6))
    changed = panel["close"].copy()
    changed[last] *= 1.2
    other = Panel(FOUR_HOURS, panel.bar, panel.ts, MARKETS, {"close": changed})
    (feature,) = ENSEMBLE.features(params)[1:]
    before, after = (compute(one, [feature])[feature] for one in (panel, other))
    assert before[:last].tobytes() == after[:last].tobytes()
    assert (before[last] != after[last]).all()
    assert (after[last : last + 6] == after[last]).all(), "until the next day closes"


def test_certificate_sweep_and_backtest() -> None:
    panel, params = bars(rows=150), ENSEMBLE.params.model_validate(PARAMETERS)
    certificate = certify_strategy(ENSEMBLE, panel, params)
    assert (certificate.ok, certificate.mismatches) == (True, 0)
    grid = {**{name: [value] for name, value in PARAMETERS.items()}, "quorum": [0.0, 1.0]}
    rows = sweep(ENSEMBLE, grid, panel, costs=Costs(), metrics=("turnover", "max_drawdown"))
    for place, quorum in enumerate((0.0, 1.0)):
        wanted = params.model_copy(update={"quorum": quorum})
        metrics = run_backtest(panel, decide(ENSEMBLE, panel, wanted), costs=Costs()).metrics
        assert rows["turnover"][place] == metrics["turnover"]
        assert rows["max_drawdown"][place] == metrics["max_drawdown"]
    assert rows["turnover"][0] != rows["turnover"][1] > 0


def test_a_file_declares_what_its_features_read(tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(FILE)
    instance = load(path)
    assert instance.config.auxiliary_timeframes == ("1d",)
    assert instance.params.timeframe == "4h", "filled in from the file"
    again = instance.with_params({"quorum": 1.0})
    assert (again.params.timeframe, again.lookback) == ("4h", instance.lookback)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[1d]", "[1d, 1w]", r":5: auxiliary_timeframes: found \['1d', '1w'\], expected \[1d\]"),
        ("[1d]", "[8h]", r":5: auxiliary_timeframes: found \['8h'\], expected \[1d\]"),
        ("[1d]", "[1M]", r":5: auxiliary_timeframes: .*use 1w"),
        ("timeframe: 1d,", "", r":5: auxiliary_timeframes: .*no feature reads coarser bars"),
        ("auxiliary_timeframes: [1d]\n", "", r":8: parameters\.members: .*list them under auxiliary_time"),
        ("  hold_bars: 6", "  timeframe: 8h", r":5: auxiliary_timeframes: .*bars of 8h, the strategy .*4h"),
        ("timeframe: 1d,", "timeframe: 6h,", r":9: parameters\.members: .*expected a multiple of 4h"),
        ("timeframe: 1d,", "timeframe: 4h,", r":9: parameters\.members: .*expected a multiple of 4h"),
    ],
)
def test_what_is_not_declared_or_not_read_is_refused(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(FILE.replace(old, new, 1))
    with pytest.raises(ConfigError, match=f"bad.yaml{message}"):
        load(path)


def test_an_undeclared_timeframe_is_found_in_the_features_themselves(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(FILE.replace("auxiliary_timeframes: [1d]\n", "").replace("hold_bars: 6", "timeframe: 4h"))
    with pytest.raises(ConfigError, match=r"auxiliary_timeframes: .*expected \[1d\]"):
        load(path)


def test_parameters_without_coarser_members_hash_as_they_always_did() -> None:
    # Of the first version of the family: trials in ledgers are known by it.
    assert parameter_hash(ENSEMBLE.params().model_dump(mode="json")) == "90e664e540bde82766daf8c9fbce3475"
    with pytest.raises(ValidationError, match="say by the parameter timeframe"):
        ENSEMBLE.params.model_validate({"members": PARAMETERS["members"]})
