"""Which state of an execution may follow which: the core's table. And the states of its children (spec 15 §5.3)."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from qts._core import execution_may_go
from qts.execution.contracts import State

ALLOWED: Final = frozenset((before, after) for before in State for after in State if execution_may_go(before, after))
"""Every transition that there is."""


def may_go(before: State, after: State) -> bool:
    """Whether `after` may follow `before`."""
    return (before, after) in ALLOWED


class ChildState(IntEnum):
    """Where a child order stands: a view of the one order state machine, in the order of a usual life.

    Everything from FILLED on is the end, everything between is out: it lives at the broker, or may.
    """

    PENDING = 0
    """Built; nothing has been journaled or sent."""
    SENDING = 1
    UNKNOWN = 2
    """The answer is lost: not known whether the broker has it."""
    SENT = 3
    PARTIAL = 4
    REPLACING = 5
    """An amendment is on its way."""
    CANCELLING = 6
    FILLED = 7
    CANCELLED = 8
    """Taken off the book, expired, or never sent; part of it may be filled."""
    REJECTED = 9
    FAILED = 10
    """Proven never to have reached the broker."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more happens to it but a late fill."""
        return self >= ChildState.FILLED

    @property
    def is_out(self) -> bool:
        """Whether it lives at the broker, or may."""
        return ChildState.SENDING <= self <= ChildState.CANCELLING
