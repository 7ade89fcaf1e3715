"""The simulated broker as a process of its own: whoever asks may die, its book stays.

`python -m qts.broker.sim_server --port 0 --state FILE` writes the port that it listens on as its first line, and serves
until it is terminated. What it says is in `qts.broker.wire`, what FILE holds in `qts.broker.sim_book`.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from qts.broker import wire
from qts.broker.asynchronous import Rejected
from qts.broker.sim_book import SimBook
from qts.clock import NS_PER_S, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from qts.clock import Clock

_BEHIND_MOST: Final = 1 << 22
"""Bytes that a listener may have not read yet before its connection is cut."""


_COUNTED: Final = frozenset({"orders", "fills", "positions", "cash", "ping"})
"""Questions that count against the broker's rate as orders do."""


class _Deed(NamedTuple):
    """What can be asked for: the fields it takes, and what carries it out."""

    fields: Mapping[str, Callable[[object], Any]]
    do: Callable[..., Mapping[str, object] | list[dict[str, object]] | None]


class SimServer:
    """Answers lines of `qts.broker.wire` from a book.

    Args:
        book: the broker's own.
        clock: the broker's own.
        latency_ms: how long an answer is held back after the deed.
        alive_ms: a sign of life on the stream that often.
    """

    def __init__(self, book: SimBook, clock: Clock, *, latency_ms: int = 0, alive_ms: int = 250) -> None:
        self._book = book
        self._clock = clock
        self._latency_s = latency_ms / 1_000
        self._alive_s = alive_ms / 1_000
        self._listeners: set[asyncio.StreamWriter] = set()
        self._due_ns: int | None = None
        self._deeds = self._table()

    async def serve(self, host: str, port: int, *, ready: Callable[[int], None], stop: asyncio.Event) -> None:
        """Answer until `stop`; `ready` is told the port."""
        server = await asyncio.start_server(self._serve_one, host, port, limit=wire.MAX_LINE)
        pulse = asyncio.create_task(self._keep_alive())
        try:
            ready(server.sockets[0].getsockname()[1])
            await stop.wait()
        finally:
            pulse.cancel()
            server.close()
            with suppress(asyncio.CancelledError):
                await pulse

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                self._answer(await reader.readuntil(b"\n"), writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, wire.Unreadable):
            pass  # gone, or not speaking our language: either way the connection ends
        finally:
            self._listeners.discard(writer)
            writer.close()

    def _answer(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        line = wire.load(data)
        number = wire.natural(line.pop("id", None))
        name = wire.text(line.pop("do", None))
        if name == "subscribe" and not line:
            writer.write(wire.answer(number, {}))
            self._listeners.add(writer)
            return
        if (deed := self._deeds.get(name)) is None or line.keys() != deed.fields.keys():
            raise wire.Unreadable(f"{name[:40]!r} with {sorted(line)!s:.80}")
        fields = {key: check(line[key]) for key, check in deed.fields.items()}
        try:
            if name in _COUNTED:
                self._book.charge(self._clock.now_ns())
            result = deed.do(**fields)
            answer = wire.listing(number, result) if isinstance(result, list) else wire.answer(number, result or {})
        except Rejected as error:
            answer = wire.refusal(number, error)
        except (ValueError, OverflowError) as error:  # a symbol that nobody knows, a figure out of range
            raise wire.Unreadable(str(error)) from None
        if self._latency_s:
            asyncio.get_running_loop().call_later(self._latency_s, writer.write, answer)
        else:
            writer.write(answer)
        self._tell()

    def _tell(self) -> None:
        for event in self._book.notices():
            self._push(wire.notice(event))
        due_ns = self._book.next_due_ns()
        if due_ns is not None and due_ns != self._due_ns:
            self._due_ns = due_ns
            wait_s = max(0, due_ns - self._clock.now_ns()) / NS_PER_S
            asyncio.get_running_loop().call_later(wait_s, self._pass_time)

    def _pass_time(self) -> None:
        self._due_ns = None
        self._book.pass_time(self._clock.now_ns())
        self._tell()

    def _push(self, data: bytes) -> None:
        for writer in tuple(self._listeners):
            if writer.transport.get_write_buffer_size() > _BEHIND_MOST:
                writer.transport.abort()  # who does not read is told by the silence, and asks for the lists
                self._listeners.discard(writer)
            else:
                writer.write(data)

    async def _keep_alive(self) -> None:
        while True:
            await asyncio.sleep(self._alive_s)
            self._pass_time()
            self._push(wire.ALIVE)

    def _table(self) -> dict[str, _Deed]:
        number, whole, symbol = wire.number_text, wire.natural, wire.text
        order = {"symbol": symbol, "side": wire.side, "kind": wire.order_kind, "tif": wire.tif}
        quote = {"symbol": symbol, "bid": whole, "bid_qty": whole, "ask": whole, "ask_qty": whole}
        book, now = self._book, self._clock.now_ns
        return {
            "hello": _Deed({}, lambda: book.capability._asdict()),
            "ping": _Deed({}, lambda: {"ts_ns": now()}),
            "place": _Deed(order | {"limit": whole, "qty": whole}, lambda **f: book.place(**f, now_ns=now())._asdict()),
            "amend": _Deed(
                {"broker_no": number, "limit": whole, "qty": whole},
                lambda **f: book.amend(**f, now_ns=now())._asdict(),
            ),
            "cancel": _Deed({"broker_no": number}, lambda **f: book.cancel(**f, now_ns=now())._asdict()),
            "orders": _Deed({"open_only": wire.truth}, lambda open_only: _dicts(book.orders(open_only=open_only))),
            "fills": _Deed({"since_ns": whole}, lambda since_ns: _dicts(book.fills(since_ns))),
            "positions": _Deed({}, lambda: _dicts(book.positions())),
            "cash": _Deed({}, lambda: book.cash()._asdict()),
            "quote": _Deed(quote, lambda **f: book.quote(**f, now_ns=now())),
            "trade": _Deed({"symbol": symbol, "price": whole, "qty": whole}, lambda **f: book.trade(**f, now_ns=now())),
            "halt": _Deed({"symbol": symbol, "halted": wire.truth}, lambda **f: book.halt(**f, now_ns=now())),
            "fill_now": _Deed(
                {"broker_no": number, "qty": whole, "price": whole},
                lambda **f: {"filled": book.fill_now(**f, now_ns=now())},
            ),
            "reject_next": _Deed(
                {"kind": wire.reject_kind, "action": wire.action},
                lambda kind, action: book.reject_next(kind, action or None),
            ),
            "reject_next_at_exchange": _Deed({}, book.reject_next_at_exchange),
            "transfer_in": _Deed({"symbol": symbol, "qty": whole, "cost": whole}, book.transfer_in),
            "end_session": _Deed({}, lambda: book.end_session(now())),
        }


def _dicts(rows: Sequence[Any]) -> list[dict[str, object]]:
    return [row._asdict() for row in rows]


async def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m qts.broker.sim_server", description="A simulated broker.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any that is free; it is written to standard output")
    parser.add_argument("--state", type=Path, required=True, help="JSON: instruments, cash, prices, settings")
    parser.add_argument("--latency-ms", type=int, default=0)
    parser.add_argument("--alive-ms", type=int, default=250)
    options = parser.parse_args(arguments)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    def ready(port: int) -> None:
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()

    book = SimBook.from_state(options.state.read_text(encoding="utf-8"))
    server = SimServer(book, SystemClock(), latency_ms=options.latency_ms, alive_ms=options.alive_ms)
    await server.serve(options.host, options.port, ready=ready, stop=stop)


if __name__ == "__main__":
    asyncio.run(main())
