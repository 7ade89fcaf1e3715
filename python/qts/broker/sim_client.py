"""The simulated broker in another process, as a broker: requests on one connection, the stream on another."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from qts.broker import wire
from qts.broker.asynchronous import (
    AnswerLost,
    BrokerCash,
    BrokerOrder,
    BrokerPosition,
    CancelAck,
    Capability,
    FillEvent,
    ModifyAck,
    NotSent,
    OrderAck,
)
from qts.broker.wrapped import Amendments, Ears, redeem
from qts.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qts.broker.asynchronous import Message, RejectKind, SendPermit, StreamEvent
    from qts.clock import Clock

T = TypeVar("T")

_GONE: Final = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, wire.Unreadable, TimeoutError)
"""How a connection ends, whatever the reason."""
_UNKNOWN_YET: Final = Capability("sim-socket", False, True, 1, 1)  # noqa: FBT003 - fields of a contract


class _Waiting:
    """Whoever waits for an answer, and the rows of a list that have come."""

    def __init__(self, answer: asyncio.Future[Any], *, wants_list: bool) -> None:
        self.answer = answer
        self.wants_list = wants_list
        self.count: int | None = None
        self.rows: list[object] = []


class Line:
    """One connection that is asked and answers, several questions at a time.

    Args:
        host: of the server.
        port: of the server.
        connect_timeout_ms: how long opening may take.
        answer_timeout_ms: how long a complete answer may take.
    """

    def __init__(
        self, host: str, port: int, *, connect_timeout_ms: int = 1_000, answer_timeout_ms: int = 5_000
    ) -> None:
        self._where = (host, port)
        self._connect_s = connect_timeout_ms / 1_000
        self._answer_s = answer_timeout_ms / 1_000
        self._writer: asyncio.StreamWriter | None = None
        self._listener: asyncio.Task[None] | None = None
        self._waiting: dict[int, _Waiting] = {}
        self._next = 0

    @property
    def is_up(self) -> bool:
        """Whether something written now would leave."""
        return self._writer is not None and not self._writer.is_closing()

    async def open(self) -> None:
        """Connect anew; `NotSent` if that cannot be."""
        await self.close()
        try:
            async with asyncio.timeout(self._connect_s):
                reader, self._writer = await asyncio.open_connection(*self._where, limit=wire.MAX_LINE)
        except (OSError, TimeoutError) as error:
            raise NotSent(f"no connection: {type(error).__name__}") from None
        self._listener = asyncio.create_task(self._listen(reader, self._writer))

    async def close(self) -> None:
        """End the connection; whoever waits gets `AnswerLost`."""
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
            self._listener = None

    async def ask(self, do: str, fields: Callable[[], Mapping[str, object]]) -> wire.Line:
        """Write a question and return the fields of its answer.

        Args:
            do: what is asked for.
            fields: called right before the write, when nothing can stop it any more but `fields` itself.
        """
        line: wire.Line = await self._exchange(do, fields, wants_list=False)
        return line

    async def ask_list(self, do: str, **fields: object) -> list[object]:
        """Write a question and return every row of its answer."""
        rows: list[object] = await self._exchange(do, lambda: fields, wants_list=True)
        return rows

    async def _exchange(self, do: str, fields: Callable[[], Mapping[str, object]], *, wants_list: bool) -> Any:  # noqa: ANN401
        if self._writer is None or self._writer.is_closing():
            raise NotSent("not connected")
        number, self._next = self._next, self._next + 1
        data = wire.dump({"id": number, "do": do, **fields()})
        waiting = _Waiting(asyncio.get_running_loop().create_future(), wants_list=wants_list)
        self._waiting[number] = waiting
        self._writer.write(data)
        try:
            async with asyncio.timeout(self._answer_s):
                return await waiting.answer
        except TimeoutError:
            raise AnswerLost(f"no answer to {do} in time") from None
        finally:
            self._waiting.pop(number, None)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        why = "closed"
        try:
            while True:
                self._take(wire.load(await reader.readuntil(b"\n")))
        except _GONE as error:
            why = f"{type(error).__name__}: {error}" if isinstance(error, wire.Unreadable) else type(error).__name__
        finally:
            writer.close()
            for waiting in self._waiting.values():
                if not waiting.answer.done():
                    waiting.answer.set_exception(AnswerLost(f"connection lost: {why}"))

    def _take(self, line: wire.Line) -> None:
        number = wire.natural(line.pop("id", None))
        if (waiting := self._waiting.get(number)) is None:
            if number >= self._next:
                raise wire.Unreadable(f"an answer to question {number}, which nobody asked")
            return  # too late: its question has been given up
        if not waiting.answer.done():
            _understand(waiting, line)


def _understand(waiting: _Waiting, line: wire.Line) -> None:
    """Take one line of an answer; `Unreadable` if it does not belong there."""
    if waiting.count is not None:
        _next_of_list(waiting, waiting.count, line)
    elif not wire.truth(line.pop("ok", None)):
        waiting.answer.set_exception(wire.rejected(line))
    elif not waiting.wants_list:
        waiting.answer.set_result(line)
    elif line.keys() == {"count"}:
        waiting.count = wire.natural(line["count"])
    else:
        raise wire.Unreadable("a list that does not say how many rows it has")


def _next_of_list(waiting: _Waiting, count: int, line: wire.Line) -> None:
    if line.keys() == {"row"} and len(waiting.rows) < count:
        waiting.rows.append(line["row"])
    elif line.keys() == {"end"} and wire.natural(line["end"]) == count == len(waiting.rows):
        waiting.answer.set_result(waiting.rows)
    else:
        raise wire.Unreadable(
            f"a list of {count} rows that has {len(waiting.rows)} and goes on with {sorted(line)!s:.40}"
        )


class SimSocketBroker:
    """The simulated broker of `qts.broker.sim_server`.

    Args:
        host: of the server.
        port: of the server.
        clock: time at which permits are redeemed.
        connect_timeout_ms: how long opening a connection may take.
        answer_timeout_ms: after so long an answer is lost.
        silence_ms: after so long without a sign of life the stream is down.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        clock: Clock | None = None,
        connect_timeout_ms: int = 1_000,
        answer_timeout_ms: int = 5_000,
        silence_ms: int = 1_000,
    ) -> None:
        self._clock = clock or SystemClock()
        self._where = (host, port)
        self._connect_s = connect_timeout_ms / 1_000
        self._silence_s = silence_ms / 1_000
        self._line = Line(host, port, connect_timeout_ms=connect_timeout_ms, answer_timeout_ms=answer_timeout_ms)
        self._stream: asyncio.Task[None] | None = None
        self._is_stream_up = False
        self._answer_s = answer_timeout_ms / 1_000
        self._ears = Ears()
        self._amendments = Amendments()
        self._ears.subscribe(self._amendments.hear)
        self._connecting = asyncio.Lock()
        self._capability = _UNKNOWN_YET

    @property
    def capability(self) -> Capability:
        """What the server says that it can do; until it has been asked, one call per second."""
        return self._capability

    @property
    def is_connected(self) -> bool:
        """Whether a request would leave now."""
        return self._line.is_up

    @property
    def is_stream_up(self) -> bool:
        """Whether the server has given a sign of life on the stream lately."""
        return self._is_stream_up

    async def connect(self) -> None:
        """Open what is not open of the two connections."""
        async with self._connecting:
            try:
                if not self._line.is_up:
                    await self._line.open()
                    self._capability = _read(Capability, await self._line.ask("hello", dict))
                if not self._is_stream_up:
                    await self._open_stream()
            except AnswerLost as error:
                raise NotSent(f"no connection: {error}") from None

    async def close(self) -> None:
        """End both connections."""
        await self._close_stream()
        await self._line.close()

    async def send(self, permit: SendPermit) -> OrderAck:
        """Place an order."""

        def fields() -> Mapping[str, object]:
            message = redeem(permit, "PLACE", self._clock.now_ns())
            return {
                "symbol": message.symbol,
                "side": message.side,
                "kind": message.kind,
                "tif": message.tif,
                "limit": message.limit,
                "qty": message.qty,
            }

        return _read(OrderAck, await self._write(permit, "place", fields))

    async def modify(self, permit: SendPermit) -> ModifyAck:
        """Amend an order, and wait for what the exchange says to it."""

        def fields() -> Mapping[str, object]:
            message = redeem(permit, "AMEND", self._clock.now_ns())
            return {"broker_no": message.broker_no, "limit": message.limit, "qty": message.qty}

        taken = _read(ModifyAck, await self._write(permit, "amend", fields))
        return await self._amendments.outcome(taken, self._answer_s, is_heard=self._is_stream_up)

    async def cancel(self, permit: SendPermit) -> CancelAck:
        """Cancel an order."""

        def fields() -> Mapping[str, object]:
            message: Message = redeem(permit, "CANCEL", self._clock.now_ns())
            return {"broker_no": message.broker_no}

        return _read(CancelAck, await self._write(permit, "cancel", fields))

    def subscribe_fills(self, callback: Callable[[StreamEvent], None]) -> Callable[[], None]:
        """Call back for each event of the stream."""
        return self._ears.subscribe(callback)

    async def query_orders(self) -> Sequence[BrokerOrder]:
        """Every order of the server's life."""
        return _rows(BrokerOrder, await self._line.ask_list("orders", open_only=False))

    async def query_open_orders(self) -> Sequence[BrokerOrder]:
        """Those that still work."""
        return _rows(BrokerOrder, await self._line.ask_list("orders", open_only=True))

    async def query_fills(self, since_ns: int = 0) -> Sequence[FillEvent]:
        """Executions at or after `since_ns`."""
        return _rows(FillEvent, await self._line.ask_list("fills", since_ns=since_ns))

    async def query_positions(self) -> Sequence[BrokerPosition]:
        """What is held."""
        return _rows(BrokerPosition, await self._line.ask_list("positions"))

    async def query_cash(self) -> BrokerCash:
        """Money at the broker."""
        return _read(BrokerCash, await self._line.ask("cash", dict))

    async def heartbeat(self) -> None:
        """Return if the server answers."""
        await self._line.ask("ping", dict)

    async def _write(self, permit: SendPermit, do: str, fields: Callable[[], Mapping[str, object]]) -> wire.Line:
        if not self._line.is_up:
            permit.void()
        return await self._line.ask(do, fields)

    async def _open_stream(self) -> None:
        await self._close_stream()
        writer = None
        try:
            async with asyncio.timeout(self._connect_s):
                reader, writer = await asyncio.open_connection(*self._where, limit=wire.MAX_LINE)
                writer.write(wire.dump({"id": 0, "do": "subscribe"}))
                said = wire.load(await reader.readuntil(b"\n"))
            if said != {"id": 0, "ok": True}:
                raise wire.Unreadable("refused")
        except _GONE as error:
            if writer is not None:
                writer.close()
            raise NotSent(f"no stream: {type(error).__name__}") from None
        self._is_stream_up = True
        self._stream = asyncio.create_task(self._hear(reader, writer))

    async def _close_stream(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
            with suppress(asyncio.CancelledError):
                await self._stream
            self._stream = None

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(self._silence_s):
                    data = await reader.readuntil(b"\n")
                if (event := wire.read_notice(wire.load(data))) is not None:
                    self._ears.tell(event)
        except _GONE:
            pass  # seen in `is_stream_up`; what was missed is in the lists
        finally:
            self._is_stream_up = False
            self._amendments.give_up()
            writer.close()


class SimMarketLine:
    """For who plays the market of a simulated broker in another process: moves quotes, halts, fills, refuses."""

    def __init__(self, host: str, port: int) -> None:
        self._line = Line(host, port)

    async def connect(self) -> None:
        """Open the connection; `NotSent` if that cannot be."""
        await self._line.open()

    async def close(self) -> None:
        """End the connection."""
        await self._line.close()

    async def quote(self, symbol: str, bid: int, bid_qty: int, ask: int, ask_qty: int) -> None:
        """Move the best prices of a symbol, and fill what meets them."""
        fields = {"symbol": symbol, "bid": bid, "bid_qty": bid_qty, "ask": ask, "ask_qty": ask_qty}
        await self._line.ask("quote", lambda: fields)

    async def trade(self, symbol: str, price: int, qty: int) -> None:
        """Let others trade."""
        await self._line.ask("trade", lambda: {"symbol": symbol, "price": price, "qty": qty})

    async def halt(self, symbol: str, *, halted: bool) -> None:
        """Stop the trading of a symbol, or let it go on."""
        await self._line.ask("halt", lambda: {"symbol": symbol, "halted": halted})

    async def fill_now(self, broker_no: str, qty: int, price: int) -> bool:
        """Fill a part of an order whatever the market shows; False if it cannot be."""
        answer = await self._line.ask("fill_now", lambda: {"broker_no": broker_no, "qty": qty, "price": price})
        return wire.truth(answer["filled"])

    async def reject_next(self, kind: RejectKind, action: str = "") -> None:
        """Refuse the next request, or the next PLACE, AMEND or CANCEL."""
        await self._line.ask("reject_next", lambda: {"kind": kind, "action": action})

    async def reject_next_at_exchange(self) -> None:
        """Take the next order and have the exchange refuse it."""
        await self._line.ask("reject_next_at_exchange", dict)

    async def transfer_in(self, symbol: str, qty: int, cost: int) -> None:
        """Add to what is held."""
        await self._line.ask("transfer_in", lambda: {"symbol": symbol, "qty": qty, "cost": cost})

    async def end_session(self) -> None:
        """End the session: what works expires."""
        await self._line.ask("end_session", dict)


def _read(shape: type[T], line: Mapping[str, object]) -> T:
    try:
        return wire.read(shape, line)
    except wire.Unreadable as error:
        raise AnswerLost(f"unreadable answer: {error}") from None


def _rows(shape: type[T], rows: Sequence[object]) -> list[T]:
    if not all(isinstance(row, dict) for row in rows):
        raise AnswerLost("unreadable list: a row that is no object")
    return [_read(shape, row) for row in rows if isinstance(row, dict)]
