"""Damage the files that a user writes: each is valid or refused with its place, never with a traceback.

    python -m tests.survival.damaged_files [--cases 2000] [--seed 7]

As many files of each kind (bridge, portfolio, strategy instance), with one to three faults: values of
wrong types and sizes, keys removed, renamed and added, credentials where none belong, other texts
altogether. A refusal names file, line and key's path (a text that is no mapping has no keys). Prints
cases, failed and seed.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import random
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import yaml

from lab.core.errors import MnemoError
from lab.strategies import load, load_portfolio
from live_bridge.cli import _run
from live_bridge.config import parse_config
from tests.oracle.canaries import KEY, SECRET, Canaries

__all__ = ["KINDS", "counted", "main"]

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


Read = Callable[[str, Path], object]


def read_bridge(text: str, folder: Path) -> object:
    """Read a bridge's file, then ask the command for its status: that reads it again."""
    (folder / "file.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    parsed = parse_config(text, source="file.yaml")
    told = io.StringIO()
    with redirect_stderr(told), redirect_stdout(told):
        code = _run(["status", "--config", str(folder / "file.yaml"), "--root", str(folder)])
    # There is no journal yet; a portfolio may be missing.
    if code not in {2, 3} or "Traceback" in told.getvalue() or not told.getvalue().startswith("error: "):
        raise AssertionError(f"'live-bridge status' left with {code}: {told.getvalue()[-300:]}")
    return parsed


def read_instance(text: str, folder: Path) -> object:
    """Read a strategy instance's file."""
    (folder / "file.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    return load(folder / "file.yaml")


def read_portfolio(text: str, folder: Path) -> object:
    """Read a portfolio's file, its instance beside it."""
    (folder / "trend.yaml").write_text(INSTANCE)
    (folder / "file.yaml").write_text(text, encoding="utf-8", errors="surrogatepass")
    return load_portfolio(folder / "file.yaml")


KINDS: dict[str, tuple[str, Read]] = {
    "bridge": (BRIDGE, read_bridge),
    "instance": (INSTANCE, read_instance),
    "portfolio": (PORTFOLIO, read_portfolio),
}


def _paths(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, inner in entries:
        found += _paths(inner, (*at, key))
    return found


def damaged(text: str, generator: random.Random) -> str:
    """Return the document with one to three faults, or another text altogether."""
    if generator.random() < 0.15:
        return generator.choice(TEXTS)
    if generator.random() < 0.05:
        # A person who takes the exchange's options for the place of the keys.
        return text.replace("options: {}", f"options: {{apiKey: {KEY}, secret: {SECRET}}}")
    document = copy.deepcopy(yaml.safe_load(text))
    for _ in range(generator.randint(1, 3)):
        place = generator.choice(_paths(document) or [()])
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
_PLACE = re.compile(r"(file|trend)\.yaml(:\d+)?: ")
_KEY_PATH = re.compile(_PLACE.pattern + r"\S[^:\n]*(:\S+)?: ")
# One of the values: a file that is there, and says nothing that an instance could.
_ANOTHER_FILE = re.compile(r"/etc/passwd:1: ")
# Faults of the text itself, which no key leads to.
_OF_TEXT = re.compile(
    r"nested too deeply|expected a name as the key|used again by an alias|not (valid )?YAML"
)


def judge(text: str, read: Read, folder: Path, canaries: Canaries) -> str:
    """Return whether a document is valid or well refused, or else what is wrong with the answer."""
    try:
        read(text, folder)
    except MnemoError as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        canaries.look("refusal", str(error).encode())
        pattern = _KEY_PATH if _has_keys(text) else _PLACE
        for line in lines:
            of_text = _PLACE.search(line) and _OF_TEXT.search(line)
            if not (pattern.search(line) or of_text or _ANOTHER_FILE.search(line)):
                return f"refused without its place: {line}"
        return REFUSED if lines else "refused without a word"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return VALID


def _has_keys(text: str) -> bool:
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and all(isinstance(key, str) for key in found)


def counted(kind: str, folder: Path, *, cases: int, seed: int) -> dict[str, Any]:
    """Damage a file again and again; return what became of it."""
    text, read = KINDS[kind]
    generator, canaries = random.Random(f"{seed} {kind}"), Canaries()
    documents = [damaged(text, generator) for _ in range(cases)]
    answers = [judge(document, read, folder, canaries) for document in documents]
    failures = {
        answer: document
        for document, answer in zip(documents, answers, strict=True)
        if answer not in {VALID, REFUSED}
    }
    counts = Counter(answers)
    return {
        "what": f"damaged {kind} files",
        "cases": cases,
        "failed": cases - counts[VALID] - counts[REFUSED],
        "seed": seed,
        "valid": counts[VALID],
        "refused": counts[REFUSED],
        "canaries": {"texts": canaries.texts, "found": len(canaries.found)},
        "failures": dict(list(failures.items())[:10]),
        "leaks": canaries.found[:10],
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command."""
    made = argparse.ArgumentParser(prog="python -m tests.survival.damaged_files", description=__doc__)
    made.add_argument("--seed", type=int, default=7)
    made.add_argument("--cases", type=int, default=2_000, help="of each kind")
    options = made.parse_args(arguments)
    bad = 0
    for kind in sorted(KINDS):
        with tempfile.TemporaryDirectory() as folder:
            found = counted(kind, Path(folder), cases=options.cases, seed=options.seed)
        bad += found["failed"] + found["canaries"]["found"]
        sys.stdout.write(json.dumps(found) + "\n")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
