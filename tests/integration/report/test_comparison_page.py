"""The comparison of runs as a user asks for it: one offline page, or one sentence on what is wrong."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from lab.cli import main
from lab.core.errors import ConfigError
from lab.data.demo import install
from lab.pipeline import backtest
from lab.report import compare_runs, comparison_notebook
from lab.report.page.build import external_references
from tests.oracle.browser import CHROMIUM
from tests.oracle.report_run import write_run
from tests.report_visits import visit

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600), pytest.mark.xdist_group("comparison_page")]

STRATEGIES = Path(__file__).resolve().parents[3] / "research" / "strategies"


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    root = tmp_path_factory.mktemp("root")
    install(root)
    names = ("demo_tsm_1d", "demo_dual_momentum_1d")
    return root, [backtest(STRATEGIES / f"{name}.yaml", root=root).run_id for name in names]


def mnemo(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


def test_two_runs_become_one_page(logged: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    root, ids = logged
    options = ("--root", str(root), "--shares", "0.7,0.3", "--json")
    code, out, err = mnemo("report", *ids, *options, capsys=capsys)
    assert code == 0, err
    document = json.loads(out)
    assert document["run_ids"] == ids
    page = Path(document["report"]).read_text(encoding="utf-8")
    assert external_references(page.split("<script>")[0]) == []
    for expected in (
        "demo_tsm_1d",
        "demo_dual_momentum_1d",
        "Correlation",
        "70.0%",
        f"mnemo report {ids[0]}",
    ):
        assert expected in page
    if CHROMIUM is not None:
        found = asyncio.run(visit(Path(document["report"])))
        assert found.faults == []
        assert found.figures == 3


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("0", "0"), "is given twice"),
        (("0", "f" * 32), "not found"),
        (("0", "1", "--shares", "0.5"), "1 shares for 2 runs"),
        (("0", "1", "--shares", "half"), "write fractions"),
        (("0", "1", "--shares", "nan,0.5"), "write fractions"),
        (("0", "1", "--shares", "1e400,0"), "write fractions"),
        (("0", "1", "--shares", ""), "write fractions"),
        (("0", "--shares", "1"), "one run was given"),
    ],
)
def test_what_cannot_be_compared_is_one_sentence(
    logged: tuple[Path, list[str]],
    given: tuple[str, ...],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, ids = logged
    arguments = [ids[int(part)] if part in {"0", "1"} and at < 2 else part for at, part in enumerate(given)]
    code, _, err = mnemo("report", *arguments, "--root", str(root), capsys=capsys)
    assert code == 2
    assert message in err
    assert "Traceback" not in err


def test_an_edited_copy_is_used(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / str(seed), seed=seed, strategy_id=f"run {seed}") for seed in (1, 2)]
    copy = tmp_path / "mine.py"
    copy.write_text(comparison_notebook().read_text() + '\n# %%\nprint("of my own")\n')
    page = compare_runs(folders, tmp_path / "mine.html", notebook=copy)
    assert "of my own" in page.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        compare_runs(folders, tmp_path / "mine.pdf")
