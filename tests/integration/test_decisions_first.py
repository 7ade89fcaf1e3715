"""A decision is on disk before its order leaves, whenever the process dies; one that cannot get there sends nothing."""

import asyncio
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import date
from pathlib import Path

import pytest

from qts._core import journal_records
from qts.clock import SystemClock
from qts.config import load_secrets, shipped_dir
from qts.engine import Engine
from qts.engine.build import load_config
from qts.engine.storage import run_store

ROOT = Path(__file__).parents[2]
DAY = "2026-01-05"
KILL_AT = 3
CHILD = """
import sys
from tests.integration.test_decisions_first import kill_in

kill_in(*sys.argv[1:])
"""


def engine_in(home, config) -> Engine:
    """A paper engine that keeps its decisions in the journal of its run."""
    engine = Engine.from_config(config, day=date.fromisoformat(DAY), seed=3, home=home, strategy="quote_reversion")
    engine._session.pipeline._journal._store = engine._store
    return engine


def kill_in(home, config, where) -> None:
    """Run until the `KILL_AT`th order and die there: before its barrier, behind it, or behind the send."""
    engine = engine_in(Path(home), Path(config))
    act = engine._session.pipeline._runner._act
    broker, store = act._broker, engine._store
    durable, count = store.decisions_durable, 0

    def die(decision_id):
        os.write(1, decision_id.encode())
        os.kill(os.getpid(), signal.SIGKILL)

    class Deadly:
        def place(self, request):
            decision_id = request.client_order_id.rpartition("-")[0]
            if count == KILL_AT and where == "before the send":
                die(decision_id)
            ack = broker.place(request)
            if count == KILL_AT:
                die(decision_id)
            return ack

        def cancel(self, order_id):
            return broker.cancel(order_id)

    def barrier():
        nonlocal count
        count += 1
        if count == KILL_AT and where == "before the barrier":
            die("")
        durable()

    act._broker, store.decisions_durable = Deadly(), barrier
    asyncio.run(engine.run())


@pytest.fixture
def config(tmp_path) -> Path:
    directory = tmp_path / "config"
    directory.mkdir()
    shutil.copy(shipped_dir() / "config_local.json", directory)
    (directory / "pipeline.yaml").write_text('sim:\n  session:\n    symbols: ["005930", "000660"]\n')
    return directory


def journal_of(home) -> tuple[dict[str, dict], list[str]]:
    """Decision lines by id in their order, and the decisions of the orders that the journal knows.

    An order whose decision does not stand in front of it fails here.
    """
    decisions, ordered = {}, []
    for _, _, kind, _, payload in journal_records(home / "journal"):
        if kind not in {"DECISION", "ORDER_EVENT", "FILL"}:
            continue
        record = json.loads(bytes(payload))
        if kind == "DECISION":
            decision_id, _, line = record["decision"]
            decisions[decision_id] = json.loads(line)
        elif kind == "ORDER_EVENT" and "order" in record:
            [named] = [value for value in record["order"] if isinstance(value, str) and value in decisions]
            ordered.append(named)
        elif kind == "FILL":
            assert set(decisions) & set(map(str, record["fill"])), "a fill without a decision"
    return decisions, ordered


@pytest.mark.parametrize("where", ["before the barrier", "before the send", "behind the send"])
def test_a_process_that_dies_leaves_no_order_without_its_decision(tmp_path, config, where):
    home = tmp_path / "home"
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(home), str(config), where],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert child.returncode == -signal.SIGKILL, child.stderr
    decisions, ordered = journal_of(home)
    assert len(set(ordered)) >= 1, "orders went out before"
    if where != "before the barrier":
        assert decisions[child.stdout]["action"] in {"BUY", "SELL"}, "what was decided is on record"
        assert child.stdout not in ordered, "the venue's answer was never heard"

    store = run_store(load_config(config), home, SystemClock(), load_secrets(home))
    store.open()
    store.close()
    with closing(sqlite3.connect(home / "db" / "paper.sqlite")) as books:
        kept = {row[0] for row in books.execute("SELECT decision_id FROM decisions")}
    assert set(decisions) <= kept, "the next start brings them into the books"


def test_a_journal_that_does_not_sync_sends_nothing_and_stops_the_strategies(tmp_path, config):
    engine = engine_in(tmp_path / "home", config)
    pipeline, store = engine._session.pipeline, engine._store
    durable, barriers = store.decisions_durable, []

    def fails_from_the_third_on():
        barriers.append(pipeline._runner._cycle_no)
        if len(barriers) >= 3:
            raise OSError(28, "No space left on device")
        durable()

    store.decisions_durable = fails_from_the_third_on
    seen = []
    with asyncio.run(engine.run(on_status=lambda status: seen.append((status.safety, status.safety_code)))) as result:
        report = result.report
    assert ("FAIL", "FS063") in seen
    sent = sum(report["orders"].values())
    assert sent == 2 or report["positions"], "two orders left; nothing after them but what protects"
    [fault] = [fault for fault in report["faults"] if fault["code"] == "FS063"]
    assert "No space left" in fault["message"]
    assert (fault["source"], len(barriers) >= 3) == ("decide", True)


def test_only_cycles_that_send_wait(tmp_path, config):
    engine = engine_in(tmp_path / "home", config)
    pipeline, store = engine._session.pipeline, engine._store
    durable, barriers = store.decisions_durable, []

    def counted():
        barriers.append(pipeline._runner._cycle_no)
        durable()

    store.decisions_durable = counted
    asyncio.run(engine.run()).close()
    decisions, _ = journal_of(tmp_path / "home")
    sending = {line["cycle"] for line in decisions.values() if line["action"] != "NONE"}
    assert barriers == sorted(sending)
    assert len(decisions) == pipeline._journal.lines, "those that were refused are on record as well"
