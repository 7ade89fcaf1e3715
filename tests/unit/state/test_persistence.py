"""The state across restarts, crashes, damage and second writers."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from state_samples import (
    CALM,
    DAY,
    FAIL,
    HOUR,
    LOCKDOWN,
    NORMAL,
    QUIET,
    RECOVERED,
    START,
    STRONG,
    A,
    B,
    D,
    Desk,
)

from qts.clock import SimClock, to_ns
from qts.state import (
    FileStateStore,
    OperatingStateManager,
    SecondWriter,
    StateCorrupt,
    StorePersistFailed,
    TransitionKind,
    TransitionReason,
    read_state,
)

STORM = replace(CALM, vix=31.0)


@pytest.fixture
def home(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def start(home):
    """Start a manager on the same files, as a restart does: the one before is gone."""
    open_stores = []

    def _start(state=B, policy="LITERAL", *, after=timedelta(0), clock=None, **more):
        for store in open_stores:
            store.close()
        open_stores.append(FileStateStore(home))
        at = SimClock(to_ns(START + after)) if clock is None else clock
        return Desk(state, policy, store=open_stores[-1], clock=at, **more)

    yield _start
    for store in open_stores:
        store.close()


def lines(home):
    return [json.loads(line) for line in (home / "operating_state.jsonl").read_text().splitlines()]


def test_the_first_start_is_balanced_and_recorded(start, home):
    desk = start()
    assert desk.state is B
    assert (desk.last.kind, desk.last.reason, desk.last.version) == (
        TransitionKind.BOOT,
        TransitionReason.BOOT_DEFAULT,
        1,
    )
    assert len(lines(home)) == 1
    assert read_state(home).state is B


def test_a_restart_goes_on_where_it_was(start):
    desk = start(A)
    desk.settle(2)
    version = desk.snapshot.version
    again = start(B, after=3 * DAY)
    assert again.state is A  # what is configured is for the very first start
    assert again.snapshot.state_duration_days == 3.0  # time while the engine was down counts
    assert again.snapshot.version >= version
    assert again.manager.history(30) == desk.manager.history(30)


def test_a_transition_survives_with_everything_in_its_record(start):
    desk = start()
    desk.settle(5)
    desk.hours(2, STORM)
    kept = desk.last
    again = start(after=6 * DAY)
    assert again.state is D
    assert again.last == kept
    assert again.last.metrics.vix == 31.0
    assert again.snapshot.previous_state is B
    assert again.snapshot.transition_reason is TransitionReason.VOLATILITY_THRESHOLD_EXCEEDED
    assert again.snapshot.transition_timestamp == kept.effective_at


def test_what_was_counted_is_void_and_two_fresh_cycles_are_needed(start):
    desk = start(D)
    desk.hours(24 * 5, RECOVERED)
    assert desk.snapshot.pending_count == 1
    again = start(after=5 * DAY + HOUR / 2)
    assert again.snapshot.pending_count == 0
    assert again.snapshot.version > desk.snapshot.version
    assert again.hours(2, RECOVERED) == [D, B]


def test_the_cooldown_survives(start):
    desk = start(B, min_duration_days={A: 0, B: 0, D: 0})
    desk.hours(2, STORM)
    again = start(after=timedelta(hours=12), min_duration_days={A: 0, B: 0, D: 0})
    again.manager.request_transition(D)
    snapshot = again.snapshot
    assert snapshot.state_duration_days == pytest.approx(10 / 24)


def test_an_override_survives_and_one_that_expired_meanwhile_ends(start):
    start().order(D, days=2)
    again = start(after=DAY)
    assert (again.state, again.snapshot.manual_override) == (D, True)
    later = start(after=2 * DAY)
    assert (later.state, later.snapshot.manual_override) == (B, False)
    assert later.last.kind is TransitionKind.OVERRIDE_EXPIRED


def test_a_restart_is_no_release(start):
    start(A).look(QUIET, LOCKDOWN)
    again = start(after=5 * DAY)
    assert again.snapshot.trading_paused
    assert again.snapshot.state_duration_days == 0.0
    assert again.look(QUIET, NORMAL) is B


def test_an_override_that_expires_in_lockdown_waits_for_the_release_across_a_restart(start):
    desk = start()
    desk.order(D, days=1)
    desk.look(QUIET, LOCKDOWN)
    again = start(after=3 * DAY)
    assert (again.state, again.snapshot.manual_override) == (D, True)
    again.manager.release_lockdown("kim")
    assert (again.state, again.snapshot.manual_override) == (B, False)


def test_after_a_restart_one_sample_of_a_loss_is_enough_under_safe(start):
    start(A, "SAFE").look(QUIET)
    again = start(A, "SAFE", after=2 * DAY)
    assert again.look(replace(QUIET, drawdown_pct=0.06)) is B


def test_a_cap_for_an_unknown_index_survives_until_it_is_known(start):
    start(A, "SAFE").look(replace(QUIET, vix=None))
    again = start(A, "SAFE", after=HOUR)
    assert again.snapshot.effective_properties.max_positions == 15
    again.look(QUIET)
    assert again.snapshot.effective_properties.max_positions == 20


def test_a_clock_that_ran_backwards_while_the_engine_was_down_adds_no_time(start):
    start().settle(2)
    assert start(after=-DAY).snapshot.state_duration_days <= 2.0


def test_a_clock_that_ran_backwards_while_the_engine_was_down_prolongs_no_override(start):
    start().order(D, days=7)
    again = start(after=-30 * DAY)
    again.wait(7 * DAY)
    assert again.manager.check_override_expiry().manual_override is False


@pytest.mark.parametrize("policy", ["LITERAL", "SAFE"])
@pytest.mark.parametrize("value", [float("nan"), None])
def test_metrics_that_are_no_numbers_move_nothing_and_are_told_and_not_kept(start, home, policy, value):
    desk = start(A, policy)
    names = [field.name for field in fields(QUIET) if field.name not in {"market_circuit_breaker", "vix"}]
    desk.hours(24 * 8, replace(QUIET, **dict.fromkeys(names, value)))
    assert desk.state is A
    assert "GR083" in desk.heard.codes
    assert "NaN" not in (home / "operating_state.jsonl").read_text()
    assert start(B, policy, after=9 * DAY).state is A


def test_a_torn_last_line_was_never_durable_and_is_written_over(start, home):
    desk = start()
    desk.settle(5)
    desk.hours(2, STORM)
    path = home / "operating_state.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"body": {"state": {"vers')
    again = start(after=6 * DAY)
    assert again.state is D
    again.look(QUIET, FAIL)
    assert path.read_bytes().startswith(whole)
    assert start(after=7 * DAY).snapshot.trading_paused


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _drop_last_line(path):
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def _drop_middle_line(path):
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(rows[:1] + rows[2:]))


def _repeat_last_line(path):
    rows = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*rows, rows[-1]]))


def _relabel(path):
    path.write_bytes(path.read_bytes().replace(b'"state":"DEFENSIVE"', b'"state":"AGGRESSIVE"'))


def _unlink(path):
    path.unlink()


def _no_json(path):
    path.write_bytes(b"not a record\n")


def _make_unreadable(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [_flip, _drop_last_line, _drop_middle_line, _repeat_last_line, _relabel, _unlink, _no_json, _make_unreadable],
)
def test_damage_starts_defensive_with_a_code_and_a_higher_version(start, home, damage):
    desk = start(A)
    desk.look(QUIET, FAIL)
    desk.look(QUIET, NORMAL)
    version = desk.snapshot.version
    damage(home / "operating_state.jsonl")
    again = start(A, after=HOUR)
    assert again.state is D
    assert again.heard.codes == ["FS111"]
    assert again.last.reason is TransitionReason.BOOT_STATE_CORRUPT
    assert again.snapshot.version > version
    if damage is not _unlink:
        assert (home / "operating_state.jsonl.corrupt-1").exists()
    third = start(A, after=2 * HOUR)
    assert third.state is D
    assert third.heard.codes == []


def test_damage_twice_keeps_both_files(start, home):
    start()
    for number in (1, 2):
        _no_json(home / "operating_state.jsonl")
        assert start().state is D
        assert (home / f"operating_state.jsonl.corrupt-{number}").exists()


def test_a_record_of_another_shape_is_damage_even_with_a_right_hash(home):
    from qts.state.file_store import _digest

    for body in ({"state": {}, "result": None}, {"state": None}, []):
        home.mkdir(exist_ok=True)
        digest = _digest("0" * 64, body)
        line = json.dumps({"body": body, "prev": "0" * 64, "sha256": digest})
        (home / "operating_state.jsonl").write_text(f"{line}\n")
        with pytest.raises(StateCorrupt) as corrupt:
            read_state(home)
        assert corrupt.value.code == "FS111"


class FullDisk(FileStateStore):
    """A store whose disk can be full."""

    is_full = False

    def save(self, state, result):
        if self.is_full:
            raise StorePersistFailed(where=str(self.path), reason="No space left on device")
        super().save(state, result)


def test_without_a_store_less_risk_is_taken_and_more_is_not(home):
    with FullDisk(home) as store:
        desk = Desk(B, store=store)
        desk.settle(10)
        store.is_full = True
        desk.hours(5, STRONG)
        assert desk.state is B
        assert desk.heard.codes == ["FS110"]
        with pytest.raises(StorePersistFailed, match="No space left"):
            desk.order(A)
        assert (desk.state, desk.snapshot.manual_override) == (B, False)
        store.is_full = False
        desk.hours(1, STRONG)
        assert desk.state is A
        store.is_full = True
        desk.look(QUIET, FAIL)
        assert desk.state is D
        assert desk.heard.codes == ["FS110", "FS110"]
        assert read_state(home).state is A
        store.is_full = False
        desk.hours(1, QUIET, FAIL)
        assert read_state(home).state is D


def test_an_override_ends_even_if_that_cannot_be_made_durable(home):
    with FullDisk(home) as store:
        desk = Desk(B, store=store)
        desk.order(D, days=0.5)
        store.is_full = True
        desk.hours(13, QUIET)
        assert (desk.state, desk.snapshot.manual_override) == (D, False)


def test_a_directory_that_cannot_be_written_to_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorePersistFailed, match="FS110"):
        FileStateStore(tmp_path / "file" / "state")


def test_a_file_that_cannot_be_appended_to_is_told(home):
    with FileStateStore(home) as store:
        desk = Desk(B, store=store)
        store.path.unlink()
        store.path.mkdir()
        desk.look(QUIET, FAIL)
        assert desk.heard.codes == ["FS110"]
        assert desk.state is D


def test_damage_that_cannot_be_set_aside_still_starts_defensive(home):
    class Stuck(FileStateStore):
        def set_aside(self):
            raise StorePersistFailed(where=str(self.path), reason="Read-only file system")

    with FileStateStore(home) as store:
        Desk(B, store=store)
    _no_json(home / "operating_state.jsonl")
    with Stuck(home) as store:
        desk = Desk(B, store=store)
        assert desk.state is D
        assert desk.heard.codes[:2] == ["FS111", "FS110"]


def test_a_file_that_cannot_be_set_aside_is_told(home, monkeypatch):
    with FileStateStore(home) as store:
        Desk(B, store=store)

        def refuse(self, target):
            raise OSError(30, "Read-only file system", str(self))

        monkeypatch.setattr(Path, "rename", refuse)
        with pytest.raises(StorePersistFailed, match="Read-only"):
            store.set_aside()


def test_a_record_whose_sync_failed_is_taken_back(home, monkeypatch):
    def refuse(handle):
        raise OSError(5, "Input/output error")

    with FileStateStore(home) as store:
        desk = Desk(B, store=store)
        before = store.path.read_bytes()
        with monkeypatch.context() as broken:
            broken.setattr(os, "fsync", refuse)
            with pytest.raises(StorePersistFailed, match="Input/output"):
                desk.order(A)
        assert store.path.read_bytes() == before
        assert read_state(home).state is B
        desk.order(A)
        assert read_state(home).state is A


def test_the_note_of_the_last_version_may_lag(home):
    with FileStateStore(home) as store:
        desk = Desk(B, store=store)
        head = home / "operating_state.jsonl.head"
        head.unlink()
        head.mkdir()
        desk.order(D)
        assert desk.heard.codes == []
    assert read_state(home).state is D


def test_versions_that_run_backwards_are_damage(home):
    with FileStateStore(home) as store:
        Desk(B, store=store)
        state = store.load()
        store.save(replace(state, version=state.version), None)
        with pytest.raises(StateCorrupt, match="version 1 after 1"):
            store.load()


WRITER = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from qts.clock import SimClock, to_ns
from qts.safety import SafetyState
from qts.state import FileStateStore, OperatingState, OperatingStateManager, SecondWriter

home, act = Path(sys.argv[1]), sys.argv[2]

class DiesAfterWriting(FileStateStore):
    def save(self, state, result):
        super().save(state, result)
        if result is not None and result.to_state is OperatingState.DEFENSIVE:
            os.kill(os.getpid(), signal.SIGKILL)

try:
    store = DiesAfterWriting(home)
except SecondWriter as error:
    print(error.code)
    sys.exit(3)
manager = OperatingStateManager(clock=SimClock(to_ns(datetime(2026, 1, 5, tzinfo=UTC))), store=store)
if act == "hold":
    print("holding", flush=True)
    sys.stdin.read()
manager.on_safety_change(SafetyState.NORMAL, SafetyState.FAIL)
print("published", flush=True)
"""


def _writer(home, act):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home), act],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_crash_between_writing_and_publishing_restarts_with_what_was_written(start, home):
    with _writer(home, "fail") as process:
        out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (-signal.SIGKILL, "")
    again = start(after=HOUR)
    assert (again.state, again.snapshot.trading_paused) == (D, True)


def test_a_second_writer_is_refused_and_may_read(home):
    with _writer(home, "hold") as process:
        assert process.stdout.readline() == "holding\n"
        with pytest.raises(SecondWriter, match="another process") as refused:
            FileStateStore(home)
        assert refused.value.code == "FS112"
        assert read_state(home).state is B
        with _writer(home, "fail") as third:
            out, _ = third.communicate(timeout=60)
            assert (third.returncode, out) == (3, "FS112\n")
        process.kill()
        process.communicate(timeout=60)
    FileStateStore(home).close()  # whoever dies lets go


def test_history_is_append_only(start, home):
    desk = start()
    before = (home / "operating_state.jsonl").read_bytes()
    desk.order(D)
    desk.manager.cancel_override("kim", "void")
    after = (home / "operating_state.jsonl").read_bytes()
    assert after.startswith(before)
    assert [row["body"]["result"]["kind"] for row in lines(home)] == ["BOOT", "OVERRIDE", "OVERRIDE_EXPIRED"]


def test_only_what_changed_is_written(start, home):
    desk = start()
    desk.hours(48, QUIET)
    assert len(lines(home)) == 1
    desk.hours(48, STORM)
    assert len(lines(home)) == 3  # the first and the second confirmation


def test_a_listener_that_fails_changes_nothing():
    class Broken:
        def on_transition(self, result, snapshot):
            raise RuntimeError("screen is gone")

        def on_code(self, code, text):
            raise RuntimeError("screen is gone")

    from qts.state import OperatingStateManager, OverrideRejected

    clock = SimClock(to_ns(START))
    manager = OperatingStateManager(clock=clock, listener=Broken())
    assert manager.evaluate_transition(QUIET, FAIL) is D
    desk = Desk()
    desk.manager, desk.clock = manager, clock
    with pytest.raises(OverrideRejected):
        desk.order(A)


def test_what_is_on_disk_is_names_to_the_byte_as_in_version_one(home):
    """A file of version 0.1.0 reads on: the chain of hashes over the same acts is what that version wrote."""
    clock = SimClock(to_ns(datetime(2026, 1, 5, tzinfo=UTC)))
    with FileStateStore(home) as store:
        OperatingStateManager(clock=clock, store=store).on_safety_change(NORMAL, FAIL)
    last = lines(home)[-1]
    assert last["body"]["state"]["safety"] == last["body"]["result"]["safety_state"] == "FAIL"
    assert last["sha256"] == "7386476a5677a18e2d914a22734077c483378c2b6abad743006724513591982d"
    assert read_state(home).safety is FAIL
