"""The command for cron on a journal that the real bridge wrote, and what it does with broken ones."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lab.cli import main
from lab.data.demo import install
from lab.pipeline.rehearsal import rehearse
from tests.oracle.browser import CHROMIUM
from tests.report_visits import visit

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("operator_report")]

PORTFOLIO = Path(__file__).resolve().parents[3] / "research" / "portfolios" / "demo.yaml"


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root in which the bridge ran three times: on 29 and 30 June and 1 July 2019."""
    root = tmp_path_factory.mktemp("bridge")
    install(root)
    start, end = datetime(2019, 6, 29, tzinfo=UTC), datetime(2019, 7, 1, tzinfo=UTC)
    assert rehearse(PORTFOLIO, root=root, start=start, end=end)["failed"] == 0
    return root


def config_in(root: Path) -> Path:
    return next((root / "data" / "live" / "rehearsals").glob("*/bridge.yaml"))


def command(root: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(["operator-report", "--config", str(config_in(root)), "--root", str(root), *options, "--json"])
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def test_a_month_of_the_real_bridge(rehearsed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = command(rehearsed, capsys, "--period", "monthly", "--at", "2019-07-02T00:10:00")
    document = json.loads(out)
    page = Path(document["report"])
    assert code == 0
    assert page == rehearsed / "reports" / "2019-07-01" / "operator-rehearsal-monthly.html"
    assert document["ticks"] == 2
    assert "100.00% of 2, 0 without a tick" in page.read_text(encoding="utf-8")
    journal = page.parents[2] / config_in(rehearsed).parent / "journal.sqlite"
    with closing(sqlite3.connect(journal)) as connection:
        last = connection.execute(
            "SELECT equity FROM equity WHERE at < '2019-07-01' ORDER BY at DESC"
        ).fetchone()
    assert document["equity"] == pytest.approx(float(last[0]))
    assert document["profit"] == pytest.approx(float(last[0]) - 10_000)
    text = page.read_text(encoding="utf-8")
    for title in ("Profit and loss", "Exposure", "Limits", "Incidents", "Demotion", "Trades", "Provenance"):
        assert f"<h2>{title}</h2>" in text
    if CHROMIUM is not None:
        assert asyncio.run(visit(page, "phone", 390)).faults == []


def test_a_damaged_journal_publishes_nothing(
    rehearsed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(rehearsed, tmp_path / "copy"))
    config = config_in(root)
    config.write_text(config.read_text().replace(str(rehearsed), str(root)))
    journal = config.parent / "journal.sqlite"
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("DROP TRIGGER events_are_final")
        connection.execute("UPDATE events SET body = replace(body, '10000.0', '20000.0') WHERE number = 1")
    shutil.rmtree(root / "reports", ignore_errors=True)
    code, out, err = command(root, capsys, "--at", "2019-07-01T00:10:00")
    # As the bridge that finds it.
    assert code == 3
    assert out == ""
    assert "status" in err
    assert not list(root.glob("reports/*/*.html"))


def test_a_failing_notebook_keeps_the_page_that_was_there(
    rehearsed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook = tmp_path / "mine.py"
    notebook.write_text("# %% tags=[\"parameters\"]\nfolder = ''\n\n# %%\nraise ValueError('no')\n")
    page = rehearsed / "reports" / "2019-07-01" / "operator-rehearsal-daily.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("the last good one")
    code, out, err = command(rehearsed, capsys, "--at", "2019-07-01T00:10:00", "--notebook", str(notebook))
    assert (code, out) == (1, "")
    assert "ValueError: no. Nothing was published" in err
    assert page.read_text() == "the last good one"


def test_mistakes_are_one_line_each(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "bridge.yaml"
    for text, code, words in (
        ("[1, 2]", 2, "bridge.yaml:1: expected lines of the form"),
        (f"portfolio: {PORTFOLIO}", 3, "the bridge has not run"),
    ):
        config.write_text(text)
        with pytest.raises(SystemExit) as left:
            main(["operator-report", "--config", str(config), "--root", str(tmp_path / "root")])
        said = capsys.readouterr()
        assert left.value.code == code
        assert words in said.err
        assert "Traceback" not in said.err
    assert not (tmp_path / "root").exists()
