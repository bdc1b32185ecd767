# ruff: noqa: E501 - a fault is a line, as it stands in the source
"""Faults put into the engine's source text on import, and a small check that must notice each of them.

``python -m tests.oracle.mutants NUMBER`` exits 0 if the check passes with fault NUMBER in place (-1: none), 1
if it notices. Compiled code runs as plain Python there, since it would come from a cache of sound source.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    name: str
    module: str
    old: str
    new: str
    vectorbt: bool = False


K, L, V = "lab.backtest.kernel", "lab.backtest.lean", "lab.backtest.vectorbt_engine"
F, P, N = "lab.backtest.friction", "lab.backtest.prices", "lab.backtest.lanes"
A, G = "lab.backtest.alone", "lab.backtest.guarded"
MUTANTS = (
    Mutant("buys before sells", "lab.backtest.sorting", "place = ranks[i] if ranked", "place = count - 1 - ranks[i] if ranked"),
    Mutant("equal orders turned round", "lab.backtest.sorting", "keys[sequence[place - 1]] > keys[i]", "keys[sequence[place - 1]] >= keys[i]"),
    Mutant("fee of a buy forgotten", K, "rest = subtract(cash, notional + paid)", "rest = subtract(cash, notional)"),
    Mutant("fee of a sell forgotten", K, "cash += subtract(traded * price, paid)", "cash += traded * price"),
    Mutant("slippage of a buy gained", K, "price = reference * (1.0 + terms.slippage)", "price = reference * (1.0 - terms.slippage)"),
    Mutant("slippage of a sell gained", K, "price = reference * (1.0 - terms.slippage)", "price = reference * (1.0 + terms.slippage)"),
    Mutant("one bar too early", K, "target = weights[t - terms.lag]", "target = weights[min(t - terms.lag + 1, len(weights) - 1)]"),
    Mutant("one bar too late", K, "if t >= terms.lag:", "if t > terms.lag:"),
    Mutant("valued at the close", K, "value = value_of(cash, desk.positions, tape.mark, t)", "value = value_of(cash, desk.positions, tape.last, t)"),
    Mutant("equity at the open", K, "equity = value_of(cash, positions, tape.last, t)", "equity = value_of(cash, positions, tape.mark, t)"),
    Mutant("trades without a price", K, "and not np.isnan(tape.price[t, i])", "and not np.isnan(tape.mark[t, i])"),
    Mutant("a cut buy ignores the fee", K, "affordable = cash / (1.0 + fee)", "affordable = cash"),
    Mutant("another sort expression", K, "desk.keys[i] = worth - desk.positions[i] * tape.mark[t, i]", "desk.keys[i] = desk.permitted[i]"),
    Mutant("quantity from the close", K, "desk.quantities[i] = worth / tape.mark[t, i]", "desk.quantities[i] = worth / tape.last[t, i]"),
    Mutant("sells more than is held", K, "traded = min(desk.positions[i], -quantity)", "traded = -quantity * 1.001"),
    Mutant("breaker not persisted", K, "state = permit(", "_ = permit("),
    Mutant("untradeable markets seen as tradeable", K, "state.tradeable[i] = not np.isnan(tape.price[t, i])", "state.tradeable[i] = True"),
    Mutant("marks carried out of order", P, "mark[t, i] = known\n            if not np.isnan(closes[t, i]):\n                known = closes[t, i]", "if not np.isnan(closes[t, i]):\n                known = closes[t, i]\n            mark[t, i] = known"),
    Mutant("lean: waits for nothing", L, "t, only = row + lag, decided[row]", "t, only = row, decided[row]"),
    Mutant("lean: fee of a buy forgotten", L, "rest = subtract(cash, notional + paid)", "rest = subtract(cash, notional)"),
    Mutant("lean: sells put among the buys", L, "below = keys[i] < 0.0", "below = keys[i] > 0.0"),
    Mutant("lean alone: capital shared", A, "held, cash = np.zeros(n), np.full(n, capital)", "held, cash = np.zeros(n), np.full(n, capital / n)"),
    Mutant("lean: a single order ignores what is held", L, "weights[row, only], value, price[t, only], mark[t, only], cash, held[only]", "weights[row, only], value, price[t, only], mark[t, only], cash, 0.0"),
    Mutant("lean alone: valued before the bar", A, "value[i] = cash[i] + held[i] * last[t, i]", "value[i] = cash[i] + held[i] * last[max(t - 1, 0), i]"),
    Mutant("lanes: the sequence of the markets", N, "swaps = key > other", "swaps = key != key"),
    Mutant("lanes: buys that do not fit", N, "exact = ((rest if amount < 0.0 else flow) > max(least, NOTHING)) | (amount == 0.0)", "exact = True"),
    Mutant("lanes: orders of the same size", N, "twice = (key == keys", "twice = (key != key) & (key == keys"),
    Mutant("lanes: one bar too late", N, "wanted, row, value, held, rates.slippage", "wanted, max(row - 1, 0), value, held, rates.slippage"),
    Mutant("guarded: no loss is seen between decisions", G, "if not decides and (t + 1 == bars or day[t + 1] != day[t]):", "if not decides:"),
    Mutant("guarded: what is no longer wanted is forgotten", G, "(weights[row, i] > 0.0) | (held[i] != 0.0)", "weights[row, i] > 0.0"),
    Mutant("guarded: the mode of yesterday", G, "today, start, mode = day[t], value, NORMAL", "today, start = day[t], value"),
    Mutant("frictions: remainder forgotten", F, "goal[i] = aim if status in (VOLUME_SHORT, NO_VOLUME) else np.nan", "goal[i] = np.nan"),
    Mutant("frictions: tick in favour", F, "math.ceil(price / tick - _ROUNDING) if side == BUY", "math.floor(price / tick) if side == BUY"),
    Mutant("frictions: linear impact", F, "math.sqrt(min(traded / volume, 1.0) if volume > 0.0 else 1.0)", "(min(traded / volume, 1.0) if volume > 0.0 else 1.0)"),
    Mutant("frictions: volatility of the bar itself", F, "for s in range(max(t - VOLATILITY_BARS, 1), t):\n                change = math.log(close[s, i] / close[s - 1, i])\n                if not math.isnan(change):\n                    count += 1", "for s in range(max(t - VOLATILITY_BARS, 1), t + 1):\n                change = math.log(close[s, i] / close[s - 1, i])\n                if not math.isnan(change):\n                    count += 1"),
    Mutant("vectorbt: its own smallest size", V, '"min_size": 0.0', '"min_size": 0.1', True),
    Mutant("vectorbt: its own value price", V, "            val_price=prices.mark,\n            fees=np.array([[one.fee for one in wide]]),", "            fees=np.array([[one.fee for one in wide]]),", True),
    Mutant("vectorbt: its own call sequence", V, '"call_seq": "auto"', '"call_seq": "default"', True),
    Mutant("vectorbt: value updated between orders", V, '"update_value": False', '"update_value": True', True),
)  # fmt: skip


class _Mutating(importlib.abc.MetaPathFinder):
    def __init__(self, mutant: Mutant) -> None:
        self.mutant = mutant

    def find_spec(self, name, path=None, target=None):
        if name != self.mutant.module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        spec.loader = _Loader(spec.name, spec.origin, self.mutant)
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name, path, mutant) -> None:
        super().__init__(name, path)
        self.mutant = mutant

    def get_code(self, fullname):
        source = Path(self.path).read_text(encoding="utf-8")
        assert source.count(self.mutant.old) == 1, (
            f"{self.mutant.name}: text found {source.count(self.mutant.old)} times"
        )
        return compile(source.replace(self.mutant.old, self.mutant.new), self.path, "exec")


def check(vectorbt: bool) -> None:
    """Compare the engines on a few accounts; raise AssertionError where they differ."""
    from lab.backtest.vectorbt_engine import shifted
    from tests.oracle.engines import difference, equity_of, fused_account, oracle_account, vectorbt_accounts
    from tests.oracle.portfolios import random_case, ties

    cases = [random_case(seed, 30, 2 + seed % 6) for seed in range(60 if vectorbt else 14)]
    if vectorbt:
        found = vectorbt_accounts(cases, [shifted(case.weights, 1) for case in cases])
        for case, theirs in zip(cases, found, strict=True):
            assert difference(equity_of(theirs), oracle_account(case).equity, case.cash) <= 1e-9
        return
    from lab.risk import Limits

    limits = Limits(max_position=0.6, max_exposure=0.9, rebalance_band=0.02, max_daily_loss=0.05)
    for case in cases:
        path = oracle_account(case)
        trace = fused_account(case)
        assert equity_of(trace).tolist() == path.equity
        assert [tuple(row[:3]) for row in trace.log[trace.log[:, 3] <= 1].tolist()] == [
            f[:3] for f in path.fills
        ]
        limited = fused_account(case, limits=limits)
        assert difference(equity_of(limited), oracle_account(case, limits=limits).equity, case.cash) <= 1e-9
        _check_lean(case, trace)
        _check_guarded(case, limits)
        _check_frictions(case)
    for case in ties():
        _check_lean(case, fused_account(case))
    _check_breaker()


def _check_lean(case, trace) -> None:
    import numpy as np

    from lab.backtest import ExecutionPrices, alone, lanes, lean
    from lab.backtest.layout import RETURN, Rates, Tape
    from lab.backtest.survey import survey, survey_alone
    from tests.oracle.engines import costs_of

    prices, costs = ExecutionPrices.from_panel(case.panel), costs_of(case)
    bars, width = prices.shape
    tape = prices.tape._replace(mark=np.nan_to_num(prices.mark), last=np.nan_to_num(prices.last))
    rows = np.zeros(bars, dtype=np.int64)
    assert survey(case.weights, np.zeros(bars, dtype=bool), 0, 1.0 + 1e-9, rows)[0] >= 0
    rates = Rates(1, costs.fee, costs.slippage, case.cash)

    def outputs(columns):
        return np.empty((bars, columns)), np.empty((3, 0, columns)), np.empty(columns)

    one = outputs(1)
    lean.run_shared(tape, case.weights, rows, rates, *one)
    assert one[0][:, 0].tolist() == trace.path[RETURN].tolist()
    # The same account in all lanes but one, where it is half as large.
    halves = np.where(np.isnan(case.weights), np.nan, case.weights / 2)
    side = (halves, *[case.weights] * (lanes.LANES - 1))
    many = outputs(lanes.LANES)
    together = np.tile(rows, (lanes.LANES, 1))
    lanes.run_lanes(tape, side, together, rates, lanes.network(width), *many)
    assert many[0][:, 1].tolist() == one[0][:, 0].tolist() == many[0][:, -1].tolist()
    lean.run_shared(tape, halves, rows, rates, *one)
    assert many[0][:, 0].tolist() == one[0][:, 0].tolist()
    wide, places = outputs(width), np.zeros(case.weights.size, dtype=np.int64)
    found = survey_alone(case.weights, 0, places)
    alone.run_alone(tape, case.weights, places[:found], rates, *wide)
    for i in range(width):
        own = case.weights[:, i : i + 1]
        part = Tape(*(values[:, i : i + 1] for values in tape[:3]), tape.day)
        survey(own, np.zeros(bars, dtype=bool), 0, 1.0, rows)
        lean.run_shared(part, own, rows, rates, *one)
        assert one[0][:, 0].tolist() == wide[0][:, i].tolist()


def _check_guarded(case, limits) -> None:
    import numpy as np

    from lab.backtest import ExecutionPrices, simulate_weights
    from lab.backtest.batch import Batch
    from tests.oracle.engines import costs_of
    from tests.oracle.portfolios import panel_of

    weights = case.weights.view()
    weights.flags.writeable = False
    for frame in ("1d", "6h"):
        prices = ExecutionPrices.from_panel(panel_of(case.opens, case.closes, frame))
        given = {"costs": costs_of(case), "limits": limits, "cash": case.cash, "lag": 1}
        batch = Batch.of(prices, metrics=["sharpe"], **given)
        kept = np.empty((1, len(prices)))
        batch.figures([batch.survey(weights, None, 0)], 1, kept)
        assert kept[0].tolist() == simulate_weights(prices, weights, **given).bars.returns.tolist()


def _check_frictions(case) -> None:
    import numpy as np

    from lab.backtest import ExecutionPrices
    from lab.backtest.layout import EQUITY
    from lab.backtest.simulate import simulate_trace
    from lab.costs import Costs, MarketRules
    from tests.oracle.engines import difference
    from tests.oracle.frictions import simulate

    price = float(np.nanmean(case.opens)) if not np.isnan(case.opens).all() else 1.0
    volume = np.where(np.isnan(case.closes), np.nan, case.cash / price * 0.2)
    panel = case.panel.with_fields({"volume": volume})
    rules = (MarketRules(tick=price / 200, lot=case.cash / price / 1e3),)
    costs = Costs(10.0, 5.0, 0.3, 300.0, 0.5, rules=rules)
    trace = simulate_trace(
        ExecutionPrices.from_panel(panel), case.weights, costs=costs, limits=None, cash=case.cash, lag=1
    )
    path = simulate(
        {name: panel[name].tolist() for name in ("open", "high", "low", "close", "volume")},
        case.weights.tolist(),
        fee=costs.fee, slippage=costs.slippage, cash=case.cash, per_volatility=0.3, impact=0.03, share=0.5,
        lot=rules[0].lot, tick=rules[0].tick,
    )  # fmt: skip
    assert difference(trace.path[EQUITY], path.equity, case.cash) <= 1e-9


def _check_breaker() -> None:
    """A loss within a day must leave only reductions for the rest of it."""
    import numpy as np

    from lab.backtest import run_backtest
    from lab.costs import Costs
    from lab.risk import Limits
    from tests.oracle.portfolios import panel_of

    prices = np.concatenate([np.full(3, 100.0), np.full(1, 80.0), np.full(6, 100.0)])[:, None]
    weights = np.full((10, 1), 0.5)
    weights[3:] = 0.9
    result = run_backtest(
        panel_of(prices, prices, "1h"), weights, costs=Costs(0.0, 0.0), risk=Limits(max_daily_loss=0.05)
    )
    assert result.orders.filter(result.orders["side"] == "buy").height == 1


def main(number: int) -> int:
    mutant = MUTANTS[number] if number >= 0 else None
    if mutant is not None:
        sys.meta_path.insert(0, _Mutating(mutant))
    try:
        check(mutant is not None and mutant.vectorbt)
    except AssertionError as error:
        if "text found" in str(error):
            raise
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
