"""What the stages of all executions share: the gateway, the books, the list of commands, and how a state changes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from qts.execution.contracts import EscapeMode, EscapeReason, StageLatency, State
from qts.execution.interfaces import Cancel, Modify, Query, Send
from qts.execution.records import event_record, execution_side, intent_record, state_record
from qts.execution.states import ADJUSTING, ESCAPING, MONITORING, ChildState, may_go
from qts.execution.tally import CodeTally

if TYPE_CHECKING:
    from collections.abc import Callable

    from qts.execution.config import ExecutionConfig
    from qts.execution.contracts import ActionClass
    from qts.execution.execution import Child, Execution
    from qts.execution.interfaces import CodeSink, Command, ExecStance, ExecutionJournal, GatewayPort, MarketView

LATE_ORDERS: Final = 4_096
"""Orders of finished executions that are still remembered: a fill of one of them is late, of any other an orphan."""


class Context:
    """One account's executions, and the world as they see it."""

    def __init__(
        self,
        *,
        gateway: GatewayPort,
        market: MarketView,
        stance: Callable[[], ExecStance],
        link: Callable[[], tuple[bool, bool]],
        journal: ExecutionJournal,
        codes: CodeSink,
        config: ExecutionConfig,
        timer: Callable[[], int],
    ) -> None:
        self.gateway = gateway
        self.market = market
        self.stance = stance
        self.link = link
        self.config = config
        self.timer = timer
        self.total_timeout_ns = config.total_timeout_ns
        self.tally = CodeTally()
        self.commands: list[Command] = []
        self.live: dict[str, Execution] = {}
        self.orders: dict[int, tuple[Execution, Child]] = {}
        """Every order of a live execution, earlier attempts too."""
        self.late: OrderedDict[int, tuple[str, str, bool]] = OrderedDict()
        """Orders of executions that are over: execution id, split id, and whether the broker was known to have it."""
        self.escape: Callable[[Execution, EscapeReason, EscapeMode, int, str], None] = _no_escape
        """Makes an execution escape; the pipeline puts stage 6 here."""
        self._journal = journal
        self._codes = codes
        self._writes = bool(getattr(journal, "wants_records", True))

    def go(
        self, execution: Execution, after: State, now_ns: int, why: str = "", more: dict[str, object] | None = None
    ) -> bool:
        """Change the state of an execution; False, and an escape, if there is no such transition.

        `more` goes into the record: what came of it.
        """
        before = execution.state
        if not may_go(before, after):
            self._forbidden(execution, after, now_ns)
            return False
        if self._writes:
            record = state_record(execution, after, why, now_ns)
            if more is not None:
                record.update(more)
            self._journal.append("EXECUTION_STATE", record)
        if before is MONITORING:
            execution.monitor_used_ns += now_ns - execution.entered_ns
        elif before is ADJUSTING:
            execution.adjust_used_ns += now_ns - execution.entered_ns
        execution.seq += 1
        execution.state = after
        execution.entered_ns = now_ns
        return True

    def note_escape(self, execution: Execution, now_ns: int, why: str) -> None:
        """Journal that an escape goes further; the state stays."""
        if self._writes:
            self._journal.append("EXECUTION_STATE", state_record(execution, ESCAPING, why, now_ns))
        execution.seq += 1

    def _forbidden(self, execution: Execution, after: State, now_ns: int) -> None:
        """A transition that does not exist is a fault of this program: the execution escapes, and the fault is told."""
        what = f"{execution.execution_id}: internal error, no transition {execution.state} -> {after}"
        self.tell(execution, "FS092", what, effect="FAIL")
        if execution.state is not ESCAPING and may_go(execution.state, ESCAPING):
            self.escape(execution, EscapeReason.INTERNAL, EscapeMode.CANCEL_ONLY, now_ns, f"no transition to {after}")

    def tell(self, execution: Execution | None, code: str, message: str, *, effect: str = "") -> None:
        """Report a code, and keep it with the execution that it is about."""
        if execution is not None and code not in execution.codes:
            execution.codes.append(code)
        self._codes.report(code, message, effect=effect)

    def took(self, execution: Execution, stage: str, since: int, now_ns: int, error: str = "") -> None:
        """Note the own time that a stage took; `since` is what `timer` said at its begin."""
        execution.latencies.append(StageLatency(stage, self.timer() - since, now_ns, not error, error))

    def event(self, execution: Execution, child: Child, event: str, now_ns: int, **more: str) -> None:
        """Journal an answer to an order."""
        if self._writes:
            record = event_record(execution.execution_id, child.split_id, child.order_id, event, now_ns, **more)
            self._journal.append("ORDER_EVENT", record)

    def late_event(self, order_id: int, event: str, now_ns: int, *, text: str = "", broker_no: str = "") -> None:
        """Journal an answer to an order whose execution is over, or that has been sent anew since.

        Of an order that nobody here sent there is no record.
        """
        if not self._writes:
            return
        if order_id in self.late:
            execution_id, split_id, _ = self.late[order_id]
        elif order_id in self.orders:
            execution, child = self.orders[order_id]
            execution_id, split_id = execution.execution_id, child.split_id
        else:
            return
        record = event_record(execution_id, split_id, order_id, event, now_ns, text=text, broker_no=broker_no)
        self._journal.append("ORDER_EVENT", record)

    def place(self, execution: Execution, child: Child, action: ActionClass, limit: int, now_ns: int) -> None:
        """Take a child through the gateway and hand it out; OrderRefused if a gate says no."""
        decision = execution.decision
        permit = self.gateway.request(
            decision.instrument,
            decision.pool_id,
            execution_side(execution, child),
            child.kind,
            "DAY",
            limit,
            child.remaining,
            action=action,
            now_ns=now_ns,
            hold_id=0 if child.is_escape else execution.hold_id,
            lease=execution.lease,
        )
        child.order_id = permit.order_id
        child.price = limit
        child.sent_ns = now_ns
        child.sent_qty = child.qty
        self.orders[child.order_id] = (execution, child)
        execution.order_ids.append(child.order_id)
        execution.mark(child, ChildState.SENDING)
        seq = self._intend(execution, child, "PLACE", limit, child.qty, now_ns)
        self.commands.append(Send(execution.execution_id, child.split_id, child.order_id, permit, seq))

    def amend(self, execution: Execution, child: Child, price: int, qty: int, now_ns: int) -> None:
        """Ask for a new price and whole quantity; OrderRefused if a gate says no."""
        action: ActionClass = "ENTRY" if execution.is_entry else "RUNNING_EXIT"
        permit = self.gateway.request_amend(child.order_id, price, qty, action=action, now_ns=now_ns)
        child.amend_price = price
        child.amend_qty = qty
        execution.mark(child, ChildState.REPLACING)
        seq = self._intend(execution, child, "AMEND", price, qty, now_ns)
        self.commands.append(Modify(execution.execution_id, child.split_id, child.order_id, permit, seq))

    def cancel(self, execution: Execution, child: Child, now_ns: int) -> None:
        """Cancel a child; OrderRefused if the rate budget says wait. A cancel waits for no disk."""
        permit = self.gateway.request_cancel(child.order_id, now_ns=now_ns)
        child.cancel_asked_ns = now_ns
        execution.mark(child, ChildState.CANCELLING)
        self._intend(execution, child, "CANCEL", child.price, child.qty, now_ns)
        self.commands.append(Cancel(execution.execution_id, child.split_id, child.order_id, permit, 0))

    def query(self, reason: str) -> None:
        """Ask for the broker's orders of the day, once a batch."""
        commands = self.commands
        if commands and isinstance(commands[-1], Query):
            return
        commands.append(Query(reason))

    def forget_orders(self, execution: Execution) -> None:
        """Move the orders of an execution that is over to those whose fills are late."""
        late, name = self.late, execution.execution_id
        for order_id in execution.order_ids:
            child = self.orders.pop(order_id)[1]
            late[order_id] = (name, child.split_id, child.was_live and child.order_id == order_id)
        while len(late) > LATE_ORDERS:
            late.popitem(last=False)

    def _intend(self, execution: Execution, child: Child, action: str, limit: int, qty: int, now_ns: int) -> int:
        if not self._writes:
            return 0
        return self._journal.append(
            "ORDER_INTENT", intent_record(execution, child, action, child.kind, "DAY", limit, qty, now_ns)
        )


def _no_escape(execution: Execution, reason: EscapeReason, mode: EscapeMode, now_ns: int, why: str) -> None:
    raise NotImplementedError(f"nobody makes {execution.execution_id} escape")  # a context without a pipeline
