"""A restart is not a release: real processes are killed in each state and started again."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qts.clock import SystemClock
from qts.codes import EngineFault, UsageError
from qts.safety import Entry, FileVault, KillLevel, SafetyState, SafetyStateManager, Unit, verify

NORMAL, WARNING, FAIL, LOCKDOWN = SafetyState
PREPARE = """
import sys
from pathlib import Path
from qts.clock import SystemClock
from qts.safety import KillLevel, SafetyStateManager, SafetyState, Unit
manager = SafetyStateManager.open(Path(sys.argv[1]), SystemClock(), environ={})
"""
WAIT = """
sys.stdout.write("ready\\n")
sys.stdout.flush()
sys.stdin.read()
"""


def killed(home, act) -> None:
    """Run a process that opens the safety state, does `act`, and is killed by SIGKILL."""
    command = [sys.executable, "-c", f"{PREPARE}{act}{WAIT}", str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        child.kill()
        assert child.wait() == -signal.SIGKILL


@pytest.fixture
def home(tmp_path) -> Path:
    return tmp_path / "home"


def opened(home, **given) -> SafetyStateManager:
    return SafetyStateManager.open(home, SystemClock(), **{"environ": {}, **given})


def shown(home, **given):
    manager = opened(home, **given)
    snapshot = manager.snapshot()
    manager.close()
    return snapshot


ACTS = {
    NORMAL: "",
    WARNING: "manager.record_anomaly('AN001')",
    FAIL: "manager.record_fail_safe('FS040')",
    LOCKDOWN: "manager.record_fail_safe('FS040'); manager.record_fail_safe('FS043')",
}


@pytest.mark.parametrize("state", SafetyState)
def test_08_the_state_survives_a_kill(home, state):
    killed(home, ACTS[state])
    found = shown(home)
    assert found.state == state
    assert found.codes == {NORMAL: (), WARNING: ("AN001",), FAIL: ("FS040",), LOCKDOWN: ("FS040", "FS043")}[state]
    assert found.consecutive == {NORMAL: 0, WARNING: 0, FAIL: 1, LOCKDOWN: 2}[state]
    assert shown(home).state == state, "nor does a second start release it"
    trail = verify(home / "state" / "audit.jsonl")
    assert trail.is_whole


def test_the_count_survives_so_that_the_next_fault_locks_down(home):
    killed(home, ACTS[FAIL])
    manager = opened(home)
    assert manager.record_fail_safe("FS010").to_state == LOCKDOWN
    manager.close()


@pytest.mark.parametrize("level", KillLevel)
def test_an_engaged_kill_switch_survives_a_kill(home, level):
    killed(home, f"manager.engage_kill(KillLevel.K{level.value}, by='kim', reason='drill')")
    found = shown(home)
    assert found.state == LOCKDOWN
    assert (found.kill_switch.is_engaged, found.kill_switch.level, found.kill_switch.by) == (True, level, "kim")
    assert shown(home).kill_switch.is_engaged


def test_flags_and_suspensions_survive_a_kill(home):
    killed(
        home,
        "manager.set_safe_mode(is_on=True, by='kim'); manager.set_flag('HALT_ALL', by='kim');"
        "manager.suspend(Unit.SYMBOL, '005930', 'FS071'); manager.suspend(Unit.PIPELINE, 'eteda', 'FS103')",
    )
    found = shown(home)
    assert set(found.flags) == {"SAFE_MODE", "HALT_ALL", "ETEDA_SUSPENDED"}
    assert [(row.unit, row.key, row.code) for row in found.suspensions] == [
        (Unit.SYMBOL, "005930", "FS071"),
        (Unit.PIPELINE, "eteda", "FS103"),
    ]


def test_a_kill_in_the_middle_of_reporting_loses_nothing_that_was_answered(home):
    """The child says after each fault that it has been taken; whatever it said must be there."""
    act = """
for number in range(10_000):
    manager.record_fail_safe("FS102", meta={"number": number})
    if number == 20:
        manager.record_fail_safe("FS050")
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""
    command = [sys.executable, "-c", f"{PREPARE}{act}", str(home)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout:
            last = int(line)
            if last == 60:
                child.kill()
                break
        child.wait()
    trail = home / "state" / "audit.jsonl"
    numbers = [
        json.loads(line)["payload"].get("number") for line in trail.read_bytes().splitlines() if line.endswith(b"}")
    ]
    assert set(map(str, range(61))) <= set(map(str, numbers))
    assert shown(home).state == LOCKDOWN
    assert verify(trail).is_whole


def test_a_first_start_is_normal_and_leaves_records(home):
    assert shown(home).state == NORMAL
    assert {path.name for path in (home / "state").iterdir()} == {
        "audit.jsonl", "kill_switch.json", "outbox.jsonl", "raises.log", "safety.json", "safety.lock",
    }  # fmt: skip
    assert {path.stat().st_mode & 0o077 for path in (home / "state").iterdir()} == {0}


def damaged(home, name, damage) -> None:
    shown(home)
    damage(home / "state" / name)


GARBAGE = [
    lambda path: path.write_bytes(path.read_bytes()[:40]),
    lambda path: path.write_bytes(b""),
    lambda path: path.unlink(),
]


@pytest.mark.parametrize("damage", GARBAGE)
def test_a_state_that_cannot_be_read_starts_in_fail(home, damage):
    damaged(home, "safety.json", damage)
    found = shown(home)
    assert found.state == FAIL
    assert found.reason in {"state_unreadable", "state_missing"}
    assert (found.consecutive, found.last_code) == (1, "FS063")
    assert not found.kill_switch.is_engaged
    assert shown(home).state == FAIL


@pytest.mark.parametrize("damage", GARBAGE)
def test_a_kill_switch_that_cannot_be_read_is_engaged(home, damage):
    damaged(home, "kill_switch.json", damage)
    found = shown(home)
    assert (found.state, found.kill_switch.is_engaged) == (LOCKDOWN, True)
    assert "unreadable" in found.kill_switch.reason


def test_records_that_are_gone_while_the_trail_is_there_are_no_first_start(home):
    shown(home)
    for name in ("safety.json", "kill_switch.json"):
        (home / "state" / name).unlink()
    found = shown(home)
    assert (found.state, found.kill_switch.is_engaged) == (LOCKDOWN, True)


def test_a_trail_that_has_lost_lines_starts_in_fail(home):
    killed(home, "manager.record_guardrail('GR001'); manager.suspend(Unit.SYMBOL, 'A', 'FS071')")
    trail = home / "state" / "audit.jsonl"
    lines = trail.read_bytes().splitlines(keepends=True)
    trail.write_bytes(b"".join(lines[:1]))
    found = shown(home)
    assert (found.state, found.reason) == (FAIL, "audit_lines_missing")


def test_a_torn_line_is_cut_and_recorded(home):
    shown(home)
    trail = home / "state" / "audit.jsonl"
    with trail.open("ab") as file:
        file.write(b'{"seq":')
    assert shown(home).state == NORMAL
    repaired = [json.loads(line) for line in trail.read_bytes().splitlines() if b"audit_repaired" in line]
    assert [line["payload"]["cut_bytes"] for line in repaired] == [7]
    assert verify(trail).is_whole


def test_a_trail_with_a_damaged_end_is_set_aside_whole(home):
    shown(home)
    trail = home / "state" / "audit.jsonl"
    damaged_bytes = trail.read_bytes().replace(b'"kind":"stop"', b'"kind":"none"')
    trail.write_bytes(damaged_bytes)
    found = shown(home)
    assert (found.state, found.reason) == (FAIL, "audit_damaged")
    [aside] = (home / "state").glob("audit-damaged-*.jsonl")
    assert aside.read_bytes() == damaged_bytes
    assert aside.name in trail.read_text()
    assert verify(trail).is_whole


def test_a_sentinel_file_engages_at_the_start_and_while_running(home):
    manager = opened(home)
    (home / "state" / "KILL").write_text("K2")
    manager.poll()
    kill = manager.snapshot().kill_switch
    assert (kill.is_engaged, kill.level, kill.by) == (True, KillLevel.K2, "sentinel file")
    lines = (home / "state" / "audit.jsonl").read_bytes().count(b"\n")
    manager.poll()
    assert (home / "state" / "audit.jsonl").read_bytes().count(b"\n") == lines, "once"
    manager.close()
    other = home.parent / "other"
    (other / "state").mkdir(parents=True)
    (other / "state" / "KILL").touch()
    assert shown(other).state == LOCKDOWN


def test_a_switch_that_was_disarmed_meanwhile_stays_engaged(home):
    from qts.safety import SafetyConfig

    killed(home, "manager.engage_kill(KillLevel.K1, by='kim')")
    found = shown(home, config=SafetyConfig(kill_switch_armed=False))
    assert (found.state, found.kill_switch.is_engaged, found.kill_switch.is_armed) == (LOCKDOWN, True, False)


def test_one_process_at_a_time_holds_the_state(home):
    manager = opened(home)
    with pytest.raises(UsageError, match="another process"):
        opened(home)
    manager.close()
    opened(home).close()


def test_a_home_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "home").write_text("a file")
    with pytest.raises(EngineFault, match="FS063"):
        opened(tmp_path / "home")


def test_a_clock_that_went_back_over_the_restart_does_not_forget_the_fault(home):
    killed(home, ACTS[FAIL])
    record = FileVault(home / "state").load_state().record

    class Earlier(SystemClock):
        def now_ns(self):
            return record.last_fail_ns - 3_600_000_000_000

    manager = SafetyStateManager.open(home, Earlier(), environ={})
    assert b"behind the record" in (home / "state" / "audit.jsonl").read_bytes()
    assert manager.record_fail_safe("FS010").to_state == LOCKDOWN
    manager.close()


def test_the_command_checks_the_trail_against_what_the_state_remembers(home, monkeypatch):
    killed(home, ACTS[LOCKDOWN])
    environ = {**os.environ, "QTS_HOME": str(home)}

    def run():
        command = [sys.executable, "-m", "qts.cli", "audit", "verify", "--json"]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)

    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["records"] == 3
    trail = home / "state" / "audit.jsonl"
    trail.write_bytes(b"".join(trail.read_bytes().splitlines(keepends=True)[:-2]))
    done = run()
    assert (done.returncode, json.loads(done.stdout)["first_bad_seq"]) == (1, 2)


def test_the_log_and_outbox_of_a_home_carry_the_notices(home):
    manager = opened(home)
    manager.record_fail_safe("FS040", "timeout", "Act")
    manager.record_act(Entry("kim", "login"))
    manager.close()
    texts = [json.loads(line)["text"] for line in (home / "logs" / "safety.jsonl").read_text().splitlines()]
    assert any(text.startswith("[FAIL] FS040 | Broker execution error | FAIL | ") for text in texts)
