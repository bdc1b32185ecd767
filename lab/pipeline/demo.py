"""The whole way on bundled data: bars, walk-forward, MLflow, tearsheets, one tick of the bridge."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from lab.core.errors import ConfigError, MnemoError
from lab.core.tolerances import ENGINE_TOLERANCE
from lab.data.demo import install
from lab.pipeline.rehearsal import rehearse_tick
from lab.pipeline.reporting import write_tearsheet
from lab.pipeline.tuning import TuneRun, tune

__all__ = ["run_demo", "summary"]

Progress = Callable[[str, int, int], None]

STRATEGIES: Final = ("demo_tsm_1d", "demo_dual_momentum_1d", "demo_mean_reversion_1h")
PORTFOLIO: Final = "portfolios/demo.yaml"


def research_folder() -> Path:
    """Return the checkout's ``research/``, which holds the demo's strategy and portfolio files.

    Raises
    ------
    ConfigError
        If the package was installed without its checkout.
    """
    folder = Path(__file__).resolve().parents[2] / "research"
    if not (folder / PORTFOLIO).exists():
        raise ConfigError(f"{folder / PORTFOLIO} not found: run the demo from a clone of the project")
    return folder


def run_demo(root: Path, *, seed: int, workers: int, report: Progress) -> dict[str, Any]:
    """Run the demo under `root` and return what ``mnemo demo --json`` prints.

    Parameters
    ----------
    root : pathlib.Path
        Folder that receives ``data/``, ``mlruns/`` and ``reports/``.
    seed : int
        Of every search.
    workers : int
        Threads that evaluate trials.
    report : callable
        Called with (task, done, total).
    """
    began = time.perf_counter()
    research = research_folder()
    report("bars", 0, 1)
    bars = sum(verdict.bars for verdict in install(root))
    report("bars", 1, 1)
    runs = [_tune(research, name, root, seed, workers, report) for name in STRATEGIES]
    failed = [run.run_id for run in runs if run.search.status == "FAILED"]
    if failed:
        raise MnemoError(
            f"runs {', '.join(failed)} are marked FAILED: the engines differ by more than "
            f"{ENGINE_TOLERANCE:g}; do not use their figures"
        )
    pages = []
    for number, run in enumerate(runs):
        report("tearsheets", number, len(runs))
        pages.append(write_tearsheet(run.run_id, root=root))
    report("tearsheets", len(runs), len(runs))
    report("one tick of the bridge", 0, 1)
    rehearsal = rehearse_tick(research / PORTFOLIO, root=root)
    report("one tick of the bridge", 1, 1)
    return {
        "seconds": time.perf_counter() - began,
        "bars": bars,
        "strategies": {run.instance.strategy_id: _figures(run) for run in runs},
        "engine_difference": max(run.search.engine_difference for run in runs),
        "runs": [run.run_id for run in runs],
        "report": str(pages[0]),
        "reports": [str(page) for page in pages],
        "rehearsal": rehearsal,
    }


def summary(document: dict[str, Any], root: Path) -> str:
    """Return what the demo says to a person at its end."""
    option = "" if root == Path() else f" --root {root}"
    rows = [
        f"  {name:<26}{f['sharpe']:>8.2f}{f['deflated_sharpe']:>10.3f}{f['pbo']:>8.2f}"
        f"{f['max_drawdown']:>10.1%}{f['n_trials']:>8,}"
        for name, f in document["strategies"].items()
    ]
    rehearsal = document["rehearsal"]
    lines = [
        f"{document['bars']:,} bars, {len(rows)} strategies, walk-forward, out of sample, after costs:",
        "",
        f"  {'strategy':<26}{'Sharpe':>8}{'deflated':>10}{'PBO':>8}{'drawdown':>10}{'trials':>8}",
        *rows,
        "",
        "  deflated: probability that the Sharpe ratio beats what so many trials give by luck (ask 0.95).",
        f"  The two engines differ by at most {document['engine_difference']:.1e} of equity.",
        f"  The bridge decided on {rehearsal['bar']} with the same function: of {rehearsal['decisions']} "
        f"weights {rehearsal['mismatches']} differ in a bit; {rehearsal['orders']} orders; equity within "
        f"{abs(rehearsal['equity_difference']):.1e} of the backtest's.",
        "",
        "Where to look:",
        *(f"  tearsheet   {page}" for page in document["reports"]),
        f"  all runs    mnemo ui{option}, then open the address that it prints",
        "Next:",
        f"  mnemo parity research/strategies/demo_tsm_1d.yaml{option}",
        f"  mnemo backtest research/strategies/demo_dual_momentum_1d.yaml{option}",
        f"  mnemo data check{option}",
        f"  ({document['seconds']:.0f} s)",
    ]
    return "\n".join(lines)


def _tune(research: Path, name: str, root: Path, seed: int, workers: int, report: Progress) -> TuneRun:
    return tune(
        research / "strategies" / f"{name}.yaml",
        root=root,
        seed=seed,
        workers=workers,
        progress=lambda done, total: report(f"walk-forward {name}", done, total),
    )


def _figures(run: TuneRun) -> dict[str, Any]:
    metrics = run.search.oos.metrics
    return {
        "sharpe": metrics["sharpe"],
        "max_drawdown": metrics["max_drawdown"],
        "deflated_sharpe": run.search.deflated_sharpe,
        "n_trials": run.search.n_trials,
        "pbo": run.search.pbo,
        "fingerprint": run.document["fingerprint"],
    }
