"""What the rest of the engine sees of the cache: typed reads and writes, and never a guess."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, TypeVar, cast

from qts.cache.authority import AuthorityWatch
from qts.cache.client import CacheClient, Query
from qts.cache.contracts import (
    FAMILY_OF,
    ExitQuote,
    Family,
    OrderbookSnapshot,
    OrderStatus,
    Phase,
    Position,
    PreCheckData,
    Price,
    PutResult,
    Record,
    RiskSnapshot,
    StrategyParams,
    UnknownOrder,
    id_of,
)
from qts.cache.counter import TradeCounter
from qts.cache.exceptions import (
    AuthorityUnavailable,
    BadRecord,
    CacheConnection,
    CacheError,
    CacheStaleData,
    PriceDataUnavailable,
)
from qts.cache.fallback import FallbackHandler
from qts.cache.freshness import Freshness
from qts.cache.interfaces import Loaders, Ports
from qts.cache.keys import logical
from qts.cache.messages import say
from qts.cache.patterns import CacheAside, Load, WriteThrough, nobody_knows
from qts.cache.publisher import QUOTES, Leases, Publisher
from qts.cache.reports import Reports
from qts.cache.servers import Profile, profiles
from qts.cache.tiers import Seen, Tiers
from qts.clock import Clock
from qts.config import CacheSettings

_NS_PER_MS: Final = 1_000_000
_ACCOUNT: Final = "account"
_LAST_KNOWN_NS: Final = 24 * 3_600 * 1_000_000_000
_PRECHECK_MS: Final = 10.0
EXIT_STALE_MS: Final = 500
"""Age up to which a protective exit takes a price for fresh, as the risk loop has it."""

Quote = TypeVar("Quote", Price, OrderbookSnapshot)


class ScalpDataCache:
    """Hot data by type.

    Quotes are pushed by the feed from any thread and are in the near cache at once. Everything else belongs to the
    event loop that runs the cache. Reads of `peek_*` and `get_exit_price` never wait; the others wait for the server
    at most for the deadline of the way of an order, and for the store as long as their budget says.

    A record is a statement about the past and approves nothing: limits are reserved where orders are made.
    """

    def __init__(
        self,
        config: CacheSettings,
        clock: Clock,
        tiers: Tiers,
        publisher: Publisher | None,
        fallback: FallbackHandler,
        freshness: Freshness,
        reports: Reports,
        loaders: Loaders,
        ports: Ports,
        exit_stale_ms: int = EXIT_STALE_MS,
    ) -> None:
        self.freshness = freshness
        self.metrics = tiers.metrics
        self.leases = Leases(config, tiers.near, publisher, clock)
        self.counter = TradeCounter(config, tiers.client, loaders, ports.sessions, lambda: tiers.may_read_server)
        self.are_strategies_frozen = False
        """While safety is FAIL or LOCKDOWN."""
        self.are_entries_held = False
        """The same: nothing is read for an entry then."""
        self._config = config
        self._clock = clock
        self._tiers = tiers
        self._near = tiers.near
        self._publisher = publisher
        self._reports = reports
        self._sessions = ports.sessions
        self._exit_stale_ms = exit_stale_ms
        self._hot, self._warm, _ = profiles(config)
        sessions = ports.sessions
        self._watch = AuthorityWatch(clock, reports, (lambda: True) if sessions is None else sessions.is_open)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._last_strategies: dict[str, tuple[StrategyParams, int]] = {}
        self._asides = {
            family: CacheAside(family, tiers, fallback, load, broker, self._put_loaded, self._hot)
            for family, load, broker in _loads(loaders)
        }
        self._writer = None if ports.write is None else WriteThrough(ports.write, self._put_written)

    # quotes

    def push_price(self, price: Price) -> PutResult:
        """Take a price of the feed: near at once, on the server soon. From any thread, never blocks."""
        return self._push_quote(price)

    def push_book(self, book: OrderbookSnapshot) -> PutResult:
        """Take a book of the feed, as a whole. From any thread, never blocks."""
        return self._push_quote(book.cut(self._config.book_depth_store))

    def _push_quote(self, quote: Price | OrderbookSnapshot) -> PutResult:
        family = FAMILY_OF[type(quote)]
        result = PutResult.WRITTEN
        if self._tiers.has_near:
            result = self._tiers.put_near(family, quote.symbol, quote, is_held=True)
        self.metrics.wrote(family, result.lower())
        if self._publisher is not None and result is PutResult.WRITTEN:
            self._publisher.offer(quote)
        return result

    def peek_price(self, symbol: str) -> Price | None:
        """Return a price of the near cache that entries may use, None for any other. Never waits, never raises."""
        seen = self._tiers.look(Family.PRICE, symbol)
        if seen is None:
            return None
        try:
            self.freshness.check(cast("Price", seen.record), seen.entry)
        except CacheStaleData:
            return None
        return cast("Price", seen.record)

    async def get_price(self, symbol: str) -> Price:
        """Return a price that entries may use.

        Raises:
            PriceDataUnavailable: there is none.
            CacheStaleData: it is too old. Never take an older one from the store instead.
        """
        [seen] = await self._tiers.read([Query(Family.PRICE, symbol)], self._hot)
        return self._judged(Family.PRICE, symbol, seen or self._outlived(Family.PRICE, symbol), Price)

    async def get_prices(self, symbols: Sequence[str]) -> dict[str, Price]:
        """Return prices that entries may use, in one round trip; symbols without one are left out."""
        seen = await self._tiers.read([Query(Family.PRICE, symbol) for symbol in symbols], self._hot)
        prices = {}
        for symbol, found in zip(symbols, seen, strict=True):
            try:
                prices[symbol] = self._judged(
                    Family.PRICE, symbol, found or self._outlived(Family.PRICE, symbol), Price
                )
            except (PriceDataUnavailable, CacheStaleData):
                continue
        return prices

    async def get_book(self, symbol: str, depth: int | None = None) -> OrderbookSnapshot:
        """Return a book that entries may use, with at most `depth` levels of each side.

        Raises:
            PriceDataUnavailable: there is none.
            CacheStaleData: it is too old.
        """
        [seen] = await self._tiers.read([Query(Family.BOOK, symbol)], self._hot)
        book = self._judged(Family.BOOK, symbol, seen or self._outlived(Family.BOOK, symbol), OrderbookSnapshot)
        return book.cut(depth or self._config.book_depth_read)

    def get_exit_price(self, symbol: str) -> ExitQuote:
        """Return the last price known for a protective exit, which stale data never hold back. Never waits.

        Raises:
            PriceDataUnavailable: none has ever come; send a market order.
        """
        entry = self._near.last(logical(Family.PRICE, symbol))
        if entry is None:
            raise self._no_quote(Family.PRICE, symbol)
        price = cast("Price", entry.record)
        age_ms = self.freshness.age(price, entry).ms
        return ExitQuote(price, age_ms, age_ms <= self._exit_stale_ms)

    def _outlived(self, family: Family, symbol: str) -> Seen | None:
        """Return an unchanged quote whose record has expired, for symbols that go by the life of the feed."""
        if not self.freshness.goes_by_feed(symbol):
            return None
        entry = self._near.last(logical(family, symbol))
        return None if entry is None or not entry.is_held else Seen(entry.record, entry)

    def _judged(self, family: Family, symbol: str, seen: Seen | None, _kind: type[Quote]) -> Quote:
        if seen is None:
            self.metrics.answered(family, hit=False)
            error = self._no_quote(family, symbol)
            self._reports.begin("GR121", symbol, error.found)
            raise error
        quote = cast("Quote", seen.record)
        trades = quote.phase == Phase.CONTINUOUS
        try:
            age = self.freshness.check(quote, seen.entry)
        except CacheStaleData as error:
            self.metrics.read(family, "l0" if seen.entry else "l1", "stale", counts=trades)
            if trades:
                self.metrics.answered(family, hit=False)
            self._reports.begin("GR121", symbol, error.found)
            raise
        self.metrics.quote_age.add(age.ms)
        if trades:
            self.metrics.answered(family, hit=True)
        self._reports.end("GR121", symbol)
        return quote

    def _no_quote(self, family: Family, symbol: str) -> PriceDataUnavailable:
        limit_ms = getattr(self._config.stale_threshold_ms, family)
        found = say("no_quote", kind=family.value, symbol=symbol)
        expected = say("live_quote", kind=family.value, ms=limit_ms)
        return PriceDataUnavailable(found=found, expected=expected, hint=say("feed_hint"))

    # state of the account

    async def get_position(self, symbol: str, *, budget_ms: float | None = None) -> Position:
        """Return what is held of a symbol; a quantity of 0 is a record like any other.

        Args:
            symbol: such as 005930.
            budget_ms: time that is left on the way of an order, in milliseconds; None for callers that may wait.

        Raises:
            AuthorityUnavailable: every tier failed. This is not a position of 0: refuse the entry.
        """
        return cast("Position", await self._authority(Family.POSITION, symbol, budget_ms))

    async def get_risk(self, *, budget_ms: float | None = None) -> RiskSnapshot:
        """Return the risk state of the account, for display and checks that reserve nothing.

        Raises:
            AuthorityUnavailable: every tier failed.
        """
        return cast("RiskSnapshot", await self._authority(Family.RISK, _ACCOUNT, budget_ms))

    async def get_order(self, order_id: str, *, budget_ms: float | None = None) -> OrderStatus | UnknownOrder:
        """Return how far an order has come; `UnknownOrder` when nobody can tell, which never means there is none."""
        try:
            return cast("OrderStatus", await self._authority(Family.ORDER, order_id, budget_ms))
        except AuthorityUnavailable:
            return UnknownOrder(order_id)

    async def get_strategy(self, strategy_id: str) -> StrategyParams:
        """Return parameters of a strategy; a copy of up to a day, marked, stands in when every tier fails.

        Raises:
            AuthorityUnavailable: there is none; take the strategy for inactive.
        """
        try:
            found = cast("StrategyParams", await self._authority(Family.STRATEGY, strategy_id, None))
        except AuthorityUnavailable:
            last = self._last_strategies.get(strategy_id)
            if last is None or self._clock.monotonic_ns() - last[1] > _LAST_KNOWN_NS:
                raise
            return replace(last[0], is_last_known=True)
        self._last_strategies[strategy_id] = (found, self._clock.monotonic_ns())
        return found

    async def get_precheck(self, symbol: str, *, budget_ms: float = _PRECHECK_MS) -> PreCheckData:
        """Return what a check before an order looks at, in one round trip.

        Args:
            symbol: such as 005930.
            budget_ms: time of the whole check in milliseconds; the store is asked only in what is left of it.

        Raises:
            PriceDataUnavailable, CacheStaleData: no price for an entry.
            AuthorityUnavailable: position or risk state unknown.
        """
        self._refuse_held_back(symbol)
        start_ns = self._clock.monotonic_ns()
        queries = [Query(Family.PRICE, symbol), Query(Family.POSITION, symbol), Query(Family.RISK, _ACCOUNT)]
        price_seen, *states = await self._tiers.read(queries, self._hot)
        price = self._judged(Family.PRICE, symbol, price_seen or self._outlived(Family.PRICE, symbol), Price)
        known = []
        for query, seen in zip(queries[1:], states, strict=True):
            record = None if seen is None else seen.record
            left_ms = budget_ms - (self._clock.monotonic_ns() - start_ns) / _NS_PER_MS
            known.append(await self._resolved(query.family, query.name, record, left_ms))
        self.metrics.took("precheck", "get", "all", self._clock.monotonic_ns() - start_ns)
        return PreCheckData(price, cast("Position", known[0]), cast("RiskSnapshot", known[1]))

    def peek_precheck(self, symbol: str) -> PreCheckData:
        """Return the same from the near cache alone. From any thread, never waits: what is not near is unknown.

        Raises:
            PriceDataUnavailable, CacheStaleData: no price for an entry.
            AuthorityUnavailable: position or risk state unknown here, or safety holds entries back.
        """
        self._refuse_held_back(symbol)
        price = self._judged(
            Family.PRICE, symbol, self._tiers.look(Family.PRICE, symbol) or self._outlived(Family.PRICE, symbol), Price
        )
        known = []
        for family, name in ((Family.POSITION, symbol), (Family.RISK, _ACCOUNT)):
            seen = self._tiers.look(family, name)
            is_known = seen is not None and self._is_current(seen.record)
            self.metrics.answered(family, hit=is_known)
            if seen is None or not is_known:
                self._watch.failed(family, logical(family, name))
                raise nobody_knows(family, name)
            self._watch.succeeded(family)
            known.append(seen.record)
        return PreCheckData(price, cast("Position", known[0]), cast("RiskSnapshot", known[1]))

    def _refuse_held_back(self, symbol: str) -> None:
        if self.are_entries_held:
            found = say("held_back", symbol=symbol)
            raise AuthorityUnavailable(found=found, expected=say("held_back_expected"), hint=say("held_back_hint"))

    async def _authority(self, family: Family, name: str, budget_ms: float | None) -> Record:
        start_ns = self._clock.monotonic_ns()
        profile: Profile = self._warm if budget_ms is None else self._hot
        record = await self._asides[family].get(name, profile)
        left_ms = None if budget_ms is None else budget_ms - (self._clock.monotonic_ns() - start_ns) / _NS_PER_MS
        return await self._resolved(family, name, record, left_ms)

    async def _resolved(self, family: Family, name: str, record: Record | None, left_ms: float | None) -> Record:
        """Return a record that was found, or what the store says."""
        if not self._is_current(record):
            record = None
        self.metrics.answered(family, hit=record is not None)
        key = logical(family, name)
        try:
            if record is None:
                record = await self._asides[family].load(name, left_ms)
            if record is None or not self._is_current(record):
                raise nobody_knows(family, name)
        except AuthorityUnavailable:
            if family in {Family.POSITION, Family.RISK}:
                self._watch.failed(family, key)
            raise
        self._watch.succeeded(family)
        return record

    def _is_current(self, record: Record | None) -> bool:
        """Whether a record may be used: risk counters of another day may not."""
        if isinstance(record, RiskSnapshot) and self._sessions is not None:
            return record.trade_date == self._sessions.trade_date()
        return record is not None

    # writes

    def hold(self, record: Position | RiskSnapshot | OrderStatus) -> PutResult:
        """Take a record of which this process is the source: near at once, then on record, then on the server.

        The cache renews it until a final state. From any thread, never blocks.
        """
        family = FAMILY_OF[type(record)]
        self._refuse_future(record)
        result = PutResult.WRITTEN
        if self._tiers.has_near:
            result = self._tiers.put_near(family, id_of(record), record, is_held=True)
        self.metrics.wrote(family, result.lower())
        if result is PutResult.WRITTEN:
            self.leases.hold(record, publishes=self._writer is None)
            if self._writer is not None:
                self._hand_over(self._writer, record)
            elif self._publisher is not None:
                self._publisher.offer(record)
        return result

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take the event loop that the cache runs in, which records are handed to from other threads."""
        self._loop = loop

    def _hand_over(self, writer: WriteThrough, record: Record) -> None:
        loop = self._loop
        if loop is None or loop is _running_loop():
            writer.submit(record)
        else:
            loop.call_soon_threadsafe(writer.submit, record)

    async def put(self, record: Record) -> PutResult:
        """Cache a record, near and on the server.

        Returns:
            WRITTEN; SUPERSEDED if a newer one was there; DROPPED if the safety state forbids it or no tier took it.

        Raises:
            BadRecord, BadTtl: nothing was written.
        """
        family = FAMILY_OF[type(record)]
        if family is Family.STRATEGY and self.are_strategies_frozen:
            return self._noted(family, PutResult.DROPPED)
        self._refuse_future(record)
        near = PutResult.WRITTEN
        if self._tiers.has_near:
            last = self._near.last(logical(family, id_of(record)))
            is_same = (
                last is not None and last.is_held and (last.record.ver, last.record.src) == (record.ver, record.src)
            )
            near = PutResult.WRITTEN if is_same else self._tiers.put_near(family, id_of(record), record, is_held=False)
            if near is not PutResult.WRITTEN:
                return self._noted(family, near)
        return self._noted(family, await self._put_there(record, near))

    async def _put_written(self, record: Record) -> PutResult:
        self.leases.confirm(record)
        return await self.put(record)

    async def write(self, record: Record) -> PutResult:
        """Put a record on record in the store, then cache it; whatever the store raises is raised, nothing is cached.

        Raises:
            AuthorityUnavailable: there is no store.
        """
        if self._writer is None:
            raise nobody_knows(FAMILY_OF[type(record)], id_of(record))
        return await self._writer.write(record)

    async def _put_there(self, record: Record, near: PutResult) -> PutResult:
        client = self._tiers.client
        if client is None:
            return near if self._tiers.has_near else PutResult.DROPPED
        try:
            [result] = await client.put([record], client.warm)
        except CacheConnection:
            if not self._tiers.has_near:
                return PutResult.DROPPED
            if self._publisher is not None and FAMILY_OF[type(record)] not in QUOTES:
                self._publisher.offer(record)  # dirty until the server takes it
            return near
        if isinstance(result, CacheError):
            self.metrics.wrote(FAMILY_OF[type(record)], "error")
            return near if self._tiers.has_near else PutResult.DROPPED
        if result is PutResult.SUPERSEDED and self._tiers.has_near:
            key = logical(FAMILY_OF[type(record)], id_of(record))
            entry = self._near.last(key)
            if entry is not None and not entry.is_held:
                self._near.drop(key, older_than=record.ver + 1)
        return result

    async def _put_loaded(self, record: Record) -> PutResult:
        """Cache what the store said, without making its reader wait for the server."""
        family = FAMILY_OF[type(record)]
        if not self._tiers.has_near:
            return await self.put(record)
        result = self._tiers.put_near(family, id_of(record), record, is_held=False)
        if self._publisher is not None and result is PutResult.WRITTEN:
            self._publisher.offer(record)
        return self._noted(family, result)

    def _noted(self, family: Family, result: PutResult) -> PutResult:
        self.metrics.wrote(family, result.lower())
        return result

    def _refuse_future(self, record: Record) -> None:
        stamp = getattr(record, "updated_at", None) or getattr(record, "last_update", None)
        if stamp is None:
            return
        ahead_ms = stamp - self._clock.now_ns() // _NS_PER_MS
        if ahead_ms > self._config.max_future_skew_ms:
            key = logical(FAMILY_OF[type(record)], id_of(record))
            raise BadRecord(
                found=say("future_update", key=key, ms=ahead_ms), expected=say("not_future"), hint=say("writer_hint")
            )

    async def invalidate(self, family: Family, name: str, reason: str) -> bool:
        """Forget a record near and on the server; return whether it was there.

        A change of a record is a `put` of a higher version, never this: deletion lets a slow reader put old data back.
        """
        key = logical(family, name)
        self.leases.drop(key)
        was_near = self._near.drop(key)
        client: CacheClient | None = self._tiers.client
        if client is None:
            return was_near
        self.metrics.wrote(family, f"invalidated {reason}"[:32])
        try:
            return await client.delete(family, name, client.warm) or was_near
        except CacheConnection:
            return was_near

    async def drained(self) -> None:
        """Wait until everything that was handed over is on record and on the server, or cannot be."""
        if self._writer is not None:
            await self._writer.drained()
        if self._publisher is not None:
            await self._publisher.write_pending()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _loads(loaders: Loaders) -> list[tuple[Family, Load | None, Load | None]]:
    risk = loaders.risk

    async def load_risk(_name: str) -> Record | None:
        return None if risk is None else await risk()

    return [
        (Family.POSITION, loaders.position, loaders.broker_position),
        (Family.RISK, None if risk is None else load_risk, None),
        (Family.ORDER, loaders.order, loaders.broker_order),
        (Family.STRATEGY, loaders.strategy, None),
    ]
