"""An engine that trades over a socket dies at any place, starts again, and the books are exact (spec 15 §18, T14).

The broker lives in a process of its own and keeps its book. The engine's process goes through a script of entries,
exits, amendments, escapes and cancels and is killed by SIGKILL at a marked place: before and after every record, every
barrier, every permit, every write and read of the socket, every change of the gateway. Then it is started again, once
or, where it is killed in its recovery, twice, until it has gone through the script. What has to hold is read from the
broker's own book and from the journal; the engine's own opinion is only one of the things compared.

CI kills at a sample of the places, chosen by a seed. All of them, in minutes:

    QTS_KILL_POINTS=all python -m pytest --no-cov tests/integration/test_execution_killed.py

A number instead of `all` chooses so many, `QTS_KILL_SEED` which.
"""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from qts.broker.sim_client import SimSocketBroker
from qts.execution.contracts import TERMINAL
from qts.execution.history import read_history

from .. import fast_time
from ..execution_script import CASH, DAY_NS, SCRIPT

ROOT = Path(__file__).parents[2]
SPEED = 30
SAMPLE = 10
AT_LEAST = 60
"""Places that the full set has at least."""
RUN_S = 120


@contextmanager
def broker(clock):
    """A broker's process; its port."""
    command = [sys.executable, "-m", "tests.execution_broker", str(clock)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield int(line)
        finally:
            process.terminate()


def engine(home: Path, port: int, clock, fatal: str = "") -> dict | None:
    """Run an engine to its end and return its books; None if it died where it was to."""
    command = [sys.executable, "-m", "tests.execution_engine", str(home), str(port), str(clock), fatal]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=RUN_S, check=False)
    if fatal and done.returncode == -signal.SIGKILL:
        return None
    assert done.returncode == 0, (fatal, done.returncode, done.stdout[-4_000:], done.stderr[-4_000:])
    return json.loads(done.stdout)


def book_of(port: int) -> dict:
    """What the broker itself says."""

    async def ask():
        line = SimSocketBroker("127.0.0.1", port, silence_ms=10_000)
        await line.connect()
        try:
            return {
                "orders": await line.query_orders(),
                "fills": await line.query_fills(),
                "positions": {row.symbol: row.qty for row in await line.query_positions() if row.qty},
                "cash": (await line.query_cash()).cash,
            }
        finally:
            await line.close()

    return asyncio.run(ask())


def check(home: Path, port: int, books: dict) -> None:
    """Exactly once: what the broker has, what the journal says and what the engine thinks are one story."""
    truth, history = book_of(port), read_history(home)
    assert [row for row in truth["orders"] if row.is_live] == [], "an order was left alive"
    assert books["positions"] == truth["positions"]
    assert books["cash"] == truth["cash"]

    new = [row for row in truth["orders"] if not row.original_no]
    owners = Counter(number for order in history.orders.values() for number in order.numbers)
    assert {row.broker_no for row in truth["orders"]} == set(owners), "an order without a request, or of nobody"
    assert set(owners.values()) <= {1}, "two requests have the same order"
    sent = [order for order in history.orders.values() if order.numbers]
    assert len(new) == len(sent), "a request became two orders"
    assert len({order.split_id for order in history.orders.values()}) == len(history.orders), "a request came twice"

    booked = Counter((fill.event_id, fill.qty, fill.price) for fill in history.fills)
    assert booked == Counter((fill.event_id, fill.qty, fill.price) for fill in truth["fills"])
    assert set(booked.values()) <= {1}, "a fill was booked twice"

    assert len({one.decision.decision_id for one in history.executions.values()}) == len(history.executions)
    assert {one.state for one in history.executions.values()} <= TERMINAL
    for one in history.executions.values():
        filled = sum(order.filled for order in history.orders_of(one.execution_id) if not order.is_escape)
        assert filled <= max(one.qty, one.decision.qty), "more was traded than was decided"
    assert not [told for told in books["codes"] if told.startswith(("FS071", "FS122", "FS063"))], books["codes"]


IN_THE_MIDDLE = ("write.place>:3", "write.amend>:2", "gateway.on_ack<:4", "fill.appended:4", "answer.cancel<:1")
"""Where an engine dies so that the next one has something to recover: in doubt, half amended, filled, cancelled."""


class World:
    """A broker with its book and an engine with its journal, on one time."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.clock = fast_time.FastClock.beginning_now(DAY_NS, SPEED)
        self.port = 0

    def run(self, fatal: str = "") -> dict | None:
        return engine(self.home, self.port, self.clock, fatal)

    def finish(self) -> dict:
        """Start again until the script is done, and check everything."""
        books = self.run()
        check(self.home, self.port, books)
        return books


@contextmanager
def world(home: Path):
    """A fresh one."""
    made = World(home)
    with broker(made.clock) as made.port:
        yield made


def passes(places: dict[str, int]) -> list[str]:
    """Where to die: at the first, the middle and the last pass of each place."""
    return [
        f"{name}:{count}" for name, times in sorted(places.items()) for count in sorted({1, (times + 1) // 2, times})
    ]


def wanted(points: list) -> list:
    """All of them, or a sample."""
    asked = os.environ.get("QTS_KILL_POINTS", str(SAMPLE))
    if asked == "all":
        return points
    rng = random.Random(int(os.environ.get("QTS_KILL_SEED", "7")))  # noqa: S311 - a choice of tests
    return rng.sample(points, min(len(points), int(asked)))


def together(home: Path, jobs: list, work) -> list:
    """Do `work` for every job, two at a time: each is mostly waiting."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda given: work(home / str(given[0]), given[1]), enumerate(jobs)))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> dict:
    """A run that nobody kills: its books, and every place that it passed."""
    with world(tmp_path_factory.mktemp("undisturbed") / "journal") as made:
        return made.finish()


def test_a_run_that_nobody_kills_has_exact_books_and_passes_enough_places(undisturbed):
    assert set(undisturbed["results"]) == {step.name for step in SCRIPT}
    dispositions = {name: result[0] for name, result in undisturbed["results"].items()}
    assert dispositions["withdraw"] == "NO_FILL"
    assert dispositions["part"] == "FLATTENED"
    assert len(undisturbed["places"]) >= AT_LEAST
    assert undisturbed["cash"] < CASH, "fees were paid"


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_an_engine_that_dies_anywhere_leaves_exact_books(undisturbed, tmp_path):
    points = wanted(passes(undisturbed["places"]))

    def die(home: Path, point: str) -> str:
        with world(home) as made:
            died = made.run(point) is None
            books = made.finish()
        assert died or dies_late(point), (point, books["places"])
        return point if died else ""

    died = [point for point in together(tmp_path, points, die) if point]
    assert len(died) >= len(points) * 3 // 4, "a place that is passed is where it dies, but for what time decides"
    if os.environ.get("QTS_KILL_POINTS") == "all":
        assert len(died) >= AT_LEAST


def dies_late(point: str) -> bool:
    """Whether a place is passed as often as time has it: polls and looks."""
    return point.startswith(("write.", "answer.", "inquiry.")) or not point.endswith(":1")


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_an_engine_that_dies_again_in_its_recovery_leaves_exact_books(tmp_path):
    def look(home: Path, point: str) -> list[tuple[str, str]]:
        """Every place that the recovery after `point` passes."""
        with world(home) as made:
            assert made.run(point) is None
            return [(point, place) for place in passes(made.finish()["recovery_places"])]

    every = [pair for pairs in together(tmp_path / "look", list(IN_THE_MIDDLE), look) for pair in pairs]
    pairs = wanted(every)

    def die(home: Path, pair: tuple[str, str]) -> bool:
        with world(home) as made:
            assert made.run(pair[0]) is None
            died = made.run(pair[1]) is None
            made.finish()
        assert died or dies_late(pair[1]), pair
        return died

    died = sum(together(tmp_path / "die", pairs, die))
    assert died >= len(pairs) * 3 // 4
