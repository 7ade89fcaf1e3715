"""Own time of the live driver, from a decision to the write, and what the write-ahead barrier costs over a commit.

Run with: python -m pytest benches/test_execution_live.py --benchmark-only -s

Gateway, pipeline and journal are the real ones, the broker is the simulated one in this process. `decision to write`
is everything that happens between `submit` and the moment the permit is redeemed: PreCheck, OrderSplit, AsyncSend and
the driver's own steps, with a journal that does not sync; `escape to write` the same for the first cancel of an escape.
No answer of a broker is in any of them. Stages are what the pipeline measures of itself. These are times of the
processor, so that other work on the host does not count. The barrier is timed against the same append and wait on a
thread, without an event loop; both contain one sync of the disk, and are taken in turns.
"""

import asyncio
import statistics
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit" / "execution"))

from live_desk import Codes, Desk, SimDelays, virtual_loop

from qts._core import JournalWriter, SafetyWord
from qts.clock import SystemClock, process_time_ns
from qts.execution.contracts import EscapeMode, EscapeReason
from qts.execution.journal import OrderJournal

CLOCK = SystemClock()
COUNT = 300
BARRIERS = 300
WARM = 20
RECORD = {"execution_id": "x-1", "order_id": 1, "limit": 10_000, "qty": 50, "symbol": "000010", "side": "BUY"}
A, B, _, D = range(4)


def told(benchmark, name, took_ns, limit_us=None):
    took = [one / 1_000 for one in took_ns[WARM:]]
    p50, p99 = statistics.median(took), statistics.quantiles(took, n=100)[98]
    benchmark.extra_info |= {f"{name} p50_us": p50, f"{name} p99_us": p99}
    sys.stdout.write(f"\n{name}: p50 {p50:.1f} us, p99 {p99:.1f} us, max {max(took):.1f} us of {len(took)}")
    if limit_us is not None and not benchmark.disabled:
        assert p99 <= limit_us, name
    return p50


class Watch:
    """Processor time between two moments of a scene in simulated time."""

    def __init__(self):
        self.began, self.took = 0, []

    def begin(self):
        self.began = process_time_ns()

    def end(self):
        if self.began:
            self.took.append(process_time_ns() - self.began)
            self.began = 0


async def traded(home, count):
    """Entries that fill, entries that are cancelled by an escape, entries that are amended; by simulated time."""
    delays = SimDelays(there_ms=1, back_ms=1, stream_ms=1)
    desk = Desk(home, asyncio.get_running_loop(), delays=delays, timer=process_time_ns)
    await desk.start()
    place, cancel = Watch(), Watch()
    stages = {}

    def ends(watch):
        def call(given):
            watch.end()
            return given()

        return call

    desk.line.hooks |= {"send": ends(place), "cancel": ends(cancel)}
    for number in range(count):
        place.begin()
        desk.decide(f"in-{number}", A, "BUY", 1, 10_010)
        await desk.over(f"in-{number}")
        desk.decide(f"rest-{number}", D, "BUY", 1, 40_000)
        await desk.until(lambda number=number: desk.pipeline.live[f"x-rest-{number}"].children[0].was_live)
        cancel.begin()
        desk.live.escape(EscapeReason.MANUAL, EscapeMode.CANCEL_ONLY)
        await desk.over(f"rest-{number}")
        if number % 4 == 0:
            desk.decide(f"slow-{number}", B, "BUY", 1, 20_020)
            await desk.over(f"slow-{number}")
    for result in desk.results.values():
        for one in result.latencies:
            stages.setdefault(one.stage, []).append(one.ns)
    await desk.live.close()
    return place.took, cancel.took, stages


@pytest.mark.benchmark(group="execution live")
def test_own_time_from_a_decision_to_the_write(benchmark, tmp_path):
    count = WARM + 30 if benchmark.disabled else COUNT
    seen = {}

    def run():
        with virtual_loop() as runner:
            seen["all"] = runner.run(traded(tmp_path, count))

    benchmark.pedantic(run, rounds=1)
    place, cancel, stages = seen["all"]
    told(benchmark, "decision to write", place, 1_000)
    told(benchmark, "escape to write", cancel, 1_000)
    for name, took in sorted(stages.items()):
        if len(took) > WARM + 2:
            told(benchmark, f"stage {name}", took, 1_000)


@pytest.mark.benchmark(group="execution live")
def test_the_barrier_costs_about_one_commit(benchmark, tmp_path):
    count = WARM + 10 if benchmark.disabled else BARRIERS
    writer = JournalWriter(tmp_path / "journal")
    journal = OrderJournal(writer, codes=Codes(), word=SafetyWord(), timeout_s=30.0)
    bare, barrier, shared = [], [], []

    async def scene():
        for _ in range(count):
            began = CLOCK.monotonic_ns()
            writer.wait_durable(writer.append("ORDER_INTENT", b"x" * 120, version=2), 30.0)
            bare.append(CLOCK.monotonic_ns() - began)
            began = CLOCK.monotonic_ns()
            await journal.durable(journal.append("ORDER_INTENT", RECORD))
            barrier.append(CLOCK.monotonic_ns() - began)
            began = CLOCK.monotonic_ns()
            await asyncio.gather(*[journal.durable(journal.append("ORDER_INTENT", RECORD)) for _ in range(20)])
            shared.append(CLOCK.monotonic_ns() - began)
        await journal.close()

    benchmark.pedantic(lambda: asyncio.run(scene()), rounds=1)
    one = told(benchmark, "append and wait on a thread", bare)
    two = told(benchmark, "barrier of one send", barrier)
    many = told(benchmark, "barrier of twenty sends", shared)
    ratio = two / one
    benchmark.extra_info |= {"barrier / commit": ratio, "twenty / commit": many / one}
    sys.stdout.write(f"\nbarrier / commit {ratio:.2f}, twenty sends / commit {many / one:.2f}\n")
    if not benchmark.disabled:
        assert ratio <= 2.0, "at most the rest of one group and a whole one"
