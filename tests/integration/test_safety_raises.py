"""What Rust raises while Python hangs outlives a kill: real processes, in which nobody has heard of the raise."""

import json
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import pytest

from qts._core import SAFETY_FLAGS, RaiseLog, SafetyWord
from qts.clock import SystemClock
from qts.safety import (
    CheckOutcome,
    Credential,
    Evidence,
    KillLevel,
    OperatorBook,
    Role,
    SafetyState,
    SafetyStateManager,
)

NORMAL, WARNING, FAIL, LOCKDOWN = SafetyState
SECRET = "correct horse battery"  # noqa: S105 - of a made-up person
RECORD_BYTES = 64
HUNG = """
import sys, threading
from pathlib import Path
from qts.clock import SystemClock
from qts.safety import SafetyStateManager
home = Path(sys.argv[1])
manager = SafetyStateManager.open(home, SystemClock(), environ={})
lock, word = manager._lock, manager.word
lock.acquire()  # from now on nobody hears, records or polls
"""
DISPATCHER = (
    HUNG
    + """
import asyncio
from datetime import UTC, datetime
from qts.engine.build import load_config
from qts.event import CallbackHandler, EventConfig, EventDispatcher, EventPriority, EventType, create_event

async def work():
    config = EventConfig.from_settings(load_config(None).event)
    dispatcher = EventDispatcher(config, journal=home / "journal", safety=word)
    dispatcher.register_handler(EventPriority.P0_CRITICAL, CallbackHandler(lambda event: None, "hears"))
    await dispatcher.start()
    dispatcher._bus.close_journal()
    await dispatcher.dispatch(create_event(EventType.FILL_CONFIRMED, "BROKER", {
        "order_id": "O", "exec_id": "E", "symbol": "005930", "side": "BUY", "filled_qty": 1, "filled_price": 70_000,
        "cumulative_qty": 1, "remaining_qty": 0, "fee": 10, "filled_time": datetime(2026, 1, 5, 1, tzinfo=UTC)}))
    threading.Event().wait()

asyncio.run(work())
"""
)


class Green:
    name = "reconciliation"
    codes = frozenset()

    def run(self, request):
        return CheckOutcome(is_passed=True)


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


def log(home) -> Path:
    return home / "state" / "raises.log"


def lives(child) -> None:
    """Give a process a moment, in which it must not end."""
    with suppress(subprocess.TimeoutExpired):
        raise AssertionError(child.wait(0.005), child.stderr.read())


def hung(home, script, records=1) -> None:
    """Run a process that hangs after a raise, and kill it once that many raises are on disk."""
    path = log(home)
    with subprocess.Popen(
        [sys.executable, "-c", script, str(home)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        while not path.exists() or path.stat().st_size < (1 + records) * RECORD_BYTES:
            lives(child)
        child.kill()
        assert child.wait() == -signal.SIGKILL


def raising(*acts) -> str:
    return "\n".join((HUNG, *(f"word.{act}" for act in acts), "threading.Event().wait()"))


def opened(home, **given) -> SafetyStateManager:
    return SafetyStateManager.open(home, SystemClock(), **{"environ": {}, **given})


def shown(home, **given):
    manager = opened(home, **given)
    snapshot = manager.snapshot()
    manager.close()
    return snapshot


def lines(home, code) -> list[dict]:
    found = map(json.loads, (home / "state" / "audit.jsonl").read_bytes().splitlines())
    return [line for line in found if line["code"] == code]


def test_what_the_dispatcher_raised_while_python_hung_outlives_a_kill(home):
    hung(home, DISPATCHER)
    assert lines(home, "FS063") == [], "nobody had heard of it"
    found = shown(home)
    assert (found.state, found.codes, found.consecutive) == (FAIL, ("FS063",), 1)
    [line] = lines(home, "FS063")
    assert (line["actor"], line["from"], line["to"]) == ("core", "NORMAL", "FAIL")
    assert line["payload"]["heard"] == "after a restart"
    assert datetime.fromisoformat(line["payload"]["raised_at"]).tzinfo is not None


def test_a_restart_after_that_applies_nothing_twice(home):
    hung(home, raising("raise_state(2, 'FS040', 7)"))
    for _ in range(3):
        found = shown(home)
        assert (found.state, found.consecutive) == (FAIL, 1)
    assert len([line for line in lines(home, "FS040") if line["kind"] == "transition" and line["actor"] == "core"]) == 1
    assert log(home).stat().st_size == RECORD_BYTES, "and the log is empty"


@pytest.mark.parametrize(
    ("acts", "state"),
    [
        (["raise_state(1, 'FS101', 1)"], WARNING),
        (["raise_state(3, 'FS040', 1)"], LOCKDOWN),
        (["raise_state(2, 'FS040', 1)", "raise_state(2, 'FS043', 2)"], LOCKDOWN),
        (["raise_state(2, 'AN001', 1)"], FAIL),
        (["raise_state(1, 'GR070', 1)"], WARNING),
        (["raise_state(3, 'KS', 1)"], LOCKDOWN),
    ],
)
def test_the_state_after_the_restart_is_at_least_what_was_raised(home, acts, state):
    hung(home, raising(*acts), len(acts))
    assert shown(home).state == state
    assert shown(home).state == state


def test_a_release_by_an_operator_ends_it_for_good(home):
    hung(home, raising("raise_state(2, 'FS040', 7)"))
    manager = opened(home, checks=[Green()])
    OperatorBook.at(home).add("lee", Role.SAFETY_OFFICER, SECRET)
    manager.close()
    manager = opened(home, checks=[Green()])
    assert manager.state == FAIL
    released = manager.ack(Credential("lee", SECRET), Evidence("FS040", "the cause, in enough words"))
    assert released.applied
    assert manager.state == WARNING
    manager.close()
    for _ in range(2):
        found = shown(home)
        assert (found.state, found.codes) == (WARNING, ("FS040",))


def test_what_was_heard_before_the_kill_does_not_come_again(home):
    script = raising("raise_state(2, 'FS040', 7)").replace(
        "threading.Event().wait()",
        "lock.release(); manager.poll(); lock.acquire(); word.raise_state(2, 'AN001', 8); threading.Event().wait()",
    )
    path = log(home)
    with subprocess.Popen([sys.executable, "-c", script, str(home)], stderr=subprocess.PIPE, text=True) as child:
        while not path.exists() or b"AN001" not in path.read_bytes():
            lives(child)
        child.kill()
    found = shown(home)
    assert (found.state, found.consecutive) == (FAIL, 1), "an anomaly in FAIL is recorded"
    assert len([line for line in lines(home, "FS040") if line["kind"] == "transition"]) == 1
    assert len(lines(home, "AN001")) == 1


def with_one(home) -> bytes:
    hung(home, raising("raise_state(2, 'FS040', 7)"))
    return log(home).read_bytes()


def test_a_log_that_was_not_emptied_in_time_is_not_applied_again(home):
    whole = with_one(home)
    assert shown(home).state == FAIL
    log(home).write_bytes(whole)
    assert (shown(home).state, shown(home).consecutive) == (FAIL, 1)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path, whole: path.write_bytes(whole[:40]), "raises_damaged"),
        (lambda path, whole: path.write_bytes(b""), "raises_damaged"),
        (lambda path, whole: path.write_bytes(whole[:70] + b"?" + whole[71:]), "raises_damaged"),
        (lambda path, whole: path.write_bytes(whole[:100]), "raises_torn"),
        (lambda path, whole: path.unlink(), "raises_missing"),
    ],
)
def test_a_log_that_cannot_be_read_begins_in_fail(home, damage, reason):
    damage(log(home), with_one(home))
    found = shown(home)
    assert (found.state, found.reason, found.last_code) == (FAIL, reason, "FS063")
    assert len(list((home / "state").glob("raises-damaged-*.log"))) == (reason == "raises_damaged")
    again = shown(home)
    assert (again.state, again.consecutive) == (FAIL, 1), "once"


def test_a_raise_before_the_manager_is_there_is_kept_too(home):
    word = SafetyWord()
    word.raise_state(2, "FS040", 1)
    assert shown(home, word=word).state == FAIL
    assert len(lines(home, "FS040")) == 1


def crc32c(data: bytes) -> int:
    """The checksum of the log, from its polynomial."""
    crc = 0xFFFF_FFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F6_3B78 if crc & 1 else 0)
    return crc ^ 0xFFFF_FFFF


def test_flags_that_came_with_a_raise_are_taken_over(home):
    opened(home).close()
    flags = dict(SAFETY_FLAGS)
    body = struct.pack("<BBHQQqQ16s8x", 0, 2, 0, 1, 5, 1, flags["JOURNAL_FAILED"] | flags["KILL_K2"], b"FS063")
    with log(home).open("ab") as file:
        file.write(struct.pack("<I", crc32c(body)) + body)
    found = shown(home)
    assert (found.state, found.last_code) == (LOCKDOWN, "KS")
    assert (found.kill_switch.level, found.kill_switch.by) == (KillLevel.K2, "core")
    assert "JOURNAL_FAILED" in found.flags
    assert len(lines(home, "FS063")) == 1
    assert "JOURNAL_FAILED" in shown(home).flags


def until(condition, what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain {what}"
        time.sleep(0.001)


def scribes() -> set[str]:
    """Return the ids of the threads that write raises; a thread that has just ended may still be listed."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # gone since it was listed
            if (task / "comm").read_text().strip() == "qts-raises":
                found.add(task.name)
    return found


def test_the_thread_ends_with_the_manager_and_the_word_takes_another(home):
    word, before = SafetyWord(), scribes()
    manager = opened(home, word=word)
    until(lambda: len(scribes() - before) == 1, "for the thread to take its name")
    mine = scribes() - before
    with pytest.raises(ValueError, match="is taken"):
        RaiseLog(home / "other.log").attach(word, 0)
    manager.close()
    until(lambda: not scribes() & mine, "for the kernel to let go of the thread")
    opened(home, word=word).close()


def test_what_the_disk_did_not_take_is_acknowledged_when_it_does(home):
    manager = opened(home)
    append = manager._books.audit.append

    def full(entry):
        raise OSError(28, "No space left on device")

    manager._books.audit.append = full
    manager.word.raise_state(2, "FS100", 1)
    manager.poll()
    kept = manager._raises_kept
    assert manager.state == LOCKDOWN, "the raise, and the trail that takes nothing"
    manager._books.audit.append = append
    manager.poll()
    assert manager._raises_kept == kept + 1
    manager.close()
