"""Codes that the cache raises: each condition once when it begins, and once when it is over."""

import threading
from typing import Final

from qts.cache.interfaces import Report, Reporter
from qts.clock import Clock

_AGAIN_NS: Final = 60 * 1_000_000_000


def silent(_report: Report) -> None:
    """Take a report and do nothing with it."""


class Reports:
    """Latches conditions by code and subject; one that lasts is told again every minute."""

    def __init__(self, clock: Clock, report: Reporter) -> None:
        self._clock = clock
        self._report = report
        self._since: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self.is_muted = False
        """Quotes age by design while safety is in LOCKDOWN: GR121 is not told then."""

    def begin(self, code: str, subject: str, message: str) -> bool:
        """Tell that a condition holds; return whether it was news."""
        if self.is_muted and code == "GR121":
            return False
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            told_ns = self._since.get((code, subject))
            if told_ns is not None and now_ns - told_ns < _AGAIN_NS:
                return False
            self._since[code, subject] = now_ns
        self._report(Report(code, subject, message))
        return True

    def end(self, code: str, subject: str) -> None:
        """Tell that a condition is over, if it held."""
        if (code, subject) not in self._since:
            return
        with self._lock:
            if self._since.pop((code, subject), None) is None:
                return
        self._report(Report(code, subject, "", is_over=True))

    def end_others(self, code: str, subjects: set[str]) -> None:
        """Tell that a condition is over for every subject but these: the others are gone."""
        for held, subject in list(self._since):
            if held == code and subject not in subjects:
                self.end(code, subject)

    def once(self, code: str, subject: str, message: str) -> None:
        """Tell an event that has no end."""
        self._report(Report(code, subject, message))

    def holds(self, code: str, subject: str | None = None) -> bool:
        """Return whether a condition is latched, for any subject without one."""
        return any(key == code and subject in (None, about) for key, about in list(self._since))
