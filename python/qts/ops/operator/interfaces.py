"""What the desk is plugged into. The composition root fills an `OperatorPort` with what is built."""

from dataclasses import dataclass
from typing import Protocol

from qts.ops.operator.contracts import EngineStatus, Login, OperatingStatus, Operator, Outcome, SafetyStatus


class EngineControls(Protocol):
    """The engine itself. Called on the desk's thread."""

    def status(self) -> EngineStatus:
        """Return where the engine stands. Does not block, whatever the engine does."""
        ...

    def stop(self, *, by: Operator) -> Outcome:
        """Ask for an orderly end and return; does not wait for it."""
        ...


class SafetyControls(Protocol):
    """The safety state machine (spec 01 §1.4, §6.1). Safe to be called from any thread."""

    def safety(self) -> SafetyStatus:
        """Return where it stands. Does not block."""
        ...

    def kill(self, level: int, *, by: Operator, cause: str) -> Outcome:
        """Engage the kill switch at level 1 (halt), 2 (cancel) or 3 (flatten). Effective when it returns."""
        ...

    def set_safe_mode(self, is_on: bool, *, by: Operator, reason: str) -> Outcome:  # noqa: FBT001 - named by all callers
        """Set or clear the flag SAFE_MODE: cycles decide and send nothing. It releases no state and no kill switch."""
        ...

    def ack(self, code: str, *, by: Operator, login: Login, cause: str) -> Outcome:
        """Acknowledge `code`: leave WARNING or FAIL if the release checks pass. May block for the checks."""
        ...

    def request_approve(self, code: str, *, by: Operator, login: Login, cause: str, phrase: str) -> Outcome:
        """Ask to leave LOCKDOWN. Applied = the request stands; `detail` holds its `nonce` and `effective_at`."""
        ...

    def approve(self, nonce: str, *, by: Operator, login: Login) -> Outcome:
        """Confirm that request after its cool-down. May block for the checks."""
        ...

    def request_release(self, code: str, *, by: Operator, login: Login, cause: str, phrase: str) -> Outcome:
        """Ask to release the kill switch, as `request_approve`; leaving LOCKDOWN takes an approval after it."""
        ...

    def release(self, nonce: str, *, by: Operator, login: Login) -> Outcome:
        """Confirm that request after its cool-down. May block for the checks."""
        ...


class StateControls(Protocol):
    """The operating state (spec 18a §6). Safe to be called from any thread."""

    def operating(self) -> OperatingStatus:
        """Return where it stands. Does not block."""
        ...

    def set_override(self, state: str, *, by: Operator, reason: str, duration_s: int, revert_to: str | None) -> Outcome:
        """Hold the state for `duration_s` seconds from now; longer than allowed is refused. May block to persist."""
        ...

    def clear_override(self, *, by: Operator, reason: str) -> Outcome:
        """End the override. May block to persist."""
        ...


class ReloadControls(Protocol):
    """The configuration of the running engine."""

    def reload(self, *, by: Operator, reason: str, confirm: bool) -> Outcome:
        """Take in changed files, all or nothing. May block until the engine has a moment."""
        ...


class CapitalControls(Protocol):
    """The capital pools of the running engine."""

    def unlock(self, pool: str, *, by: Operator, reason: str) -> Outcome:
        """Take the lock off a pool; it goes on once it is reconciled. May block until the engine has a moment."""
        ...


@dataclass(frozen=True, slots=True)
class OperatorPort:
    """What stands behind the desk. A part that is None is not built: its verbs are refused, its status is unknown."""

    engine: EngineControls
    safety: SafetyControls | None = None
    state: StateControls | None = None
    reload: ReloadControls | None = None
    capital: CapitalControls | None = None
