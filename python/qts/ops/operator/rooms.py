"""What stands behind the desk: the safety state and the operating state of the engine that runs."""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from qts.clock import NS_PER_DAY, from_ns, to_ns
from qts.ops.operator.contracts import Login, OperatingStatus, Operator, Outcome, OverrideView, SafetyStatus
from qts.ops.operator.messages import say
from qts.safety import Channel, Credential, Evidence, KillLevel, SafetyStateManager, TransitionResult
from qts.state import ManualOverride, OperatingState, OperatingStateManager, TransitionReason

if TYPE_CHECKING:
    from qts.clock import Clock

_STANDS: Final = "cool_down"
"""Reason of a request that waits for its confirmation, and of a confirmation that comes too soon."""


class SafetyDesk:
    """What the operator may do with the safety state of a running engine.

    Args:
        manager: the safety state.
    """

    def __init__(self, manager: SafetyStateManager) -> None:
        self._manager = manager

    def safety(self) -> SafetyStatus:
        """Return where it stands."""
        seen = self._manager.snapshot()
        kill = seen.kill_switch
        return SafetyStatus(
            state=seen.state.name,
            since_ns=seen.since_ns,
            cause=seen.last_code,
            consecutive=seen.consecutive,
            kill_level=0 if kill.level is None else int(kill.level),
            safe_mode=seen.is_safe_mode,
            pending_ack=seen.is_ack_pending,
            flags=seen.flags,
            probation_left=seen.probation_left,
            size_factor=seen.size_factor,
        )

    def kill(self, level: int, *, by: Operator, cause: str) -> Outcome:
        """Engage the kill switch. Level 3 is engaged as 2: closing every position is not part of this version."""
        asked = KillLevel(level)
        engaged = min(asked, KillLevel.K2)
        result = self._manager.engage_kill(engaged, by=str(by), reason=cause, channel=_channel(by))
        outcome = _outcome(result)
        if not outcome.applied or engaged == asked:
            return outcome
        return outcome._replace(reason=say("no_kill_plan"))

    def set_safe_mode(self, is_on: bool, *, by: Operator, reason: str) -> Outcome:  # noqa: FBT001 - the protocol names it
        """Decide without sending, or send again. No release of FAIL or LOCKDOWN."""
        self._manager.set_safe_mode(is_on=is_on, by=str(by), reason=reason)
        return Outcome(applied=True)

    def ack(self, code: str, *, by: Operator, login: Login, cause: str) -> Outcome:
        """Acknowledge a code."""
        return _outcome(self._manager.ack(_credential(login), Evidence(code, cause, channel=_channel(by))))

    def request_approve(self, code: str, *, by: Operator, login: Login, cause: str, phrase: str) -> Outcome:
        """Ask to leave LOCKDOWN."""
        evidence = Evidence(code, cause, phrase, _channel(by))
        return _outcome(self._manager.request_approve(_credential(login), evidence))

    def approve(self, nonce: str, *, by: Operator, login: Login) -> Outcome:  # noqa: ARG002 - the request named them
        """Confirm that request."""
        return _outcome(self._manager.approve(_credential(login), nonce))

    def request_release(self, code: str, *, by: Operator, login: Login, cause: str, phrase: str) -> Outcome:
        """Ask to release the kill switch."""
        evidence = Evidence(code, cause, phrase, _channel(by))
        return _outcome(self._manager.request_release_kill(_credential(login), evidence))

    def release(self, nonce: str, *, by: Operator, login: Login) -> Outcome:  # noqa: ARG002 - the request named them
        """Confirm that request."""
        return _outcome(self._manager.release_kill(_credential(login), nonce))


class StateDesk:
    """What the operator may do with the operating state of a running engine.

    Args:
        manager: the operating state.
        clock: the clock that it lives by, which is that of the market.
    """

    def __init__(self, manager: OperatingStateManager, clock: "Clock") -> None:
        self._manager = manager
        self._clock = clock

    def operating(self) -> OperatingStatus:
        """Return where it stands."""
        seen = self._manager.get_snapshot()
        active = self._manager.active_override
        since, reason = seen.transition_timestamp, seen.transition_reason or TransitionReason.BOOT_DEFAULT
        # Nothing has moved it yet: it has stood since the first start.
        first_ns = self._clock.now_ns() - round(seen.state_duration_days * NS_PER_DAY)
        return OperatingStatus(
            state=seen.current_state.value,
            since_ns=first_ns if since is None else to_ns(since),
            cause=reason.value,
            override=None
            if active is None
            else OverrideView(
                state=active.override_state.value,
                expires_ns=to_ns(active.expiry_time),
                by=active.operator_id,
                reason=active.override_reason,
                revert_to=active.auto_revert_state.value,
            ),
            tightened=seen.tightened,
            pending="" if seen.pending_target is None else f"{seen.pending_target.value} {seen.pending_count}",
            policy=self._manager.policy,
            version=seen.version,
        )

    def set_override(self, state: str, *, by: Operator, reason: str, duration_s: int, revert_to: str | None) -> Outcome:
        """Hold a state for `duration_s` seconds of the market's clock."""
        now = from_ns(self._clock.now_ns())
        override = ManualOverride(
            override_state=OperatingState(state),
            override_reason=reason,
            operator_id=str(by),
            override_time=now,
            expiry_time=now + timedelta(seconds=duration_s),
            auto_revert_state=OperatingState(revert_to or OperatingState.BALANCED),
        )
        seen = self._manager.apply_override(override)
        return Outcome(applied=True, detail={"state": seen.current_state.value, "version": seen.version})

    def clear_override(self, *, by: Operator, reason: str) -> Outcome:
        """End the override."""
        seen = self._manager.cancel_override(str(by), reason)
        return Outcome(applied=True, detail={"state": seen.current_state.value, "version": seen.version})


def _credential(login: Login) -> Credential:
    return Credential(login.operator_id, login.secret)


def _channel(by: Operator) -> Channel:
    return Channel(by.channel)


def _outcome(result: TransitionResult) -> Outcome:
    """Word a result for the operator; a request that stands is applied, though the state has not moved yet."""
    shown = ("code", "consecutive", "nonce", "effective_at", "checks")
    detail: dict[str, object] = {name: result.meta[name] for name in shown if result.meta.get(name)}
    detail |= {"from": result.from_state.name, "to": result.to_state.name}
    return Outcome(
        applied=result.applied or (result.reason == _STANDS and "nonce" in result.meta),
        reason=result.refusal or result.reason,
        detail=detail,
    )
