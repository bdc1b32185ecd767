"""Judge a run or a strategy file: statistics, trials, selection, robustness, certificate, one sentence."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.core.errors import DataError
from lab.pipeline.validation.accounts import Accounts
from lab.pipeline.validation.candidates import Candidates, run_candidates, searched_sets, trials_of
from lab.pipeline.validation.counting import Counted, count_trials
from lab.pipeline.validation.figures import annual_sharpe, figures_of
from lab.pipeline.validation.judged import Judged
from lab.pipeline.validation.loading import judged_config, judged_run
from lab.pipeline.validation.selection import judge_selection
from lab.pipeline.validation.strategy import JudgedStrategy
from lab.pipeline.validation.stresses import Robustness, stress
from lab.search import Ledger, TrialBatch
from lab.validation.resampling import check_draws
from lab.validation.verdict import Evidence, Verdict, conclude

__all__ = ["Validation", "validate"]

Array = NDArray[np.float64]
Report = Callable[[str, int, int], None]

_SEARCHED = "those of the search"
_ALONE = "the portfolio as it is; no search is behind it"
_NEIGHBOURS = "the file's own and its neighbours; no search is behind it"


@dataclass(frozen=True, slots=True, eq=False)
class Validation:
    """A judged result.

    Attributes
    ----------
    verdict : Verdict
        What a careful person would conclude.
    document : mapping
        What ``mnemo validate --json`` prints. Sharpe ratios are annualised.
    """

    verdict: Verdict
    document: dict[str, Any]


def validate(
    target: Path | str,
    *,
    root: Path,
    seed: int = 0,
    resamples: int = 1_000,
    workers: int | None = None,
    report: Report | None = None,
) -> Validation:
    """Judge a logged backtest or search, or what a strategy or portfolio file does as it stands.

    Evaluated are the result's decisions under changed circumstances and the parameter sets around it; each
    one on recorded bars is a trial that the ledger counts, once. The result is judged by all trials on record
    then, so that asking twice gives the same answer.

    Parameters
    ----------
    target : path or str
        A strategy or portfolio file (a path that exists, or ends in .yaml or .yml), else a run id.
    root : pathlib.Path
        Folder that holds ``data/`` and ``mlruns/``.
    seed : int
        Of bootstrap and noise.
    resamples : int
        Of the bootstrap, at least 100.
    workers : int, optional
        Threads of the sweeps; the result does not depend on it.
    report : callable, optional
        ``report(task, done, total)``.

    Raises
    ------
    ConfigError, DataError
        If seed or resamples make no sense, there is no such run or file, or its bars or code are not what
        they were.
    """
    tell = report or (lambda task, done, total: None)
    check_draws(seed, resamples)
    judged = _judged(target, root)
    proof = _proof(judged, seed, tell)
    accounts = Accounts(judged)
    # The stitched path of a search is made of trials that are on record already.
    returns = accounts.returns(judged.decisions(), counted=judged.kind != "tune")
    _require_same(judged, annual_sharpe(judged, returns))
    robust = stress(
        accounts,
        baseline=annual_sharpe(judged, returns),
        seed=seed,
        workers=workers,
        progress=lambda done, total: tell("neighbours", done, total),
    )
    candidates, origin = _candidates(judged, robust, returns, workers)
    chosen = judge_selection(judged, candidates, origin=origin, seed=seed, resamples=resamples)
    counted = count_trials(Ledger(root), judged, [*accounts.batches, *_neighbours(judged, robust)])
    facts = figures_of(judged, returns, counted, seed=seed, resamples=resamples)
    verdict = conclude(_evidence(judged, returns, facts, chosen, robust, proof))
    return Validation(verdict, _document(judged, facts, chosen, robust, counted, proof, verdict))


def _judged(target: Path | str, root: Path) -> Judged:
    # Not Path.exists, which raises for a name longer than the file system takes.
    if os.path.lexists(target) or str(target).endswith((".yaml", ".yml")):
        return judged_config(target, root=root)
    return judged_run(str(target), root=root)


def _proof(judged: Judged, seed: int, tell: Report) -> dict[str, Any]:
    """Return the certificate that was recorded, or make one."""
    recorded = judged.recorded.get("certificate")
    if recorded is not None:
        return dict(recorded)
    return judged.certificate(seed=seed, progress=lambda share: tell("certificate", round(100 * share), 100))


def _candidates(
    judged: Judged, robust: Robustness, returns: Array, workers: int | None
) -> tuple[Candidates, str]:
    """Return the sets that the result was chosen from, else its neighbours, else itself alone."""
    if isinstance(judged, JudgedStrategy) and judged.trials is not None:
        return run_candidates(judged, searched_sets(judged), workers=workers), _SEARCHED
    if robust.neighbours is not None:
        return robust.neighbours, _NEIGHBOURS
    return Candidates((), returns[:, None], 0), _ALONE


def _neighbours(judged: Judged, robust: Robustness) -> list[TrialBatch]:
    """Return the neighbouring sets as trials."""
    if isinstance(judged, JudgedStrategy) and robust.neighbours is not None:
        return [trials_of(judged, robust.neighbours)]
    return []


def _require_same(judged: Judged, sharpe: float) -> None:
    """Refuse to judge a run by an account that is not the one it recorded."""
    recorded = judged.recorded.get("metrics", {}).get("sharpe")
    if recorded is not None and not math.isclose(sharpe, recorded, rel_tol=1e-9, abs_tol=1e-9):
        raise DataError(
            f"run {judged.run_id}: the same decisions give a Sharpe ratio of {sharpe:.6f} now, "
            f"{recorded:.6f} recorded; costs, limits or the engine were changed. "
            f"Ask 'mnemo reproduce {judged.run_id}' what changed, or run it again"
        )


def _evidence(
    judged: Judged,
    returns: Array,
    facts: dict[str, Any],
    chosen: dict[str, Any],
    robust: Robustness,
    proof: dict[str, Any],
) -> Evidence:
    interval = facts["sharpe_interval"]
    cash = chosen["spa"].get("cash")
    searched, alone = judged.held_out, isinstance(judged, JudgedStrategy)
    return Evidence(
        sharpe=facts["sharpe"] if returns.any() else math.nan,
        held_out=searched,
        # A portfolio is put together from what all families tried on its markets.
        deflated_sharpe=facts["deflated_sharpe" if alone else "deflated_sharpe_all_families"],
        expected_max_sharpe=facts["expected_max_sharpe"] if alone else None,
        n_trials=facts["n_trials_ledger"] if alone else facts["n_trials_all_families"],
        pbo=chosen["pbo"] if searched else None,
        engine_difference=judged.engine_difference,
        failed=judged.failed,
        certificate=proof,
        interval=(interval["low"], interval["high"]),
        superiority=cash["p_value"] if searched and cash is not None else None,
        weaknesses=robust.weaknesses,
        of_every_family=(facts["n_trials_all_families"], facts["deflated_sharpe_all_families"]),
        **({} if alone else {"next_step": "Walk-forward runs of its instances are the next step."}),
    )


def _document(
    judged: Judged,
    facts: dict[str, Any],
    chosen: dict[str, Any],
    robust: Robustness,
    counted: Counted,
    proof: dict[str, Any],
    verdict: Verdict,
) -> dict[str, Any]:
    panel = judged.panel
    return {
        "name": judged.name,
        "run_id": judged.run_id,
        "kind": judged.kind,
        **judged.facts,
        "held_out": judged.held_out,
        "first_bar": f"{panel.ts[0]}Z",
        "last_bar": f"{panel.ts[-1]}Z",
        "bars": len(panel),
        **facts,
        "trials": counted.document(),
        **chosen,
        "robustness": robust.rows(),
        "break_even_costs": robust.break_even_costs,
        "weaknesses": list(robust.weaknesses),
        "certificate": proof,
        "engine_difference": judged.engine_difference,
        "status": "FAILED" if judged.failed else "OK",
        "level": verdict.level,
        "conclusion": verdict.conclusion,
    }
