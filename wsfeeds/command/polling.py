"""Engine.IO over HTTP long polling; docs/protocols/websocket_v2.md, section 6.4.

One GET and one POST at a time: whoever polls waits for its packets to be worked off, whoever sends
leaves packets in a list that one task posts in order.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
from collections.abc import Callable, Sequence

import msgspec

from wsfeeds.command.route import CutShort, Reply, Route, refusal
from wsfeeds.command.variants import Ended, Listener, Unusable
from wsfeeds.errors import Transient, WsfeedsError
from wsfeeds.transport import retry_after

_SEPARATOR = "\x1e"
_HIGH_WATER = 1_000
_GOODBYE_WITHIN = 2.0
_OLD_VERSION = 5
"""Engine.IO's code for "Unsupported protocol version"."""


class _Complaint(msgspec.Struct):
    """The body of an Engine.IO error."""

    code: int | None = None
    message: str = ""


class Polling:
    """The polling transport of one Engine.IO session."""

    def __init__(
        self, route: Route, url: str, listener: Listener, take: Callable[[str | bytes], None]
    ) -> None:
        """Poll `url`; `take` gets each packet, binary ones as bytes."""
        self.url = url
        self.payload_limit = 1_000_000
        self.silence = 60.0
        """Seconds after which a poll without answer is given up."""
        self._route = route
        self._listener = listener
        self._take = take
        self._readable = asyncio.Event()
        self._readable.set()
        self._waiting: list[str] = []
        self._wanted = asyncio.Event()
        self._posted = asyncio.Event()
        self._posted.set()
        self._writing = False
        self._stopping = False
        self._stopped = asyncio.Event()

    async def open(self) -> None:
        """Make the first poll, which the open packet answers.

        Raises:
            WsfeedsError: The server refuses, as its status says.
        """
        reply = await self._route.fetch("GET", self.url)
        if reply.status != 200:
            raise _refused(reply, "the first poll")
        self._hand_over(reply)

    def start(self) -> None:
        """Poll and post from now on."""
        self._listener.spawn(self._poll())
        self._listener.spawn(self._write())

    def pause(self) -> None:
        """Begin no further poll."""
        self._readable.clear()

    def resume(self) -> None:
        """Poll again."""
        self._readable.set()

    def post(self, packet: str) -> None:
        """Send a packet after those before it.

        Raises:
            Transient: The server has taken none for a long time.
        """
        if len(self._waiting) >= _HIGH_WATER:
            raise Transient(f"{_HIGH_WATER} messages wait to be posted already")
        self._waiting.append(packet)
        self._posted.clear()
        self._wanted.set()

    async def finish(self) -> None:
        """Return when everything is posted and the last poll is worked off (for an upgrade)."""
        self._stopping = True
        await self._posted.wait()
        await self._stopped.wait()

    async def say(self, packets: Sequence[str]) -> None:
        """Send the last packets, after all others: within two seconds, or not at all."""
        with contextlib.suppress(TimeoutError, WsfeedsError):
            async with asyncio.timeout(_GOODBYE_WITHIN):
                if self._writing:
                    for packet in packets:
                        self.post(packet)
                    await self._posted.wait()
                else:
                    await self._post(list(packets))

    async def _poll(self) -> None:
        while not self._stopping:
            await self._readable.wait()
            try:
                reply = await self._route.fetch("GET", self.url, timeout=self.silence)
            except CutShort as error:
                self._save(error.reply)
                raise
            if reply.status != 200:
                self._listener.on_ended(_ended(reply))
                return
            self._hand_over(reply)
            await asyncio.sleep(0)  # a server that answers at once must not starve the rest
        self._stopped.set()

    def _save(self, reply: Reply) -> None:
        """Hand over the packets of an answer that broke off; the last one is none."""
        if reply.status != 200:
            return
        whole, _, half = reply.body.rpartition(_SEPARATOR.encode())
        self._hand_over(Reply(200, reply.headers, whole))
        if half:
            self._listener.on_malformed("an answer broke off within a packet", half)

    def _hand_over(self, reply: Reply) -> None:
        self._listener.on_data()
        try:
            content = reply.body.decode()
        except UnicodeDecodeError as error:
            self._listener.on_malformed(str(error), reply.body)
            content = ""
        for part in content.split(_SEPARATOR):
            if part[:1] == "b":
                try:
                    self._take(base64.b64decode(part[1:], validate=True))
                except binascii.Error as error:
                    self._listener.on_malformed(f"bad base64: {error}", part.encode())
            elif part:
                self._take(part)
        self._listener.on_read()

    async def _write(self) -> None:
        self._writing = True
        try:
            while True:
                await self._wanted.wait()
                self._wanted.clear()
                while self._waiting:
                    await self._post(self._next())
                self._posted.set()
        except Transient as error:
            self._listener.on_error(error.message, "send")
            self._listener.on_fault(error)
        finally:
            self._writing = False
            self._posted.set()

    def _next(self) -> list[str]:
        """Take as many packets as fit into one payload, one at least."""
        size = count = 0
        for packet in self._waiting:
            size += len(packet.encode()) + 1
            if count and size > self.payload_limit:
                break
            count += 1
        packets, self._waiting = self._waiting[:count], self._waiting[count:]
        return packets

    async def _post(self, packets: list[str]) -> None:
        content = _SEPARATOR.join(packets)
        reply = await self._route.fetch("POST", self.url, content=content, headers=_TEXT)
        if reply.status != 200:
            wait = retry_after.seconds(reply.headers.get("retry-after"))
            told = _refused(reply, "a POST").message
            raise Transient(told, code=reply.status, retry_after=wait)


_TEXT = {"Content-Type": "text/plain;charset=UTF-8"}


def _complaint(reply: Reply) -> _Complaint:
    try:
        return msgspec.json.decode(reply.body, type=_Complaint)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _Complaint()


def _refused(reply: Reply, what: str) -> WsfeedsError:
    error = refusal(reply.status, what, reply.headers)
    complaint = _complaint(reply)
    if complaint.code == _OLD_VERSION:
        return Unusable(
            f"the server speaks another version of Engine.IO than 4: {complaint.message}"
        )
    if complaint.message:
        error.args = (f"{error.message} ({complaint.message})",)
        error.message = error.args[0]
    return error


def _ended(reply: Reply) -> Ended:
    """Return what a poll that is no success means: gone is the server's own close."""
    if reply.status in {204, 404}:
        return Ended(code=1000, reason="the session is gone", clean=True, by_server=True)
    error = _refused(reply, "a poll")
    wait = error.retry_after if isinstance(error, Transient) else None
    return Ended(code=1006, reason=error.message, error=error, retry_after=wait)
