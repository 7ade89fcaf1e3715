"""What an execution writes into the journal, and what can be made of it again after a restart.

Records are JSON objects; times are UTC nanoseconds, prices and quantities in the instrument's units.

`EXECUTION_STATE`, one a transition, appended before it takes effect:

| key | in | meaning |
|---|---|---|
| execution_id, seq, before, after, ts_ns, why | always | `seq` counts the transitions of the execution from 1 |
| decision | INIT -> PRECHECK | all fields of the decision |
| qty, hold_id | PRECHECK -> SPLITTING | what passed, and the hold that pays for it |
| strategy, children | SPLITTING -> SENDING | list of [sequence, qty, price or null, scheduled_ns, max_wait_ms] |
| reason, mode, attempts | anything -> ESCAPING, and ESCAPING -> ESCAPING when the mode widens or an attempt begins | |
| disposition, filled, unsent, cancelled, residual, operator | the last | what came of it; who acknowledged |

`ORDER_INTENT`, one a request, durable before a PLACE or AMEND leaves (a cancel does not wait): execution_id, split_id,
order_id, sequence, generation, action (PLACE, AMEND, CANCEL), instrument, symbol, track, side, kind, tif, limit, qty,
is_escape, ts_ns.

`ORDER_EVENT`, what became of it: execution_id, split_id, order_id, event, broker_no, kind, code, text, ts_ns. `event`
is SENT, REJECTED, NOT_SENT, LOST, ABSENT, AMENDED, AMEND_REJECTED, AMEND_NOT_SENT, AMEND_LOST, CANCEL_TAKEN,
CANCEL_REJECTED, CANCEL_NOT_SENT, CANCEL_LOST, CANCELLED, EXPIRED, ENDED_REJECTED or LATE_FILL.

`FILL` records are the driver's, written before the gateway books them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

from qts.execution.contracts import EscapeMode, EscapeReason, OrderDecision, RiskApproval, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts.broker.contracts import OrderType, Side, TimeInForce
    from qts.execution.contracts import BookedFill, SplitStrategy
    from qts.execution.execution import Child, Execution

Record: TypeAlias = dict[str, object]


class ChildSnapshot(NamedTuple):
    """A child as the journal knows it; what the broker says is the gateway's to know when it is restored."""

    sequence: int
    qty: int
    """Its whole quantity, as last amended."""
    sent_qty: int
    """What it was sent with."""
    price: int | None
    """Its newest limit; None = MARKET."""
    generation: int
    """Attempts so far; 0 = never tried."""
    order_id: int
    """The gateway's number of the newest attempt, 0 without one."""
    scheduled_ns: int
    max_wait_ms: int
    sent_ns: int
    was_live: bool
    """Whether the broker has acknowledged or filled it."""
    is_escape: bool = False


class ExecutionSnapshot(NamedTuple):
    """An execution as the journal knows it. `fills` are the booked ones of all its orders, oldest first."""

    decision: OrderDecision
    state: State
    seq: int
    qty: int
    hold_id: int
    lease: int
    """The exit lease that the restored gateway knows; 0 = none."""
    started_ns: int
    strategy: SplitStrategy
    children: tuple[ChildSnapshot, ...]
    fills: tuple[BookedFill, ...]
    escape_reason: EscapeReason | None = None
    escape_mode: EscapeMode = EscapeMode.CANCEL_ONLY
    escape_attempts: int = 0
    codes: tuple[str, ...] = ()


def decision_record(decision: OrderDecision) -> Record:
    """Return a decision as a record."""
    record: Record = decision._asdict()
    record["risk_approval"] = decision.risk_approval._asdict()
    return record


def read_decision(record: Mapping[str, object]) -> OrderDecision:
    """Return the decision of a record; TypeError or KeyError if a field is missing or unknown."""
    fields = dict(record)
    approval = RiskApproval(**cast("dict[str, int]", fields.pop("risk_approval")))  # type: ignore[arg-type]
    return OrderDecision(risk_approval=approval, **fields)  # type: ignore[arg-type]


def state_record(execution: Execution, after: State, why: str, now_ns: int) -> Record:
    """Return the record of a transition that is about to happen."""
    before = execution.state
    record: Record = {
        "execution_id": execution.execution_id,
        "seq": execution.seq + 1,
        "before": before.value,
        "after": after.value,
        "ts_ns": now_ns,
        "why": why,
    }
    if before is State.INIT:
        record["decision"] = decision_record(execution.decision)
    if after is State.SPLITTING:
        record["qty"] = execution.order.qty
        record["hold_id"] = execution.hold_id
    elif after is State.SENDING:
        record["strategy"] = execution.strategy
        record["children"] = [
            [
                one.sequence,
                one.qty,
                None if one.is_market else one.price,
                one.scheduled_ns,
                one.max_wait_ns // 1_000_000,
            ]
            for one in execution.children
        ]
    elif after is State.ESCAPING:
        record["reason"] = execution.escape_reason.value if execution.escape_reason else ""
        record["mode"] = execution.escape_mode.value
        record["attempts"] = execution.escape_attempts
    return record


def intent_record(
    execution: Execution,
    child: Child,
    action: str,
    kind: OrderType,
    tif: TimeInForce,
    limit: int,
    qty: int,
    now_ns: int,
) -> Record:
    """Return the record of a request that is about to leave."""
    decision = execution.decision
    return {
        "execution_id": execution.execution_id,
        "split_id": child.split_id,
        "order_id": child.order_id,
        "sequence": child.sequence,
        "generation": child.generation,
        "action": action,
        "instrument": decision.instrument,
        "symbol": decision.symbol,
        "track": decision.pool_id,
        "side": execution_side(execution, child),
        "kind": kind,
        "tif": tif,
        "limit": limit,
        "qty": qty,
        "is_escape": child.is_escape,
        "ts_ns": now_ns,
    }


def event_record(
    execution_id: str,
    split_id: str,
    order_id: int,
    event: str,
    now_ns: int,
    *,
    broker_no: str = "",
    kind: str = "",
    code: str = "",
    text: str = "",
) -> Record:
    """Return the record of an answer."""
    return {
        "execution_id": execution_id,
        "split_id": split_id,
        "order_id": order_id,
        "event": event,
        "broker_no": broker_no,
        "kind": kind,
        "code": code,
        "text": text,
        "ts_ns": now_ns,
    }


def execution_side(execution: Execution, child: Child) -> Side:
    """Return the side of a child: the liquidation of an entry goes the other way."""
    side = execution.decision.side
    if child.is_escape and execution.is_entry:
        return "SELL" if side == "BUY" else "BUY"
    return side
