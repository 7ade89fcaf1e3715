"""Simulated time on an event loop: everything happens at its moment, and nobody waits for it."""

import asyncio
import threading

import pytest

from qts.clock import to_ns
from qts.clock.virtual import VirtualLoop

START = 1_764_000_000_000_000_000


def run(main, start_ns=START):
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start_ns)) as runner:
        return runner.run(main())


def test_days_of_sleep_are_over_at_once_and_exact():
    async def main():
        loop = asyncio.get_running_loop()
        for _ in range(3):
            await asyncio.sleep(86_400)
        return loop.clock.now_ns(), loop.clock.monotonic_ns(), to_ns(loop.clock.now_utc())

    days = 3 * 86_400 * 10**9
    assert run(main) == (START + days, days, START + days)


def test_sleepers_wake_in_the_order_of_their_times_whatever_order_they_lay_down_in():
    async def main():
        loop, woken = asyncio.get_running_loop(), []

        async def nap(ms):
            await asyncio.sleep(ms / 1_000)
            woken.append((ms, loop.clock.monotonic_ns()))

        await asyncio.gather(*(nap(ms) for ms in (700, 1, 30, 3_000)))
        return woken

    assert run(main) == [(ms, ms * 1_000_000) for ms in (1, 30, 700, 3_000)]


def test_timeout_ends_a_wait_at_its_time_and_not_before():
    async def main():
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.Event().wait()
        return loop.clock.monotonic_ns()

    assert run(main) == 5_000_000_000


def test_time_stands_still_while_anything_can_run():
    async def main():
        loop = asyncio.get_running_loop()
        loop.call_later(0.001, lambda: None)
        for _ in range(1_000):
            await asyncio.sleep(0)
        return loop.clock.monotonic_ns()

    assert run(main) == 0


def test_loop_with_no_timer_waits_for_another_thread():
    async def main():
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        threading.Timer(0.01, lambda: loop.call_soon_threadsafe(done.set)).start()
        await done.wait()
        return loop.clock.monotonic_ns()

    assert run(main) == 0


def test_blocking_the_loop_is_refused_because_its_time_would_never_come():
    async def main():
        asyncio.get_running_loop().clock.sleep_until(1)

    with pytest.raises(NotImplementedError, match=r"await asyncio\.sleep"):
        run(main)
