"""What a run or a command works with: portfolio, exchange, time, journal and desk, made ready in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from lab.core.errors import ConfigError
from lab.strategies import Portfolio, load_portfolio
from live_bridge.backup import write_witness
from live_bridge.book import Book
from live_bridge.clock import ExchangeClock, check_plausible
from live_bridge.config import LoadedConfig
from live_bridge.desk import LiveDesk, PaperDesk
from live_bridge.exchange import Exchange, MarketData
from live_bridge.journal import Journal
from live_bridge.live_locks import at_stage, check_host, check_rights, require_live
from live_bridge.opening import note_configuration, note_restored, opened_state, require_journal, set_mode
from live_bridge.order_ids import own_prefix
from live_bridge.orders import Costing
from live_bridge.reconciling import Reconciler
from live_bridge.sending import Sender
from live_bridge.switches import require_discovery

__all__ = ["Connect", "Session", "through_ccxt"]

Connect = Callable[[LoadedConfig], MarketData]


class Session:
    """One run over a journal that is held under the lock.

    Parameters
    ----------
    loaded : LoadedConfig
    root : pathlib.Path
    connect : callable or None
        Makes the exchange; None: through CCXT.
    live, new_account : bool
        What the command line said.
    environment : mapping of str to str
    local_now : callable
        This machine's time.
    pause : callable
        Waits for some seconds.

    Attributes
    ----------
    portfolio : Portfolio
        In a live bridge: of the instances at stage live.
    market : MarketData
        The exchange.
    beside : Portfolio or None
        In a live bridge: the instances at stage paper, which are simulated.
    now : datetime
        Its time, asked once.
    reasons : list of str
        What making ready has to tell.

    Raises
    ------
    ConfigError
        If a lock is closed, or the exchange cannot be built.
    VenueError
        If the exchange does not tell its time or the rights of the key.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        *,
        root: Path,
        connect: Connect | None,
        live: bool,
        new_account: bool,
        environment: Mapping[str, str],
        local_now: Callable[[], datetime],
        pause: Callable[[float], None],
    ) -> None:
        self.loaded, self.root = loaded, root
        self.reasons: list[str] = []
        whole = _checked_portfolio(loaded)
        require_live(loaded, whole, live=live, environment=environment)
        require_journal(loaded, new_account=new_account)
        self.is_live = loaded.settings.mode == "live"
        self.portfolio = (at_stage(whole, "live") or whole) if self.is_live else whole
        self.beside = at_stage(whole, "paper") if self.is_live else None
        if connect is not None:
            self.market = connect(loaded)
        elif self.is_live:
            self.market = _account_through_ccxt(loaded, environment)
        else:
            self.market = through_ccxt(loaded)
        self.now = self.market.now()
        check_plausible(self.now, local_now())
        if self.is_live:
            self.reasons += check_rights(
                self.account.rights(), now=self.now, max_age_days=loaded.settings.key_max_age_days
            )
            require_discovery(loaded.root, self.portfolio, loaded.settings, self.now)
        self.clock = ExchangeClock(
            self.market.now, self.now, seconds=loaded.settings.orders.settle_s, pause=pause
        )

    @property
    def account(self) -> Exchange:
        """The exchange, which holds an account in a live bridge."""
        if not isinstance(self.market, Exchange):
            raise ConfigError("mode: live needs an exchange with an account")
        return self.market

    @contextmanager
    def opened(self) -> Iterator[Book]:
        """Yield the journal, opened, with what changed since the last run noted; its witness is renewed."""
        settings = self.loaded.settings
        account = self.account if self.is_live else None
        with Journal(
            self.loaded.state, account=settings.account, portfolio=self.portfolio.portfolio_id
        ) as journal:
            state = opened_state(journal, self.loaded, self.portfolio, account, self.now)
            book = Book(journal, state, self.clock.now if self.is_live else lambda: self.now)
            told = [
                note_restored(book),
                note_configuration(book, self.loaded, self.portfolio),
                set_mode(book, self.loaded, self.portfolio, account, self.now),
            ]
            self.reasons += [text for text in told if text]
            try:
                yield book
            finally:
                write_witness(journal)

    def costs(self) -> Costing:
        """Return what trades of the portfolio are expected to cost."""
        costs = self.portfolio.costs
        return Costing.from_basis_points(costs.fee_bps, costs.slippage_bps)

    def desk(self, book: Book) -> PaperDesk | LiveDesk:
        """Return who brings orders to an end."""
        if not self.is_live:
            return PaperDesk(self.market, book, self.costs())
        settings, account = self.loaded.settings, self.account
        sender = Sender(
            account,
            book,
            self.clock,
            settings.orders,
            self.portfolio.risk,
            self.costs(),
            settings.recv_window_ms,
        )
        prefix = own_prefix(settings.account, self.portfolio.portfolio_id)
        reconciler = Reconciler(account, book, self.clock, prefix=prefix, adopt=settings.adopt)
        return LiveDesk(book, sender, reconciler)


def through_ccxt(loaded: LoadedConfig) -> MarketData:
    """Return the configured exchange through CCXT, without an account; nothing is sent yet."""
    from live_bridge.ccxt_exchange import connect

    return connect(loaded.settings.exchange, recv_window_ms=loaded.settings.recv_window_ms)


def _account_through_ccxt(loaded: LoadedConfig, environment: Mapping[str, str]) -> Exchange:
    from live_bridge.ccxt_account import connect_account
    from live_bridge.keys import read_keys

    exchange = loaded.settings.exchange
    check_host(exchange.base_url, environment)
    keys = read_keys(exchange.id, environment)
    return connect_account(exchange, keys, recv_window_ms=loaded.settings.recv_window_ms)


def _checked_portfolio(loaded: LoadedConfig) -> Portfolio:
    portfolio = load_portfolio(loaded.portfolio)
    for market in portfolio.markets:
        symbol = loaded.settings.symbol(market)
        if symbol.split("/")[1] != portfolio.reference_currency:
            raise ConfigError(
                f"{loaded.source}: market_map: {market} trades as {symbol}, and {portfolio.portfolio_id} "
                f"counts in {portfolio.reference_currency}; map it to a symbol quoted in that, or change "
                "reference_currency"
            )
    return portfolio
