"""A report as PDF: printed whole by an installed browser, or a clear error."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab.core.errors import ConfigError, MnemoError
from lab.report.printing import print_pdf
from tests.oracle.browser import CHROMIUM

pytestmark = pytest.mark.integration


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "page.html"
    file.write_text("<html><body><h1>Printed</h1></body></html>")
    return file


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: install the package chromium")
def test_a_page_becomes_a_pdf(page: Path, tmp_path: Path) -> None:
    out = print_pdf(page, tmp_path / "out" / "page.pdf")
    assert out.read_bytes().startswith(b"%PDF-")
    assert [file.name for file in out.parent.iterdir()] == ["page.pdf"]


def test_without_a_browser_it_says_which_were_looked_for(page: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"looked for no-such-browser\. Install chromium, or open"):
        print_pdf(page, tmp_path / "page.pdf", browser="no-such-browser")
    with pytest.raises(ConfigError, match="write the report first"):
        print_pdf(tmp_path / "none.html", tmp_path / "page.pdf")
    assert not (tmp_path / "page.pdf").exists()


def test_a_browser_that_fails_leaves_the_old_file(page: Path, tmp_path: Path) -> None:
    out = tmp_path / "page.pdf"
    out.write_text("the last good one")
    with pytest.raises(MnemoError, match="printed nothing"):
        print_pdf(page, out, browser="false")
    assert out.read_text() == "the last good one"
