"""What a tick loads, seen in fresh interpreters: it starts from nothing every time cron calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "ccxt",
    "cryptography",
    "mlflow",
    "optuna",
    "pandas",
    "pyarrow",
    "rich",
    "scipy",
    "sklearn",
    "vectorbt",
}
OF_THE_LAB = {"lab.backtest", "lab.cli", "lab.pipeline", "lab.report", "lab.search", "lab.tracking"}


def loaded_by(code: str) -> set[str]:
    program = f"{code}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


def test_the_runner_loads_neither_the_research_side_nor_heavy_libraries() -> None:
    loaded = loaded_by("import live_bridge.runner")
    # numba looks for scipy, and loads no more than its name.
    assert not (HEAVY - {"scipy"}) & loaded
    assert not OF_THE_LAB & loaded


def test_keys_that_are_not_encrypted_load_no_cryptography(tmp_path: Path) -> None:
    plain = tmp_path / "keys.yaml"
    plain.touch(mode=0o600)
    plain.write_text("api_key: k\napi_secret: s\n")
    given = {"MNEMO_BINANCE_API_KEY": "k", "MNEMO_BINANCE_API_SECRET": "s"}
    named = {"MNEMO_BINANCE_KEYS_FILE": str(plain)}
    read = f"[read_keys('binance', where) for where in ({given}, {named})]"
    loaded = loaded_by(f"from live_bridge.keys import read_keys\n{read}")
    assert not {"cryptography", "live_bridge.sealed_keys"} & loaded


def test_the_command_line_alone_loads_no_numbers() -> None:
    loaded = loaded_by("import live_bridge.cli")
    assert not {"numba", "numpy", "polars"} & loaded


def test_one_exchange_class_comes_without_the_hundred_others() -> None:
    loaded = loaded_by("from lab.data.venues import exchange_class; exchange_class('binance')")
    exchanges = {name for name in loaded if name.startswith("ccxt.abstract.")}
    assert exchanges == {"ccxt.abstract.binance"}


@pytest.mark.parametrize(
    "code",
    [
        "from ccxt import kraken; import ccxt; assert kraken is ccxt.kraken",
        "import ccxt; assert ccxt.binance is ours and 'kraken' in ccxt.exchanges",
        "import ccxt; assert ccxt.NetworkError is errors().NetworkError",
        "import ccxt.kraken; assert ccxt.kraken.kraken().id == 'kraken'",
        "import ccxt; assert ccxt.__version__ and issubclass(ccxt.binanceus, ours)",
    ],
)
def test_whoever_needs_the_whole_package_later_gets_it(code: str) -> None:
    loaded_by(f"from lab.data.venues import errors, exchange_class\nours = exchange_class('binance')\n{code}")


def test_the_class_is_ccxts_own() -> None:
    loaded_by(
        "from lab.data.venues import exchange_class\n"
        "ours = exchange_class('binance')\n"
        "import ccxt\n"
        "assert ours is ccxt.binance and ours.__module__ == 'ccxt.binance'"
    )
