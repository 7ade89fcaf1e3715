"""Asking a broker what it has: orders and fills of the day, one question at a time, brought into the books in order.

The list of orders is read first and the fills second, so that a fill which the list counts is among them. Then: numbers
that amendments got while nobody heard, fills, the pipeline's doubts, and at last what has ended.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.broker.asynchronous import AnswerLost, BrokerError
from qts.clock import NS_PER_S
from qts.codes import Phrasebook

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from qts.broker.asynchronous import AsyncBrokerInterface, BrokerOrder
    from qts.execution.books import LiveGateway
    from qts.execution.guard import BrokerGuard
    from qts.execution.intake import FillIntake, Probe
    from qts.execution.pipeline import ExecutionPipeline

POLL: Final = "poll"
"""The reason for which only what is new is asked for."""
_MARGIN_NS: Final = 5 * NS_PER_S
"""How far a question for what is new reaches back behind the last complete answer: clocks differ, books are late."""
_AGAIN_NS: Final = 1 * NS_PER_S
"""After that a question that had no answer is asked again, and one whose answer left something open."""
_ABSENT_NS: Final = 60 * NS_PER_S
"""How long lists have to say so before an order is taken for gone whose amendment has no answer."""
_AMEND_LATE_NS: Final = 10 * NS_PER_S
"""A request that has not arrived by then is taken for lost."""
_ENDED: Final = frozenset({"FILLED", "CANCELLED", "EXPIRED", "REJECTED"})

_TEXTS: Final = Phrasebook({"unamended": ("no list shows the amendment", "어느 목록에도 정정이 나타나지 않습니다")})


class _Amend(NamedTuple):
    """An amendment in doubt."""

    since_ns: int
    denied: int
    """Lists that did not show it."""


class Inquiry:
    """Asks, one question at a time, on one event loop; what is wanted meanwhile is asked in one question afterwards.

    Args:
        broker: is asked.
        gateway: hears of numbers and ends first.
        pipeline: hears of them second.
        intake: takes the fills.
        guard: counts questions without an answer.
        now: UTC nanoseconds.
        answer_timeout_ns: how long an answer may take.
        busy: orders with a call under way; what a list says of them may be old.
        on_told: is called after each answer.
        spawn: starts a task.
        probe: see `Probe`.
    """

    def __init__(
        self,
        *,
        broker: AsyncBrokerInterface,
        gateway: LiveGateway,
        pipeline: ExecutionPipeline,
        intake: FillIntake,
        guard: BrokerGuard,
        now: Callable[[], int],
        answer_timeout_ns: int,
        busy: Mapping[int, int],
        on_told: Callable[[], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        probe: Probe,
    ) -> None:
        self._broker = broker
        self._gateway = gateway
        self._pipeline = pipeline
        self._intake = intake
        self._guard = guard
        self._now = now
        self._timeout_s = answer_timeout_ns / NS_PER_S
        self._busy = busy
        self._on_told = on_told
        self._spawn = spawn
        self._probe = probe
        self._wanted: set[str] = set()
        self._again_ns: int | None = None
        self._is_running = False
        self._turn = asyncio.Lock()
        self._complete_ns = 0
        self._vanished: dict[str, int] = {}
        self._amends: dict[int, _Amend] = {}
        self.asked_ns = 0
        """When the last question was asked."""
        self.rows: Sequence[BrokerOrder] = ()
        """The orders of the last complete answer."""

    def ask(self, reason: str) -> None:
        """Have the broker asked soon."""
        self._wanted.add(reason)
        if not self._is_running:
            self._is_running = True
            self._spawn(self._run(), "inquiry")

    def next_due_ns(self) -> int | None:
        """When `on_timer` wants to be called."""
        return self._again_ns

    def on_timer(self, now_ns: int) -> None:
        """Ask again what was left open."""
        if self._again_ns is not None and now_ns >= self._again_ns:
            self._again_ns = None
            self.ask("again")

    async def look(self, *, only_new: bool = False) -> bool:
        """Ask and bring the answer into the books; False if there was no complete answer."""
        async with self._turn:
            began_ns = self.asked_ns = self._now()
            since_ns = max(0, self._complete_ns - _MARGIN_NS) if only_new else 0
            try:
                async with asyncio.timeout(self._timeout_s):
                    rows = await self._broker.query_orders()
                    self._probe("inquiry.orders")
                    fills = await self._broker.query_fills(since_ns)
                    self._probe("inquiry.fills")
            except (BrokerError, TimeoutError) as error:
                self.failed(error if isinstance(error, BrokerError) else AnswerLost("no list in time"))
                return False
            self._guard.heard(None)
            self._complete_ns, self.rows = began_ns, rows
            self._adopt_numbers(rows)
            for fill in fills:
                self._intake.take(fill)
            await self._intake.drained()
            self._tell_ends(rows)
            self._tell_of_amends(rows)
            self._pipeline.on_listing(rows, self._now())
            self._probe("inquiry.listed")
            self._intake.rematch()
            await self._intake.drained()
            if not self._tell_ends(rows):
                self._again_ns = self._now() + _AGAIN_NS
            self._on_told()
            return True

    def failed(self, error: BrokerError) -> None:
        """Take note of a question without a complete answer."""
        self._guard.heard(error)

    async def _run(self) -> None:
        try:
            while self._wanted:
                only_new = self._wanted == {POLL}
                self._wanted.clear()
                if not await self.look(only_new=only_new) and not only_new:
                    self._again_ns = self._now() + _AGAIN_NS
        finally:
            self._is_running = False

    def _adopt_numbers(self, rows: Sequence[BrokerOrder]) -> None:
        """Follow amendments that went through while their answers did not."""
        for row in sorted(rows, key=lambda row: row.ts_ns):
            if not row.original_no or self._gateway.find(row.broker_no) is not None:
                continue
            order_id = self._gateway.find(row.original_no)
            if order_id is None or order_id in self._busy:
                continue
            now_ns = self._now()
            self._gateway.on_amended(order_id, row.broker_no, now_ns)
            self._probe("inquiry.adopted")
            self._pipeline.on_amended(order_id, row.broker_no, now_ns)

    def doubt_amend(self, order_id: int) -> None:
        """Take note that the answer to an amendment is lost: lists will say."""
        self._amends[order_id] = _Amend(self._now(), 0)
        self.ask("amend lost")

    def _tell_of_amends(self, rows: Sequence[BrokerOrder]) -> None:
        """Tell of amendments that lists do not show: two of them, the second late enough for the slowest request."""
        live = {row.broker_no for row in rows if row.is_live}
        for order_id, doubt in tuple(self._amends.items()):
            state, _, _, newest = self._gateway.order_state(order_id)
            if state in _ENDED or not self._gateway.order_doubts(order_id)[1]:
                del self._amends[order_id]
            elif newest in live and order_id not in self._busy:
                self._amends[order_id] = doubt._replace(denied=doubt.denied + 1)
                if doubt.denied and self.asked_ns - doubt.since_ns >= _AMEND_LATE_NS:
                    del self._amends[order_id]
                    now_ns = self._now()
                    self._gateway.on_amend_refused(order_id, now_ns)
                    self._probe("inquiry.unamended")
                    self._pipeline.on_amend_rejected(order_id, "TRANSIENT", "", _TEXTS("unamended"), now_ns)
        if self._amends:
            self._again_ns = self._now() + _AGAIN_NS

    def _tell_ends(self, rows: Sequence[BrokerOrder]) -> bool:
        """Tell what has ended; False if a row says something that the books do not show yet."""
        is_settled = True
        executed = self.filled_by(rows)
        for row in rows:
            if row.is_live or (order_id := self._gateway.find(row.broker_no)) is None or order_id in self._busy:
                continue
            state, filled, _, newest = self._gateway.order_state(order_id)
            if state in _ENDED or newest != row.broker_no:
                continue
            if executed[order_id] > filled:
                is_settled = False  # a fill is missing: it is booked before the end is
            elif self._gateway.order_doubts(order_id)[0] and not self._has_stood(row):
                is_settled = False
            else:
                now_ns = self._now()
                self._gateway.on_end(order_id, "CANCELLED", now_ns)
                self._probe("inquiry.ended")
                self._pipeline.on_order_end(order_id, "CANCELLED", now_ns)
        return is_settled

    def filled_by(self, rows: Sequence[BrokerOrder]) -> Mapping[int, int]:
        """Return what has been filled of each of our orders by a list, under all numbers of each."""
        filled: dict[int, int] = {}
        for row in rows:
            if (order_id := self._gateway.find(row.broker_no)) is not None:
                filled[order_id] = filled.get(order_id, 0) + row.filled_qty
        return filled

    def _has_stood(self, row: BrokerOrder) -> bool:
        """Whether lists have said so for as long as an absence takes to be proven.

        An order that is gone while an amendment has no answer may have been amended: its new row, left out of lists
        that call themselves complete, would make this one look like the end.
        """
        first_ns = self._vanished.setdefault(row.broker_no, self.asked_ns)
        return self.asked_ns - first_ns >= _ABSENT_NS
