"""Names that want to be markup, paths or formulas: refused in files, text on pages."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.cli import main
from lab.core.errors import ConfigError
from lab.core.market import Market
from lab.report import tearsheet
from lab.report.naming import file_stem
from tests.oracle.report_run import write_run

pytestmark = pytest.mark.integration

HOSTILE = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "../../etc/passwd",
    "a" * 200,
    "ein_Ümlaut_日本_\u202e\u0000",
    "=HYPERLINK(1)",
    "",
    ".",
    "..",
    "CON\n.html",
)
STRATEGY = """\
family: time_series_momentum
strategy_id: {name}
version: 1.0.0
timeframe: 1d
markets: [{{exchange: {exchange}, symbol: {symbol}}}]
parameters: {{lookback_window: 90, vol_window: 20}}
"""


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\u0000", "\\0")
    return f'"{escaped}"'


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_file_names_are_safe_whatever_the_name(number: int, tmp_path: Path) -> None:
    stem = file_stem(HOSTILE[number])
    file = tmp_path / f"{stem}-0123abcd.html"
    file.write_text("x")
    assert file.resolve().parent == tmp_path.resolve()
    assert len(stem) <= 80
    assert stem.isascii()
    assert not set(stem) - set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_no_market_has_such_a_name(number: int) -> None:
    for name in (HOSTILE[number], f"binance:{HOSTILE[number]}/USDT", f"{HOSTILE[number]}:BTC/USDT"):
        if name in {"binance:aaa/USDT"}:
            continue
        with pytest.raises(ConfigError, match="not understood"):
            Market.parse(name)


def test_files_with_such_names_are_refused_and_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, files = tmp_path / "root", tmp_path / "files"
    files.mkdir()
    names = [*HOSTILE[:4], HOSTILE[5]]
    config = files / "hostile.yaml"
    for name, exchange, symbol in [
        *((name, "binance", "BTC/USDT") for name in names),
        *(("mine", name, "BTC/USDT") for name in names[:3]),
        *(("mine", "binance", f"{name}/USDT") for name in names[:3]),
    ]:
        config.write_text(
            STRATEGY.format(name=quoted(name), exchange=quoted(exchange), symbol=quoted(symbol))
        )
        with pytest.raises(SystemExit) as left:
            main(["config", "show", str(config), "--root", str(root)])
        said = capsys.readouterr()
        assert left.value.code == 2, (name, exchange, symbol)
        assert said.out == ""
        assert "hostile.yaml" in said.err
        assert not root.exists()
        assert [file.name for file in files.iterdir()] == ["hostile.yaml"]


def test_a_record_with_such_names_becomes_text(tmp_path: Path) -> None:
    long = "binance:" + "B" * 192 + "/USDT"
    run = write_run(
        tmp_path / "run",
        markets=3,
        bars=200,
        rename={0: HOSTILE[0], 1: HOSTILE[1], 2: long},
        strategy_id=HOSTILE[1],
        family=HOSTILE[0],
        hypothesis=HOSTILE[0],
        warnings=[HOSTILE[1]],
        environment={HOSTILE[0]: HOSTILE[1]},
    )
    record = {"run_id": HOSTILE[0], "tags": {"code_version": HOSTILE[1], "feature_hashes": HOSTILE[0]}}
    page = tearsheet(run, tmp_path / "page.html", run=record).read_text(encoding="utf-8")
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert long in page
