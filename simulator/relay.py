"""A link between a device and the broker that a test can slow, delay, cut and mute: a TCP relay in user space.

Decided here: all connections through one relay share its rate in each direction, as those of one vehicle share its
modem; what waits is bounded as in a router's buffer, and past it the sender is held up. Nothing is lost or reordered
within a connection, since TCP below hides that; a cut loses everything that was on its way.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

CHUNK_BYTES = 16 * 1024
BUFFER_BYTES = 128 * 1024
SOCKET_BYTES = 64 * 1024
START_S = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What a link carries: bits a second each way (0: unlimited) and the time one way."""

    rate_bps: int = 0
    delay_s: float = 0.0
    buffer_bytes: int = BUFFER_BYTES


@dataclass(slots=True)
class _Lane:
    """One direction of a link: when its line is free again."""

    free_at_s: float = 0.0


@dataclass(eq=False, slots=True)
class Relay:
    """One link; `port` is where the device connects. Methods may be called from any thread.

    `carried` counts the bytes that were taken from the device and from the other side, of each connection in turn.
    """

    loop: asyncio.AbstractEventLoop
    upstream: tuple[str, int]
    shape: Shape
    port: int = 0
    carried: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    _open: set[asyncio.StreamWriter] = field(default_factory=set)
    _lanes: tuple[_Lane, _Lane] = field(default_factory=lambda: (_Lane(), _Lane()))
    _muted: asyncio.Event = field(default_factory=asyncio.Event)

    def cut(self) -> None:
        """Reset every connection; new ones are taken at once."""
        self.loop.call_soon_threadsafe(self._abort)

    def mute(self) -> None:
        """Let nothing through any more; connections stay open and silent until `unmute`."""
        self.loop.call_soon_threadsafe(self._muted.clear)

    def unmute(self) -> None:
        """Let through what waits."""
        self.loop.call_soon_threadsafe(self._muted.set)

    async def serve(self) -> None:
        """Listen on a free port of this machine."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_BYTES)
        self.port = int(listener.getsockname()[1])
        self._muted.set()
        await asyncio.start_server(self._connected, sock=listener, limit=CHUNK_BYTES)

    def _abort(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self.upstream, limit=CHUNK_BYTES)
        except OSError:
            writer.transport.abort()
            return
        both, place = {writer, far_writer}, len(self.carried[0])
        for counts in self.carried:
            counts.append(0)
        self._open |= both
        for one in both:
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        up = asyncio.create_task(self._carry(reader, far_writer, 0, place))
        down = asyncio.create_task(self._carry(far_reader, writer, 1, place))
        with contextlib.suppress(asyncio.CancelledError):  # the loop ends, and asyncio would print that as an error
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        for one in both:
            one.transport.abort()
        self._open -= both
        for task in (up, down):
            task.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await task

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: int, place: int) -> None:
        """One direction (0 is from the device) of the connection at that place."""
        lane = self._lanes[way]
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivery = asyncio.create_task(self._deliver(waiting, writer))
        try:
            while data := await reader.read(CHUNK_BYTES):
                self.carried[way][place] += len(data)
                await self._muted.wait()
                await self._line(lane, len(data))
                waiting.put_nowait((lane.free_at_s + self.shape.delay_s, data))
            await self._drained(waiting, delivery)
        except OSError:
            return
        finally:
            delivery.cancel()

    async def _line(self, lane: _Lane, size: int) -> None:
        """Take the line for so many bytes; wait while the buffer before it is full."""
        now_s = self.loop.time()
        lane.free_at_s = max(lane.free_at_s, now_s)
        if not self.shape.rate_bps:
            return
        lane.free_at_s += size * 8 / self.shape.rate_bps
        full_s = self.shape.buffer_bytes * 8 / self.shape.rate_bps
        if lane.free_at_s - now_s > full_s:
            await asyncio.sleep(lane.free_at_s - now_s - full_s)

    async def _deliver(self, waiting: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        while True:
            due_s, data = await waiting.get()
            wait_s = due_s - self.loop.time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self._muted.wait()
            writer.write(data)
            await writer.drain()
            waiting.task_done()

    async def _drained(self, waiting: asyncio.Queue[tuple[float, bytes]], delivery: asyncio.Task[None]) -> None:
        joined = asyncio.create_task(waiting.join())
        await asyncio.wait((joined, delivery), return_when=asyncio.FIRST_COMPLETED)
        joined.cancel()


class Relays:
    """Links to one broker, carried by a thread of their own; a context manager that closes them."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relays", daemon=True)

    def __enter__(self) -> Relays:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._wait(self._cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(START_S)
        self._loop.close()

    def add(self, shape: Shape | None = None) -> Relay:
        """One more link; connect to its `port`."""
        relay: Relay = self._wait(self._make(shape or Shape()))
        return relay

    async def _make(self, shape: Shape) -> Relay:
        relay = Relay(self._loop, self._upstream, shape)
        await relay.serve()
        return relay

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _wait(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S)
