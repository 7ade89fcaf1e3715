"""Executions over a broker that answers when it likes: the asynchronous driver of the pipeline.

Everything happens on one event loop, and every turn of it ends the same way: commands of the pipeline are taken and
carried out, and the one timer is set to whatever is due first. A fill is on record before it counts, a request before
it leaves, and what a broker has not said is asked for (`inquiry`), never guessed.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from qts.clock import NS_PER_S
from qts.codes import Phrasebook
from qts.execution.calls import Calls
from qts.execution.contracts import BookedFill, State
from qts.execution.guard import BrokerGuard
from qts.execution.inquiry import POLL, Inquiry
from qts.execution.intake import FillIntake, no_probe
from qts.execution.interfaces import Closed, Query
from qts.execution.link import Link, LinkTimes
from qts.execution.reconcile import Reconciler

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from typing import Any

    from qts.broker.asynchronous import AsyncBrokerInterface, FillEvent, OrderNotice, StreamEvent
    from qts.broker.contracts import Track
    from qts.clock import Clock
    from qts.execution.books import LiveGateway
    from qts.execution.calls import Carried
    from qts.execution.config import ExecutionConfig
    from qts.execution.contracts import EscapeMode, EscapeReason, ExecutionResult, OrderDecision
    from qts.execution.intake import BookedHere, Probe
    from qts.execution.interfaces import CodeSink
    from qts.execution.journal import OrderJournal
    from qts.execution.pipeline import ExecutionPipeline
    from qts.execution.reconcile import Report

_MS_NS: Final = 1_000_000
_POLL_CALLS: Final = 4
"""A poll is two questions, and polls use half of what the broker allows in questions."""

_TEXTS: Final = Phrasebook(
    {
        "task": (
            "{task} ended by an error of this program: {error}",
            "{task} 작업이 프로그램 오류로 끝났습니다: {error}",
        ),
        "at_exchange": ("refused at the exchange", "거래소가 거부했습니다"),
    }
)


class LiveTimes(NamedTuple):
    """When what is due, nanoseconds (spec 15 §17)."""

    answer_ns: int = 5 * NS_PER_S
    """How long an answer of the broker may take."""
    stream_silence_ns: int = 1 * NS_PER_S
    """After so long without an event, while an order may live, the broker is asked."""
    poll_ns: int = 100 * _MS_NS
    """Between two of these questions at least; the broker's rate budget may make it more."""
    reconcile_ns: int = 60 * NS_PER_S
    link: LinkTimes = LinkTimes()
    always_polls: bool = False
    """Ask at every interval while an order may live, whatever the stream says."""

    @classmethod
    def of(cls, config: ExecutionConfig) -> LiveTimes:
        """Return the times that a configuration names; the others are the house's."""
        return cls(
            answer_ns=config.ack_timeout_ns,
            stream_silence_ns=config.stream_silence_ns,
            poll_ns=config.poll_interval_ns,
            link=LinkTimes(answer_ns=config.ack_timeout_ns),
            always_polls=config.fill_mode == "POLL",
        )


class Listener(NamedTuple):
    """Who hears of what has happened, after the books show it."""

    filled: Callable[[BookedFill, FillEvent], None]
    closed: Callable[[ExecutionResult], None]
    suspend: Callable[[str], None] | None = None
    """Is told why, when no more decisions should be made."""


class LiveExecution:
    """Drives an `ExecutionPipeline` over a broker. Use it on one event loop, after `recovery.restore`.

    Args:
        broker: where orders go.
        gateway: the account's one way out; hears of everything first.
        pipeline: decides what is to be done; hears of everything second.
        journal: the order journal, open.
        clock: agrees with the running loop.
        codes: hears of codes.
        listener: hears of fills that are booked and executions that are over.
        symbols: the symbol of each instrument that is traded.
        times: when what is due.
        probe: see `intake.Probe`.
    """

    def __init__(
        self,
        *,
        broker: AsyncBrokerInterface,
        gateway: LiveGateway,
        pipeline: ExecutionPipeline,
        journal: OrderJournal,
        clock: Clock,
        codes: CodeSink,
        listener: Listener,
        symbols: Mapping[int, str],
        times: LiveTimes = LiveTimes(),  # noqa: B008 - a value
        probe: Probe = no_probe,
    ) -> None:
        self._broker = broker
        self._gateway = gateway
        self._pipeline = pipeline
        self._journal = journal
        self._now = clock.now_ns
        self._codes = codes
        self._listener = listener
        self._times = times
        self._probe = probe
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._is_closing = False
        self._is_turning = False
        self._heard_ns = clock.now_ns()
        self._polled_ns = 0
        self._poll_ns = times.poll_ns
        self._reconcile_due = clock.now_ns() + times.reconcile_ns
        self.settled = asyncio.Event()
        """Set by a look at the broker's lists that leaves no order in doubt; who waits for that clears it."""
        self.guard = BrokerGuard(codes)
        self.intake = FillIntake(
            gateway=gateway,
            journal=journal,
            codes=codes,
            now=self._now,
            on_booked=self._on_booked,
            on_end=self._on_end,
            on_gap=self._ask,
            spawn=self._spawn,
            probe=probe,
        )
        self._calls = Calls(
            broker=broker,
            gateway=gateway,
            pipeline=pipeline,
            journal=journal,
            codes=codes,
            guard=self.guard,
            now=self._now,
            answer_timeout_ns=times.answer_ns,
            on_answer=self._on_answer,
            on_gap=self._ask,
            on_amend_lost=lambda order_id: self.inquiry.doubt_amend(order_id),
            is_entry=self._is_entry,
            spawn=self._spawn,
            probe=probe,
        )
        self.inquiry = Inquiry(
            broker=broker,
            gateway=gateway,
            pipeline=pipeline,
            intake=self.intake,
            guard=self.guard,
            now=self._now,
            answer_timeout_ns=times.answer_ns,
            busy=self._calls.busy,
            on_told=self._on_told,
            spawn=self._spawn,
            probe=probe,
        )
        self.reconciler = Reconciler(
            broker=broker,
            gateway=gateway,
            inquiry=self.inquiry,
            intake=self.intake,
            codes=codes,
            symbols=symbols,
            answer_timeout_ns=times.answer_ns,
        )
        self.link = Link(
            broker=broker,
            guard=self.guard,
            codes=codes,
            now=self._now,
            has_orders=self._has_orders,
            on_change=self._on_link,
            on_back=self._on_back,
            spawn=self._spawn,
            times=times.link,
        )
        pipeline.set_hooks(found=self._on_found, proven_absent=self._on_proven_absent, suspend=listener.suspend)

    # ------------------------------------------------------------------ what others ask for

    def submit(self, decision: OrderDecision) -> str:
        """Take a decision and return the id of its execution; a refusal is told as its end."""
        execution_id = self._pipeline.submit(decision, self._now())
        self._turn()
        return execution_id

    def escape(
        self, reason: EscapeReason, mode: EscapeMode, *, execution_id: str = "", instrument: int | None = None
    ) -> int:
        """Make executions escape and return how many did: one, those of an instrument, or all."""
        count = self._pipeline.escape(reason, mode, self._now(), execution_id=execution_id, instrument=instrument)
        self._turn()
        return count

    def yield_to_loop(self, instrument: int, track: Track) -> int:
        """Give the exit of a position to the risk loop and return what is held for certain."""
        held = self._pipeline.yield_to_loop(instrument, track, self._now())
        self._turn()
        return held

    def acknowledge(self, execution_id: str, operator: str) -> None:
        """Take an operator's word that what is left of an escape is his."""
        self._pipeline.acknowledge(execution_id, operator, self._now())
        self._turn()

    def on_stance(self) -> None:
        """Safety or operating state has changed."""
        self._pipeline.on_stance(self._now())
        self._turn()

    @property
    def in_doubt(self) -> int:
        """Orders that may or may not live at the broker."""
        return self._pipeline.unknown_orders

    def open_for_entries(self) -> None:
        """Take entries from now on: recovery is done."""
        self._pipeline.open_for_entries()
        self._turn()

    async def reconcile(self) -> Report | None:
        """Compare the books with the broker's now; None if it gave no complete answer."""
        report = await self.reconciler.run()
        self._turn()
        return report

    # ------------------------------------------------------------------ life

    async def start(self) -> None:
        """Subscribe, connect for as long as that takes, and take in what was missed; then what a restart wants is done.

        In this order: an order that is cancelled first would be over before its fills are known.
        """
        self._unsubscribe = self._broker.subscribe_fills(self._on_event)
        self._is_turning = True
        try:
            await self.link.connect()
            await self.inquiry.look()
        finally:
            self._is_turning = False
        self._turn()

    async def close(self) -> None:
        """Stop: nothing more is sent. Orders that live go on living at the broker; the next start finds them."""
        self._is_closing = self.link.is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        if self._unsubscribe is not None:
            self._unsubscribe()
        for task in tuple(self._tasks):
            task.cancel()
        for task in tuple(self._tasks):
            with suppress(asyncio.CancelledError):
                await task
        await self._broker.close()
        await self._journal.close()

    # ------------------------------------------------------------------ one turn

    def _turn(self) -> None:
        """Carry out what the pipeline wants, and set the timer. Ends every call from outside."""
        if self._is_turning or self._is_closing:
            return  # the turn that is under way sees to it
        self._is_turning = True
        try:
            while commands := self._pipeline.take_commands():
                carried: list[Carried] = []
                over: list[ExecutionResult] = []
                for command in commands:
                    if isinstance(command, Closed):
                        over.append(command.result)
                    elif isinstance(command, Query):
                        self.inquiry.ask(command.reason)
                    else:
                        carried.append(command)
                self._calls.carry(carried)
                for result in over:
                    self._listener.closed(result)
        finally:
            self._is_turning = False
        self._set_timer()

    def _set_timer(self) -> None:
        due = (
            self.link.next_due_ns(),
            self._reconcile_due,
            self._pipeline.next_due_ns(),
            self.intake.next_due_ns(),
            self.inquiry.next_due_ns(),
            self._poll_due(),
        )
        if self._timer is not None:
            self._timer.cancel()
        delay_s = max(0, min(at_ns for at_ns in due if at_ns is not None) - self._now()) / NS_PER_S
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        now_ns = self._now()
        pipeline_due = self._pipeline.next_due_ns()
        if pipeline_due is not None and pipeline_due <= now_ns:
            self._pipeline.on_timer(now_ns)
        self.link.on_timer(now_ns)
        self.intake.on_timer(now_ns)
        self.inquiry.on_timer(now_ns)
        poll_due = self._poll_due()
        if poll_due is not None and poll_due <= now_ns:
            self._polled_ns = now_ns
            rate = max(1, self._broker.capability.queries_per_s)
            self._poll_ns = max(self._times.poll_ns, _POLL_CALLS * NS_PER_S // rate)
            self.inquiry.ask(POLL)
        if now_ns >= self._reconcile_due:
            self._reconcile_due = now_ns + self._times.reconcile_ns
            if self.link.is_up:
                self._spawn(self._reconcile(), "reconcile")
        self._turn()

    def _poll_due(self) -> int | None:
        """When the broker is to be asked because its stream says nothing; None while it need not be."""
        if not self._has_orders() or not self._broker.is_connected:
            return None
        trusts_stream = self._broker.is_stream_up and not self._times.always_polls
        begin_ns = self._heard_ns + self._times.stream_silence_ns if trusts_stream else self._polled_ns
        return max(begin_ns, self._polled_ns + self._poll_ns, self.inquiry.asked_ns + self._poll_ns)

    def _is_entry(self, command: Carried) -> bool:
        execution = self._pipeline.live.get(command.execution_id)
        return execution is not None and execution.is_entry and execution.state is not State.ESCAPING

    def _has_orders(self) -> bool:
        return bool(self._pipeline.live)

    async def _reconcile(self) -> None:
        await self.reconcile()

    # ------------------------------------------------------------------ what happens

    def _on_event(self, event: StreamEvent) -> None:
        self._heard_ns = self._now()
        self.intake.take(event)
        self._turn()

    def _on_booked(self, booked: BookedHere) -> None:
        event = booked.event
        fill = BookedFill(
            booked.order_id,
            event.qty,
            event.price,
            booked.fee,
            booked.tax,
            booked.cumulative,
            booked.remaining,
            self._now(),
            overfill=booked.state in {"OVERFILL", "OVERSOLD"},
        )
        self._pipeline.on_fill(fill)
        self._probe("fill.told")
        self._listener.filled(fill, event)
        self._turn()

    def _on_end(self, order_id: int, notice: OrderNotice) -> None:
        """An order has ended, or a request about it was refused, behind every fill that the stream told before."""
        now_ns = self._now()
        state, _, remaining, newest = self._gateway.order_state(order_id)
        if notice.kind == "REJECTED" and notice.original_no:
            if state == "CANCEL_PENDING":
                self._gateway.on_cancel_refused(order_id, now_ns)
                self._pipeline.on_cancel_rejected(order_id, "TRANSIENT", "", _TEXTS("at_exchange"), now_ns)
            self._ask("refused at the exchange")  # of an amendment the answer tells, or a list
        elif notice.broker_no == newest:  # else what was replaced has ended
            if notice.kind == "REJECTED":
                self._gateway.on_reject(order_id, now_ns)
                self._pipeline.on_order_end(order_id, "REJECTED", now_ns)
            elif notice.remaining_qty != remaining:
                self._ask("ended")  # a fill in front of it may be lost: ended now, its shares would be free to go again
            elif notice.kind == "CANCELLED" or notice.kind == "EXPIRED":
                self._gateway.on_end(order_id, notice.kind, now_ns)
                self._probe("end.booked")
                self._pipeline.on_order_end(order_id, notice.kind, now_ns)
        self._turn()

    def _on_answer(self) -> None:
        self.intake.rematch()
        self._turn()

    def _on_told(self) -> None:
        if not self._pipeline.unknown_orders:
            self.settled.set()
        self._turn()

    def _on_found(self, order_id: int, broker_no: str, now_ns: int) -> None:
        """A list has shown an order whose answer was lost."""
        self._gateway.on_ack(order_id, broker_no, now_ns)
        self._probe("found.booked")
        self._pipeline.on_sent(order_id, broker_no, now_ns)

    def _on_proven_absent(self, order_id: int) -> None:
        """No list has ever shown it; what is left to be seen is whether money or shares have moved."""
        self._spawn(self._prove(order_id), "absence")

    async def _prove(self, order_id: int) -> None:
        if not await self.reconciler.is_nothing_moved() or self._gateway.order_state(order_id)[0] != "UNKNOWN":
            return
        now_ns = self._now()
        self._gateway.on_reject(order_id, now_ns, not_received=True)
        self._probe("absent.booked")
        self._pipeline.on_absent(order_id, now_ns)
        self._on_told()

    def _on_link(self) -> None:
        self._pipeline.on_link(self._now())
        self._turn()

    async def _on_back(self) -> None:
        self._heard_ns = self._now()
        await self.reconcile()

    def _ask(self, reason: str) -> None:
        self.inquiry.ask(reason)

    # ------------------------------------------------------------------ tasks

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self._is_closing:
            work.close()
            return
        task = asyncio.create_task(work, name=f"qts-live-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._on_done)

    def _on_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        self._codes.report("FS040", _TEXTS("task", task=task.get_name(), error=repr(error)), effect="FAIL")
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"{task.get_name()} failed", "exception": error, "task": task}
        )
