"""Near cache and server as one place to read from."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from qts.cache.client import CacheClient, Query
from qts.cache.contracts import Family, OrderbookSnapshot, Phase, Price, PutResult, Record
from qts.cache.exceptions import CacheConnection
from qts.cache.keys import logical
from qts.cache.metrics import CacheMetrics
from qts.cache.near import Entry, NearCache
from qts.cache.servers import Profile
from qts.clock import Clock
from qts.config import CacheSettings

NEAR: Final = "l0"
SERVER: Final = "l1"


class Seen(NamedTuple):
    """A record, and its entry in the near cache if it lies there."""

    record: Record
    entry: Entry | None


class Tiers:
    """Reads through near cache and server; what comes from the server stays near for no longer than it lives there.

    Args:
        config: the cache's settings.
        near: the near cache; not used by the backend `redis`.
        client: the server, None for the backend `memory`.
        metrics: counts every read.
        clock: measures reads.
        is_trusted: whether a record that another process wrote may be used, by its writer.
    """

    def __init__(
        self,
        config: CacheSettings,
        near: NearCache,
        client: CacheClient | None,
        metrics: CacheMetrics,
        clock: Clock,
        is_trusted: Callable[[str], bool] = lambda _: True,
    ) -> None:
        self.config = config
        self.near = near
        self.client = client
        self.metrics = metrics
        self.has_near = config.backend != "redis"
        self.may_read_server = True
        """False until records are in step again after the server was away."""
        self._clock = clock
        self._is_trusted = is_trusted
        self._depth = config.book_depth_store
        self.lives = {family: int(getattr(config.ttl_ms, family)) for family in Family}

    @property
    def asks_server(self) -> bool:
        """Whether a miss of the near cache goes to the server."""
        return self.client is not None and self.may_read_server

    def look(self, family: Family, name: str) -> Seen | None:
        """Return a record of the near cache. Never blocks."""
        entry = self.usable(family, name)
        if entry is None:
            if self.has_near:
                self.metrics.read(family, NEAR, "miss")
            return None
        self.metrics.read(family, NEAR, "hit", counts=_trades(entry.record))
        return Seen(entry.record, entry)

    def usable(self, family: Family, name: str) -> Entry | None:
        """Return a live entry of the near cache whose writer is not known to be dead, without counting a read."""
        entry = self.near.entry(logical(family, name)) if self.has_near else None
        if entry is None or not (entry.is_held or self._is_trusted(entry.record.src)):
            return None
        return entry

    async def read(self, queries: Sequence[Query], profile: Profile) -> list[Seen | None]:
        """Return what near cache or server have, with at most one round trip; a server that fails has nothing."""
        seen = [self.look(query.family, query.name) for query in queries]
        missing = [at for at, found in enumerate(seen) if found is None]
        if not missing or not self.asks_server:
            return seen
        wanted = [queries[at] for at in missing]
        for at, found in zip(missing, await self._ask(wanted, profile), strict=True):
            seen[at] = found
        return seen

    async def _ask(self, queries: Sequence[Query], profile: Profile) -> list[Seen | None]:
        assert self.client is not None  # noqa: S101 - `asks_server` said so
        start_ns = self._clock.monotonic_ns()
        try:
            answers = await self.client.get(queries, profile, self._depth)
        except CacheConnection:
            for query in queries:
                self.metrics.read(query.family, SERVER, "error")
            return [None] * len(queries)
        finally:
            self.metrics.took(queries[0].family, "get", SERVER, self._clock.monotonic_ns() - start_ns)
        seen: list[Seen | None] = []
        for query, found in zip(queries, answers, strict=True):
            usable = found is not None and self._is_trusted(found.record.src)
            if found is None or not usable or not self._keep(query, found.record, found.left_ms):
                self.metrics.read(query.family, SERVER, "miss")
                seen.append(None)
            else:
                self.metrics.read(query.family, SERVER, "hit", counts=_trades(found.record))
                seen.append(Seen(found.record, None))
        return seen

    def _keep(self, query: Query, record: Record, left_ms: int) -> bool:
        """Keep a server's record near; False if an older one than this process has seen."""
        if not self.has_near:
            return True
        key = logical(query.family, query.name)
        last = self.near.last(key)
        if last is not None and record.ver < last.record.ver:
            return False
        self.near.put(key, record, min(left_ms, self.lives[query.family]))
        return True

    def put_near(self, family: Family, name: str, record: Record, *, is_held: bool) -> PutResult:
        """Store a record near."""
        return self.near.put(logical(family, name), record, self.lives[family], is_held=is_held)


def _trades(record: Record) -> bool:
    """Whether a read counts for the hit rate: quotes of symbols that do not trade at the moment do not."""
    return not isinstance(record, Price | OrderbookSnapshot) or record.phase == Phase.CONTINUOUS
