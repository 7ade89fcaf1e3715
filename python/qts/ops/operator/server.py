"""The server behind the operator's socket, on a thread of its own so that it answers whatever the engine does."""

import asyncio
import os
import socket
import struct
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, Self

from qts.codes import QtsError
from qts.ops.operator.contracts import Operator
from qts.ops.operator.desk import Desk
from qts.ops.operator.lane import Lane
from qts.ops.operator.messages import say
from qts.ops.operator.place import RunPlace, user_name
from qts.ops.operator.wire import MAX_REQUEST_BYTES, Refusal, Request, body_of, failure, parse, success

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.ops.operator.interfaces import OperatorPort

MAX_CONNECTIONS: Final = 16
IDLE_S: Final = 10.0
"""How long a connection may take for a whole request, or stay silent."""
_WRITE_S: Final = 5.0
_CLOSE_S: Final = 2.0
"""How long answers under way may take once the server closes."""
_CREDENTIALS: Final = struct.Struct("3i")


class OperatorServer:
    """Answers at `QTS_HOME/run/engine.sock` until it is closed.

    `status` is answered at once. `kill` and `pause` have a thread each and wait for no other command; all other
    commands are carried out one after the other on another one. Requests come from the user who runs the engine, or
    from root.

    Args:
        home: `QTS_HOME`, or its run directory if the caller holds it already; `close` lets go of it in either case.
        port: what stands behind the desk.
        clock: measures how old a status is.
        idle_s: how long a connection may take for a request.

    Raises:
        UsageError: an engine runs already in this home, or its run directory cannot be used.
    """

    def __init__(self, home: Path | RunPlace, port: "OperatorPort", clock: "Clock", *, idle_s: float = IDLE_S) -> None:
        self._desk = Desk(port, clock)
        self._idle_s = idle_s
        self._place = home if isinstance(home, RunPlace) else RunPlace(home)
        try:
            self._listener = self._place.listen()
        except QtsError:
            self._place.close()
            raise
        self._loop = asyncio.new_event_loop()
        self._commands = Lane("qts-operator-commands")
        self._own = {verb: Lane(f"qts-operator-{verb}") for verb in ("kill", "pause")}
        self._closing = asyncio.Event()
        self._ended: str | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._thread = Thread(target=self._run, name="qts-operator-desk", daemon=True)
        self._thread.start()

    @property
    def socket_path(self) -> Path:
        """Where the socket lies."""
        return self._place.socket_path

    def close(self, ended: str | None = None) -> None:
        """Tell who waits how the engine has ended, close the socket and let go of the home. May block for seconds."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._begin_closing, ended)
            self._thread.join()
        self._place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin_closing(self, ended: str | None) -> None:
        self._ended = ended
        self._closing.set()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            for lane in (self._commands, *self._own.values()):
                lane.close()
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_unix_server(self._connected, sock=self._listener, limit=MAX_REQUEST_BYTES)
        await self._closing.wait()
        server.close()
        # All tasks, so that a connection which is only just being accepted is closed as well.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            _, late = await asyncio.wait(others, timeout=_CLOSE_S)
            for task in late:
                task.cancel()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        self._connections.add(task)
        try:
            await self._answer_all(reader, writer)
        except (OSError, TimeoutError):
            pass  # who asked has gone
        finally:
            writer.close()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.wait_closed(), _WRITE_S)
            self._connections.discard(task)

    async def _answer_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            by = self._admit(writer.get_extra_info("socket"))
            while not self._closing.is_set():
                line = await self._line(reader)
                if not line:
                    return
                await _send(writer, await self._answer(line, by))
        except Refusal as refusal:  # after these the connection is of no more use
            await _send(writer, failure(refusal.body))

    def _admit(self, connection: Any) -> Operator:  # noqa: ANN401 - asyncio's wrapper of a socket
        by = _peer(connection)
        if len(self._connections) > MAX_CONNECTIONS:
            raise Refusal("busy", say("too_many", most=MAX_CONNECTIONS), say("too_many_expected"))
        return by

    async def _line(self, reader: asyncio.StreamReader) -> bytes:
        """Return the next request, empty at the end."""
        reading = asyncio.ensure_future(reader.readuntil(b"\n"))
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({reading, closing}, timeout=self._idle_s, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                return reading.result()
            if self._closing.is_set():
                return b""
            seconds = f"{self._idle_s:g}"
            raise Refusal("slow", say("too_slow", seconds=seconds), say("too_slow_expected"))
        except asyncio.IncompleteReadError as error:
            return error.partial
        except asyncio.LimitOverrunError:
            most = MAX_REQUEST_BYTES
            raise Refusal("too_long", say("too_long", most=most), say("too_long_expected", most=most)) from None
        finally:
            reading.cancel()
            closing.cancel()

    async def _answer(self, line: bytes, by: Operator) -> bytes:
        try:
            request = parse(line)
            self._desk.require(request.verb, request.lang)
        except Refusal as refusal:
            return failure(refusal.body)
        try:
            return success(await self._result(request, by))
        except QtsError as error:
            return failure(body_of(error))
        except Exception as error:
            lang, reason = request.lang, f"{type(error).__name__}: {error}"
            found = say("failed", lang, verb=request.verb, reason=reason)
            hint = say("failed_hint", lang)
            return failure(Refusal("failed", found, say("failed_expected", lang), hint, exit_code=1).body)

    async def _result(self, request: Request, by: Operator) -> dict[str, object]:
        verb, args = request.verb, dict(request.args)
        wait = verb == "stop" and args.pop("wait", False)
        if verb in {"status", "override.show", "stop"}:
            result = self._desk.do(verb, args, by)
        else:
            lane = self._own.get(verb, self._commands)
            result = await asyncio.wrap_future(lane.submit(partial(self._desk.do, verb, args, by)))
        if wait:
            await self._closing.wait()
            result["ended"] = self._ended
        return result


async def _send(writer: asyncio.StreamWriter, line: bytes) -> None:
    writer.write(line)
    await asyncio.wait_for(writer.drain(), _WRITE_S)


def _peer(connection: Any) -> Operator:  # noqa: ANN401 - asyncio's wrapper of a socket
    """Return who is at the other end, as the kernel knows it.

    Raises:
        Refusal: that is neither the user who runs this process nor root.
    """
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(packed)
    if uid not in {os.geteuid(), 0}:
        raise Refusal("forbidden", say("forbidden", uid=uid), say("no_way_expected"))
    return Operator(uid, user_name(uid), pid)
