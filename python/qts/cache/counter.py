"""The day's entries: counted below a limit in one step, and unknown rather than zero when the count is lost."""

import asyncio
from collections.abc import Callable
from datetime import date

from qts.cache.client import CacheClient
from qts.cache.exceptions import CacheConnection, CacheError, TradeLimitExceeded
from qts.cache.interfaces import Loaders, Sessions
from qts.cache.messages import say
from qts.config import CacheSettings

_HOUR_MS = 3_600_000


class TradeCounter:
    """Counts entries of an exchange day. The ledger has the last word; exits are never counted.

    The process that trades keeps its own count beside the server's and goes by the higher one, so neither a restart
    of the server nor a lost answer makes room. A count that nobody can tell refuses every entry.
    """

    def __init__(
        self,
        config: CacheSettings,
        client: CacheClient | None,
        loaders: Loaders,
        sessions: Sessions | None,
        uses_server: Callable[[], bool],
    ) -> None:
        self._ceiling = config.daily_trade_ceiling
        self._client_or_none = client
        self._uses_server = uses_server
        self._loaders = loaders
        self._sessions = sessions
        self._day: date | None = None
        self._count = 0
        self._turn = asyncio.Lock()

    @property
    def _client(self) -> CacheClient | None:
        """The server while it can be relied on; without it own count stands in."""
        return self._client_or_none if self._uses_server() else None

    @property
    def count(self) -> int | None:
        """Entries of the day as far as this process knows, None if it does not."""
        return self._count if self._day is not None and self._day == self._today() else None

    async def reserve(self, limit: int) -> int:
        """Count one more entry.

        Args:
            limit: most entries in a day that the operating state allows; the configured ceiling holds as well.

        Returns:
            The count, this entry included.

        Raises:
            TradeLimitExceeded: the limit is reached, or the count is unknown; nothing was counted.
        """
        most = min(limit, self._ceiling)
        async with self._turn:
            day = await self._ready()
            if self._count >= most:
                raise _reached(day, self._count, most)
            if self._client is not None:
                await self._reserve_there(self._client, day, most)
            self._count += 1
            return self._count

    async def release(self) -> None:
        """Take an entry back that was refused or never sent."""
        async with self._turn:
            if self.count:
                self._count -= 1
            if self._client is not None and self._day is not None:
                try:
                    await self._client.release(_name(self._day))
                except CacheError:
                    return  # the server's count stays high, which is the safe side, until it is rebuilt

    async def rebuild(self) -> int:
        """Count the day anew from the ledger; return the count.

        Raises:
            TradeLimitExceeded: the ledger cannot tell.
        """
        async with self._turn:
            return await self._rebuild(self._today_or_refuse())

    async def publish(self) -> None:
        """Bring the server's count up to this process's, after the server was away.

        Raises:
            CacheError: it could not be done.
        """
        if self._client_or_none is None or self._sessions is None or self._day is None or self.count is None:
            return
        async with self._turn:
            ends_ms = self._sessions.next_open_ms(self._day) + _HOUR_MS
            self._count = await self._client_or_none.rebuild(_name(self._day), self._count, ends_ms)

    async def _reserve_there(self, client: CacheClient, day: date, most: int) -> None:
        for _ in range(2):
            try:
                outcome, count = await client.reserve(_name(day), most)
            except CacheConnection:
                return  # own count stands in; the answer may be lost, so it is not tried again
            except CacheError as error:
                raise _unknown(day) from error
            if outcome == 1:
                self._count = max(self._count, count - 1)
                return
            if outcome == 0:
                self._count = max(self._count, count)
                raise _reached(day, count, most)
            await self._rebuild(day)
            if self._count >= most:
                raise _reached(day, self._count, most)
        raise _unknown(day)

    async def _ready(self) -> date:
        day = self._today_or_refuse()
        if self._day != day:
            await self._rebuild(day)
        return day

    async def _rebuild(self, day: date) -> int:
        if self._loaders.trades_today is None:
            raise _unknown(day)
        try:
            count = await self._loaders.trades_today(day)
        except Exception as error:
            raise _unknown(day) from error
        if self._day == day:
            count = max(count, self._count)
        if self._client is not None and self._sessions is not None:
            try:
                count = await self._client.rebuild(_name(day), count, self._sessions.next_open_ms(day) + _HOUR_MS)
            except CacheConnection:
                pass  # own count stands in
            except CacheError as error:
                raise _unknown(day) from error
        self._day, self._count = day, count
        return count

    def _today(self) -> date | None:
        return None if self._sessions is None else self._sessions.trade_date()

    def _today_or_refuse(self) -> date:
        day = self._today()
        if day is None:
            raise _unknown(None)
        return day


def _name(day: date) -> str:
    return f"{day:%Y%m%d}"


def _reached(day: date, count: int, limit: int) -> TradeLimitExceeded:
    return TradeLimitExceeded(
        found=say("limit_reached", count=count, day=day.isoformat()),
        expected=say("limit_expected", limit=limit),
        hint=say("limit_hint"),
    )


def _unknown(day: date | None) -> TradeLimitExceeded:
    return TradeLimitExceeded(
        found=say("count_unknown", day="?" if day is None else day.isoformat()),
        expected=say("count_expected"),
        hint=say("count_hint"),
    )
