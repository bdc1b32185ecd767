"""The notebooks run from top to bottom on the bundled bars, in a folder of their own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lab.report.execution import run_notebook
from lab.report.page import build_page

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("notebooks")]

FOLDER = Path(__file__).resolve().parents[3] / "research" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
FIGURE = "application/vnd.plotly.v1+json"
SHOWN = {
    "01_exploratory": (4, "questionable|QUESTIONABLE"),
    "02_features": (3, "lookahead"),
    "03_strategies_and_sweeps": (3, "385 sets in this sweep"),
    "04_walk_forward": (3, "distinct trials on record"),
    "05_portfolio": (2, "demo_dual_momentum_1d"),
    "06_from_run_to_paper": (0, "identical: True"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("research")


def outputs(cells: list[Any]) -> list[dict[str, Any]]:
    return [output for cell in cells for output in cell.get("outputs", ())]


def test_they_are_numbered_without_gaps_and_all_are_here() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(SHOWN)
    assert [int(path.stem[:2]) for path in NOTEBOOKS] == list(range(1, len(NOTEBOOKS) + 1))
    assert not list(FOLDER.rglob("*.ipynb")) or all(path.suffix == ".py" for path in NOTEBOOKS)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_from_top_to_bottom(notebook: Path, root: Path) -> None:
    figures, words = SHOWN[notebook.stem]
    cells = run_notebook(notebook, {"root": str(root)})
    found = outputs(cells)
    drawn = [output for output in found if FIGURE in output.get("data", {})]
    assert len(drawn) == figures
    assert all(output["data"][FIGURE]["data"] for output in drawn)
    said = "\n".join(
        "".join(output.get("data", {}).get("text/plain", output.get("text", ""))) for output in found
    )
    assert re.search(words, said)
    complaints = [output["text"] for output in found if output.get("name") == "stderr"]
    assert complaints == []
    assert len(build_page(cells, title=notebook.stem)) < 9_000_000


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_text_to_review_and_leads_to_the_next(notebook: Path) -> None:
    text = notebook.read_text(encoding="utf-8")
    assert text.startswith("# ---\n# jupyter:")
    assert "# %% [markdown]\n# # " + str(int(notebook.stem[:2])) in text
    assert '# %% tags=["parameters"]' in text
    following = [path.stem for path in NOTEBOOKS if path.stem > notebook.stem][:1]
    assert all(f"`{name}`" in text for name in following)
