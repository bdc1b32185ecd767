"""Signed endpoints about the account: balances, commission, permissions of the key, coins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from live_bridge.loopback.fills import fee_rate
from live_bridge.loopback.model import State
from live_bridge.loopback.money import ZERO, plain
from live_bridge.loopback.protocol import Call, Endpoint, listing_of

__all__ = ["ENDPOINTS"]

Answer = tuple[State, Any]


def _assets(call: Call) -> list[str]:
    return sorted({*call.venue.assets, *call.state.balances})


def _account(call: Call) -> Answer:
    maker, taker = (fee_rate(call.venue, is_maker=is_maker) for is_maker in (True, False))
    rights, hide_zero = call.state.permissions, call.parameters.optional("omitZeroBalances") == "true"
    balances = [
        {"asset": asset, "free": plain(balance.free), "locked": plain(balance.locked)}
        for asset in _assets(call)
        if (balance := call.state.balance(asset)).total or not hide_zero
    ]
    last_trade = call.state.trades[-1].time if call.state.trades else call.now
    body = {
        "makerCommission": int(maker * 10_000),
        "takerCommission": int(taker * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": plain(maker), "taker": plain(taker), "buyer": "0", "seller": "0"},
        "canTrade": rights.enable_spot_trading,
        "canWithdraw": rights.enable_withdrawals,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": last_trade,
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": 1,
    }
    return call.state, body


def _api_restrictions(call: Call) -> Answer:
    rights = call.state.permissions
    body = {
        "ipRestrict": rights.ip_restricted,
        "createTime": call.now if rights.created_ms is None else rights.created_ms,
        "enableReading": rights.enable_reading,
        "enableSpotAndMarginTrading": rights.enable_spot_trading,
        "enableWithdrawals": rights.enable_withdrawals,
        "enableInternalTransfer": False,
        "permitsUniversalTransfer": False,
        "enableMargin": False,
        "enableFutures": False,
        "enableVanillaOptions": False,
        "enablePortfolioMarginTrading": False,
    }
    return call.state, body


def _coins(call: Call) -> Answer:
    body = [
        {
            "coin": asset,
            "name": asset,
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "free": plain(call.state.balance(asset).free),
            "locked": plain(call.state.balance(asset).locked),
            "freeze": "0",
            "withdrawing": "0",
            "ipoing": "0",
            "ipoable": "0",
            "storage": "0",
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
        }
        for asset in _assets(call)
    ]
    return call.state, body


def _trade_fee(call: Call) -> Answer:
    names = [listing_of(call).symbol] if call.parameters.optional("symbol") else list(call.venue.listings)
    maker, taker = (plain(fee_rate(call.venue, is_maker=is_maker)) for is_maker in (True, False))
    return call.state, [
        {"symbol": name, "makerCommission": maker, "takerCommission": taker} for name in names
    ]


def _commission(call: Call) -> Answer:
    maker, taker = (plain(fee_rate(call.venue, is_maker=is_maker)) for is_maker in (True, False))
    body = {
        "symbol": listing_of(call).symbol,
        "standardCommission": {"maker": maker, "taker": taker, "buyer": "0", "seller": "0"},
        "taxCommission": {"maker": plain(ZERO), "taker": plain(ZERO), "buyer": "0", "seller": "0"},
        "discount": {"enabledForAccount": False, "enabledForSymbol": False},
    }
    return call.state, body


def _order_counts(call: Call) -> Answer:
    usage = call.state.usage
    counts = [("SECOND", 10, 100, usage.orders_ten_seconds), ("DAY", 1, 200_000, usage.orders_day)]
    return call.state, [
        {"rateLimitType": "ORDERS", "interval": unit, "intervalNum": number, "limit": limit, "count": count}
        for unit, number, limit, count in counts
    ]


def _system_status(call: Call) -> Answer:
    return call.state, {"status": 0, "msg": "normal"}


def _no_margin(call: Call) -> Answer:
    # A spot exchange: CCXT asks for margin pairs unless fetchMargins is off, and there are none.
    return call.state, []


ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("GET", "/api/v3/account"): Endpoint(_account, weight=20, security="signed"),
    ("GET", "/api/v3/account/commission"): Endpoint(_commission, weight=20, security="signed"),
    ("GET", "/api/v3/rateLimit/order"): Endpoint(_order_counts, weight=40, security="signed"),
    ("GET", "/sapi/v1/system/status"): Endpoint(_system_status),
    ("GET", "/sapi/v1/account/apiRestrictions"): Endpoint(_api_restrictions, security="signed"),
    ("GET", "/sapi/v1/capital/config/getall"): Endpoint(_coins, weight=10, security="signed"),
    ("GET", "/sapi/v1/asset/tradeFee"): Endpoint(_trade_fee, security="signed"),
    ("GET", "/sapi/v1/margin/allPairs"): Endpoint(_no_margin, security="key"),
    ("GET", "/sapi/v1/margin/isolated/allPairs"): Endpoint(_no_margin, security="signed"),
}
