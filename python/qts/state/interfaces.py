"""What the operating state asks of others: a store, an index feed, and somebody to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from qts.state.contracts import OperatingStateSnapshot, TransitionResult
    from qts.state.stored import StoredState


class StateStore(Protocol):
    """Keeps the state and its history across restarts. What `save` has returned from is durable."""

    def load(self) -> StoredState | None:
        """Return what was saved last, None if nothing ever was.

        Raises:
            StateCorrupt: there is something, and it cannot be trusted.
        """
        ...

    def save(self, state: StoredState, result: TransitionResult | None) -> None:
        """Append the state and, if it changed by a transition, its record.

        Raises:
            StorePersistFailed: nothing was written.
        """
        ...

    def set_aside(self) -> int:
        """Put what cannot be trusted where a person can look at it; return the highest version seen in it.

        Raises:
            StorePersistFailed: it is still where it was.
        """
        ...

    def history(self, limit: int) -> list[TransitionResult]:
        """Return the last transitions, oldest first."""
        ...


class StateListener(Protocol):
    """Is told what happened, after it took effect. What it raises changes nothing."""

    def on_transition(self, result: TransitionResult, snapshot: OperatingStateSnapshot) -> None:
        """Take note of a recorded transition."""
        ...

    def on_code(self, code: str, text: str) -> None:
        """Take note of a code of the table; its effect on safety is for the receiver to apply."""
        ...


class VolObservation(NamedTuple):
    """A value of a volatility index, in points, and when it was published (UTC nanoseconds)."""

    value: float
    asof_ns: int


class VolIndexFeed(Protocol):
    """Where values of a volatility index come from."""

    def latest(self) -> VolObservation | None:
        """Return the newest value, None if there is none yet. Does not block."""
        ...

    def daily_closes(self) -> list[VolObservation]:
        """Return the closes of at least the last two years, oldest first; as many as there are."""
        ...
