"""What a protocol variant is: one connection that turns a server's talk into texts for `onMessage`.

The executor (`wsfeeds.command.executor`) makes a fresh `VariantSession` for each connection, opens
it and is told by plain calls what happens, without queue or task switch: `on_data` for each read,
`on_connected` once, `on_message` for each message, `on_read` when the read is used up, `on_ended`
once. A variant never retries by itself, runs no hooks and never looks at the document's commands.

Each module named in `_MODULES` has one subclass called `Client`.
"""

from __future__ import annotations

import asyncio
import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, cast

from wsfeeds.command.listener import Ended, Listener, Phase, SendFailed, Unusable
from wsfeeds.command.route import Route
from wsfeeds.command.spec import Params
from wsfeeds.errors import Transient
from wsfeeds.session.keepalive import WEBSOCKET_PING
from wsfeeds.transport.base import LOST, TOO_BIG, Connection

__all__ = [
    "Ended",
    "Listener",
    "Phase",
    "SendFailed",
    "SocketSession",
    "Unusable",
    "VariantSession",
    "find_variant",
]

_MODULES = {
    "native": "wsfeeds.command.native",
    "signalr": "wsfeeds.command.signalr",
    "signalr-legacy": "wsfeeds.command.signalr_legacy",
    "socketio": "wsfeeds.command.socketio",
}


class VariantSession(ABC):
    """One connection, from its first request to its goodbye."""

    parted = True
    """Whether the peer answered our close, as far as a transport can know; for `wasClean`."""

    def __init__(self, params: Params, route: Route, listener: Listener) -> None:
        """Prepare; nothing is opened.

        Args:
            params: The document's parameters, with all variables expanded.
            route: Makes every HTTP request and WebSocket upgrade of this connection.
            listener: Whom to tell.
        """
        self.params = params
        self.route = route
        self.listener = listener

    @classmethod
    def check(cls, params: Params) -> list[str]:
        """Return warnings about parameters that this variant ignores; called before anything opens.

        Raises:
            UsageError: A parameter cannot work with it; the message begins with its place.
        """
        del params
        return []

    @abstractmethod
    async def open(self) -> None:
        """Connect; return after `on_connected` has been called. What was opened is left to `close`.

        Raises:
            Transient: No connection could be made; another attempt may.
            CredentialsRefused: The server does not accept the credentials or the namespace.
            Unusable: Another attempt is pointless.
            UsageError: The URL, the proxy or a TLS setting cannot be used.
        """

    @abstractmethod
    def send(self, text: str) -> asyncio.Future[None] | None:
        """Send what a Send command says, mapped as protocol page section 6 tells; in order.

        A variant that sends by HTTP queues it for one task that posts in order, and returns a
        future that is done when the server has taken it; a `WsfeedsError` says why it has not.

        Raises:
            SendFailed: The connection is not open.
        """

    @abstractmethod
    def pause_reading(self) -> None:
        """Stop reading from the network (back-pressure); timers that watch silence stop too."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Read on, and start the watching of silence anew."""

    @abstractmethod
    async def close(self) -> None:
        """Say goodbye and close within some seconds; idempotent, works after any failure too."""

    def unfinished(self) -> Sequence[tuple[str, bytes]]:
        """Return what had arrived in part when the connection ended: what is wrong, and the bytes.

        Asked for once, after `close`; each one is reported as malformed.
        """
        return ()


class SocketSession(VariantSession):
    """Base of what speaks over one WebSocket: `received` is the codec; exceptions end it cleanly.

    It is the transport's listener and sends WebSocket pings, which keep middle boxes from
    forgetting the connection. Subclasses implement `open` (by `upgrade`), `received` and, where the
    defaults do not fit, `opened` and `closed`.
    """

    pongs_prove: ClassVar[bool] = False
    """Whether a missing WebSocket pong means that the peer is gone (no keepalive of its own)."""
    connection: Connection | None = None
    _ping_timer: asyncio.TimerHandle | None = None
    _pong_timer: asyncio.TimerHandle | None = None
    _told = False
    _ponged = False

    async def upgrade(self, url: str, headers: dict[str, str] | None = None) -> None:
        """Open the WebSocket; errors as for `open`."""
        await self.route.upgrade(url, self, headers)

    def opened(self) -> None:
        """Say what comes first; the default is a protocol that begins with nothing."""
        self.listener.on_connected()

    @abstractmethod
    def received(self, frame: bytes, binary: bool) -> None:
        """Take one message; text is not yet checked to be UTF-8.

        Raises:
            UnicodeDecodeError: It is not; reported as malformed.
        """

    def closed(self, code: int, reason: str) -> Ended:
        """Return how a closed socket is to be understood; 1006 is a dropped connection."""
        dropped = code == 1006
        return Ended(code=code, reason=reason, clean=not dropped, by_server=not dropped)

    def gone(self, code: int, reason: str) -> Ended:
        """Take leave of a socket that is gone; return how that is to be understood.

        Where this side gave up, `code` is its own: the server closed nothing.
        """
        connection, self.connection = self.connection, None
        self.parted = code != LOST
        self._stop_timers()
        if connection is None or not connection.gave_up:
            return self.closed(code, reason)
        told = f"the server broke the WebSocket protocol: {reason or code}"
        if code == TOO_BIG:
            told = f"a frame was larger than max_frame ({self.route.settings.max_frame} bytes)"
        return Ended(code=code, reason=reason, error=Transient(told, code=code))

    def send(self, text: str) -> asyncio.Future[None] | None:
        """Send one text frame as it is; nobody confirms it."""
        if self.connection is None:
            raise SendFailed("the connection is not open")
        self.connection.send(text)
        return None

    def pause_reading(self) -> None:
        """Leave the socket unread; a missing pong says nothing now."""
        self._expect_pong(False)
        if self.connection is not None:
            self.connection.pause_reading()

    def resume_reading(self) -> None:
        """Read the socket again."""
        if self.connection is not None:
            self.connection.resume_reading()

    async def close(self) -> None:
        """Close with 1000; subclasses say their goodbye first."""
        self._stop_timers()
        connection, self.connection = self.connection, None
        if connection is not None:
            self.parted = False
            await connection.close(within=self.route.close_within)

    # --- WebSocket pings

    def _schedule_ping(self) -> None:
        idle = self.route.settings.idle_timeout
        every = WEBSOCKET_PING if idle is None else min(WEBSOCKET_PING, idle / 2)
        self._ping_timer = asyncio.get_running_loop().call_later(every, self._ping)

    def _ping(self) -> None:
        if self.connection is not None:
            self.connection.ping()
            if self.pongs_prove and self._pong_timer is None and not self.listener.paused:
                self._expect_pong(True)
            self._schedule_ping()

    def _expect_pong(self, expected: bool) -> None:
        if self._pong_timer is not None:
            self._pong_timer.cancel()
            self._pong_timer = None
        if expected:
            wait = self.route.settings.pong_timeout
            self._pong_timer = asyncio.get_running_loop().call_later(wait, self._silent)

    def _silent(self) -> None:
        wait = self.route.settings.pong_timeout
        self.listener.on_ended(Ended(code=1006, reason=f"no pong within {wait:g} s", stale=True))

    def _stop_timers(self) -> None:
        self._expect_pong(False)
        if self._ping_timer is not None:
            self._ping_timer.cancel()

    # --- what the transport calls

    def on_open(self, connection: Connection) -> None:
        """Keep the connection and say what comes first."""
        self.connection = connection
        self._ponged = True  # nor is the answer to the upgrade a frame
        self._schedule_ping()
        try:
            self.opened()
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.listener.on_fault(error)

    def on_data(self) -> None:
        """Any bytes prove that the peer lives, but an answer to our ping is no activity of its."""
        self._told = self._ponged = False
        self._expect_pong(False)

    def on_frame(self, frame: bytes, binary: bool) -> None:
        """Read one message."""
        self._tell()
        try:
            self.received(frame, binary)
        except UnicodeDecodeError as error:
            self.listener.on_malformed(str(error), frame)
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.listener.on_fault(error)

    def on_read(self) -> None:
        """Pass on that the read is used up; neither frame nor pong: a ping, or half a frame."""
        if not self._ponged:
            self._tell()
        self.listener.on_read()

    def on_pong(self) -> None:
        """Remember that the read had an answer to our ping."""
        self._ponged = True

    def on_close(self, code: int, reason: str) -> None:
        """Tell how it ended."""
        try:
            self.listener.on_ended(self.gone(code, reason))
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.listener.on_fault(error)

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self.listener.on_data()


def find_variant(protocol: str) -> type[VariantSession]:
    """Return the class that speaks a `protocol` of the document."""
    module = importlib.import_module(_MODULES[protocol])
    return cast("type[VariantSession]", module.Client)
