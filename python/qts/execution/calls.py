"""Commands of executions, carried to a broker: on record first, then the permit, then the write, then what came of it.

An answer is told to the gateway first and to the pipeline second. What a broker does not say is not guessed: a call
without an answer is lost, unless its permit was never redeemed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from qts.broker.asynchronous import AnswerLost, BrokerError, NotSent, Rejected
from qts.clock import NS_PER_S
from qts.codes import Phrasebook
from qts.execution.interfaces import Cancel, Modify, Send

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    from qts.broker.asynchronous import AsyncBrokerInterface, CancelAck, Message, ModifyAck, OrderAck
    from qts.execution.guard import BrokerGuard
    from qts.execution.intake import Probe
    from qts.execution.interfaces import CodeSink, GatewayPort, Permit
    from qts.execution.journal import OrderJournal
    from qts.execution.pipeline import ExecutionPipeline

Carried: TypeAlias = Send | Modify | Cancel

_TEXTS: Final = Phrasebook(
    {
        "lost": ("order {order}: no answer to {action}: {why}", "주문 {order}: {action} 응답 없음: {why}"),
        "broken": (
            "the broker's adapter failed at {action}: {why}",
            "브로커 어댑터가 {action} 처리 중 실패했습니다: {why}",
        ),
        "slow": ("nothing within {seconds} s", "{seconds}초 안에 응답 없음"),
    }
)


class _Watched:
    """A permit that remembers whether it was redeemed: what was not, was not written."""

    def __init__(self, permit: Permit, probe: Probe) -> None:
        self._permit = permit
        self._probe = probe
        self.is_redeemed = False

    @property
    def action(self) -> str:
        return self._permit.action

    @property
    def order_id(self) -> int:
        return self._permit.order_id

    def redeem(self, now_ns: int) -> Message:
        self._probe("permit.redeem")
        message = self._permit.redeem(now_ns)
        self.is_redeemed = True
        self._probe("permit.redeemed")
        return cast("Message", message)  # the same fields, seen from the other side

    def void(self) -> None:
        if not self.is_redeemed:
            self._permit.void()


class Calls:
    """Carries commands out. All of it on one event loop.

    Args:
        broker: where they go.
        gateway: hears of every answer first.
        pipeline: hears of it second.
        journal: whose barrier is awaited before anything is written.
        codes: hears of FS042 and FS040.
        guard: counts failures in a row.
        now: UTC nanoseconds.
        answer_timeout_ns: how long an answer may take.
        on_answer: is called after each; an order may have a number now that fills are waiting for.
        on_gap: is called with a reason when the broker is to be asked.
        on_amend_lost: is called with an order; lists will say whether its amendment went through.
        is_entry: whether a command opens or enlarges a position.
        spawn: starts a task.
        probe: see `Probe`.
    """

    def __init__(
        self,
        *,
        broker: AsyncBrokerInterface,
        gateway: GatewayPort,
        pipeline: ExecutionPipeline,
        journal: OrderJournal,
        codes: CodeSink,
        guard: BrokerGuard,
        now: Callable[[], int],
        answer_timeout_ns: int,
        on_answer: Callable[[], None],
        on_gap: Callable[[str], None],
        on_amend_lost: Callable[[int], None],
        is_entry: Callable[[Carried], bool],
        spawn: Callable[[Coroutine[Any, Any, None], str], None],
        probe: Probe,
    ) -> None:
        self._broker = broker
        self._gateway = gateway
        self._pipeline = pipeline
        self._journal = journal
        self._codes = codes
        self._guard = guard
        self._now = now
        self._timeout_s = answer_timeout_ns / NS_PER_S
        self._on_answer = on_answer
        self._on_gap = on_gap
        self._on_amend_lost = on_amend_lost
        self._is_entry = is_entry
        self._spawn = spawn
        self._probe = probe
        self.busy: dict[int, int] = {}
        """How many calls are under way for each order: what a list says of it meanwhile may be old."""

    def carry(self, commands: Iterable[Carried]) -> None:
        """Carry commands out that were given together: cancels first, then exits, then the rest, all at once."""
        ordered = sorted(commands, key=self._rank)
        if not ordered:
            return
        for command in ordered:
            self.busy[command.order_id] = self.busy.get(command.order_id, 0) + 1
        self._spawn(self._carry(ordered), "commands")

    def _rank(self, command: Carried) -> int:
        if isinstance(command, Cancel):
            return 0
        return 2 if self._is_entry(command) else 1

    async def _carry(self, commands: list[Carried]) -> None:
        """Wait for the records of all, which are in one commit group, and start the calls."""
        self._probe("barrier.wait")
        await self._journal.durable(max(command.after_seq for command in commands))
        self._probe("barrier.passed")
        for command in commands[1:]:
            self._spawn(self._talk(command), command.action)
        await self._talk(commands[0])

    async def _talk(self, command: Carried) -> None:
        watched = _Watched(command.permit, self._probe)
        place = command.action.lower()
        answer: OrderAck | ModifyAck | CancelAck | None = None
        problem: BrokerError | None = None
        self._probe(f"{place}.call")
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._call(command, watched)
        except BrokerError as error:
            problem = error
        except TimeoutError:
            problem = AnswerLost(_TEXTS("slow", seconds=self._timeout_s))
        except Exception as error:  # an adapter may not, and the order may be out all the same
            self._codes.report("FS040", _TEXTS("broken", action=command.action, why=repr(error)))
            problem = AnswerLost(repr(error))
        finally:
            self._free(command.order_id)
        self._probe(f"{place}.answered")
        if isinstance(problem, AnswerLost) and not watched.is_redeemed:
            problem = NotSent(*problem.args)
        if isinstance(problem, NotSent):
            watched.void()
        self._tell(command, answer, problem, is_written=watched.is_redeemed)
        self._probe(f"{place}.told")
        self._on_answer()

    async def _call(self, command: Carried, permit: _Watched) -> OrderAck | ModifyAck | CancelAck:
        if isinstance(command, Send):
            return await self._broker.send(permit)
        if isinstance(command, Modify):
            return await self._broker.modify(permit)
        return await self._broker.cancel(permit)

    def _free(self, order_id: int) -> None:
        left = self.busy[order_id] - 1
        if left:
            self.busy[order_id] = left
        else:
            del self.busy[order_id]

    def _tell(
        self,
        command: Carried,
        answer: OrderAck | ModifyAck | CancelAck | None,
        problem: BrokerError | None,
        *,
        is_written: bool,
    ) -> None:
        why = "; ".join(map(str, problem.args)) if problem else ""
        number = answer.broker_no if answer else ""
        self._guard.heard(problem)
        if isinstance(problem, AnswerLost):
            self._codes.report("FS042", _TEXTS("lost", order=command.order_id, action=command.action, why=why))
        if isinstance(command, Send):
            self._tell_of_place(command.order_id, number, problem, why, is_written=is_written)
        elif isinstance(command, Modify):
            self._tell_of_amend(command.order_id, number, problem, why, is_written=is_written)
        else:
            self._tell_of_cancel(command.order_id, problem, why, is_written=is_written)

    def _tell_of_place(
        self, order_id: int, broker_no: str, problem: BrokerError | None, why: str, *, is_written: bool
    ) -> None:
        now_ns = self._now()
        match problem:
            case None:
                self._gateway.on_ack(order_id, broker_no, now_ns)
                self._probe("place.booked")
                self._pipeline.on_sent(order_id, broker_no, now_ns)
            case Rejected():
                self._gateway.on_reject(order_id, now_ns)
                self._probe("place.booked")
                self._pipeline.on_rejected(order_id, problem.kind, problem.code, problem.text, now_ns)
            case NotSent():
                if is_written:  # taken out of the permit, and then provably not written
                    self._gateway.on_reject(order_id, now_ns, not_received=True)
                self._pipeline.on_not_sent(order_id, why, now_ns)
            case _:
                self._gateway.on_lost(order_id, now_ns)
                self._probe("place.booked")
                self._pipeline.on_lost(order_id, why, now_ns)

    def _tell_of_amend(
        self, order_id: int, broker_no: str, problem: BrokerError | None, why: str, *, is_written: bool
    ) -> None:
        now_ns = self._now()
        match problem:
            case None:
                if self._gateway.find(broker_no) != order_id:  # else a list has told already
                    self._gateway.on_amended(order_id, broker_no, now_ns)
                self._probe("amend.booked")
                self._pipeline.on_amended(order_id, broker_no, now_ns)
            case Rejected():
                self._gateway.on_amend_refused(order_id, now_ns)
                self._pipeline.on_amend_rejected(order_id, problem.kind, problem.code, problem.text, now_ns)
                self._ask_how_it_ended(problem)
            case NotSent():
                if is_written:
                    self._gateway.on_amend_refused(order_id, now_ns)
                self._pipeline.on_amend_not_sent(order_id, why, now_ns)
            case _:
                self._gateway.on_lost(order_id, now_ns)
                self._pipeline.on_amend_lost(order_id, why, now_ns)
                self._on_amend_lost(order_id)

    def _tell_of_cancel(self, order_id: int, problem: BrokerError | None, why: str, *, is_written: bool) -> None:
        now_ns = self._now()
        match problem:
            case None:
                self._pipeline.on_cancel_taken(order_id, now_ns)
            case Rejected():
                self._gateway.on_cancel_refused(order_id, now_ns)
                self._probe("cancel.booked")
                self._pipeline.on_cancel_rejected(order_id, problem.kind, problem.code, problem.text, now_ns)
                self._ask_how_it_ended(problem)
            case NotSent():
                if is_written:
                    self._gateway.on_cancel_refused(order_id, now_ns)
                self._pipeline.on_cancel_not_sent(order_id, why, now_ns)
            case _:
                self._gateway.on_lost(order_id, now_ns)
                self._pipeline.on_cancel_lost(order_id, why, now_ns)
                self._on_gap("cancel lost")

    def _ask_how_it_ended(self, problem: Rejected) -> None:
        if problem.kind == "ALREADY_DONE":
            self._on_gap("already done")
