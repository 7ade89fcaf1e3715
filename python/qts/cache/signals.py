"""What other processes tell: which records have changed, who is alive, and that a flush was made."""

import asyncio
import contextlib
import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from qts.cache.contracts import Family
from qts.cache.exceptions import CacheConnection
from qts.cache.keys import Keys, logical
from qts.cache.near import Entry, NearCache
from qts.cache.publisher import QUOTES
from qts.cache.servers import Node, redis_package
from qts.cache.topology import ClusterServers, Servers
from qts.clock import Clock

if TYPE_CHECKING:
    from redis.asyncio import Connection

TRACKED: Final = (Family.STRATEGY, Family.RISK)
"""Families whose changes the server itself tells, expiry included."""
_TOLD: Final = (Family.POSITION, Family.ORDER)
"""Families whose changes their writer tells."""
_SILENCE_NS: Final = 3_000_000_000
_PAUSE_S: Final = 0.1


class Owners:
    """Processes that write, by their heartbeats: one that misses three is dead, and its records are unknown.

    Args:
        clock: measures silence.
        me: this process, whose own records are never doubted here.
    """

    def __init__(self, clock: Clock, me: str) -> None:
        self._clock = clock
        self._me = me
        self._heard: dict[str, int] = {}

    def beat(self, owner: str, sources: list[str]) -> None:
        """Note a heartbeat of a process and the writers in it."""
        if owner == self._me:
            return
        now_ns = self._clock.monotonic_ns()
        for source in sources:
            self._heard[source] = now_ns

    def is_trusted(self, source: str) -> bool:
        """Whether records of a writer may be used: it never beat, or it did within three heartbeats."""
        heard_ns = self._heard.get(source)
        return heard_ns is None or self._clock.monotonic_ns() - heard_ns <= _SILENCE_NS


class Signals:
    """Listens on a connection of its own to each server.

    Whenever one is lost, every record near that this process is not the source of is forgotten: what was told
    meanwhile is lost too.
    """

    def __init__(
        self,
        servers: Servers,
        keys: Keys,
        near: NearCache,
        owners: Owners,
        clock: Clock,
        on_flush: Callable[[str], None],
        on_return: Callable[[str], None],
    ) -> None:
        self._servers = servers
        self._keys = keys
        self._near = near
        self._owners = owners
        self._clock = clock
        self._on_flush = on_flush
        self._on_return = on_return
        self._lost: set[str] = set()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._connections: dict[str, Connection] = {}
        self._heard_ns: dict[str, int] = {}
        self._news = asyncio.Event()
        self.losses = 0
        """How often a connection was lost."""

    @property
    def is_listening(self) -> bool:
        """Whether every server is listened to."""
        return bool(self._servers.nodes) and all(node.name in self._connections for node in self._servers.nodes)

    async def open(self, wait_s: float) -> None:
        """Begin to listen, and wait at most `wait_s` seconds until every server is listened to."""
        self._news.clear()
        self.tend()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                while not self.is_listening:
                    await self._news.wait()
                    self._news.clear()

    def tend(self) -> None:
        """Listen to every server there is, and to none that is gone; give up a connection that has fallen silent."""
        names = {node.name for node in self._servers.nodes}
        for node in self._servers.nodes:
            task = self._tasks.get(node.name)
            if task is None or task.done():
                self._tasks[node.name] = asyncio.ensure_future(self._listen(node))
        for name in set(self._tasks) - names:
            self._tasks.pop(name).cancel()
        now_ns = self._clock.monotonic_ns()
        for name, heard_ns in list(self._heard_ns.items()):
            if now_ns - heard_ns > _SILENCE_NS:
                self._tasks[name].cancel()

    async def ping(self) -> None:
        """Ask every server for a sign of life."""
        for connection in list(self._connections.values()):
            try:
                async with asyncio.timeout(_PAUSE_S):
                    await connection.send_command("PING", check_health=False)
            except (OSError, TimeoutError, redis_package().exceptions.RedisError):
                continue  # whoever reads it sees the end

    async def aclose(self) -> None:
        """Listen no more."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _listen(self, node: Node) -> None:
        errors = redis_package().exceptions
        while True:
            if node.breaker.is_closed:
                with contextlib.suppress(CacheConnection, OSError, errors.RedisError):  # once more, after a pause
                    await self._hear(node)
            await asyncio.sleep(_PAUSE_S)

    async def _hear(self, node: Node) -> None:
        connection = await node.connect()
        try:
            parser: Any = connection._parser  # noqa: SLF001 - there is no other way in
            parser.set_invalidation_push_handler(_as_it_is)
            await self._subscribe(node, connection)
            self._drop_foreign()
            if node.name in self._lost:
                self._lost.remove(node.name)
                self._on_return(node.name)
            self._connections[node.name] = connection
            self._news.set()
            self._heard_ns[node.name] = self._clock.monotonic_ns()
            while True:
                message = await connection.read_response(timeout=math.inf, push_request=True)
                self._heard_ns[node.name] = self._clock.monotonic_ns()
                self._take(message)
        finally:
            self._heard_ns.pop(node.name, None)
            if self._connections.pop(node.name, None) is not None:
                self.losses += 1
                self._lost.add(node.name)
                self._drop_foreign()
            await connection.disconnect(nowait=True)

    async def _subscribe(self, node: Node, connection: "Connection") -> None:
        prefixes = [word for family in TRACKED for word in ("PREFIX", self._keys.pattern(family).removesuffix("*"))]
        await connection.send_command("CLIENT", "TRACKING", "ON", "BCAST", *prefixes, check_health=False)
        await connection.read_response(timeout=math.inf)
        channels = [*(self._keys.channel(family) for family in _TOLD), self._keys.control]
        if isinstance(self._servers, ClusterServers):
            for channel in channels:
                if self._servers.node_of(channel) is node:
                    await connection.send_command("SSUBSCRIBE", channel, check_health=False)
        else:
            await connection.send_command("SUBSCRIBE", *channels, check_health=False)

    def _take(self, message: object) -> None:
        if not isinstance(message, list) or not message:
            return
        kind = str(message[0])
        if kind == "invalidate":
            if message[1] is None:  # everything was deleted
                self._drop_foreign()
                return
            for key in message[1]:
                self._changed(str(key), None)
        elif kind in {"message", "smessage"}:
            told = _parsed(message[2])
            if message[1] == self._keys.control:
                self._control(told)
            else:
                version = told.get("ver")
                self._changed(str(told.get("key", "")), version if isinstance(version, int) else None)

    def _changed(self, key: str, version: int | None) -> None:
        parts = self._keys.split(key)
        if parts is None:
            return
        entry = self._near.last(logical(*parts))
        if entry is not None and not entry.is_held:
            self._near.drop(logical(*parts), older_than=version)

    def _control(self, told: Mapping[str, Any]) -> None:
        if told.get("kind") == "beat":
            sources = told.get("srcs")
            self._owners.beat(
                str(told.get("owner")), [str(src) for src in sources] if isinstance(sources, list) else []
            )
        elif told.get("kind") == "flush":
            self._on_flush(str(told.get("family")))

    def _drop_foreign(self) -> None:
        self._near.drop_all(_is_foreign)


def _is_foreign(key: str, entry: Entry) -> bool:
    return not entry.is_held and not any(key.startswith(logical(family, "x")[:-1]) for family in QUOTES)


def _parsed(text: object) -> Mapping[str, Any]:
    try:
        told = json.loads(str(text))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


async def _as_it_is(message: object) -> object:
    return message
