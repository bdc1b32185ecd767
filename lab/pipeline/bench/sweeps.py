"""Sweeps of moving-average pairs through the public ``sweep``, against vectorbt and backtesting.py.

vectorbt gets its pairs in parts of a fifth, for memory: all at once it needs 13 GB and is no faster.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import warnings
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lab.backtest import sweep
from lab.core.panel import Panel
from lab.costs import Costs
from lab.pipeline.bench.crossing import Crossing
from lab.pipeline.bench.engine import random_walk
from lab.pipeline.bench.harness import Case

__all__ = ["CASES"]

Array = NDArray[np.float64]
_COSTS: Final = Costs(fee_bps=10.0, slippage_bps=5.0)
_PARTS: Final = 5
_CAPITAL: Final = 1e7
_IN_TURN: Final = 100


class _Pairs(NamedTuple):
    panel: Panel
    pairs: list[tuple[int, int]]


def _given() -> _Pairs:
    return _Pairs(random_walk(10, 10_000), list(itertools.combinations(range(5, 50), 2)))


def _small() -> _Pairs:
    return _Pairs(random_walk(10, 200), list(itertools.combinations(range(5, 10), 2)))


def _swept(given: _Pairs, every_bar: bool, **options: Any) -> list[float]:
    grid = [{"fast": fast, "slow": slow, "every_bar": every_bar} for fast, slow in given.pairs]
    table = sweep(
        Crossing(),
        grid,
        given.panel,
        costs=_COSTS,
        metrics=["total_return"],
        price="close",
        lag=0,
        workers=None,
        **options,
    )
    return table["total_return"].to_list()


def _alone(given: _Pairs) -> list[float]:
    return _swept(given, False, accounts="alone")


def _on_change(given: _Pairs) -> list[float]:
    return _swept(given, False)


def _every_bar(given: _Pairs) -> list[float]:
    return _swept(given, True)


def _crossings(panel: Panel, pairs: list[tuple[int, int]]) -> tuple[Any, Any, Any]:
    """Return closes, entries and exits of vectorbt's moving averages; columns: pair, then market."""
    import pandas as pd
    import vectorbt as vbt

    close = pd.DataFrame(panel["close"], index=pd.DatetimeIndex(panel.ts), columns=list(panel.markets))
    fast = vbt.MA.run(close, [pair[0] for pair in pairs], short_name="fast")
    slow = vbt.MA.run(close, [pair[1] for pair in pairs], short_name="slow")
    return close, fast.ma_crossed_above(slow), fast.ma_crossed_below(slow)


def _parts(given: _Pairs) -> list[list[tuple[int, int]]]:
    size = -(-len(given.pairs) // _PARTS)
    return [given.pairs[start : start + size] for start in range(0, len(given.pairs), size)]


def _vectorbt_alone(given: _Pairs) -> list[float]:
    import vectorbt as vbt

    found: list[float] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for pairs in _parts(given):
            close, entries, exits = _crossings(given.panel, pairs)
            account = vbt.Portfolio.from_signals(
                close,
                entries,
                exits,
                fees=_COSTS.fee,
                slippage=_COSTS.slippage,
                init_cash=10_000.0,
                freq="1d",
            )
            found += account.total_return().tolist()
    return found


def _vectorbt_shared(given: _Pairs, every_bar: bool) -> list[float]:
    import vectorbt as vbt

    found: list[float] = []
    markets = len(given.panel.markets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for pairs in _parts(given):
            close, entries, exits = _crossings(given.panel, pairs)
            size = np.full(entries.shape, np.nan)
            size[entries.to_numpy()] = 1.0 / markets
            size[exits.to_numpy()] = 0.0
            if every_bar:
                size = vbt.nb.ffill_nb(size)
            account = vbt.Portfolio.from_orders(
                close=np.tile(close.to_numpy(), (1, len(pairs))),
                size=size,
                size_type="targetpercent",
                direction="longonly",
                fees=_COSTS.fee,
                slippage=_COSTS.slippage,
                min_size=0.0,
                max_size=np.inf,
                init_cash=10_000.0,
                cash_sharing=True,
                group_by=np.repeat(np.arange(len(pairs)), markets),
                call_seq="auto",
                freq="1d",
            )
            found += account.total_return().tolist()
    return found


def _vectorbt_on_change(given: _Pairs) -> list[float]:
    return _vectorbt_shared(given, False)


def _vectorbt_every_bar(given: _Pairs) -> list[float]:
    return _vectorbt_shared(given, True)


def _single() -> Panel:
    return random_walk(1, 50_000)


def _short() -> Panel:
    return random_walk(1, 500)


def _one(panel: Panel) -> list[float]:
    table = sweep(
        Crossing(),
        [{"fast": 10, "slow": 30}],
        panel,
        costs=Costs(_COSTS.fee_bps, 0.0),
        metrics=["total_return", "max_drawdown", "sharpe"],
        price="close",
        lag=0,
    )
    return list(table.row(0)[2:4])


def _in_turn(panel: Panel) -> list[float]:
    # A millisecond alone measures how a processor wakes up; so many fill a run long enough to be timed.
    return [_one(panel) for _ in range(_IN_TURN)][-1]


def _backtesting(panel: Panel) -> list[float]:
    import pandas as pd
    from backtesting import Backtest, Strategy
    from backtesting.lib import crossover

    def average(values: Any, window: int) -> Any:
        return pd.Series(values).rolling(window).mean()

    class Cross(Strategy):  # type: ignore[misc]
        def init(self) -> None:
            self.fast = self.I(average, self.data.Close, 10)
            self.slow = self.I(average, self.data.Close, 30)

        def next(self) -> None:
            if crossover(self.fast, self.slow):
                self.buy()
            elif crossover(self.slow, self.fast):
                self.position.close()

    # A large account, since backtesting.py trades whole units.
    close = panel["close"][:, 0]
    price = pd.DataFrame({name: close for name in ("Open", "High", "Low", "Close")})
    price.index = pd.DatetimeIndex(panel.ts)
    cash = _CAPITAL * float(close[0])
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        test = Backtest(price, Cross, cash=cash, commission=_COSTS.fee, trade_on_close=True)
        stats = test.run()
    return [stats["Return [%]"] / 100.0, stats["Max. Drawdown [%]"] / 100.0]


def _agree(ours: list[float], theirs: list[float]) -> None:
    np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-9)


def _nearly(ours: list[float], theirs: list[float]) -> None:
    # backtesting.py trades whole units.
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


_SIZE: Final = "990 pairs x 10 markets x 10,000 bars"
_OF_PAIRS: Final = (
    ("accounts alone", _alone, _vectorbt_alone),
    ("shared cash on change", _on_change, _vectorbt_on_change),
    ("shared cash every bar", _every_bar, _vectorbt_every_bar),
)
CASES = (
    *(
        Case(f"sweep {what}, {_SIZE}", "vectorbt", _given, ours, theirs, _agree, _small, most_runs=1)
        for what, ours, theirs in _OF_PAIRS
    ),
    Case(
        "one crossing of means, 50,000 bars",
        "backtesting.py",
        _single,
        _in_turn,
        _backtesting,
        _nearly,
        _short,
        most_runs=3,
        units=(_IN_TURN, 1),
    ),
)
