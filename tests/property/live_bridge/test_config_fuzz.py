"""Files a user writes, damaged in every way: each is valid or refused with its place, never a traceback."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.core.errors import ConfigError, MnemoError
from lab.strategies import load, load_portfolio
from live_bridge.config import parse_config

SEED = 20_240_501

INSTANCE = """
family: time_series_momentum
strategy_id: trend
version: 1.0.0
mode: paper
timeframe: 1d
markets: [{exchange: binance, symbol: BTC/USDT}, {exchange: binance, symbol: ETH/USDT}]
parameters: {lookback_window: 20, vol_window: 10}
risk: {max_position_pct: 0.3, rebalance_band_pct: 0.02}
costs: {preset: base}
search: {trials: 40, splitter: rolling, train_bars: 365, test_bars: 90, purged_bars: 1, embargo_bars: 5}
"""
PORTFOLIO = """
portfolio_id: core
reference_currency: USDT
capital: 10000
instances:
  - {config: trend.yaml, allocation: 1.0}
risk: {max_weight_per_asset: 0.5, max_daily_loss_pct: 0.05}
"""
BRIDGE = """
account: main
exchange: {id: binance, base_url: null, options: {}}
market_map: {"bitstamp:BTC/USD": "BTC/USD"}
mode: paper
portfolio: core.yaml
state: data/live/main.sqlite
recv_window_ms: 5000
monitoring: {alert_from: CRITICAL, alert_repeat_hours: 2.5}
"""

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2,
    10**30,
    0.5,
    -0.5,
    1e308,
    float("inf"),
    float("nan"),
    "",
    " ",
    "x",
    "../../etc/passwd",
    "'; DROP TABLE events; --",
    "<script>alert(1)</script>",
    "\u202e\u0000\ud7ff",
    "ß" * 200,
    "1d",
    "1M",
    "yes",
    "1e5",
    "2020-13-01",
    [],
    [[]],
    [None],
    {},
    {"a": {"b": 1}},
    ["BTC/USDT"],
    b"\xff",
)
TEXTS = (
    "!!python/object/apply:os.system ['true']", "a: &x [1, 2]\nb: *x", "a: 1\na: 2", "{", "]", "\t- x",
    "- 1\n- 2", "just words", "%YAML 9.9\n---\na: 1", "a: !!binary \"////\"", "<<: {a: 1}", "? [a, b]\n: 1",
    "a: 1\n---\nb: 2", "\x00", "\ufeffa: 1", "a: " + "[" * 2_000, "2020-13-01: x", "null", "~: 1", "1: 2",
)  # fmt: skip


def read_bridge(text: str, folder: Path) -> object:
    del folder
    return parse_config(text, source="file.yaml")


def read_instance(text: str, folder: Path) -> object:
    (folder / "file.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    return load(folder / "file.yaml")


def read_portfolio(text: str, folder: Path) -> object:
    (folder / "trend.yaml").write_text(INSTANCE)
    (folder / "file.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    return load_portfolio(folder / "file.yaml")


KINDS: dict[str, tuple[str, Callable[[str, Path], object]]] = {
    "bridge": (BRIDGE, read_bridge),
    "instance": (INSTANCE, read_instance),
    "portfolio": (PORTFOLIO, read_portfolio),
}


def paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        found += paths(inner, (*at, key))
    return found


def damaged(text: str, generator: random.Random) -> str:
    """Return the document with one to three faults, or another text altogether."""
    if generator.random() < 0.15:
        return generator.choice(TEXTS)
    document = copy.deepcopy(yaml.safe_load(text))
    for _ in range(generator.randint(1, 3)):
        place = generator.choice(paths(document) or [()])
        if not place:
            break
        parent = document
        for part in place[:-1]:
            parent = parent[part]
        act = generator.choice(("value", "value", "value", "remove", "rename", "add"))
        if act == "value":
            parent[place[-1]] = copy.deepcopy(generator.choice(VALUES))
        elif act == "remove":
            del parent[place[-1]]
        elif isinstance(parent, dict):
            name = generator.choice(("lookback", "capitl", "", "allocation ", "../x", "<b>", "é"))
            parent[name] = parent.pop(place[-1]) if act == "rename" else 1
    written = yaml.safe_dump(document, allow_unicode=True)
    if generator.random() < 0.1:
        cut = generator.randrange(len(written) + 1)
        written = written[:cut]
    return written


VALID, REFUSED = "valid", "refused"


def judge(text: str, read: Callable[[str, Path], object], folder: Path) -> str:
    """Return whether a document is valid or well refused, or else what is wrong with the answer."""
    try:
        read(text, folder)
    except ConfigError as error:
        lines = str(error).splitlines()
        named = all("file.yaml" in line or "trend.yaml" in line for line in lines if line.strip())
        return REFUSED if lines and named else f"refused without naming the file: {error}"
    except MnemoError as error:
        return REFUSED if "file.yaml" in str(error) else f"refused without naming the file: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return VALID


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("cases", [150, pytest.param(2_000, marks=pytest.mark.slow)], ids=["short", "long"])
def test_damaged_files_are_valid_or_refused(
    kind: str, cases: int, tmp_path: Path, tally: Callable[..., None]
) -> None:
    text, read = KINDS[kind]
    generator = random.Random(f"{SEED} {kind}")
    documents = [damaged(text, generator) for _ in range(cases)]
    answers = [judge(document, read, tmp_path) for document in documents]
    failures = [
        (document, answer)
        for document, answer in zip(documents, answers, strict=True)
        if answer not in {VALID, REFUSED}
    ]
    refused = answers.count(REFUSED)
    tally(f"damaged {kind} files", cases=cases, failed=len(failures), seed=SEED, refused=refused)
    assert failures == []
    assert 0 < refused < cases


def test_the_undamaged_ones_are_valid(tmp_path: Path) -> None:
    for text, read in KINDS.values():
        read(text, tmp_path)


@pytest.mark.parametrize(
    ("kind", "old", "new", "key"),
    [
        ("bridge", "recv_window_ms: 5000", "recv_window_ms: 5", "recv_window_ms"),
        ("bridge", "alert_from: CRITICAL", "alert_from: LOUD", "monitoring.alert_from"),
        ("instance", "max_position_pct: 0.3", "max_position_pct: 30", "risk.max_position_pct"),
        ("instance", "preset: base", "preset: free", "costs.preset"),
        ("portfolio", "allocation: 1.0", "allocation: 7", "instances.0.allocation"),
    ],
)
def test_a_refusal_names_file_line_and_key(kind: str, old: str, new: str, key: str, tmp_path: Path) -> None:
    text, read = KINDS[kind]
    line = next(number for number, row in enumerate(text.splitlines(), start=1) if old in row)
    with pytest.raises(ConfigError) as caught:
        read(text.replace(old, new), tmp_path)
    assert f"file.yaml:{line}: {key}: " in str(caught.value)
