"""Closes a session step by step, and goes on where an earlier attempt stood."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from qts.clock import to_ns
from qts.codes import QtsError, UsageError
from qts.ops.close.contracts import (
    ORDER,
    CloseContext,
    CloseOutcome,
    CloseStatus,
    CloseStep,
    DayRecord,
    StepRecord,
    StepState,
)
from qts.ops.close.files import CloseFiles
from qts.ops.close.messages import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import date
    from pathlib import Path

    from qts.clock import Clock
    from qts.instruments import Calendar


def announce(home: Path, account: str, day: date) -> None:
    """Note that a session of an account has begun: from its close on it is pending, whatever becomes of the process.

    Raises:
        UsageError: another process closes a session of the account.
        EngineFault: FS063 or FS126, the record cannot be written or read.
    """
    files = CloseFiles(home, account)
    with files.held():
        if files.load(day) is None:
            files.save(DayRecord(account, day))


def pending(home: Path, account: str, calendar: Calendar, now: datetime) -> tuple[date, ...]:
    """Return the sessions that are over and not closed, in the order in which they have to be.

    From the last session that was closed on (or from the first that was announced) every session counts, also one on
    which no engine ran: positions were held, and dividends and settlement went on.

    Raises:
        EngineFault: FS126, a record is damaged.
    """
    files, now_ns = CloseFiles(home, account), to_ns(now)
    days = files.days()
    opened: list[date] = []
    closed: date | None = None
    for day in reversed(days):
        record = files.load(day)
        if record is not None and record.is_finished:
            closed = day
            break
        opened.append(day)
    if not days:
        return ()
    due = {day for day in opened if _is_over(day, calendar, now_ns)}
    today = calendar.session_date(now_ns)
    day = closed if closed is not None else days[0]
    while day < today:
        day = calendar.next_session(day).date
        if day <= today and _is_over(day, calendar, now_ns):
            due.add(day)
    return tuple(sorted(due))


def _is_over(day: date, calendar: Calendar, now_ns: int) -> bool:
    if not calendar.is_session(day):
        return day < calendar.session_date(now_ns)
    return calendar.session(day).close_ns <= now_ns


def run_close(
    home: Path, account: str, day: date, steps: Sequence[CloseStep], clock: Clock, *, is_catch_up: bool = False
) -> CloseOutcome:
    """Close a session, or go on with a close that was begun; a session that is closed is left alone.

    The record is written before and after each step. A step that is done is not run again, one that was under way when
    the process died, or that failed, is. After a failure nothing later is run.

    Args:
        home: `QTS_HOME`.
        account: whose session.
        day: the session.
        steps: some or all of `ORDER`, in its order.
        clock: labels the record.
        is_catch_up: whether a later session waits to be closed as well.

    Raises:
        UsageError: another process is at it, an earlier session is open or a later one closed, or the steps are none.
        EngineFault: FS063 or FS126, the record cannot be written or read; the step that was under way will be run
            again.
    """
    _check(steps)
    files = CloseFiles(home, account)
    with files.held():
        record = files.load(day) or DayRecord(account, day)
        if record.is_finished:
            return CloseOutcome(record, CloseStatus.ALREADY)
        _refuse_out_of_order(files, day)
        return _run(home, record, steps, clock, files.save, is_catch_up=is_catch_up)


def run_simulated(home: Path, account: str, day: date, steps: Sequence[CloseStep], clock: Clock) -> CloseOutcome:
    """Close a session of a simulated account, which is run again from its beginning instead of going on after a crash.

    Nothing is recorded and nobody is kept out; the same steps run in the same order and stop at a failure.

    Raises:
        UsageError: the steps are none.
    """
    _check(steps)
    return _run(home, DayRecord(account, day), steps, clock, lambda _: None, is_catch_up=False)


def run_pending(
    home: Path, account: str, days: Sequence[date], steps: Sequence[CloseStep], clock: Clock
) -> list[CloseOutcome]:
    """Close the sessions that `pending` returned in order; stop at the first that fails. Raises as `run_close`."""
    outcomes = []
    for number, day in enumerate(days, start=1):
        outcomes.append(run_close(home, account, day, steps, clock, is_catch_up=number < len(days)))
        if outcomes[-1].status is CloseStatus.FAILED:
            break
    return outcomes


def _run(
    home: Path,
    record: DayRecord,
    steps: Sequence[CloseStep],
    clock: Clock,
    save: Callable[[DayRecord], object],
    *,
    is_catch_up: bool,
) -> CloseOutcome:
    """Run the steps that are not done up to the first that fails."""
    record = _with_steps(record, steps)
    for step in steps:
        record = _step(home, record, step, clock, save, is_catch_up=is_catch_up)
        done = _of(record, step.name)
        if done.state is not StepState.DONE:
            return CloseOutcome(record, CloseStatus.FAILED, done)
    record = record._replace(finished_at=clock.now_utc().isoformat())
    save(record)
    return CloseOutcome(record, CloseStatus.DONE)


def _step(
    home: Path,
    record: DayRecord,
    step: CloseStep,
    clock: Clock,
    save: Callable[[DayRecord], object],
    *,
    is_catch_up: bool,
) -> DayRecord:
    """Run a step that is not done and return the record after it."""
    row = _of(record, step.name)
    if row.state is StepState.DONE:
        return record
    now = clock.now_utc()
    row = row._replace(
        state=StepState.RUNNING,
        attempts=row.attempts + 1,
        first_at=row.first_at or now.isoformat(),
        ended_at="",
        code="",
        message="",
    )
    record = _put(record, row)
    save(record)
    context = CloseContext(
        home=home,
        account=record.account,
        day=record.day,
        key=row.key,
        attempt=row.attempts,
        now=now,
        since=datetime.fromisoformat(row.first_at),
        is_catch_up=is_catch_up,
        results={done.name: done.result for done in record.steps if done.result is not None},
    )
    try:
        result = step.run(context)
    except QtsError as error:
        row = row._replace(state=StepState.FAILED, code=error.code, message=str(error))
    except Exception as error:  # whatever it is: later steps must not run on what it left behind
        reason = say("step_broke", step=step.name, kind=type(error).__name__, reason=error)
        row = row._replace(state=StepState.FAILED, code="FS031", message=reason)
    else:
        row = row._replace(state=StepState.DONE, result=result)
    record = _put(record, row._replace(ended_at=clock.now_utc().isoformat()))
    save(record)
    return record


def _check(steps: Sequence[CloseStep]) -> None:
    names = [step.name for step in steps]
    if not names or [name for name in ORDER if name in names] != names:
        raise UsageError(
            found=say("bad_steps", names=", ".join(names) or "-"),
            expected=say("bad_steps_expected", order=", ".join(ORDER)),
            hint=say("bad_steps_hint"),
        )


def _refuse_out_of_order(files: CloseFiles, day: date) -> None:
    for other in reversed(files.days()):
        if other == day:
            continue
        record = files.load(other)
        is_finished = record is not None and record.is_finished
        if other > day and is_finished:
            raise UsageError(
                found=say("later_closed", account=files.account, later=other),
                expected=say("earlier_open_expected"),
                hint=say("later_closed_hint"),
            )
        if other < day:
            if is_finished:
                return  # closed in order: so are those before it
            raise UsageError(
                found=say("earlier_open", account=files.account, earlier=other),
                expected=say("earlier_open_expected"),
                hint=say("earlier_open_hint", earlier=other),
            )


def _with_steps(record: DayRecord, steps: Sequence[CloseStep]) -> DayRecord:
    """Return the record with a row for each step, in their order; rows of steps that are gone stay, done or not."""
    rows = {row.name: row for row in record.steps}
    for step in steps:
        rows.setdefault(step.name, StepRecord(step.name, f"close:{record.account}:{record.day}:{step.name}"))
    return record._replace(steps=tuple(rows[name] for name in ORDER if name in rows))


def _of(record: DayRecord, name: str) -> StepRecord:
    return next(row for row in record.steps if row.name == name)


def _put(record: DayRecord, row: StepRecord) -> DayRecord:
    return record._replace(steps=tuple(row if other.name == row.name else other for other in record.steps))
