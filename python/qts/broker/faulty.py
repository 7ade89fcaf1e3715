"""A broker to which things happen, as a `FaultPlan` decides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from qts.broker.asynchronous import AnswerLost, NotSent, Rejected
from qts.broker.faults import FaultKind, mixed
from qts.broker.wrapped import Ears, Wrapped, redeem
from qts.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from qts.broker.asynchronous import (
        AsyncBrokerInterface,
        BrokerCash,
        BrokerOrder,
        BrokerPosition,
        CancelAck,
        FillEvent,
        Message,
        ModifyAck,
        OrderAck,
        SendPermit,
        StreamEvent,
    )
    from qts.broker.faults import CallKind, Fault, FaultPlan
    from qts.clock import Clock

T = TypeVar("T")
Row = TypeVar("Row", bound=NamedTuple)

_LATE: Final = frozenset({FaultKind.LATE_ANSWER, FaultKind.LOST_AFTER})


class _Written:
    """A message that has left and is under way: its permit has been redeemed, and nothing can call it back."""

    def __init__(self, action: str, message: Message) -> None:
        self.action = action
        self._message = message

    def redeem(self, now_ns: int) -> Message:  # noqa: ARG002 - what is under way does not expire
        """Return the message; asked once, by the broker at the other end."""
        return self._message

    def void(self) -> None:
        """Nothing to give back: it has been written."""


class Faulty(Wrapped):
    """A broker behind a bad line.

    The permit of a message to which something happens is redeemed here, where it leaves; what happens to it afterwards
    is the line's doing. So an order that never arrives has used its permit, as in truth. A rate limit belongs outside.

    Args:
        inner: the broker at the other end.
        plan: what goes wrong.
        clock: the time that the plan is asked with.
        fill_now: makes the market fill an order of the given number before a cancel or amend arrives, at most the given
            part of it in thousandths; without it such a fault does nothing.
    """

    def __init__(
        self,
        inner: AsyncBrokerInterface,
        plan: FaultPlan,
        clock: Clock,
        *,
        fill_now: Callable[[str, int], None] | None = None,
    ) -> None:
        super().__init__(inner)
        self._plan = plan
        self._clock = clock
        self._fill_now = fill_now
        self._ears = Ears()
        inner.subscribe_fills(self._hear)

    @property
    def is_stream_up(self) -> bool:
        """Whether fills arrive by themselves now; a stream that has gone deaf does not know it."""
        return self._inner.is_stream_up and self._plan.is_stream_up(self._clock.now_ns())

    def subscribe_fills(self, callback: Callable[[StreamEvent], None]) -> Callable[[], None]:
        """Listen to what the line lets through."""
        return self._ears.subscribe(callback)

    async def send(self, permit: SendPermit) -> OrderAck:
        """Place an order over the bad line."""
        return await self._write("PLACE", permit, self._inner.send)

    async def modify(self, permit: SendPermit) -> ModifyAck:
        """Amend an order over the bad line."""
        return await self._write("AMEND", permit, self._inner.modify)

    async def cancel(self, permit: SendPermit) -> CancelAck:
        """Cancel an order over the bad line."""
        return await self._write("CANCEL", permit, self._inner.cancel)

    async def query_orders(self) -> Sequence[BrokerOrder]:
        """Every order of the day, or what the line makes of it."""
        return await self._list("ORDERS", self._inner.query_orders)

    async def query_open_orders(self) -> Sequence[BrokerOrder]:
        """Those that still work, or what the line makes of it."""
        return await self._list("ORDERS", self._inner.query_open_orders)

    async def query_fills(self, since_ns: int = 0) -> Sequence[FillEvent]:
        """Executions, or what the line makes of it."""
        return await self._list("FILLS", lambda: self._inner.query_fills(since_ns))

    async def query_positions(self) -> Sequence[BrokerPosition]:
        """What is held, or what the line makes of it."""
        return await self._list("POSITIONS", self._inner.query_positions)

    async def query_cash(self) -> BrokerCash:
        """Money, if the line lets it through."""
        return await self._carried(self._ask("CASH"), self._inner.query_cash)

    async def heartbeat(self) -> None:
        """A sign of life, if the line lets it through."""
        await self._carried(self._ask("HEARTBEAT"), self._inner.heartbeat)

    def _ask(self, kind: CallKind) -> Fault | None:
        return self._plan.on_call(kind, self._clock.now_ns())

    async def _write(self, kind: CallKind, permit: SendPermit, call: Callable[[SendPermit], Awaitable[T]]) -> T:
        if not self._inner.is_connected:
            return await call(permit)
        if (fault := self._ask(kind)) is None:
            return await call(permit)
        if fault.kind is FaultKind.NOT_SENT:
            permit.void()
            raise NotSent("connection refused (injected)")
        message = redeem(permit, kind, self._clock.now_ns())
        if fault.kind is FaultKind.FILL_FIRST and self._fill_now is not None:
            self._fill_now(message.broker_no, 1 + fault.salt % 1_000)
        return await self._carried(fault, lambda: call(_Written(kind, message)))

    async def _carried(self, fault: Fault | None, call: Callable[[], Awaitable[T]]) -> T:
        """Let the request go there and the answer come back, as far as the fault lets them."""
        if fault is None:
            return await call()
        match fault.kind:
            case FaultKind.NOT_SENT:
                raise NotSent("connection refused (injected)")
            case FaultKind.REJECT:
                raise Rejected(fault.reject or "PERMANENT", fault.code, fault.text)
            case FaultKind.LOST_BEFORE:
                await asyncio.sleep(fault.delay_ns / NS_PER_S)
                raise AnswerLost("no answer (injected)")
            case FaultKind.DELAY:
                await asyncio.sleep(fault.delay_ns / NS_PER_S)
        try:
            answer = await call()
        except NotSent as error:  # written here, lost on the way there: the line was cut in between
            raise AnswerLost(str(error)) from None
        finally:
            if fault.kind in _LATE:
                await asyncio.sleep(fault.delay_ns / NS_PER_S)
        if fault.kind is FaultKind.LOST_AFTER:
            raise AnswerLost("no answer (injected)")
        return answer

    async def _list(self, kind: CallKind, call: Callable[[], Awaitable[Sequence[Row]]]) -> Sequence[Row]:
        fault = self._ask(kind)
        rows = await self._carried(fault, call)
        return rows if fault is None else spoiled(rows, fault)

    def _hear(self, event: StreamEvent) -> None:
        loop = asyncio.get_running_loop()
        for delay_ns, due in self._plan.on_notice(event, self._clock.now_ns()):
            if delay_ns:
                loop.call_later(delay_ns / NS_PER_S, self._ears.tell, due)
            else:
                self._ears.tell(due)


def spoiled(rows: Sequence[T], fault: Fault) -> Sequence[T]:
    """Return a list as the fault leaves it; the same for drivers that have no loop."""
    match fault.kind:
        case FaultKind.EMPTY_LIST:
            return []
        case FaultKind.DOUBLED_ROWS:
            return [row for at, row in enumerate(rows) for _ in range(1 + mixed(fault.salt, "double", at) % 2)]
        case FaultKind.TRUNCATED_LIST:
            return rows[: fault.salt % len(rows)] if rows else rows
        case _:
            return rows
