"""Several processes on one server: who writes, who is told, who is alive; and what operators may do."""

import asyncio
import json
import subprocess
import sys

import pytest
from cache_samples import SYMBOL, D, book, position, price, rigged, risk, settings, strategy, until

from qts.cache import (
    AuthorityUnavailable,
    CacheManager,
    Family,
    OrderState,
    Phase,
    PutResult,
    Readiness,
)
from qts.clock import SystemClock
from qts.codes import ConfigError, UsageError


async def test_a_change_of_another_process_is_told_and_read_anew(server):
    async with (
        rigged("tiered", server.port, account="told") as writer,
        rigged("tiered", server.port, account="told", owns_prefix=False) as reader,
    ):
        await writer.cache.put(position(writer.clock, ver=1))
        assert (await reader.cache.get_position(SYMBOL)).ver == 1
        writer.cache.hold(position(writer.clock, ver=2, qty=7))
        await writer.cache.drained()
        await until(lambda: reader.manager.near.get(f"pos:{SYMBOL}") is None, 2, "for the news")
        assert (await reader.cache.get_position(SYMBOL)).qty == 7


@pytest.mark.parametrize("family", ["strategy", "risk"])
async def test_the_server_itself_tells_of_slow_types(server, family):
    async with (
        rigged("tiered", server.port, account=f"track-{family}") as writer,
        rigged("tiered", server.port, account=f"track-{family}", owns_prefix=False) as reader,
    ):
        make, key = (strategy, "strat:rsi") if family == "strategy" else (risk, "risk:account")
        await writer.cache.put(make(writer.clock, ver=5))
        read = (lambda: reader.cache.get_strategy("rsi")) if family == "strategy" else reader.cache.get_risk
        reader.manager.near.drop(key)
        assert (await read()).ver == 5
        await writer.cache.put(make(writer.clock, ver=6))
        await until(lambda: reader.manager.near.get(key) is None, 2, "for the invalidation")
        assert (await read()).ver == 6


async def test_what_others_wrote_is_forgotten_when_the_line_to_the_server_is_lost(server):
    async with rigged("tiered", server.port) as rig:
        client = rig.manager.client
        await client.put([position(rig.clock, symbol="000660", src="other")], client.warm)
        rig.cache.hold(position(rig.clock))
        assert (await rig.cache.get_position("000660")).src == "other"
        assert rig.manager.near.get("pos:000660") is not None
        before = rig.manager._signals.losses
        server.ask("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: rig.manager._signals.losses > before, 2, "for the loss")
        assert rig.manager.near.get("pos:000660") is None
        assert rig.manager.near.get(f"pos:{SYMBOL}") is not None, "what this process is the source of stays"
        await until(lambda: rig.manager._signals.is_listening, 5, "for the new line")


async def test_records_of_an_owner_that_missed_three_heartbeats_are_unknown(server):
    async with rigged("tiered", server.port, account="dead", owns_prefix=False) as reader:
        async with rigged("tiered", server.port, account="dead") as owner:
            reader.store.rows.clear()
            owner.cache.hold(position(owner.clock))
            await owner.cache.drained()
            await owner.cache.put(strategy(owner.clock, src="exec"))
            await until(lambda: reader.manager._owners._heard, 5, "for a heartbeat")
            assert (await reader.cache.get_strategy("rsi")).src == "exec"
        assert (await reader.cache.get_strategy("rsi")).ver == 1
        reader.clock.jump(3.1)
        reader.cache._last_strategies.clear()
        with pytest.raises(AuthorityUnavailable):
            await reader.cache.get_strategy("rsi")


async def test_a_second_owner_of_a_prefix_stops_publishing_until_an_operator_decides(server):
    async with (
        rigged("tiered", server.port, account="two") as first,
        rigged("tiered", server.port, account="two") as second,
    ):
        assert "GR126" in second.codes()
        assert "belongs to" in second.manager.ready().reason
        second.cache.push_price(price(second.clock))
        second.cache.hold(position(second.clock, ver=99))
        await second.cache.drained()
        prefix = first.manager.keys.prefix
        assert server.number("EXISTS", f"{prefix}pos:{SYMBOL}", f"{prefix}price:{SYMBOL}") == 0
        await first.manager.stop()
        await until(lambda: second.manager._is_in_step, 5, "for the prefix")
        await second.cache.drained()
        assert server.number("EXISTS", f"{prefix}pos:{SYMBOL}") == 0
        second.manager.resume_publishing("kim", "the other engine is stopped")
        assert second.audits[-1][0] == "resume"
        await second.cache.drained()
        assert server.number("EXISTS", f"{prefix}pos:{SYMBOL}") == 1


async def test_the_claim_of_a_process_that_died_is_outlasted_by_its_successor(server):
    """A claim is renewed every second by whoever lives; one that is not comes to its end, and nobody has to decide."""
    prefix = "test:heir:"
    server.ask("SET", f"{prefix}own", "the dead one", "PX", 2_000)
    async with rigged("tiered", server.port, account="heir") as heir:
        heir.cache.hold(position(heir.clock))
        await heir.cache.drained()
        assert heir.codes() == []
        assert server.number("EXISTS", f"{prefix}pos:{SYMBOL}") == 1


async def test_a_writer_that_is_not_the_owner_is_told_of(server):
    async with rigged("tiered", server.port) as rig:
        rig.cache.hold(position(rig.clock, ver=3))
        await rig.cache.drained()
        key = f"{rig.manager.keys.prefix}pos:{SYMBOL}"

        def interfere() -> bool:
            server.ask("HSET", key, "src", "else")
            return "GR126" in rig.codes()

        await until(interfere, 5, "for the audit")


async def test_a_flush_needs_somebody_a_reason_and_closed_entries_and_leaves_other_prefixes_alone(server):
    closed = [False]
    async with rigged("tiered", server.port, ports={"entries_closed": lambda: closed[0]}) as rig:
        await rig.cache.put(position(rig.clock, symbol="000660", src="loader"))
        rig.cache.hold(position(rig.clock))
        await rig.cache.drained()
        server.ask("SET", "tenant:x", "1")
        for operator, reason in (("", "why"), ("kim", " ")):
            with pytest.raises(UsageError):
                await rig.manager.flush(operator, reason)
        with pytest.raises(UsageError, match="entries are open"):
            await rig.manager.flush("kim", "suspected corruption")
        assert rig.audits == []
        closed[0] = True
        prefix = rig.manager.keys.prefix
        assert await rig.manager.flush("kim", "suspected corruption") >= 2
        assert rig.audits == [("flush", {"operator": "kim", "reason": "suspected corruption", "family": "all"})]
        assert server.number("EXISTS", f"{prefix}pos:000660") == 0
        assert server.number("EXISTS", "tenant:x") == 1
        assert rig.manager.near.get("pos:000660") is None
        assert (await rig.cache.get_position(SYMBOL)).qty == 10, "the source of it still knows"
        assert rig.manager.ready().state is Readiness.READY


async def test_a_flush_of_one_type_leaves_the_others(server):
    async with rigged("tiered", server.port, ports={"entries_closed": lambda: True}) as rig:
        await rig.cache.put(position(rig.clock))
        await rig.cache.put(strategy(rig.clock))
        assert await rig.manager.flush("kim", "test", Family.POSITION) == 1
        prefix = rig.manager.keys.prefix
        assert server.number("EXISTS", f"{prefix}pos:{SYMBOL}") == 0
        assert server.number("EXISTS", f"{prefix}strat:rsi") == 1


async def test_a_flush_is_told_to_other_processes(server):
    async with (
        rigged("tiered", server.port, account="fl", ports={"entries_closed": lambda: True}) as one,
        rigged("tiered", server.port, account="fl", owns_prefix=False) as two,
    ):
        await one.cache.put(position(one.clock))
        await two.cache.get_position(SYMBOL)
        await one.manager.flush("kim", "test")
        await until(lambda: two.manager.near.get(f"pos:{SYMBOL}") is None, 2, "for the news")


async def test_an_operator_may_take_the_server_out_and_bring_it_back(server):
    async with rigged("tiered", server.port) as rig:
        rig.manager.force_breaker(is_open=True, operator="kim", reason="maintenance")
        assert rig.manager.ready().state is Readiness.DEGRADED
        rig.clock.jump(600)
        await rig.manager.tend()
        assert rig.manager.ready().state is Readiness.DEGRADED
        rig.manager.force_breaker(is_open=False, operator="kim", reason="done")
        await until(lambda: rig.manager.ready().state is Readiness.READY, 10, "for the server")
        assert [act for act, _ in rig.audits] == ["breaker", "breaker"]


async def test_readiness_waits_for_the_store_and_for_quotes_and_says_for_which_symbols():
    symbols = [f"{at:06}" for at in range(20)]
    halted: list[str] = []
    async with rigged("memory", start=False) as rig:
        rig.store.rows["risk"] = risk(rig.clock)
        rig.store.failure = OSError("ledger down")
        loaders = rig.store.loaders(universe=lambda: symbols, halted=lambda: halted)
        rig.manager.warm_up._loaders = loaders
        assert rig.manager.ready().state is Readiness.OFF
        await rig.manager.start()
        assert (rig.manager.ready().state, rig.manager.ready().reason) == (Readiness.WARMING, "ledger down")
        rig.store.failure = None
        rig.store.trades[rig.days.day] = 0
        await until(lambda: rig.manager.warm_up.is_loaded, 5, "for the ledger")
        for symbol in symbols[:18]:
            rig.cache.push_price(price(rig.clock, symbol=symbol))
            rig.cache.push_book(book(rig.clock, symbol=symbol))
        rig.cache.push_price(price(rig.clock, symbol=symbols[18]))
        state = rig.manager.ready()
        assert state.state is Readiness.WARMING
        assert [symbol for symbol, is_there in state.symbols.items() if not is_there] == symbols[18:]
        rig.cache.push_book(book(rig.clock, symbol=symbols[18]))
        assert rig.manager.ready().state is Readiness.READY, "95 of 100 are enough"
        assert rig.manager.ready().symbols[symbols[19]] is False
        halted.append(symbols[19])
        assert symbols[19] not in rig.manager.ready().symbols
        assert not rig.manager.warm_up.is_late
        rig.clock.jump(31)
        assert rig.manager.warm_up.is_late


async def test_warm_up_brings_positions_orders_and_strategies_near():
    async def some(*records):
        return records

    async with rigged("memory", start=False) as rig:
        rig.store.rows["risk"] = risk(rig.clock)
        rig.store.trades[rig.days.day] = 4
        rig.manager.warm_up._loaders = rig.store.loaders(
            positions=lambda: some(position(rig.clock)), strategies=lambda: some(strategy(rig.clock))
        )
        await rig.manager.start()
        assert (await rig.cache.get_position(SYMBOL)).qty == D(10)
        assert (await rig.cache.get_strategy("rsi")).active
        assert rig.cache.counter.count == 4
        assert rig.store.asked == ["risk"]


async def test_hit_rates_alerts_and_the_exporters_view():
    async with rigged("memory") as rig:
        metrics = rig.cache.metrics
        await rig.cache.put(position(rig.clock))
        for _ in range(9):
            await rig.cache.get_position(SYMBOL)
        for _ in range(31):
            with pytest.raises(AuthorityUnavailable):
                await rig.cache.get_position("000660")
        assert metrics.hit_rate(Family.POSITION) == 9 / 40
        assert {alert.name for alert in metrics.alerts()} == {"hit_rate"}
        await rig.manager._gauge()
        assert "GR122" in rig.codes()
        rig.clock.jump(61)
        assert metrics.hit_rate(Family.POSITION) is None
        assert metrics.hit_rate(Family.POSITION, window_s=300) == 9 / 40
        rig.clock.jump(300)
        await rig.manager._gauge()
        assert any(report.code == "GR122" and report.is_over for report in rig.reports)
        view = metrics.snapshot()
        assert view["cache_reads_total"]["position.l0.hit"] == 9
        json.dumps({key: value for key, value in view.items() if "latency" not in key})


async def test_reads_of_symbols_that_do_not_trade_are_left_out_of_the_hit_rate():
    async with rigged("memory") as rig:
        for phase in (Phase.HALT, Phase.OPEN_AUCTION, Phase.CLOSED):
            rig.cache.push_price(price(rig.clock, symbol="000660", ver=int(rig.clock.now_ns() // 1000), phase=phase))
            await rig.cache.get_price("000660")
        assert rig.cache.metrics.hit_rate(Family.PRICE) is None


async def test_prices_go_to_the_server_at_most_once_in_ten_milliseconds_and_the_last_one_wins(server):
    async with rigged("tiered", server.port) as rig:
        written = rig.cache.metrics.writes
        start = rig.clock.monotonic_ns()
        for ver in range(1, 2_001):
            rig.cache.push_price(price(rig.clock, ver=ver))
            if ver % 20 == 0:
                await asyncio.sleep(0)
        await rig.cache.drained()
        took_ms = (rig.clock.monotonic_ns() - start) / 1e6
        assert 1 <= written["price", "l1_written"] <= took_ms / 10 + 3
        assert server.ask("HGET", f"{rig.manager.keys.prefix}price:{SYMBOL}", "ver") == b"$4\r\n2000\r\n"


async def test_quotes_may_be_pushed_from_any_thread(server):
    async with rigged("tiered", server.port) as rig:

        def feed(first: int) -> None:
            for ver in range(first, first + 500):
                rig.cache.push_price(price(rig.clock, symbol=f"{first:06}", ver=ver))

        await asyncio.gather(*(asyncio.to_thread(feed, first) for first in (1, 1_000, 2_000)))
        await rig.cache.drained()
        for first in (1, 1_000, 2_000):
            assert (await rig.cache.get_price(f"{first:06}")).ver == first + 499


async def test_refresh_ahead_keeps_a_position_alive_and_its_end_is_noticed():
    async with rigged("memory") as rig:
        rig.cache.hold(position(rig.clock))
        for _ in range(10):
            rig.clock.jump(0.5)
            rig.cache.leases.renew_due()
            assert (await rig.cache.get_position(SYMBOL)).qty == 10
        assert rig.cache.metrics.hit_rate(Family.POSITION) == 1.0
        for task in rig.manager._tasks:
            task.cancel()
        rig.clock.jump(1.1)
        with pytest.raises(AuthorityUnavailable):
            await rig.cache.get_position(SYMBOL)


def test_live_and_paper_never_meet_and_a_prefix_that_means_something_is_refused():
    clock = SystemClock()
    prefixes = {
        CacheManager.from_config(settings(), mode=mode, account="A1", clock=clock).keys.prefix
        for mode in ("live", "paper")
    }
    assert prefixes == {"live:A1:", "paper:A1:"}
    for account in ("", "a{b}", "a*"):
        with pytest.raises(ConfigError):
            CacheManager.from_config(settings(key_prefix="{account}"), mode="live", account=account, clock=clock)


def test_a_server_off_this_host_needs_tls_and_a_password():
    with pytest.raises(ValueError, match="ordered"):
        settings(backend="tiered", redis_host="cache.example")
    remote = settings(backend="tiered", redis_host="cache.example", redis_tls=True)
    with pytest.raises(ConfigError, match="REDIS_PASSWORD"):
        CacheManager.from_config(remote, mode="live", account="A1", clock=SystemClock())
    CacheManager.from_config(remote, mode="live", account="A1", clock=SystemClock(), password="x")  # noqa: S106


@pytest.mark.parametrize(
    "values",
    [
        {"order_rearm_ms": 30_000},
        {"redis_mode": "cluster", "redis_db": 1},
        {"pool_min_connections": 60},
        {"ttl_ms": {"price": 101}},
        {"ttl_ms": {"price": "0.1"}},
        {"ttl_ms": {"orderbook": 19}},
        {"book_depth_read": 11},
        {"redis_password": "x"},
        {"refresh_ahead_ratio": "0.9"},
        {"key_prefix": "{env}:"},
        {"sentinel_nodes": ["nowhere"]},
        {"staleness_mode": "loose"},
        {"daily_trade_ceiling": 101},
    ],
    ids=str,
)
def test_settings_that_do_not_fit_are_refused(values):
    with pytest.raises(ValueError, match=r".+"):
        settings(**values)


def test_without_a_server_the_client_library_is_never_loaded():
    code = """
import asyncio, sys
from qts.cache import CacheManager
from qts.clock import SystemClock
from qts.config import CacheSettings

async def live():
    async with CacheManager.from_config(CacheSettings(), mode="paper", account="A1", clock=SystemClock()) as manager:
        print(manager.ready().state)

asyncio.run(live())
print([name for name in sys.modules if name.partition(".")[0] in ("redis", "valkey")])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split("\n")[:2] == ["READY", "[]"]


def test_every_text_is_there_in_both_languages():
    from qts.cache.messages import say

    assert say.problems() == []


async def test_the_last_state_of_an_order_wins_whoever_tells_it_first():
    async with rigged("memory") as rig:
        from cache_samples import order

        assert rig.cache.hold(order(rig.clock, ver=3, status=OrderState.FILLED)) is PutResult.WRITTEN
        assert rig.cache.hold(order(rig.clock, ver=2)) is PutResult.SUPERSEDED
        assert (await rig.cache.get_order("A-1")).status is OrderState.FILLED
