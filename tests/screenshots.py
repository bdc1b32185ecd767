"""Pictures of everything a person looks at: reports, the MLflow UI, a notebook run in JupyterLab.

    python -m tests.screenshots [--root DIR] [--only reports|mlflow|jupyter]

needs a root in which `mnemo demo` has run, and Chromium; writes PNG files to DIR/reports/screenshots. Waits
for what a page should show, and fails where it does not come.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.oracle.browser import CHROMIUM, Page, opened
from tests.report_visits import VIEWS, visit

RESEARCH = Path(__file__).resolve().parents[1] / "research"
NOTEBOOK = "01_exploratory.py"
WAIT_S = 180.0
_SETTLE_S = 15.0
_RUNS = (
    "SELECT run_uuid, name FROM runs WHERE lifecycle_stage = 'active' AND run_uuid NOT IN (SELECT run_uuid \
FROM tags WHERE key = 'mlflow.parentRunId') ORDER BY start_time"
)
_LAB_SETTINGS = {
    "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"python": "Jupytext Notebook"}},
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
}
_CELLS = "[...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')].map(p => p.textContent.trim())"


def reports(root: Path, out: Path) -> list[Path]:
    """Take every page under reports/ in light, dark and on a phone."""
    pages = sorted((root / "reports").rglob("*.html"))
    if not pages:
        raise SystemExit(f"error: no report under {root / 'reports'}; run 'mnemo demo --root {root}' first")
    taken = []
    for page in pages:
        for view, width, dark in VIEWS:
            picture = out / f"{page.stem}-{view}.png"
            faults = asyncio.run(visit(page, view, width, dark, picture)).faults
            if faults:
                raise SystemExit(f"error: {page} ({view}): {'; '.join(faults)}")
            taken.append(picture)
    return taken


def mlflow(root: Path, out: Path) -> list[Path]:
    """Take the list of runs, the comparison of all runs, and an artifact's preview."""
    with closing(sqlite3.connect(f"{(root / 'mlruns' / 'mlflow.db').as_uri()}?mode=ro", uri=True)) as store:
        runs = store.execute(_RUNS).fetchall()
        (experiment,) = store.execute("SELECT experiment_id FROM experiments WHERE name = 'mnemo'").fetchone()
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    training = "workflowType=machine_learning"
    first, names = runs[0][0], [name for _, name in runs]
    chosen = json.dumps([run for run, _ in runs[-4:]], separators=(",", ":"))
    views = (
        ("runs", f"/#/experiments/{experiment}/runs?{training}&viewStateShareKey=mnemo", [names[-1]]),
        (
            "compare",
            f'/#/compare-runs?runs={chosen}&experiments=["{experiment}"]&{training}',
            ["deflated_sharpe"],
        ),
        (
            "artifact",
            f"/#/experiments/{experiment}/runs/{first}/artifacts/result.json?{training}",
            ["best_parameters"],
        ),
        (
            "tearsheet",
            f"/#/experiments/{experiment}/runs/{first}/artifacts/tearsheet.html?{training}",
            ["tearsheet"],
        ),
    )
    command = [sys.executable, "-m", "lab.cli", "ui", "--root", str(root), "--port", str(port)]
    with _served(command, f"{address}/health"):
        return asyncio.run(_tour(address, views, out))


async def _tour(address: str, views: Sequence[tuple[str, str, list[str]]], out: Path) -> list[Path]:
    taken = []
    async with opened(address, width=1_600, height=1_000) as page:
        for name, path, words in views:
            await page.go("about:blank")
            await page.go(address + path)
            for word in words:
                await page.until(f"document.body?.innerText.includes({json.dumps(word)})", WAIT_S)
            await _dismiss_assistant(page)
            await asyncio.sleep(_SETTLE_S)  # pictures inside the page come after its words
            taken.append(await page.picture(out / f"mlflow-{name}.png"))
        outside = [url for url in page.requests() if url.startswith("http") and address not in url]
        if outside:
            print(f"the MLflow UI asked for {len(outside)} addresses elsewhere, first {outside[0]}")
    return taken


async def _dismiss_assistant(page: Page) -> None:
    await page.value("document.querySelector('[aria-label=\"Close\"]')?.click()")


def jupyter(root: Path, out: Path) -> list[Path]:
    """Open a notebook in JupyterLab, run it to its end, and take what it shows."""
    port = _free_port()
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="mnemo-jupyter-") as scratch:
        folder = Path(scratch) / "research" / "notebooks"
        shutil.copytree(
            RESEARCH / "notebooks", folder, ignore=shutil.ignore_patterns("*.ipynb", ".*", "__pycache__")
        )
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
        command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={folder}", "--IdentityProvider.token="]
        command += ["--LabApp.expose_app_in_browser=True"]
        with _served(command, f"{address}/api", settings=Path(scratch)):
            return asyncio.run(_run_notebook(address, out))


async def _run_notebook(address: str, out: Path) -> list[Path]:
    async with opened(f"{address}/lab/tree/{NOTEBOOK}", width=1_400, height=1_000) as page:
        await page.until("!!window.jupyterapp && !!document.querySelector('.jp-NotebookPanel')", WAIT_S)
        await page.until("document.querySelectorAll('.jp-CodeCell').length > 3", WAIT_S)
        await page.until("!!document.querySelector('.jp-RenderedMarkdown h1')", WAIT_S)
        opened_picture = await page.picture(out / "jupyter-opened.png")
        await asyncio.sleep(2)
        await page.value("window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => true)")
        await page.until(
            f"(cells => cells.length > 8 && cells.every(p => /\\[\\d+\\]/.test(p)))({_CELLS})", WAIT_S
        )
        await page.until("document.querySelectorAll('.jp-OutputArea .main-svg').length > 2", WAIT_S)
        failed = await page.value(
            "document.querySelectorAll('.jp-OutputArea [data-mime-type*=error]').length"
        )
        if failed:
            raise SystemExit(f"error: {failed} cells of {NOTEBOOK} failed in JupyterLab")
        middle = "[...document.querySelectorAll('.jp-OutputArea .js-plotly-plot')].at(-2)?.scrollIntoView()"
        await page.value(middle)
        await asyncio.sleep(2)
        return [opened_picture, await page.picture(out / "jupyter-run.png")]


@contextmanager
def _served(command: Sequence[str], health: str, settings: Path | None = None) -> Iterator[None]:
    """Run a server with settings of its own while the block runs; ends it with all its children."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    if settings is not None:
        labconfig = settings / "config" / "labconfig"
        labconfig.mkdir(parents=True)
        (labconfig / "default_setting_overrides.json").write_text(json.dumps(_LAB_SETTINGS))
        environment |= {
            "JUPYTER_CONFIG_DIR": str(settings / "config"),
            "JUPYTER_RUNTIME_DIR": str(settings / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(settings / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(settings / "workspaces"),
            "IPYTHONDIR": str(settings / "ipython"),
        }
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            _wait(health, server, log)
            yield
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


def _wait(health: str, server: subprocess.Popen[bytes], log: object) -> None:
    limit = time.monotonic() + WAIT_S
    while time.monotonic() < limit and server.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    log.seek(0)  # type: ignore[attr-defined]
    said = log.read().decode(errors="replace")[-2_000:]  # type: ignore[attr-defined]
    raise SystemExit(f"error: {health} does not answer:\n{said}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


TOURS = {"reports": reports, "mlflow": mlflow, "jupyter": jupyter}


def main(arguments: list[str] | None = None) -> int:
    """Take the pictures and print where they are."""
    parser = argparse.ArgumentParser(prog="python -m tests.screenshots", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path())
    parser.add_argument("--only", choices=sorted(TOURS))
    options = parser.parse_args(arguments)
    if CHROMIUM is None:
        sys.stderr.write("error: needs Chromium: install the package chromium\n")
        return 2
    root = options.root.resolve()
    out = root / "reports" / "screenshots"
    out.mkdir(parents=True, exist_ok=True)
    for name, take in TOURS.items():
        if options.only in (None, name):
            for picture in take(root, out):
                print(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
