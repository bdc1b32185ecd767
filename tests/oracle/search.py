"""Slow twins of lab.search, and the small worlds its tests run in."""

from __future__ import annotations

import hashlib
import json
import math

import numpy as np
import polars as pl

from lab.backtest import run_backtest
from lab.core.panel import Panel
from lab.search.sketches import SKETCH_SIZE
from lab.search.trials import DataIdentity, TrialBatch, parameter_hash
from lab.strategies import decide, load

IDENTITY = DataIdentity.of(["synthetic:AAA/USDT"], "1d")


def batch(names, sharpes, *, family="time_series_momentum", identity=IDENTITY, window=0, **other):
    """A batch of trials with given Sharpe ratios."""
    return TrialBatch(
        family=family,
        version=other.get("version", "1.0.0"),
        identity=identity,
        content_hash=other.get("content_hash", "c" * 64),
        window=(f"2020-01-{window + 1:02d}", f"2021-01-{window + 1:02d}"),
        n_observations=other.get("n_observations", 100),
        cost_hash=other.get("cost_hash", "costs"),
        risk_hash=other.get("risk_hash", "risk"),
        parameter_hashes=tuple(parameter_hash({"name": name}) for name in names),
        sharpes=np.array(sharpes, dtype=np.float64),
        sketches=np.zeros((len(names), SKETCH_SIZE), dtype=np.float16),
    )


def chain_is_sound(path):
    """Whether every line's hash is that of the line before and its own object, read as JSON."""
    previous = hashlib.sha256(b"mnemo trial ledger 1").hexdigest()
    for line in path.read_text().splitlines():
        document = json.loads(line)
        claimed = document.pop("hash")
        text = json.dumps(document, separators=(",", ":"))
        if hashlib.sha256((previous + text).encode()).hexdigest() != claimed:
            return False
        previous = claimed
    return True


def distinct_trials(batches):
    """Distinct trials and the sample variance of their t statistics, one by one."""
    seen = {}
    for one in batches:
        for name, sharpe in zip(one.parameter_hashes, one.sharpes, strict=True):
            key = (one.version, name, one.cost_hash, one.risk_hash, one.window, float(f"{sharpe:.8e}"))
            seen.setdefault(key, sharpe * math.sqrt(one.n_observations))
    values = list(seen.values())
    if len(values) < 2:
        return len(values), 0.0
    mean = math.fsum(values) / len(values)
    return len(values), math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def world(seed, *, bars=420, markets=("synthetic:AAA/USDT", "synthetic:BBB/USDT"), drift=0.001):
    """A panel of random walks on daily bars, with a few bars missing."""
    rng = np.random.default_rng(seed)
    frames = []
    for market in markets:
        close = 100 * np.exp(np.cumsum(rng.normal(drift, 0.03, size=bars)))
        open_ = np.concatenate([[100.0], close[:-1]]) * np.exp(rng.normal(0, 0.002, size=bars))
        frame = pl.DataFrame(
            {
                "ts": np.datetime64("2020-01-01", "us") + np.arange(bars) * np.timedelta64(1, "D"),
                "market": market,
                "open": open_,
                "high": np.maximum(open_, close) * 1.01,
                "low": np.minimum(open_, close) * 0.99,
                "close": close,
                "volume": 1.0,
            }
        ).with_columns(pl.col("ts").dt.cast_time_unit("us").dt.replace_time_zone("UTC"))
        frames.append(frame.with_row_index().filter(pl.col("index") % 97 != 50).drop("index"))
    return Panel.from_frame(pl.concat(frames).sort("ts", "market"), timeframe="1d")


INSTANCE = """
family: time_series_momentum
strategy_id: walked
version: 1.0.0
timeframe: 1d
markets:
  - {exchange: synthetic, symbol: BBB/USDT}
  - {exchange: synthetic, symbol: AAA/USDT}
parameters: {lookback_window: 60, vol_window: 20}
risk: {max_position_pct: 0.6, rebalance_band_pct: 0.02}
costs: {fee_bps: 10, slippage_bps: 5}
search: {trials: 10, sampler: SAMPLER, train_bars: 80, test_bars: 30, purged_bars: 2, embargo_bars: 6}
"""


def instance_of(folder, sampler="random"):
    """An instance file on the small world, loaded."""
    path = folder / f"{sampler}.yaml"
    path.write_text(INSTANCE.replace("SAMPLER", sampler))
    return load(path)


def window_returns(instance, panel, parameters, first, last):
    """Returns of bars `first` to `last` from cash: one backtest of long frames, no window, cache or batch."""
    chosen = instance.with_params(parameters)
    seen = panel.select(instance.markets).rows(0, last + 1)
    weights = decide(chosen.strategy, seen, chosen.params)
    inside = seen.rows(first, last + 1)
    columns = [inside.to_frame(inside[name], name) for name in ("open", "high", "low", "close", "volume")]
    bars = pl.concat([columns[0], *(column.select(pl.last()) for column in columns[1:])], how="horizontal")
    frame = inside.to_frame(weights[first:], "weight")
    result = run_backtest(
        bars, frame, costs=chosen.costs, risk=chosen.risk, engine="fused", timeframe=inside.timeframe
    )
    return result.returns["return"].to_numpy(), weights[first:]


def annual_sharpe(returns):
    """Annualised Sharpe ratio of daily returns; 0 for a series that never moves."""
    deviation = np.std(returns, ddof=1)
    return 0.0 if deviation == 0 else float(np.mean(returns) / deviation * math.sqrt(365))
