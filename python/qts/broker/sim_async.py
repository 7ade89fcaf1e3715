"""The simulated broker behind the asynchronous port, in this process: every delay and every cut is a choice."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from qts.broker.asynchronous import AnswerLost, NotSent, Rejected
from qts.broker.wrapped import Amendments, Ears, redeem
from qts.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.broker.asynchronous import (
        BrokerCash,
        BrokerOrder,
        BrokerPosition,
        CancelAck,
        Capability,
        FillEvent,
        ModifyAck,
        OrderAck,
        SendPermit,
        StreamEvent,
    )
    from qts.broker.sim_book import SimBook
    from qts.clock import Clock

T = TypeVar("T")


class SimDelays(NamedTuple):
    """How long things take, in milliseconds."""

    there_ms: int = 10
    """From the write to the broker's book."""
    back_ms: int = 10
    """From the book to whoever asked."""
    stream_ms: int = 5
    """From the book to whoever listens."""
    answer_timeout_ms: int = 5_000
    """After so long an answer is lost."""


class SimAsyncBroker:
    """A `SimBook` that answers after a while.

    Time is the running loop's: on a `qts.clock.virtual.VirtualLoop` nothing takes real time.

    Args:
        book: the broker's own.
        clock: agrees with the running loop; `VirtualLoop.clock`, or the clock of the machine.
        delays: how long things take.
    """

    def __init__(self, book: SimBook, clock: Clock, *, delays: SimDelays | None = None) -> None:
        self._book = book
        self._clock = clock
        self._delays = delays or SimDelays()
        self._ears = Ears()
        self._amendments = Amendments()
        self._ears.subscribe(self._amendments.hear)
        self._leaving: deque[tuple[int, StreamEvent]] = deque()
        self._connection = 0
        self._due_ns: int | None = None
        self._is_connected = False
        self._is_stream_up = False
        self._unreachable = False
        self._waiting: set[asyncio.Future[Any]] = set()

    @property
    def capability(self) -> Capability:
        """What the book can do."""
        return self._book.capability

    @property
    def is_connected(self) -> bool:
        """Whether a request would leave now."""
        return self._is_connected

    @property
    def is_stream_up(self) -> bool:
        """Whether fills arrive by themselves now."""
        return self._is_stream_up

    @property
    def book(self) -> SimBook:
        """The broker's own book, for who plays the market; call `tell` after moving it."""
        return self._book

    def tell(self) -> None:
        """Send on what the book has to say, to arrive after the stream's delay."""
        loop = asyncio.get_running_loop()
        for event in self._book.notices():
            self._leaving.append((self._connection, event))
            loop.call_later(self._delays.stream_ms / 1_000, self._deliver)
        due_ns = self._book.next_due_ns()
        if due_ns is not None and due_ns != self._due_ns:
            self._due_ns = due_ns
            loop.call_later(max(0, due_ns - self._clock.now_ns()) / NS_PER_S, self._pass_time)

    def cut(self, *, link: bool = True, stream: bool = True, reachable: bool = True) -> None:
        """Break connections now: answers under way are lost, notices under way too.

        Args:
            link: whether the one for requests breaks.
            stream: whether the one for notices breaks.
            reachable: whether `connect` can mend it; call again to change that.
        """
        self._unreachable = not reachable
        if link:
            self._is_connected = False
            for answer in self._waiting:
                if not answer.done():
                    answer.set_exception(AnswerLost("connection lost"))
        if stream:
            self._is_stream_up = False
            self._connection += 1
            self._amendments.give_up()

    async def connect(self) -> None:
        """Connect what is not connected."""
        await asyncio.sleep((self._delays.there_ms + self._delays.back_ms) / 1_000)
        if self._unreachable:
            raise NotSent("no connection: refused")
        self._is_connected = self._is_stream_up = True

    async def close(self) -> None:
        """End both connections."""
        self.cut()

    async def send(self, permit: SendPermit) -> OrderAck:
        """Place an order."""
        self._check_link(permit)
        message = redeem(permit, "PLACE", self._clock.now_ns())
        return await self._carry(
            lambda: self._book.place(
                symbol=message.symbol,
                side=message.side,
                kind=message.kind,
                tif=message.tif,
                limit=message.limit,
                qty=message.qty,
                now_ns=self._clock.now_ns(),
            )
        )

    async def modify(self, permit: SendPermit) -> ModifyAck:
        """Amend an order, and wait for what the exchange says to it."""
        self._check_link(permit)
        message = redeem(permit, "AMEND", self._clock.now_ns())
        taken = await self._carry(
            lambda: self._book.amend(
                broker_no=message.broker_no, limit=message.limit, qty=message.qty, now_ns=self._clock.now_ns()
            )
        )
        return await self._amendments.outcome(
            taken, self._delays.answer_timeout_ms / 1_000, is_heard=self._is_stream_up
        )

    async def cancel(self, permit: SendPermit) -> CancelAck:
        """Cancel an order."""
        self._check_link(permit)
        message = redeem(permit, "CANCEL", self._clock.now_ns())
        return await self._carry(lambda: self._book.cancel(broker_no=message.broker_no, now_ns=self._clock.now_ns()))

    def subscribe_fills(self, callback: Callable[[StreamEvent], None]) -> Callable[[], None]:
        """Call back for each event of the stream."""
        return self._ears.subscribe(callback)

    async def query_orders(self) -> Sequence[BrokerOrder]:
        """Every order of the book."""
        return await self._ask(lambda: self._book.orders(open_only=False))

    async def query_open_orders(self) -> Sequence[BrokerOrder]:
        """Those that still work."""
        return await self._ask(lambda: self._book.orders(open_only=True))

    async def query_fills(self, since_ns: int = 0) -> Sequence[FillEvent]:
        """Executions at or after `since_ns`."""
        return await self._ask(lambda: self._book.fills(since_ns))

    async def query_positions(self) -> Sequence[BrokerPosition]:
        """What is held."""
        return await self._ask(self._book.positions)

    async def query_cash(self) -> BrokerCash:
        """Money at the broker."""
        return await self._ask(self._book.cash)

    async def heartbeat(self) -> None:
        """Return if the book answers."""
        await self._ask(lambda: None)

    def _check_link(self, permit: SendPermit) -> None:
        if not self._is_connected:
            permit.void()
            raise NotSent("not connected")

    async def _ask(self, question: Callable[[], T]) -> T:
        if not self._is_connected:
            raise NotSent("not connected")

        def counted() -> T:
            self._book.charge(self._clock.now_ns())
            return question()

        return await self._carry(counted)

    async def _carry(self, deed: Callable[[], T]) -> T:
        """Do the deed when the request has arrived, whether or not anybody still waits, and return when it is back."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def arrive() -> None:
            try:
                result = deed()
            except Rejected as error:
                loop.call_later(self._delays.back_ms / 1_000, _refuse, answer, error)
            else:
                loop.call_later(self._delays.back_ms / 1_000, _answer, answer, result)
            self.tell()

        loop.call_later(self._delays.there_ms / 1_000, arrive)
        self._waiting.add(answer)
        try:
            async with asyncio.timeout(self._delays.answer_timeout_ms / 1_000):
                return await answer
        except TimeoutError:
            raise AnswerLost("no answer in time") from None
        finally:
            self._waiting.discard(answer)

    def _deliver(self) -> None:
        connection, event = self._leaving.popleft()
        if self._is_stream_up and connection == self._connection:
            self._ears.tell(event)

    def _pass_time(self) -> None:
        self._due_ns = None
        self._book.pass_time(self._clock.now_ns())
        self.tell()


def _answer(answer: asyncio.Future[T], result: T) -> None:
    if not answer.done():
        answer.set_result(result)


def _refuse(answer: asyncio.Future[T], error: Rejected) -> None:
    if not answer.done():
        answer.set_exception(error)
