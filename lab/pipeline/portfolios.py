"""Backtest of a portfolio: its instances decide together, on one account, with the portfolio's limits."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from lab.backtest import BacktestResult, run_backtest
from lab.core.errors import UnknownMarketError
from lab.core.hashing import digest
from lab.core.panel import Panel
from lab.data.catalog import Catalog
from lab.data.checking import content_hash
from lab.data.panels import panel_from_bars, received_bars
from lab.pipeline.benchmark import buy_and_hold
from lab.pipeline.inputs import Inputs, load_inputs
from lab.pipeline.records import fingerprint, numbers
from lab.pipeline.runs import BacktestRun
from lab.search import DataIdentity, Judgement, Ledger, TrialBatch, panel_hash, parameter_hash, sketch
from lab.strategies import Portfolio, PortfolioWeights, load_portfolio
from lab.tracking import DataInput, Provenance, RunRecord, Tracker, code_version
from lab.validation.overfitting import sharpe_statistics

__all__ = ["PortfolioInputs", "backtest_portfolio", "load_portfolio_inputs"]

_VERSION = "1.0.0"


@dataclass(frozen=True, slots=True, eq=False)
class PortfolioInputs:
    """What a portfolio's backtest reads.

    Attributes
    ----------
    portfolio : Portfolio
    instances : tuple of Inputs, each on its own timeframe
    panel : Panel of all markets on the finest timeframe, on which the portfolio trades
    marked : polars.DataFrame, the same bars with quality marks
    data_hash : str, SHA-256 over everything read
    """

    portfolio: Portfolio
    instances: tuple[Inputs, ...]
    panel: Panel
    marked: pl.DataFrame
    data_hash: str

    def decide(self) -> PortfolioWeights:
        """Return :meth:`lab.strategies.Portfolio.decide` on these bars."""
        return self.portfolio.decide([inputs.panel for inputs in self.instances])

    def targets(self, decided: PortfolioWeights) -> NDArray[np.float64]:
        """Return the decided weights on the rows of :attr:`panel`; NaN where nothing was decided."""
        weights = np.full(self.panel.shape, np.nan)
        offset = int(decided.bar[0] - self.panel.bar[0])
        rows = np.arange(len(decided.bar)) + offset
        there = (rows >= 0) & (rows < len(weights))
        weights[rows[there]] = decided.weights[there]
        return weights


def load_portfolio_inputs(
    config: Portfolio | Path | str,
    *,
    root: Path,
    start: datetime | None = None,
    end: datetime | None = None,
) -> PortfolioInputs:
    """Load a portfolio, and for each instance its markets' bars with ``start <= ts < end``.

    Raises
    ------
    ConfigError, DataError
        As :func:`~lab.pipeline.inputs.load_inputs` for each instance.
    UnknownMarketError
        If a market has no bars of the finest timeframe, on which the portfolio trades.
    """
    portfolio = config if isinstance(config, Portfolio) else load_portfolio(config)
    instances = tuple(load_inputs(one, root=root, start=start, end=end) for one in portfolio.instances)
    grid, catalog = portfolio.timeframe, Catalog(root)
    try:
        marked = catalog.bars(portfolio.markets, grid, start, end)
    except UnknownMarketError as error:
        raise UnknownMarketError(
            f"portfolio {portfolio.portfolio_id} trades on {grid} bars, its finest timeframe: {error}"
        ) from None
    panel = panel_from_bars(marked, timeframe=grid, markets=portfolio.markets, settings=catalog.settings)
    data_hash = digest([content_hash(marked), *(inputs.data_hash for inputs in instances)])
    return PortfolioInputs(portfolio, instances, panel, marked, data_hash)


def backtest_portfolio(
    config: Portfolio | Path | str,
    *,
    root: Path,
    seed: int = 0,
    start: datetime | None = None,
    end: datetime | None = None,
) -> BacktestRun:
    """Backtest a portfolio in both engines, count the trial and log the run.

    The account starts with the portfolio's capital and pays its costs; its ``risk`` section acts in
    :func:`lab.risk.step`. Trials are counted under the family ``portfolio``.

    Parameters
    ----------
    config : Portfolio or path
        The portfolio, or its file.
    root, seed, start, end
        See :func:`lab.pipeline.backtest`.

    Raises
    ------
    ConfigError, DataError, WeightError
        As :func:`load_portfolio_inputs` and :meth:`lab.strategies.Portfolio.decide`.
    """
    began = datetime.now(UTC)
    inputs = load_portfolio_inputs(config, root=root, start=start, end=end)
    portfolio, panel = inputs.portfolio, inputs.panel
    decided = inputs.decide()
    weights = inputs.targets(decided)
    cash = portfolio.capital
    result = run_backtest(
        panel, weights, costs=portfolio.costs, risk=portfolio.risk, cash=cash, engine="both"
    )
    benchmark = buy_and_hold(panel, portfolio.costs)
    judgement, deflated = _judged(inputs, result, root)
    tables = _tables(inputs, decided, result, benchmark, weights)
    judged = {
        "deflated_sharpe": deflated,
        "n_trials": judgement.n_trials,
        "fingerprint": fingerprint(tables, result.metrics),
    }
    kept = {"kind": "backtest", "seed": seed, "ledger_head": judgement.head, **judged}
    record = RunRecord(
        name=portfolio.portfolio_id,
        kind="backtest",
        started=began,
        ended=datetime.now(UTC),
        provenance=_provenance(inputs, seed, result, judgement.head),
        config=portfolio.source.read_text(encoding="utf-8"),
        params=_shares(portfolio),
        metrics={**numbers(result.metrics), "deflated_sharpe": deflated, "n_trials": judgement.n_trials},
        result=_document(inputs, result, benchmark, kept),
        tables=tables,
    )
    run_id = Tracker(root).log(record)
    printed = _printed(inputs, decided, result, {"run_id": run_id, **judged})
    return BacktestRun(run_id, result, deflated, judgement.n_trials, printed)


def _printed(
    inputs: PortfolioInputs, decided: PortfolioWeights, result: BacktestResult, judged: dict[str, Any]
) -> dict[str, Any]:
    """Return what ``mnemo backtest PORTFOLIO --json`` prints."""
    return {
        **judged,
        "n_trials_ledger": judged["n_trials"],
        "metrics": dict(result.metrics),
        "engine_difference": result.engine_difference,
        "data_hash": inputs.data_hash,
        "config_hash": inputs.portfolio.config_hash,
        "reallocations": decided.reallocations["ts"].n_unique(),
        "status": result.status,
        "warnings": list(result.warnings),
    }


def _shares(portfolio: Portfolio) -> dict[str, float]:
    return {
        f"allocation.{one.strategy_id}": share
        for one, share in zip(portfolio.instances, portfolio.shares, strict=True)
    }


def _judged(inputs: PortfolioInputs, result: BacktestResult, root: Path) -> tuple[Judgement, float]:
    """Count this evaluation in the ledger and deflate its Sharpe ratio by all of them."""
    portfolio, panel = inputs.portfolio, inputs.panel
    returns = result.bars.returns
    statistics = sharpe_statistics(returns)
    costs = portfolio.costs
    trial = TrialBatch(
        family="portfolio",
        version=_VERSION,
        identity=DataIdentity.of(portfolio.markets, portfolio.timeframe),
        content_hash=panel_hash(panel),
        window=(str(panel.ts[0]), str(panel.ts[-1])),
        n_observations=len(returns),
        cost_hash=parameter_hash({"fee": costs.fee, "slippage": costs.slippage}),
        risk_hash=parameter_hash(portfolio.risk.model_dump(mode="json")),
        parameter_hashes=(parameter_hash({"config_hash": portfolio.config_hash}),),
        sharpes=np.array([statistics.sharpe]),
        sketches=sketch(returns[None, :], panel.bar),
    )
    (ledger := Ledger(root)).append(trial)
    judgement = ledger.judge(trial.family, trial.identity)
    return judgement, judgement.deflated(statistics)


def _tables(
    inputs: PortfolioInputs,
    decided: PortfolioWeights,
    result: BacktestResult,
    benchmark: BacktestResult,
    weights: NDArray[np.float64],
) -> dict[str, pl.DataFrame]:
    first = result.returns["ts"][0]
    scale = inputs.portfolio.capital / benchmark.cash
    instances = [one.strategy_id for one in inputs.portfolio.instances]
    shares = pl.DataFrame(decided.shares, schema=instances, orient="row")
    ts = pl.Series("ts", decided.ts).dt.replace_time_zone("UTC")
    return {
        "equity": result.equity,
        "returns": result.returns,
        "benchmark": benchmark.equity.with_columns(pl.col("equity") * scale),
        "weights": inputs.panel.to_frame(weights, "weight"),
        "shares": shares.insert_column(0, ts),
        "reallocations": decided.reallocations,
        "positions": result.positions,
        "orders": result.orders,
        "trades": result.trades,
        "risk_events": result.risk_events,
        "dropped": result.dropped,
        "bars": received_bars(inputs.marked).filter(pl.col("ts") >= first),
    }


def _provenance(inputs: PortfolioInputs, seed: int, result: BacktestResult, head: str) -> Provenance:
    portfolio, panel = inputs.portfolio, inputs.panel
    features = {
        feature.key: feature.digest
        for one in portfolio.instances
        for feature in one.strategy.features(one.params)
    }
    return Provenance(
        code=code_version(),
        strategy_id=portfolio.portfolio_id,
        family="portfolio",
        strategy_version=_VERSION,
        config_hash=portfolio.config_hash,
        config_version=_VERSION,
        data=DataInput(
            name=f"{portfolio.markets[0].split(':')[0]} {portfolio.timeframe}",
            content_hash=inputs.data_hash,
            description={
                "markets": ", ".join(portfolio.markets),
                "timeframe": str(portfolio.timeframe),
                "first": f"{panel.ts[0]}Z",
                "last": f"{panel.ts[-1]}Z",
                "bars": inputs.marked.height,
            },
        ),
        feature_hashes=features,
        seed=seed,
        engine_difference=np.inf if result.engine_difference is None else result.engine_difference,
        ledger_head=head,
    )


def _document(
    inputs: PortfolioInputs, result: BacktestResult, benchmark: BacktestResult, judged: dict[str, Any]
) -> dict[str, Any]:
    """Return the result document, with the keys of an instance's."""
    portfolio, panel, returns = inputs.portfolio, inputs.panel, result.returns
    return {
        "strategy_id": portfolio.portfolio_id,
        "family": "portfolio",
        "strategy_version": _VERSION,
        "config_version": _VERSION,
        "config_hash": portfolio.config_hash,
        "description": portfolio.config.description,
        "hypothesis": "",
        "instances": [one.strategy_id for one in portfolio.instances],
        "markets": list(portfolio.markets),
        "timeframe": str(portfolio.timeframe),
        "periods_per_year": portfolio.timeframe.periods_per_year,
        "data_hash": inputs.data_hash,
        "data_first": f"{panel.ts[0]}Z",
        "data_last": f"{panel.ts[-1]}Z",
        "first_bar": returns["ts"][0].isoformat(),
        "last_bar": returns["ts"][-1].isoformat(),
        "parameters": _shares(portfolio),
        "costs": dataclasses.asdict(portfolio.costs),
        "risk": portfolio.risk.model_dump(mode="json"),
        "cash": result.cash,
        "metrics": dict(result.metrics),
        "benchmark": {"name": "buy and hold, equal parts", "metrics": dict(benchmark.metrics)},
        "engine_difference": result.engine_difference,
        "risk_difference": result.risk_difference,
        "status": result.status,
        "warnings": list(result.warnings),
        **judged,
    }
