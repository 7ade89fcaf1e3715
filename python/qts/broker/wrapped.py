"""What brokers and their decorators share: handing calls on, telling listeners, redeeming a permit."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from qts._core import PermitRefused
from qts.broker.asynchronous import AnswerLost, NotSent, OrderNotice, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.broker.asynchronous import (
        AsyncBrokerInterface,
        BrokerCash,
        BrokerOrder,
        BrokerPosition,
        CancelAck,
        Capability,
        FillEvent,
        Message,
        ModifyAck,
        OrderAck,
        RejectKind,
        SendPermit,
        StreamEvent,
    )


def redeem(permit: SendPermit, action: str, now_ns: int) -> Message:
    """Return the message to write now; `NotSent` if the permit is for something else or does not hold any more.

    Nothing may be awaited between this and the write.
    """
    if permit.action != action:
        permit.void()
        raise NotSent(f"a permit for {permit.action} does not {action}")
    try:
        return permit.redeem(now_ns)
    except PermitRefused as error:
        raise NotSent(f"permit refused: {error}") from None


class Ears:
    """Whoever subscribed to the stream. One that fails keeps nothing from the others."""

    def __init__(self) -> None:
        self._callbacks: dict[int, Callable[[StreamEvent], None]] = {}
        self._next = 0

    def subscribe(self, callback: Callable[[StreamEvent], None]) -> Callable[[], None]:
        """Tell `callback` from now on, until the function that is returned is called."""
        key, self._next = self._next, self._next + 1
        self._callbacks[key] = callback

        def end() -> None:
            self._callbacks.pop(key, None)

        return end

    def tell(self, event: StreamEvent) -> None:
        """Tell everybody, on the running loop."""
        for callback in tuple(self._callbacks.values()):
            try:
                callback(event)
            except Exception as error:
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "a listener of a broker's stream failed", "exception": error}
                )


class Amendments:
    """Amendments that a broker has taken, until the exchange has said what became of them."""

    _REMEMBERED: Final = 256

    def __init__(self) -> None:
        self._said: dict[str, OrderNotice] = {}
        self._waiting: dict[str, asyncio.Future[OrderNotice]] = {}

    def hear(self, event: StreamEvent) -> None:
        """Take what the stream says; it may come before the broker's own answer."""
        if not isinstance(event, OrderNotice) or not event.original_no or event.kind not in {"AMENDED", "REJECTED"}:
            return
        if (waiting := self._waiting.get(event.broker_no)) is not None:
            if not waiting.done():
                waiting.set_result(event)
            return
        self._said[event.broker_no] = event
        if len(self._said) > self._REMEMBERED:
            del self._said[next(iter(self._said))]

    def give_up(self) -> None:
        """Nothing will be heard any more: whoever waits gets `AnswerLost`."""
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(AnswerLost("the stream broke before the exchange said what became of it"))

    async def outcome(self, taken: ModifyAck, timeout_s: float, *, is_heard: bool) -> ModifyAck:
        """Return what has gone through; `Rejected` if it has not, `AnswerLost` if nobody says or nobody hears it."""
        number = taken.broker_no
        if (said := self._said.pop(number, None)) is None:
            if not is_heard:
                raise AnswerLost("the stream is down: nobody says what became of it")
            self._waiting[number] = waiting = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(timeout_s):
                    said = await waiting
            except TimeoutError:
                raise AnswerLost("the exchange did not say in time what became of it") from None
            finally:
                del self._waiting[number]
        if said.kind == "REJECTED":
            kind: RejectKind = "PERMANENT" if said.remaining_qty else "ALREADY_DONE"
            raise Rejected(kind, "", "refused by the exchange")
        return taken._replace(ts_ns=said.ts_ns)


class Wrapped:
    """A broker around a broker that changes nothing; decorators override what they change."""

    def __init__(self, inner: AsyncBrokerInterface) -> None:
        self._inner = inner

    @property
    def capability(self) -> Capability:
        """What the broker inside can do."""
        return self._inner.capability

    @property
    def is_connected(self) -> bool:
        """Whether a request would leave now."""
        return self._inner.is_connected

    @property
    def is_stream_up(self) -> bool:
        """Whether fills arrive by themselves now."""
        return self._inner.is_stream_up

    async def connect(self) -> None:
        """Connect the broker inside."""
        await self._inner.connect()

    async def close(self) -> None:
        """Close the broker inside."""
        await self._inner.close()

    async def send(self, permit: SendPermit) -> OrderAck:
        """Place an order."""
        return await self._inner.send(permit)

    async def modify(self, permit: SendPermit) -> ModifyAck:
        """Amend an order."""
        return await self._inner.modify(permit)

    async def cancel(self, permit: SendPermit) -> CancelAck:
        """Cancel an order."""
        return await self._inner.cancel(permit)

    def subscribe_fills(self, callback: Callable[[StreamEvent], None]) -> Callable[[], None]:
        """Listen to the stream of the broker inside."""
        return self._inner.subscribe_fills(callback)

    async def query_orders(self) -> Sequence[BrokerOrder]:
        """Every order of the day."""
        return await self._inner.query_orders()

    async def query_open_orders(self) -> Sequence[BrokerOrder]:
        """Those that still work."""
        return await self._inner.query_open_orders()

    async def query_fills(self, since_ns: int = 0) -> Sequence[FillEvent]:
        """Executions of the day at or after `since_ns`."""
        return await self._inner.query_fills(since_ns)

    async def query_positions(self) -> Sequence[BrokerPosition]:
        """What is held."""
        return await self._inner.query_positions()

    async def query_cash(self) -> BrokerCash:
        """Money at the broker."""
        return await self._inner.query_cash()

    async def heartbeat(self) -> None:
        """Return if the broker answers."""
        await self._inner.heartbeat()
