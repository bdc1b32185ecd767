"""A report as PDF, printed by a browser that is installed: none is bundled, none is fetched."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

from feature_store.atomic import write_bytes
from lab.core.errors import ConfigError, MnemoError

__all__ = ["BROWSERS", "print_pdf"]

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS: Final = 120
# Of the page's own clock: enough for every figure to be drawn.
_BUDGET_MILLISECONDS: Final = 60_000


def print_pdf(page: Path, out: Path, *, browser: str | None = None) -> Path:
    """Print a report as PDF.

    Parameters
    ----------
    page : Path
        The report's HTML file.
    out : Path
        The PDF; written whole or not at all.
    browser : str, optional
        Program to print with; default: the first of :data:`BROWSERS` that is installed.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ConfigError
        If no browser is installed, or `page` does not exist.
    MnemoError
        If the browser fails.
    """
    if not page.is_file():
        raise ConfigError(f"{page} not found; write the report first")
    found = next(
        (path for name in ([browser] if browser else BROWSERS) if (path := shutil.which(name))), None
    )
    if found is None:
        raise ConfigError(
            f"no browser to print with: looked for {browser or ', '.join(BROWSERS)}. Install chromium, or "
            f"open {page} and print it from there"
        )
    with tempfile.TemporaryDirectory(prefix="mnemo-print-", ignore_cleanup_errors=True) as folder:
        target = Path(folder) / "report.pdf"
        command = [found, "--headless", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
        command += [f"--user-data-dir={folder}/profile", f"--virtual-time-budget={_BUDGET_MILLISECONDS}"]
        command += ["--no-pdf-header-footer", f"--print-to-pdf={target}"]
        # Chromium's own sandbox refuses to start for root; the page runs nothing but its pinned scripts.
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        try:
            done = subprocess.run(
                [*command, page.resolve().as_uri()], capture_output=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise MnemoError(f"{found} did not print {page} within {_SECONDS} s") from None
        if not target.is_file():
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise MnemoError(f"{found} printed nothing (exit code {done.returncode}): {''.join(said)}")
        write_bytes(out, target.read_bytes())
    return out
