"""Holds the state: word, machine, records and listeners, and the one way in which each is changed."""

import copy
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from qts.clock import Clock, from_ns
from qts.codes import TABLE, lookup
from qts.safety.audit import Entry
from qts.safety.books import Books
from qts.safety.config import SafetyConfig
from qts.safety.enforcement import KILL_FLAGS, STATES, Enforcement, Raise
from qts.safety.exceptions import Refusal
from qts.safety.machine import Machine
from qts.safety.messages import both
from qts.safety.notices import NoticeLevel, notice
from qts.safety.notifier import Notifier
from qts.safety.record import KillRecord, StateRecord
from qts.safety.registry import KILL, STORAGE_FAILED, kind_of, level_of
from qts.safety.snapshot import StateChange
from qts.safety.states import EFFECT_TO_STATE, EventKind, KillLevel, SafetyEvent, SafetyState, TransitionResult
from qts.safety.suspensions import Suspensions

if TYPE_CHECKING:
    from qts._core import RaiseLog

Listener: TypeAlias = Callable[[StateChange], None]
Lower: TypeAlias = Callable[[int, SafetyState], bool]

ENGINE: Final = "engine"
CORE: Final = "core"
_CODES_KEPT: Final = 20
_EMPTY: Final[Mapping[str, object]] = MappingProxyType({})
_FAULTS: Final = frozenset({"FAIL", "LOCKDOWN"})
_LEVEL_OF_STATE: Final = MappingProxyType(
    {
        SafetyState.NORMAL: NoticeLevel.INFO,
        SafetyState.WARNING: NoticeLevel.WARNING,
        SafetyState.FAIL: NoticeLevel.FAIL,
        SafetyState.LOCKDOWN: NoticeLevel.LOCKDOWN,
    }
)


class Told(NamedTuple):
    """What goes with an event into its records: actor, kind of act, message, references and details."""

    actor: str = ENGINE
    kind: str = "code"
    message: tuple[str, str] | None = None
    refs: Mapping[str, object] = _EMPTY
    meta: Mapping[str, object] = _EMPTY


class Keeper:
    """The mechanism under the manager.

    Whatever strengthens raises the word first and is written down then. Whatever weakens is written down first, and
    succeeds only if nobody has raised the word since it was read.

    Args:
        clock: where time comes from.
        config: numbers.
        enforcement: the word.
        books: where it is written down.
        notifier: who tells people.
    """

    def __init__(
        self, clock: Clock, config: SafetyConfig, enforcement: Enforcement, books: Books, notifier: Notifier
    ) -> None:
        self._clock = clock
        self._config = config
        self._enforcement = enforcement
        self._books = books
        self._notifier = notifier
        self._machine = Machine(config)
        self._lock = threading.RLock()
        self._changes: list[StateChange] = []
        self._listeners: list[Listener] = []
        self._depth = 0
        self._codes: tuple[str, ...] = ()
        self._since_ns = clock.now_ns()
        self._reason = ""
        self._faults = 0
        self._kill = KillRecord()
        self._held_flags: set[str] = set()
        self._suspensions = Suspensions()
        self._failing: set[str] = set()
        self._fail_mark: tuple[int | None, int | None] = (None, None)
        self._lost_seen = 0
        self._raise_log: RaiseLog | None = None
        self._raises_heard = 0
        self._raises_kept = 0
        self._flying = 0
        self._flying_guard = threading.Lock()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock; whoever leaves it last tells the listeners, without it."""
        with self._lock:
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                changes: list[StateChange] = []
                if self._depth == 0:
                    changes, self._changes = self._changes, []
        for change in changes:
            self._tell_listeners(change)

    def _take(self, event: SafetyEvent, told: Told) -> TransitionResult:
        """Let an event act that can only strengthen: the word is raised before anything is waited for."""
        with self._in_flight():
            self._enforcement.raise_to(_floor(event))
            with self._locked():
                self._hear()
                return self._apply(event, told)

    @contextmanager
    def _in_flight(self) -> Iterator[None]:
        """Mark that the word may be raised ahead of the records: nothing is released meanwhile."""
        with self._flying_guard:
            self._flying += 1
        try:
            yield
        finally:
            with self._flying_guard:
                self._flying -= 1

    def _hear(self) -> None:
        """Take in what others have raised, so that it is in the records too."""
        for raised in self._enforcement.heard():
            self._raises_heard = raised.seq
            self._apply(_event_of(raised), Told(actor=CORE))
        lost = self._enforcement.word.raises_lost
        if lost > self._lost_seen:
            self._lost_seen = lost
            self._raises_heard = self._enforcement.word.taken_seq
            self._announce("raises_lost", NoticeLevel.WARNING, {"lost": lost})
            code = self._codes[-1] if self._codes else STORAGE_FAILED
            self._distrust_count()
            event = SafetyEvent(EventKind.RESTORE, code, restored=self._enforcement.state)
            self._apply(event, Told(actor=CORE, meta={"reason": "raises_lost"}))
        self._hear_flags()

    def _attach_log(self, heard: int) -> None:
        """Have the core write down what it raises from now on; up to the number `heard` that is in the records."""
        self._raises_heard = self._raises_kept = heard
        if self._raise_log is not None:
            self._raise_log.attach(self._enforcement.word, heard)

    def _hear_log(self) -> None:
        """Take in what the core raised before the last process ended, and nobody had heard."""
        if self._raise_log is None:
            return
        for seq, code, before, after, flags, wall_ns, at_ns in self._raise_log.left:
            if seq > self._raises_heard:
                self._raises_heard = seq
                self._enforcement.word.set_flags(flags)
                self._take_left(Raise(code, STATES[before], STATES[after], at_ns, seq), wall_ns)

    def _take_left(self, left: Raise, wall_ns: int) -> None:
        told = Told(actor=CORE, meta={"raised_at": from_ns(wall_ns).isoformat(), "heard": "after a restart"})
        self._enforcement.raise_to(left.to_state)
        # What had raised the state before it may not have been kept: from here it has raised it all the way.
        self._apply(_event_of(left._replace(from_state=min(left.from_state, self._machine.state))), told)

    def _distrust_count(self) -> None:
        """Take it that there was a fail-safe just now: one more locks down."""
        machine = self._machine
        machine.recall(
            consecutive=max(1, machine.consecutive),
            last_fail_ns=self._clock.monotonic_ns(),
            probation_left=machine.probation_left,
        )

    def _hear_flags(self) -> None:
        """Take in which flags others have set: they are kept over a restart like our own."""
        level = self._enforcement.word.kill_level
        # One that is in flight here is recorded by whoever engages it, in their name.
        if level and not self._flying and (not self._kill.is_engaged or self._kill.level < level):
            self._engage(KillLevel(level), CORE, "set in the core")
            told = Told(CORE, "kill", both("kill"), meta={"level": KillLevel(level).name})
            self._apply(SafetyEvent(EventKind.KILL, KILL), told)
        held = {name for name in self._enforcement.flags if name not in KILL_FLAGS}
        if held != self._held_flags:
            self._note(
                "flags", payload={"set": sorted(held - self._held_flags), "cleared": sorted(self._held_flags - held)}
            )
            self._held_flags = held
            self._persist()

    def _engage(self, level: KillLevel, by: str, reason: str) -> None:
        record = KillRecord(is_engaged=True, level=level, by=by, reason=reason, at_ns=self._clock.now_ns())
        if not self._kill.is_engaged or level > self._kill.level:
            self._kill = record
            self._failed("kill_switch", self._books.keep_kill(record))

    def _apply(self, event: SafetyEvent, told: Told) -> TransitionResult:
        result = self._machine.apply(event, self._clock.monotonic_ns())
        self._enforcement.raise_to(result.to_state if result.to_state > self._enforcement.state else SafetyState.NORMAL)
        self._settle(event, result, told)
        return result

    def _leave(self, event: SafetyEvent, lower: Lower, told: Told) -> TransitionResult:
        """Let an event act that weakens the state. `lower` is called with the word that was seen and the new state."""
        with self._locked():
            self._hear()
            seen = self._enforcement.word.value
            trial = copy.deepcopy(self._machine)
            result = trial.apply(event, self._clock.monotonic_ns())
            if not result.is_changed:
                self._machine = trial
                self._settle(event, result, told)
                return result
            error = self._record(event, result, told)
            if error is not None:
                self._failed("audit", error)
                raise Refusal("not_recorded", error=error.strerror or str(error))
            # Who raised before the word was read is still in flight; who raises after it makes the exchange fail.
            if self._flying or not lower(seen, result.to_state):
                self._hear()
                self._note("void", code=event.code, reason="changed_meanwhile", actor=told.actor, is_applied=False)
                raise Refusal("changed_meanwhile")
            self._machine = trial
            self._changed(event, result)
            self._persist()
            self._announce_result(event, result, told)
            return result

    def _settle(self, event: SafetyEvent, result: TransitionResult, told: Told) -> None:
        """Write down and tell what has happened."""
        is_fault = event.kind is EventKind.KILL or event.effect in _FAULTS
        if is_fault:
            self._faults += 1
        if event.code and (is_fault or result.to_state > result.from_state) and self._codes[-1:] != (event.code,):
            self._codes = (*self._codes, event.code)[-_CODES_KEPT:]
        self._failed("audit", self._record(event, result, told))
        if result.is_changed:
            self._changed(event, result)
        self._persist()
        self._announce_result(event, result, told)

    def _changed(self, event: SafetyEvent, result: TransitionResult) -> None:
        self._since_ns, self._reason = self._clock.now_ns(), result.reason
        is_approved = event.kind is EventKind.APPROVE
        change = StateChange(
            result.from_state, result.to_state, self._codes, result.reason, self._since_ns, is_approved
        )
        self._changes.append(change)
        if result.to_state == SafetyState.NORMAL:
            self._codes = ()

    def _record(self, event: SafetyEvent, result: TransitionResult, told: Told) -> OSError | None:
        meta = {key: value for key, value in {**result.meta, **told.meta}.items() if value not in ("", None)}
        entry = Entry(
            told.actor,
            "transition" if result.is_changed and told.kind == "code" else told.kind,
            event.code,
            result.from_state.value,
            result.to_state.value,
            result.applied,
            result.reason,
            told.refs,
            {"event": event.kind.value, **meta},
        )
        return self._books.record(entry)

    def _note(
        self,
        kind: str,
        *,
        code: str = "",
        reason: str = "",
        actor: str = ENGINE,
        is_applied: bool = True,
        payload: Mapping[str, object] = _EMPTY,
    ) -> None:
        """Write an act down that is no event of the state machine."""
        state = self._machine.state.value
        self._failed(
            "audit", self._books.record(Entry(actor, kind, code, state, state, is_applied, reason, payload=payload))
        )

    def _persist(self) -> None:
        """Keep the state as it is now; what of the core's raises is in it and in the trail need be nowhere else."""
        if not self._books.is_behind:
            self._raises_kept = self._raises_heard
        kept = self._raises_kept
        error = self._books.keep_state(self._as_record())
        if error is None and self._raise_log is not None:
            self._raise_log.acknowledge(kept)
        self._failed("state", error)

    def _as_record(self) -> StateRecord:
        machine, head = self._machine, self._books.audit.head
        if machine.last_fail_ns != self._fail_mark[0]:
            last_ns = machine.last_fail_ns
            age_ns = 0 if last_ns is None else self._clock.monotonic_ns() - last_ns
            self._fail_mark = (last_ns, None if last_ns is None else self._clock.now_ns() - age_ns)
        return StateRecord(
            state=machine.state,
            since_ns=self._since_ns,
            reason=self._reason,
            consecutive=machine.consecutive,
            last_fail_ns=self._fail_mark[1],
            probation_left=machine.probation_left,
            codes=self._codes,
            flags=tuple(sorted(self._held_flags)),
            suspensions=self._suspensions.all(),
            audit_seq=head.seq,
            audit_hash=head.hash,
            raises_heard=None if self._raise_log is None else self._raises_kept,
        )

    def _failed(self, book: str, error: OSError | None) -> None:
        """What cannot be kept is a fault itself, once for each book until it can be kept again."""
        if error is None:
            self._failing.discard(book)
        elif book not in self._failing:
            self._failing.add(book)
            self._enforcement.raise_to(SafetyState.FAIL)
            self._apply(
                # Books on one disk fail together: one cause.
                SafetyEvent(EventKind.FAIL_SAFE, STORAGE_FAILED, "FAIL", cause="storage"),
                Told(message=both("storage_failed"), meta={"book": book, "error": error.strerror or str(error)}),
            )

    def _announce_result(self, event: SafetyEvent, result: TransitionResult, told: Told) -> None:
        asked = result.to_state if result.to_state > result.from_state else SafetyState.NORMAL
        message = told.message
        if event.kind is EventKind.FAIL_SAFE:
            asked = max(asked, EFFECT_TO_STATE[event.effect])
        elif event.kind is EventKind.KILL:
            asked = SafetyState.LOCKDOWN
        elif event.kind is EventKind.CLEAR:
            message = both("quiet")
        elif event.kind in {EventKind.ACK, EventKind.APPROVE}:
            key = "approved" if event.kind is EventKind.APPROVE else "acknowledged"
            message = both(key if result.applied else "refused")
        meta = {"reason": result.reason, "consecutive": result.meta["consecutive"] or "", **told.meta}
        self._post(_LEVEL_OF_STATE[asked], meta, code=event.code, message=message)

    def _announce(self, key: str, level: NoticeLevel, meta: Mapping[str, object] = _EMPTY, code: str = "") -> None:
        self._post(level, meta, code=code, message=both(key))

    def _post(
        self, level: NoticeLevel, meta: Mapping[str, object], *, code: str, message: tuple[str, str] | None
    ) -> None:
        state = self._machine.state
        now_ns = self._clock.now_ns()
        self._notifier.post(notice(now_ns, code=code, level=level, message=message, state=state, meta=meta))

    def _tell_listeners(self, change: StateChange) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(change)
            except Exception as error:
                with self._locked():
                    payload = {"listener": repr(listener), "error": f"{type(error).__name__}: {error}"}
                    self._note("listener_failed", payload=payload, is_applied=False)
                    self._announce("listener_failed", NoticeLevel.WARNING, payload)


def _floor(event: SafetyEvent) -> SafetyState:
    """The state that an event asks for whatever the state is: what the word can be raised to at once."""
    if event.kind is EventKind.FAIL_SAFE:
        return EFFECT_TO_STATE[event.effect]
    return SafetyState.WARNING if event.kind is EventKind.ANOMALY else SafetyState.NORMAL


def _event_of(raised: Raise) -> SafetyEvent:
    """Word a raise of the core as an event; it has done at least what it has raised the state to."""
    row, kind = lookup(raised.code), kind_of(raised.code)
    is_risen = raised.to_state > raised.from_state
    if kind is EventKind.KILL:
        return SafetyEvent(kind, raised.code)
    if is_risen and raised.to_state >= SafetyState.FAIL:
        kind = EventKind.FAIL_SAFE
    if kind is EventKind.ANOMALY:
        return SafetyEvent(kind, raised.code, level=level_of(row))
    if kind is EventKind.GUARDRAIL:
        return SafetyEvent(kind, raised.code, counts=row.counted, warns=is_risen or row.effect == "WARN")
    effect = row.effect
    if is_risen:
        effect = next(
            name for name, state in EFFECT_TO_STATE.items() if state == max(EFFECT_TO_STATE[effect], raised.to_state)
        )
    return SafetyEvent(kind, raised.code, effect)


def known_code(codes: tuple[str, ...]) -> str:
    """Return the last code that the table knows, for a state that has to be raised again."""
    return next((code for code in reversed(codes) if code in TABLE), STORAGE_FAILED)
