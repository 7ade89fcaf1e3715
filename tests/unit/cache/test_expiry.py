"""Lives, versions and what may lie on a server: nothing immortal, nothing half-written."""

import asyncio
import json
from dataclasses import replace

import pytest
from cache_samples import MAKERS, SYMBOL, D, Server, book, order, position, price, reader, rigged, risk, strategy, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from qts.cache import BadRecord, BadTtl, CacheError, NearCache, OrderState, PutResult
from qts.cache.near import checked_ttl
from qts.cache.scripts import PUT
from qts.clock import SimClock

LIVES = {"price": 100, "orderbook": 50, "position": 1_000, "risk": 5_000, "order": 60_000, "strategy": 60_000}
START_NS = 1_772_600_000 * 10**9


def physical(rig, family: str, encoding: str = "zset") -> list[str]:
    keys = rig.manager.keys
    if family == "orderbook":
        return keys.book(SYMBOL) if encoding == "zset" else [keys.snapshot(SYMBOL)]
    names = {"price": SYMBOL, "position": SYMBOL, "risk": "account", "order": "A-1", "strategy": "rsi"}
    heads = {"price": "price", "position": "pos", "risk": "risk", "order": "ord", "strategy": "strat"}
    return [f"{keys.prefix}{heads[family]}:{names[family]}"]


@pytest.mark.parametrize("family", MAKERS)
def test_t3_a_record_is_gone_when_its_life_is_over_by_the_fake_clock(family):
    clock = SimClock(START_NS)
    near = NearCache(clock)
    near.put(family, MAKERS[family](clock), LIVES[family])
    clock.advance_to(START_NS + (LIVES[family] * 1_000_000) - 1)
    assert near.get(family) is not None
    clock.advance_to(START_NS + LIVES[family] * 1_000_000)
    assert near.get(family) is None


@pytest.mark.parametrize("encoding", ["zset", "snapshot"])
@pytest.mark.parametrize("family", MAKERS)
async def test_t3_every_put_leaves_a_life_on_every_key(server, family, encoding):
    async with rigged("redis", server.port, book_encoding=encoding, ttl_ms={}) as rig:
        for ver in (1, 2):
            await rig.cache.put(MAKERS[family](rig.clock, ver=ver))
            for key in physical(rig, family, encoding):
                assert 0 < server.number("PTTL", key) <= LIVES[family]


@pytest.mark.parametrize("family", ["price", "orderbook", "position"])
async def test_t3_a_record_is_gone_when_its_life_is_over_on_the_server(server, family):
    async with rigged("redis", server.port, ttl_ms={"position": 200}) as rig:
        await rig.cache.put(MAKERS[family](rig.clock))
        keys = physical(rig, family)
        await until(lambda: not server.number("EXISTS", *keys), 0.5, "for the end of a record")


@pytest.mark.parametrize("ttl", [0.1, 0, -1, True, "100", None, 1.0])
def test_t4_a_life_that_is_none_is_refused_before_anything_is_written(ttl):
    near = NearCache(SimClock(START_NS))
    with pytest.raises(BadTtl):
        near.put("pos:1", position(SimClock(START_NS)), ttl)
    assert len(near) == 0
    with pytest.raises(BadTtl):
        checked_ttl(ttl)


@pytest.mark.parametrize("ttl", ["0.1", "0", "-5", "x", "1.5"])
async def test_t4_the_script_refuses_it_too(server, ttl):
    async with rigged("redis", server.port) as rig:
        key = f"{rig.manager.keys.prefix}pos:bad"
        client = rig.manager.client
        [reply] = await client.servers.run([PUT.call([key], ttl, 1, 0, "exec", "ver", 1)], client.warm)
        assert isinstance(reply, CacheError)
        assert server.number("EXISTS", key) == 0


async def test_t5_a_writer_killed_at_any_moment_leaves_no_immortal_key(server, tmp_path):
    """The value and its life are one command on the wire, so cutting the stream anywhere leaves both or neither."""
    async with rigged("redis", server.port) as rig:
        client = rig.manager.client
        node = rig.manager.servers.nodes[0]
        connection = await node.connect()
        packed = b"".join(
            connection.pack_commands([client._write_command(book(rig.clock), renews=False), *[("PING",)] * 2])
        )
        await connection.disconnect()
        text = b"".join(
            connection.pack_commands(
                [
                    ("EVAL", PUT.text, 1, *client._write_command(position(rig.clock), renews=False)[3:]),
                    client._write_command(strategy(rig.clock), renews=False),
                ]
            )
        )
        for stream in (packed, text):
            for cut in range(1, len(stream) + 1, max(1, len(stream) // 25)):
                _, writer = await asyncio.open_connection("127.0.0.1", server.port)
                writer.write(stream[:cut])
                await writer.drain()
                writer.transport.abort()
                for family in ("orderbook", "position", "strategy"):
                    for key in physical(rig, family):
                        assert server.number("PTTL", key) != -1


async def test_t6_the_janitor_deletes_and_reports_what_should_not_be_there(server):
    async with rigged("tiered", server.port) as rig:
        prefix = rig.manager.keys.prefix
        ghosts = {
            f"{prefix}pos:GHOST": ("HSET", f"{prefix}pos:GHOST", "qty", "5"),
            f"{prefix}price:WRONG": ("SET", f"{prefix}price:WRONG", "blob", "PX", "60000"),
            f"{prefix}blob:ever": ("SET", f"{prefix}blob:ever", "x"),
        }
        part = f"{prefix}ord:PART"
        server.ask("HSET", part, "status", "SENT", "ver", "3")
        server.ask("PEXPIRE", part, "60000")
        for command in ghosts.values():
            server.ask(*command)
        server.ask("SET", "another:tenant", "x")
        await rig.cache.put(position(rig.clock))
        assert set(await rig.manager.clean()) == {*ghosts, part}
        assert {report.subject for report in rig.reports if report.code == "GR124"} == {*ghosts, part}
        assert server.number("EXISTS", *ghosts, part) == 0
        assert server.number("EXISTS", "another:tenant", *physical(rig, "position")) == 2
        assert await rig.manager.clean() == []


async def test_a_key_that_never_expires_is_no_answer(server):
    async with rigged("redis", server.port) as rig:
        await rig.cache.put(position(rig.clock))
        [key] = physical(rig, "position")
        server.ask("PERSIST", key)
        rig.store.rows["pos"] = known = position(rig.clock, ver=2, qty=3)
        assert await rig.cache.get_position(SYMBOL) == known
        assert "GR124" in rig.codes()
        assert server.number("PTTL", key) > 0, "the immortal key has given way to a record"


async def test_a_key_of_another_type_fails_the_put_and_misses_the_get(server):
    async with rigged("redis", server.port) as rig:
        [key] = physical(rig, "risk")
        server.ask("SET", key, "a blob", "PX", "60000")
        rig.store.rows["risk"] = known = risk(rig.clock)
        assert await rig.cache.put(risk(rig.clock)) is PutResult.DROPPED
        assert "GR124" in rig.codes()
        assert await rig.cache.get_risk() == known


@pytest.mark.parametrize(
    ("field", "value"), [("qty", "NaN"), ("qty", "-3"), ("ver", "x"), ("src", ""), ("qty", "1e5"), ("avg_price", "0")]
)
async def test_a_record_that_is_not_whole_is_a_miss_and_is_reported(server, field, value):
    async with rigged("redis", server.port) as rig:
        await rig.cache.put(position(rig.clock))
        [key] = physical(rig, "position")
        server.ask("HSET", key, field, value)
        rig.store.rows["pos"] = known = position(rig.clock, ver=5)
        assert await rig.cache.get_position(SYMBOL) == known
        assert "GR124" in rig.codes()


async def test_a_record_of_a_newer_schema_is_a_miss_and_no_fault(server):
    async with rigged("redis", server.port) as rig:
        await rig.cache.put(position(rig.clock))
        [key] = physical(rig, "position")
        server.ask("HSET", key, "sv", "2")
        rig.store.rows["pos"] = known = position(rig.clock, ver=5)
        assert await rig.cache.get_position(SYMBOL) == known
        assert "GR124" not in rig.codes()


async def test_a_large_value_beside_the_records_is_compressed(server):
    async with rigged("redis", server.port) as rig:
        client = rig.manager.client
        for text in ("short", "로그 " * 5_000):
            await client.put_blob("note", text, 10_000)
            assert await client.get_blob("note") == text
        assert server.number("STRLEN", client.keys.blob("note")) < 4_096
        assert await client.get_blob("none") is None


BAD = [
    (price, {"bid": 71_000.0}),
    (price, {"bid": D("NaN")}),
    (price, {"ask": D(70_000)}),
    (price, {"last": D(0)}),
    (price, {"volume": -1}),
    (price, {"ver": 0}),
    (price, {"ver": 2**53}),
    (price, {"src": "x" * 33}),
    (price, {"timestamp": None}),
    (position, {"qty": D(-1)}),
    (position, {"avg_price": D(0)}),
    (position, {"unrealized_pnl": D("Infinity")}),
    (risk, {"remaining_limit": D("0.55")}),
    (risk, {"daily_loss_limit": D(500_000)}),
    (risk, {"exposure_used": D("1.3")}),
    (order, {"status": OrderState.FILLED, "pending_qty": D(1)}),
    (order, {"status": OrderState.UNKNOWN}),
    (order, {"filled_qty": D(3)}),
    (strategy, {"active": "yes"}),
    (strategy, {"params": {"x": 0.5}}),
    (book, {"bids": ((74_900, 1), (75_000, 1))}),
    (book, {"bids": ((75_000, 1), (75_000, 2))}),
    (book, {"bids": ((75_200, 1),)}),
    (book, {"bids": ()}),
    (book, {"sv": 2}),
]


@pytest.mark.parametrize(("maker", "values"), BAD, ids=lambda part: getattr(part, "__name__", str(part)[:40]))
def test_a_record_that_cannot_be_is_refused_with_what_was_found(maker, values):
    with pytest.raises(BadRecord) as caught:
        maker(SimClock(START_NS), **values)
    assert caught.value.found
    assert caught.value.expected
    assert caught.value.hint


async def test_a_record_from_the_future_is_refused():
    async with rigged("memory") as rig:
        with pytest.raises(BadRecord, match="future"):
            await rig.cache.put(position(rig.clock, updated_at=position(rig.clock).updated_at + 10_000))


def test_a_symbol_that_would_mean_something_in_a_key_is_refused():
    clock = SimClock(START_NS)
    for name in ("", "a:b", "{x}", "a*", "x" * 65, "a b"):
        with pytest.raises(BadRecord):
            NearCacheKey(name, clock)


def NearCacheKey(name, _clock):  # noqa: N802
    from qts.cache.contracts import Family
    from qts.cache.keys import logical

    return logical(Family.POSITION, name)


MONEY = st.decimals(min_value=0, max_value=10**12, allow_nan=False, allow_infinity=False, places=4)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pnl=MONEY, qty=st.integers(1, 10**9), avg=MONEY.filter(lambda value: value > 0), ver=st.integers(1, 2**53 - 1))
def test_numbers_cross_the_border_exactly(pnl, qty, avg, ver):
    from qts.cache.codec import decode, encode
    from qts.cache.contracts import Family

    record = position(SimClock(START_NS), unrealized_pnl=-pnl, qty=D(qty), avg_price=avg, ver=ver)
    assert decode(Family.POSITION, SYMBOL, encode(record), "k") == record


class VersionsRise(RuleBasedStateMachine):
    """Writers of the near cache in any order, time passing, records dropped: nobody ever reads an older version."""

    versions = Bundle("versions")

    @initialize()
    def begin(self):
        self.clock = SimClock(START_NS)
        self.near = NearCache(self.clock)
        self.highest = 0
        self.written = 0

    @rule(ver=st.integers(1, 8), src=st.sampled_from(["exec", "loader"]), held=st.booleans(), renews=st.booleans())
    def put(self, ver, src, held, renews):
        record = position(self.clock, ver=ver, src=src)
        before = self.near.get("pos")
        result = self.near.put("pos", record, 100, is_held=held, renews=renews)
        if result is PutResult.WRITTEN:
            assert ver >= self.highest
            assert before is None or ver > before.ver or (renews and before.src == src and before.ver == ver)
            self.highest = ver
            assert self.near.get("pos") is record
        else:
            assert ver <= self.highest
            assert self.near.get("pos") is before

    @rule(wait_ms=st.integers(1, 120))
    def pass_time(self, wait_ms):
        self.clock.advance_to(self.clock.now_ns() + wait_ms * 1_000_000)

    @rule(ver=st.integers(1, 8))
    def told_of(self, ver):
        entry = self.near.last("pos")
        self.near.drop("pos", older_than=ver)
        if entry is not None and entry.record.ver < ver:
            assert self.near.last("pos") is None
            self.highest = 0  # forgotten on purpose: what comes next is read anew

    @invariant()
    def never_older(self):
        seen = self.near.get("pos") if hasattr(self, "near") else None
        assert seen is None or seen.ver == self.highest


TestVersionsRise = VersionsRise.TestCase
TestVersionsRise.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(writes=st.lists(st.tuples(st.integers(1, 6), st.sampled_from(["a", "b"]), st.booleans()), max_size=25))
def test_t9_versions_only_rise_on_the_server_whoever_writes(server, writes):
    async def scenario():
        async with (
            rigged("redis", server.port, account="rise", owns_prefix=False) as one,
            rigged("redis", server.port, account="rise", owns_prefix=False) as two,
        ):
            client = one.manager.client
            [key] = physical(one, "position")
            server.ask("DEL", key)
            seen: list[int] = []
            tasks = []
            for ver, src, first in writes:
                rig = one if first else two
                tasks.append(
                    asyncio.ensure_future(rig.manager.client.put([position(rig.clock, ver=ver, src=src)], client.warm))
                )
                if ver % 3 == 0:
                    await asyncio.sleep(0)
                    reply = server.ask("HGET", key, "ver")
                    if reply.startswith(b"$1"):
                        seen.append(int(reply.split(b"\r\n")[1]))
            results = [result for task in tasks for result in await task]
            assert seen == sorted(seen)
            if writes:
                assert int(server.ask("HGET", key, "ver").split(b"\r\n")[1]) == max(ver for ver, _, _ in writes)
                taken = [
                    ver for (ver, _, _), result in zip(writes, results, strict=True) if result is PutResult.WRITTEN
                ]
                assert len(set(taken)) == len(taken), "no version was written twice"

    asyncio.run(scenario())


async def test_the_owner_renews_and_a_stranger_of_equal_version_does_not(server):
    async with rigged("redis", server.port) as rig:
        client = rig.manager.client
        await client.put([position(rig.clock, ver=4)], client.warm)
        [mine] = await client.put([replace(position(rig.clock, ver=4), qty=D(11))], client.warm, renews=True)
        [other] = await client.put([position(rig.clock, ver=4, src="else")], client.warm, renews=True)
        assert (mine, other) == (PutResult.WRITTEN, PutResult.SUPERSEDED)
        assert (await rig.cache.get_position(SYMBOL)).qty == 11


def test_scores_and_members_lie_as_other_readers_expect(server: Server):
    async def scenario():
        async with rigged("redis", server.port, ttl_ms={"orderbook": 100}) as rig:
            await rig.cache.put(book(rig.clock))
            bid, bid_qty, ask, ask_qty, meta = rig.manager.keys.book(SYMBOL)
            assert server.ask("ZREVRANGE", bid, 0, 0, "WITHSCORES") == b"*2\r\n$5\r\n75000\r\n$5\r\n75000\r\n"
            assert server.ask("HGET", bid_qty, "74800") == b"$4\r\n5000\r\n"
            assert server.ask("ZRANGE", ask, 0, 0) == b"*1\r\n$5\r\n75100\r\n"
            assert server.ask("HGET", ask_qty, "75100") == b"$3\r\n900\r\n"
            assert server.ask("HGET", meta, "depth") == b"$1\r\n3\r\n"

    asyncio.run(scenario())


async def test_strategy_parameters_are_plain_json(server):
    async with rigged("redis", server.port) as rig:
        await rig.cache.put(strategy(rig.clock))
        [key] = physical(rig, "strategy")
        body = server.ask("HGET", key, "params").split(b"\r\n")[1]
        assert json.loads(body)["position_size"] == 0.02
        assert await reader(rig.cache, "strategy")() == strategy(
            rig.clock, updated_at=(await rig.cache.get_strategy("rsi")).updated_at
        )
