"""Hit rates of a replayed session beside the arithmetic that foretells them.

Ticks that come at random at a rate r leave a price of 100 ms alive with probability 1 - exp(-0.1 r): 99 of 100 need
46 ticks a second, which few symbols have. A record of 1 s that is only loaded when it is missed is hit (n - 1) times of
n reads, so 95 of 100 need 20 reads a second of each key; an owner that renews it at half its life needs none.
"""

import csv
import gzip
import math
import random
from decimal import Decimal

import pytest
from cache_samples import DAY, SHIPPED, Store, position, price, rigged, risk

from qts.cache import CacheStaleData, Family, PriceDataUnavailable
from qts.clock import SimClock

START_NS = 1_772_600_000 * 10**9
MS = 1_000_000
SESSION_S = 120
READS_PER_S = 50


def ticks(rate: float, seed: int) -> list[int]:
    """Moments of a session, in nanoseconds from its start, at a mean rate a second."""
    dice, at, moments = random.Random(seed), 0.0, []  # noqa: S311 - the same session every time
    while (at := at + dice.expovariate(rate)) < SESSION_S:
        moments.append(int(at * 1e9))
    return moments


async def rate_of(moments: list[int], seconds: int = SESSION_S) -> float:
    """Replay ticks of one symbol, read its price at random moments, and return the measured hit rate."""
    clock = SimClock(START_NS)
    dice = random.Random(5)  # noqa: S311
    reads = sorted(dice.randrange(10**9, seconds * 10**9) for _ in range(seconds * READS_PER_S))
    steps = sorted([(at, 0) for at in moments] + [(at, 1) for at in reads])
    async with rigged("memory", clock=clock, **SHIPPED) as rig:
        for ver, (at, is_read) in enumerate(steps, 1):
            clock.advance_to(max(START_NS + at, clock.now_ns()))
            if not is_read:
                rig.cache.push_price(price(clock, ver=ver))
                continue
            try:
                await rig.cache.get_price("005930")
            except (PriceDataUnavailable, CacheStaleData):
                continue
        reads_counted = rig.cache.metrics.reads
        hits = len(reads) - reads_counted["price", "l0", "miss"] - reads_counted["price", "l0", "stale"]
        rate = rig.cache.metrics.hit_rate(Family.PRICE, window_s=300)
        assert rate == pytest.approx(hits / len(reads), abs=0.05), "the counters tell the same"
        return hits / len(reads)


@pytest.mark.parametrize("rate", [1, 10, 46.05, 100])
async def test_the_hit_rate_of_a_price_follows_from_the_rate_of_its_ticks(rate):
    measured = await rate_of(ticks(rate, seed=11))
    assert measured == pytest.approx(1 - math.exp(-0.1 * rate), abs=0.02)


async def test_t19_a_symbol_that_ticks_often_enough_meets_the_target_and_a_slow_one_cannot():
    assert await rate_of(ticks(70, seed=3)) > 0.99
    assert await rate_of(ticks(5, seed=3)) < 0.5


async def states(*, owned: bool, reads_per_s: int) -> tuple[float, float]:
    """Read a position and the risk state for a minute, which their owner renews or nobody does."""
    clock = SimClock(START_NS)
    store = Store()
    async with rigged("memory", clock=clock, store=store, **SHIPPED) as rig:
        store.rows |= {"pos": position(clock), "risk": risk(clock)}
        if owned:
            rig.cache.hold(position(clock, ver=2))
            rig.cache.hold(risk(clock, ver=2))
        step_ns = 10**9 // reads_per_s
        for at in range(60 * reads_per_s):
            clock.advance_to(START_NS + (at + 1) * step_ns)
            if owned:
                rig.cache.leases.renew_due()
            await rig.cache.get_position("005930")
            await rig.cache.get_risk()
        metrics = rig.cache.metrics
        found = (metrics.hit_rate(Family.POSITION, window_s=300), metrics.hit_rate(Family.RISK, window_s=300))
        assert None not in found
        return found[0] or 0.0, found[1] or 0.0


@pytest.mark.parametrize("reads_per_s", [4, 10, 20, 50])
async def test_a_position_that_is_only_loaded_when_missed_is_hit_by_all_reads_of_its_life_but_one(reads_per_s):
    measured, _ = await states(owned=False, reads_per_s=reads_per_s)
    assert measured == pytest.approx((reads_per_s - 1) / reads_per_s, abs=0.01)


@pytest.mark.parametrize("reads_per_s", [4, 20])
async def test_t19_an_owner_that_renews_in_time_meets_the_targets_at_any_rate_of_reads(reads_per_s):
    positions, risks = await states(owned=True, reads_per_s=reads_per_s)
    assert positions > 0.95
    assert risks > 0.90


async def test_t19_all_types_of_a_session_together_are_above_nine_of_ten():
    clock = SimClock(START_NS)
    store = Store(trades={DAY: 0})
    async with rigged("memory", clock=clock, store=store, **SHIPPED) as rig:
        store.rows |= {"risk": risk(clock)}
        rig.cache.hold(position(clock, ver=2))
        rig.cache.hold(risk(clock, ver=2))
        moments = ticks(70, seed=9)[: 30 * 70]
        for ver, at in enumerate(moments, 1):
            clock.advance_to(START_NS + at)
            rig.cache.leases.renew_due()
            rig.cache.push_price(price(clock, ver=ver))
            clock.advance_to(
                clock.now_ns() + 5 * MS
                if ver == len(moments)
                else min(START_NS + moments[ver], clock.now_ns() + 5 * MS)
            )
            await rig.cache.get_precheck("005930", budget_ms=1_000)
        assert (rig.cache.metrics.hit_rate(window_s=300) or 0) > 0.90


@pytest.mark.recordings
async def test_t19_a_recorded_session_meets_the_target(recordings):
    moments: list[int] = []
    with gzip.open(recordings / "ticks/ETHUSDT-PERP-20240808.csv.gz", "rt", newline="") as file:
        rows = csv.DictReader(file)
        first = 0
        for row in rows:
            at = int(row["ts_recv_ns"])
            first = first or at
            if row["kind"] == "Q" and at - first < 60 * 10**9:
                assert Decimal(row["bid"]) > 0
                moments.append(at - first)
    rate = len(moments) / 60
    measured = await rate_of(moments, 60)
    assert rate > 46
    assert measured > 0.95, f"{rate:.0f} quotes a second, but in bursts: {measured:.4f}"
