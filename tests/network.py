"""A network that can be cut: a TCP relay between a program and a real server."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class Relay:
    """Relays connections to one server, until it is told to reset them, to swallow everything, or to cut at a word."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._server: asyncio.Server | None = None
        self._swallowing: set[asyncio.StreamWriter] = set()
        self.connections = 0
        self.cut_at: Callable[[bytes], bool] | None = None
        self.forward_what_cuts = True
        self.cuts = 0

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        await asyncio.sleep(0)

    def reset(self) -> None:
        """Reset every connection (RST), on both sides."""
        for pair in list(self._pairs):
            for writer in pair:
                _abort(writer)

    def swallow(self) -> None:
        """From now on the present connections carry nothing and say nothing; later ones work."""
        for pair in self._pairs:
            self._swallowing.update(pair)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        except OSError:
            _abort(writer)
            return
        pair = (writer, up_writer)
        self._pairs.add(pair)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(reader, up_writer, pair, self._is_cut))
                group.create_task(self._carry(up_reader, writer, pair, lambda _: False))
        except (OSError, BaseExceptionGroup):
            pass
        finally:
            self._pairs.discard(pair)
            for one in pair:
                one.close()

    def _is_cut(self, data: bytes) -> bool:
        return self.cut_at is not None and self.cut_at(data)

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        pair: tuple[asyncio.StreamWriter, asyncio.StreamWriter],
        is_cut: Callable[[bytes], bool],
    ) -> None:
        while data := await reader.read(65_536):
            if writer in self._swallowing:
                continue
            if is_cut(data):
                self.cut_at = None
                self.cuts += 1
                if self.forward_what_cuts:
                    _abort(pair[0])
                    writer.write(data)
                    await writer.drain()
                    await asyncio.sleep(0.2)  # the server acts on it; its answer has nowhere to go
                raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        for one in pair:
            one.close()
        raise ConnectionResetError


def _abort(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.fileno() >= 0:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def relay(host: str, port: int) -> AsyncIterator[Relay]:
    """A relay to one server until the end of the block."""
    made = Relay(host, port)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()
