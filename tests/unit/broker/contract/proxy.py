"""A line that can be cut: a TCP proxy between a client and a real server, in the test's own loop."""

import asyncio


class Proxy:
    """Passes bytes on until told otherwise. `answered` holds what the last request connection got back."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self._server: asyncio.Server | None = None
        self._pairs: dict[asyncio.StreamWriter, asyncio.StreamWriter] = {}
        self._streams: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()
        self.port = 0
        self.answered = bytearray()
        self.is_refusing = False
        self.is_stalled = False
        self.cut_at: int | None = None
        """After so many bytes of what comes back from now on, requests' connections are cut; None = never."""
        self.garbage: bytes | None = None
        """Sent to the client instead of the next thing that comes back."""

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        self.drop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def drop(self, *, requests: bool = True, stream: bool = True) -> None:
        """Reset connections."""
        for client, server in tuple(self._pairs.items()):
            if stream if client in self._streams else requests:
                client.transport.abort()
                server.transport.abort()

    def forget(self) -> None:
        self.answered.clear()

    async def _accept(self, reader, writer):
        if self.is_refusing:
            writer.transport.abort()
            return
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        self._pairs[writer] = server_writer
        for pump in (self._up(reader, writer, server_writer), self._down(server_reader, writer)):
            task = asyncio.create_task(pump)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _up(self, reader, client, server):
        try:
            while data := await reader.read(65_536):
                if b'"subscribe"' in data:
                    self._streams.add(client)
                server.write(data)
        except OSError:
            pass
        finally:
            server.transport.abort()

    async def _down(self, reader, client):
        try:
            while data := await reader.read(65_536):
                is_stream = client in self._streams
                if not is_stream:
                    data = self._spoiled(data)
                if data and not self.is_stalled:
                    client.write(data)
                if self.cut_at is not None and not is_stream and len(self.answered) >= self.cut_at:
                    break
        except OSError:
            pass
        finally:
            client.close()
            self._pairs.pop(client, None)

    def _spoiled(self, data: bytes) -> bytes:
        if self.garbage is not None:
            data, self.garbage = self.garbage, None
        if self.cut_at is not None:
            data = data[: max(0, self.cut_at - len(self.answered))]
        self.answered += data
        return data
