"""Counts what goes wrong at a broker in a row (spec 15 §6: three failures are FS040)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.broker.asynchronous import AnswerLost, NotSent
from qts.codes import Phrasebook

if TYPE_CHECKING:
    from qts.execution.interfaces import CodeSink

FAILURES_MAX: Final = 3

_TEXTS: Final = Phrasebook(
    {
        "tripped": (
            "the broker failed {count} times in a row; last: {why}",
            "브로커 호출이 연속 {count}회 실패했습니다; 마지막: {why}",
        ),
    }
)


class BrokerGuard:
    """Reports FS040 when a broker has failed three times in a row, and again after it has answered in between.

    A refusal is an answer. What the own side did not send (a permit that no longer held, a spent rate budget) says
    nothing about the broker while it is connected.
    """

    def __init__(self, codes: CodeSink) -> None:
        self._codes = codes
        self.failures = 0
        """In a row."""

    @property
    def is_tripped(self) -> bool:
        """Whether the last three were failures: the link is unstable."""
        return self.failures >= FAILURES_MAX

    def heard(self, problem: Exception | None) -> None:
        """Take what came of a call: None or a refusal is an answer."""
        if isinstance(problem, NotSent):
            return
        if not isinstance(problem, AnswerLost | TimeoutError):
            self.failures = 0
            return
        self.failed("; ".join(map(str, problem.args)) or type(problem).__name__)

    def failed(self, why: str) -> None:
        """Count a failure."""
        self.failures += 1
        if self.failures == FAILURES_MAX:
            self._codes.report("FS040", _TEXTS("tripped", count=self.failures, why=why))
