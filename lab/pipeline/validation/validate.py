"""Judge a run or a strategy file: statistics, trials, selection, robustness, certificate, one sentence."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.pipeline.parity import certificate_of
from lab.pipeline.validation.accounts import Accounts
from lab.pipeline.validation.candidates import run_candidates, searched_sets, trials_of
from lab.pipeline.validation.counting import Counted, count_trials
from lab.pipeline.validation.judged import Judged, judged_config, judged_run
from lab.pipeline.validation.selection import judge_selection
from lab.pipeline.validation.stresses import Robustness, stress
from lab.search import Ledger
from lab.validation.bootstrap import stationary_bootstrap
from lab.validation.overfitting import (
    SharpeStatistics,
    min_backtest_length,
    min_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_statistics,
)
from lab.validation.verdict import Evidence, Verdict, conclude

__all__ = ["Validation", "validate"]

Array = NDArray[np.float64]
Report = Callable[[str, int, int], None]

_SEARCHED = "those of the search"
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
    """Judge a logged backtest or search, or what a strategy file does as it stands.

    Evaluated are the result's decisions under changed circumstances and the parameter sets around it; each
    one on recorded bars is a trial that the ledger counts, once. The result is judged by all trials on record
    then, so that asking twice gives the same answer.

    Parameters
    ----------
    target : path or str
        A strategy file (a path that exists, or ends in .yaml or .yml), else a run id.
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
        If there is no such run or file, it is not of one strategy, or its bars or code are not what they
        were.
    """
    tell = report or (lambda task, done, total: None)
    if Path(target).exists() or str(target).endswith((".yaml", ".yml")):
        judged = judged_config(target, root=root)
    else:
        judged = judged_run(str(target), root=root)
    accounts = Accounts(judged)
    # The stitched path of a search is made of trials that are on record already.
    returns = accounts.returns(judged.weights(), counted=judged.kind != "tune")
    found = sharpe_statistics(returns)
    proof = judged.recorded.get("certificate")
    if proof is None:
        proof = certificate_of(
            judged.instance,
            judged.inputs.panel,
            seed=seed,
            progress=lambda share: tell("certificate", round(100 * share), 100),
        ).report()
    annual = found.sharpe * _root(judged)
    robust = stress(
        accounts,
        baseline=annual,
        seed=seed,
        workers=workers,
        progress=lambda done, total: tell("neighbours", done, total),
    )
    candidates, origin = robust.neighbours, _NEIGHBOURS
    if judged.trials is not None:
        candidates, origin = run_candidates(judged, searched_sets(judged), workers=workers), _SEARCHED
    chosen = judge_selection(judged, candidates, origin=origin, seed=seed, resamples=resamples)
    counted = count_trials(Ledger(root), judged, [*accounts.batches, trials_of(judged, robust.neighbours)])
    facts = _statistics(judged, returns, found, counted, seed=seed, resamples=resamples)
    evidence = _evidence(judged, returns, facts, chosen, robust, proof)
    verdict = conclude(evidence)
    return Validation(verdict, _document(judged, facts, chosen, robust, counted, proof, verdict))


def _statistics(
    judged: Judged,
    returns: Array,
    found: SharpeStatistics,
    counted: Counted,
    *,
    seed: int,
    resamples: int,
) -> dict[str, Any]:
    """Return the figures of the one series, annualised, and what the number of trials leaves of them."""
    root, year = _root(judged), judged.panel.timeframe.periods_per_year
    shape = {"skewness": found.skewness, "kurtosis": found.kurtosis}
    drawn = stationary_bootstrap(returns, seed=seed, resamples=resamples)
    judgement, annual = counted.judgement, found.sharpe * root
    return {
        "sharpe": annual,
        "sharpe_interval": {
            "low": drawn.low * root,
            "high": drawn.high * root,
            "confidence": drawn.confidence,
            "block_length": drawn.block_length,
            "resamples": drawn.resamples,
        },
        **shape,
        "years": len(returns) / year,
        "probabilistic_sharpe": probabilistic_sharpe_ratio(
            found.sharpe, n_observations=found.n_observations, **shape
        ),
        "deflated_sharpe": judgement.deflated(found),
        "n_trials_ledger": judgement.n_trials,
        "expected_max_sharpe": judgement.expected_max(found.n_observations) * root,
        "deflated_sharpe_effective": counted.deflated_effective(found),
        "deflated_sharpe_all_families": counted.every.deflated(found),
        "deflated_sharpe_recorded": judged.recorded.get("deflated_sharpe"),
        "n_trials_recorded": judged.recorded.get("n_trials"),
        "min_track_record_years": min_track_record_length(found.sharpe, **shape) / year,
        "min_backtest_years": (
            min_backtest_length(max(judgement.n_trials, 1), target_sharpe=annual) if annual > 0 else math.inf
        ),
    }


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
    searched = judged.held_out
    return Evidence(
        sharpe=facts["sharpe"] if returns.any() else math.nan,
        held_out=searched,
        deflated_sharpe=facts["deflated_sharpe"],
        expected_max_sharpe=facts["expected_max_sharpe"],
        n_trials=facts["n_trials_ledger"],
        pbo=chosen["pbo"] if searched else None,
        engine_difference=judged.engine_difference,
        failed=judged.failed,
        certificate=proof,
        interval=(interval["low"], interval["high"]),
        superiority=cash["p_value"] if searched and cash is not None else None,
        weaknesses=robust.weaknesses,
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
    instance, panel = judged.instance, judged.panel
    return {
        "name": judged.name,
        "run_id": judged.run_id,
        "kind": judged.kind,
        "strategy_id": instance.strategy_id,
        "family": instance.strategy.family,
        "held_out": judged.held_out,
        "first_bar": f"{panel.ts[0]}Z",
        "last_bar": f"{panel.ts[-1]}Z",
        "bars": len(panel),
        "data_hash": judged.inputs.data_hash,
        "config_hash": instance.config_hash,
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


def _root(judged: Judged) -> float:
    return math.sqrt(judged.panel.timeframe.periods_per_year)
