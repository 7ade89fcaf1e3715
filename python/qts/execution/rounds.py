"""The state ADJUSTING: rounds of stage 5, one amendment in flight per child, and the answers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts._core import OrderRefused
from qts.execution.adjust import WorkingOrder
from qts.execution.contracts import AdjustAction, EscapeMode, EscapeReason, State
from qts.execution.states import ADJUSTING, MONITORING, ChildState

if TYPE_CHECKING:
    from qts.broker.asynchronous import RejectKind
    from qts.execution.adjust import AdaptiveAdjust
    from qts.execution.cancels import Cancels
    from qts.execution.context import Context
    from qts.execution.contracts import Adjustment
    from qts.execution.execution import Child, Execution
    from qts.execution.send import AsyncSend

_URGENT: Final = frozenset({"PROTECTIVE_EXIT", "TRUSTED_EXIT", "KILL_PLAN"})
E6: Final = 1_000_000


class AdjustRounds:
    """Carries out what stage 5 proposes."""

    __slots__ = ("_adjust", "_cancels", "_context", "_send")

    def __init__(self, context: Context, adjust: AdaptiveAdjust, send: AsyncSend, cancels: Cancels) -> None:
        self._context = context
        self._adjust = adjust
        self._send = send
        self._cancels = cancels

    def may_begin(self, execution: Execution, now_ns: int, *, is_spent: bool = False) -> bool:
        """Whether a round may begin now; if one may later, the execution is woken then."""
        config = self._context.config
        if execution.wait_only or execution.rounds >= config.max_adjustment_rounds:
            return False
        if now_ns > execution.decision.deadline_ns or execution.is_spent:
            return False
        safety = self._context.stance().safety
        if safety == "LOCKDOWN" or (safety == "FAIL" and execution.is_entry):
            return False
        if is_spent:
            return any(ChildState.SENT <= one.state <= ChildState.PARTIAL for one in execution.children)
        if now_ns < execution.next_round_ns:
            execution.wake(execution.next_round_ns)
            return False
        return True

    def run(self, execution: Execution, now_ns: int) -> State | None:
        """Return the state to go to, or None while an answer is out or a round is waited for."""
        context = self._context
        config = context.config
        if not execution.out and not execution.pending:
            return MONITORING
        over_ns = execution.entered_ns + config.adjusting_timeout_ns - execution.adjust_used_ns
        if now_ns >= over_ns:
            self._give_up(execution, now_ns, "adjusting budget spent")
            return None
        execution.wake(over_ns)
        self._cancels.step(execution, now_ns)
        if any(one.state == ChildState.REPLACING for one in execution.children):
            return None
        if execution.round_begun_ns < execution.entered_ns:
            self._round(execution, now_ns)
            if execution.state is not ADJUSTING:
                return None
            if any(one.state == ChildState.REPLACING for one in execution.children):
                return None
        is_spent = execution.monitor_used_ns >= config.monitoring_timeout_ns
        if not is_spent or execution.filled or not execution.out:
            return MONITORING
        return self._after_the_budget(execution, now_ns)

    def _after_the_budget(self, execution: Execution, now_ns: int) -> State | None:
        """Nothing is filled and the monitor's time is spent: more rounds are tried here, then it is given up."""
        if now_ns < execution.next_round_ns:
            execution.wake(execution.next_round_ns)
            return None
        if not self.may_begin(execution, now_ns, is_spent=True):
            self._give_up(execution, now_ns, "rounds and monitor budget spent")
            return None
        self._round(execution, now_ns)
        execution.wake(execution.next_round_ns)
        return None

    def _give_up(self, execution: Execution, now_ns: int, why: str) -> None:
        mode = self._context.config.time_limit_mode_entry if execution.is_entry else EscapeMode.FLATTEN_EXECUTION
        self._context.escape(execution, EscapeReason.TIME_LIMIT_EXCEEDED, mode, now_ns, why)

    def _round(self, execution: Execution, now_ns: int) -> None:
        """Ask stage 5 about every child that waits, and carry out the answers."""
        context = self._context
        since = context.timer()
        execution.round_begun_ns = now_ns
        execution.next_round_ns = now_ns + context.config.adjust_interval_ns
        if self._adjust.is_silent(execution.decision.instrument, now_ns, context.market):
            self._give_up(execution, now_ns, "no quotes")
            return
        moved = False
        for child in execution.children:
            if not ChildState.SENT <= child.state <= ChildState.PARTIAL or child.cancel_wanted:
                continue
            if now_ns >= child.live_ns + child.max_wait_ns:
                moved |= self._adjust_child(execution, child, now_ns)
        execution.rounds += moved
        context.took(execution, "ADJUSTING", since, now_ns)

    def _adjust_child(self, execution: Execution, child: Child, now_ns: int) -> bool:
        """Carry out one proposal; True if an amendment is on its way."""
        decision = execution.order
        view = WorkingOrder(
            child.order_id, 0 if child.is_market else child.price, child.qty, child.filled, execution.rounds
        )
        paid_e6 = execution.amount * E6 // execution.filled if execution.filled else None
        proposal = self._adjust.propose(
            decision,
            view,
            now_ns,
            self._context.market,
            avg_fill_price_e6=paid_e6,
            urgent=decision.action in _URGENT,
        )
        self.tell_slippage(execution, proposal.codes, now_ns)
        if proposal.action is AdjustAction.WAIT:
            return False
        if proposal.action is AdjustAction.GIVE_UP:
            execution.reason = "NO_PRICE_WITHIN_CAP"
            self._end(execution, now_ns)
            return False
        return self._amend(execution, child, proposal, now_ns)

    def _amend(self, execution: Execution, child: Child, proposal: Adjustment, now_ns: int) -> bool:
        if proposal.new_qty <= child.filled:
            self._cancels.want_one(execution, child, now_ns)
            return False
        if proposal.new_price <= 0:
            return False  # a MARKET order cannot be made of a limit order by amending it
        try:
            self._context.amend(execution, child, proposal.new_price, proposal.new_qty, now_ns)
        except OrderRefused as refused:
            execution.next_round_ns = max(execution.next_round_ns, int(refused.args[1] or 0))
            return False
        execution.wake(now_ns + self._context.config.ack_timeout_ns)
        return True

    def tell_slippage(self, execution: Execution, codes: tuple[str, ...], now_ns: int) -> None:
        """Report GR063 and FS094, each once: an entry is improved no more, with FS094 it ends; an exit goes on."""
        for code in codes:
            execution.wait_only = execution.is_entry
            if code in execution.codes:
                continue
            decision = execution.decision
            filled = execution.filled
            at = execution.amount // filled if filled else 0
            self._context.tell(
                execution, code, f"{decision.symbol}: decided at {decision.decision_price}, {filled} filled at {at}"
            )
            if code == "FS094" and execution.is_entry:
                self._context.tally.slipped()
                self._end(execution, now_ns)

    def _end(self, execution: Execution, now_ns: int) -> None:
        """An entry takes nothing more: what has not left stays, what lives is cancelled."""
        self._send.drop_unsent(execution)
        self._cancels.want(execution, now_ns)

    # ------------------------------------------------------------------------------------------------ answers

    def amended(self, execution: Execution, child: Child) -> None:
        """The amendment went through: the broker's newest number is the gateway's to know."""
        if child.amend_qty:
            child.price = child.amend_price
            child.qty = child.amend_qty
            child.amend_qty = 0
        if child.filled >= child.qty:
            execution.mark(child, ChildState.FILLED)
        elif child.state == ChildState.REPLACING:
            execution.mark(child, child.live_state)

    def refused(self, execution: Execution, child: Child, kind: RejectKind) -> None:
        """It stays as it was. If there was nothing left to amend, a list says how it ended."""
        child.amend_qty = 0
        if child.state == ChildState.REPLACING:
            execution.mark(child, child.live_state)
        if kind == "ALREADY_DONE":
            self._context.query("AMEND_REFUSED")
