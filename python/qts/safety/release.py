"""How an operator leaves WARNING, FAIL, LOCKDOWN and the kill switch (spec 01 §1.4). Nothing else calls this."""

from collections.abc import Iterable, Mapping

from qts.clock import from_ns
from qts.safety.exceptions import Refusal
from qts.safety.keeper import Keeper, Lower, Told
from qts.safety.messages import refusals
from qts.safety.notices import NoticeLevel
from qts.safety.operators import Authority, Credential, OperatorBook
from qts.safety.record import KillRecord
from qts.safety.recovery import (
    Checked,
    Evidence,
    PendingRelease,
    Release,
    ReleaseCheck,
    open_request,
    require_channel,
    require_checks,
    require_due,
    require_evidence,
    require_officer,
    run_checks,
)
from qts.safety.states import EventKind, SafetyEvent, SafetyState, TransitionResult

_EVENT = {Release.APPROVE: EventKind.APPROVE, Release.RELEASE: EventKind.KILL}


class ReleaseDesk(Keeper):
    """The part of the manager that operators stand before.

    Every method returns a result and raises nothing for what an operator did wrong: `applied` is false then, `reason`
    a fixed word, `refusal` a message in their language, the state unchanged and the attempt in the audit trail.
    Methods with a credential take some 50 ms and the time of the release checks.
    """

    _pending: PendingRelease | None = None

    def configure_release(
        self,
        operators: OperatorBook | None,
        checks: Iterable[ReleaseCheck],
        account_alias: str,
        required_checks: frozenset[str],
    ) -> None:
        """Set who may release, and what has to hold."""
        self._operators = operators
        self._checks = list(checks)
        self._alias = account_alias
        self._required = required_checks

    def add_check(self, check: ReleaseCheck) -> None:
        """Register a release check."""
        with self._lock:
            self._checks.append(check)

    def ack_warning(self, by: str) -> TransitionResult:
        """End WARNING without evidence, by the system or any operator; no other state can be left so."""
        if self._enforcement.state > SafetyState.WARNING:
            return self._refused(Refusal("not_listed"), EventKind.ACK, by)
        event = SafetyEvent(EventKind.ACK, operator=by)
        return self._left(event, lambda seen, _: self._enforcement.end_warning(seen), Told(by, "ack"))

    def ack(self, credential: Credential, evidence: Evidence) -> TransitionResult:
        """Acknowledge WARNING or FAIL. FAIL is left if the evidence does and every release check is green.

        In LOCKDOWN it is refused, but the alarm is no longer repeated: somebody has seen it.
        """
        try:
            authority = self._authenticate(credential)
            self._notifier.acknowledge()
            faults = self._faults
            require_channel(evidence)
            if self._enforcement.state == SafetyState.FAIL:
                require_evidence(evidence, self._known_codes())
                checked = self._checked(SafetyState.FAIL)
                require_checks(checked, self._required)
            else:
                checked = Checked({}, ())
        except Refusal as refusal:
            return self._refused(refusal, EventKind.ACK, credential.operator_id, _shown(evidence))
        return self.request_recovery(authority, evidence, checked, faults=faults)

    def request_approve(self, credential: Credential, evidence: Evidence) -> TransitionResult:
        """Ask to leave LOCKDOWN. The result's meta hold the nonce, and when it can be confirmed."""
        return self._request(Release.APPROVE, credential, evidence)

    def approve(self, credential: Credential, nonce: str) -> TransitionResult:
        """Confirm a request to leave LOCKDOWN, 60 s after it at the earliest; all checks are run again."""
        try:
            authority, pending, checked = self._confirmed(Release.APPROVE, credential, nonce)
        except Refusal as refusal:
            return self._refused(refusal, EventKind.APPROVE, credential.operator_id)
        return self.request_recovery(authority, pending.evidence, checked, pending, faults=pending.faults)

    def request_release_kill(self, credential: Credential, evidence: Evidence) -> TransitionResult:
        """Ask to release the kill switch; LOCKDOWN remains and takes an approval of its own."""
        return self._request(Release.RELEASE, credential, evidence)

    def release_kill(self, credential: Credential, nonce: str) -> TransitionResult:
        """Confirm a request to release the kill switch, 60 s after it at the earliest."""
        by = credential.operator_id
        try:
            authority, pending, checked = self._confirmed(Release.RELEASE, credential, nonce)
            return self._release_kill(authority, pending, checked)
        except Refusal as refusal:
            return self._refused(refusal, EventKind.KILL, by)

    def request_recovery(
        self,
        operator_approved: Authority | None,
        evidence: Evidence,
        checked: Checked,
        pending: PendingRelease | None = None,
        *,
        faults: int,
    ) -> TransitionResult:
        """Leave the state on the authority of an operator: ACK by default, APPROVE with a request. Wrapped by both.

        `faults`: how many there had been when the evidence was looked at; one more and nothing is left.
        """
        kind = EventKind.APPROVE if pending is not None else EventKind.ACK
        if operator_approved is None:
            return self._refused(Refusal("unknown_operator", operator="", path=""), kind, "", _shown(evidence))
        authority = operator_approved
        meta = _act(authority, evidence, checked, pending, self._clock.now_ns(), self._known_codes())
        event = SafetyEvent(kind, operator=authority.operator_id)

        def on_authority(seen: int, to: SafetyState) -> bool:
            return self._faults == faults and self._enforcement.release(seen, to, authority)

        result = self._left(event, on_authority, Told(authority.operator_id, kind.value.lower(), meta=meta))
        if result.applied:
            self._pending = None
            self._notifier.acknowledge()
        return result._replace(meta={**result.meta, **meta})

    def _left(self, event: SafetyEvent, lower: Lower, told: Told) -> TransitionResult:
        try:
            result = self._leave(event, lower, told)
        except Refusal as refusal:
            return self._refused(refusal, event.kind, event.operator, told.meta)
        if not result.applied and result.reason in refusals():
            result = result._replace(refusal=Refusal(result.reason).render())
        return result

    def _request(self, what: Release, credential: Credential, evidence: Evidence) -> TransitionResult:
        kind = _EVENT[what]
        try:
            authority = self._authenticate(credential)
            self._notifier.acknowledge()
            self._require_lockdown(what)
            require_evidence(evidence, self._known_codes())
            require_officer(authority, evidence, self._alias)
            checked = self._checked(SafetyState.LOCKDOWN)
            require_checks(checked, self._required)
        except Refusal as refusal:
            return self._refused(refusal, kind, credential.operator_id, _shown(evidence))
        with self._locked():
            pending = open_request(what, authority, evidence, self._clock, self._faults)
            self._pending = pending
            meta = _act(authority, evidence, checked, pending, None, self._codes)
            self._note(f"request_{what.value.lower()}", code=evidence.code, actor=authority.operator_id, payload=meta)
            state = self._machine.state
            return TransitionResult(state, state, kind, applied=False, reason="cool_down", meta=meta)

    def _confirmed(
        self, what: Release, credential: Credential, nonce: str
    ) -> tuple[Authority, PendingRelease, Checked]:
        authority = self._authenticate(credential)
        with self._locked():
            self._hear()
            pending = require_due(self._pending, what, nonce, authority, self._clock, self._faults)
        self._require_lockdown(what)
        checked = self._checked(SafetyState.LOCKDOWN)
        require_checks(checked, self._required)
        with self._locked():  # the checks took time: nothing may have struck meanwhile
            self._hear()
            require_due(self._pending, what, nonce, authority, self._clock, self._faults)
        return authority, pending, checked

    def _require_lockdown(self, what: Release) -> None:
        if self._kill.is_engaged is not (what is Release.RELEASE):
            raise Refusal("kill_switch_engaged" if self._kill.is_engaged else "kill_switch_not_engaged")
        if self._enforcement.state != SafetyState.LOCKDOWN:
            raise Refusal("not_listed")

    def _release_kill(self, authority: Authority, pending: PendingRelease, checked: Checked) -> TransitionResult:
        meta = _act(authority, pending.evidence, checked, pending, self._clock.now_ns(), self._codes)
        with self._locked():
            self._hear()
            seen = self._enforcement.word.value
            try:
                self._books.vault.remove_sentinel()
            except OSError as fault:
                raise Refusal("sentinel_present", error=fault.strerror or str(fault)) from None
            before = self._kill
            released = KillRecord(by=authority.operator_id, reason=pending.evidence.cause, at_ns=self._clock.now_ns())
            error = self._books.keep_kill(released)
            if error is not None:
                self._failed("kill_switch", error)
                raise Refusal("not_recorded", error=error.strerror or str(error))
            self._kill = released
            if self._flying or not self._enforcement.release_kill(seen, authority):
                self._kill = before
                self._failed("kill_switch", self._books.keep_kill(before))
                raise Refusal("changed_meanwhile")
            self._pending = None
            self._note("release", code=pending.evidence.code, actor=authority.operator_id, payload=meta)
            self._announce("kill_released", NoticeLevel.WARNING, {"by": authority.operator_id})
            self._persist()
            state = self._machine.state
            return TransitionResult(state, state, EventKind.KILL, applied=True, reason="released", meta=meta)

    def _authenticate(self, credential: Credential) -> Authority:
        if self._operators is None:
            raise Refusal("unknown_operator", operator=credential.operator_id, path="-")
        return self._operators.authenticate(credential)

    def _known_codes(self) -> tuple[str, ...]:
        with self._locked():
            self._hear()
            return self._codes

    def _checked(self, state: SafetyState) -> Checked:
        return run_checks(tuple(self._checks), state, self._known_codes(), self._clock)

    def _refused(
        self, refusal: Refusal, kind: EventKind, by: str, meta: Mapping[str, object] | None = None
    ) -> TransitionResult:
        """Record that somebody was refused; nothing has changed."""
        with self._locked():
            payload = {**(meta or {}), "found": refusal.found}
            self._note(kind.value.lower(), reason=refusal.reason, actor=by, is_applied=False, payload=payload)
            self._announce("refused", NoticeLevel.WARNING, {"operator": by, "reason": refusal.reason})
            state = self._machine.state
            return TransitionResult(
                state, state, kind, applied=False, reason=refusal.reason, meta=meta or {}, refusal=refusal.render()
            )


def _shown(evidence: Evidence) -> dict[str, object]:
    """What of the evidence goes into a record: never the phrase."""
    return {"code": evidence.code, "cause": evidence.cause, "channel": evidence.channel.value}


def _act(
    authority: Authority,
    evidence: Evidence,
    checked: Checked,
    pending: PendingRelease | None,
    effective_ns: int | None,
    codes: tuple[str, ...],
) -> dict[str, object]:
    """The record of an acknowledgement or approval (§1.4)."""
    if effective_ns is None and pending is not None:
        effective_ns = pending.effective_ns
    requested_ns = pending.requested_ns if pending is not None else effective_ns
    nonce = pending.nonce if pending is not None else ""
    return {
        "ack_id": f"{authority.operator_id}-{effective_ns}",
        "operator_id": authority.operator_id,
        "role": authority.role.value,
        "channel": evidence.channel.value,
        "code": list(codes),
        "cause": evidence.cause,
        "checks": checked.as_dict(),
        "nonce": nonce,
        "requested_at": from_ns(requested_ns or 0).isoformat(),
        "effective_at": from_ns(effective_ns or 0).isoformat(),
    }
