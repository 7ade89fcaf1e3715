"""A paper session under both states: what stops it, what goes on meanwhile, and how people let it go on."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from datetime import date
from pathlib import Path

import pytest

from qts.clock import NS_PER_S, SystemClock, from_ns
from qts.codes import UsageError
from qts.config import shipped_dir
from qts.engine import Engine
from qts.ops.operator import OperatorClient
from qts.safety import OperatorBook, Role, SafetyState, SafetyStateManager, verify

LIMIT_S = 120.0
DAY = "2026-01-05"
SECRETS = {"kim": "correct horse battery", "lee": "a staple of another kind"}
CAUSE = "the venue refused, by its own notice"


class Shifted:
    """The machine's clock, which a test may put forward: both of its readings alike."""

    def __init__(self):
        self._clock = SystemClock()
        self.ahead_ns = 0

    def now_ns(self):
        return self._clock.now_ns() + self.ahead_ns

    def now_utc(self):
        return from_ns(self.now_ns())

    def monotonic_ns(self):
        return self._clock.monotonic_ns() + self.ahead_ns

    def sleep_until(self, monotonic_ns):
        raise AssertionError("nobody sleeps here")


class Session:
    """An engine on a thread of its own that stands still between two steps while a person acts."""

    def __init__(self, home, config, strategy="quote_reversion"):
        self.clock = Shifted()
        self.engine = Engine.from_config(
            config, day=date.fromisoformat(DAY), seed=3, home=home, clock=self.clock, strategy=strategy
        )
        self._home = home
        self._until = lambda status: True
        self._reached, self._go = threading.Event(), threading.Event()
        self.status = self.result = self.error = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._wait()

    def _run(self):
        try:
            with asyncio.run(self.engine.run(on_status=self._look)) as result:
                self.result = result.report
        except BaseException as error:
            self.error = error
        finally:
            self._reached.set()

    def _look(self, status):
        self.status = status
        if not self._until(status):
            return
        self._reached.set()
        while not self._go.wait(0.002):
            self.engine._inbox.run_due()  # an engine that has nothing to do still answers
            self.engine._supervisor.poll()
        self._go.clear()

    def _wait(self):
        assert self._reached.wait(LIMIT_S)
        if self.error is not None:
            raise self.error

    def on_to(self, condition):
        """Let the engine go on until a status meets `condition`, and return that status."""
        self._reached.clear()
        self._until = condition
        self._go.set()
        self._wait()
        assert condition(self.status), self.status
        return self.status

    def to_the_end(self):
        self._reached.clear()
        self._until = lambda status: False
        self._go.set()
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        assert self.error is None, self.error
        return self.result

    def ask(self, verb, **args):
        with OperatorClient(self._home, timeout_s=LIMIT_S) as client:
            return dict(client.call(verb, args))

    def act(self, verb, operator, **args):
        return self.ask(verb, operator=operator, secret=SECRETS[operator], **args)

    def break_the_venue(self):
        """Let the next order meet an error of the adapter, once."""
        act = self.engine._session.pipeline._runner._act
        executions = act._executions

        class Broken:
            def __getattr__(self, name):
                return getattr(executions, name)

            def submit(self, decision, cycle):
                act._executions = executions
                raise ConnectionError("the venue has hung up")

        act._executions = Broken()


@pytest.fixture
def home(tmp_path) -> Path:
    home = tmp_path / "home"
    (home / "state").mkdir(parents=True)
    book = OperatorBook(home / "state" / "operators.json")
    book.add("kim", Role.OPERATOR, SECRETS["kim"])
    book.add("lee", Role.SAFETY_OFFICER, SECRETS["lee"])
    return home


@pytest.fixture
def config(tmp_path) -> Path:
    directory = tmp_path / "config"
    directory.mkdir()
    shutil.copy(shipped_dir() / "config_local.json", directory)
    (directory / "pipeline.yaml").write_text('sim:\n  session:\n    symbols: ["005930", "000660"]\n')
    # A session of seconds has hundreds of clean cycles between two faults: here they are not forgotten for that.
    (directory / "safety.yaml").write_text("lockdown:\n  clean_cycles_to_reset: 1000000\n")
    return directory


def trail(home):
    path = home / "state" / "audit.jsonl"
    assert verify(path).is_whole
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_day_with_two_faults_a_lockdown_an_approval_and_an_end_in_order(home, config):
    session = Session(home, config)
    before = session.on_to(lambda status: status.fills >= 4)
    assert (before.safety in {"NORMAL", "WARNING"}, before.operating) == (True, "BALANCED")

    session.break_the_venue()
    failed = session.on_to(lambda status: status.safety == "FAIL")
    assert (failed.safety_code, failed.operating) == ("FS040", "DEFENSIVE")
    still = session.on_to(lambda status: status.done > failed.done + 0.02)
    assert (still.safety, still.working_orders) == ("FAIL", 0), "entries were withdrawn, and none was made"
    shown = session.ask("status")
    assert (shown["safety"]["cause"], shown["operating"]["cause"]) == ("FS040", "SAFETY_FAIL_TRIGGERED")

    refused = session.act("ack", "kim", code="FS041", cause=CAUSE)
    assert not refused["applied"], "not the code that it failed with"
    assert session.act("ack", "kim", code="FS040", cause=CAUSE)["applied"]
    assert session.ask("status")["safety"]["state"] == "WARNING", "on probation"
    released = session.on_to(lambda status: status.safety != "FAIL")

    # DEFENSIVE lets nothing in; an operator holds BALANCED so that there is an order to fail.
    held = session.ask(
        "override.set", state="BALANCED", reason="the venue is back", duration_s=86_400, revert_to="BALANCED"
    )
    assert held["applied"]
    session.on_to(lambda status: status.fills > released.fills)
    session.break_the_venue()
    locked = session.on_to(lambda status: status.safety == "LOCKDOWN")
    assert locked.operating == "BALANCED", "LOCKDOWN keeps the operating state"
    assert not session.act("ack", "lee", code="FS040", cause=CAUSE)["applied"]
    wrong = session.act("approve.request", "lee", code="FS040", cause=CAUSE, phrase="paper FS041")
    assert not wrong["applied"]
    not_allowed = session.act("approve.request", "kim", code="FS040", cause=CAUSE, phrase="paper FS040")
    assert not not_allowed["applied"], "an operator is no safety officer"
    asked = session.act("approve.request", "lee", code="FS040", cause=CAUSE, phrase="paper FS040")
    assert asked["applied"]
    nonce = asked["detail"]["nonce"]
    assert not session.act("approve", "lee", nonce=nonce)["applied"], "the cool-down has not passed"
    session.clock.ahead_ns += 61 * NS_PER_S
    assert session.act("approve", "lee", nonce=nonce)["applied"]
    assert session.ask("status")["safety"]["state"] == "WARNING"
    resumed = session.on_to(lambda status: status.safety != "LOCKDOWN")
    session.on_to(lambda status: status.fills > resumed.fills)
    report = session.to_the_end()
    assert report["positions"] == []

    moves = [line for line in trail(home) if line["from"] != line["to"] and line["kind"] != "operating_state"]
    grave = [line["to"] for line in moves if {line["from"], line["to"]} & {"FAIL", "LOCKDOWN"}]
    assert grave == ["FAIL", "WARNING", "LOCKDOWN", "WARNING"]


def test_a_kill_stops_entries_at_once_and_outlives_the_session(home, config):
    session = Session(home, config)
    session.on_to(lambda status: status.fills >= 2)
    killed = session.ask("kill", level=3, cause="quotes look wrong")
    assert killed["applied"]
    assert "positions stay open" in killed["reason"]
    after = session.on_to(lambda status: True)
    assert (after.safety, after.safety_code) == ("LOCKDOWN", "KS")
    entries = len([1 for order in session.engine._session.pipeline._orders if not order.is_exit])
    assert entries == 0
    count = session.engine._session.pipeline._orders.entries_on(DAY)
    report = session.to_the_end()
    assert session.engine._session.pipeline._orders.entries_on(DAY) == count
    assert report["positions"] == [], "scalp positions still end before the close"

    environ = os.environ | {"QTS_HOME": str(home)}
    again = subprocess.run(
        [sys.executable, "-m", "qts.cli", "run", "--speed", "max", "--date", DAY, "--config", str(config)],
        env=environ, capture_output=True, text=True, timeout=LIMIT_S, check=True,
    )  # fmt: skip
    assert re.search(r"safety is LOCKDOWN \(KS\)", again.stderr), again.stderr
    assert re.search(r"^Fills +0$", again.stdout, re.MULTILINE)


def test_pause_decides_and_sends_nothing_until_resume(home, config):
    session = Session(home, config)
    session.on_to(lambda status: status.fills >= 2)
    assert session.ask("pause", reason="lunch")["applied"]
    paused = session.on_to(lambda status: status.working_orders == 0 and status.positions == 0)
    later = session.on_to(lambda status: status.done > paused.done + 0.02)
    assert later.fills == paused.fills
    assert session.ask("status")["safety"]["safe_mode"] is True
    assert session.ask("resume", reason="back")["applied"]
    session.on_to(lambda status: status.fills > later.fills)
    session.to_the_end()


def test_a_damaged_record_starts_in_fail_and_trades_nothing(home, config):
    Session(home, config).to_the_end()
    record = home / "state" / "safety.json"
    record.write_text(record.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    session = Session(home, config)
    assert session.status.safety == "FAIL"
    assert session.to_the_end()["fills"] == 0
    with pytest.raises(AssertionError, match="still where"):
        assert SafetyStateManager.open(home, SystemClock()).state is not SafetyState.FAIL, "still where it was"


def test_two_engines_do_not_share_a_home(home, config):
    session = Session(home, config)
    second = Engine.from_config(config, day=date.fromisoformat(DAY), seed=3, home=home)
    with pytest.raises(UsageError, match="runs already"):
        asyncio.run(second.run())
    session.to_the_end()
