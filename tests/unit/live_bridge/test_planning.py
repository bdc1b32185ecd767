"""A plan of the bridge: how orders are split, and what instances without an opinion share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from lab.strategies import load_portfolio
from live_bridge.exchange import Candle
from live_bridge.recorded import RecordedMarket
from live_bridge.wishes import wishes_of
from tests.unit.live_bridge.conftest import DAY, START, tick

D = Decimal
MarketAt = Callable[..., RecordedMarket]
HALF_A_DAY = timedelta(hours=12)
BTC, ETH = "binance:BTC/USDT", "binance:ETH/USDT"


@pytest.fixture
def two(bridge: Path) -> Path:
    """The small portfolio, half of it decided on bars of 12 hours."""
    folder = bridge.parent
    quick = (folder / "trend.yaml").read_text().replace("strategy_id: trend", "strategy_id: quick")
    (folder / "quick.yaml").write_text(quick.replace("timeframe: 1d", "timeframe: 12h"))
    small = (folder / "small.yaml").read_text()
    one = "- {config: trend.yaml, allocation: 1.0}"
    assert one in small
    both = "- {config: trend.yaml, allocation: 0.5}\n  - {config: quick.yaml, allocation: 0.5}"
    (folder / "small.yaml").write_text(small.replace(one, both))
    return bridge


def rising(day: int, base: RecordedMarket) -> RecordedMarket:
    """Both markets rise without end; bars of 12 hours move 4 a bar of late, and 1,000 before that."""
    bars = {}
    for symbol in ("BTC/USDT", "ETH/USDT"):
        for name, step, count in (("1d", DAY, day), ("12h", HALF_A_DAY, 2 * day)):
            closes = [100.0 * 1.002 ** (i * step / DAY) for i in range(count)]
            recent = 10.0 if name == "1d" else 4.0
            bars[symbol, name] = [
                Candle(START + i * step, c, c * 1.001, c * 0.999, c, recent if i >= count - 20 else 1_000.0)
                for i, c in enumerate(closes)
            ]
    last = {symbol: D("148.00") for symbol in ("BTC/USDT", "ETH/USDT")}
    return replace(base, bars=bars, last=last)


def quantities(bridge: Path, market: RecordedMarket, orders: str) -> dict[str, list[Decimal]]:
    bridge.write_text(bridge.read_text() + f"orders: {{{orders}}}\n")
    found: dict[str, list[Decimal]] = {}
    for order in tick(bridge, market)["orders"]:
        found.setdefault(order["symbol"], []).append(D(str(order["quantity"])))
    return found


def test_orders_are_split_by_the_mean_volume_of_the_last_bars(bridge: Path, market_at: MarketAt) -> None:
    found = quantities(bridge, rising(200, market_at(200)), "max_slice_volume_pct: 0.5, max_slices: 3")
    # Half of 10 a bar.
    assert found == {"BTC/USDT": [D("5.000")] * 3, "ETH/USDT": [D("5.000")] * 3}


@pytest.mark.parametrize("finer_first", [False, True])
def test_of_two_timeframes_the_finer_one_says_what_a_market_bears(
    two: Path, market_at: MarketAt, finer_first: bool
) -> None:
    if finer_first:
        small = two.parent / "small.yaml"
        lines = small.read_text().splitlines()
        place = next(i for i, line in enumerate(lines) if "trend.yaml" in line)
        lines[place : place + 2] = reversed(lines[place : place + 2])
        small.write_text("\n".join(lines) + "\n")
    found = quantities(two, rising(200, market_at(200)), "max_slice_volume_pct: 0.5, max_slices: 3")
    # Half of 4 a bar, not of the 10 that a whole day has.
    assert found == {"BTC/USDT": [D("2.000")] * 3, "ETH/USDT": [D("2.000")] * 3}


def test_orders_are_split_by_notional_and_otherwise_left_whole(bridge: Path, market_at: MarketAt) -> None:
    market = rising(200, market_at(200))
    found = quantities(bridge, market, "max_slice_notional: 740, max_slices: 100")
    for parts in found.values():
        assert parts[:-1] == [D("5.000")] * (len(parts) - 1)
        assert D(0) < parts[-1] <= 5
    again = bridge.parent / "again"
    again.mkdir()
    for name in ("bridge", "small", "trend"):
        text = (bridge.parent / f"{name}.yaml").read_text()
        (again / f"{name}.yaml").write_text(text.partition("orders:")[0])
    whole = {
        order["symbol"]: D(str(order["quantity"])) for order in tick(again / "bridge.yaml", market)["orders"]
    }
    assert whole == {symbol: sum(parts) for symbol, parts in found.items()}


@pytest.mark.parametrize(("last", "shares"), [((0.2, 0.8), (0.2, 0.8)), (None, (0.5, 0.5))])
def test_shares_stay_where_they_were_when_an_instance_has_no_bars(
    two: Path, last: tuple[float, ...] | None, shares: tuple[float, ...]
) -> None:
    small = two.parent / "small.yaml"
    small.write_text(small.read_text() + "allocation: {method: adaptive, window_bars: 40}\n")
    portfolio = load_portfolio(small)
    decided = {"trend": {BTC: 0.5, ETH: 0.0}, "quick": {BTC: 0.0, ETH: 0.25}}
    wishes = wishes_of(portfolio, decided, {}, decided, START + 200 * DAY, last)
    assert wishes.shares == shares
    found = dict(zip(wishes.markets, wishes.weights, strict=True))
    assert found == pytest.approx({BTC: 0.5 * shares[0], ETH: 0.25 * shares[1]})
