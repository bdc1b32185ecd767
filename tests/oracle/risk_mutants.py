"""Faults put into the risk module's source text on import, and a check that must notice each of them.

``python -m tests.oracle.risk_mutants NUMBER`` exits 0 if the check passes with fault NUMBER in place (-1:
none), 1 if it notices.
"""

from __future__ import annotations

import sys

from tests.oracle.mutants import Mutant, _Mutating

B, D, L = "lab.risk.breakers", "lab.risk.documents", "lab.risk.layers"
R, S, T = "lab.risk.rules", "lab.risk.step", "lab.risk.state"
MUTANTS = (
    Mutant(
        "breaker not persisted in the state",
        B,
        "        memory[TRIPPED] = 1.0\n        memory[SINCE] = until\n    return memory[TRIPPED] != 0.0",
        "        return True\n    return memory[TRIPPED] != 0.0",
    ),
    Mutant(
        "breaker not persisted in JSON",
        D,
        'state.breakers[b] = [float.fromhex(text) for text in document["breakers"][rule.key]]',
        "pass",
    ),
    Mutant("ban not persisted", B, "state.markets[BANNED, i] = 1.0", "pass"),
    Mutant(
        "breaker never reset", B, "over = memory[TRIPPED] != 0.0 and memory[SINCE] != until", "over = False"
    ),
    Mutant(
        "breaker reset at once",
        B,
        "over = memory[TRIPPED] != 0.0 and memory[SINCE] != until",
        "over = memory[TRIPPED] != 0.0",
    ),
    Mutant(
        "an error does not trip",
        B,
        "if memory[TRIPPED] == 0.0 and loses(equity, memory[REFERENCE], at):",
        "if memory[TRIPPED] == 0.0 and equity <= memory[REFERENCE] * (1.0 - at):",
    ),
    Mutant(
        "peak forgotten",
        B,
        "equity > memory[REFERENCE]:\n        memory[REFERENCE] = equity",
        "equity > memory[REFERENCE]:\n        pass",
    ),
    Mutant("weeks from Thursday", B, "return (day + 3) // 7", "return day // 7"),
    Mutant("instances valued backwards", B, "(1.0 - past / mark)", "(past / mark - 1.0)"),
    Mutant("marks not remembered", B, "state.markets[PAST_MARK, i] = state.markets[MARK, i]", "pass"),
    Mutant(
        "halt outlived by the day",
        T,
        "start, mode = equity, HALTED if state.mode == HALTED else NORMAL",
        "start, mode = equity, NORMAL",
    ),
    Mutant(
        "later priority served first",
        L,
        "for rank in np.unique(ranks[rows]):",
        "for rank in np.unique(ranks[rows])[::-1]:",
    ),
    Mutant(
        "kept positions take no room", L, "                room -= held[k, i]", "                room -= 0.0"
    ),
    Mutant(
        "smallest entries first",
        L,
        "wanted[i] > wanted[best] + ROUNDING",
        "wanted[i] < wanted[best] - ROUNDING",
    ),
    Mutant("positions nobody's after a trade", L, "sleeves[k, i] = cells[k, i] / total", "pass"),
    Mutant(
        "unknown volatility is none",
        R,
        "away = away if away >= 0.0 else 1.0",
        "away = away if away >= 0.0 else 0.0",
    ),
    Mutant(
        "unknown volume is any",
        R,
        "room = limits.volume_share * volume / state.equity if known else 0.0",
        "room = limits.volume_share * volume / state.equity if known else 1.0",
    ),
    Mutant("cash floor forgotten", R, " - plain.min_cash", ""),
    Mutant("trouble ignored", S, "        if trouble:\n", "        if False:\n"),
    Mutant("what the band keeps takes no room", S, "asked[i] < state.weights[i]:", "False:"),
)


def check() -> None:
    """Follow courses of the step and of the three engines; raise AssertionError where they differ."""
    from tests.property.risk.test_engines_with_layers import account, difference, equity_of
    from tests.property.risk.test_layers import follow

    for seed in range(120):
        follow((8, seed), through_json=seed % 2 == 1)
    for seed in range(4):
        one = account(seed)
        assert difference(equity_of(one.fused), one.oracle.equity, one.case.cash) <= 1e-9
    _check_errors()


def _check_errors() -> None:
    """An account or an instance without a value must trip, and a person's halt must outlive the day."""
    import numpy as np

    from lab.risk import halt
    from tests.unit.risk.test_breakers import DAY, go, plan, start

    account = ("portfolio", "monthly_loss", 0.5, "halt", "person")
    one = plan(account, ("instance", "drawdown", 0.5, "reduce_only", "day"))
    for equity in (np.nan, np.inf, -1.0):
        assert go(one, start(one), equity, DAY)[1].mode == 2
    names = go(one, start(one), 1000.0, DAY, marks=(np.nan, 10.0))[2]
    assert "DRAWDOWN" in names[0]
    assert go(one, halt(start(one)), 1000.0, DAY + 1)[1].mode == 2


def main(number: int) -> int:
    if number >= 0:
        sys.meta_path.insert(0, _Mutating(MUTANTS[number]))
    try:
        check()
    except AssertionError as error:
        if "text found" in str(error):
            raise
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
