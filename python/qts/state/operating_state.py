"""The manager of the operating state: evaluates the rules, applies the gates, follows safety and operators."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from threading import RLock
from typing import TYPE_CHECKING, Final

from qts.clock import NS_PER_DAY, NS_PER_S, SystemClock, from_ns
from qts.safety import SafetyState
from qts.state import override as checks
from qts.state.book import PAUSED, StateBook
from qts.state.config import StateConfig
from qts.state.contracts import (
    MetricQuality,
    OperatingState,
    OperatingStateSnapshot,
    TransitionKind,
    TransitionReason,
    TransitionResult,
    TransitionSource,
)
from qts.state.exceptions import NotActive, NotInLockdown, OverrideRejected, RejectedRiskOn
from qts.state.gates import Confirmations, can_transition
from qts.state.messages import say
from qts.state.quality import judge
from qts.state.samples import HardSamples, RiskOnSamples
from qts.state.transition import DURATION, risk_on_reason, rules_of, safer
from qts.state.watch import Watch, is_flapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qts.clock import Clock
    from qts.state.contracts import ManualOverride, StateProperties, TransitionMetrics
    from qts.state.interfaces import StateListener, StateStore
    from qts.state.quality import Judged
    from qts.state.transition import Condition, TransitionRule

_RENEWALS_MAX: Final = 2
_REST_DAYS: Final = 7
"""Days without a move to more risk after too many changes (SAFE only)."""
_TIGHT_FAILURES: Final = 2
"""Evaluations in a row without its cause that end a tightening."""
_SETTLED: Final = timedelta(days=1)


class OperatingStateManager:
    """The operating state of one account. Safety always outranks it.

    Call `evaluate_transition` with a fresh sample every `metrics_interval_sec`, and `on_safety_change` whenever the
    safety state changes. Everything else is on demand. Any thread may call anything; `get_snapshot` takes no lock.
    A change is made durable first, then published, then told to the listener, which must not block.

    Args:
        config: settings; the defaults are the shipped ones.
        clock: where time comes from.
        store: keeps the state across restarts; None = nothing outlives this object.
        listener: is told of transitions and codes.
        in_session: whether the primary market is in session at a moment (UTC nanoseconds); metrics age faster then.
            Left out: always, which is the stricter answer.
        is_live: real orders are sent, so that an override to more risk may need a second operator.
    """

    def __init__(
        self,
        config: StateConfig | None = None,
        *,
        clock: Clock | None = None,
        store: StateStore | None = None,
        listener: StateListener | None = None,
        in_session: Callable[[int], bool] | None = None,
        is_live: bool = False,
    ) -> None:
        self._config = StateConfig() if config is None else config
        self._clock = SystemClock() if clock is None else clock
        self._in_session = in_session
        self._is_live = is_live
        self._lock = RLock()
        self._book = StateBook(self._config, self._clock, store, listener)
        self._rules = rules_of(self._config)
        self._counts = Confirmations(self._config.confirmation_cycles)
        self._hard = HardSamples(self._config, self._clock)
        self._risk_on = RiskOnSamples(self._config, self._clock)
        self._watch = Watch(self._book.note)
        self._judged: Judged | None = None
        self._cycle = self._cycle_no()
        self._tight_failures = 0
        if self._book.is_restored:
            self._hard.is_due = True
            if self._book.core.safety is not SafetyState.LOCKDOWN:
                self._expire_override()
            self._publish_pending(self._book.core.tight_target)  # what had been counted is void

    # Reading

    @property
    def current_state(self) -> OperatingState:
        """The state in force."""
        return self._book.snapshot.current_state

    @property
    def properties(self) -> StateProperties:
        """What the state permits, before tightening; consumers use `get_snapshot().effective_properties`."""
        return self._book.snapshot.properties

    @property
    def version(self) -> int:
        """Version of what is published: whoever keeps a snapshot asks this first. Never waits."""
        return self._book.snapshot.version

    @property
    def policy(self) -> str:
        """The gate policy, LITERAL or SAFE: to be shown wherever the state is shown."""
        return self._config.policy

    @property
    def active_override(self) -> ManualOverride | None:
        """The override in force."""
        return self._book.core.override

    def get_snapshot(self) -> OperatingStateSnapshot:
        """Return what is published, with the time in the state as of now. Never waits."""
        return replace(self._book.snapshot, state_duration_days=self._age_days())

    def history(self, days: int = 30) -> list[TransitionResult]:
        """Return the records of the last days, oldest first; at most the last 1000."""
        first = self._clock.now_utc() - timedelta(days=days)
        with self._lock:
            return [result for result in self._book.history if result.effective_at >= first]

    def next_transitions(self) -> list[tuple[OperatingState, tuple[Condition, ...]]]:
        """Return every move out of the state with its conditions as they stand; empty before the first metrics."""
        with self._lock:
            judged = self._judged
            if judged is None:
                return []
            return [(rule.target, self._conditions(rule, judged)) for rule in self._rules_out()]

    def may_move_unprompted(self) -> bool:
        """Whether another evaluation of the same metrics could do anything, now or after more time in the state.

        Not if no rule is met but for its time in the state, nothing is counted or tightened, and no override runs.
        Hours in which nothing is learnt may then be left out.
        """
        with self._lock:
            core = self._book.core
            if core.pending_target is not None or core.tight_target is not None or core.override is not None:
                return True
            if self._judged is None:
                return True
            for rule in self._rules_out():
                met = [one.is_met for one in self._conditions(rule, self._judged) if one.name != DURATION]
                if (all if rule.needs_all else any)(met):
                    return True
            return False

    def promotion_allowed(self, *, is_rebalancing: bool) -> bool:
        """Whether capital may be promoted: safety NORMAL, no rebalance running, no change of state within 24 h."""
        core = self._book.core
        is_settled = core.transition_at is None or self._clock.now_utc() - core.transition_at > _SETTLED
        return core.safety is SafetyState.NORMAL and not is_rebalancing and is_settled

    # Evaluation

    def evaluate_transition(
        self,
        metrics: TransitionMetrics,
        safety_state: SafetyState | Callable[[], SafetyState],
        quality: MetricQuality | None = None,
    ) -> OperatingState | None:
        """Take one sample of the metrics and return the new state if that changed it (spec 18a section 5.4).

        Rules act at the first sample of each evaluation interval; under policy SAFE losses act in between. Metrics
        that are unknown, invalid or old never raise the risk. Without `quality` the metrics count as observed now.
        Where other threads change the safety state, hand over what asks for it: it is asked under the lock that
        `on_safety_change` waits for, so that no change is followed by the state before it.
        """
        with self._lock:
            safety_state = safety_state() if callable(safety_state) else safety_state
            before = self.current_state
            if not self._book.time.look():
                self._forget_counts()
            is_cycle = self._is_new_cycle()
            judged = self._judge(metrics, quality)
            if self._see_safety(safety_state, "") is None:
                self._evaluate(judged, is_cycle=is_cycle)
            self._watch.state(self.current_state, self._age_days(), self._book.history, self._clock.now_utc())
            return None if self.current_state is before else self.current_state

    def _evaluate(self, judged: Judged, *, is_cycle: bool) -> None:
        """Do what a pass does beyond safety; at most one transition."""
        safety = self._book.core.safety
        if safety is SafetyState.LOCKDOWN:
            return
        if is_cycle and self._book.store_error is not None:
            self._book.publish(self._book.stamped())  # to learn whether the store is back
        is_over = self._expire_override()
        if safety is SafetyState.FAIL:
            self._forget_counts()
            self._publish_pending(self._book.core.tight_target)
        elif not is_over and not (self._config.is_safe and self._evaluate_hard(judged)):
            self._risk_on.sample(is_met=self._is_risk_on_met(judged))
            tight = self._evaluate_cycle(judged) if is_cycle else self._book.core.tight_target
            self._publish_pending(tight)

    def _judge(self, metrics: TransitionMetrics, quality: MetricQuality | None) -> Judged:
        now_ns = self._clock.now_ns()
        found = MetricQuality(from_ns(now_ns), from_ns(now_ns)) if quality is None else quality
        is_in_session = self._in_session is None or self._in_session(now_ns)
        judged = judge(metrics, found, now_ns, is_in_session=is_in_session, config=self._config)
        self._judged = self._book.judged = judged
        self._watch.metrics(judged)
        return judged

    def _evaluate_hard(self, judged: Judged) -> bool:
        """Act on losses and circuit breakers (SAFE only); return whether that changed the state."""
        if not self._config.transition_enabled:
            return False
        for rule in self._rules_out(is_risk_off=True):
            hard = [found for found in self._conditions(rule, judged, is_certain=True) if found.is_hard]
            if self._hard.confirm(rule.target, hard):
                met = next(found for found in hard if found.is_met)
                return self._move(rule.target, TransitionKind.RULE_HARD, met.reason, override=None) is not None
        if judged.certain.drawdown_pct is not None:
            self._hard.is_due = False
        return False

    def _evaluate_cycle(self, judged: Judged) -> OperatingState | None:
        """Count one evaluation, move if stay, cooldown and confirmations let it; return the target that tightens."""
        causes: dict[OperatingState, Condition] = {}
        in_doubt: set[OperatingState] = set()
        for rule in self._rules_out(is_risk_off=True):
            found = self._conditions(rule, judged)
            cause = next((one for one in found if one.is_met and not (self._config.is_safe and one.is_hard)), None)
            if cause is not None:
                causes[rule.target] = cause
            elif not found or any(one.value is None for one in found):
                in_doubt.add(rule.target)
        held = self._risk_on.close_cycle()
        targets = list(causes)
        if not causes and (held if self._config.is_safe else self._risk_on.is_met):
            targets = [rule.target for rule in self._rules_out(is_risk_off=False)]
        self._counts.step(targets, self._clock.now_ns())
        target = self._counts.confirmed()
        if target is not None and self._book.core.override is None and self._may_move(target):
            reason = causes[target].reason if target in causes else risk_on_reason(target)
            if self._move(target, TransitionKind.RULE_SOFT, reason) is not None:
                return None
        return self._tightening(target, set(causes), in_doubt)

    def _may_move(self, target: OperatingState) -> bool:
        book = self._book
        if not self._config.transition_enabled:
            return False
        if target.rank > book.core.state.rank and (book.store_error is not None or self._is_resting()):
            return False
        return can_transition(self._config, book.core.state, book.time.age_ns, book.time.since_last_ns)

    def _is_resting(self) -> bool:
        """Whether too many changes have closed the way to more risk for a week (SAFE only)."""
        return self._config.is_safe and is_flapping(self._book.history, self._clock.now_utc(), rest_days=_REST_DAYS)

    def _tightening(
        self, confirmed: OperatingState | None, asked: set[OperatingState], in_doubt: set[OperatingState]
    ) -> OperatingState | None:
        """Return the waiting target whose limits hold already (SAFE only); what is unknown does not loosen them."""
        core, config = self._book.core, self._config
        if not config.is_safe or not config.transition_enabled or core.override is not None:
            return None
        tight = core.tight_target
        if tight in asked:
            self._tight_failures = 0
        elif tight not in in_doubt:
            self._tight_failures += 1
        kept = tight if self._tight_failures < _TIGHT_FAILURES else None
        chosen = (
            kept
            if confirmed not in asked
            else confirmed
            if kept is None or confirmed is None
            else safer(confirmed, kept)
        )
        if chosen is not tight:
            self._tight_failures = 0
        return chosen

    def _rules_out(self, *, is_risk_off: bool | None = None) -> list[TransitionRule]:
        """Return the rules out of the state: all, those to less risk, or those to more."""
        state = self.current_state
        return [
            rule
            for rule in self._rules
            if rule.source is state and (is_risk_off is None or (rule.target.rank < state.rank) is is_risk_off)
        ]

    def _conditions(self, rule: TransitionRule, judged: Judged, *, is_certain: bool = False) -> tuple[Condition, ...]:
        """Return the conditions of a rule: to more risk on what is certain, to less also on what is old.

        A rule that raises has no conditions, and one without conditions never moves.
        """
        is_risk_off = rule.target.rank < rule.source.rank
        metrics = judged.usable if is_risk_off and not is_certain else judged.certain
        name = type(rule).__name__
        try:
            found = rule.conditions(metrics, self._book.core.safety, self._age_days())
        except Exception as error:
            self._watch.rule_raised(name, error)
            return ()
        self._watch.rule_answered(name)
        return found

    def _is_risk_on_met(self, judged: Judged) -> bool:
        """Whether a rule to more risk holds, and nothing that would lower the risk is unknown."""
        for rule in self._rules_out(is_risk_off=True):
            found = self._conditions(rule, judged, is_certain=True)
            if not found or any(one.value is None for one in found):
                return False
        ways_up = [self._conditions(rule, judged) for rule in self._rules_out(is_risk_off=False)]
        return any(found and all(one.is_met for one in found) for found in ways_up)

    # Overrides

    def apply_override(self, override: ManualOverride, *, confirmed_by: str = "") -> OperatingStateSnapshot:
        """Impose a state until `expiry_time`; `override_time` becomes now. A new one replaces the one in force.

        `confirmed_by` is the second operator, where one is needed.

        Raises:
            OverrideRejected: it may not take effect (GR084); nothing was changed.
            StorePersistFailed: an override to more risk cannot be made durable (FS110); nothing was changed.
        """
        with self._lock:
            core, now_ns = self._book.core, self._clock.now_ns()
            try:
                checks.check_form(override, now_ns, self._config)
                checks.check_risk(
                    override,
                    core.state,
                    core.safety,
                    self._judged,
                    self._config,
                    confirmed_by=confirmed_by,
                    is_live=self._is_live,
                )
            except OverrideRejected as refused:
                self._book.note("GR084", refused.found)
                raise
            renewals = 0 if core.override is None else core.renewals + 1
            result = self._move(
                override.override_state,
                TransitionKind.OVERRIDE,
                TransitionReason.MANUAL_OVERRIDE,
                TransitionSource.OPERATOR,
                override=replace(override, override_time=from_ns(now_ns)),
                renewals=renewals,
                operator_id=override.operator_id,
                detail=override.override_reason,
            )
            if result is None and self._book.store_error is not None:
                raise self._book.store_error
            if renewals > _RENEWALS_MAX:
                self._book.note("GR084", say("renewed", count=renewals))
            return self.get_snapshot()

    def cancel_override(self, operator_id: str, reason: str) -> OperatingStateSnapshot:
        """End the override in force as if it had expired. While safety is FAIL or LOCKDOWN the state stays.

        Raises:
            NotActive: there is none.
        """
        with self._lock:
            active = self._book.core.override
            if active is None:
                raise NotActive
            detail = say("override_ended", by=operator_id, operator=active.operator_id, reason=reason)
            self._end_override(active, operator_id=operator_id, detail=detail)
            return self.get_snapshot()

    def check_override_expiry(self) -> OperatingStateSnapshot | None:
        """End an override that has expired and return the new snapshot; None if there was nothing to end.

        In LOCKDOWN that waits for the release.
        """
        with self._lock:
            is_waiting = self._book.core.safety is SafetyState.LOCKDOWN
            return self.get_snapshot() if not is_waiting and self._expire_override() else None

    def _expire_override(self) -> bool:
        active = self._book.core.override
        if active is None or not self._book.is_override_over():
            return False
        self._end_override(active)
        return True

    def _end_override(
        self, active: ManualOverride, *, operator_id: str | None = None, detail: str = "", is_release: bool = False
    ) -> None:
        source = TransitionSource.RULES if operator_id is None else TransitionSource.OPERATOR
        kind, reason = TransitionKind.OVERRIDE_EXPIRED, TransitionReason.OVERRIDE_EXPIRED
        target = self._after_override(active, is_release=is_release)
        # What cannot be made durable does not raise the risk; end the override must all the same.
        for goal in (target, self.current_state):
            done = self._move(goal, kind, reason, source, override=None, operator_id=operator_id, detail=detail)
            if done is not None:
                return

    def _after_override(self, active: ManualOverride, *, is_release: bool) -> OperatingState:
        """Return the state after an override: LITERAL as recorded, SAFE as far as nothing speaks against it."""
        core, target = self._book.core, active.auto_revert_state
        if core.safety in PAUSED:
            return core.state
        if is_release or self._config.is_safe:
            target = safer(target, OperatingState.BALANCED)
        if not self._config.is_safe:
            return target
        judged = self._judged
        if judged is None or judged.certain.drawdown_pct is None or judged.usable.vix is None:
            target = safer(target, core.state)
        ways_down = [rule for rule in self._rules if rule.source is target and rule.target.rank < target.rank]
        for rule in ways_down:
            if judged is not None and any(found.is_met for found in self._conditions(rule, judged)):
                return rule.target
        return target

    # Forced moves and safety

    def request_transition(
        self,
        target: OperatingState,
        *,
        reason: TransitionReason = TransitionReason.MICRO_RISK_ESCALATION,
        source: TransitionSource = TransitionSource.MICRO_RISK_LOOP,
        detail: str = "",
    ) -> TransitionResult:
        """Force a move to less risk at once, past every gate and every override.

        A target that is in force already, or a request in LOCKDOWN, changes nothing: the result has equal states
        and is not recorded.

        Raises:
            RejectedRiskOn: the target is riskier than the state in force.
        """
        with self._lock:
            core, kind = self._book.core, TransitionKind.FORCED_MICRO_RISK
            if target.rank > core.state.rank:
                raise RejectedRiskOn(core.state, target)
            done = None
            if target is not core.state and core.safety is not SafetyState.LOCKDOWN:
                done = self._move(target, kind, reason, source, override=None, detail=detail)
            if done is None:
                done = self._book.result(core.state, kind, reason, source, detail=detail, version=core.version)
            return done

    def on_safety_change(
        self, old: SafetyState, new: SafetyState, codes: Iterable[str] = ()
    ) -> TransitionResult | None:
        """Follow a change of the safety state at once; return the record it led to, if any.

        FAIL forces DEFENSIVE. LOCKDOWN keeps the state and stops its clocks. Leaving LOCKDOWN turns AGGRESSIVE into
        BALANCED. `old` is for the record only: what counts is what this object has seen.
        """
        with self._lock:
            return self._see_safety(new, " ".join((f"{old} -> {new}", *codes)))

    def release_lockdown(self, operator_id: str) -> TransitionResult:
        """Leave LOCKDOWN after an operator's approval; safety counts as WARNING until it is told otherwise.

        Raises:
            NotInLockdown: safety is not LOCKDOWN.
        """
        with self._lock:
            if self._book.core.safety is not SafetyState.LOCKDOWN:
                raise NotInLockdown(self._book.core.safety.name)
            return self._release(SafetyState.WARNING, operator_id, "")

    def _see_safety(self, new: SafetyState, detail: str) -> TransitionResult | None:
        new, result = SafetyState(new), None  # its name alone counts as much; any other word must not pass for NORMAL
        if self._book.core.safety is SafetyState.LOCKDOWN and new is not SafetyState.LOCKDOWN:
            result = self._release(new, None, detail)
        core, source = self._book.core, TransitionSource.SAFETY
        if new is SafetyState.LOCKDOWN and core.safety is not new:
            self._book.time.freeze()
            reason = TransitionReason.SAFETY_LOCKDOWN
            return self._move(
                core.state, TransitionKind.FORCED_SAFETY, reason, source, safety=new, override=core.override,
                renewals=core.renewals, detail=detail,
            )  # fmt: skip
        if new is SafetyState.FAIL and core.state is not OperatingState.DEFENSIVE:
            state, reason = OperatingState.DEFENSIVE, TransitionReason.SAFETY_FAIL_TRIGGERED
            kind = TransitionKind.FORCED_SAFETY
            return self._move(state, kind, reason, source, safety=new, override=None, detail=detail)
        if core.safety is not new:
            self._book.publish(replace(self._book.stamped(), safety=new))
        return result

    def _release(self, new: SafetyState, operator_id: str | None, detail: str) -> TransitionResult:
        core, is_over = self._book.core, self._book.is_override_over()
        was_aggressive = core.state is OperatingState.AGGRESSIVE
        self._book.time.thaw()
        result = self._move(
            OperatingState.BALANCED if was_aggressive else core.state,
            TransitionKind.LOCKDOWN_RELEASE,
            TransitionReason.LOCKDOWN_RELEASE_CONSERVATIVE if was_aggressive else TransitionReason.LOCKDOWN_RELEASE,
            TransitionSource.SAFETY if operator_id is None else TransitionSource.OPERATOR,
            safety=new,
            override=None if was_aggressive else core.override,
            renewals=0 if was_aggressive else core.renewals,
            operator_id=operator_id,
            detail=detail,
        )
        assert result is not None  # noqa: S101 - a release never raises the risk
        self._forget_counts()
        self._hard.is_due = True
        if core.override is not None and is_over:
            self._end_override(core.override, is_release=True)
        return result

    # Small things

    def _move(
        self,
        to: OperatingState,
        kind: TransitionKind,
        reason: TransitionReason,
        source: TransitionSource = TransitionSource.RULES,
        *,
        safety: SafetyState | None = None,
        override: ManualOverride | None = None,
        renewals: int = 0,
        operator_id: str | None = None,
        detail: str = "",
    ) -> TransitionResult | None:
        result = self._book.transition(
            to,
            kind,
            reason,
            source,
            safety=safety,
            override=override,
            renewals=renewals,
            operator_id=operator_id,
            detail=detail,
        )
        if result is not None and result.from_state is not result.to_state:
            self._forget_counts()
        return result

    def _publish_pending(self, tight: OperatingState | None) -> None:
        """Publish what is being counted and what is tightened, if it has changed."""
        core = self._book.core
        target, count, since = self._counts.pending() or (None, 0, None)
        is_capped = core.is_capped if self._judged is None else self._config.is_safe and self._judged.vix_is_unknown
        known = (core.pending_target, core.pending_count, core.pending_since, core.tight_target, core.is_capped)
        if (target, count, since, tight, is_capped) == known:
            return
        self._book.publish(
            replace(
                self._book.stamped(),
                pending_target=target,
                pending_count=count,
                pending_since=since,
                tight_target=tight,
                is_capped=is_capped,
            )
        )
        if tight is not None and core.tight_target is None:
            self._book.note("GR085", say("tightened", target=tight))

    def _forget_counts(self) -> None:
        self._counts.clear()
        self._hard.clear()
        self._risk_on.clear()

    def _cycle_no(self) -> int:
        return self._clock.now_ns() // (self._config.evaluation_interval_sec * NS_PER_S)

    def _is_new_cycle(self) -> bool:
        """Whether an evaluation is due. One that was missed breaks every row of confirmations."""
        last, self._cycle = self._cycle, self._cycle_no()
        if self._cycle > last + 1:
            self._forget_counts()
        return self._cycle > last

    def _age_days(self) -> float:
        return self._book.time.age_ns / NS_PER_DAY
