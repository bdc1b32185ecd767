"""The whole way: a run's folder to one HTML file through a kernel, and what happens when it fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lab.core.errors import ConfigError, DataError
from lab.report import ReportError, ReportInput, tearsheet, tearsheet_notebook
from lab.report.blocks import figures_of_merit
from lab.report.page import external_references
from tests.oracle.report_run import write_run

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("tearsheet")]

HOSTILE = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(2)>"


def small_notebook(folder: Path, body: str, parameters: str = "folder = ''\nrun = {}") -> Path:
    path = folder / "own.py"
    path.write_text(f'# %% tags=["parameters"]\n{parameters}\n\n# %%\n{body}\n')
    return path


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    long = "binance:" + "N" * 190 + "/USDT"
    return write_run(
        folder,
        markets=3,
        rename={0: HOSTILE, 1: long},
        strategy_id=HOSTILE,
        warnings=[HOSTILE],
        description=HOSTILE,
    )


@pytest.fixture(scope="module")
def page(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("out") / "sheet.html"
    home = tmp_path_factory.mktemp("home")
    code = (
        "import json, sys; from lab.report import tearsheet\n"
        "tearsheet(sys.argv[1], sys.argv[2], run=json.loads(sys.argv[3]))"
    )
    record = json.dumps({"run_id": HOSTILE, "tags": {"code_version": HOSTILE}})
    done = subprocess.run(
        [sys.executable, "-c", code, str(run_folder), str(out), record],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""
    assert [path for path in home.rglob("*") if path.is_file()] == []
    return out.read_text(encoding="utf-8")


def test_every_section_is_there_and_no_cell_was_left_out(page: str) -> None:
    titles = re.findall(r"<h2>([^<]+)</h2>", page.split("<section", 1)[1])
    assert titles == [
        "Growth",
        "Figures",
        "Calendar",
        "Luck",
        "Walk-forward",
        "Parameters",
        "Rolling",
        "Distribution",
        "Regimes",
        "Positions",
        "Trades",
        "Proof",
        "Provenance",
    ]
    assert page.count('class="canvas"') == 12


def test_nothing_is_fetched(page: str) -> None:
    body, scripts = page.split("<script>", 1)[0], re.findall(r"<script[^>]*\ssrc", page)
    assert external_references(body) == []
    assert scripts == []
    assert "connect-src" not in page
    assert "default-src 'none'" in page


def test_it_is_smaller_than_nine_megabytes(page: str) -> None:
    assert len(page.encode()) < 9_000_000


def test_hostile_names_are_text(page: str) -> None:
    visible = re.sub(r"<script.*?</script>", "", page.replace("<script>alert", "INJECTED"), flags=re.DOTALL)
    assert "INJECTED" not in page.replace("<script>alert", "INJECTED")
    assert "<img src=x" not in visible
    assert "&lt;script&gt;alert(1)" in visible


def test_numbers_on_the_page_are_the_logged_ones(page: str, run_folder: Path) -> None:
    logged = ReportInput.read(run_folder).metrics
    for name in ("sharpe", "max_drawdown", "turnover", "kurtosis", "trades"):
        assert f'data-v="{logged[name]!r}"' in page
    assert figures_of_merit(ReportInput.read(run_folder)).markup in page


def test_what_was_not_recorded_is_said(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", walk_forward=False, markets=1)
    for name in ("benchmark", "trades", "orders", "positions", "weights", "bars", "quality", "returns"):
        (folder / f"{name}.parquet").unlink()
    page = tearsheet(folder, tmp_path / "sheet.html").read_text(encoding="utf-8")
    for words in (
        "nothing held out",
        "Not walked forward",
        "Positions were not recorded",
        "Prices were not recorded",
        "There were no trades",
        "Turnover and costs were not recorded",
        "The quality of the bars was not recorded",
        "No causality certificate was recorded",
    ):
        assert words in page, words


def test_a_failing_notebook_publishes_nothing(run_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out" / "sheet.html"
    out.parent.mkdir()
    out.write_text("the last good one")
    notebook = small_notebook(tmp_path, "raise ValueError('no <luck>')")
    with pytest.raises(
        ReportError, match=r"own\.py, cell \d+: ValueError: no <luck>\. Nothing was published"
    ):
        tearsheet(run_folder, out, notebook=notebook)
    assert out.read_text() == "the last good one"
    assert [path.name for path in out.parent.iterdir()] == ["sheet.html"]


def test_a_kernel_that_dies_is_an_error(run_folder: Path, tmp_path: Path) -> None:
    notebook = small_notebook(tmp_path, "import os\nos._exit(3)")
    with pytest.raises(ReportError, match="the kernel died"):
        tearsheet(run_folder, tmp_path / "sheet.html", notebook=notebook)
    assert not (tmp_path / "sheet.html").exists()


def test_an_edited_copy_may_have_parameters_of_its_own(run_folder: Path, tmp_path: Path) -> None:
    notebook = small_notebook(
        tmp_path,
        "from IPython.display import Markdown\nMarkdown(f'## Own\\n{greeting}')",
        "folder = ''\nrun = {}\ngreeting: str = ''",
    )
    out = tearsheet(
        run_folder, tmp_path / "a" / "own.html", notebook=notebook, parameters={"greeting": 'say "hi" \\ ü'}
    )
    assert "say &quot;hi&quot; \\ ü" in out.read_text(encoding="utf-8")


def test_unknown_parameters_are_refused_before_anything_runs(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no parameter 'colour'; .* has: folder, run, drawdowns_shown"):
        tearsheet(run_folder, tmp_path / "sheet.html", parameters={"colour": 1})


def test_what_is_no_notebook_is_refused(run_folder: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.py"
    plain.write_text("x = 1\n")
    with pytest.raises(ConfigError, match="no cell tagged 'parameters'"):
        tearsheet(run_folder, tmp_path / "sheet.html", notebook=plain)
    with pytest.raises(ConfigError, match="cannot be read"):
        tearsheet(run_folder, tmp_path / "sheet.html", notebook=tmp_path / "missing.py")


def test_bad_input_is_refused_before_a_kernel_starts(run_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        tearsheet(run_folder, tmp_path / "sheet.pdf")
    broken = Path(shutil.copytree(run_folder, tmp_path / "broken"))
    (broken / "equity.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"equity\.parquet cannot be read"):
        tearsheet(broken, tmp_path / "sheet.html")


def test_the_notebook_ships_as_percent_text_without_outputs() -> None:
    text = tearsheet_notebook().read_text(encoding="utf-8")
    assert text.count("# %%") > 30
    assert "# %% [markdown]" in text


def test_making_a_page_needs_neither_plotly_nor_the_engine_in_this_process() -> None:
    heavy = {"plotly", "numba", "vectorbt", "mlflow", "papermill"}
    code = f"import sys, lab.report; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
