"""Keeps the state: makes a change durable, publishes it, and tells of it, in this order."""

from __future__ import annotations

import logging
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from qts.clock import NS_PER_DAY, from_ns, to_ns
from qts.safety import SafetyState
from qts.state.contracts import (
    ManualOverride,
    OperatingState,
    OperatingStateSnapshot,
    TransitionKind,
    TransitionReason,
    TransitionResult,
    TransitionSource,
)
from qts.state.exceptions import StateCorrupt, StorePersistFailed
from qts.state.gates import StateClock
from qts.state.ids import ulid
from qts.state.stored import StoredState

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.state.config import StateConfig
    from qts.state.interfaces import StateListener, StateStore
    from qts.state.quality import Judged

_LOG: Final = logging.getLogger(__name__)
HOT_RECORDS: Final = 1_000
PAUSED: Final = frozenset({SafetyState.FAIL, SafetyState.LOCKDOWN})


class StateBook:
    """State, history and clocks of one account. Not safe for several threads at once, except `snapshot`.

    Args:
        config: settings.
        clock: where time comes from.
        store: keeps the state across restarts, None = nothing does.
        listener: is told of what happened.
    """

    def __init__(
        self, config: StateConfig, clock: Clock, store: StateStore | None, listener: StateListener | None
    ) -> None:
        self._config = config
        self._clock = clock
        self._store = store
        self._listener = listener
        self._override_deadline_ns = 0
        self.judged: Judged | None = None
        """Metrics that go into the next record."""
        self.history: deque[TransitionResult] = deque(maxlen=HOT_RECORDS)
        self.store_error: StorePersistFailed | None = None
        """Why the last write failed; None while the store is well."""
        self.is_restored = False
        """Whether there was a state to go on with."""
        stored, is_corrupt, version = self._load()
        self.core = self._first(version, is_corrupt=is_corrupt) if stored is None else stored
        self.time = StateClock(
            clock,
            age_ns=self.core.age_ns,
            since_last_ns=self.core.since_last_ns,
            saved_ns=to_ns(self.core.saved_at),
            is_frozen=self.core.safety is SafetyState.LOCKDOWN,
        )
        self.snapshot = self._as_snapshot()
        if stored is None:
            reason = TransitionReason.BOOT_STATE_CORRUPT if is_corrupt else TransitionReason.BOOT_DEFAULT
            self.transition(self.core.state, TransitionKind.BOOT, reason, TransitionSource.RULES)
        else:
            self.is_restored = True
            self._arm_override()

    def _load(self) -> tuple[StoredState | None, bool, int]:
        """Return what was stored, whether it cannot be trusted, and the last version that is known of."""
        if self._store is None:
            return None, False, 0
        try:
            stored = self._store.load()
        except StateCorrupt as error:
            self.note("FS111", error.found)
            try:
                return None, True, self._store.set_aside()
            except StorePersistFailed as failed:
                self._store_failed(failed)
                return None, True, 0
        self.history.extend(self._store.history(HOT_RECORDS))
        return stored, False, 0

    def _first(self, version: int, *, is_corrupt: bool) -> StoredState:
        return StoredState(
            version=version,
            state=OperatingState.DEFENSIVE if is_corrupt else self._config.default,
            previous=None,
            transition_at=None,
            transition_reason=None,
            override=None,
            renewals=0,
            safety=SafetyState.NORMAL,
            age_ns=0,
            since_last_ns=None,
            saved_at=self._clock.now_utc(),
        )

    def transition(
        self,
        to: OperatingState,
        kind: TransitionKind,
        reason: TransitionReason,
        source: TransitionSource,
        *,
        safety: SafetyState | None = None,
        override: ManualOverride | None = None,
        renewals: int = 0,
        operator_id: str | None = None,
        detail: str = "",
    ) -> TransitionResult | None:
        """Take over state, safety (None = as it is) and override, with a record of why.

        Returns the record; None if the change is one to more risk that cannot be made durable, and was not made.
        """
        old = self.core
        is_change = to is not old.state
        is_new_start = is_change or kind is TransitionKind.LOCKDOWN_RELEASE
        result = self.result(
            to, kind, reason, source, safety=safety, operator_id=operator_id, detail=detail, version=old.version + 1
        )
        core = replace(
            self.stamped(),
            state=to,
            safety=result.safety_state,
            override=override,
            renewals=renewals,
        )
        if is_new_start:
            core = replace(core, since_last_ns=0, pending_target=None, pending_count=0, pending_since=None)
        if is_change:
            core = replace(
                core,
                previous=old.state,
                transition_at=result.effective_at,
                transition_reason=reason,
                age_ns=0,
                tight_target=None,
            )
        if not self._persist(core, result) and to.rank > old.state.rank:
            return None
        self.time.restart(age=is_change, cooldown=is_new_start)
        self.history.append(result)
        self.core = core
        if override is not old.override:
            self._arm_override()
        self.snapshot = self._as_snapshot()
        self._tell(result)
        return result

    def result(
        self,
        to: OperatingState,
        kind: TransitionKind,
        reason: TransitionReason,
        source: TransitionSource,
        *,
        safety: SafetyState | None = None,
        operator_id: str | None = None,
        detail: str = "",
        version: int,
    ) -> TransitionResult:
        """Return a record as of now, without keeping it."""
        core, judged, now_ns = self.core, self.judged, self._clock.now_ns()
        return TransitionResult(
            ulid(now_ns, f"{version}:{core.state}:{to}:{kind}:{reason}"),
            core.state,
            to,
            kind,
            reason,
            None if judged is None else judged.usable,
            None if judged is None else judged.quality,
            core.safety if safety is None else safety,
            source,
            operator_id,
            from_ns(now_ns),
            from_ns(now_ns),
            version,
            detail,
        )

    def publish(self, core: StoredState) -> None:
        """Take over a state that differs in what is published besides the label. Durable if the store is well."""
        self._persist(core, None)
        self.core = core
        self.snapshot = self._as_snapshot()

    def stamped(self) -> StoredState:
        """Return the state with the next version and its times as of now."""
        return replace(
            self.core,
            version=self.core.version + 1,
            age_ns=self.time.age_ns,
            since_last_ns=self.time.since_last_ns,
            saved_at=self._clock.now_utc(),
        )

    def is_override_over(self) -> bool:
        """Whether an override is in force that should not be any more."""
        active = self.core.override
        if active is None:
            return False
        is_due = self._clock.now_utc() >= active.expiry_time
        return is_due or self._clock.monotonic_ns() >= self._override_deadline_ns  # if the wall clock is turned back

    def note(self, code: str, text: str) -> None:
        """Tell of a code."""
        # Somebody who listens tells people; where nobody does, the log is the only way.
        _LOG.log(logging.WARNING if self._listener is None else logging.INFO, "%s: %s", code, text)
        if self._listener is not None:
            try:
                self._listener.on_code(code, text)
            except Exception:
                _LOG.exception("a listener of the operating state failed")

    def _arm_override(self) -> None:
        active = self.core.override
        if active is not None:
            # A wall clock that ran backwards while the engine was down gives no time: the record was written before.
            left_ns = to_ns(active.expiry_time) - max(self._clock.now_ns(), to_ns(self.core.saved_at))
            self._override_deadline_ns = self._clock.monotonic_ns() + left_ns

    def _persist(self, core: StoredState, result: TransitionResult | None) -> bool:
        if self._store is None:
            return True
        try:
            self._store.save(core, result)
        except StorePersistFailed as error:
            self._store_failed(error)
            return False
        self.store_error = None
        return True

    def _store_failed(self, error: StorePersistFailed) -> None:
        is_news = self.store_error is None
        self.store_error = error
        if is_news:
            self.note("FS110", error.found)

    def _as_snapshot(self) -> OperatingStateSnapshot:
        core, properties = self.core, self._config.properties
        effective = own = properties[core.state]
        if core.tight_target is not None:
            effective = effective.limited_by(properties[core.tight_target])
        if core.is_capped:
            effective = effective.limited_by(properties[OperatingState.BALANCED])
        return OperatingStateSnapshot(
            current_state=core.state,
            previous_state=core.previous,
            transition_timestamp=core.transition_at,
            transition_reason=core.transition_reason,
            manual_override=core.override is not None,
            override_expiry=None if core.override is None else core.override.expiry_time,
            state_duration_days=core.age_ns / NS_PER_DAY,
            properties=own,
            effective_properties=effective,
            version=core.version,
            pending_target=core.pending_target,
            pending_count=core.pending_count,
            pending_since=core.pending_since,
            tightened=core.tight_target is not None,
            trading_paused=core.safety in PAUSED,
        )

    def _tell(self, result: TransitionResult) -> None:
        _LOG.info("operating state %s -> %s: %s (%s)", result.from_state, result.to_state, result.reason, result.kind)
        if self._listener is not None:
            try:
                self._listener.on_transition(result, self.snapshot)
            except Exception:
                _LOG.exception("a listener of the operating state failed")
