"""Act: send what was decided, follow it to its end, cancel what has waited too long.

Judges no risk policy. What SCALP decides is handed to executions, which take their time; Act does not wait for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from qts.broker.contracts import OrderRequest
from qts.codes import EngineFault
from qts.engines.faults import one_line
from qts.pipeline.contracts import StageError, is_entry
from qts.pipeline.orders import OrderBook, WorkingOrder
from qts.strategy.contracts import EXIT_PHASES, REDUCING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from qts.broker.interfaces import BrokerPort
    from qts.engines.health import EngineHealth
    from qts.execution.contracts import ActionClass
    from qts.pipeline.arbitration import FlipGuard
    from qts.pipeline.contracts import Cycle, OrderDecision, Stance, Switches
    from qts.pipeline.interfaces import ExecutionPort, SessionPort


class ActReport(NamedTuple):
    """What became of a cycle's decisions."""

    sent: int
    refused: tuple[str, ...]
    """Why an order was not taken, one entry each."""
    errors: tuple[StageError, ...]


class Act:
    """Sends one order per decision and never the same one twice: a failed send is not repeated."""

    def __init__(
        self,
        broker: BrokerPort,
        orders: OrderBook,
        flips: FlipGuard,
        sessions: SessionPort,
        stance: Callable[[], Stance],
        health: EngineHealth,
        executions: ExecutionPort | None = None,
    ) -> None:
        """Wire it. Without `executions` every decision is one order."""
        self._broker = broker
        self._executions = executions
        self._health = health
        self._stance = stance
        self._orders = orders
        self._flips = flips
        self._sessions = sessions
        self._uncancelled: dict[int, StageError] = {}

    def run(self, cycle: Cycle, decisions: Iterable[OrderDecision], switches: Switches, stance: Stance) -> ActReport:
        """Send every decision whose action is not NONE, and follow the orders that work already.

        `switches` and `stance` are those that the decisions were taken on. What both states say now is asked before
        each order: an operator or the core may have changed it meanwhile.
        """
        sent = 0
        refused: list[str] = []
        errors: list[StageError] = []
        for decision in decisions:
            if decision.action == "NONE":
                continue
            blocked = blocked_by(decision, switches, stance, self._stance(), cycle.ts_ns)
            if blocked:
                refused.append(blocked)
                continue
            try:
                refusal = self._send(cycle, decision)
            except EngineFault as fault:
                message = f"{decision.side} {decision.terms.symbol}: {fault.found}"
                errors.append(StageError(fault.code, "act", message, critical=False))
                continue
            except Exception as error:
                message = f"{decision.side} {decision.terms.symbol}: {one_line(error)}"
                errors.append(StageError("FS040", "act", message, critical=False))
                continue
            if refusal:
                refused.append(refusal)
            else:
                sent += 1
        if cycle.cause != "EVENT":
            self.follow(cycle)
            errors += self._uncancelled.values()
            self._uncancelled.clear()
        return ActReport(sent, tuple(refused), tuple(errors))

    def follow(self, cycle: Cycle) -> None:
        """Cancel orders past their time or outside trading, and entries that may no longer be made."""
        if self._executions is not None:
            self._executions.on_stance(cycle.ts_ns)
        stance = self._stance()
        for order in tuple(self._orders):
            if order.cancel_sent or order.execution_id:
                continue
            request = order.request
            phase = self._sessions.phase(request.instrument, cycle.ts_ns)
            is_late_scalp_entry = phase == "CLOSE_GUARD" and request.track == "SCALP" and request.side == "BUY"
            is_forbidden = request.side == "BUY" and not stance.lets_buy(request.track, order.decision.purpose)
            if cycle.ts_ns >= order.deadline_ns or phase not in EXIT_PHASES or is_late_scalp_entry or is_forbidden:
                self._cancel(order)

    def withdraw(self, ts_ns: int) -> None:
        """Cancel every working order but exits: what protects a position runs to its end."""
        if self._executions is not None:
            self._executions.withdraw_entries(ts_ns)
        for order in tuple(self._orders):
            if not order.is_exit and not order.cancel_sent and not order.execution_id:
                self._cancel(order)

    def _send(self, cycle: Cycle, decision: OrderDecision) -> str:
        """Send one order; return why it was not taken, empty if it was."""
        instrument = decision.terms.instrument
        if decision.side == "SELL":
            self._withdraw_purchases(instrument, cycle.ts_ns)
        executions = self._executions
        if executions is not None and decision.track == "SCALP":
            refusal = self._health.run(executions.submit, decision, cycle)
        else:
            refusal = self._place(cycle, decision)
        if refusal:
            return refusal
        if is_entry(decision.side, decision.purpose, decision.track):
            self._orders.count_entry(cycle.session_date)
        if decision.purpose in REDUCING:
            self._flips.on_exit(instrument, decision.track, cycle.ts_ns, cycle.session_date)
        return ""

    def _withdraw_purchases(self, instrument: int, ts_ns: int) -> None:
        """Cancel what buys a symbol: it would meet our own sale, or build up again what is being closed."""
        if self._executions is not None:
            self._executions.withdraw_entries(ts_ns, instrument)
        for order in tuple(self._orders):
            request = order.request
            is_purchase = request.instrument == instrument and request.side == "BUY"
            if is_purchase and not order.cancel_sent and not order.execution_id:
                self._cancel(order)

    def _place(self, cycle: Cycle, decision: OrderDecision) -> str:
        """Send a decision as one order; return why it was not taken, empty if it was."""
        terms = decision.terms
        request = OrderRequest(
            f"{decision.decision_id}-0",
            terms.instrument,
            terms.symbol,
            decision.track,
            decision.side,
            decision.qty,
            decision.order_type,
            decision.limit_price,
            decision.tif,
            "KRX",
            False,  # noqa: FBT003 - field of a contract
            action_of(decision, self._stance()),
        )
        ack = self._health.run(self._broker.place, request)
        if not ack.accepted or ack.broker_order_id is None:
            return ack.message or "not_accepted"
        self._orders.add(WorkingOrder(ack.broker_order_id, request, decision, cycle.ts_ns))
        return ""

    def _cancel(self, order: WorkingOrder) -> None:
        """Ask for the end of an order. A request that fails is made again in the next cycle and stops nothing else."""
        try:
            self._health.run(self._broker.cancel, order.order_id)
        except Exception as error:
            message = f"cancel of {order.request.side} {order.request.symbol}: {one_line(error)}"
            self._uncancelled[order.order_id] = StageError("FS040", "act", message, critical=False)
            return
        order.cancel_sent = True


def action_of(decision: OrderDecision, stance: Stance) -> ActionClass:
    """Return what the safety word is asked for before the order leaves."""
    if decision.side == "BUY":
        return "ENTRY"
    if not decision.evaluation.proposal.is_protective:
        return "STRATEGY_EXIT"
    return "PROTECTIVE_EXIT" if stance.trusted_age_ns is None else "TRUSTED_EXIT"


def blocked_by(decision: OrderDecision, switches: Switches, then: Stance, now: Stance, ts_ns: int) -> str:
    """Return the code of the execution gate that refuses the order, empty if none does. The first hit wins.

    Switches stop entries and strategies; an exit that protects asks the safety state alone.

    Args:
        decision: the order.
        switches: what is switched off.
        then: what both states let orders do when it was decided.
        now: the same at this moment.
        ts_ns: this moment.
    """
    if not decision.terms.symbol:
        return "G_EXE_SYMBOL_EMPTY"
    if decision.qty <= 0:
        return "G_EXE_QTY_NONPOSITIVE"
    if decision.evaluation.proposal.is_protective:
        is_stale = now.trusted_age_ns is not None and ts_ns - decision.ref_ts_ns > now.trusted_age_ns
        return "" if now.may_protect and not is_stale else "G_EXE_STATE"
    if switches.trading_enabled is not True:
        return "G_EXE_TRADING_DISABLED"
    if switches.kill_switch:
        return "G_EXE_KILLSWITCH_ON"
    if not (now.may_exit if decision.side == "SELL" else now.may_enter):
        return "G_EXE_STATE"
    is_purchase = decision.side == "BUY"
    if is_purchase and (not now.lets_buy(decision.track, decision.purpose) or now.is_safer_than(then)):
        return "STATE_CHANGED_BEFORE_ACT"
    return ""
