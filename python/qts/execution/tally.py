"""Codes that mean more when they come again: counts in, effects out.

Time is an argument, so a replay counts the same.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, TypeAlias

Effect: TypeAlias = Literal["", "WARNING", "FAIL"]
"""Safety state that an occurrence asks for beyond its code's own effect."""

_S_NS: Final = 1_000_000_000
SEND_FAILURES: Final = 2
SEND_WINDOW_NS: Final = 5 * 60 * _S_NS
FLATTENINGS: Final = 3
SPENT_BUDGETS: Final = 5
SPENT_WINDOW_NS: Final = 10 * 60 * _S_NS
SLIPPAGES: Final = 3
STALE_REFUSALS: Final = 10
STALE_WINDOW_NS: Final = 60 * _S_NS


class CodeTally:
    """Counts FS090, FS092, FS093, FS094 and refusals for a stale price of one account.

    The window of a count is as long as named and open at its old end: what is exactly that old no longer counts.
    """

    __slots__ = ("_flattenings", "_send_failures", "_slippages", "_spent", "_stale")

    def __init__(self) -> None:
        self._send_failures: deque[int] = deque(maxlen=SEND_FAILURES)
        self._spent: deque[int] = deque(maxlen=SPENT_BUDGETS)
        self._stale: deque[int] = deque(maxlen=STALE_REFUSALS + 1)
        self._flattenings = 0
        self._slippages = 0

    @property
    def entries_blocked(self) -> bool:
        """Whether SCALP entries are closed for the rest of the day: FS094 has come three times."""
        return self._slippages >= SLIPPAGES

    def new_session(self) -> None:
        """Begin a trading day: flattenings and slippages are counted by the day, the other counts run on."""
        self._flattenings = 0
        self._slippages = 0

    def send_failed(self, now_ns: int) -> Effect:
        """Count an FS090: FAIL with the second within five minutes."""
        return "FAIL" if _is_full(self._send_failures, now_ns, SEND_WINDOW_NS) else ""

    def flattened(self) -> Effect:
        """Count an FS092 that liquidated: WARNING from the third of a session on."""
        self._flattenings += 1
        return "WARNING" if self._flattenings >= FLATTENINGS else ""

    def budget_spent(self, now_ns: int) -> Effect:
        """Count an FS093: WARNING with the fifth within ten minutes."""
        return "WARNING" if _is_full(self._spent, now_ns, SPENT_WINDOW_NS) else ""

    def slipped(self) -> bool:
        """Count an FS094; True if this one closes SCALP entries for the day."""
        self._slippages += 1
        return self._slippages == SLIPPAGES

    def stale_refused(self, now_ns: int) -> bool:
        """Count an entry refused for a stale price; True when GR066 is due: more than ten within a minute.

        Once reported, it takes as many again before it is reported anew.
        """
        is_due = _is_full(self._stale, now_ns, STALE_WINDOW_NS)
        if is_due:
            self._stale.clear()
        return is_due


def _is_full(times: deque[int], now_ns: int, window_ns: int) -> bool:
    """Add a time; whether as many as there is room for lie within the window that ends now."""
    times.append(now_ns)
    return len(times) == times.maxlen and now_ns - times[0] < window_ns
