"""The safety word as Python uses it: raising is open to all, releasing to two narrow ways."""

from enum import IntEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from qts._core import SAFETY_FLAGS, SafetyWord
from qts.safety.operators import Authority
from qts.safety.states import KillLevel, SafetyState

FLAGS: Final = MappingProxyType(dict(SAFETY_FLAGS))
"""Mask of each flag of the word, by name."""
STATES: Final = tuple(SafetyState)
"""The states by their number in the word."""
KILL_FLAGS: Final = tuple(f"KILL_{level.name}" for level in KillLevel)
CLEARABLE: Final = frozenset(FLAGS) - frozenset(KILL_FLAGS)
"""Flags that are cleared without an operator: safe mode, halt, block, suspension, journal."""


class ActionClass(IntEnum):
    """What somebody is about to do; the numbers are those of the core (spec 01 §1.5).

    In doubt an action is of the class that is refused sooner.
    """

    NEW_CYCLE = 0
    MONITORING_EXTRACT = 1
    ENTRY = 2
    STRATEGY_EXIT = 3
    PROTECTIVE_EXIT = 4
    TRUSTED_EXIT = 5
    KILL_PLAN = 6
    RUNNING_EXIT = 7
    CANCEL = 8
    AMEND = 9
    AMEND_TOWARDS_EXIT = 10
    ACCOUNTING = 11
    CAPITAL_MOVE = 12
    CONFIG_RELOAD = 13
    SAFETY_CONFIG_RELOAD = 14
    OPERATOR_REDUCE = 15
    OPERATOR_REDUCE_APPROVED = 16
    OPERATOR_INCREASE = 17
    HOUSEKEEPING = 18


class Raise(NamedTuple):
    """One raise of the word by the core.

    Attributes:
        code: why.
        from_state: the state before.
        to_state: the state after.
        at_ns: nanoseconds of whoever raised it.
        seq: its number; each has a higher one than those before it, over restarts too where there is a log.
    """

    code: str
    from_state: SafetyState
    to_state: SafetyState
    at_ns: int
    seq: int


class Enforcement:
    """Raises and releases the word, and tells what the core has raised.

    Raising never waits and may be done by any thread. `heard` and the releases belong to whoever holds the manager's
    lock.

    Args:
        word: the word that every order is held against.
    """

    def __init__(self, word: SafetyWord) -> None:
        self.word = word

    @property
    def state(self) -> SafetyState:
        """The state in force."""
        return STATES[self.word.state]

    @property
    def flags(self) -> tuple[str, ...]:
        """Names of the flags that are set."""
        value = self.word.value
        return tuple(name for name, mask in FLAGS.items() if value & mask == mask)

    def raise_to(self, state: SafetyState) -> None:
        """Raise the word to at least `state`, for one who records it himself; NORMAL raises nothing."""
        if state > SafetyState.NORMAL:
            self.word.strengthen(state.severity)

    def set_flag(self, name: str) -> None:
        """Set a flag."""
        self.word.set_flags(FLAGS[name])

    def heard(self) -> list[Raise]:
        """Return what the core has raised since this was asked last, oldest first."""
        return [
            Raise(code, STATES[before], STATES[after], at_ns, seq)
            for code, before, after, at_ns, seq in self.word.take_raises()
        ]

    def end_warning(self, seen: int) -> bool:
        """Lower WARNING to NORMAL if the word is still `seen`; whether that happened. No other state can be left so."""
        if self.state != SafetyState.WARNING:
            return False
        return self.word.release(seen, SafetyState.NORMAL.severity)

    def release(self, seen: int, to: SafetyState, authority: Authority) -> bool:
        """Lower the word to `to` if it is still `seen`, on the authority of an operator; whether that happened."""
        del authority  # asked for, so that nobody without one can call this
        return self.word.release(seen, to.severity)

    def clear_flag(self, name: str) -> None:
        """Clear a flag of `CLEARABLE`: it is no release, so what others raise at the same moment stands beside it."""
        while not self.word.clear_flags(self.word.value, FLAGS[name]):
            continue

    def release_kill(self, seen: int, authority: Authority) -> bool:
        """Clear the kill switch if the word is still `seen`, on the authority of an operator; whether that happened."""
        del authority
        return self.word.clear_flags(seen, FLAGS[KILL_FLAGS[-1]])
