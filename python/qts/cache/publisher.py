"""Records on their way to the server: written in the background, the newest of each key, and renewed by their owner."""

import asyncio
import threading
from dataclasses import replace
from typing import Final, NamedTuple

from qts.cache.client import CacheClient
from qts.cache.contracts import FAMILY_OF, Family, OrderStatus, Position, PutResult, Record, RiskSnapshot, id_of
from qts.cache.exceptions import CacheConnection, CacheError
from qts.cache.keys import logical
from qts.cache.metrics import CacheMetrics
from qts.cache.near import NearCache
from qts.clock import Clock
from qts.config import CacheSettings

QUOTES: Final = frozenset({Family.PRICE, Family.BOOK})
_NS_PER_MS: Final = 1_000_000
_PORTION: Final = 500


class _Pending(NamedTuple):
    record: Record
    renews: bool


class _Lease(NamedTuple):
    record: Record
    due_ns: int
    publishes: bool


class Publisher:
    """Writes records to the server.

    Quotes that cannot be written are dropped: the next one is better. Everything else stays until it is written.
    """

    def __init__(self, config: CacheSettings, client: CacheClient, clock: Clock, metrics: CacheMetrics) -> None:
        self._interval_s = config.min_publish_interval_ms / 1000
        self._client = client
        self._clock = clock
        self._metrics = metrics
        self._pending: dict[str, _Pending] = {}
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._sleeps = False
        self._turn = asyncio.Lock()
        self.are_quotes_paused = False
        """In LOCKDOWN: quotes on the server expire, the near cache goes on."""
        self.is_stopped = False
        """Another process writes below the prefix: nothing is published until an operator has decided."""

    @property
    def backlog(self) -> int:
        """Records that wait."""
        return len(self._pending)

    def offer(self, record: Record, *, renews: bool = False) -> None:
        """Hand a record over, from any thread; a newer one of its key replaces one that still waits."""
        key = logical(FAMILY_OF[type(record)], id_of(record))
        with self._lock:
            old = self._pending.get(key)
            if old is not None and (old.record.ver, renews) > (record.ver, True):
                return
            again = renews or (old is not None and old.renews and old.record.ver == record.ver)
            self._pending[key] = _Pending(record, again)
            wakes, self._sleeps = self._sleeps, False
        if wakes and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Write whatever comes until cancelled, a key at most once in `min_publish_interval_ms`."""
        self._loop = asyncio.get_running_loop()
        while True:
            with self._lock:
                self._sleeps = not self._pending
            if self._sleeps:
                await self._wake.wait()
                self._wake.clear()
            await self.write_pending()
            await asyncio.sleep(self._interval_s)

    async def write_pending(self) -> bool:
        """Write what waits; return whether nothing is left behind that has to be written."""
        async with self._turn:
            with self._lock:
                taken, self._pending = self._pending, {}
            if self.is_stopped or self.are_quotes_paused:
                taken = self._without_quotes(taken)
            if self.is_stopped:
                self._keep(taken)
                return not taken
            left: dict[str, _Pending] = {}
            for renews in (False, True):
                some = [(key, entry) for key, entry in taken.items() if entry.renews is renews]
                for start in range(0, len(some), _PORTION):
                    left |= await self._write(dict(some[start : start + _PORTION]), renews=renews)
            self._keep(left)
            return not left

    async def _write(self, entries: dict[str, _Pending], *, renews: bool) -> dict[str, _Pending]:
        records = [entry.record for entry in entries.values()]
        try:
            results = await self._client.put(records, self._client.warm, renews=renews)
        except CacheConnection:
            return self._without_quotes(entries)
        for record, result in zip(records, results, strict=True):
            outcome = "error" if isinstance(result, CacheError) else result.lower()
            self._metrics.wrote(FAMILY_OF[type(record)], f"l1_{outcome}")
        return {}

    def _without_quotes(self, entries: dict[str, _Pending]) -> dict[str, _Pending]:
        kept = {}
        for key, entry in entries.items():
            family = FAMILY_OF[type(entry.record)]
            if family in QUOTES:
                self._metrics.wrote(family, "l1_dropped")
            else:
                kept[key] = entry
        return kept

    def _keep(self, entries: dict[str, _Pending]) -> None:
        with self._lock:
            for key, entry in entries.items():
                newer = self._pending.get(key)
                if newer is None or newer.record.ver < entry.record.ver:
                    self._pending[key] = entry


class Leases:
    """Records that this process is the source of, renewed before they expire: an owner that is gone is soon noticed."""

    def __init__(self, config: CacheSettings, near: NearCache, publisher: Publisher | None, clock: Clock) -> None:
        self._config = config
        self._near = near
        self._publisher = publisher
        self._clock = clock
        self._held: dict[str, _Lease] = {}
        self._lock = threading.Lock()
        share = config.refresh_ahead_ratio
        self._every_ns = {
            Family.POSITION: int(config.ttl_ms.position * share * _NS_PER_MS),
            Family.RISK: int(config.ttl_ms.risk * share * _NS_PER_MS),
            Family.ORDER: config.order_rearm_ms * _NS_PER_MS,
        }

    def hold(self, record: Record, *, publishes: bool = True) -> None:
        """Renew a record from now on; a final order is renewed no more and lives out its time.

        Args:
            record: of which this process is the source.
            publishes: whether it is on record already, so that it may be renewed on the server; see `confirm`.
        """
        family = FAMILY_OF[type(record)]
        if family not in self._every_ns:
            return
        key = logical(family, id_of(record))
        with self._lock:
            if isinstance(record, OrderStatus) and record.is_terminal:
                self._held.pop(key, None)
            else:
                self._held[key] = _Lease(record, self._clock.monotonic_ns() + self._every_ns[family], publishes)

    def confirm(self, record: Record) -> None:
        """Take note that a record is on record in the store."""
        key = logical(FAMILY_OF[type(record)], id_of(record))
        with self._lock:
            lease = self._held.get(key)
            if lease is not None and lease.record.ver == record.ver:
                self._held[key] = lease._replace(publishes=True)

    def drop(self, key: str) -> None:
        """Renew a record no more."""
        with self._lock:
            self._held.pop(key, None)

    def held(self) -> list[Record]:
        """Return what is renewed on the server."""
        with self._lock:
            return [lease.record for lease in self._held.values() if lease.publishes]

    def renew_due(self) -> int:
        """Renew what is due; return how many records that were."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            due = [(key, lease) for key, lease in self._held.items() if lease.due_ns <= now_ns]
        return sum(self._renew(key, lease, now_ns) for key, lease in due)

    def _renew(self, key: str, lease: _Lease, now_ns: int) -> bool:
        fresh, family = self._stamped(lease.record), FAMILY_OF[type(lease.record)]
        with self._lock:
            if self._held.get(key) is not lease:
                return False  # it has changed meanwhile
            self._held[key] = lease._replace(record=fresh, due_ns=now_ns + self._every_ns[family])
        life_ms: int = getattr(self._config.ttl_ms, family)
        if self._near.put(key, fresh, life_ms, is_held=True, renews=True) is not PutResult.WRITTEN:
            return False
        if self._publisher is not None and lease.publishes:
            self._publisher.offer(fresh, renews=True)
        return True

    def _stamped(self, record: Record) -> Record:
        if isinstance(record, Position | RiskSnapshot):
            now_ms = self._clock.now_ns() // _NS_PER_MS
            return replace(record, updated_at=max(now_ms, record.updated_at))
        return record
