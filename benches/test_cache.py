"""The near cache from Python, and the server beside a bare client and a raw socket, in one run.

Run with: python -m pytest benches/test_cache.py --benchmark-only -s

Each round asks every contestant once, in turn, so that whatever else the machine does meets all of them alike. Printed
are medians and 99th percentiles in microseconds and their ratio to the raw socket, which sends the same commands over
the same loopback and does not look at the replies.
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "cache"))

from cache_samples import SYMBOL, Server, book, position, price, rigged, risk

from qts.cache import NearCache
from qts.cache.client import Query
from qts.cache.contracts import Family
from qts.cache.keys import logical
from qts.clock import SystemClock

ROUNDS = 2_000
LIMITS_MS = {"price": 1.0, "position": 0.8, "risk": 1.5, "book": 2.0, "precheck": 5.0}
"""What reads through the server may take."""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("valkey"))
    yield made.start()
    made.stop()


def test_near_get(benchmark):
    clock = SystemClock()
    near = NearCache(clock)
    for at in range(500):
        symbol = f"{at:06}"
        near.put(logical(Family.POSITION, symbol), position(clock, symbol=symbol), 3_600_000)
    key = logical(Family.POSITION, "000250")
    get = near.get

    def thousand() -> None:
        for _ in range(1_000):
            get(key)

    benchmark.pedantic(thousand, rounds=200, warmup_rounds=20)
    if benchmark.disabled:  # once is not to measure
        return
    each_us = benchmark.stats.stats.median * 1e6 / 1_000
    benchmark.extra_info["get_us"] = each_us
    sys.stdout.write(f"\nnear get from Python: {each_us:.3f} us\n")
    assert each_us <= 3


def test_near_price_with_its_age(benchmark):
    async def measure() -> float:
        async with rigged("memory", clock=SystemClock()) as rig:
            peek = rig.cache.peek_price
            best = []
            for ver in range(1, 101):
                rig.cache.push_price(price(rig.clock, ver=ver))
                start = time.perf_counter_ns()
                for _ in range(200):
                    assert peek(SYMBOL) is not None
                best.append((time.perf_counter_ns() - start) / 200)
            return statistics.median(best) / 1000

    each_us = benchmark.pedantic(lambda: asyncio.run(measure()), rounds=1)
    benchmark.extra_info["peek_us"] = each_us
    sys.stdout.write(f"\nnear price, age judged and counted: {each_us:.2f} us\n")
    assert benchmark.disabled or each_us <= 20


def _resp(*commands: tuple[object, ...]) -> bytes:
    out = b""
    for command in commands:
        parts = [str(part).encode() for part in command]
        out += b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
    return out


async def _times(contestants: dict[str, Callable[[], Awaitable[object]]], refresh) -> dict[str, list[float]]:
    took: dict[str, list[float]] = {name: [] for name in contestants}
    for at in range(ROUNDS + 100):
        if at % 20 == 0:
            await refresh()
        for name, ask in contestants.items():
            start = time.perf_counter_ns()
            await ask()
            if at >= 100:
                took[name].append((time.perf_counter_ns() - start) / 1000)
    return took


async def _race(port: int) -> dict[str, list[float]]:
    import redis.asyncio

    async with rigged("redis", port, clock=SystemClock(), op_deadline_hot_ms=100) as rig:
        client, keys = rig.manager.client, rig.manager.keys
        bare = redis.asyncio.Redis(port=port, protocol=3, decode_responses=True)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ver = 0

        async def refresh() -> None:
            nonlocal ver
            ver += 1
            records = [make(rig.clock, ver=ver) for make in (price, book, position, risk)]
            await client.put(records, client.warm)

        key = keys.of(Family.POSITION, SYMBOL)
        sent = _resp(("HGETALL", key), ("PTTL", key))

        async def raw() -> bytes:
            writer.write(sent)
            return await reader.read(4_096)

        async def library() -> object:
            return await bare.pipeline(transaction=False).hgetall(key).pttl(key).execute()

        def one(*families: Family) -> Callable[[], Awaitable[object]]:
            queries = [Query(family, "account" if family is Family.RISK else SYMBOL) for family in families]
            return lambda: client.get(queries, client.hot)

        contestants = {
            "raw socket": raw,
            "redis.asyncio": library,
            "position": one(Family.POSITION),
            "price": one(Family.PRICE),
            "risk": one(Family.RISK),
            "book": one(Family.BOOK),
            "precheck": one(Family.PRICE, Family.POSITION, Family.RISK),
        }
        took = await _times(contestants, refresh)
        await bare.aclose()
        writer.close()
        return took


def test_reads_through_the_server(benchmark, server):
    took = benchmark.pedantic(lambda: asyncio.run(_race(server.port)), rounds=1)
    floor = statistics.median(took["raw socket"])
    sys.stdout.write(f"\n{'':15}{'median us':>11}{'p99 us':>10}{'ratio':>8}{'limit us':>10}\n")
    for name, values in took.items():
        median, p99 = statistics.median(values), statistics.quantiles(values, n=100)[98]
        limit = LIMITS_MS.get(name)
        shown = "" if limit is None else f"{limit * 1000:10.0f}"
        sys.stdout.write(f"{name:15}{median:11.1f}{p99:10.1f}{median / floor:8.2f}{shown}\n")
        benchmark.extra_info |= {f"{name} median_us": median, f"{name} p99_us": p99, f"{name} ratio": median / floor}
        if limit is not None:
            assert benchmark.disabled or median <= limit * 1000, name
    worst = {name: statistics.quantiles(values, n=100)[98] for name, values in took.items()}
    assert benchmark.disabled or worst["position"] <= max(1_000, 1.5 * worst["raw socket"]), (
        "p99 of a get on loopback; a busy host slows both"
    )
