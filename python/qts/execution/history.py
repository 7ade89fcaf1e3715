"""What the journal says of the orders and executions of the day: what a restart begins with.

The journal says what was meant and what was heard; what became of it since is the broker's to say. An order whose
request is on record and whose answer is not may live: it is UNKNOWN.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from qts._core import journal_records
from qts.codes import DataError
from qts.execution.contracts import TERMINAL, OrderDecision, SplitStrategy, State
from qts.execution.journal import VERSION
from qts.execution.records import read_decision

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from qts.broker.asynchronous import FillEvent
    from qts.broker.contracts import OrderType, Side, TimeInForce, Track

OrderStanding: TypeAlias = Literal["UNKNOWN", "ACCEPTED", "CANCELLED", "EXPIRED", "REJECTED", "ABSENT"]

_ENDS: Final[Mapping[str, OrderStanding]] = {
    "REJECTED": "REJECTED",
    "NOT_SENT": "ABSENT",
    "ABSENT": "ABSENT",
    "CANCELLED": "CANCELLED",
    "EXPIRED": "EXPIRED",
    "ENDED_REJECTED": "REJECTED",
}
_LIVE: Final[frozenset[OrderStanding]] = frozenset({"UNKNOWN", "ACCEPTED"})


class FillOnRecord(NamedTuple):
    """A fill that was recorded; whether it had been booked when the process ended does not matter."""

    order_id: int
    event_id: str
    broker_no: str
    qty: int
    price: int
    fee: int | None
    tax: int | None
    ts_ns: int
    heard_ns: int
    """When it was recorded here."""


@dataclass(slots=True)
class OrderOnRecord:
    """An order as the journal knows it."""

    order_id: int
    execution_id: str
    split_id: str
    sequence: int
    generation: int
    instrument: int
    symbol: str
    track: Track
    side: Side
    kind: OrderType
    tif: TimeInForce
    limit: int
    qty: int
    is_escape: bool
    asked_ns: int
    """When its request was recorded."""
    sent_qty: int
    """What it was sent with."""
    standing: OrderStanding = "UNKNOWN"
    numbers: list[str] = field(default_factory=list)
    """Every number that the broker gave it, oldest first."""
    amend: tuple[int, int] | None = None
    """Price and quantity of an amendment whose answer is not on record."""
    is_cancel_asked: bool = False
    was_live: bool = False
    fills: list[FillOnRecord] = field(default_factory=list)

    @property
    def filled(self) -> int:
        """Quantity of the fills on record."""
        return sum(fill.qty for fill in self.fills)

    @property
    def is_live(self) -> bool:
        """Whether it may still be at the broker."""
        return self.standing in _LIVE and self.filled < self.qty


@dataclass(slots=True)
class ExecutionOnRecord:
    """An execution as the journal knows it."""

    execution_id: str
    decision: OrderDecision
    state: State
    seq: int
    started_ns: int
    qty: int = 0
    hold_id: int = 0
    strategy: SplitStrategy = "SINGLE"
    children: tuple[tuple[int, int, int | None, int, int], ...] = ()
    """Of each: sequence, quantity, limit or None, scheduled_ns, max_wait_ms."""
    reason: str = ""
    mode: str = ""
    attempts: int = 0

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in TERMINAL


@dataclass(slots=True)
class History:
    """Everything on record, in the order of its beginning."""

    executions: dict[str, ExecutionOnRecord] = field(default_factory=dict)
    orders: dict[int, OrderOnRecord] = field(default_factory=dict)
    fills: list[FillOnRecord] = field(default_factory=list)
    records: int = 0

    @property
    def last_order_id(self) -> int:
        """Highest number that an order has; 0 without one."""
        return max(self.orders, default=0)

    def orders_of(self, execution_id: str) -> list[OrderOnRecord]:
        """Return the orders of an execution, oldest first."""
        return [order for order in self.orders.values() if order.execution_id == execution_id]


def fill_record(order_id: int, event: FillEvent, now_ns: int) -> dict[str, object]:
    """Return the record of a fill that is about to be booked."""
    return {
        "order_id": order_id,
        "event_id": event.event_id,
        "broker_no": event.broker_no,
        "symbol": event.symbol,
        "side": event.side,
        "qty": event.qty,
        "price": event.price,
        "fee": event.fee,
        "tax": event.tax,
        "cumulative": event.cumulative_qty,
        "ts_ns": event.ts_ns,
        "heard_ns": now_ns,
    }


def read_history(directory: Path, since_ns: int = 0) -> History:
    """Return what the journal in a directory says of orders since a moment, usually the start of the trading day.

    Raises:
        DataError: FS125, a record cannot be understood.
        JournalDamageError: durable bytes are not what was written.
    """
    rows = journal_records(directory)
    return history_of((seq, kind, version, payload) for seq, at_ns, kind, version, payload in rows if at_ns >= since_ns)


def history_of(rows: Iterable[tuple[int, str, int, bytes]]) -> History:
    """Return what records say: of each its number, kind, version and payload; other kinds and versions are passed over.

    Raises:
        DataError: FS125, a record cannot be understood.
    """
    history = History()
    for seq, kind, version, payload in rows:
        read = _READERS.get(kind)
        if read is None or version != VERSION:
            continue
        try:
            read(history, json.loads(payload))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                found=f"record {seq} of the order journal, {kind}: {error!r}",
                expected="a record of this version",
                code="FS125",
            ) from error
        history.records += 1
    return history


def _state(history: History, record: Mapping[str, Any]) -> None:
    name = record["execution_id"]
    known = history.executions.get(name)
    after = State(record["after"])
    if known is None:
        decision = read_decision(record["decision"])
        known = ExecutionOnRecord(name, decision, after, record["seq"], record["ts_ns"])
        history.executions[name] = known
    if record["seq"] < known.seq:
        raise ValueError(f"transition {record['seq']} of {name} after {known.seq}")
    known.state, known.seq = after, record["seq"]
    known.qty = record.get("qty", known.qty)
    known.hold_id = record.get("hold_id", known.hold_id)
    known.strategy = record.get("strategy", known.strategy)
    if "children" in record:
        known.children = tuple(tuple(child) for child in record["children"])
    if after is State.ESCAPING:
        known.reason, known.mode, known.attempts = record["reason"], record["mode"], record["attempts"]


def _intent(history: History, record: Mapping[str, Any]) -> None:
    order_id = record["order_id"]
    match record["action"]:
        case "PLACE":
            if order_id in history.orders:
                raise ValueError(f"a second request of order {order_id}")
            fields = {name: record[name] for name in _INTENT_FIELDS}
            history.orders[order_id] = OrderOnRecord(asked_ns=record["ts_ns"], sent_qty=record["qty"], **fields)
        case "AMEND":
            history.orders[order_id].amend = (record["limit"], record["qty"])
        case "CANCEL":
            history.orders[order_id].is_cancel_asked = True
        case other:
            raise ValueError(f"action {other}")


def _event(history: History, record: Mapping[str, Any]) -> None:
    order = history.orders[record["order_id"]]
    event, number = record["event"], record["broker_no"]
    if number and number not in order.numbers:
        order.numbers.append(number)
    match event:
        case "SENT":
            order.was_live = True
            if order.standing == "UNKNOWN":
                order.standing = "ACCEPTED"
        case "AMENDED":
            if order.amend is not None:
                order.limit, order.qty = order.amend
            order.amend = None
        case "AMEND_REJECTED" | "AMEND_NOT_SENT":
            order.amend = None
        case "CANCEL_REJECTED" | "CANCEL_NOT_SENT":
            order.is_cancel_asked = False
        case "LOST" | "AMEND_LOST" | "CANCEL_LOST" | "CANCEL_TAKEN" | "LATE_FILL":
            pass
        case _:
            order.standing = _ENDS[event]


def _fill(history: History, record: Mapping[str, Any]) -> None:
    order = history.orders[record["order_id"]]
    fill = FillOnRecord(**{name: record[name] for name in FillOnRecord._fields})
    if any(fill.event_id == known.event_id for known in order.fills):
        return
    if fill.broker_no not in order.numbers:
        order.numbers.append(fill.broker_no)
    order.fills.append(fill)
    history.fills.append(fill)
    order.was_live = True


_INTENT_FIELDS: Final = (
    "order_id",
    "execution_id",
    "split_id",
    "sequence",
    "generation",
    "instrument",
    "symbol",
    "track",
    "side",
    "kind",
    "tif",
    "limit",
    "qty",
    "is_escape",
)
_READERS: Final = {"EXECUTION_STATE": _state, "ORDER_INTENT": _intent, "ORDER_EVENT": _event, "FILL": _fill}
