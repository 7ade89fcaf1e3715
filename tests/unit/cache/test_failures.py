"""The server is killed, silent, slow or another one: the engine goes on, and nothing stale is taken for fresh."""

import asyncio
import socket
import statistics
import time

import pytest
from cache_samples import (
    DAY,
    SHIPPED,
    SYMBOL,
    D,
    JumpClock,
    Server,
    Store,
    book,
    free_port,
    order,
    position,
    price,
    rigged,
    risk,
    settings,
    strategy,
    until,
)

from qts.cache import (
    AuthorityUnavailable,
    BreakerState,
    CacheStaleData,
    CircuitBreaker,
    FallbackOverload,
    FeedHealth,
    OrderState,
    PriceDataUnavailable,
    PutResult,
    Readiness,
    TradeLimitExceeded,
)
from qts.clock import SimClock

START_NS = 1_772_600_000 * 10**9


def breaker(clock, **values) -> tuple[CircuitBreaker, list[str]]:
    seen: list[str] = []
    made = CircuitBreaker(
        "n", settings(breaker={"jitter_pct": 0} | values), clock, lambda _, state, why: seen.append(f"{state} {why}")
    )
    return made, seen


def test_t10_five_failures_open_it_a_minute_tries_it_and_three_successes_close_it():
    clock = SimClock(START_NS)
    node, seen = breaker(clock)
    for _ in range(4):
        node.failed("down")
    node.succeeded()
    for _ in range(4):
        node.failed("down")
    assert node.state is BreakerState.CLOSED
    node.failed("down")
    assert node.state is BreakerState.OPEN
    clock.advance_to(START_NS + 60 * 10**9 - 1)
    assert not node.is_due()
    clock.advance_to(START_NS + 60 * 10**9)
    assert node.is_due()
    assert node.state is BreakerState.HALF_OPEN
    assert [node.probed(success=True) for _ in range(3)] == [False, False, True]
    node.close()
    assert seen == ["OPEN down", "HALF_OPEN recovery_timeout", "CLOSED recovered"]


def test_t10_one_failed_probe_opens_it_again_for_the_full_time():
    clock = SimClock(START_NS)
    node, _ = breaker(clock)
    for _ in range(5):
        node.failed("down")
    clock.advance_to(START_NS + 60 * 10**9)
    assert node.is_due()
    assert node.probed(success=True) is False
    assert node.probed(success=False) is False
    assert node.state is BreakerState.OPEN
    clock.advance_to(START_NS + 119 * 10**9)
    assert not node.is_due()
    clock.advance_to(START_NS + 120 * 10**9)
    assert node.is_due()
    assert [node.probed(success=True) for _ in range(3)] == [False, False, True], "earlier successes do not count"


def test_half_of_fifty_slow_calls_open_it_and_warm_ones_do_not_count():
    clock = SimClock(START_NS)
    node, seen = breaker(clock)
    for at in range(49):
        node.succeeded(6_000_000 if at % 2 else 1_000_000, is_hot=True)
        node.succeeded(90_000_000)
    assert node.is_closed
    node.succeeded(6_000_000, is_hot=True)
    assert seen == ["OPEN slow"]


def test_jitter_moves_the_time_by_its_share_and_no_more():
    for sign, expected in ((-1, 54), (1, 66)):
        clock = SimClock(START_NS)
        node = CircuitBreaker("n", settings(), clock, jitter=lambda sign=sign: sign)
        for _ in range(5):
            node.failed("down")
        clock.advance_to(START_NS + expected * 10**9 - 1)
        assert not node.is_due()
        clock.advance_to(START_NS + expected * 10**9)
        assert node.is_due()


class BlackHole:
    """A server that accepts and never answers, from the moment it is told to."""

    def __init__(self) -> None:
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]

    def close(self) -> None:
        self.listener.close()


class Relay:
    """Between cache and server; from the moment it is told to it reads and passes nothing on."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.is_dark = False
        self.port = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def serve(self, reader, writer):
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.target)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.ensure_future(self.pump(source, sink))
            self.tasks.add(task)

    async def pump(self, source, sink):
        try:
            while data := await source.read(65_536):
                if not self.is_dark:
                    sink.write(data)
                    await sink.drain()
        except OSError:
            return
        finally:
            sink.close()


async def test_t12_a_server_that_accepts_and_never_answers_costs_the_deadline_and_no_more(server):
    async with Relay(server.port) as relay, rigged("redis", relay.port, pool_min_connections=10, **SHIPPED) as rig:
        relay.is_dark = True
        took = []
        for _ in range(8):
            start = time.perf_counter()
            with pytest.raises(PriceDataUnavailable):
                await rig.cache.get_price(SYMBOL)
            took.append((time.perf_counter() - start) * 1000)
        assert statistics.median(took) < 6, took
        assert "GR120" in rig.codes(), "five of them open the breaker"
        start = time.perf_counter()
        with pytest.raises(PriceDataUnavailable):
            await rig.cache.get_price(SYMBOL)
        assert (time.perf_counter() - start) * 1000 < 2, "and then the server is not even asked"


async def test_t12_a_black_hole_at_the_start_does_not_hold_the_engine_up():
    hole = BlackHole()
    try:
        async with rigged("tiered", hole.port, socket_connect_timeout_ms=100, **SHIPPED) as rig:
            assert rig.manager.ready().state is Readiness.DEGRADED
            rig.cache.push_price(price(rig.clock))
            assert (await rig.cache.get_price(SYMBOL)).last == 71_000
    finally:
        hole.close()


async def test_t11_a_server_killed_under_load_leaves_no_stale_entry_and_comes_back_without_a_restart(own_server):
    store = Store()
    async with rigged("tiered", own_server.port, store=store, breaker={"jitter_pct": 0}, **SHIPPED) as rig:
        rig.cache.hold(position(rig.clock, ver=1))
        rig.cache.hold(risk(rig.clock, ver=2))
        took: list[float] = []
        wrong: list[object] = []
        refused = 0
        ver = 1

        async def trade(seconds: float, *, feed: bool) -> None:
            nonlocal ver, refused
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                ver += 1
                if feed:
                    rig.cache.push_price(price(rig.clock, ver=ver))
                start = time.perf_counter()
                try:
                    seen = await rig.cache.get_precheck(SYMBOL)
                    age = rig.clock.now_ns() // 10**6 - seen.price.timestamp
                    if age > 101 or seen.position.qty != 10:
                        wrong.append(seen)
                except (PriceDataUnavailable, CacheStaleData):
                    refused += 1
                took.append((time.perf_counter() - start) * 1000)
                await asyncio.sleep(0.001)

        await trade(0.3, feed=True)
        own_server.kill()
        for _ in range(3):  # another process may take the machine for a while, but not each time
            took.clear()
            await trade(0.4, feed=True)
            if statistics.quantiles(took, n=100)[98] < 10:
                break
        assert statistics.quantiles(took, n=100)[98] < 10, max(took)
        await until(lambda: "GR120" in rig.codes(), 5, "for the breaker")
        assert rig.manager.ready().state is Readiness.DEGRADED
        before = refused
        await trade(0.4, feed=False)
        assert refused > before, "once the feed is silent, entries are refused"
        assert wrong == []
        rig.cache.hold(held := position(rig.clock, ver=9, qty=10))
        own_server.start()
        rig.clock.jump(61)
        await until(lambda: rig.manager.ready().state is Readiness.READY, 10, "for recovery")
        [copy] = await rig.manager.client.get([_query()], rig.manager.client.warm)
        assert copy.record.ver == held.ver, "what this process is the source of was published again first"
        assert any(report.code == "GR120" and report.is_over for report in rig.reports)


def _query():
    from qts.cache.client import Query
    from qts.cache.contracts import Family

    return Query(Family.POSITION, SYMBOL)


async def test_position_and_order_writes_wait_for_a_dead_server_and_quotes_do_not(own_server):
    async with rigged("tiered", own_server.port, breaker={"jitter_pct": 0}) as rig:
        own_server.kill()
        for ver in range(1, 8):
            rig.cache.push_price(price(rig.clock, ver=ver))
            rig.cache.hold(order(rig.clock, ver=ver))
            await rig.manager._publisher.write_pending()
        assert rig.manager._publisher.backlog == 1, "the newest state of the order, and no quote"
        assert rig.cache.metrics.writes["price", "l1_dropped"] > 0
        own_server.start()
        rig.clock.jump(61)
        await until(lambda: rig.manager.ready().state is Readiness.READY, 10, "for recovery")
        key = f"{rig.manager.keys.prefix}ord:A-1"
        await until(lambda: own_server.ask("HGET", key, "ver") == b"$1\r\n7\r\n", 5, "for the order")


async def test_a_paused_server_is_slow_and_not_waited_for(own_server):
    async with rigged("tiered", own_server.port, **SHIPPED) as rig:
        rig.store.rows["pos"] = position(rig.clock)
        own_server.ask("CLIENT", "PAUSE", 1_000, "ALL")
        start = time.perf_counter()
        assert (await rig.cache.get_position(SYMBOL, budget_ms=500)).qty == 10
        assert (time.perf_counter() - start) < 0.1, "the store answered instead"


async def test_a_server_that_sleeps_answers_warm_readers_in_a_later_attempt(own_server):
    async with rigged("redis", own_server.port, socket_timeout_ms=100) as rig:
        await rig.cache.put(risk(rig.clock))
        sleeper = asyncio.to_thread(own_server.ask, "DEBUG", "SLEEP", "0.15")
        task = asyncio.ensure_future(sleeper)
        await asyncio.sleep(0.03)
        assert (await rig.cache.get_risk()).ver == 1
        await task
        assert "risk" not in rig.store.asked[1:]


async def test_a_server_that_is_away_at_the_start_is_joined_later(tmp_path):
    made = Server(tmp_path / "late", port=free_port())
    async with rigged("tiered", made.port, breaker={"jitter_pct": 0}) as rig:
        assert rig.manager.ready().state is Readiness.DEGRADED
        made.start()
        rig.clock.jump(67)  # should the breaker have opened meanwhile
        try:
            await until(lambda: rig.manager.ready().state is Readiness.READY, 10, "for the server")
        finally:
            await rig.manager.stop()
            made.stop()


async def test_several_processes_stay_off_without_their_server():
    async with rigged("tiered", free_port(), is_sole=False) as rig:
        state = rig.manager.ready()
        assert state.state is Readiness.OFF
        assert "cache server" in state.reason


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--appendonly", "yes"), "appendonly"),
        (("--save", "60", "1"), "save"),
        (("--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"), "maxmemory-policy"),
    ],
)
async def test_a_server_that_would_lose_or_keep_the_wrong_things_is_refused(tmp_path, options, expected):
    unfit = Server(tmp_path / "unfit", *options).start()
    try:
        async with rigged("tiered", unfit.port) as rig:
            state = rig.manager.ready()
            assert state.state is Readiness.DEGRADED
            assert expected in state.reason
            assert not rig.manager.tiers.may_read_server
    finally:
        unfit.stop()


async def test_a_wrong_password_is_told_and_the_engine_goes_on(tmp_path):
    locked = Server(tmp_path / "locked", "--requirepass", "right").start()
    try:
        async with rigged("tiered", locked.port) as rig:
            assert rig.manager.ready().state is Readiness.DEGRADED
            assert "uthentic" in rig.manager.ready().reason
    finally:
        locked.kill()


async def test_a_user_who_may_do_no_more_than_the_cache_needs_is_enough(own_server):
    rights = ("~test:acl:*", "&test:acl:*", "+@all", "-flushall", "-flushdb", "-keys", "-config")
    assert own_server.ask("ACL", "SETUSER", "qts", "on", ">secret", *rights) == b"+OK\r\n"
    user = {"redis_username": "qts", "password": "secret"}
    async with rigged("tiered", own_server.port, account="acl", ports={"entries_closed": lambda: True}, **user) as rig:
        assert rig.manager.ready().state is Readiness.READY
        await rig.cache.put(position(rig.clock))
        assert await rig.manager.clean() == []
        assert await rig.manager.flush("kim", "test", None) >= 1
        assert "GR120" not in rig.codes()
    async with rigged("tiered", own_server.port, account="foreign", **user) as rig:
        assert rig.manager.ready().state is Readiness.DEGRADED, "another prefix is not its own"


async def test_what_the_owner_holds_stays_near_when_the_server_has_the_same_already(server):
    async with rigged("tiered", server.port) as rig:
        rig.cache.hold(position(rig.clock, ver=3))
        await rig.cache.drained()
        assert await rig.cache.put(position(rig.clock, ver=3)) is PutResult.SUPERSEDED
        assert rig.manager.near.get(f"pos:{SYMBOL}") is not None


async def test_a_refusal_while_the_store_is_asked_does_not_outlast_the_budget():
    async with rigged("memory") as rig:
        rig.store.gate = asyncio.Event()
        start = time.perf_counter()
        with pytest.raises(AuthorityUnavailable, match="no time left"):
            await rig.cache.get_position(SYMBOL, budget_ms=10)
        assert time.perf_counter() - start < 0.1
        with pytest.raises(AuthorityUnavailable, match="no time left"):
            await rig.cache.get_position("000660", budget_ms=0)
        assert rig.store.asked.count("pos") == 1
        rig.store.gate.set()


async def test_no_more_queries_at_once_than_allowed_and_an_overload_is_told():
    async with rigged("memory") as rig:
        rig.store.gate = asyncio.Event()
        waiting = [asyncio.ensure_future(rig.cache.get_position(f"{at:06}")) for at in range(8)]
        await until(lambda: rig.store.asked.count("pos") == 8)
        with pytest.raises(AuthorityUnavailable, match="8 queries"):
            await rig.cache.get_position("999999")
        assert "GR125" not in rig.codes()
        rig.clock.jump(5.1)
        with pytest.raises(AuthorityUnavailable):
            await rig.cache.get_position("999999")
        assert "GR125" in rig.codes()
        assert rig.manager.is_overloaded
        rig.store.gate.set()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert not rig.manager.is_overloaded
        assert isinstance(FallbackOverload(found="x"), Exception)


async def test_fs115_when_nobody_can_tell_the_state_of_the_account_for_a_second():
    async with rigged("memory") as rig:
        rig.store.failure = OSError("down")
        for seconds in (0, 0.9):
            rig.clock.jump(seconds)
            with pytest.raises(AuthorityUnavailable):
                await rig.cache.get_position(SYMBOL)
        assert "FS115" not in rig.codes()
        rig.clock.jump(0.2)
        with pytest.raises(AuthorityUnavailable):
            await rig.cache.get_position(SYMBOL)
        assert "FS115" in rig.codes()
        rig.store.failure = None
        rig.store.rows["pos"] = position(rig.clock)
        await rig.cache.get_position(SYMBOL)
        assert rig.reports[-1].code == "FS115"
        assert rig.reports[-1].is_over


async def test_fs115_is_no_matter_of_one_symbol_nor_of_the_night():
    async with rigged("memory") as rig:
        await rig.cache.put(position(rig.clock, symbol="000660"))
        for _ in range(3):
            with pytest.raises(AuthorityUnavailable):
                await rig.cache.get_position(SYMBOL)
            rig.clock.jump(0.4)
            await rig.cache.put(position(rig.clock, symbol="000660", ver=2 + _))
            await rig.cache.get_position("000660")
        rig.days.open = False
        for _ in range(3):
            with pytest.raises(AuthorityUnavailable):
                await rig.cache.get_position(SYMBOL)
            rig.clock.jump(1)
        assert "FS115" not in rig.codes()


async def test_fs116_when_the_servers_copy_differs_on_two_looks_at_equal_version(server):
    async with rigged("tiered", server.port) as rig:
        await asyncio.sleep(0)
        rig.cache.hold(position(rig.clock, ver=3))
        await rig.cache.drained()
        await rig.manager._check_positions()
        assert "FS116" not in rig.codes()
        key = f"{rig.manager.keys.prefix}pos:{SYMBOL}"

        def falsify() -> bool:
            server.ask("HSET", key, "qty", "99")
            return "FS116" in rig.codes()

        await until(falsify, 5, "for the second look")
        await until(lambda: any(r.code == "FS116" and r.is_over for r in rig.reports), 5, "for the owner to renew it")


async def test_a_stale_price_is_refused_at_every_age_and_a_step_of_the_wall_clock_does_not_refresh_it():
    async with rigged("memory", **SHIPPED) as rig:
        rig.cache.push_price(price(rig.clock, age_ms=60))
        assert (await rig.cache.get_price(SYMBOL)).ver == 1
        assert rig.cache.peek_price(SYMBOL) is not None
        rig.clock.set_wall_off(-10_000)
        rig.clock.jump(0.09)
        with pytest.raises(CacheStaleData):
            await rig.cache.get_price(SYMBOL)
        assert rig.cache.peek_price(SYMBOL) is None


async def test_a_price_from_the_future_is_stale_and_told():
    async with rigged("memory", **SHIPPED) as rig:
        rig.cache.push_price(price(rig.clock, age_ms=-40))
        assert (await rig.cache.get_price(SYMBOL)).ver == 1
        rig.cache.push_price(price(rig.clock, ver=2, age_ms=-500))
        with pytest.raises(CacheStaleData, match="future"):
            await rig.cache.get_price(SYMBOL)
        assert "GR123" in rig.codes()


async def test_prices_of_a_host_whose_clock_is_off_are_refused_and_those_of_the_own_feed_are_not(server):
    clock = JumpClock()
    clock.set_wall_off(300)
    async with rigged("tiered", server.port, clock=clock) as rig:
        assert "GR123" in rig.codes()
        assert rig.cache.metrics.clock_offset_ms < -200
        client = rig.manager.client
        await client.put([price(rig.clock, ver=3)], client.warm)
        with pytest.raises(CacheStaleData, match="clock"):
            await rig.cache.get_price(SYMBOL)
        rig.cache.push_price(price(rig.clock, ver=4))
        assert (await rig.cache.get_price(SYMBOL)).ver == 4


HEALTHY = FeedHealth(last_message_age_ms=40)


@pytest.mark.parametrize(
    ("health", "mode", "opted", "age_s", "phase", "accepted"),
    [
        (HEALTHY, "feed_alive", True, 2.5, "CONTINUOUS", True),
        (HEALTHY, "feed_alive", True, 3.1, "CONTINUOUS", False),
        (HEALTHY, "feed_alive", True, 2.5, "HALT", False),
        (HEALTHY, "feed_alive", False, 2.5, "CONTINUOUS", False),
        (HEALTHY, "strict", True, 2.5, "CONTINUOUS", False),
        (FeedHealth(101), "feed_alive", True, 2.5, "CONTINUOUS", False),
        (FeedHealth(40, has_gap=True), "feed_alive", True, 2.5, "CONTINUOUS", False),
        (None, "feed_alive", True, 2.5, "CONTINUOUS", False),
    ],
)
async def test_an_unchanged_quote_of_a_live_feed(health, mode, opted, age_s, phase, accepted):
    async with rigged("memory", ports={"feed": lambda _: health}, staleness_mode=mode, **SHIPPED) as rig:
        if opted:
            rig.manager.freshness.allow_feed_alive(SYMBOL)
        rig.cache.push_price(price(rig.clock, phase=phase))
        rig.clock.jump(age_s)
        if accepted:
            assert (await rig.cache.get_price(SYMBOL)).ver == 1
        else:
            with pytest.raises((PriceDataUnavailable, CacheStaleData)):
                await rig.cache.get_price(SYMBOL)


async def test_a_feed_that_stamps_whole_seconds_gets_its_resolution_and_no_more():
    async with rigged("memory", ports={"feed": lambda _: FeedHealth(10, resolution_ms=1_000)}, **SHIPPED) as rig:
        now = price(rig.clock)
        rig.cache.push_price(price(rig.clock, timestamp=now.timestamp - 900))
        assert (await rig.cache.get_price(SYMBOL)).ver == 1
        rig.cache.push_price(price(rig.clock, ver=2, timestamp=now.timestamp - 1_300))
        with pytest.raises(CacheStaleData):
            await rig.cache.get_price(SYMBOL)


async def test_stale_data_never_block_an_exit():
    async with rigged("memory") as rig:
        with pytest.raises(PriceDataUnavailable):
            rig.cache.get_exit_price(SYMBOL)
        rig.cache.push_price(price(rig.clock))
        rig.clock.jump(0.4)
        assert rig.cache.get_exit_price(SYMBOL).is_fresh
        rig.clock.jump(60)
        quote = rig.cache.get_exit_price(SYMBOL)
        assert (quote.price.last, quote.is_fresh) == (71_000, False)
        assert quote.age_ms >= 60_000


async def test_t20_lockdown_lets_quotes_end_on_the_server_and_escalates_nothing(server):
    async with rigged("tiered", server.port) as rig:
        rig.cache.push_price(price(rig.clock))
        await rig.cache.drained()
        rig.manager.set_safety("LOCKDOWN")
        for ver in range(2, 12):
            rig.clock.jump(1)
            rig.cache.push_price(price(rig.clock, ver=ver))
            with pytest.raises(AuthorityUnavailable, match="safety"):
                await rig.cache.get_precheck(SYMBOL)
            rig.clock.jump(0.2)
            with pytest.raises((PriceDataUnavailable, CacheStaleData)):
                await rig.cache.get_price(SYMBOL)
        assert not [code for code in rig.codes() if code.startswith(("GR121", "FS"))]
        assert rig.cache.get_exit_price(SYMBOL).price.ver == 11, "exits still have the last price"
        key = f"{rig.manager.keys.prefix}price:{SYMBOL}"
        await until(lambda: server.number("EXISTS", key) == 0, 1, "for the end of the quote")
        rig.cache.hold(position(rig.clock, ver=5, qty=0))
        await rig.cache.drained()
        assert server.ask("HGET", f"{rig.manager.keys.prefix}pos:{SYMBOL}", "ver") == b"$1\r\n5\r\n", "a late fill"
        assert await rig.cache.put(strategy(rig.clock)) is PutResult.DROPPED
        rig.manager.set_safety("NORMAL")
        assert rig.manager.ready().state is not Readiness.READY
        await until(lambda: rig.manager.ready().state is Readiness.READY, 10, "for resync and warm-up")
        assert await rig.cache.put(strategy(rig.clock)) is PutResult.WRITTEN


async def test_t16_a_counter_that_is_lost_is_rebuilt_from_the_ledger_or_refuses(server):
    async with rigged("tiered", server.port) as rig:
        rig.store.trades[DAY] = 5
        await rig.cache.counter.rebuild()
        key = rig.manager.keys.counter("20260304")
        assert await rig.cache.counter.reserve(10) == 6
        assert 0 < server.number("PTTL", key) <= 2 * 3_600_000 + 1_000
        server.ask("DEL", key)
        assert await rig.cache.counter.reserve(10) == 7, "the ledger has 5, this process counted 6"
        server.ask("DEL", key)
        rig.store.failure = OSError("down")
        with pytest.raises(TradeLimitExceeded, match="unknown"):
            await rig.cache.counter.reserve(10)
        assert server.number("EXISTS", key) == 0, "nobody makes a count up"


async def test_entries_of_two_processes_together_stay_below_the_limit(server):
    async with (
        rigged("tiered", server.port, account="pair") as one,
        rigged("tiered", server.port, account="pair", owns_prefix=False) as two,
    ):
        server.ask("DEL", one.manager.keys.counter("20260304"))

        async def take(rig) -> bool:
            try:
                await rig.cache.counter.reserve(10)
            except TradeLimitExceeded:
                return False
            return True

        taken = await asyncio.gather(*(take(rig) for rig in (one, two) * 10))
        assert sum(taken) == 10
        assert server.ask("GET", one.manager.keys.counter("20260304")) == b"$2\r\n10\r\n"


async def test_the_count_goes_on_without_the_server(own_server):
    async with rigged("tiered", own_server.port) as rig:
        assert await rig.cache.counter.reserve(3) == 1
        own_server.kill()
        assert [await rig.cache.counter.reserve(3) for _ in range(2)] == [2, 3]
        assert rig.cache.counter.count == 3
        with pytest.raises(TradeLimitExceeded):
            await rig.cache.counter.reserve(3)
        own_server.start()

        def is_back() -> bool:
            if not rig.manager.servers.are_closed:
                rig.clock.jump(5)
            return rig.manager.ready().state is Readiness.READY

        await until(is_back, 10, "for recovery")
        key = rig.manager.keys.counter("20260304")
        await until(lambda: own_server.ask("GET", key) == b"$1\r\n3\r\n", 5, "for the count: no room was made")


async def test_a_server_that_restarts_before_anybody_notices_gets_what_this_process_holds(own_server):
    async with rigged("tiered", own_server.port) as rig:
        rig.cache.hold(order(rig.clock, ver=4))  # renewed only every 20 s
        await rig.cache.drained()
        own_server.kill()
        own_server.start()

        def is_back() -> bool:
            if not rig.manager.servers.are_closed:
                rig.clock.jump(5)
            return own_server.ask("HGET", f"{rig.manager.keys.prefix}ord:A-1", "ver") == b"$1\r\n4\r\n"

        await until(is_back, 10, "for the order")


async def test_an_order_that_works_outlives_its_life_and_a_final_one_does_not():
    async with rigged("memory") as rig:
        rig.cache.hold(order(rig.clock))
        for _ in range(12):
            rig.clock.jump(21)
            rig.cache.leases.renew_due()
        assert (await rig.cache.get_order("A-1")).status is OrderState.SENT
        rig.cache.hold(order(rig.clock, ver=2, status=OrderState.FILLED))
        rig.clock.jump(59)
        rig.cache.leases.renew_due()
        assert (await rig.cache.get_order("A-1")).status is OrderState.FILLED
        rig.clock.jump(2)
        assert (await rig.cache.get_order("A-1")).status is OrderState.UNKNOWN


async def test_a_position_that_is_not_on_record_yet_is_near_at_once_and_on_the_server_afterwards(server):
    gate = asyncio.Event()

    async def write(_record) -> None:
        await gate.wait()

    async with rigged("tiered", server.port, ports={"write": write}) as rig:
        key = f"{rig.manager.keys.prefix}pos:{SYMBOL}"
        rig.cache.hold(position(rig.clock, ver=1))
        rig.cache.hold(position(rig.clock, ver=2, qty=20))
        assert (await rig.cache.get_position(SYMBOL)).qty == D(20)
        rig.clock.jump(0.6)
        rig.cache.leases.renew_due()
        await rig.manager._publisher.write_pending()
        assert server.number("EXISTS", key) == 0
        gate.set()
        await rig.cache.drained()
        assert server.ask("HGET", key, "ver") == b"$1\r\n2\r\n"


async def test_a_book_is_refused_after_fifty_milliseconds():
    async with rigged("memory", **SHIPPED) as rig:
        rig.cache.push_book(book(rig.clock))
        assert (await rig.cache.get_book(SYMBOL)).bids[0].price == 75_000
        rig.clock.jump(0.051)
        with pytest.raises((PriceDataUnavailable, CacheStaleData)):
            await rig.cache.get_book(SYMBOL)


async def test_a_write_whose_answer_was_lost_is_written_and_not_superseded(own_server):
    async with rigged("redis", own_server.port) as rig:
        client = rig.manager.client
        node = rig.manager.servers.nodes[0]
        honest = node.converse

        async def deaf(connection, commands):
            node.converse = honest
            await honest(connection, commands)
            raise OSError("the answer is lost")

        node.converse = deaf
        assert await client.put([position(rig.clock, ver=3)], client.warm) == [PutResult.WRITTEN]
        assert await client.put([position(rig.clock, ver=3)], client.warm) == [PutResult.SUPERSEDED]
        node.converse = deaf
        assert await client.put([position(rig.clock, ver=3, src="else")], client.warm) == [PutResult.SUPERSEDED]


async def test_an_entry_whose_answer_was_lost_is_counted_once_and_never_asked_for_again(own_server):
    async with rigged("tiered", own_server.port) as rig:
        await rig.cache.counter.reserve(5)
        node = rig.manager.servers.nodes[0]
        honest, asked = node.converse, []

        async def deaf(connection, commands):
            if "cnt:trades" not in str(commands):
                return await honest(connection, commands)
            asked.append(commands)
            await honest(connection, commands)
            raise OSError("the answer is lost")

        node.converse = deaf
        assert await rig.cache.counter.reserve(5) == 2
        assert len(asked) == 1
        assert own_server.ask("GET", rig.manager.keys.counter("20260304")) == b"$1\r\n2\r\n"


async def test_records_that_change_while_they_are_brought_into_step_are_no_failure(server):
    """An engine goes on publishing while the server comes back: what it holds then is newer than what was written."""
    async with rigged("tiered", server.port) as rig:
        is_over = False

        async def go_on() -> None:
            version = 0
            while not is_over:
                version += 1
                rig.cache.hold(risk(rig.clock, ver=version))
                await asyncio.sleep(0)

        engine = asyncio.ensure_future(go_on())
        await until(lambda: rig.cache.leases.held(), 5, "for the first record")
        try:
            for _ in range(10):
                await rig.manager._resync()
        finally:
            is_over = True
            await engine
        assert rig.manager.ready().state is not Readiness.OFF
        assert rig.manager._is_in_step
