"""What every source of market data must do: from memory, through CCXT, and under the paper account."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import pytest

from lab.core.errors import ConfigError, VenueError
from lab.core.timeframe import Timeframe
from lab.data.catalog import Catalog
from live_bridge.ccxt_exchange import connect
from live_bridge.config import ExchangeConfig
from live_bridge.exchange import Candle, Exchange, MarketData, Order, Rules
from live_bridge.orders import Costing
from live_bridge.paper import Ledger, PaperExchange
from live_bridge.recorded import RecordedMarket
from tests.oracle.loopback_server import control, loopback

DAY = Timeframe.parse("1d")
START = datetime(2020, 1, 1, tzinfo=UTC)
BARS = 1_500
NOW = START + timedelta(days=BARS, seconds=90)
SYMBOLS = ("BTC/USDT", "ETH/USDT")


def price(day: int) -> float:
    return round(100.0 + day * 0.37 + (day % 11) * 0.113, 3)


def frame() -> pl.DataFrame:
    rows = [
        (START + timedelta(days=day), f"binance:{symbol}", p, p + 1.25, p - 1.0, p + 0.5, 3.0 + day)
        for symbol, scale in zip(SYMBOLS, (1.0, 2.0), strict=True)
        for day in range(BARS + 1)
        if (p := price(day) * scale) and day != 700  # a hole
    ]
    columns = ["ts", "market", "open", "high", "low", "close", "volume"]
    return pl.DataFrame(rows, schema=columns, orient="row").with_columns(
        pl.col("ts").cast(pl.Datetime("us", "UTC"))
    )


def expected(symbol: str) -> tuple[Candle, ...]:
    rows = frame().filter(pl.col("market") == f"binance:{symbol}").drop("market").rows()
    return tuple(Candle(*row) for row in rows if row[0] < START + timedelta(days=BARS))


@pytest.fixture(scope="session")
def exchange_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("exchange")
    Catalog(root).append(frame(), timeframe="1d", known_at=NOW)
    with loopback(root, "--at", NOW.isoformat()) as url:
        yield url


class MarketDataContract:
    """Each subclass provides `market`."""

    @pytest.fixture
    def market(self) -> MarketData:
        raise NotImplementedError

    def test_it_is_market_data(self, market: MarketData) -> None:
        assert isinstance(market, MarketData)

    def test_time_is_the_exchanges_and_aware(self, market: MarketData) -> None:
        assert market.now() == NOW
        assert market.now().tzinfo is not None

    def test_bars_are_exact_ascending_and_within_the_range(self, market: MarketData) -> None:
        end = START + timedelta(days=BARS)
        for symbol in SYMBOLS:
            assert (
                market.candles(symbol, DAY, start=end - timedelta(days=30), end=end) == expected(symbol)[-30:]
            )

    def test_more_bars_than_a_page_holds(self, market: MarketData) -> None:
        market.rules(SYMBOLS)
        found = market.candles("BTC/USDT", DAY, start=START, end=START + timedelta(days=BARS))
        assert len(found) == BARS - 1
        assert found == expected("BTC/USDT")

    def test_the_range_is_half_open_so_the_running_bar_can_be_left_out(self, market: MarketData) -> None:
        last = START + timedelta(days=BARS - 1)
        assert [c.ts for c in market.candles("BTC/USDT", DAY, start=last, end=last + DAY.duration)] == [last]
        assert market.candles("BTC/USDT", DAY, start=last, end=last) == ()

    def test_missing_bars_are_missing_and_so_are_those_before_the_listing(self, market: MarketData) -> None:
        hole = START + timedelta(days=700)
        around = market.candles("BTC/USDT", DAY, start=hole - DAY.duration, end=hole + 2 * DAY.duration)
        assert [candle.ts for candle in around] == [hole - DAY.duration, hole + DAY.duration]
        early = market.candles("BTC/USDT", DAY, start=START - 5 * DAY.duration, end=START + DAY.duration)
        assert [candle.ts for candle in early] == [START]

    def test_rules_are_exact_decimals(self, market: MarketData) -> None:
        found = market.rules(SYMBOLS)
        assert set(found) == set(SYMBOLS)
        rule = found["ETH/USDT"]
        assert (rule.symbol, rule.base, rule.quote, rule.active) == ("ETH/USDT", "ETH", "USDT", True)
        assert rule.step == Decimal("0.0001")
        assert rule.tick == Decimal("0.0001")
        assert rule.min_notional == Decimal(10)

    def test_an_unlisted_symbol_is_named(self, market: MarketData) -> None:
        with pytest.raises(ConfigError, match="does not list DOGE/USDT"):
            market.rules(["BTC/USDT", "DOGE/USDT"])

    def test_the_price_is_the_running_bars_open(self, market: MarketData) -> None:
        assert market.prices(SYMBOLS) == {
            "BTC/USDT": Decimal(str(price(BARS))),
            "ETH/USDT": Decimal(str(price(BARS) * 2.0)),
        }


class TestRecorded(MarketDataContract):
    @pytest.fixture
    def market(self) -> MarketData:
        rules = {
            symbol: Rules(
                symbol,
                symbol[:3],
                "USDT",
                step=Decimal("0.0001"),
                tick=Decimal("0.0001"),
                min_notional=Decimal(10),
            )
            for symbol in SYMBOLS
        }
        series = {(symbol, "1d"): expected(symbol) for symbol in SYMBOLS}
        last = {"BTC/USDT": Decimal(str(price(BARS))), "ETH/USDT": Decimal(str(price(BARS) * 2.0))}
        return RecordedMarket(NOW, rules, series, last)


@pytest.mark.integration
class TestCcxt(MarketDataContract):
    @pytest.fixture
    def market(self, exchange_url: str) -> MarketData:
        return connect(ExchangeConfig(base_url=exchange_url))

    def test_an_exchange_that_is_gone_is_a_venue_error(self) -> None:
        gone = connect(ExchangeConfig(base_url="http://127.0.0.1:9"))
        with pytest.raises(
            VenueError, match=r"binance: cannot be reached, no server time .*base_url"
        ) as caught:
            gone.now()
        assert caught.value.exit_code == 4

    def test_plain_http_to_another_machine_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="plain http to another machine"):
            connect(ExchangeConfig(base_url="http://example.org"))

    def test_another_exchange_cannot_be_redirected(self) -> None:
        with pytest.raises(ConfigError, match="only binance can be pointed"):
            connect(ExchangeConfig(id="kraken", base_url="http://127.0.0.1:9"))

    def test_a_timeframe_the_exchange_does_not_offer_is_named(self, market: MarketData) -> None:
        with pytest.raises(ConfigError, match=r"timeframe 7m is not offered; it has 1s, 1m"):
            market.candles("BTC/USDT", Timeframe.parse("7m"), start=START, end=NOW)

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "garbage"},
            {"kind": "empty"},
            {"kind": "truncated"},
            {"kind": "reset"},
            {"kind": "status", "status": 503},
            {"kind": "status", "status": 429},
            {"kind": "status", "status": 418},
            {"kind": "body", "body": '{"code": -1, "msg": "?"}', "status": 200},
            {"kind": "body", "body": "[[1]]", "status": 200},
            {"kind": "body", "body": '"no"', "status": 200},
        ],
        ids=str,
    )
    def test_nonsense_is_a_venue_error(
        self, exchange_url: str, market: MarketData, fault: dict[str, object]
    ) -> None:
        market.rules(SYMBOLS)
        control(exchange_url, "fault", faults=[{**fault, "path": "/api/v3/klines"}])
        try:
            with pytest.raises(VenueError, match="bars of BTC/USDT"):
                market.candles("BTC/USDT", DAY, start=NOW - timedelta(days=3), end=NOW)
        finally:
            control(exchange_url, "fault", clear=True)


class TestPaper(TestRecorded):
    """The paper account passes market data through, and holds an account besides."""

    @pytest.fixture
    def market(self, request: pytest.FixtureRequest) -> MarketData:
        recorded = TestRecorded.market.__wrapped__(self)  # type: ignore[attr-defined]
        costs = Costing(fee=Decimal("0.001"), slippage=Decimal("0.01"))
        return PaperExchange(recorded, Ledger({"USDT": Decimal(1000)}), costs)

    def test_a_fill_is_booked_to_the_last_digit_and_only_once(self, market: Exchange) -> None:
        assert isinstance(market, Exchange)
        order = Order("id-1", "BTC/USDT", "buy", Decimal("1.5"), Decimal(100))
        report = market.submit(order, sent_ms=1)
        (trade,) = market.trades("BTC/USDT", order_id=report.id)
        # 1.5 x 101 = 151.5, fee 0.1515
        assert (trade.price, trade.fee, trade.fee_asset) == (Decimal("101.00"), Decimal("0.1515000"), "USDT")
        assert market.balances().total == {"BTC": Decimal("1.5"), "USDT": Decimal("848.3485")}
        assert market.submit(order, sent_ms=2) == report
        assert market.balances().total["BTC"] == Decimal("1.5")

    def test_what_the_account_does_not_hold_cannot_be_spent(self, market: Exchange) -> None:
        with pytest.raises(VenueError, match="needs more BTC than the 0 held"):
            market.submit(Order("id-2", "BTC/USDT", "sell", Decimal(1), Decimal(100)), sent_ms=1)
        with pytest.raises(VenueError, match="needs more USDT than the 1000 held"):
            market.submit(Order("id-3", "BTC/USDT", "buy", Decimal(10), Decimal(100)), sent_ms=1)
        assert market.balances().total == {"USDT": Decimal(1000)}

    def test_selling_all_leaves_no_empty_balance(self, market: Exchange) -> None:
        market.submit(Order("id-4", "ETH/USDT", "buy", Decimal(1), Decimal(10)), sent_ms=1)
        market.submit(Order("id-5", "ETH/USDT", "sell", Decimal(1), Decimal(10)), sent_ms=1)
        assert set(market.balances().total) == {"USDT"}
