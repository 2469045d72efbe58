"""One connection to the simulated SignalR hub: handshake, calls, pings and its end.

The JSON hub protocol over any transport (docs/protocols/websocket_v2.md, section 6.2).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable
from typing import Any

import orjson

from wsfeeds.simulators.faults import Frame
from wsfeeds.simulators.signalr_compression import packed
from wsfeeds.simulators.signalr_hub import EVENT, HubError, OddsHub
from wsfeeds.simulators.signalr_options import SignalROptions
from wsfeeds.simulators.signalr_outlet import RS, RecordOutlet

Ticks = Callable[[], AsyncGenerator[int, None]]
_CANCELED = "Handshake was canceled."
_FAILED = "Connection closed with an error."


class HubConnection:
    """One client of the hub, whatever transport it came by.

    Args:
        number: 1, 2, 3 … in the order of the connections.
        connection_id: What the client may know it by.
        token: What its requests name it by; unguessable.
        options: The simulator's options.
        outlet: Takes what the server sends.
        hub: Its hub.
        ticks: Paces the pushes.
    """

    def __init__(
        self,
        number: int,
        connection_id: str,
        token: str,
        *,
        options: SignalROptions,
        outlet: RecordOutlet,
        hub: OddsHub,
        ticks: Ticks,
    ) -> None:
        self.number = number
        self.id = connection_id
        self.token = token
        self.transport: str | None = None
        self.outlet = outlet
        self.poll: asyncio.Future[list[Frame]] | None = None
        self.pushed = 0
        self._options = options
        self._hub = hub
        self._ticks = ticks
        self._handshaken = asyncio.Event()
        self._news = asyncio.Event()
        self._unfinished = ""
        self._ids = itertools.count(1)
        self._asked: set[str] = set()
        self._clock = asyncio.get_running_loop().time
        self._sent_at = self._heard_at = self._clock()

    async def run(self, *, ends: bool) -> None:
        """Serve the client until the connection is over.

        Args:
            ends: Whether the option `end` is for this connection.
        """
        try:
            async with asyncio.timeout(self._options.handshake_timeout):
                await self._handshaken.wait()
        except TimeoutError:
            self._reply({"error": _CANCELED})
            self.outlet.end()
            return
        tasks = [asyncio.ensure_future(work) for work in (self._push(), self._watch())]
        if ends:
            tasks.append(asyncio.ensure_future(self._end()))
        try:
            while not self.outlet.over:
                self._news.clear()
                await self._news.wait()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def feed(self, text: str) -> None:
        """Take what the client sent: records, which need not be whole."""
        if self.outlet.over:
            return
        self.heard()
        *records, self._unfinished = (self._unfinished + text).split(RS)
        longest = max(len(each.encode()) for each in (*records, self._unfinished))
        if longest > self._options.max_message:
            self._fail()
            return
        for record in records:
            if not self._take(record):
                return

    def heard(self) -> None:
        """Note that the client lives."""
        self._heard_at = self._clock()

    def snap(self) -> None:
        """Break the connection at once."""
        self.outlet.snap()
        self._news.set()

    def over(self) -> None:
        """The transport is gone, or the client said goodbye."""
        self.outlet.end()
        self._news.set()

    def _take(self, record: str) -> bool:
        """Read one record; tell whether the next one is to be read."""
        try:
            message = orjson.loads(record)
        except orjson.JSONDecodeError:
            message = None
        if not isinstance(message, dict):
            self._fail()
            return False
        if self._handshaken.is_set():
            self._obey(message)
            return True
        return self._handshake(message)

    def _handshake(self, message: dict[str, Any]) -> bool:
        error = None
        if "protocol" not in message:
            error = "Expected a handshake request message."  # nothing else goes before it
        elif message["protocol"] != "json":
            error = f"The protocol '{message['protocol']}' is not supported."
        elif message.get("version") != 1:
            error = f"The server does not support version {message.get('version')} of the protocol."
        if error is not None:
            self._reply({"error": error})
            self.over()
            return False
        self._reply({})
        self._handshaken.set()
        if self._options.ask:
            self._asked.add("s1")
            self._reply({"type": 1, "invocationId": "s1", "target": "GetState", "arguments": []})
        return True

    def _obey(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case 1:
                self._invoke(message)
            case 3:
                if message.get("invocationId") in self._asked:
                    self._asked.discard(message["invocationId"])
                    answer = {key: message[key] for key in ("result", "error") if key in message}
                    self._reply({"type": 1, "target": EVENT, "arguments": [{"answer": answer}]})
            case 4:
                self._stream(message)
            case 7:
                self.over()
            case _:
                pass  # pings, cancellations and what a later version knows

    def _invoke(self, message: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"type": 3, "invocationId": message.get("invocationId")}
        try:
            method = str(message.get("target"))
            answer["result"] = self._hub.call(method, message.get("arguments") or [])
        except HubError as error:
            answer["error"] = str(error)
        if "invocationId" in message:
            self._reply(answer)

    def _stream(self, message: dict[str, Any]) -> None:
        """Count, the only stream of the hub, gives the numbers below its argument."""
        call = message.get("invocationId")
        if str(message.get("target")).lower() != "count":
            self._reply({"type": 3, "invocationId": call, "error": "Method does not exist."})
            return
        for item in range(int((message.get("arguments") or [3])[0])):
            self._reply({"type": 2, "invocationId": call, "item": item})
        self._reply({"type": 3, "invocationId": call})

    async def _push(self) -> None:
        async for due in self._ticks():
            for _ in range(due):
                await self.outlet.room()
                if (pushed := self._hub.push()) is not None:
                    method, arguments = pushed
                    arguments = [packed(each, self._options.compress) for each in arguments]
                    self._sent_at = self._clock()
                    call = {"type": 1, "target": method, "arguments": arguments}
                    self.pushed += 1
                    self.outlet.push(orjson.dumps(call).decode() + RS)

    async def _watch(self) -> None:
        """Ping when nothing else was sent, and give up a client that says nothing."""
        while True:
            ping_at = self._sent_at + self._options.keepalive
            dead_at = self._heard_at + self._options.client_timeout
            now = self._clock()
            if now >= dead_at:
                self._fail()
                return
            if now >= ping_at:
                self._reply({"type": 6})
            else:
                await asyncio.sleep(min(ping_at, dead_at) - now)

    async def _end(self) -> None:
        await asyncio.sleep(self._options.end_after)
        match self._options.end:
            case "drop" | "gone":
                self.snap()
            case "close":
                self._reply({"type": 7, "error": _FAILED})
            case "close-reconnect":
                self._reply({"type": 7, "error": _FAILED, "allowReconnect": True})
            case "silence":
                self.outlet.stall()
                return
        self.over()

    def _fail(self) -> None:
        shaken = self._handshaken.is_set()
        self._reply({"type": 7, "error": _FAILED} if shaken else {"error": _CANCELED})
        self.over()

    def _reply(self, message: dict[str, Any]) -> None:
        self._sent_at = self._clock()
        self.outlet.reply(orjson.dumps(message).decode() + RS)
