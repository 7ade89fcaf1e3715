"""Safety state and operating state over a run: what they let orders do, and what they are told of it."""

import gc
from collections import deque
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from qts.clock import NS_PER_S, SimClock, from_ns, to_ns
from qts.codes import EngineFault, lookup
from qts.engine.holds import EntryHolds
from qts.engine.safety import follow_halt, safety_config
from qts.engine.timing import CycleTimes
from qts.ops.report.contracts import StateChange as StateChangeFigure
from qts.pipeline.budgets import CycleWatch
from qts.pipeline.contracts import Stance, Switches
from qts.pipeline.decide import NOT_APPROVED
from qts.safety import ActionClass, Entry, NoticeLevel, SafetyState, SafetyStateManager
from qts.state import (
    FileStateStore,
    MetricQuality,
    OperatingStateManager,
    OperatingStateSnapshot,
    StateConfig,
    TransitionResult,
)
from qts.state.account import AccountMetrics
from qts.state.history import PublishedVix
from qts.state.vol_index import VolIndex
from qts.strategy.contracts import PPM

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from decimal import Decimal

    from qts.broker.contracts import Track
    from qts.capital.contracts import CapitalAlert, Severity
    from qts.capital.metrics import ClosedTrade
    from qts.clock import Clock
    from qts.codes import Effect
    from qts.config import QtsConfig, ReloadRecord
    from qts.data import StoreCondition
    from qts.pipeline.contracts import CycleResult
    from qts.safety import StateChange
    from qts.state.history import DailyClose

_QUIET_NS: Final = 60 * NS_PER_S
"""Time in which a guardrail that changes nothing, or an anomaly, is recorded once."""
_TRUSTED_AGE_NS: Final = 500_000_000
"""Age of a quote that an exit in LOCKDOWN may be made on (spec 01 §1.5)."""
_POLL_NS: Final = NS_PER_S // 2
_ANOMALY: Final = "AN"
_GUARDRAIL: Final = "GR"
_EFFECTS: "Final[Mapping[Severity, Effect]]" = {
    "INFO": "NOTE",
    "WARNING": "WARN",
    "FAIL": "FAIL",
    "LOCKDOWN": "LOCKDOWN",
}
_ASKED: Final = {"WARNING": "WARN"}
"""Effects whose names differ from those of the states that they lead to."""
_ENGINE: Final = "engine"
_CHANGES_KEPT: Final = 10_000


class Supervisor:
    """Holds both machines of one run and stands between them and the pipeline.

    The operating state lives by the market's clock, so that a session gives the same at any speed. The safety state of
    a session that people operate lives by the machine's clock: their cool-downs are theirs. In a backtest both live by
    the market's.

    Args:
        config: the configuration of the run.
        safety: the safety state.
        market: the market's clock; moved by `observe`.
        machine: the clock that `poll` goes by.
        equity: equity at the start, in money units.
        halted: whether the primary market has stopped trading; None: nobody can say.
        in_session: whether the primary market is in session at a moment.
        store: keeps the operating state; None: memory.
        vol_closes: recorded closes of the volatility index; each is known once it was published. None: no feed.
    """

    def __init__(
        self,
        config: "QtsConfig",
        safety: SafetyStateManager,
        market: SimClock,
        machine: "Clock",
        *,
        equity: int,
        halted: bool | None,
        in_session: "Callable[[int], bool]",
        store: FileStateStore | None = None,
        vol_closes: "Sequence[DailyClose] | None" = None,
    ) -> None:
        self.state_config = settings = StateConfig.from_config(config)
        feed = None if vol_closes is None else PublishedVix(vol_closes, market)
        self._vol = VolIndex.from_settings(config.local.vol_index, feed, market)
        self.safety = safety
        self.holds = EntryHolds(safety)
        self.changes: deque[StateChangeFigure] = deque(maxlen=_CHANGES_KEPT)
        """Changes of both states in this run, the last of them."""
        self.market = market
        self.state = OperatingStateManager(
            settings, clock=market, store=store, listener=_Told(safety, self.changes), in_session=in_session
        )
        self._config = config
        self._machine = machine
        self._store = store
        self._halted = halted
        self._account = AccountMetrics(settings, market, equity=equity)
        self._equity = equity
        self._session_date = ""
        self._sample_ns = settings.metrics_interval_sec * NS_PER_S
        self._hour_ns = settings.evaluation_interval_sec * NS_PER_S
        self._looked_ns = market.now_ns()
        self._polled_ns = machine.monotonic_ns()
        self._told_ns: dict[str, int] = {}
        self._key: tuple[int, int, Decimal] | None = None
        self._stance = Stance()
        self._switched_at: int | None = None
        self._switches = Switches()
        self._watch: CycleWatch | None = None
        if machine is not market:  # in a backtest a slow machine must not change what is decided
            anomaly = config.safety.anomaly
            self._watch = CycleWatch(float(anomaly.cycle_time_factor), anomaly.cycle_time_samples)
            safety.add_check(CycleTimes(self._watch))
        self._hold_off = safety.subscribe(self._on_safety)
        follow_halt(safety, config)
        self._evaluate()

    @classmethod
    def in_memory(
        cls,
        config: "QtsConfig",
        start_ns: int,
        *,
        equity: int,
        in_session: "Callable[[int], bool]",
        vol_closes: "Sequence[DailyClose] | None" = None,
    ) -> Self:
        """Return one that keeps nothing, for recorded data: both machines live by the market's clock."""
        market = SimClock(start_ns)
        safety = SafetyStateManager(market, safety_config(config))
        return cls(
            config, safety, market, market, equity=equity, halted=None, in_session=in_session, vol_closes=vol_closes
        )

    @classmethod
    def open(
        cls,
        config: "QtsConfig",
        home: Path,
        start_ns: int,
        machine: "Clock",
        *,
        account: str,
        equity: int,
        in_session: "Callable[[int], bool]",
    ) -> Self:
        """Return one that keeps both states in a home, where a restart finds them.

        Raises:
            UsageError: another process holds them.
            EngineFault: FS063, the home cannot be written.
        """
        with ExitStack() as opened:
            safety = SafetyStateManager.open(home, machine, safety_config(config), account_alias=account)
            opened.callback(safety.close)
            store = opened.enter_context(FileStateStore(home / "state" / account))
            market = SimClock(start_ns)
            supervisor = cls(
                config, safety, market, machine, equity=equity, halted=False, in_session=in_session, store=store
            )
            opened.pop_all()  # it lets go of them itself
            # Configuration, calendars and tables stay for the session: the collector need not walk through them again
            # and again, which stops a cycle for a tenth of a second each time.
            gc.freeze()
            return supervisor

    def close(self) -> None:
        """Record the end and let go of the files."""
        gc.unfreeze()
        self._hold_off()
        self.safety.close()
        if self._store is not None:
            self._store.close()

    # What the pipeline asks.

    def switches(self) -> Switches:
        """Return what the operator or the safety state has switched off. Made anew only after a change."""
        word = self.safety.word.value
        if word != self._switched_at:
            local, verdict = self._config.local, self.safety.should_run()
            self._switches = Switches(
                trading_enabled=local.trading_enabled,
                safe_mode=local.safe_mode or verdict.reason == "safe_mode",
                pipeline_paused=local.pipeline_paused or verdict.reason == "pipeline_paused",
                kill_switch=verdict.reason == "kill_switch",
                distrusted=verdict.reason == "safety",
            )
            self._switched_at = word
        return self._switches

    def stance(self) -> Stance:
        """Return what both states let orders do now. Made anew only after one of them has changed."""
        safety = self.safety
        key = (self.state.version, safety.word.value, safety.size_factor)
        if key != self._key:
            self._stance, self._key = self._stand(), key
        return self._stance

    def _stand(self) -> Stance:
        snapshot, permits = self.state.get_snapshot(), self.safety.permits
        allowed = snapshot.effective_properties
        exit_only: set[Track] = set()
        if not allowed.scalp_engine_active:
            exit_only.add("SCALP")
        if not allowed.swing_engine_active:
            exit_only.add("SWING")
        return Stance(
            rank=snapshot.current_state.rank,
            threshold=allowed.entry_signal_threshold,
            new_entries=allowed.new_entry_enabled,
            exit_only=frozenset(exit_only),
            max_positions=allowed.max_positions,
            max_daily_trades=allowed.max_daily_trades,
            multiplier_ppm=round(allowed.risk_tolerance_multiplier * PPM),
            size_ppm=int(self.safety.size_factor * PPM),
            may_enter=permits(ActionClass.ENTRY),
            may_exit=permits(ActionClass.STRATEGY_EXIT),
            # Venue and book are one here: of what an exit in LOCKDOWN is trusted by, only the price is left.
            may_protect=permits(ActionClass.PROTECTIVE_EXIT) or permits(ActionClass.TRUSTED_EXIT),
            trusted_age_ns=None if permits(ActionClass.PROTECTIVE_EXIT) else _TRUSTED_AGE_NS,
        )

    # What it is told.

    def observe(self, ts_ns: int, session_date: str) -> None:
        """Move the market's clock to `ts_ns` and let the rules look: for each hour that has passed, and each minute.

        To be called before the cycle of that moment, so that the cycle sees what follows from it.
        """
        now_ns = self.market.now_ns()
        if ts_ns - self._looked_ns < self._sample_ns and session_date == self._session_date:
            self.market.advance_to(max(ts_ns, now_ns))
            return
        hour_ns = now_ns - now_ns % self._hour_ns + self._hour_ns
        while hour_ns < ts_ns:  # the market was closed, or nothing happened in it: the rules look all the same
            self.market.advance_to(hour_ns)
            self._evaluate()
            if not self.state.may_move_unprompted():
                break  # time alone changes nothing more
            hour_ns += self._hour_ns
        self.market.advance_to(max(ts_ns, self.market.now_ns()))
        if session_date != self._session_date:
            if self._session_date:
                self._account.value(self._equity)  # the last look may lie a minute back
                self._account.close_session(date.fromisoformat(self._session_date))
            self._account.open_session()
            self._session_date = session_date
        self._evaluate()
        self._looked_ns = ts_ns

    def on_cycle(self, result: "CycleResult") -> None:
        """Take in how a cycle has ended."""
        if result.equity:
            self._equity = result.equity
        for error in result.errors:
            self.fail(error.code, error.message, error.stage, cycle=result.cycle.no)
        is_clean = not result.errors
        for decision in result.decisions:
            for code in decision.codes:
                # "Not approved" says less than the guardrail that did not approve.
                if code.startswith(_GUARDRAIL) and (code != NOT_APPROVED or len(decision.codes) == 1):
                    is_clean = False
                    self._guardrail(code, decision.reason, blocked=decision.action == "NONE")
        for report in result.reports:
            is_clean = False
            if self._is_news(report.code):
                self.safety.record_anomaly(report.code, report.message, report.stage)
        if self._watch is not None and self._is_late(self._watch, result):
            is_clean = False
        if result.cycle.cause != "EVENT":
            self.safety.finish_cycle(is_clean=is_clean)

    def _is_late(self, watch: CycleWatch, result: "CycleResult") -> bool:
        """Report a cycle that took too long; whether it did."""
        late = watch.look(result)
        if late is None:
            return False
        if late.code == "FS060":
            self.fail(late.code, late.message, "performance", cycle=result.cycle.no)
        elif self._is_news(late.code):
            self.safety.record_anomaly(late.code, late.message, "performance")
        return True

    def fail(
        self, code: str, message: str, stage: str, *, effect: "Effect | None" = None, cycle: int | None = None
    ) -> None:
        """Report a fail-safe. Where fail-safes are switched off it is put on record, and nothing else.

        `effect` is what it asks for here, if that is not the code's first effect.
        """
        if self._config.local.failsafe_enabled:
            self.safety.record_fail_safe(code, message, stage, effect=effect, cycle=cycle)
        else:
            self.safety.record_act(Entry(_ENGINE, "fail_safe_off", code, is_applied=False, reason=message))

    def on_books(self, condition: "StoreCondition") -> None:
        """Take in how the books are: what they report, and whether they hold entries back."""
        for code, text in condition.reports:
            self.on_code(code, text, "data")
        self.holds.hold("data layer", condition.entries_held)

    def on_capital(self, alert: "CapitalAlert") -> None:
        """Take in a finding of the capital room: a fail-safe asks for what the finding is as severe as."""
        if alert.code.startswith(_GUARDRAIL):
            self._guardrail(alert.code, alert.message, blocked=False)
        elif alert.code.startswith(_ANOMALY):
            if self._is_news(alert.code):
                self.safety.record_anomaly(alert.code, alert.message, "capital")
        else:
            self.fail(alert.code, alert.message, "capital", effect=_EFFECTS[alert.severity])

    def on_code(self, code: str, text: str, stage: str) -> None:
        """Take in a code that a room has raised beside a cycle."""
        if code.startswith(_GUARDRAIL):
            self._guardrail(code, text, blocked=False)
        else:
            self.fail(code, text, stage)

    def on_execution(self, code: str, text: str, effect: str) -> None:
        """Take in a code of an execution; `effect` is a safety state that it asks for beyond the code's own.

        What asks for nothing is told once a minute: an execution that ends without a fill is no event.
        """
        if code.startswith(_GUARDRAIL):
            self._guardrail(code, text, blocked=False)
        elif effect:
            self.fail(code, text, "execution", effect=_ASKED.get(effect, effect))  # type: ignore[arg-type]  # names
        elif lookup(code).effect != "NOTE" or self._is_news(code):
            self.fail(code, text, "execution")

    def on_trade(self, trade: "ClosedTrade") -> None:
        """Take in a position that is flat again: a win or a loss."""
        self._account.close_trade(trade.net, is_scalp=trade.pool == "SCALP")

    def record_reload(self, record: "ReloadRecord") -> None:
        """Put an attempt to change the configuration into the audit trail.

        Raises:
            EngineFault: FS063, it is not durable there; a change that is not on record must not be made.
        """
        payload = {
            "outcome": record.outcome,
            "from": record.old_version,
            "to": record.new_version,
            "changes": [change._asdict() for change in record.changes],
            "applied": list(record.applied),
            "pending": list(record.pending),
            "refusal": record.refusal,
        }
        is_applied = record.outcome == "APPLIED"
        entry = Entry(record.by, "config_change", is_applied=is_applied, reason=record.reason, payload=payload)
        if not self.safety.record_act(entry):
            raise EngineFault("FS063", found="the audit trail takes no records", expected="a disk that can be written")

    def record_act(self, action: str, by: str, reason: str, payload: "Mapping[str, Any]") -> None:
        """Put what an operator has done into the audit trail."""
        self.safety.record_act(Entry(by, action, is_applied=True, reason=reason, payload=payload))

    def poll(self) -> None:
        """Let the safety state take in what others have raised, and its own timers. Cheap if called too often."""
        now_ns = self._machine.monotonic_ns()
        if now_ns - self._polled_ns >= _POLL_NS:
            self._polled_ns = now_ns
            self.safety.poll()

    def reconfigure(self, config: "QtsConfig") -> None:
        """Go by the switches of another configuration."""
        is_turned = config.local.halt_all != self._config.local.halt_all
        self._config, self._switched_at = config, None
        self.safety.reconfigure(safety_config(config))
        if is_turned:  # a halt that others have set is not ended by a change of something else
            follow_halt(self.safety, config)

    def _guardrail(self, code: str, reason: str, *, blocked: bool) -> None:
        """Report a guardrail, unless it is one of many that change nothing: one a minute stands for them."""
        counts = lookup(code).counted and self.safety.state is SafetyState.NORMAL
        if self._is_news(code) or counts:
            self._told_ns[code] = self._machine.monotonic_ns()
            self.safety.record_guardrail(code, reason, "decide", blocked=blocked)

    def _is_news(self, code: str) -> bool:
        """Whether a code was not told within the last minute; it counts as told from now on if so."""
        now_ns, told_ns = self._machine.monotonic_ns(), self._told_ns.get(code)
        if told_ns is not None and now_ns - told_ns < _QUIET_NS:
            return False
        self._told_ns[code] = now_ns
        return True

    def _evaluate(self) -> None:
        if self._machine is self.market and self.safety.state is SafetyState.WARNING:
            self.poll()  # where nobody operates it, nobody else looks whether it is over
        # The last valuation is that of now: this clock moves with the market's data, and there was nothing newer.
        self._account.value(self._equity)
        seen = self._vol.read()
        level, asof = (None, None) if seen is None else (seen.value, from_ns(seen.asof_ns))
        metrics = self._account.metrics(vix=level, market_circuit_breaker=self._halted)
        quality = MetricQuality(self._account.asof, asof)
        # The state is asked for, not handed over: one that others change just now must not be followed by its past.
        self.state.evaluate_transition(metrics, lambda: self.safety.state, quality)

    def _on_safety(self, change: "StateChange") -> None:
        old, new, cause = change.from_state, change.to_state, ",".join(change.codes)
        if old is not new:
            self.changes.append(StateChangeFigure(self.market.now_ns(), "safety", old.name, new.name, cause))
        self.state.on_safety_change(change.from_state, change.to_state, change.codes)


class _Told:
    """Has the safety room record and tell what the operating state does."""

    def __init__(self, safety: SafetyStateManager, changes: "deque[StateChangeFigure]") -> None:
        self._safety = safety
        self._changes = changes

    def on_transition(self, result: TransitionResult, snapshot: OperatingStateSnapshot) -> None:
        """Record a transition; one to less risk is told to people as well, on the way that nothing pauses."""
        before, after = result.from_state.value, result.to_state.value
        at_ns = to_ns(result.effective_at)
        self._changes.append(StateChangeFigure(at_ns, "operating", before, after, result.reason.value))
        payload = {
            "kind": result.kind.value,
            "source": result.source.value,
            "operator": result.operator_id,
            "version": snapshot.version,
            "market_time": result.effective_at.isoformat(),
        }
        self._safety.record_act(
            Entry(
                result.operator_id or _ENGINE,
                "operating_state",
                from_state=result.from_state.value,
                to_state=result.to_state.value,
                reason=result.reason.value,
                payload=payload,
            )
        )
        if result.to_state.rank < result.from_state.rank:
            message = (f"operating state {before} -> {after}", f"운영 상태 {before} -> {after}")
            self._safety.tell(NoticeLevel.WARNING, message, {"reason": result.reason.value})

    def on_code(self, code: str, text: str) -> None:
        """Hand a code on to the safety state."""
        self._safety.apply_safety_result(code, text, "operating_state", False)  # noqa: FBT003 - its old signature
