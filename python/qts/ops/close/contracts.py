"""What a close consists of, what its record holds, and what the operator is told."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from qts.ops.close.messages import say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date, datetime
    from pathlib import Path

ORDER: Final = ("reconcile", "settle", "dividends", "report", "backup", "capital", "state_review")
"""Steps of a close in their order: each goes by what those before it have settled."""


class StepState(StrEnum):
    """Where a step stands."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    """It was begun; what it did may be there or not."""
    DONE = "DONE"
    FAILED = "FAILED"


class CloseStatus(StrEnum):
    """What came of a call."""

    DONE = "DONE"
    ALREADY = "ALREADY"
    """The day was closed before; nothing was done."""
    FAILED = "FAILED"


class StepResult(NamedTuple):
    """What a step has done."""

    detail: str
    """One line for the operator."""
    values: Mapping[str, str] = {}
    """Figures, by name."""
    reports: tuple[tuple[str, str], ...] = ()
    """Codes and what happened: what the operator has to look at although the step is done."""


class StepRecord(NamedTuple):
    """A step as the record has it."""

    name: str
    key: str
    """What its effects are known by: the same in every attempt."""
    state: StepState = StepState.WAITING
    attempts: int = 0
    first_at: str = ""
    """Begin of the first attempt, ISO 8601 in UTC; empty before it."""
    ended_at: str = ""
    result: StepResult | None = None
    code: str = ""
    """Code of the failure."""
    message: str = ""
    """What failed."""


class DayRecord(NamedTuple):
    """The close of one session of one account."""

    account: str
    day: date
    steps: tuple[StepRecord, ...] = ()
    finished_at: str = ""
    """Empty until every step is done."""

    @property
    def is_finished(self) -> bool:
        """Whether every step is done."""
        return bool(self.finished_at)


class CloseContext(NamedTuple):
    """What a step is given."""

    home: Path
    account: str
    day: date
    """Session that is being closed."""
    key: str
    """What the effects of this step are known by; a second attempt has the same."""
    attempt: int
    """From 1. From 2 on the effects may be there already."""
    now: datetime
    since: datetime
    """Begin of the first attempt."""
    is_catch_up: bool
    """Whether a later session waits to be closed as well."""
    results: Mapping[str, StepResult]
    """Results of the steps before, in their order."""


class StepCall(Protocol):
    """Does a step.

    It is called until it has returned once, after a crash again: an effect whose key is there is not made again.
    Raises `QtsError` if it cannot be done; what it has done so far is found by its key in the next attempt.
    """

    def __call__(self, context: CloseContext, /) -> StepResult:
        """Do it."""
        ...


class CloseStep(NamedTuple):
    """A step with its name, one of `ORDER`."""

    name: str
    run: StepCall


class CloseOutcome(NamedTuple):
    """What the operator is told of a call."""

    record: DayRecord
    status: CloseStatus
    failed: StepRecord | None = None

    @property
    def reports(self) -> tuple[tuple[str, str], ...]:
        """Codes and what happened, of every step that is done."""
        return tuple(report for step in self.record.steps if step.result is not None for report in step.result.reports)

    def __str__(self) -> str:
        """Return it on one line, in the user's language."""
        account, day = self.record.account, self.record.day
        if self.failed is None:
            words = "closed" if self.status is CloseStatus.DONE else "closed_before"
            return say(words, account=account, day=day, count=len(self.record.steps))
        step = self.failed
        return say(
            "step_failed", account=account, day=day, step=step.name, attempts=step.attempts, message=step.message
        )
