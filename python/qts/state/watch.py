"""Notices what an operator should know: metrics that are not fit, states that swing, a state that does not end."""

from __future__ import annotations

from datetime import timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from qts.state.contracts import OperatingState
from qts.state.messages import say
from qts.state.quality import ACCOUNT_ALARM_AGE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Reversible
    from datetime import datetime

    from qts.state.contracts import TransitionResult
    from qts.state.quality import Judged

CHANGES_MAX: Final = 4
WINDOW_DAYS: Final = 30
STUCK_DAYS: Final = 30
_RAISED_MAX: Final = 3


def changes(history: Reversible[TransitionResult], now: datetime) -> list[TransitionResult]:
    """Return the changes of state of the last 30 days, newest first."""
    first = now - timedelta(days=WINDOW_DAYS)
    recent = takewhile(lambda one: one.effective_at >= first, reversed(history))  # a look at the end is enough
    return [one for one in recent if one.from_state is not one.to_state]


def is_flapping(history: Reversible[TransitionResult], now: datetime, *, rest_days: int) -> bool:
    """Whether there were more than four changes in 30 days, the last of them within `rest_days`."""
    found = changes(history, now)
    return len(found) > CHANGES_MAX and now - found[0].effective_at < timedelta(days=rest_days)


class Watch:
    """Raises each code once when its cause appears, and again only after it was gone."""

    def __init__(self, note: Callable[[str, str], None]) -> None:
        self._note = note
        self._open: set[str] = set()
        self._raised: dict[str, int] = {}

    def metrics(self, judged: Judged) -> None:
        """Look at the quality of one sample."""
        wrong, known = set(judged.warnings), self._open
        for name, flag in judged.flags.items():
            if (name in wrong) != (name in known):  # as hardly ever
                self._episode(name, "GR083", "metric", is_on=name in wrong, name=name, flag=flag)
        is_old = judged.is_in_session and judged.account_age_s > ACCOUNT_ALARM_AGE_S
        self._episode("account age", "AN080", "account_old", is_on=is_old, seconds=int(judged.account_age_s))

    def state(
        self, state: OperatingState, age_days: float, history: Reversible[TransitionResult], now: datetime
    ) -> None:
        """Look at the state and its history."""
        count = len(changes(history, now))
        self._episode("flapping", "GR086", "flapping", is_on=count > CHANGES_MAX, count=count)
        is_stuck = state is OperatingState.DEFENSIVE and age_days > STUCK_DAYS
        self._episode("stuck", "GR087", "stuck", is_on=is_stuck, days=STUCK_DAYS)

    def rule_raised(self, rule: str, error: Exception) -> None:
        """Count a rule that failed; the third time in a row is told."""
        self._raised[rule] = count = self._raised.get(rule, 0) + 1
        is_on = count >= _RAISED_MAX
        self._episode(rule, "AN080", "rule_raised", is_on=is_on, rule=rule, count=count, error=repr(error))

    def rule_answered(self, rule: str) -> None:
        """Count a rule that did not fail."""
        self._raised.pop(rule, None)
        self._open.discard(rule)

    def _episode(self, name: str, code: str, phrase: str, /, *, is_on: bool, **fields: object) -> None:
        if is_on == (name in self._open):
            return
        if not is_on:
            self._open.discard(name)
        else:
            self._open.add(name)
            self._note(code, say(phrase, **fields))
