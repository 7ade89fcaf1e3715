"""Which server a command goes to: the only one, the master that sentinels name, or the node of a slot."""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any, Final

from qts.cache.breaker import CircuitBreaker
from qts.cache.exceptions import CacheConnection, CacheError, CircuitOpen
from qts.cache.messages import say
from qts.cache.scripts import Command
from qts.cache.servers import Address, Node, Profile, Reply, redis_package
from qts.clock import Clock
from qts.config import CacheSettings

_KEY_AT: Final = {"EVALSHA": 3, "EVAL": 3}
_SLOTS: Final = 16_384
_MOVED_UNDER: Final = "non local key"
"""A script replaced a key of a slot that is moving: what is deleted here is written at the other place."""
_HOPS: Final = 3
"""Times that a command follows a slot that moves."""

MakeBreaker = Callable[[str], CircuitBreaker]


class Servers:
    """One server. The base of what sentinels and clusters need on top.

    Args:
        config: the cache's settings.
        password: of the servers, None if they have none.
        clock: measures calls.
        breaker: makes the breaker of a node.
        on_master: told when the place of a master has changed, which may have lost writes.
    """

    def __init__(
        self,
        config: CacheSettings,
        password: str | None,
        clock: Clock,
        breaker: MakeBreaker,
        on_master: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.config = config
        self.password = password
        self.clock = clock
        self.on_master = on_master
        self._breaker = breaker
        self.nodes: list[Node] = []

    async def open(self) -> None:
        """Find the servers and open the least number of connections to each.

        Raises:
            CacheConnection: there is none.
        """
        await self.locate()
        for node in self.nodes:
            await node.pool.fill()

    async def locate(self) -> None:
        """Find out where the servers are; connections to places that are left are closed."""
        if not self.nodes:
            self.nodes = [self.node_at((self.config.redis_host, self.config.redis_port))]

    async def aclose(self) -> None:
        """Close every connection."""
        for node in self.nodes:
            await node.pool.aclose()

    def node_at(self, address: Address) -> Node:
        """Return a new node."""
        return Node(address, self.config, self.password, self.clock, self._breaker(f"{address[0]}:{address[1]}"))

    @property
    def are_closed(self) -> bool:
        """Whether every breaker lets calls pass."""
        return bool(self.nodes) and all(node.breaker.is_closed for node in self.nodes)

    async def run(
        self,
        commands: Sequence[Command],
        profile: Profile,
        *,
        repeats: bool = True,
        failures: list[CacheConnection] | None = None,
    ) -> list[Reply]:
        """Run commands in one round trip to each server that is concerned and return their replies in order.

        Args:
            commands: each with its first key as first argument, or a script's call.
            profile: deadline and attempts.
            repeats: whether running a command twice does no harm.
            failures: takes the failed attempts before the one that succeeded, whose commands may have run.

        Returns:
            Replies; a `CacheError` stands for a command that the server refused.

        Raises:
            CircuitOpen, CacheTimeout, CacheConnection: no answer; the commands may or may not have run.
        """
        attempt, wait_s = 1, profile.wait_s
        while True:
            try:
                return await self._once(commands, profile)
            except CircuitOpen:
                raise
            except CacheConnection as error:
                if attempt >= profile.attempts or not repeats:
                    raise
                if failures is not None:
                    failures.append(error)
            attempt += 1
            await asyncio.sleep(wait_s * random.uniform(0.5, 1.5) if profile.grows else wait_s)  # noqa: S311
            wait_s = wait_s * 2 if profile.grows else wait_s

    async def _once(self, commands: Sequence[Command], profile: Profile) -> list[Reply]:
        return await self.nodes[0].call(commands, profile) if self.nodes else self._nowhere()

    def _nowhere(self) -> list[Reply]:
        place = f"{self.config.redis_host}:{self.config.redis_port}"
        found = say("unreachable", node=place, reason="not connected")
        raise CacheConnection(found=found, expected=say("reachable"), hint=say("server_hint"))


class SentinelServers(Servers):
    """The master that the sentinels name."""

    async def locate(self) -> None:
        """Ask the sentinels, in turn, where the master is."""
        address = await self._ask()
        if self.nodes and self.nodes[0].address == address:
            return
        old, self.nodes = self.nodes, [self.node_at(address)]
        for node in old:
            await node.pool.aclose()
        if old:
            await self.nodes[0].pool.fill()
            self.on_master(self.nodes[0].name)

    async def _ask(self) -> Address:
        config = self.config
        addresses = config.sentinel_nodes or (f"{config.redis_host}:{config.redis_port}",)
        asker = self.nodes[0] if self.nodes else self.node_at((config.redis_host, config.redis_port))
        failure: CacheConnection | None = None
        for text in addresses:
            host, _, port = text.rpartition(":")
            try:
                reply = await _ask_once(asker, (host, int(port)), ("SENTINEL", "MASTER", config.sentinel_service))
            except CacheConnection as error:
                failure = error
                continue
            master = dict(zip(reply[::2], reply[1::2], strict=True)) if isinstance(reply, list) else reply
            flags = str(master.get("flags", ""))
            if "o_down" not in flags and "disconnected" not in flags:
                return str(master["ip"]), int(master["port"])
            failure = asker.failure(f"sentinel {text}: {flags}")
        raise failure or asker.failure("no sentinel")


async def _ask_once(asker: Node, address: Address, command: Command) -> Any:  # noqa: ANN401 - a reply of the server
    """Ask a server one thing on a connection of its own; error replies are failures too."""
    connection = await asker.connect(address, db=0)
    errors = redis_package().exceptions
    try:
        async with asyncio.timeout(asker.connect_timeout_s):
            [reply] = await asker.converse(connection, [command])
    except (OSError, TimeoutError, errors.RedisError) as error:
        raise asker.failure(error) from error
    finally:
        await connection.disconnect(nowait=True)
    if isinstance(reply, Exception):
        raise asker.failure(reply)
    return reply


class ClusterServers(Servers):
    """The masters of a cluster, each with the slots it serves."""

    def __init__(
        self,
        config: CacheSettings,
        password: str | None,
        clock: Clock,
        breaker: MakeBreaker,
        on_master: Callable[[str], None] = lambda _: None,
    ) -> None:
        super().__init__(config, password, clock, breaker, on_master)
        self._owners: list[Node | None] = [None] * _SLOTS
        import redis.crc

        self._slot_of: Callable[[bytes], int] = redis.crc.key_slot

    def slot(self, key: str) -> int:
        """Return the slot of a key."""
        return self._slot_of(key.encode())

    def node_of(self, key: str) -> Node | None:
        """Return the node that serves a key."""
        return self._owners[self.slot(key)]

    async def locate(self) -> None:
        """Ask the first node that answers which node serves which slots."""
        asker = self.nodes[0] if self.nodes else self.node_at((self.config.redis_host, self.config.redis_port))
        seeds = [node.address for node in self.nodes] + [(self.config.redis_host, self.config.redis_port)]
        failure: CacheConnection | None = None
        for seed in seeds:
            try:
                rows = await _ask_once(asker, seed, ("CLUSTER", "SLOTS"))
            except CacheConnection as error:
                failure = error
                continue
            await self._take(rows, seed)
            return
        raise failure or asker.failure("no node")

    async def _take(self, rows: Sequence[Sequence[Any]], seed: Address) -> None:
        before = {node.address: node for node in self.nodes}
        masters: dict[Address, Node] = {}
        owners: list[Node | None] = [None] * _SLOTS
        for first, last, master, *_replicas in rows:
            address = (str(master[0] or seed[0]), int(master[1]))
            node = masters.setdefault(address, before.get(address) or self.node_at(address))
            owners[int(first) : int(last) + 1] = [node] * (int(last) - int(first) + 1)
        changed = bool(before) and set(before) != set(masters)
        self._owners, self.nodes = owners, list(masters.values())
        for address, node in before.items():
            if address not in masters:
                await node.pool.aclose()
        if changed:
            for address, node in masters.items():
                if address not in before:
                    await node.pool.fill()
                    self.on_master(node.name)

    async def _once(self, commands: Sequence[Command], profile: Profile) -> list[Reply]:
        groups: dict[Node, list[int]] = {}
        for at, command in enumerate(commands):
            node = self.node_of(str(command[_KEY_AT.get(str(command[0]), 1)]))
            if node is None:
                return self._nowhere()
            groups.setdefault(node, []).append(at)
        replies: list[Reply] = [None] * len(commands)
        calls = [self._group(node, [commands[at] for at in places], profile) for node, places in groups.items()]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        for places, answer in zip(groups.values(), answers, strict=True):
            if isinstance(answer, BaseException):
                raise answer
            for at, reply in zip(places, answer, strict=True):
                replies[at] = reply
        return replies

    async def _group(self, node: Node, commands: Sequence[Command], profile: Profile) -> list[Reply]:
        """Run commands on one node, and those whose slot has moved on the node it has moved to."""
        replies = await node.call(commands, profile)
        errors = redis_package().exceptions
        for at, reply in enumerate(replies):
            if isinstance(reply, CacheError) and _MOVED_UNDER in reply.found:
                [reply] = await node.call([commands[at]], profile)
            for _hop in range(_HOPS):
                if not isinstance(reply, errors.AskError):  # a move is one as well
                    break
                target = await self._target(reply)
                asks = type(reply) is errors.AskError
                lead: list[Command] = [("ASKING",)] if asks else []
                reply = (await target.call([*lead, commands[at]], profile))[-1]
                if not asks:
                    self._owners[self.slot(str(commands[at][_KEY_AT.get(str(commands[at][0]), 1)]))] = target
            replies[at] = reply
        return replies

    async def _target(self, moved: Any) -> Node:  # noqa: ANN401 - an error of the client library
        address = (str(moved.host), int(moved.port))
        for node in self.nodes:
            if node.address == address:
                return node
        node = self.node_at(address)
        await node.pool.fill()
        self.nodes.append(node)
        return node


def servers_for(config: CacheSettings) -> type[Servers]:
    """Return the kind of servers that the settings name."""
    return {"single": Servers, "sentinel": SentinelServers, "cluster": ClusterServers}[config.redis_mode]
