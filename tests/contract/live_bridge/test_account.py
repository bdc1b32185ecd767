"""What every account must do: the simulated one, and CCXT's against the loopback exchange."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from lab.data import demo
from live_bridge.ccxt_account import connect_account
from live_bridge.clock import milliseconds
from live_bridge.config import ExchangeConfig
from live_bridge.exchange import Exchange, Order, OrderRefusedError, Rules, UnclearError
from live_bridge.keys import Keys
from live_bridge.orders import Costing
from live_bridge.paper import Ledger, PaperExchange
from live_bridge.recorded import RecordedMarket
from tests.oracle.bridge_harness import control, exchange_state
from tests.oracle.loopback_server import loopback

D = Decimal
NOW = datetime(2018, 6, 1, 0, 0, 1, tzinfo=UTC)
PRICE = D("7492.28")  # the open of Bitstamp's bar of that day
BUY = Order("core-0001-a", "BTC/USD", "buy", D("0.01"), PRICE)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("store")
    demo.install(root)
    options = ("--exchange", "bitstamp", "--at", NOW.isoformat(), "--balance", "USD=10000")
    with loopback(root, *options, "--taker-bps", "0", "--maker-bps", "0") as address:
        yield address


class AccountContract:
    """Each subclass provides `account`, with 10,000 USD and no fee or slippage to speak of."""

    @pytest.fixture
    def account(self) -> Exchange:
        raise NotImplementedError

    def sent(self, account: Exchange) -> int:
        return milliseconds(account.now())

    def test_it_is_an_exchange_with_an_account(self, account: Exchange) -> None:
        assert isinstance(account, Exchange)
        assert account.balances().total["USD"] == 10_000
        rights = account.rights()
        assert (rights.withdraw, rights.trade) == (False, True)
        assert rights.created_ms is None or 0 <= milliseconds(account.now()) - rights.created_ms < 60_000

    def test_an_order_is_found_by_its_client_id_its_number_and_its_time(self, account: Exchange) -> None:
        at = self.sent(account)
        report = account.submit(BUY, sent_ms=at)
        assert (report.client_id, report.status, report.terminal) == (BUY.id, "closed", True)
        assert report.quantity == report.filled == D("0.01")
        assert account.order("BTC/USD", BUY.id) == report
        assert account.order_by_number("BTC/USD", report.id) == report
        assert [one.client_id for one in account.orders("BTC/USD", since_ms=at - 1)] == [BUY.id]
        assert account.orders("BTC/USD", since_ms=at + 86_000_000) == ()
        assert account.open_orders("BTC/USD") == ()

    def test_what_was_never_sent_is_not_found(self, account: Exchange) -> None:
        assert account.order("BTC/USD", "core-0001-x") is None
        assert account.order_by_number("BTC/USD", "4711") is None
        account.cancel("BTC/USD", "core-0001-x")

    def test_trades_add_up_to_the_order_and_move_the_balances(self, account: Exchange) -> None:
        report = account.submit(BUY, sent_ms=self.sent(account))
        account.submit(
            replace(BUY, id="core-0001-b", side="sell", quantity=D("0.004")), sent_ms=self.sent(account)
        )
        own = account.trades("BTC/USD", order_id=report.id)
        assert sum((trade.quantity for trade in own), D(0)) == report.filled
        assert all(trade.cost == trade.quantity * trade.price for trade in own)
        every = account.trades("BTC/USD", since_ms=self.sent(account) - 60_000)
        assert [trade.side for trade in every] == ["buy", "sell"]
        assert account.trades("BTC/USD", after=own[-1].id) == every[1:]
        spent = sum((trade.cost if trade.side == "buy" else -trade.cost for trade in every), D(0))
        assert account.balances().total["USD"] == D(10_000) - spent
        assert account.balances().total["BTC"] == D("0.006")

    def test_what_the_account_cannot_pay_or_deliver_is_refused_for_good(self, account: Exchange) -> None:
        for order in (replace(BUY, quantity=D(100)), replace(BUY, side="sell", quantity=D(1))):
            with pytest.raises(OrderRefusedError) as caught:
                account.submit(order, sent_ms=self.sent(account))
            assert caught.value.kind == "skip"
        assert account.order("BTC/USD", BUY.id) is None


class TestPaper(AccountContract):
    @pytest.fixture
    def account(self) -> Exchange:
        rules = {"BTC/USD": Rules("BTC/USD", "BTC", "USD")}
        market = RecordedMarket(NOW, rules, {}, {"BTC/USD": PRICE})
        return PaperExchange(market, Ledger({"USD": D(10_000)}), Costing(D(0), D(0)))


class TestCcxt(AccountContract):
    @pytest.fixture
    def account(self, url: str) -> Exchange:
        control(url, "reset")
        config = ExchangeConfig(base_url=url)
        made = connect_account(config, Keys("loopback-key", "loopback-secret"), recv_window_ms=5_000)
        made._client.enableRateLimit = False
        made.now()
        made.rules(["BTC/USD"])
        return made

    def test_a_limit_order_rests_until_it_is_cancelled(self, account: Exchange) -> None:
        order = replace(BUY, kind="limit", limit=D("5000.5"))
        report = account.submit(order, sent_ms=self.sent(account))
        assert (report.status, report.filled) == ("open", 0)
        assert [one.client_id for one in account.open_orders("BTC/USD")] == [BUY.id]
        held = account.balances()
        assert held.total["USD"] - held.free["USD"] == D("50.005")
        account.cancel("BTC/USD", BUY.id)
        found = account.order("BTC/USD", BUY.id)
        assert found is not None
        assert found.status == "canceled"
        account.cancel("BTC/USD", BUY.id)

    @pytest.mark.parametrize(
        "fault",
        [
            {"kind": "drop"},
            {"kind": "empty"},
            {"kind": "garbage"},
            {"kind": "cut"},
            {"kind": "truncated"},
            {"kind": "body", "body": "{}"},
            {"kind": "status", "status": 503},
            {"kind": "status", "status": 400, "code": -1007, "message": "Timeout waiting for response."},
            {"kind": "status", "status": 400, "code": -2010, "message": "Duplicate order sent."},
        ],
        ids=lambda fault: "-".join(str(value) for value in fault.values())[:30],
    )
    def test_an_unclear_answer_is_never_taken_for_a_refusal(
        self, account: Exchange, url: str, fault: dict[str, object]
    ) -> None:
        control(url, "fault", faults=[{**fault, "when": "after", "method": "POST", "path": "/api/v3/order"}])
        try:
            with pytest.raises(UnclearError):
                account.submit(BUY, sent_ms=self.sent(account))
        finally:
            control(url, "fault", clear=True)
        assert account.order("BTC/USD", BUY.id) is not None

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            ({"status": 429}, "wait"),
            ({"status": 418}, "wait"),
            ({"status": 400, "code": -1021, "message": "Timestamp outside"}, "retry"),
            ({"status": 400, "code": -1013, "message": "Filter failure: LOT_SIZE"}, "skip"),
            ({"status": 400, "code": -1013, "message": "Market is closed."}, "skip"),
            ({"status": 401, "code": -1022, "message": "Signature not valid."}, "halt"),
        ],
    )
    def test_a_definite_answer_says_what_to_do(
        self, account: Exchange, url: str, fault: dict[str, object], kind: str
    ) -> None:
        control(url, "fault", faults=[{"kind": "status", "method": "POST", "path": "/api/v3/order", **fault}])
        try:
            with pytest.raises(OrderRefusedError) as caught:
                account.submit(BUY, sent_ms=self.sent(account))
        finally:
            control(url, "fault", clear=True)
        assert caught.value.kind == kind
        assert "signature" not in str(caught.value)

    def test_a_request_is_signed_with_the_time_of_its_intent(self, account: Exchange, url: str) -> None:
        at = self.sent(account)
        account.submit(BUY, sent_ms=at)
        (post,) = [entry for entry in exchange_state(url)["log"] if entry["method"] == "POST"]
        assert post["parameters"]["timestamp"] == str(at)
        with pytest.raises(OrderRefusedError, match="-1021"):
            account.submit(replace(BUY, id="core-0001-late"), sent_ms=at - 6_000)
