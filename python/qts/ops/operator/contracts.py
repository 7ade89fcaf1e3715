"""What the desk shows, and what it answers."""

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final, NamedTuple

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


class Operator(NamedTuple):
    """Who asks, as the kernel says."""

    uid: int
    name: str
    pid: int
    channel: str = "CLI"

    def __str__(self) -> str:
        """Return the operator as a record names it."""
        return f"{self.channel}:{self.name}"


class Login(NamedTuple):
    """What an operator of the safety room proves themselves with. The secret is never shown, stored or recorded."""

    operator_id: str
    secret: str

    def __repr__(self) -> str:
        return f"Login({self.operator_id!r})"


class Outcome(NamedTuple):
    """What became of a command. Not applied is an answer, not an error: nothing has changed, for this reason."""

    applied: bool
    reason: str = ""
    detail: Mapping[str, object] = _NOTHING
    """More for the reader; values that JSON knows."""


class PositionView(NamedTuple):
    """What one track holds of a symbol."""

    symbol: str
    track: str
    qty: Decimal


class EngineStatus(NamedTuple):
    """Where the engine stood when it last looked up. None = unknown."""

    taken_ns: int
    """Monotonic nanoseconds of the engine's clock at which this was taken."""
    started_ns: int
    """The same, of the start."""
    mode: str
    config_version: str
    live_gate_refusals: tuple[str, ...]
    """Why no order can reach a live host; empty if the live gate is open."""
    stopping: bool
    strategy: str | None = None
    session_date: str | None = None
    phase: str | None = None
    engine_time_ns: int | None = None
    """UTC nanoseconds of the market that the engine sees."""
    progress: float | None = None
    """Share of the session that has passed, 0 to 1."""
    currency: str | None = None
    equity: Decimal | None = None
    cash: Decimal | None = None
    positions: tuple[PositionView, ...] | None = None
    working_orders: int | None = None
    fills: int | None = None
    queues: Mapping[str, Mapping[str, int]] | None = None
    """Counters by level, "P0" to "P3"."""


class SafetyStatus(NamedTuple):
    """Where the safety state machine stands. None = unknown."""

    state: str
    since_ns: int | None
    """UTC nanoseconds."""
    cause: str
    """Code that led here; empty for none."""
    consecutive: int | None = None
    kill_level: int | None = None
    """0 = not engaged, else 1 to 3."""
    safe_mode: bool | None = None
    pending_ack: bool | None = None
    """Whether an ACK or APPROVE is waited for."""
    flags: tuple[str, ...] | None = None
    """Names of the flags that are set."""
    probation_left: int | None = None
    """Clean cycles until the probation after a release ends; 0 = none."""
    size_factor: Decimal | None = None
    """What the size of an entry is multiplied by, 0 to 1."""


class OverrideView(NamedTuple):
    """A manual override that holds. None = unknown."""

    state: str
    expires_ns: int
    """UTC nanoseconds."""
    by: str | None = None
    reason: str | None = None
    revert_to: str | None = None


class OperatingStatus(NamedTuple):
    """Where the operating state stands. None = unknown, for `override` = none holds."""

    state: str
    since_ns: int | None
    """UTC nanoseconds."""
    cause: str
    override: OverrideView | None = None
    tightened: bool | None = None
    """Whether the limits of a move to less risk hold already, which itself waits."""
    pending: str | None = None
    """The move that waits for its confirmation, target and count, "DEFENSIVE 1/2"; empty for none."""
    policy: str | None = None
    """Policy of the gates: LITERAL or SAFE."""
    version: int | None = None
    """Of the published state."""
