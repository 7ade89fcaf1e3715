"""What the cache has to know before it may be used: strategies, risk, entries of the day, positions, open orders."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from qts.cache.contracts import Family, Record
from qts.cache.facade import ScalpDataCache
from qts.cache.interfaces import Loaders
from qts.cache.keys import logical
from qts.cache.near import NearCache
from qts.cache.patterns import nobody_knows
from qts.clock import Clock
from qts.config import CacheSettings

_NS_PER_S: Final = 1_000_000_000


class WarmUp:
    """Loads what the store knows, then waits for the quotes of each symbol."""

    def __init__(
        self, config: CacheSettings, cache: ScalpDataCache, near: NearCache, loaders: Loaders, clock: Clock
    ) -> None:
        self._config = config
        self._cache = cache
        self._near = near
        self._loaders = loaders
        self._clock = clock
        self._start_ns = clock.monotonic_ns()
        self.is_loaded = False
        """Everything but quotes is there."""
        self.failure = ""
        """Why not."""
        self._arrived: set[str] = set()

    def restart(self) -> None:
        """Begin anew: after a flush, a change of the master, or a release."""
        self.is_loaded = False
        self.failure = ""
        self._arrived.clear()
        self._start_ns = self._clock.monotonic_ns()

    async def load(self) -> bool:
        """Load what is known of the account; everything or nothing counts. Returns whether all of it came."""
        loaders = self._loaders
        risk, trades = loaders.risk, loaders.trades_today
        try:
            await self._all(loaders.strategies)
            if risk is not None:
                await self._risk(await risk())
            if trades is not None:
                await self._cache.counter.rebuild()
            await self._all(loaders.positions)
            await self._all(loaders.open_orders)
        except Exception as error:
            self.failure = str(error) or type(error).__name__
            return False
        self.is_loaded, self.failure = True, ""
        return True

    async def _all(self, load: Callable[[], Awaitable[Iterable[Record]]] | None) -> None:
        if load is not None:
            for record in await load():
                await self._cache.put(record)

    async def _risk(self, record: Record | None) -> None:
        if record is None:
            raise nobody_knows(Family.RISK, "account")
        await self._cache.put(record)

    def symbols(self) -> dict[str, bool]:
        """Return the symbols of the universe that trade, each with whether its price and its book have come."""
        universe = self._loaders.universe
        if universe is None:
            return {}
        halted = set(self._loaders.halted() if self._loaders.halted is not None else ())
        wanted = [symbol for symbol in universe() if symbol not in halted]
        for symbol in wanted:
            if symbol not in self._arrived and all(
                self._near.last(logical(family, symbol)) is not None for family in (Family.PRICE, Family.BOOK)
            ):
                self._arrived.add(symbol)
        return {symbol: symbol in self._arrived for symbol in wanted}

    def is_ready(self) -> bool:
        """Whether all is loaded and enough symbols have quotes."""
        if not self.is_loaded:
            return False
        flags = self.symbols()
        return not flags or sum(flags.values()) >= float(self._config.ready_ratio) * len(flags)

    @property
    def is_late(self) -> bool:
        """Whether waiting has taken longer than it should; symbols without quotes stay out of trading."""
        return self._clock.monotonic_ns() - self._start_ns > self._config.warmup_timeout_s * _NS_PER_S
