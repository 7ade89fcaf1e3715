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
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from qts.broker.sim_client import SimSocketBroker
from qts.execution.contracts import TERMINAL
from qts.execution.history import read_history

from .. import fast_time
from ..execution_script import DAY_NS

ROOT = Path(__file__).parents[2]
SPEED = 20
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


@cache
def all_places() -> tuple[str, ...]:
    """Every place that an undisturbed run passes, with the number of the pass: the first, the middle and the last."""
    clock = fast_time.FastClock.beginning_now(DAY_NS, SPEED)
    home = Path(os.environ["QTS_HOME"]) / "undisturbed"
    with broker(clock) as port:
        passed = engine(home, port, clock)["places"]
    return tuple(
        f"{name}:{count}" for name, times in sorted(passed.items()) for count in sorted({1, (times + 1) // 2, times})
    )


@cache
def recovery_places() -> tuple[str, ...]:
    """Every place that a start passes which finds an engine dead in the middle, but not those of the script after it."""
    clock = fast_time.FastClock.beginning_now(DAY_NS, SPEED)
    home = Path(os.environ["QTS_HOME"]) / "disturbed"
    with broker(clock) as port:
        assert engine(home, port, clock, IN_THE_MIDDLE) is None
        passed = engine(home, port, clock)["recovery_places"]
    return tuple(f"{name}:{count}" for name, times in sorted(passed.items()) for count in sorted({1, times}))
