"""One connection to the simulated ASP.NET SignalR 2.x server: a log of calls, read from a cursor.

A transport may come and go; what was pushed meanwhile is replayed from the client's cursor
(docs/protocols/websocket_v2.md, section 6.3).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from typing import Any

import orjson

from wsfeeds.simulators.faults import FrameFaults
from wsfeeds.simulators.signalr_compression import packed
from wsfeeds.simulators.signalr_hub import HubError, OddsHub
from wsfeeds.simulators.signalr_options import LegacyOptions

Message = dict[str, Any]
Ticks = Callable[[], AsyncGenerator[int, None]]
_KEPT = 2048
_MOST_WAITING = 256
_MOST_AT_ONCE = 50


class Reader:
    """What one request or socket takes from the log; a later one takes its place.

    Args:
        connection: Whose log.
        cursor: The number of the last call that the client knows.
    """

    def __init__(self, connection: LegacyConnection, cursor: int) -> None:
        self.cursor = cursor
        self._connection = connection
        self._news = asyncio.Event()
        self._last: Message | None = None
        self._over = self._snapped = self._stalled = False

    async def next(self, patience: float) -> Message | None:
        """Wait for calls; `{}` when none came in time, None at the end.

        Raises:
            ConnectionResetError: The connection is to be broken.
        """
        try:
            async with asyncio.timeout(patience):
                return await self._wait()
        except TimeoutError:
            return await self._wait() if self._stalled else {}

    def wake(self) -> None:
        """There is something new in the log."""
        self._news.set()

    def end(self, last: Message | None = None) -> None:
        """Let the client have what is in the log and perhaps a last word, then nothing more."""
        self._last = last
        self._over = True
        self._news.set()

    def snap(self) -> None:
        """Break the transport at once."""
        self._snapped = True
        self._news.set()

    def stall(self) -> None:
        """Fall silent, keepalives too."""
        self._stalled = True

    def replace(self) -> None:
        """Give way to a later transport."""
        self._stalled = False
        self.cursor = self._connection.last
        self.end()

    async def _wait(self) -> Message | None:
        while True:
            if self._snapped:
                raise ConnectionResetError("the connection is broken on purpose")
            if not self._stalled and (message := self._ready()) is not None:
                return message
            if self._over:
                return None
            self._news.clear()
            await self._news.wait()

    def _ready(self) -> Message | None:
        calls = self._connection.after(self.cursor)
        last, self._last = self._last, None
        if not calls and last is None:
            return None
        self.cursor += len(calls)
        self._connection.taken_to(self.cursor)
        if last is not None and last.keys() & {"E", "D"}:
            self._connection.finish()
        return self._framed(calls, **(last or {}))

    def _framed(self, calls: list[Message], **more: Any) -> Message:
        message: Message = {"C": self._connection.cursor(self.cursor)}
        if calls:
            message["G"] = self._connection.groups
        return message | {"M": calls} | more


class LegacyConnection:
    """One client, from its negotiation until it is forgotten.

    Args:
        number: 1, 2, 3 … in the order of the connections.
        connection_id: What the client may know it by.
        token: What its requests name it by; unguessable.
        groups: Its groups token.
        options: The simulator's options.
        faults: What happens to data messages.
        hub: Its hub.
        ticks: Paces the pushes.
    """

    def __init__(
        self,
        number: int,
        connection_id: str,
        token: str,
        groups: str,
        *,
        options: LegacyOptions,
        faults: FrameFaults,
        hub: OddsHub,
        ticks: Ticks,
    ) -> None:
        self.number = number
        self.id = connection_id
        self.token = token
        self.groups = groups
        self.faults = faults
        self.reader: Reader | None = None
        self.polled: deque[bytes] = deque()
        """Lists of calls that are left for the next polls."""
        self.connected = self.over = False
        self.last = 0
        self._options = options
        self._hub = hub
        self._ticks = ticks
        self._log: deque[tuple[int, Message]] = deque(maxlen=_KEPT)
        self._taken = 0
        self._room = asyncio.Event()
        self._ended = asyncio.Event()
        self._strikes: Callable[[Reader], None] | None = None
        self._left_at: float | None = None

    # --- transports

    def attach(self, cursor: int) -> Reader:
        """Let a transport read from behind a cursor; the one before gives way."""
        if self.reader is not None:
            self.reader.replace()
        self._left_at = None
        self.reader = Reader(self, min(max(cursor, 0), self.last))
        if self._strikes is not None:
            strike, self._strikes = self._strikes, None
            strike(self.reader)
        return self.reader

    def detach(self, reader: Reader) -> None:
        """A transport is gone."""
        if self.reader is reader:
            self.reader = None
            self._left_at = asyncio.get_running_loop().time()

    def cursor(self, number: int) -> str:
        """Write a place in the log as the client sees it."""
        return f"d-{self.id[:8]}-{self.number},{number}"

    def place(self, cursor: str | None) -> int:
        """Read a cursor; one that is not ours is the beginning."""
        head, _, number = (cursor or "").rpartition(",")
        known = head == self.cursor(0).rpartition(",")[0] and number.isdecimal()
        return int(number) if known else 0

    def after(self, number: int) -> list[Message]:
        """Give the calls behind a place in the log, some of them if there are many."""
        if number >= self.last:
            return []
        return [call for at, call in self._log if at > number][:_MOST_AT_ONCE]

    def taken_to(self, number: int) -> None:
        """Note how far the client has read."""
        self._taken = max(self._taken, number)
        self._room.set()

    def finish(self) -> None:
        """Forget the client."""
        self.over = True
        self._ended.set()
        if self.reader is not None:
            self.reader.end()

    def strike(self, blow: Callable[[Reader], None]) -> None:
        """Let something happen to the transport, to the next one if there is none just now."""
        if self.reader is not None:
            blow(self.reader)
        else:
            self._strikes = blow

    # --- the hub

    def call(self, data: str) -> list[Message]:
        """Carry out a client's call; the last message answers it."""
        try:
            call = orjson.loads(data)
        except orjson.JSONDecodeError:
            return []
        if not isinstance(call, dict):
            return []
        number = {"I": str(call.get("I"))}
        hub = str(call.get("H"))
        if hub.lower() != self._hub.name.lower():
            return [number | {"E": f"'{hub}' Hub could not be resolved."}]
        method, arguments = str(call.get("M")), call.get("A") or []
        if method.lower() == "count":
            progress = [{"I": f"P|{number['I']}", "P": number | {"D": each}} for each in range(3)]
            return [*progress, number | {"R": 3}]
        try:
            return [number | {"R": self._hub.call(method, arguments)}]
        except HubError as error:
            return [number | {"E": str(error)}]

    # --- life

    async def run(self, *, ends: bool) -> None:
        """Push to the client until it is forgotten.

        Args:
            ends: Whether the option `end` is for this connection.
        """
        works = [self._push(), self._expire()]
        if ends:
            works.append(self._end())
        tasks = [asyncio.ensure_future(work) for work in works]
        try:
            await self._ended.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _push(self) -> None:
        async for due in self._ticks():
            for _ in range(due):
                while self.last - self._taken >= _MOST_WAITING:
                    self._room.clear()
                    await self._room.wait()
                if (pushed := self._hub.push()) is not None:
                    method, arguments = pushed
                    self._add(method, [packed(each, self._options.compress) for each in arguments])

    def _add(self, method: str, arguments: list[Any]) -> None:
        self.last += 1
        self._log.append((self.last, {"H": self._hub.name, "M": method, "A": arguments}))
        if self.reader is not None:
            self.reader.wake()

    async def _expire(self) -> None:
        clock = asyncio.get_running_loop().time
        limit = self._options.disconnect_timeout
        while True:
            left = self._left_at
            if left is not None and clock() >= left + limit:
                self.finish()
            await asyncio.sleep(max(left + limit - clock(), 0.01) if left else min(limit, 1.0))

    async def _end(self) -> None:
        await asyncio.sleep(self._options.end_after)
        match self._options.end:
            case "drop":
                self.strike(Reader.snap)
            case "clean":
                self.strike(Reader.end)
            case "silence":
                self.strike(Reader.stall)
            case "reconnect":
                self.strike(lambda reader: reader.end({"T": 1}))
            case "error":
                self.strike(lambda reader: reader.end({"E": "The server had to stop."}))
            case "disconnect":
                self.strike(lambda reader: reader.end({"D": 1}))
            case "gone":
                self.strike(Reader.snap)
                self.finish()
