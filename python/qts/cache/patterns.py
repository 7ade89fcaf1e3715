"""Cache-aside and write-through: what is not in the cache is loaded, what changes is on record before it is cached."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from qts.cache.client import Query
from qts.cache.contracts import FAMILY_OF as _FAMILY_OF
from qts.cache.contracts import Family, PutResult, Record, id_of
from qts.cache.exceptions import AuthorityUnavailable, CacheError, FallbackOverload
from qts.cache.fallback import FallbackHandler
from qts.cache.interfaces import Writer
from qts.cache.keys import logical
from qts.cache.messages import say
from qts.cache.servers import Profile
from qts.cache.tiers import Tiers

Load: TypeAlias = Callable[[str], Awaitable[Record | None]]


class CacheAside:
    """Reads of one family: near cache, server, store, and last, where time does not press, the broker.

    Args:
        family: what is read.
        tiers: near cache and server.
        fallback: runs the queries.
        load: asks the store; None if there is none.
        ask_broker: asks the broker when the store has no answer.
        put: takes what was loaded, versions compared.
        profile: with which the server is asked once more before the store is.
    """

    def __init__(
        self,
        family: Family,
        tiers: Tiers,
        fallback: FallbackHandler,
        load: Load | None,
        ask_broker: Load | None,
        put: Callable[[Record], Awaitable[object]],
        profile: Profile,
    ) -> None:
        self._family = family
        self._profile = profile
        self._tiers = tiers
        self._fallback = fallback
        self._load = load
        self._ask_broker = ask_broker
        self._put = put

    async def get(self, name: str, profile: Profile) -> Record | None:
        """Return what near cache or server have."""
        [seen] = await self._tiers.read([Query(self._family, name)], profile)
        return None if seen is None else seen.record

    async def load(self, name: str, budget_ms: float | None) -> Record | None:
        """Return what the store or the broker know, None if they know nothing of it.

        Args:
            name: of the record.
            budget_ms: time that is left in milliseconds; with one, the broker is not asked.

        Raises:
            AuthorityUnavailable: nobody could be asked, or there was no time.
        """
        loads = [load for load in (self._load, self._ask_broker if budget_ms is None else None) if load is not None]
        if not loads:
            return None
        key = logical(self._family, name)
        flight = key if budget_ms is None else f"{key}?"  # one that asks the broker too is another query
        try:
            return await self._fallback.load(self._family, flight, lambda: self._ask(name, loads), budget_ms)
        except FallbackOverload as error:
            raise AuthorityUnavailable(found=error.found, expected=error.expected, hint=error.hint) from error

    async def _ask(self, name: str, loads: list[Load]) -> Record | None:
        seen = await self._again(name)
        if seen is not None:
            return seen
        failure: Exception | None = None
        for load in loads:
            try:
                record = await load(name)
            except Exception as error:
                failure = error
                continue
            if record is not None:
                self._tiers.metrics.read(self._family, "db", "hit")
                return await self._newest(record)
        self._tiers.metrics.read(self._family, "db", "miss" if failure is None else "error")
        if failure is not None:
            raise failure
        return None

    async def _again(self, name: str) -> Record | None:
        """Return what another query has cached since this reader missed it."""
        if self._tiers.has_near:
            entry = self._tiers.usable(self._family, name)
            return None if entry is None else entry.record
        [seen] = await self._tiers.read([Query(self._family, name)], self._profile)
        return None if seen is None else seen.record

    async def _newest(self, record: Record) -> Record:
        """Cache what was loaded; if a newer one has come meanwhile, that is the answer."""
        if await self._put(record) is PutResult.SUPERSEDED:
            name = id_of(record)
            entry = self._tiers.near.entry(logical(self._family, name))
            if entry is not None and entry.record.ver >= record.ver:
                return entry.record
        return record


class WriteThrough:
    """Writes of records that a store keeps: the store first, then the cache, and one after the other for each key.

    Args:
        write: puts a record on record.
        put: caches it afterwards; if that fails the write has succeeded all the same.
    """

    def __init__(self, write: Writer, put: Callable[[Record], Awaitable[PutResult]]) -> None:
        self._write = write
        self._put = put
        self._tails: dict[str, asyncio.Task[PutResult]] = {}

    async def write(self, record: Record) -> PutResult:
        """Write a record after those of its key that were handed over before; whatever the store raises is raised."""
        return await self.submit(record)

    def submit(self, record: Record) -> "asyncio.Task[PutResult]":
        """Hand a record over and return at once; the task ends with the result, or with what the store raised."""
        key = logical(_FAMILY_OF[type(record)], id_of(record))
        before = self._tails.get(key)
        task = asyncio.ensure_future(self._after(before, record))
        self._tails[key] = task
        task.add_done_callback(lambda done: self._ended(key, done))
        return task

    async def _after(self, before: "asyncio.Task[PutResult] | None", record: Record) -> PutResult:
        if before is not None:
            await asyncio.wait([before])
        await self._write(record)
        try:
            return await self._put(record)
        except CacheError:
            return PutResult.DROPPED

    def _ended(self, key: str, task: "asyncio.Task[PutResult]") -> None:
        if self._tails.get(key) is task:
            del self._tails[key]

    async def drained(self) -> None:
        """Wait until everything that was handed over has ended."""
        while self._tails:
            await asyncio.wait(list(self._tails.values()))


def nobody_knows(family: Family, name: str) -> AuthorityUnavailable:
    """Return the error that says so."""
    return AuthorityUnavailable(
        found=say("unknown_state", key=logical(family, name)), expected=say("known_state"), hint=say("store_hint")
    )
