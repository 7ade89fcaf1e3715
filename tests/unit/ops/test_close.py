"""The close of a session: its order, its record, and what happens when a step cannot be done."""

import json
import os
import subprocess
import sys
import textwrap
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from qts.clock import SimClock, to_ns
from qts.codes import EngineFault, UsageError
from qts.config import ConfigManager
from qts.instruments import AlwaysOpen, load_calendars
from qts.ops.close import (
    ORDER,
    CloseFiles,
    CloseStatus,
    CloseStep,
    StepResult,
    StepState,
    announce,
    pending,
    run_close,
    run_pending,
)
from qts.ops.close.messages import say

MONDAY, TUESDAY, WEDNESDAY = date(2024, 3, 4), date(2024, 3, 5), date(2024, 3, 6)
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")


@pytest.fixture(scope="module")
def krx():
    return load_calendars(ConfigManager().load().reference)["XKRX"]


@pytest.fixture
def clock():
    return SimClock(to_ns(at(MONDAY, 7, 30)))


def at(day, hour, minute=0):
    """A moment in UTC; the session ends at 06:30."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


class Steps:
    """Steps that note when they were run."""

    def __init__(self):
        self.ran = []
        self.failing = {}

    def all(self, names=ORDER):
        return [CloseStep(name, self.step(name)) for name in names]

    def step(self, name):
        def run(context):
            self.ran.append((context.day, name, context.attempt, context.is_catch_up))
            if name in self.failing:
                raise self.failing[name]
            return StepResult(
                f"{name} done", {"seen": ",".join(context.results)}, ((("GR108", "old"),) if name == "backup" else ())
            )

        return run

    def names(self):
        return [row[1] for row in self.ran]


@pytest.fixture
def steps():
    return Steps()


def test_every_step_runs_once_in_its_order_and_sees_those_before(tmp_path, steps, clock):
    outcome = run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert outcome.status is CloseStatus.DONE
    assert steps.names() == list(ORDER)
    seen = [row.result.values["seen"] for row in outcome.record.steps]
    assert seen == [",".join(ORDER[:number]) for number in range(len(ORDER))]
    assert [row.key for row in outcome.record.steps] == [f"close:main:2024-03-04:{name}" for name in ORDER]
    assert outcome.reports == (("GR108", "old"),)
    assert str(outcome) == "main, 2024-03-04: closed, 7 steps"


def test_a_day_that_is_closed_is_not_closed_again(tmp_path, steps, clock):
    run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    again = run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert again.status is CloseStatus.ALREADY
    assert len(steps.ran) == len(ORDER)
    assert again.record.steps[0].result.detail == "reconcile done"
    assert str(again) == "main, 2024-03-04: was closed already"


@pytest.mark.parametrize("name", ORDER)
def test_a_step_that_fails_stops_the_set_and_is_tried_again(tmp_path, steps, clock, name):
    steps.failing[name] = EngineFault("FS071", found="7 of 005930, 8 at the broker", hint="explain it")
    outcome = run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert (outcome.status, outcome.failed.name, outcome.failed.code) == (CloseStatus.FAILED, name, "FS071")
    assert f"the close stands at {name} (attempt 1)" in str(outcome)
    assert "8 at the broker" in str(outcome)
    assert steps.names() == list(ORDER[: ORDER.index(name) + 1])
    states = [row.state for row in outcome.record.steps]
    assert states[ORDER.index(name) + 1 :] == [StepState.WAITING] * (len(ORDER) - ORDER.index(name) - 1)

    steps.failing.clear()
    steps.ran.clear()
    done = run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert done.status is CloseStatus.DONE
    assert [row[1:3] for row in steps.ran] == [(name, 2), *((other, 1) for other in ORDER[ORDER.index(name) + 1 :])]
    assert CloseFiles(tmp_path, "main").load(MONDAY) == done.record


def test_an_error_that_nobody_thought_of_stops_the_set_as_well(tmp_path, steps, clock):
    steps.failing["report"] = ZeroDivisionError("by zero")
    outcome = run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert outcome.failed.code == "FS031"
    assert outcome.failed.message == "report raised ZeroDivisionError: by zero"
    assert "backup" not in steps.names()


def test_an_interrupt_leaves_the_step_under_way_and_it_is_run_again(tmp_path, steps, clock):
    steps.failing["report"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert CloseFiles(tmp_path, "main").load(MONDAY).steps[3].state is StepState.RUNNING
    steps.failing.clear()
    outcome = run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert outcome.status is CloseStatus.DONE
    assert outcome.record.steps[3].attempts == 2
    assert steps.names().count("settle") == 1


def test_steps_may_be_left_out_but_not_turned_round(tmp_path, steps, clock):
    assert run_close(tmp_path, "main", MONDAY, steps.all(("settle", "backup")), clock).status is CloseStatus.DONE
    for names in (("backup", "settle"), ("settle", "settle"), ("payday",), ()):
        with pytest.raises(UsageError, match="steps"):
            run_close(tmp_path, "main", TUESDAY, steps.all(names), clock)


@pytest.mark.parametrize("account", ["", "..", "a/b", ".hidden", "계좌", "x" * 65])
def test_an_account_that_is_no_name_of_a_directory_is_refused(tmp_path, steps, clock, account):
    with pytest.raises(UsageError, match="account"):
        run_close(tmp_path, account, MONDAY, steps.all(), clock)
    assert list(tmp_path.iterdir()) == []


def test_accounts_are_closed_apart(tmp_path, steps, clock):
    run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert run_close(tmp_path, "other", MONDAY, steps.all(), clock).status is CloseStatus.DONE
    assert len(steps.ran) == 2 * len(ORDER)


# The record


def harm_byte(path):
    path.write_bytes(path.read_bytes().replace(b'"attempts":1', b'"attempts":2', 1))


def harm_end(path):
    path.write_bytes(path.read_bytes()[:-20])


def harm_all(path):
    path.write_text('{"format": 1, "sha256": "", "body": {}}')


def harm_format(path):
    path.write_text('{"format": 9, "sha256": "", "body": {}}')


def harm_list(path):
    path.write_text("[]")


@pytest.mark.parametrize("harm", [harm_byte, harm_end, harm_all, harm_format, harm_list], ids=lambda f: f.__name__)
def test_a_record_that_was_altered_is_told_and_nothing_is_done(tmp_path, steps, clock, krx, harm):
    steps.failing["capital"] = EngineFault("FS083", found="x")
    run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    ran = len(steps.ran)
    path = tmp_path / "state" / "close" / "main" / "2024-03-04.json"
    harm(path)
    harmed = path.read_bytes()
    with pytest.raises(EngineFault) as caught:
        run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert (caught.value.code, caught.value.where) == ("FS126", str(path))
    assert "backup" in caught.value.hint
    with pytest.raises(EngineFault):
        pending(tmp_path, "main", krx, at(TUESDAY, 8))
    assert (len(steps.ran), path.read_bytes()) == (ran, harmed)


def test_a_disk_that_takes_nothing_stops_the_close_before_the_step(tmp_path, steps, clock):
    (tmp_path / "state").write_text("a file where a directory should be")
    with pytest.raises(EngineFault) as caught:
        run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    assert caught.value.code == "FS063"
    assert steps.ran == []


def test_the_record_is_for_its_owner_alone(tmp_path, steps, clock):
    run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    path = tmp_path / "state" / "close" / "main" / "2024-03-04.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_bytes())["body"]["finished_at"] == clock.now_utc().isoformat()


# Sessions in their order


def test_a_session_is_pending_from_its_close_on_until_it_is_closed(tmp_path, krx, steps, clock):
    assert pending(tmp_path, "main", krx, at(MONDAY, 20)) == ()
    announce(tmp_path, "main", MONDAY)
    announce(tmp_path, "main", MONDAY)
    assert pending(tmp_path, "main", krx, at(MONDAY, 6, 29)) == ()
    assert pending(tmp_path, "main", krx, at(MONDAY, 6, 30)) == (MONDAY,)
    run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    announce(tmp_path, "main", MONDAY)
    assert pending(tmp_path, "main", krx, at(MONDAY, 20)) == ()


def test_sessions_without_an_engine_are_closed_at_the_next_start_in_their_order(tmp_path, krx, steps, clock):
    run_close(tmp_path, "main", MONDAY, steps.all(), clock)
    steps.ran.clear()
    missed = pending(tmp_path, "main", krx, at(date(2024, 3, 12), 1))
    assert missed == (TUESDAY, WEDNESDAY, date(2024, 3, 7), date(2024, 3, 8), date(2024, 3, 11))
    outcomes = run_pending(tmp_path, "main", missed, steps.all(), clock)
    assert [row.record.day for row in outcomes] == list(missed)
    assert [row[0] for row in steps.ran if row[3]] == [day for day in missed[:-1] for _ in ORDER]
    assert pending(tmp_path, "main", krx, at(date(2024, 3, 12), 1)) == ()


def test_a_session_that_fails_holds_back_the_later_ones(tmp_path, krx, steps, clock):
    announce(tmp_path, "main", MONDAY)
    steps.failing["settle"] = EngineFault("FS122", found="x")
    missed = pending(tmp_path, "main", krx, at(WEDNESDAY, 7))
    outcomes = run_pending(tmp_path, "main", missed, steps.all(), clock)
    assert [(row.record.day, row.status) for row in outcomes] == [(MONDAY, CloseStatus.FAILED)]
    with pytest.raises(UsageError, match="2024-03-04 of main is not closed"):
        run_close(tmp_path, "main", TUESDAY, steps.all(), clock)
    assert pending(tmp_path, "main", krx, at(WEDNESDAY, 7)) == (MONDAY, TUESDAY, WEDNESDAY)


def test_a_session_before_the_last_closed_one_is_refused(tmp_path, steps, clock):
    run_close(tmp_path, "main", WEDNESDAY, steps.all(), clock)
    with pytest.raises(UsageError, match="2024-03-06 of main is closed already"):
        run_close(tmp_path, "main", MONDAY, steps.all(), clock)


def test_a_session_on_a_day_that_the_calendar_does_not_know_is_over_the_day_after(tmp_path, krx):
    sunday = date(2024, 3, 10)
    announce(tmp_path, "main", sunday)
    assert pending(tmp_path, "main", krx, at(sunday, 10)) == ()
    assert pending(tmp_path, "main", krx, at(date(2024, 3, 11), 1)) == (sunday,)


def test_a_market_that_never_closes_is_closed_day_by_day(tmp_path):
    announce(tmp_path, "main", MONDAY)
    assert pending(tmp_path, "main", AlwaysOpen(), at(WEDNESDAY, 0)) == (MONDAY, TUESDAY)


# Two at a time

_HOLDER = """
import sys
from datetime import date
from pathlib import Path
from qts.clock import SimClock
from qts.ops.close import CloseStep, StepResult, run_close

def wait(context):
    print("inside", flush=True)
    sys.stdin.readline()
    return StepResult("done")

print(run_close(Path(sys.argv[1]), "main", date(2024, 3, 4), [CloseStep("settle", wait)], SimClock(1)).status.value)
"""


def test_of_two_processes_one_closes_the_day(tmp_path, steps, clock):
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(_HOLDER), tmp_path],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout.readline() == "inside\n"
        with pytest.raises(UsageError, match="another process closes sessions of main"):
            run_close(tmp_path, "main", MONDAY, steps.all(("settle",)), clock)
        with pytest.raises(UsageError):
            announce(tmp_path, "main", TUESDAY)
        assert run_close(tmp_path, "other", MONDAY, steps.all(("settle",)), clock).status is CloseStatus.DONE
        out, _ = first.communicate("\n", timeout=60)
    assert out == "DONE\n"
    steps.ran.clear()
    assert run_close(tmp_path, "main", MONDAY, steps.all(("settle",)), clock).status is CloseStatus.ALREADY
    assert steps.ran == []


# Words


def test_every_text_stands_in_both_languages():
    assert say.problems() == []


def test_the_operator_is_told_in_korean(tmp_path, steps, clock, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")
    assert str(run_close(tmp_path, "main", MONDAY, steps.all(), clock)) == "main, 2024-03-04: 마감 완료, 7단계"
    assert Path(tmp_path, "state", "close", "main").is_dir()
