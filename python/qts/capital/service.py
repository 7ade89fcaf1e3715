"""Moves capital on schedule, outside of the cycle: before a session opens and after it has closed (spec 14 §6 to §8).

The engine proposes, this service carries out: locks first, then demotions, promotions and rebalancing, all of them on
one daily limit, each pair of pools once a day, each key once ever. What it has to remember over a restart can be kept
as plain data; without that it is taken from the transfers on record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qts.capital.amounts import ceil_part, floor_part
from qts.capital.audit import DaySnapshot, abnormal
from qts.capital.contracts import (
    POOLS,
    CapitalAlert,
    CapitalEngineInput,
    FlowGates,
    PauseCause,
    PoolState,
    TransferKind,
    TransferProposal,
    TransferReason,
)
from qts.capital.demotion import after_close, after_transfer, is_complete
from qts.capital.flow import DayResult, PromotionState
from qts.capital.memory import Memory, remembered
from qts.capital.messages_books import say
from qts.capital.rebalancing import RebalanceDesk
from qts.capital.schedule import month_of, quarter_of, week_of
from qts.capital.transfers import Occasion
from qts.clock import to_ns
from qts.codes import EngineFault, UsageError
from qts.safety import SafetyState
from qts.state import OperatingState

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import date, datetime
    from decimal import Decimal

    from qts.capital.books import CapitalBooks
    from qts.capital.contracts import CapitalEngineOutput, CapitalTransfer, Episode, MetricValue, SessionInfo
    from qts.capital.flow import Day
    from qts.capital.metrics import ClosedTrade, MetricsTracker
    from qts.capital.schedule import SessionSchedule
    from qts.capital.transfers import Quarantine
    from qts.state.rebalance import Pool, Rebalancer

S2W: Final = "S>W"
W2P: Final = "W>P"
_SOURCE: Final[Mapping[str, Pool]] = {S2W: "SCALP", W2P: "SWING"}
_STOPS: Final = frozenset({"FS083", "FS084"})


class CapitalTransferService:
    """Carries out what the capital engine proposes.

    Args:
        books: books of the pools.
        metrics: measures of the pools.
        schedule: sessions.
        evaluate: the capital engine, guarded: it never raises.
        rebalancer: holds the plan of the operating state.
    """

    def __init__(
        self,
        books: CapitalBooks,
        metrics: MetricsTracker,
        schedule: SessionSchedule,
        evaluate: Callable[[CapitalEngineInput], CapitalEngineOutput],
        rebalancer: Rebalancer,
    ) -> None:
        self._books = books
        self._metrics = metrics
        self._schedule = schedule
        self._evaluate = evaluate
        self._config = books.config
        self._desk = RebalanceDesk(books, rebalancer, schedule)
        self._memory = remembered(books.transfers, schedule)
        self._promotions = dict.fromkeys(_SOURCE, PromotionState.ACCUMULATING)
        self._alerts: list[CapitalAlert] = []
        self.progress: Mapping[Pool, Decimal] = {}
        """Promotable profit as a share of its threshold, as of the last evaluation."""

    @property
    def promotions(self) -> Mapping[str, PromotionState]:
        """Where the promotion of each pair stands: `S>W` and `W>P`."""
        return dict(self._promotions)

    @property
    def open_codes(self) -> frozenset[str]:
        """FS083 and FS084 that are not resolved: no transfer until they are."""
        return frozenset(self._memory.open_codes)

    @property
    def episodes(self) -> Mapping[str, Episode]:
        """Episodes of the demotion triggers."""
        return dict(self._memory.episodes)

    def state(self) -> dict[str, Any]:
        """Return what has to be kept over a restart, as plain data."""
        return {**self._memory.state(), "metrics": self._metrics.state()}

    def restore(self, kept: Mapping[str, Any]) -> None:
        """Take up what `state` returned.

        Raises:
            DataError: it is something else; nothing was taken up.
        """
        self._memory = Memory.restored(kept, self._metrics)

    # Days

    def open_day(self, day: Day) -> DayResult:
        """Do what is due before a session: end quarantines, promote SCALP to SWING, and what the last close missed."""
        session = self._begin(day)
        released = self._end_quarantines(day, session)
        done: list[CapitalTransfer] = []
        output = None
        if not self._schedule.is_trading(to_ns(day.at)):
            late = self._missed_quarter_end(session)
            if late is not None:
                output = self._promote(day, late, W2P, quarter_of(late.date), done)
            period = self._period(session.date)
            if self._memory.periods.get(S2W) != period:
                due = session._replace(is_first_of_week=True, is_first_of_month=True, is_last_of_quarter=False)
                output = self._promote(day, due, S2W, period, done)
        return self._result(session, done, released, output)

    def close_day(
        self,
        day: Day,
        values: Mapping[Pool, int],
        trades: Iterable[ClosedTrade] = (),
        findings: tuple[CapitalAlert, ...] = (),
    ) -> DayResult:
        """Do what is due after a session: value, measure, lock, demote, promote SWING to PORTFOLIO, rebalance.

        A second time for the same session takes in nothing twice.

        Args:
            day: the session.
            values: market value of each pool's positions, in money units.
            trades: round trips that closed in it, in their order.
            findings: what reconciliation with the broker has found.
        """
        session = self._begin(day)
        self._books.mark(values, day.at)
        self._share_deposits(day)
        if self._metrics.as_of != session.date:
            self._metrics.closed(trades)
            self._take_close(day, session, findings)
        due = session._replace(is_first_of_week=False, is_first_of_month=False)
        output = self._evaluated(day, due)
        done: list[CapitalTransfer] = []
        if self._lock(output, day):
            output = self._evaluated(day, due)
        for proposal in output.pending_demotions:
            self._demote(proposal, day, done)
        self._demote_by_state(day, done)
        if session.is_last_of_quarter:
            output = self._promote(day, due, W2P, quarter_of(session.date), done)
        self._rebalance(day, session, done)
        self._follow_pools(day)
        self._books.set_eligible(output.promotion_eligible)
        self._memory.last_state = day.snapshot.current_state
        self._kept(lambda: self._books.record(day.at))
        return self._result(session, done, (), output)

    def evaluate(self, day: Day) -> CapitalEngineOutput:
        """Return what the capital engine says within a session, and lock at once what it wants locked."""
        self._alerts = []
        session = self._schedule.info(day.date)._replace(
            is_first_of_week=False, is_first_of_month=False, is_last_of_quarter=False
        )
        output = self._evaluated(day, session)
        return self._evaluated(day, session) if self._lock(output, day) else output

    # What others tell

    def on_safety(self, state: SafetyState, at: datetime) -> None:
        """Follow the state of Safety: FAIL pauses all pools, LOCKDOWN locks them (FS085)."""
        for pool in POOLS:
            if state is SafetyState.LOCKDOWN:
                if "FS085" not in (self._books.snapshot(at)[pool].lock_reason or ""):
                    self._lock_pool(pool, "FS085", "LOCKDOWN", at)
            elif state is SafetyState.FAIL:
                self._books.pause(pool, PauseCause.SAFETY)
            else:
                self._books.resume(pool, PauseCause.SAFETY)

    def release_lockdown(self, operator: str, reason: str, at: datetime) -> tuple[Pool, ...]:
        """Unlock the pools that only a LOCKDOWN has locked; they wait for reconciliation. Return which."""
        shown = self._books.snapshot(at)
        freed = tuple(
            pool for pool in POOLS if shown[pool].lock_code == "FS085" and ";" not in (shown[pool].lock_reason or "")
        )
        for pool in freed:
            self._books.unlock(pool, operator, reason, at)
        return freed

    def reconciled(self, findings: tuple[CapitalAlert, ...]) -> bool:
        """Take in a reconciliation; without findings the pools that waited for it go on, FS084 is resolved."""
        if findings:
            self._memory.open_codes |= {one.code for one in findings} & _STOPS
            return False
        self._memory.open_codes.discard("FS084")
        for pool in POOLS:
            self._books.resume(pool, PauseCause.START)
        return True

    def resolve(self, code: str, operator: str, reason: str) -> bool:
        """Close an open code by an operator's decision; False if it is not open."""
        if not operator.strip() or not reason.strip():
            raise UsageError(
                found=say("unlock_who", operator=operator, reason=reason),
                expected=say("unlock_who_expected"),
                hint=say("unlock_who_hint"),
            )
        is_open = code in self._memory.open_codes
        self._memory.open_codes.discard(code)
        return is_open

    # Parts of a day

    def _begin(self, day: Day) -> SessionInfo:
        self._alerts = []
        session = self._schedule.info(day.date)
        self._memory.age(session)
        self.on_safety(day.safety, day.at)
        is_away = any(PauseCause.STORE in self._books.causes(pool) for pool in POOLS)
        if not is_away or self._kept(lambda: self._books.record(day.at)):
            self._kept(lambda: self._books.free_leftovers(day.at))
        self._follow_pools(day)
        return session

    def _result(
        self,
        session: SessionInfo,
        done: list[CapitalTransfer],
        released: tuple[Quarantine, ...],
        output: CapitalEngineOutput | None,
    ) -> DayResult:
        return DayResult(session, tuple(done), released, tuple(self._alerts), output)

    def _follow_pools(self, day: Day) -> None:
        """Pause what is too small, and SCALP in DEFENSIVE; let go on what is not any more."""
        is_defensive = day.snapshot.current_state is OperatingState.DEFENSIVE
        for pool, one in self._books.snapshot(day.at).items():
            is_small = one.is_funded and one.total_capital < self._config.constraints[pool].min_amount
            for cause, holds in (
                (PauseCause.BELOW_MIN, is_small),
                (PauseCause.DEFENSIVE, pool == "SCALP" and is_defensive),
            ):
                (self._books.pause if holds else self._books.resume)(pool, cause)

    def _share_deposits(self, day: Day) -> None:
        """Give deposits to the pools by target: at the close, as all capital moves."""
        if self._books.unallocated > 0 and day.safety < SafetyState.FAIL and not self._memory.open_codes:
            self._kept(lambda: self._books.allocate(self._config.targets[day.snapshot.current_state], day.at))

    def _take_close(self, day: Day, session: SessionInfo, findings: tuple[CapitalAlert, ...]) -> None:
        shown = self._books.snapshot(day.at)
        self._metrics.close(session.date, shown)
        now = DaySnapshot(
            day.total_equity,
            self._books.equity,
            {pool: one.unit_price for pool, one in shown.items() if one.units},
        )
        mismatches = self._books.verify() + findings
        found = mismatches + abnormal(self._memory.last_close, now, mismatches, self._config)
        self._memory.last_close = now
        self._memory.open_codes |= {one.code for one in found} & _STOPS
        for one in found:
            self._alerts.append(one)
            self._lock_for(one, day)
        measured = self._metrics.metrics()
        values = {
            "P>W:MDD": _value(measured.portfolio_mdd),
            "W>S:MDD": _value(measured.swing_mdd),
            "W>S:LOSSES": _value(measured.swing_consecutive_losses),
        }
        self._memory.episodes = after_close(self._memory.episodes, values, self._config)

    def _lock_for(self, found: CapitalAlert, day: Day) -> None:
        """Lock the pool that a finding is about; a mismatch that is nobody's locks them all."""
        pools = POOLS if found.pool_id is None else (found.pool_id,)
        if found.code == "FS084" or (found.code in ("FS081", "FS083") and found.pool_id is not None):
            for pool in pools:
                self._lock_pool(pool, found.code, found.message, day.at)

    def _lock_pool(self, pool: Pool, code: str, reason: str, at: datetime) -> None:
        self._kept(lambda: self._books.lock(pool, code, reason, at))

    def _evaluated(self, day: Day, session: SessionInfo) -> CapitalEngineOutput:
        shown = self._books.snapshot(day.at)
        output = self._evaluate(
            CapitalEngineInput(
                as_of=day.at,
                session=session,
                total_equity=day.total_equity,
                operating_state=day.snapshot.current_state,
                safety_state=day.safety,
                pool_states=shown,
                performance_metrics=self._metrics.metrics(),
                transfers_today=self._books.committed_on(day.date),
                used_keys=self._memory.recent_keys(self._books, day.date),
                episodes=dict(self._memory.episodes),
                gates=FlowGates(
                    promotion_allowed=day.promotion_allowed and not self._desk.is_active,
                    rebalancing_enabled=day.snapshot.effective_properties.rebalancing_enabled,
                    is_state_defensive=day.snapshot.current_state is OperatingState.DEFENSIVE,
                    sessions_since_release=day.sessions_since_release,
                    open_codes=frozenset(self._memory.open_codes),
                ),
                config=self._config,
                last_targets=self._memory.targets,
            )
        )
        self._memory.targets = dict(output.targets)
        self._books.snapshot(day.at, output.targets)
        self.progress = output.promotion_progress
        known = set(self._alerts)
        self._alerts += [one for one in output.capital_alerts if one not in known]
        self._follow_criteria(output, shown)
        return output

    def _follow_criteria(self, output: CapitalEngineOutput, shown: Mapping[Pool, Any]) -> None:
        for pair, source in _SOURCE.items():
            if shown[source].pool_state is not PoolState.LOCKED:  # a locked pool keeps its place
                is_met = output.promotion_eligible[source]
                self._promotions[pair] = PromotionState.PROMOTION_READY if is_met else PromotionState.ACCUMULATING

    def _lock(self, output: CapitalEngineOutput, day: Day) -> bool:
        for order in output.locks:
            self._lock_pool(order.pool_id, order.code, order.reason, day.at)
        return bool(output.locks)

    def _end_quarantines(self, day: Day, session: SessionInfo) -> tuple[Quarantine, ...]:
        """Free what has rested long enough, if Safety, the state and the pool's own drawdown permit."""
        if day.safety is not SafetyState.NORMAL or day.snapshot.current_state is OperatingState.DEFENSIVE:
            return ()
        freed = []
        shown = self._books.snapshot(day.at)
        for rest in self._books.quarantines:
            age = session.number - self._schedule.info(rest.since).number
            one = shown[rest.pool]
            is_well = one.unit_price > one.peak_unit_price * (1 - self._config.demotion.p2w_trigger_mdd)
            if age < self._config.demotion.quarantine_days or not is_well or not self._books.takes(rest.pool):
                continue
            if self._release(rest, day.at):
                freed.append(rest)
        return tuple(freed)

    def _release(self, rest: Quarantine, at: datetime) -> bool:
        return self._kept(lambda: self._books.release_quarantine(rest.transfer_id, at))

    # Transfers

    def _commit(self, proposal: TransferProposal, day: Day, done: list[CapitalTransfer]) -> CapitalTransfer | None:
        """Carry a transfer out; None, with a finding, if it has to wait."""
        occasion = Occasion(day.at, day.date, day.snapshot.current_state, day.safety)
        try:
            transfer = self._books.commit(proposal, occasion)
        except UsageError as refusal:
            self._defer(proposal.transfer_key, proposal.from_pool, str(refusal.found))
            return None
        except EngineFault as fault:
            self._store_failed(fault)
            return None
        done.append(transfer)
        return transfer

    def _demote(self, proposal: TransferProposal, day: Day, done: list[CapitalTransfer]) -> None:
        if self._commit(proposal, day, done) is None:
            return
        self._memory.episodes = after_transfer(self._memory.episodes, proposal, day.date)
        if is_complete(proposal):  # until then what fired stands: the rest follows in the next sessions
            if proposal.from_pool == "SWING":
                self._metrics.reset_losses("SWING")
            self._books.rebase(proposal.from_pool)
            self._metrics.follow(self._books.snapshot(day.at))

    def _demote_by_state(self, day: Day, done: list[CapitalTransfer]) -> None:
        """After a change to AGGRESSIVE: bring PORTFOLIO down to its target, a part each day (A-11)."""
        state = day.snapshot.current_state
        if state is not OperatingState.AGGRESSIVE or not self._config.demotion.is_enabled:
            self._memory.is_lowering = False
            return
        if self._memory.last_state not in (None, state):
            self._memory.is_lowering = True
        if not self._memory.is_lowering or day.safety is not SafetyState.NORMAL or self._memory.open_codes:
            return
        totals = {pool: self._books.total(pool) for pool in POOLS}
        whole = sum(totals.values())
        excess = totals["PORTFOLIO"] - floor_part(whole, self._config.targets[state]["PORTFOLIO"])
        if excess < self._config.min_transfer_amount:
            self._memory.is_lowering = False
            return
        amount = min(excess, *self._caps(totals, day))
        if amount < self._config.min_transfer_amount or self._has_moved("PORTFOLIO", "SWING", day):
            return
        self._commit(
            TransferProposal(
                "PORTFOLIO",
                "SWING",
                amount,
                TransferKind.DEMOTION,
                TransferReason.STATE_TARGET_CHANGE,
                f"P>W:STATE:{day.date}",
                (("excess", str(excess)), ("state", state)),
            ),
            day,
            done,
        )

    def _caps(self, totals: Mapping[Pool, int], day: Day) -> tuple[int, ...]:
        """Return what bounds a move from PORTFOLIO to SWING: free money, both bands, the rest of the day's limit."""
        whole = sum(totals.values())
        own, other = self._config.constraints["PORTFOLIO"], self._config.constraints["SWING"]
        moved = sum(one.proposal.amount for one in self._books.committed_on(day.date))
        return (
            self._books.available("PORTFOLIO"),
            totals["PORTFOLIO"] - max(own.min_amount, ceil_part(whole, own.min_pct)),
            floor_part(whole, other.max_pct) - totals["SWING"],
            floor_part(max(0, day.total_equity), self._config.daily_move_limit_pct) - moved,
        )

    def _promote(
        self, day: Day, session: SessionInfo, pair: str, period: str, done: list[CapitalTransfer]
    ) -> CapitalEngineOutput:
        """Review one pair at its time; after a failure again, at most so often in one period."""
        most = self._config.max_retries_per_period
        while True:
            output = self._evaluated(day, session)
            wish = next((one for one in output.pending_promotions if one.from_pool == _SOURCE[pair]), None)
            if wish is None:
                # A review that found everything in order but Safety or the state may be made up for in the period.
                is_waiting = output.promotion_eligible[_SOURCE[pair]] and day.safety is not SafetyState.NORMAL
                if not is_waiting:
                    self._memory.periods[pair] = period
                return output
            self._promotions[pair] = PromotionState.TRANSFERRING
            if self._commit(wish, day, done) is not None:
                self._promotions[pair] = PromotionState.COMPLETED
                self._memory.periods[pair] = period
                return self._evaluated(day, session)  # COMPLETED goes on to ACCUMULATING at once
            self._promotions[pair] = PromotionState.PROMOTION_READY
            if self._memory.tried(pair, period) >= most:
                self._memory.periods[pair] = period
                return output
            if any(PauseCause.STORE in self._books.causes(pool) for pool in POOLS):
                return output  # what cannot be kept now is tried at the next slot

    def _missed_quarter_end(self, session: SessionInfo) -> SessionInfo | None:
        """Return the last session of the quarter before, if its review is still to be made up for."""
        if session.number == 0 or not session.recent or quarter_of(session.recent[0]) == quarter_of(session.date):
            return None
        if self._memory.periods.get(W2P) == quarter_of(session.recent[0]):
            return None
        return self._schedule.info(session.recent[0])._replace(is_first_of_week=False, is_first_of_month=False)

    def _period(self, day: date) -> str:
        return week_of(day) if self._config.s2w.frequency == "weekly" else month_of(day)

    def _has_moved(self, source: Pool, target: Pool, day: Day) -> bool:
        pair = {source, target}
        return any({one.proposal.from_pool, one.proposal.to_pool} == pair for one in self._books.committed_on(day.date))

    def _rebalance(self, day: Day, session: SessionInfo, done: list[CapitalTransfer]) -> None:
        shown = self._books.snapshot(day.at)
        is_first = self._config.initial_mode == "SCALP_FIRST" and not any(
            shown[pool].is_funded for pool in ("SWING", "PORTFOLIO")
        )
        if is_first:
            return
        alerts = self._desk.run(
            day,
            session,
            self._memory.last_state,
            lambda proposal: self._commit(proposal, day, done),
            is_stopped=bool(self._memory.open_codes),
        )
        self._alerts += alerts

    # Failures

    def _defer(self, key: str, pool: Pool, reason: str) -> None:
        values = (("key", key), ("reason", reason))
        self._alerts.append(CapitalAlert("GR056", pool, "INFO", say("deferred", key=key, reason=reason), values))

    def _store_failed(self, fault: EngineFault) -> None:
        """Tell once, and pause: no entries while records cannot be kept."""
        alert = CapitalAlert(fault.code, None, "FAIL", fault.found)
        if alert not in self._alerts:
            self._alerts.append(alert)
        if fault.code == "FS086":
            for pool in POOLS:
                self._books.pause(pool, PauseCause.STORE)

    def _kept(self, do: Callable[[], object]) -> bool:
        """Do something that writes; a record that cannot be kept pauses the pools, one that can lets them go on."""
        try:
            do()
        except EngineFault as fault:
            self._store_failed(fault)
            return False
        for pool in POOLS:
            self._books.resume(pool, PauseCause.STORE)
        return True


def _value(metric: MetricValue | None) -> Decimal | None:
    return None if metric is None else metric.value
