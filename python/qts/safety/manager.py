"""The safety state as the rest of the engine uses it (spec 01 §8.1)."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, suppress
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from qts._core import RaiseLog, SafetyWord
from qts.clock import Clock, from_ns
from qts.codes import Effect, EngineFault, lookup
from qts.safety.audit import AuditFile, AuditMemory, AuditTrail, Entry
from qts.safety.books import Books
from qts.safety.channels import Channel as NoticeChannel
from qts.safety.channels import LogChannel
from qts.safety.config import SafetyConfig
from qts.safety.enforcement import CLEARABLE, FLAGS, ActionClass, Enforcement
from qts.safety.exceptions import Refusal
from qts.safety.files import lock_directory
from qts.safety.keeper import ENGINE, Listener, Told, known_code
from qts.safety.messages import both, say
from qts.safety.notices import NoticeLevel
from qts.safety.notifier import Notifier
from qts.safety.operators import Channel, OperatorBook
from qts.safety.outbox import FileOutbox
from qts.safety.raises import open_raises
from qts.safety.record import FileVault, MemoryVault, Suspension, Unit, Vault
from qts.safety.recovery import RECONCILIATION, ReleaseCheck
from qts.safety.registry import KILL, STORAGE_FAILED, effects_of, is_order_guardrail, kind_of, level_of
from qts.safety.release import ReleaseDesk
from qts.safety.restart import Restart, last_fail_monotonic, look
from qts.safety.snapshot import KillSwitch, RunVerdict, SafetySnapshot
from qts.safety.states import (
    AnomalyLevel,
    EventKind,
    KillLevel,
    SafetyEvent,
    SafetyState,
    TransitionResult,
)
from qts.safety.suspensions import PIPELINE_KEY

_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_REMEMBERED: Final = 4_096
_SAFE_MODE: Final = FLAGS["SAFE_MODE"]
_KILLED: Final = RunVerdict(may_run=False, may_act=False, reason="kill_switch")
_UNSAFE: Final = RunVerdict(may_run=False, may_act=False, reason="safety")
_PAUSED: Final = RunVerdict(may_run=False, may_act=False, reason="pipeline_paused")
_OBSERVES: Final = RunVerdict(may_run=True, may_act=False, reason="safe_mode")
_RUNS: Final = RunVerdict(may_run=True, may_act=True)


class SafetyStateManager(ReleaseDesk):
    """The one safety state of the process and account.

    Reads (`state`, `permits`, `should_run`) take no lock and look at the word that Rust looks at. What strengthens the
    state raises that word first and is recorded then. Every method may be called from any thread; those that record
    block for a sync of the disk.

    Built directly it keeps everything in memory, as a simulated session wants it; `open` keeps it under `QTS_HOME`.

    Args:
        clock: where time comes from.
        config: numbers.
        word: the word that orders are held against; default: a new one.
        vault: where the records are kept; default: memory.
        audit: where acts are recorded; default: memory.
        notifier: who tells people; default: nobody.
        operators: who may release; default: nobody.
        checks: release checks that are there from the start.
        account_alias: first word of the phrase that releases LOCKDOWN.
        required_checks: names of checks without which nothing leaves FAIL or LOCKDOWN.
        environ: environment of the start.
        raise_log: where the core writes down its raises until they are recorded; default: nowhere.
    """

    def __init__(
        self,
        clock: Clock,
        config: SafetyConfig | None = None,
        *,
        word: SafetyWord | None = None,
        vault: Vault | None = None,
        audit: AuditTrail | None = None,
        notifier: Notifier | None = None,
        operators: OperatorBook | None = None,
        checks: Iterable[ReleaseCheck] = (),
        account_alias: str = "account",
        required_checks: frozenset[str] = frozenset({RECONCILIATION}),
        environ: Mapping[str, str] = MappingProxyType({}),
        raise_log: RaiseLog | None = None,
    ) -> None:
        config = config or SafetyConfig()
        vault = vault or MemoryVault()
        books = Books(vault, audit or AuditMemory(clock), clock)
        word = word or SafetyWord(config.lockdown_protective_exits)
        super().__init__(clock, config, Enforcement(word), books, notifier or Notifier((), clock))
        self.configure_release(operators, checks, account_alias, required_checks)
        self._seen: dict[tuple[str, object], TransitionResult] = {}
        self._closers: list[Callable[[], None]] = []
        self._raise_log = raise_log
        self._start(look(vault, books.audit.head, environ))

    @classmethod
    def open(
        cls,
        home: Path,
        clock: Clock,
        config: SafetyConfig | None = None,
        *,
        word: SafetyWord | None = None,
        channels: Iterable[NoticeChannel] | None = None,
        checks: Iterable[ReleaseCheck] = (),
        account_alias: str = "account",
        required_checks: frozenset[str] = frozenset({RECONCILIATION}),
        environ: Mapping[str, str] | None = None,
    ) -> "SafetyStateManager":
        """Open the safety state of a home: records, audit trail, outbox and operators in `home/state`.

        Args:
            home: `QTS_HOME`.
            clock: where time comes from.
            config: numbers.
            word: the word that orders are held against.
            channels: where notices go; default: the log `home/logs/safety.jsonl`.
            checks: release checks.
            account_alias: first word of the phrase that releases LOCKDOWN.
            required_checks: names of checks without which nothing is released.
            environ: environment of the start; default: that of the process.

        Raises:
            UsageError: another process holds it.
            EngineFault: FS063, the directory or the audit trail cannot be written.
        """
        state = home / "state"
        opened = ExitStack()
        try:
            opened.callback(os.close, lock_directory(state))
            audit, damage = _open_audit(state / "audit.jsonl", clock)
            opened.callback(audit.close)
            vault = FileVault(state)
            raises = open_raises(state / "raises.log", clock, vault.load_state().record)
            opened.callback(raises.log.close)
            outbox = FileOutbox(state / "outbox.jsonl")
            opened.callback(outbox.close)
        except OSError as error:
            opened.close()
            raise EngineFault(STORAGE_FAILED, found=str(error), expected=say("writable", path=state)) from None
        default = (LogChannel(home / "logs" / "safety.jsonl"),)
        notifier = Notifier(tuple(channels) if channels is not None else default, clock, outbox)
        try:
            manager = cls(
                clock,
                config,
                word=word,
                vault=vault,
                audit=audit,
                notifier=notifier,
                operators=OperatorBook.at(home),
                checks=checks,
                account_alias=account_alias,
                required_checks=required_checks,
                environ=os.environ if environ is None else environ,
                raise_log=raises.log,
            )
        except BaseException:
            opened.close()
            raise
        manager._closers = [notifier.stop, opened.close]
        if audit.cut_bytes:
            manager._note("audit_repaired", reason="torn_line", payload={"cut_bytes": audit.cut_bytes})
        if damage:
            manager._distrust("audit_damaged", damage)
        if raises.fault:
            manager._distrust(raises.fault, raises.detail)
        notifier.start()
        return manager

    def close(self) -> None:
        """Record the end, deliver what is due and let go of the files. The state stays recorded as it is."""
        with self._locked():
            self._hear()
            self._note("stop")
        for close in self._closers:
            close()
        self._closers = []

    # What others ask.

    @property
    def word(self) -> SafetyWord:
        """The word that orders are held against, for those who hand it to Rust."""
        return self._enforcement.word

    @property
    def state(self) -> SafetyState:
        """The state in force."""
        return self._enforcement.state

    def permits(self, action: ActionClass) -> bool:
        """Whether an action of this class is permitted now (§1.5). One atomic load and one look into a table."""
        return self._enforcement.word.permits(action)

    def should_run(self) -> RunVerdict:
        """Whether a cycle may start now, and whether it may act."""
        word = self._enforcement.word
        if word.kill_level:
            return _KILLED
        if self.state > SafetyState.WARNING:
            return _UNSAFE
        if not word.permits(ActionClass.NEW_CYCLE):
            return _PAUSED
        return _OBSERVES if word.flags & _SAFE_MODE else _RUNS

    def pipeline_state(self, *, is_running: bool = False) -> Literal["IDLE", "RUNNING", "SAFE", "FAIL", "LOCKDOWN"]:
        """Return the derived pipeline state for display; `is_running`: the loop is armed or in a cycle."""
        verdict = self.should_run()
        if verdict.reason == "kill_switch" or self.state == SafetyState.LOCKDOWN:
            return "LOCKDOWN"
        if self.state == SafetyState.FAIL:
            return "FAIL"
        if not verdict.may_act:
            return "SAFE"
        return "RUNNING" if is_running else "IDLE"

    @property
    def size_factor(self) -> Decimal:
        """What the size of an entry is multiplied by, 0 to 1: the smaller of WARNING's and probation's factor."""
        factor = self._config.warning_size_factor if self.state == SafetyState.WARNING else Decimal(1)
        return min(factor, self._config.recovery_probation_factor) if self._machine.probation_left else factor

    def snapshot(self) -> SafetySnapshot:
        """Return everything there is to show."""
        with self._locked():
            self._hear()
            kill, pending = self._kill, self._pending
            return SafetySnapshot(
                state=self.state,
                since_ns=self._since_ns,
                reason=self._reason,
                consecutive=self._machine.consecutive,
                codes=self._codes,
                last_code=self._codes[-1] if self._codes else "",
                is_trading_allowed=self.permits(ActionClass.ENTRY),
                is_lockdown=self.state == SafetyState.LOCKDOWN,
                kill_switch=KillSwitch(
                    is_armed=self._config.kill_switch_armed,
                    is_engaged=kill.is_engaged,
                    level=kill.level if kill.is_engaged else None,
                    by=kill.by,
                    reason=kill.reason,
                ),
                is_safe_mode="SAFE_MODE" in self._held_flags,
                flags=self._enforcement.flags,
                probation_left=self._machine.probation_left,
                size_factor=self.size_factor,
                suspensions=self._suspensions.all(),
                pending=MappingProxyType(
                    {}
                    if pending is None
                    else {
                        "nonce": pending.nonce,
                        "what": pending.what.value,
                        "operator": pending.authority.operator_id,
                        "effective_at": from_ns(pending.effective_ns).isoformat(),
                    }
                ),
                is_ack_pending=self._notifier.is_alarm_open,
                raises_lost=self.word.raises_lost,
            )

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Have every change of the state told to `listener`; the returned call ends that.

        It is called by the thread that made the change, after the word has changed and without a lock. What it raises
        is recorded and told, and changes nothing.
        """
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock, suppress(ValueError):
                self._listeners.remove(listener)

        return unsubscribe

    # What others report.

    def record_fail_safe(
        self,
        code: str,
        message: str = "",
        stage: str = "",
        *,
        effect: Effect | None = None,
        cause: str = "",
        cycle: int | None = None,
        meta: Mapping[str, object] = _NOTHING,
    ) -> TransitionResult:
        """Report a fail-safe: the state moves, people are told, the act is recorded.

        Args:
            code: FS code of the table.
            message: what happened, for the records.
            stage: where.
            effect: what it asks for, if it has come to more than the code's first effect.
            cause: id of the root cause; the same id within 2 s counts once towards LOCKDOWN.
            cycle: number of the cycle; the same code in the same cycle is reported once.
            meta: values, without secrets.

        Raises:
            ValueError: the code is not in the table, or cannot ask for that effect.
        """
        row = lookup(code)
        asked = effect or row.effect
        if asked not in effects_of(row):
            raise ValueError(f"{code} cannot ask for {asked}, only for {', '.join(effects_of(row))}")
        if cycle is not None and (code, cycle) in self._seen:
            return self._seen[code, cycle]._replace(applied=False, reason="duplicate")
        event = SafetyEvent(EventKind.FAIL_SAFE, code, asked, cause=cause)
        refs = _NOTHING if cycle is None else {"cycle": cycle}
        told = Told(refs=refs, meta={"message": message, "stage": stage, "cause": cause, **meta})
        result = self._take(event, told)
        if cycle is not None:
            with self._lock:
                if len(self._seen) >= _REMEMBERED:
                    del self._seen[next(iter(self._seen))]
                self._seen[code, cycle] = result
        return result

    def record_guardrail(
        self,
        code: str,
        message: str = "",
        stage: str = "",
        *,
        blocked: bool = True,
        meta: Mapping[str, object] = _NOTHING,
    ) -> TransitionResult:
        """Report a guardrail; `blocked`: it blocked or cut an order. It moves the state only by coming often."""
        row = lookup(code)
        counts = row.counted and (blocked or is_order_guardrail(code))
        event = SafetyEvent(EventKind.GUARDRAIL, code, counts=counts, warns=row.effect == "WARN")
        details = {"message": message, "stage": stage, "blocked": blocked, **meta}
        return self._take(event, Told(kind="guardrail", meta=details))

    def record_anomaly(
        self,
        code: str,
        message: str = "",
        stage: str = "",
        *,
        level: AnomalyLevel | None = None,
        meta: Mapping[str, object] = _NOTHING,
    ) -> TransitionResult:
        """Report an anomaly; its level is that of the table unless it has come to more."""
        event = SafetyEvent(EventKind.ANOMALY, code, level=level or level_of(lookup(code)))
        return self._take(event, Told(meta={"message": message, "stage": stage, "level": event.level.value, **meta}))

    def apply_safety_result(
        self,
        code: str,
        message: str,
        stage: str,
        blocked: bool,  # noqa: FBT001 - the signature that stages have called from the beginning
        *,
        cycle: int | None = None,
    ) -> TransitionResult:
        """Route the result of a stage check by the kind of its code."""
        kind = kind_of(code)
        if kind is EventKind.ANOMALY:
            return self.record_anomaly(code, message, stage)
        if kind is EventKind.GUARDRAIL:
            return self.record_guardrail(code, message, stage, blocked=blocked)
        if kind is EventKind.KILL:
            raise ValueError(f"{code} is the kill switch's; use engage_kill")
        return self.record_fail_safe(code, message, stage, cycle=cycle)

    def finish_cycle(self, *, is_clean: bool) -> None:
        """Report that a cycle has ended; clean: no fault, no guardrail, no anomaly in it."""
        if is_clean and not self._machine.counts_cycles:
            return
        with self._locked():
            machine = self._machine
            kept = (machine.consecutive, machine.probation_left)
            machine.finish_cycle(is_clean=is_clean)
            if kept != (machine.consecutive, machine.probation_left):
                self._persist()

    def poll(self) -> None:
        """Take in what Rust has raised, the sentinel file, and the end of WARNING. To be called every second or faster.

        Leaves no state but WARNING.
        """
        sentinel = self._books.vault.sentinel() if self._config.kill_switch_armed else None
        if sentinel is not None and (not self._kill.is_engaged or self._kill.level < sentinel):
            self.engage_kill(sentinel, by="sentinel file", reason="found")
        with self._locked():
            self._hear()
            self._failed("audit", self._books.catch_up())
            if self._raises_kept < self._raises_heard:  # what was heard while the disk took nothing
                self._persist()
            if self._machine.is_clear_due(self._clock.monotonic_ns()):
                with suppress(Refusal):  # raised meanwhile: the next look finds it so
                    self._leave(
                        SafetyEvent(EventKind.CLEAR), lambda seen, _: self._enforcement.end_warning(seen), Told()
                    )

    def reconfigure(self, config: SafetyConfig) -> None:
        """Go by other numbers from now on. What may reduce a position in LOCKDOWN stands in the word and stays."""
        with self._locked():
            self._config = config
            self._machine.reconfigure(config)

    def record_act(self, entry: Entry) -> bool:
        """Put an act of another room into the audit trail: configuration or mode changed, manual order, login.

        Returns whether it is durable. If not, the state is FAIL, and the act waits in memory to be recorded.
        """
        with self._locked():
            error = self._books.record(entry)
            self._failed("audit", error)
        return error is None

    def tell(self, level: NoticeLevel, message: tuple[str, str], meta: Mapping[str, object] = _NOTHING) -> None:
        """Tell people what another room did, in English and Korean, on the way that no degradation level pauses."""
        with self._locked():
            self._post(level, meta, code="", message=message)

    # What stops.

    def engage_kill(
        self, level: KillLevel, *, by: str, reason: str = "", channel: Channel = Channel.CLI
    ) -> TransitionResult:
        """Engage the kill switch: from this instant no cycle starts and no entry leaves; the state is LOCKDOWN.

        Any channel may, without a credential: stopping costs less than a wrong trade. A level is never lowered.
        """
        meta = {"level": level.name, "by": by, "reason": reason, "channel": channel.value}
        if not self._config.kill_switch_armed:
            return self._refused(Refusal("kill_switch_disarmed"), EventKind.KILL, by, meta)
        return self._kill_now(level, by, reason, meta)

    def _kill_now(self, level: KillLevel, by: str, reason: str, meta: Mapping[str, object]) -> TransitionResult:
        with self._in_flight():
            self._enforcement.set_flag(f"KILL_{level.name}")
            self._enforcement.raise_to(SafetyState.LOCKDOWN)
            with self._locked():
                self._engage(level, by, reason)
                self._hear()
                return self._apply(SafetyEvent(EventKind.KILL, KILL), Told(by, "kill", both("kill"), meta=meta))

    def set_flag(self, name: str, *, by: str = ENGINE, reason: str = "") -> None:
        """Set SAFE_MODE, HALT_ALL, ETEDA_SUSPENDED, ENTRIES_BLOCKED or JOURNAL_FAILED; it outlives a restart.

        Raises:
            ValueError: there is no such flag.
        """
        self._require_flag(name)
        self._enforcement.set_flag(name)
        self._flag_changed(name, by=by, reason=reason, is_set=True)

    def clear_flag(self, name: str, *, by: str = ENGINE, reason: str = "") -> None:
        """Clear a flag; the state stays what it is.

        Raises:
            ValueError: there is no such flag, or suspensions hold it.
        """
        self._require_flag(name)
        with self._locked():
            self._hear()
            if name == "ETEDA_SUSPENDED" and self._suspensions.of(Unit.PIPELINE, PIPELINE_KEY):
                raise ValueError("the pipeline is suspended; lift its suspensions")
            self._enforcement.clear_flag(name)
            self._flag_changed(name, by=by, reason=reason, is_set=False)

    def set_safe_mode(self, *, is_on: bool, by: str, reason: str = "") -> None:
        """Turn safe mode on or off: cycles run, nothing is sent (§1.6). It is a flag, not a state."""
        change = self.set_flag if is_on else self.clear_flag
        change("SAFE_MODE", by=by, reason=reason)

    def suspend(
        self, unit: Unit, key: str, code: str, *, by: str = ENGINE, reason: str = "", lifts_itself: bool = False
    ) -> None:
        """Suspend a symbol, strategy, track or the pipeline for a code; each code holds its own (§8.4)."""
        lookup(code)
        if unit is Unit.PIPELINE:
            self._enforcement.set_flag("ETEDA_SUSPENDED")
        with self._locked():
            now_ns = self._clock.now_ns()
            row = Suspension(unit=unit, key=key, code=code, since_ns=now_ns, lifts_itself=lifts_itself)
            if self._suspensions.add(row):
                payload = {"unit": unit.value, "key": key, "reason": reason}
                self._note("suspend", code=code, actor=by, payload=payload)
                self._hear_flags()
                self._persist()
                self._announce("suspended", NoticeLevel.WARNING, payload, code)

    def lift(self, unit: Unit, key: str, code: str | None = None, *, by: str, is_operator: bool = False) -> bool:
        """Lift what a code (default: every code) holds; without an operator only what may lift itself.

        Returns False if nothing was lifted.
        """
        only_own = not is_operator and unit in {Unit.SYMBOL, Unit.STRATEGY}
        with self._locked():
            lifted = self._suspensions.lift(unit, key, code, only_own=only_own)
            for row in lifted:
                self._note("lift", code=row.code, actor=by, payload={"unit": unit.value, "key": key})
            if unit is Unit.PIPELINE and lifted and not self._suspensions.of(unit, key):
                self._enforcement.clear_flag("ETEDA_SUSPENDED")
            self._hear_flags()
            self._persist()
            if lifted:
                self._announce("lifted", NoticeLevel.INFO, {"unit": unit.value, "key": key, "by": by})
            return bool(lifted)

    def is_suspended(self, unit: Unit, key: str) -> bool:
        """Whether a unit is suspended for any code."""
        return bool(self._suspensions.of(unit, key))

    def _require_flag(self, name: str) -> None:
        if name not in CLEARABLE:
            raise ValueError(f"flag {name!r}; expected one of {', '.join(sorted(CLEARABLE))}")

    def _flag_changed(self, name: str, *, by: str, reason: str, is_set: bool) -> None:
        with self._locked():
            (self._held_flags.add if is_set else self._held_flags.discard)(name)
            payload = {"flag": name, "set": is_set, "reason": reason}
            self._note("flag", actor=by, payload=payload)
            self._hear_flags()
            self._persist()
            if name == "SAFE_MODE":
                self._announce("safe_mode_on" if is_set else "safe_mode_off", NoticeLevel.INFO, {"by": by})

    # The start.

    def _start(self, restart: Restart) -> None:
        record = restart.record
        with self._locked():
            self._attach_log(record.raises_heard or 0)
            for name in record.flags:
                if name in CLEARABLE:
                    self._enforcement.set_flag(name)
                    self._held_flags.add(name)
            for suspension in record.suspensions:
                self._suspensions.add(suspension)
            self._codes, self._since_ns = record.codes, record.since_ns or self._clock.now_ns()
            self._machine.recall(
                consecutive=record.consecutive,
                last_fail_ns=last_fail_monotonic(record, self._clock),
                probation_left=record.probation_left,
            )
            payload = {"state": restart.state.value, "first": restart.is_first, "audit_head": record.audit_seq}
            if record.last_fail_ns is not None and record.last_fail_ns > self._clock.now_ns():
                payload["clock"] = "behind the record"
            self._note("start", reason=restart.reason, payload=payload)
            if restart.reason != "restored":
                self._distrust(restart.reason, restart.detail)
            if restart.state > self._machine.state:
                code = known_code(self._codes)
                told = Told(kind="restore", message=both("restored"), meta={"reason": restart.reason})
                self._enforcement.raise_to(restart.state)
                self._apply(SafetyEvent(EventKind.RESTORE, code, restored=restart.state), told)
                self._since_ns, self._reason = record.since_ns, record.reason
            if restart.engaged is not None:  # what was engaged stays so, even if the switch has been disarmed since
                level, by, reason = restart.engaged
                self._kill_now(level, by, reason, {"level": level.name, "by": by, "reason": reason})
            for level, by, reason in restart.asked:
                self.engage_kill(level, by=by, reason=reason)
            if not self._config.kill_switch_armed:
                self._announce("kill_disarmed", NoticeLevel.WARNING)
            self._hear_log()
            self._failed("kill_switch", self._books.keep_kill(self._kill))
            self._hear()
            self._persist()

    def _distrust(self, reason: str, detail: str) -> None:
        """Begin in FAIL at least, as after a first fault: what was recorded cannot be relied on."""
        with self._locked():
            self._enforcement.raise_to(SafetyState.FAIL)
            self._distrust_count()
            event = SafetyEvent(EventKind.RESTORE, STORAGE_FAILED, restored=max(SafetyState.FAIL, self._machine.state))
            self._apply(
                event, Told(kind="restore", message=both("restored"), meta={"reason": reason, "detail": detail})
            )
            self._reason = reason
            self._persist()


def _open_audit(path: Path, clock: Clock) -> tuple[AuditFile, str]:
    """Open the trail; one that is damaged at its end is set aside whole, and a new one begins."""
    try:
        return AuditFile(path, clock), ""
    except ValueError as error:
        aside = path.with_name(f"audit-damaged-{clock.now_ns()}.jsonl")
        path.rename(aside)
        return AuditFile(path, clock), f"{error}; set aside as {aside.name}"
