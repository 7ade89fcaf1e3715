"""A start is a recovery: what the journal knows is put back, the broker is asked for the rest, and then entries open.

`restore` puts gateway and pipeline back as far as the journal goes, before anything is asked or sent. `recover` starts
the driver, lets every doubt end and every missing fill come in, compares all books, and opens for entries if nothing
differs. Dying anywhere in between and beginning again gives the same: each step writes what it learns into the journal
before it acts on it, and does nothing twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from qts._core import OrderRefused
from qts.codes import Phrasebook
from qts.execution.contracts import BookedFill, EscapeMode, EscapeReason
from qts.execution.intake import no_probe
from qts.execution.records import ChildSnapshot, ExecutionSnapshot

if TYPE_CHECKING:
    from qts.broker.contracts import Track
    from qts.execution.books import LiveGateway
    from qts.execution.contracts import ActionClass
    from qts.execution.history import ExecutionOnRecord, FillOnRecord, History, OrderOnRecord
    from qts.execution.intake import Probe
    from qts.execution.live import LiveExecution
    from qts.execution.pipeline import ExecutionPipeline
    from qts.execution.reconcile import Difference


_TEXTS: Final = Phrasebook(
    {
        "open": (
            "recovered: {executions} executions and {fills} fills on record, {taken} fills taken in from the broker; "
            "entries are open",
            "복구 완료: 기록된 실행 {executions}건, 체결 {fills}건, 브로커에서 가져온 체결 {taken}건; "
            "신규 진입을 허용합니다",
        ),
        "closed": (
            "recovered, but the broker's books differ: {what}. Entries stay closed; settle it with the broker, book "
            "the difference, and start again",
            "복구했으나 브로커 장부와 차이가 있습니다: {what}. 신규 진입을 막은 상태입니다. 브로커와 확인해 차이를 "
            "기록한 뒤 다시 시작하십시오",
        ),
    }
)


class Restored(NamedTuple):
    """What a restart found on record."""

    executions: int
    """Of them, those that were not over."""
    orders: int
    fills: int
    in_doubt: int
    """Orders that may or may not live at the broker."""
    amends_in_doubt: tuple[int, ...]
    """Orders of which an amendment may or may not have gone through."""
    fill_keys: tuple[tuple[int, str], ...]
    """(order, event) of each fill that is booked."""


class Recovery(NamedTuple):
    """What a recovery came to."""

    is_open: bool
    """Whether entries are taken."""
    taken: int
    """Fills that only the broker knew."""
    differences: tuple[Difference, ...]
    message: str
    """For the operator, in the user's language."""


def restore(
    history: History, *, gateway: LiveGateway, pipeline: ExecutionPipeline, now_ns: int, probe: Probe = no_probe
) -> Restored:
    """Put gateway and pipeline back to what the journal says; the gateway holds what was held at the start of the day.

    An order whose request is on record without an answer is UNKNOWN; it is looked for, never sent again.
    """
    for order in history.orders.values():
        _restore_order(history, gateway, order, now_ns)
    probe("restore.orders")
    booked = [_restore_fill(gateway, fill) for fill in history.fills]
    probe("restore.fills")
    for order in history.orders.values():
        _restore_end(gateway, order, now_ns)
    fills: dict[int, list[BookedFill]] = {}
    for fill in booked:
        fills.setdefault(fill.order_id, []).append(fill)
    for one in history.executions.values():
        probe("restore.execution")
        pipeline.restore(_snapshot(history, one, gateway, fills, now_ns), now_ns)
    probe("restore.executions")
    return Restored(
        executions=sum(not one.is_over for one in history.executions.values()),
        orders=len(history.orders),
        fills=len(booked),
        in_doubt=sum(order.is_live and order.standing == "UNKNOWN" for order in history.orders.values()),
        amends_in_doubt=tuple(order.order_id for order in history.orders.values() if order.is_live and order.amend),
        fill_keys=tuple((fill.order_id, fill.event_id) for fill in history.fills),
    )


async def recover(live: LiveExecution, restored: Restored, *, probe: Probe = no_probe) -> Recovery:
    """Start the driver and bring the books together with the broker's; open for entries if nothing differs.

    Exits run, and are finished, meanwhile. Returns when that is decided, which takes as long as the broker is away, and
    as an order in doubt needs to be found or proven absent.
    """
    for order_id, event_id in restored.fill_keys:
        live.intake.known(order_id, event_id)
    for order_id in restored.amends_in_doubt:
        live.inquiry.doubt_amend(order_id)
    await live.start()
    probe("recover.started")
    while True:
        report = await live.reconcile()
        probe("recover.compared")
        if report is not None and (report.differences or not live.in_doubt):
            break
        live.settled.clear()  # nothing has been awaited since the doubts were counted
        if report is None:
            live.inquiry.ask("recovery")
        await live.settled.wait()
    taken = live.intake.booked
    if report.differences:
        what = "; ".join(found.text() for found in report.differences)
        return Recovery(is_open=False, taken=taken, differences=report.differences, message=_TEXTS("closed", what=what))
    probe("recover.opening")
    live.open_for_entries()
    probe("recover.open")
    message = _TEXTS("open", executions=restored.executions, fills=restored.fills, taken=taken)
    return Recovery(is_open=True, taken=taken, differences=(), message=message)


def _restore_order(history: History, gateway: LiveGateway, order: OrderOnRecord, now_ns: int) -> None:
    execution = history.executions.get(order.execution_id)
    is_entry = execution is not None and execution.decision.intent == "ENTRY" and not order.is_escape
    action: ActionClass = "ENTRY" if is_entry else "RUNNING_EXIT"
    gateway.restore_order(
        order.order_id,
        order.instrument,
        order.track,
        order.side,
        order.kind,
        order.tif,
        order.limit,
        order.qty,
        action=action,
        broker_nos=order.numbers,
        submitted_ns=order.asked_ns,
        now_ns=now_ns,
        amend=order.amend,
    )


def _restore_fill(gateway: LiveGateway, fill: FillOnRecord) -> BookedFill:
    fees, taxes, _ = gateway.flows()
    state, cumulative, remaining, _ = gateway.on_fill(
        fill.order_id, fill.event_id, fill.qty, fill.price, fill.fee, fill.tax, fill.heard_ns
    )
    fees_after, taxes_after, _ = gateway.flows()
    return BookedFill(
        fill.order_id,
        fill.qty,
        fill.price,
        fees_after - fees,
        taxes_after - taxes,
        cumulative,
        remaining,
        fill.ts_ns,
        overfill=state in {"OVERFILL", "OVERSOLD"},
    )


def _restore_end(gateway: LiveGateway, order: OrderOnRecord, now_ns: int) -> None:
    match order.standing:
        case "CANCELLED" | "EXPIRED":
            gateway.on_end(order.order_id, order.standing, now_ns)
        case "REJECTED":
            gateway.on_reject(order.order_id, now_ns)
        case "ABSENT":
            gateway.on_reject(order.order_id, now_ns, not_received=True)
        case _:
            pass


def _snapshot(
    history: History,
    execution: ExecutionOnRecord,
    gateway: LiveGateway,
    fills: dict[int, list[BookedFill]],
    now_ns: int,
) -> ExecutionSnapshot:
    orders = history.orders_of(execution.execution_id)
    newest = {order.sequence: order for order in orders}
    planned = [_planned(child, newest.pop(child[0], None)) for child in execution.children]
    planned += [_liquidation(order) for order in newest.values()]
    booked = sorted((fill for order in orders for fill in fills.get(order.order_id, ())), key=lambda fill: fill.ts_ns)
    return ExecutionSnapshot(
        decision=execution.decision,
        state=execution.state,
        seq=execution.seq,
        qty=execution.qty,
        hold_id=0,
        lease=_lease(execution, gateway, now_ns),
        started_ns=execution.started_ns,
        strategy=execution.strategy,
        children=tuple(planned),
        fills=tuple(booked),
        escape_reason=EscapeReason(execution.reason) if execution.reason else None,
        escape_mode=EscapeMode(execution.mode) if execution.mode else EscapeMode.CANCEL_ONLY,
        escape_attempts=execution.attempts,
    )


def _planned(child: tuple[int, int, int | None, int, int], order: OrderOnRecord | None) -> ChildSnapshot:
    """A child of the split, with the newest attempt to send it."""
    sequence, qty, price, scheduled_ns, max_wait_ms = child
    return ChildSnapshot(
        sequence=sequence,
        qty=order.qty if order else qty,
        sent_qty=order.sent_qty if order else 0,
        price=price if order is None or order.kind == "MARKET" else order.limit,
        generation=order.generation if order else 0,
        order_id=order.order_id if order else 0,
        scheduled_ns=scheduled_ns,
        max_wait_ms=max_wait_ms,
        sent_ns=order.asked_ns if order else 0,
        was_live=order is not None and order.was_live,
    )


def _liquidation(order: OrderOnRecord) -> ChildSnapshot:
    """A child that the escape added."""
    return ChildSnapshot(
        sequence=order.sequence,
        qty=order.qty,
        sent_qty=order.sent_qty,
        price=None if order.kind == "MARKET" else order.limit,
        generation=order.generation,
        order_id=order.order_id,
        scheduled_ns=order.asked_ns,
        max_wait_ms=0,
        sent_ns=order.asked_ns,
        was_live=order.was_live,
        is_escape=order.is_escape,
    )


def _lease(execution: ExecutionOnRecord, gateway: LiveGateway, now_ns: int) -> int:
    """Take back the exit that an execution had; 0 if it needs none or somebody stronger has it now."""
    decision = execution.decision
    if execution.is_over or decision.intent == "ENTRY":
        return 0
    track: Track = decision.pool_id
    try:
        return gateway.claim_exit(decision.instrument, track, "EXECUTION", decision.qty, now_ns)[0]
    except OrderRefused:
        return 0
