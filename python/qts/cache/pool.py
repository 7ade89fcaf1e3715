"""Connections to one server: opened ahead and in the background, never on the way of an order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

from qts.cache.exceptions import CacheConnection, PoolExhausted
from qts.cache.messages import say

if TYPE_CHECKING:
    from redis.asyncio import Connection

_REFILL_PAUSE_S: Final = 0.05


class Pool:
    """Idle connections of a server, between a least and a most number.

    Args:
        node: name of the server, for messages.
        connect: returns a connected connection, or raises `CacheConnection`.
        least: connections that are kept open.
        most: connections at once.
        may_connect: asked before each attempt to connect.
        on_failure: told of each attempt that failed.
    """

    def __init__(
        self,
        node: str,
        connect: Callable[[], Awaitable["Connection"]],
        least: int,
        most: int,
        may_connect: Callable[[], bool],
        on_failure: Callable[[str], None],
    ) -> None:
        self._node = node
        self._connect = connect
        self._least = least
        self._most = most
        self._may_connect = may_connect
        self._on_failure = on_failure
        self._idle: deque[Connection] = deque()
        self._waiters: deque[asyncio.Future[Connection]] = deque()
        self._open = 0
        self._wanted = 0
        self._refill: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._is_closed = False
        self._generation = 0
        self._born: dict[int, int] = {}

    @property
    def in_use(self) -> int:
        """Connections that are lent."""
        return self._open - len(self._idle)

    @property
    def open(self) -> int:
        """Connections that are open."""
        return self._open

    @property
    def usage(self) -> float:
        """Share of the most connections that is in use."""
        return self.in_use / self._most

    async def fill(self) -> None:
        """Open the least number of connections, one after the other.

        Raises:
            CacheConnection: the server cannot be reached.
        """
        while self._open < self._least and not self._is_closed:
            await self._add()

    async def acquire(self, wait_s: float) -> "Connection":
        """Return an idle connection, waiting for one at most `wait_s` seconds.

        Raises:
            PoolExhausted: none came free.
        """
        if self._idle:
            return self._idle.pop()
        self._wanted = max(self._wanted, min(self.in_use + 1, self._most))
        self._start_refill()
        waiter: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(wait_s):
                return await waiter
        except TimeoutError:
            self._hand_back(waiter)
            found = say("pool_empty", node=self._node, ms=round(wait_s * 1000))
            raise PoolExhausted(found=found, expected=say("reachable"), hint=say("server_hint")) from None
        except asyncio.CancelledError:
            self._hand_back(waiter)
            raise

    def _hand_back(self, waiter: "asyncio.Future[Connection]") -> None:
        if waiter.done() and not waiter.cancelled():
            self.release(waiter.result())
        else:
            waiter.cancel()

    def release(self, connection: "Connection") -> None:
        """Take a connection back whose replies have all been read."""
        if self._is_closed or self._born.get(id(connection)) != self._generation or not connection.is_connected:
            self.discard(connection)
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def discard(self, connection: "Connection") -> None:
        """Close a connection on which something went wrong, and open another in the background."""
        self._forget(connection)
        self._start_refill()

    def reset(self) -> None:
        """Close every connection, lent ones when they come back: the server is another, or was away."""
        self._generation += 1
        while self._idle:
            self._forget(self._idle.pop())
        self._start_refill()

    async def aclose(self) -> None:
        """Close every connection for good."""
        self._is_closed = True
        if self._refill is not None:
            self._refill.cancel()
            await asyncio.gather(self._refill, return_exceptions=True)
        while self._idle:
            self._forget(self._idle.pop())
        if self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def _forget(self, connection: "Connection") -> None:
        if self._born.pop(id(connection), None) is None:
            return
        self._open -= 1
        task = asyncio.ensure_future(connection.disconnect(nowait=True))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _add(self) -> None:
        generation = self._generation
        connection = await self._connect()
        self._born[id(connection)] = generation
        self._open += 1
        self.release(connection)

    def _start_refill(self) -> None:
        if not self._is_closed and (self._refill is None or self._refill.done()):
            self._refill = asyncio.ensure_future(self._refill_idle())

    async def _refill_idle(self) -> None:
        while not self._is_closed and self._open < max(self._least, self._wanted):
            if not self._may_connect():
                return
            try:
                await self._add()
            except CacheConnection as error:
                self._on_failure(error.found)
                await asyncio.sleep(_REFILL_PAUSE_S)
        self._wanted = 0
