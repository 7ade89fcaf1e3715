"""Which state of an execution may follow which: the core's table. And the states of its children (spec 15 §5.3)."""

from __future__ import annotations

from typing import Final

from qts._core import execution_may_go
from qts.execution.contracts import State

INIT: Final = State.INIT
PRECHECK: Final = State.PRECHECK
SPLITTING: Final = State.SPLITTING
SENDING: Final = State.SENDING
MONITORING: Final = State.MONITORING
ADJUSTING: Final = State.ADJUSTING
ESCAPING: Final = State.ESCAPING
COMPLETE: Final = State.COMPLETE
ESCAPED: Final = State.ESCAPED
FAILED: Final = State.FAILED
# Members as names of the module: as attributes of their class they cost ten times as much, dozens of times an order.

ALLOWED: Final = frozenset((before, after) for before in State for after in State if execution_may_go(before, after))
"""Every transition that there is."""


def may_go(before: State, after: State) -> bool:
    """Whether `after` may follow `before`."""
    return (before, after) in ALLOWED


class ChildState:
    """Where a child order stands: a view of the one order state machine, in the order of a usual life.

    Everything from FILLED on is the end, everything between is out: it lives at the broker, or may. Plain numbers:
    they are compared several times for each answer of a broker.
    """

    PENDING: Final = 0
    """Built; nothing has been journaled or sent."""
    SENDING: Final = 1
    UNKNOWN: Final = 2
    """The answer is lost: not known whether the broker has it."""
    SENT: Final = 3
    PARTIAL: Final = 4
    REPLACING: Final = 5
    """An amendment is on its way."""
    CANCELLING: Final = 6
    FILLED: Final = 7
    CANCELLED: Final = 8
    """Taken off the book, expired, or never sent; part of it may be filled."""
    REJECTED: Final = 9
    FAILED: Final = 10
    """Proven never to have reached the broker."""

    NAMES: Final = (
        "PENDING",
        "SENDING",
        "UNKNOWN",
        "SENT",
        "PARTIAL",
        "REPLACING",
        "CANCELLING",
        "FILLED",
        "CANCELLED",
        "REJECTED",
        "FAILED",
    )
    """The names, by number."""
