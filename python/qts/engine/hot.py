"""Keeps the cache up to date with a run, for whoever reads it: screens, other processes, checks before an order."""

import asyncio
import logging
from collections import deque
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from qts.cache import (
    BadRecord,
    CacheHost,
    CacheManager,
    Family,
    Level,
    OrderbookSnapshot,
    OrderState,
    OrderStatus,
    Phase,
    Position,
    Price,
    RiskSnapshot,
)
from qts.cache.keys import WORDS, logical
from qts.money import from_units

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qts._core import Quote
    from qts.cache import Report
    from qts.clock import Clock
    from qts.config import QtsConfig
    from qts.engine.session import Session
    from qts.engine.supervisor import Supervisor
    from qts.instruments import Catalog, Instrument
    from qts.pipeline.contracts import SentOrder
    from qts.strategy.contracts import Terms

log: Final = logging.getLogger(__name__)
_NS_PER_MS: Final = 1_000_000
_NS_PER_US: Final = 1_000
_FEED: Final = "feed:SIM"
_ENGINE: Final = "exec"
_ZERO: Final = Decimal(0)
_MOST_USED: Final = Decimal("1.2")
"""More than this is a fault of its own, which the supervisor sees; a record cannot say more."""
_PHASES: Final = {
    "MONITOR": Phase.PRE,
    "PREPARE": Phase.PRE,
    "OPENING_AUCTION": Phase.OPEN_AUCTION,
    "OPEN_GUARD": Phase.CONTINUOUS,
    "FULL": Phase.CONTINUOUS,
    "CLOSE_GUARD": Phase.CONTINUOUS,
    "CLOSING_AUCTION": Phase.CLOSE_AUCTION,
    "CLOSE_SET": Phase.CLOSED,
}
_STATES: Final = {
    "SUBMITTED": OrderState.PENDING,
    "ACCEPTED": OrderState.SENT,
    "PARTIALLY_FILLED": OrderState.PARTIALLY_FILLED,
    "FILLED": OrderState.FILLED,
    "CANCELLED": OrderState.CANCELLED,
    "EXPIRED": OrderState.CANCELLED,
    "REJECTED": OrderState.REJECTED,
}
"""States of an order as the cache names them; UNKNOWN is an answer there, not a record."""


class HotData:
    """Writes what a run knows into the cache: prices, books, positions, risk, orders. Never reads from it.

    The run stays the source: what the cache cannot take is left to expire. Records carry the machine's time, because
    that is what their readers live by. Called in the thread of its event loop.

    Args:
        manager: the cache, not started yet.
        session: the run.
        catalog: its instruments.
        config: limits.
        clock: the machine's.
        day: trade date of the session.
        supervisor: told what the cache reports.
        reports: what the cache has reported and nobody has been told yet.
    """

    def __init__(
        self,
        manager: CacheManager,
        session: "Session",
        catalog: "Catalog",
        config: "QtsConfig",
        clock: "Clock",
        day: date,
        supervisor: "Supervisor",
        reports: "deque[Report]",
    ) -> None:
        self._manager = manager
        self._host = CacheHost(manager)
        self._supervisor = supervisor
        self._reports = reports
        self._session = session
        self._catalog = catalog
        self._config = config
        self._clock = clock
        self._day = day
        self._seen_ns = [0] * len(catalog)
        self._held: dict[str, tuple[int, int]] = {}
        self._version = 0
        self._orders: dict[int, SentOrder] = {}
        self._entered: set[int] = set()
        self._safety = ""
        self._refused: set[str] = set()
        self._equity_start = session.core.cash
        session.on_order = self._take

    @classmethod
    def open(
        cls,
        config: "QtsConfig",
        session: "Session",
        catalog: "Catalog",
        clock: "Clock",
        day: date,
        *,
        account: str,
        password: str | None,
        supervisor: "Supervisor",
    ) -> Self:
        """Return one whose cache is that of the configuration and reports to the supervisor.

        Raises:
            ConfigError: no password for a server off this host.
        """
        reports: deque[Report] = deque()
        manager = CacheManager.from_config(
            config.cache,
            mode=config.local.mode.lower(),
            account=account,
            clock=clock,
            report=reports.append,
            password=password,
        )
        return cls(manager, session, catalog, config, clock, day, supervisor, reports)

    @property
    def cache(self) -> CacheManager:
        """The cache."""
        return self._manager

    async def __aenter__(self) -> Self:
        """Connect; a server that is away is no error, the cache then works without it and goes on trying."""
        try:
            await asyncio.to_thread(self._host.start, None)
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what waits and let go."""
        await self._stop()
        self._tell()

    async def _stop(self) -> None:
        try:
            await asyncio.to_thread(self._host.stop)
        except TimeoutError:
            log.warning("the cache did not stop in time; what it holds expires by itself")

    def publish(self) -> None:
        """Write what has changed since the last call."""
        self._tell()
        safety = self._session.supervisor.safety.state.name
        if safety != self._safety:
            self._safety = safety
            self._host.submit(self._follow(safety))
        now_ns = self._clock.now_ns()
        # A version is a time in microseconds, so that it rises over restarts too; several of one moment are told apart.
        self._version = max(self._version + 1, now_ns // _NS_PER_US)
        self._prices(now_ns)
        self._positions(now_ns)
        with self._taken(Family.RISK, "account"):
            self._risk(now_ns)
        for order in self._orders.values():
            with self._taken(Family.ORDER, str(order.response.broker_order_id)):
                self._order(order, now_ns)
        self._orders.clear()

    @contextmanager
    def _taken(self, family: Family, name: str) -> "Iterator[None]":
        """Leave out what is no record, and let what was held of it expire: the run needs none of them."""
        try:
            yield
        except BadRecord as error:
            key = f"{WORDS[family]}:{name}"
            self._manager.cache.leases.drop(key)
            if key not in self._refused:
                self._refused.add(key)
                log.warning("the cache does without %s: %s", key, error)

    async def _follow(self, safety: str) -> None:
        self._manager.set_safety(safety)

    def _tell(self) -> None:
        while self._reports:
            report = self._reports.popleft()
            if not report.is_over:
                self._supervisor.on_code(report.code, f"{report.subject}: {report.message}", "cache")

    def _take(self, order: "SentOrder") -> None:
        if order.request.side == "BUY" and order.response.filled_qty > 0:
            self._entered.add(order.response.broker_order_id)
        self._orders[order.response.broker_order_id] = order

    def _prices(self, now_ns: int) -> None:
        engine_ns = self._session.core.now_ns
        if engine_ns is None:
            return
        phase = _PHASES[self._session.phase(engine_ns)]
        for instrument in self._catalog:
            quote = self._session.core.quote(instrument.id)
            if quote.ts_ns == self._seen_ns[instrument.id] or quote.last <= 0:
                continue
            self._seen_ns[instrument.id] = quote.ts_ns
            with self._taken(Family.PRICE, instrument.symbol):
                self._quote(instrument, quote, phase, now_ns // _NS_PER_MS)

    def _quote(self, instrument: "Instrument", quote: "Quote", phase: Phase, now_ms: int) -> None:
        cache = self._manager.cache
        bid, ask = instrument.price(quote.bid), instrument.price(quote.ask)
        if bid and ask and bid >= ask and phase is Phase.CONTINUOUS:
            return  # a crossed book is no quote: what was known expires
        cache.push_price(
            Price(
                symbol=instrument.symbol,
                bid=bid,
                ask=ask,
                last=instrument.price(quote.last),
                volume=quote.volume,
                timestamp=now_ms,
                recv_ts=now_ms,
                ver=self._version,
                src=_FEED,
                phase=phase,
            )
        )
        if bid and ask:
            cache.push_book(
                OrderbookSnapshot(
                    symbol=instrument.symbol,
                    bids=(Level(bid, quote.bid_qty),),
                    asks=(Level(ask, quote.ask_qty),),
                    timestamp=now_ms,
                    recv_ts=now_ms,
                    ver=self._version,
                    src=_FEED,
                    phase=phase,
                )
            )

    def _positions(self, now_ns: int) -> None:
        """Write the net position of every symbol that was ever held and has changed."""
        net: dict[str, tuple[int, int]] = dict.fromkeys(self._held, (0, 0))
        for instrument, _, qty, cost, _ in self._session.core.positions():
            symbol = self._catalog.by_id(instrument).symbol
            before = net.get(symbol, (0, 0))
            net[symbol] = (before[0] + qty, before[1] + cost)
        equity = self._equity()
        for symbol, (qty, cost) in net.items():
            if self._held.get(symbol) == (qty, cost):
                continue
            self._held[symbol] = (qty, cost)
            terms = self._session.terms[self._catalog[symbol].id]
            with self._taken(Family.POSITION, symbol):
                self._manager.cache.hold(self._position(terms, qty, cost, equity, now_ns))

    def _position(self, terms: "Terms", qty: int, cost: int, equity: Decimal, now_ns: int) -> Position:
        instrument = self._catalog[terms.symbol]
        held, paid = instrument.qty(qty), instrument.money(cost)
        value = held * instrument.price(self._session.mark(instrument.id))
        return Position(
            symbol=terms.symbol,
            qty=held,
            avg_price=paid / held if held else _ZERO,
            unrealized_pnl=value - paid,
            exposure_pct=value / equity if equity > 0 else _ZERO,
            updated_at=now_ns // _NS_PER_MS,
            ver=self._version,
            src=_ENGINE,
        )

    def _risk(self, now_ns: int) -> None:
        equity = self._equity()
        limits = self._config.local.risk
        start = self._money(self._equity_start)
        if equity <= 0 or start <= 0:
            return
        used = sum(
            (
                self._catalog.by_id(instrument).qty(qty)
                * self._catalog.by_id(instrument).price(self._session.mark(instrument))
                for instrument, _, qty, *_ in self._session.core.positions()
            ),
            _ZERO,
        )
        self._manager.cache.hold(
            RiskSnapshot(
                exposure_used=min(used / equity, _MOST_USED),
                daily_pnl=equity - start,
                trade_count=len(self._entered),
                max_exposure_pct=limits.max_exposure_pct,
                daily_loss_limit=-start * limits.daily_loss_warning_pct,
                updated_at=now_ns // _NS_PER_MS,
                trade_date=self._day,
                ver=self._version,
                src=_ENGINE,
            )
        )

    def _order(self, order: "SentOrder", now_ns: int) -> None:
        state = _STATES.get(order.response.status)
        if state is None:  # nobody can tell: what the cache has expires, and its readers see UNKNOWN
            self._manager.cache.leases.drop(logical(Family.ORDER, str(order.response.broker_order_id)))
            return
        instrument = self._catalog[order.request.symbol]
        filled = instrument.qty(order.response.filled_qty)
        is_over = state not in (OrderState.PENDING, OrderState.SENT, OrderState.PARTIALLY_FILLED)
        self._manager.cache.hold(
            OrderStatus(
                order_id=str(order.response.broker_order_id),
                status=state,
                filled_qty=filled,
                pending_qty=_ZERO if is_over else instrument.qty(order.request.qty) - filled,
                avg_fill_price=instrument.money(order.response.amount) / filled if filled else _ZERO,
                last_update=now_ns // _NS_PER_MS,
                ver=self._version,
                src=_ENGINE,
            )
        )

    def _equity(self) -> Decimal:
        last = self._session.last
        return self._money(last.equity if last is not None and last.equity else self._session.core.cash)

    def _money(self, units: int) -> Decimal:
        return from_units(units, self._catalog.currency(self._catalog.by_id(0).currency).scale)
