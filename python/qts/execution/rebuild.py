"""An execution of before a restart, put together again from what the journal knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.execution.execution import Child, Execution, split_id_of
from qts.execution.records import execution_side
from qts.execution.states import ChildState

if TYPE_CHECKING:
    from qts.execution.context import Context
    from qts.execution.records import ChildSnapshot, ExecutionSnapshot
    from qts.execution.unknown import UnknownOrders

_UNPROVEN: Final = frozenset({"CREATED", "VALIDATED", "SUBMITTED", "UNKNOWN"})
"""An order that was about to leave may have left."""
_STATES: Final = {
    "FILLED": ChildState.FILLED,
    "CANCELLED": ChildState.CANCELLED,
    "EXPIRED": ChildState.CANCELLED,
    "REJECTED": ChildState.REJECTED,
}


def rebuilt(snapshot: ExecutionSnapshot, now_ns: int) -> Execution:
    """Return the execution of a snapshot. Its children are PENDING until the gateway has been asked about them."""
    decision = snapshot.decision
    execution = Execution(decision, now_ns)
    execution.order = decision._replace(qty=snapshot.qty) if snapshot.qty else decision
    execution.state = snapshot.state
    execution.seq = snapshot.seq
    execution.started_ns = snapshot.started_ns
    execution.prechecked_ns = now_ns
    execution.hold_id = snapshot.hold_id
    execution.lease = snapshot.lease
    execution.strategy = snapshot.strategy
    execution.exit_running = not execution.is_entry
    execution.escape_reason = snapshot.escape_reason
    execution.escape_mode = snapshot.escape_mode
    execution.escape_attempts = snapshot.escape_attempts
    execution.codes = list(snapshot.codes)
    execution.children = [_child(execution, one) for one in snapshot.children]
    execution.pending = len(execution.children)
    _count_fills(execution, snapshot)
    return execution


def settle(execution: Execution, context: Context, unknown: UnknownOrders, now_ns: int) -> None:
    """Ask the gateway how each order stands, and take it for that; LookupError if it was not told of one."""
    for child in execution.children:
        if not child.order_id:
            continue
        context.orders[child.order_id] = (execution, child)
        execution.order_ids.append(child.order_id)
        state, _, _, _ = context.gateway.order_state(child.order_id)
        if state in _UNPROVEN:
            unknown.begin(execution, child, now_ns, restored=True)
            continue
        child.was_live = child.was_live or state != "REJECTED"
        execution.is_known = execution.is_known or child.was_live
        child.live_ns = now_ns
        execution.mark(child, _STATES.get(state, child.live_state))


def _child(execution: Execution, known: ChildSnapshot) -> Child:
    child = Child(
        known.sequence, known.qty, known.price, known.scheduled_ns, known.max_wait_ms, is_escape=known.is_escape
    )
    child.sent_qty = known.sent_qty
    child.generation = known.generation
    child.order_id = known.order_id
    child.split_id = split_id_of(execution.execution_id, known.sequence, known.generation)
    child.sent_ns = known.sent_ns
    child.was_live = known.was_live
    if known.is_escape:
        execution.liquidation = child
    return child


def _count_fills(execution: Execution, snapshot: ExecutionSnapshot) -> None:
    by_order = {child.order_id: child for child in execution.children if child.order_id}
    for fill in snapshot.fills:
        child = by_order.get(fill.order_id)
        side = execution.decision.side if child is None else execution_side(execution, child)
        execution.count(child, fill, side)
        if child is not None:
            child.was_live = True
