"""A cache in a thread of its own, used by threads that know no event loop."""

import threading

import pytest
from cache_samples import DAY, SYMBOL, Days, JumpClock, Store, position, price, risk, settings, wait_for

from qts.cache import (
    AuthorityUnavailable,
    CacheHost,
    CacheManager,
    CacheStaleData,
    Ports,
    PriceDataUnavailable,
    PutResult,
    Readiness,
)


def host_of(store: Store, clock: JumpClock, port: int | None = None, account: str = "H1") -> CacheHost:
    config = settings() if port is None else settings(backend="tiered", redis_port=port, pool_min_connections=2)
    store.trades.setdefault(DAY, 0)
    store.rows.setdefault("risk", risk(clock))
    return CacheHost(
        CacheManager.from_config(
            config,
            mode="test",
            account=account,
            clock=clock,
            loaders=store.loaders(),
            ports=Ports(sessions=Days(clock), write=store.write),
        )
    )


def test_threads_push_hold_and_read_while_the_cache_tends_itself(server):
    clock, store = JumpClock(), Store()
    with host_of(store, clock, server.port) as host:
        cache = host.manager.cache
        assert host.manager.ready().state is Readiness.READY
        writer = threading.Thread(
            target=lambda: [cache.hold(position(clock, ver=ver, qty=ver)) for ver in range(1, 51)], name="fills"
        )
        writer.start()
        writer.join(10)
        cache.hold(risk(clock, ver=7))
        key = f"{host.manager.keys.prefix}pos:{SYMBOL}"
        wait_for(lambda: server.ask("HGET", key, "ver") == b"$2\r\n50\r\n", 10, "for the last fill")
        assert store.rows["pos"].ver == 50, "on record, in order"
        cache.push_price(price(clock))
        seen = cache.peek_precheck(SYMBOL)
        assert (seen.position.qty, seen.risk.ver) == (50, 7)
        assert host.wait(cache.get_position(SYMBOL), 5).ver == 50
        assert host.submit(cache.get_risk()).result(5).ver == 7
    with pytest.raises(RuntimeError, match="does not run"):
        host.submit(cache.get_risk())
    host.stop()


def test_what_is_not_near_is_unknown_to_who_may_not_wait():
    clock, store = JumpClock(), Store()
    with host_of(store, clock, account="H2") as host:
        cache = host.manager.cache
        with pytest.raises(PriceDataUnavailable):
            cache.peek_precheck(SYMBOL)
        cache.push_price(price(clock))
        with pytest.raises(AuthorityUnavailable, match="pos:005930"):
            cache.peek_precheck(SYMBOL)
        cache.hold(position(clock))
        assert cache.peek_precheck(SYMBOL).position.qty == 10
        host.manager.set_safety("FAIL")
        with pytest.raises(AuthorityUnavailable, match="safety"):
            cache.peek_precheck(SYMBOL)
        host.manager.set_safety("NORMAL")
        clock.jump(0.2)
        with pytest.raises((PriceDataUnavailable, CacheStaleData)):
            cache.peek_precheck(SYMBOL)


def test_without_being_started_a_cache_in_memory_takes_and_gives():
    clock, store = JumpClock(), Store()
    manager = host_of(store, clock, account="H3").manager
    assert manager.ready().state is Readiness.OFF
    assert manager.cache.push_price(price(clock)) is PutResult.WRITTEN
    assert manager.cache.peek_price(SYMBOL) is not None


def test_work_that_takes_too_long_is_given_up():
    clock, store = JumpClock(), Store()
    with host_of(store, clock, account="H4") as host:
        never = threading.Event()

        async def endless() -> None:
            import asyncio

            try:
                await asyncio.Event().wait()
            finally:
                never.set()

        with pytest.raises(TimeoutError):
            host.wait(endless(), 0.05)
        assert never.wait(5), "it was cancelled"
