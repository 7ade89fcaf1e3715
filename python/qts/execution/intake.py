"""What a broker says by itself, brought into the books: once, in order, and on record before it counts.

Fills and ends come by the stream and by lists, so most come twice. A fill goes through four steps: its order is found,
it is appended to the journal, the journal is durable, it is booked. Ends wait in the same row behind the fills before
them. What belongs to no known order is parked: it may be ahead of its own acknowledgement.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from qts.broker.asynchronous import FillEvent
from qts.codes import Phrasebook
from qts.execution.history import fill_record

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

    from qts.broker.asynchronous import OrderNotice, StreamEvent
    from qts.execution.books import LiveGateway
    from qts.execution.interfaces import CodeSink
    from qts.execution.journal import OrderJournal

PARKED_NS: Final = 1_000_000_000
"""How long a fill may wait for its order before it is an orphan (GR069)."""
PARKED_MAX: Final = 1_000
"""Events that wait for their orders at most; older ones go, the broker's lists still have them."""

Probe: TypeAlias = "Callable[[str], None]"
"""Is told what is about to happen, or has just happened, to the world outside: for tests that end the process there."""

_TEXTS: Final = Phrasebook(
    {
        "orphan": (
            "fill {event} of {qty} {symbol} under broker number {number} belongs to no order known here",
            "브로커 주문번호 {number}의 체결 {event} ({symbol} {qty}주)에 해당하는 주문이 없습니다",
        ),
        "many": (
            "{count} fills of unknown orders; the oldest is left out",
            "주문을 모르는 체결 {count}건; 가장 오래된 것을 제외합니다",
        ),
        "incomplete": (
            "fill {event} under broker number {number} has quantity {qty} and price {price}",
            "브로커 주문번호 {number}의 체결 {event}: 수량 {qty}, 가격 {price}",
        ),
    }
)


def no_probe(_: str) -> None:
    """Do nothing: nobody looks on."""


class BookedHere(NamedTuple):
    """A fill as the gateway booked it."""

    order_id: int
    state: str
    """Of the order, or OVERFILL."""
    cumulative: int
    remaining: int
    fee: int
    tax: int
    event: FillEvent


class _Waiting(NamedTuple):
    """Something of a known order that waits for its turn. `seq` is 0 for an end, which is not recorded here."""

    seq: int
    order_id: int
    event: StreamEvent


class FillIntake:
    """Brings fills and ends into the books. All calls on one event loop; none of them waits.

    Args:
        gateway: knows the orders, books the fills.
        journal: records a fill before it is booked.
        codes: hears of GR069 and FS041.
        now: UTC nanoseconds.
        on_booked: is called after each fill that the gateway has booked.
        on_end: is called with an order and the notice of its end, after every fill in front of it.
        on_gap: is called with a reason when something seems to be missing: the broker is to be asked.
        probe: see `Probe`.
    """

    def __init__(
        self,
        *,
        gateway: LiveGateway,
        journal: OrderJournal,
        codes: CodeSink,
        now: Callable[[], int],
        on_booked: Callable[[BookedHere], None],
        on_end: Callable[[int, OrderNotice], None],
        on_gap: Callable[[str], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        probe: Probe = no_probe,
    ) -> None:
        self._gateway = gateway
        self._journal = journal
        self._codes = codes
        self._now = now
        self._on_booked = on_booked
        self._on_end = on_end
        self._on_gap = on_gap
        self._spawn = spawn
        self._probe = probe
        self._seen: set[tuple[int, str]] = set()
        self._row: deque[_Waiting] = deque()
        self._parked: deque[tuple[int, StreamEvent]] = deque()
        self._told: set[str] = set()
        self._is_applying = False
        self._idle = asyncio.Event()
        self._idle.set()
        self.booked = 0
        """Fills that have been booked."""
        self.duplicates = 0
        """Fills that had come before."""

    def known(self, order_id: int, event_id: str) -> None:
        """Say that a fill has been booked before: by the journal, at the start."""
        self._seen.add((order_id, event_id))

    def take(self, event: StreamEvent) -> None:
        """Take an event, from the stream or a list; what has come before is dropped."""
        if isinstance(event, FillEvent) and (event.qty <= 0 or event.price <= 0):
            self._report_incomplete(event)
            return
        if not isinstance(event, FillEvent) and event.kind in {"ACCEPTED", "AMENDED"}:
            return  # the answer says so too, and says more
        order_id = self._gateway.find(_owner(event))
        if order_id is None:
            self._park(event)
        else:
            self._take_known(order_id, event)

    def rematch(self) -> None:
        """Look for the orders of what is parked: a number has become known."""
        parked, self._parked = self._parked, deque()
        for since, event in parked:
            order_id = self._gateway.find(_owner(event))
            if order_id is None:
                self._parked.append((since, event))
            else:
                self._take_known(order_id, event)

    @property
    def orphans(self) -> tuple[FillEvent, ...]:
        """Fills that wait for an order, oldest first."""
        return tuple(event for _, event in self._parked if isinstance(event, FillEvent))

    async def drained(self) -> None:
        """Return when everything that was taken so far, and belongs to a known order, is booked."""
        await self._idle.wait()

    def next_due_ns(self) -> int | None:
        """When `on_timer` wants to be called."""
        waiting = (since for since, event in self._parked if self._key(event) not in self._told)
        return min((since + PARKED_NS for since in waiting), default=None)

    def on_timer(self, now_ns: int) -> None:
        """Tell of what has found no order in time, and have the broker asked."""
        late = [event for since, event in self._parked if since + PARKED_NS <= now_ns]
        for event in late:
            if (key := self._key(event)) in self._told:
                continue
            self._told.add(key)
            if isinstance(event, FillEvent):
                self._codes.report("GR069", _TEXTS("orphan", **self._words(event)))
            self._on_gap("orphan")

    def _take_known(self, order_id: int, event: StreamEvent) -> None:
        seq = 0
        if isinstance(event, FillEvent):
            key = (order_id, event.event_id)
            if key in self._seen:
                self.duplicates += 1
                return
            self._seen.add(key)
            self._probe("fill.append")
            seq = self._journal.append("FILL", fill_record(order_id, event, self._now()))
            self._probe("fill.appended")
        self._row.append(_Waiting(seq, order_id, event))
        if not self._is_applying:
            self._is_applying = True
            self._idle.clear()
            self._spawn(self._apply(), "fills")

    async def _apply(self) -> None:
        """Book what waits, a group of the journal at a time."""
        try:
            while self._row:
                seq = max(waiting.seq for waiting in self._row)
                await self._journal.durable(seq)
                while self._row and self._row[0].seq <= seq:
                    self._book(self._row.popleft())
        finally:
            self._is_applying = False
            self._idle.set()

    def _book(self, waiting: _Waiting) -> None:
        order_id, event = waiting.order_id, waiting.event
        if not isinstance(event, FillEvent):
            self._on_end(order_id, event)
            return
        self._probe("fill.book")
        fees, taxes, _ = self._gateway.flows()
        state, cumulative, remaining, _ = self._gateway.on_fill(
            order_id, event.event_id, event.qty, event.price, event.fee, event.tax, self._now()
        )
        fees_after, taxes_after, _ = self._gateway.flows()  # a broker that does not say yet has them as by the tables
        self._probe("fill.booked")
        if state == "DUPLICATE":
            self.duplicates += 1
            return
        self.booked += 1
        fee, tax = fees_after - fees, taxes_after - taxes
        self._on_booked(BookedHere(order_id, state, cumulative, remaining, fee, tax, event))
        if event.cumulative_qty is not None and event.cumulative_qty > cumulative:
            self._on_gap("fill missing")

    def _park(self, event: StreamEvent) -> None:
        key = self._key(event)
        if any(self._key(parked) == key for _, parked in self._parked):
            self.duplicates += 1
            return
        if len(self._parked) >= PARKED_MAX:
            self._parked.popleft()
            self._codes.report("GR069", _TEXTS("many", count=PARKED_MAX))
        self._parked.append((self._now(), event))

    def _report_incomplete(self, event: FillEvent) -> None:
        key = self._key(event)
        if key not in self._told:
            self._told.add(key)
            self._codes.report("FS041", _TEXTS("incomplete", **self._words(event)))
            self._on_gap("incomplete fill")

    @staticmethod
    def _words(event: FillEvent) -> dict[str, object]:
        return {
            "event": event.event_id,
            "number": event.broker_no,
            "qty": event.qty,
            "price": event.price,
            "symbol": event.symbol,
        }

    @staticmethod
    def _key(event: StreamEvent) -> str:
        what = event.event_id if isinstance(event, FillEvent) else event.kind
        return f"{event.broker_no}/{what}"


def _owner(event: StreamEvent) -> str:
    """The number by which the order of an event is found: what is refused with an original was a request about that."""
    if not isinstance(event, FillEvent) and event.kind == "REJECTED" and event.original_no:
        return event.original_no
    return event.broker_no
