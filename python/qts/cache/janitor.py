"""Looks after the server: its settings, its clock, its memory, and keys that should not be there."""

import asyncio
from collections.abc import Mapping
from typing import Final

from qts.cache.client import CacheClient
from qts.cache.contracts import Family
from qts.cache.exceptions import CacheConnection, CacheError
from qts.cache.messages import say
from qts.cache.metrics import CacheMetrics
from qts.cache.reports import Reports
from qts.cache.servers import Node
from qts.clock import Clock

_NS_PER_MS: Final = 1_000_000
_LEAST_VERSION: Final = 7
_TRIES: Final = 10_000
_SELF_TEST_MS: Final = 50
_SELF_TEST_WAIT_S: Final = 0.08
_HASHES: Final = frozenset({Family.PRICE, Family.POSITION, Family.RISK, Family.ORDER, Family.STRATEGY})


class Janitor:
    """Checks servers when they are first used and now and then afterwards."""

    def __init__(self, client: CacheClient, clock: Clock, metrics: CacheMetrics, reports: Reports) -> None:
        self._client = client
        self._clock = clock
        self._metrics = metrics
        self._reports = reports

    async def inspect(self, node: Node) -> float:
        """Check version and settings of a server, then write, read and expire a key.

        Returns:
            Offset of its clock in milliseconds.

        Raises:
            CacheError: the server does not do what the cache needs.
        """
        about, memory, durable = await self._infos(node)
        version = about.get("redis_version", "0")
        if int(version.partition(".")[0]) < _LEAST_VERSION:
            raise _unfit(node, say("server_version", node=node.name, value=version), say("server_version_expected"))
        policy = memory.get("maxmemory_policy", "")
        if memory.get("maxmemory") != "0" and not policy.startswith("volatile"):
            raise _setting(node, "maxmemory-policy", policy, "volatile-ttl")
        if durable.get("aof_enabled") != "0":
            raise _setting(node, "appendonly", "yes", "no")
        [saves] = await node.call([("CONFIG", "GET", "save")], self._client.bulk)
        if isinstance(saves, dict) and saves.get("save"):  # a user who may not ask is told nothing
            raise _setting(node, "save", saves["save"], '""')
        await self._self_test(node)
        return await self.measure(node)

    async def _infos(self, node: Node) -> list[Mapping[str, str]]:
        commands = [("INFO", section) for section in ("server", "memory", "persistence")]
        replies = await node.call(commands, self._client.bulk)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return [dict(_pair(line) for line in str(reply).splitlines() if ":" in line) for reply in replies]

    async def _self_test(self, node: Node) -> None:
        key = node_key(self._client, node)
        token = str(self._clock.now_ns())
        replies = await node.call([("SET", key, token, "PX", _SELF_TEST_MS), ("GET", key)], self._client.bulk)
        if replies[1] != token:
            raise _unfit(node, say("self_test", node=node.name, what=repr(replies)), say("self_test_expected"))
        await asyncio.sleep(_SELF_TEST_WAIT_S)
        [gone] = await node.call([("GET", key)], self._client.bulk)
        if gone is not None:
            raise _unfit(node, say("self_test", node=node.name, what=repr(gone)), say("self_test_expected"))

    async def measure(self, node: Node) -> float:
        """Return the offset of a server's clock in milliseconds, and report it if it is too large.

        The server's time is compared with the middle of the round trip, and half of that is the doubt that is left.
        """
        best: tuple[int, int] | None = None
        for _ in range(3):
            start_ns, wall_ns = self._clock.monotonic_ns(), self._clock.now_ns()
            [reply] = await node.call([("TIME",)], self._client.bulk)
            trip_ns = self._clock.monotonic_ns() - start_ns
            there_ns = int(reply[0]) * 1_000_000_000 + int(reply[1]) * 1_000
            offset_ns = there_ns - (wall_ns + trip_ns // 2)
            if best is None or trip_ns < best[0]:
                best = (trip_ns, offset_ns)
        trip_ns, offset_ns = best or (0, 0)
        certain_ns = max(0, abs(offset_ns) - trip_ns // 2)
        offset_ms = certain_ns / _NS_PER_MS * (1 if offset_ns >= 0 else -1)
        self._metrics.clock_offset_ms = offset_ms
        return offset_ms

    async def gauge(self) -> None:
        """Note connections and memory in use, and the state of each breaker."""
        for node in list(self._client.servers.nodes):
            gauges = self._metrics.gauges
            gauges["pool_in_use_ratio", node.name] = node.pool.usage
            gauges["breaker_state", node.name] = float(not node.breaker.is_closed)
            try:
                _, memory, _ = await self._infos(node)
            except CacheError:
                continue
            most = int(memory.get("maxmemory", "0"))
            gauges["memory_ratio", node.name] = int(memory.get("used_memory", "0")) / most if most else 0.0

    async def clean(self) -> list[str]:
        """Delete and report keys of the prefix that never expire, are of a wrong type or hold part of a record."""
        bad: list[str] = []
        async for node, keys in self._client.scan():
            commands = [command for key in keys for command in (("PTTL", key), ("TYPE", key))]
            replies = await node.call(commands, self._client.bulk)
            hashes = []
            for key, left_ms, kind in zip(keys, replies[::2], replies[1::2], strict=True):
                if left_ms == -1:
                    await self._delete(node, key, say("unreadable", key=key, name="PTTL", value=-1))
                    bad.append(key)
                elif self._is_wrong(key, str(kind)):
                    await self._delete(node, key, say("wrong_type", key=key))
                    bad.append(key)
                elif kind == "hash" and self._holds_record(key):
                    hashes.append(key)
            for key in await self._ghosts(node, hashes):
                await self._delete(node, key, say("missing_field", key=key, name="ver"))
                bad.append(key)
        return bad

    async def _ghosts(self, node: Node, keys: list[str]) -> list[str]:
        if not keys:
            return []
        replies = await node.call([("HMGET", key, "ver", "sv", "src") for key in keys], self._client.bulk)
        return [
            key
            for key, reply in zip(keys, replies, strict=True)
            if isinstance(reply, list) and None in reply and reply != [None, None, None]
        ] + await self._bare(node, [key for key, reply in zip(keys, replies, strict=True) if reply == [None] * 3])

    async def _bare(self, node: Node, keys: list[str]) -> list[str]:
        """Return the hashes without any of these fields that have not just expired."""
        if not keys:
            return []
        replies = await node.call([("EXISTS", key) for key in keys], self._client.bulk)
        return [key for key, exists in zip(keys, replies, strict=True) if exists == 1]

    def _is_wrong(self, key: str, kind: str) -> bool:
        parts = self._client.keys.split(key)
        return parts is not None and parts[0] in _HASHES and kind not in {"hash", "none"}

    def _holds_record(self, key: str) -> bool:
        parts = self._client.keys.split(key)
        return parts is not None and (parts[0] in _HASHES or key.endswith(":meta"))

    async def _delete(self, node: Node, key: str, found: str) -> None:
        self._metrics.immortal_keys += 1
        self._reports.once("GR124", key, found)
        try:
            await node.call([("UNLINK", key)], self._client.bulk)
        except CacheConnection:
            return  # the next round finds it again


def node_key(client: CacheClient, node: Node) -> str:
    """Return a key for probes that the node serves; what is added to it stays in its slot."""
    owner_of = getattr(client.servers, "node_of", None)
    for number in range(_TRIES):
        key = f"{client.keys.probe}:{{{number}}}"
        if owner_of is None or owner_of(key) is node:
            return key
    raise node.failure("no slot")


def _pair(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value


def _unfit(_node: Node, found: str, expected: str) -> CacheError:
    return CacheError(found=found, expected=expected, hint=say("setting_hint"))


def _setting(node: Node, name: str, value: object, expected: str) -> CacheError:
    return _unfit(node, say("server_setting", node=node.name, name=name, value=repr(value)), f"{name} {expected}")
