"""The `signalr` variant: ASP.NET Core SignalR; docs/protocols/websocket_v2.md, section 6.2."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from wsfeeds.command import signalr_messages as messages
from wsfeeds.command.listener import Ended, Listener, SendFailed, Unusable
from wsfeeds.command.route import Reply, Route, refusal
from wsfeeds.command.signalr_framing import RecordSplitter
from wsfeeds.command.signalr_negotiation import Agreement
from wsfeeds.command.signalr_pipes import Pipe, PollPipe, SocketPipe, ended_by
from wsfeeds.command.signalr_posting import Poster
from wsfeeds.command.signalr_pulse import Pulse
from wsfeeds.command.signalr_transports import Connector
from wsfeeds.command.spec import Params
from wsfeeds.command.variants import VariantSession
from wsfeeds.errors import CredentialsRefused, Transient, UsageError, WsfeedsError

NO_RECONNECT_WAIT = 30.0
_GOODBYE_WITHIN = 2.0
_TEXT = {"Content-Type": "text/plain;charset=UTF-8"}
_LOST = "the connection was lost"
_LOG = logging.getLogger("wsfeeds")


class Client(VariantSession):
    """One connection to a hub, by whichever transport works; times are in seconds."""

    ping_every: ClassVar[float] = 15.0
    silence: ClassVar[float] = 30.0
    handshake_within: ClassVar[float] = 15.0

    def __init__(self, params: Params, route: Route, listener: Listener) -> None:
        """Prepare; nothing is opened."""
        super().__init__(params, route, listener)
        self._methods = frozenset(params.signalr.methods if params.signalr else ())
        self._records = RecordSplitter(route.settings.max_frame)
        self._shaken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._agreement = Agreement(url=route.http(route.url))
        self._pipe: Pipe | None = None
        self._poster: Poster | None = None
        self._pulse: Pulse | None = None
        self._reading = asyncio.Event()
        self._reading.set()
        self._over = self._lost = False

    @classmethod
    def check(cls, params: Params) -> list[str]:
        """Refuse to skip the negotiation with a transport that cannot do without."""
        options = params.signalr
        if options is None or not options.skip_negotiation:
            return []
        if options.transport not in {None, "webSockets"}:
            raise UsageError(
                "params.signalr.skipNegotiation: needs the transport webSockets, "
                f"not {options.transport}"
            )
        return []

    # --- opening

    async def open(self) -> None:
        """Negotiate, connect by the first transport that works, shake hands."""
        connector = Connector(self.params, self.route, self.listener, self)
        self._pipe, self._agreement = await connector.connect()
        if not isinstance(self._pipe, SocketPipe):
            self._poster = Poster(
                self.listener,
                self._post,
                self._posted,
                self._unsent,
                within=self.route.settings.connect_timeout,
            )
        self._apply_pause()
        with contextlib.suppress(SendFailed):  # already lost: then that is known by now
            self._transmit(messages.HANDSHAKE)
        try:
            async with asyncio.timeout(self.handshake_within):
                await self._shaken
        except TimeoutError:
            self._over = True  # an answer that comes now comes too late
            raise Transient("the hub did not answer the handshake in time") from None

    # --- what arrives

    def taken(self, data: bytes) -> None:
        """Take a transport message: any part of one record, or several."""
        for record in self._records.feed(data):
            if self._lost:
                self.listener.on_skipped("after the end")
            elif self._over:
                return
            elif self._shaken.done():
                self._take(record)
            else:
                self._shake(record)

    def heard(self) -> None:
        """Something has arrived, whatever it was."""
        if self._pulse is not None:
            self._pulse.heard()

    def lost(self, pipe: Pipe, ended: Ended) -> None:
        """The transport has ended by itself."""
        if self._pipe in {None, pipe}:
            self._end(ended)

    def _shake(self, record: bytes) -> None:
        try:
            answer = messages.shaken_of(record)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._fail(Transient(f"the hub answered the handshake with something else: {error}"))
            return
        if answer.error is not None:
            self._fail(Unusable(f"the hub refused the handshake: {answer.error}"))
            return
        if answer.type is not None:
            self._fail(Transient("the hub sent a message instead of the handshake's answer"))
            return
        self._shaken.set_result(None)
        self._pulse = Pulse(
            silence=self.silence,
            on_silence=self._silent,
            every=self.ping_every,
            on_idle=self._ping,
        )
        self._apply_pause()
        if not isinstance(self._pipe, PollPipe):  # as the official client does
            self._ping()
        self.listener.on_connected()

    def _take(self, record: bytes) -> None:
        try:
            message = messages.message_of(record)
            text = record.decode()
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._unread(record, error)
            return
        match message.type:
            case messages.INVOCATION if message.target is None:
                self.listener.on_malformed("an invocation without a target", record)
            case messages.INVOCATION:
                self._invoked(message, text)
            case messages.STREAM_ITEM:
                self.listener.on_message(text)
            case messages.COMPLETION:
                if message.error is not None:
                    _LOG.warning("call %s failed: %s", message.invocation_id, message.error)
                self.listener.on_skipped("completions")
            case messages.CLOSING:
                self._closing(message)
            case kind if kind in messages.COUNTED:
                self.listener.on_skipped(messages.COUNTED[kind])
            case _:
                self.listener.on_unknown(record)

    def _unread(self, record: bytes, error: Exception) -> None:
        """Report what is no message that is known here."""
        if not record:
            self.listener.on_skipped("empty updates")
        elif messages.is_unknown(record):
            self.listener.on_unknown(record)
        else:
            self.listener.on_malformed(str(error), record)

    def _invoked(self, message: messages.Message, text: str) -> None:
        if not self._methods or message.target in self._methods:
            self.listener.on_message(text)
        else:
            self.listener.on_skipped("not asked for")
        if message.invocation_id is not None and not self._over:
            self._transmit(messages.no_result(message.invocation_id))

    def _closing(self, message: messages.Message) -> None:
        self._end(
            Ended(
                code=1000,
                reason=message.error or "",
                clean=True,
                by_server=True,
                retry_after=None if message.allow_reconnect else NO_RECONNECT_WAIT,
            )
        )

    # --- sending

    def send(self, text: str) -> asyncio.Future[None] | None:
        """Send a message of the hub protocol, see `signalr_messages.outgoing`."""
        if self._over or not self._shaken.done():
            raise SendFailed("the connection is not open")
        return self._transmit(messages.outgoing(text), ours=False)

    def _transmit(self, message: str, *, ours: bool = True) -> asyncio.Future[None] | None:
        taken = None
        if isinstance(self._pipe, SocketPipe):
            self._pipe.send(message)
        elif self._poster is not None:
            taken = self._poster.put(message, ours=ours)
        if self._pulse is not None:
            self._pulse.sent()
        return taken

    async def _post(self, message: str) -> Reply:
        agreement = self._agreement
        headers = _TEXT | agreement.headers
        return await self.route.fetch("POST", agreement.place, headers=headers, content=message)

    def _posted(self, reply: Reply) -> None:
        if reply.status == 404:
            ended = ended_by(reply, "a message")
            self._end(ended)
            raise SendFailed(ended.reason)
        if not 200 <= reply.status < 300:
            raise refusal(reply.status, "a message", reply.headers)
        if isinstance(self._pipe, PollPipe):
            self.heard()  # an idle poll says nothing for longer than silence may last

    def _unsent(self, error: WsfeedsError) -> None:
        if not self._shaken.done():
            self._fail(error)
        elif isinstance(error, CredentialsRefused):
            self._end(Ended(code=1006, reason=error.message, error=error, phase="send"))
        elif not self._over:
            self.listener.on_error(error.message, "send")

    # --- timers

    def _ping(self) -> None:
        with contextlib.suppress(SendFailed):
            self._transmit(messages.PING_RECORD)

    def _silent(self) -> None:
        told = f"nothing received for {self.silence:g} s"
        self._end(Ended(code=1006, reason=told, stale=True))

    # --- back-pressure

    def pause_reading(self) -> None:
        """Leave the transport unread; silence says nothing now."""
        self._reading.clear()
        self._apply_pause()

    def resume_reading(self) -> None:
        """Read on."""
        self._reading.set()
        if self._pipe is not None:
            self._pipe.resume_reading()
        if self._pulse is not None:
            self._pulse.wake()

    def _apply_pause(self) -> None:
        if self._reading.is_set():
            return
        if self._pipe is not None:
            self._pipe.pause_reading()
        if self._pulse is not None:
            self._pulse.sleep()

    # --- the end

    async def close(self) -> None:
        """Say that it is over, by every means the transport has."""
        spoken = self._pulse is not None and not self._over
        self._over = True
        if self._pulse is not None:
            self._pulse.stop()
        with contextlib.suppress(TimeoutError, Transient, SendFailed):
            async with asyncio.timeout(_GOODBYE_WITHIN):
                if spoken:
                    self._transmit(messages.CLOSE_RECORD)
                if self._poster is not None:
                    await self._poster.drained()
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            await pipe.close()
            self.parted = not isinstance(pipe, SocketPipe) or pipe.parted

    def unfinished(self) -> Sequence[tuple[str, bytes]]:
        """Return what there is of a record that the server did not finish."""
        rest = self._records.rest
        return [("the connection ended within a record", rest)] if rest and self._lost else ()

    def _fail(self, error: WsfeedsError) -> None:
        """End the attempt to open."""
        self._over = True
        if not self._shaken.done():
            self._shaken.set_exception(error)
            self._shaken.exception()  # nobody may be waiting yet

    def _end(self, ended: Ended) -> None:
        if self._over:
            return
        if not self._shaken.done():
            self._fail(ended.error or Transient(ended.reason or _LOST, code=ended.code))
            return
        self._over = self._lost = True
        if self._pulse is not None:
            self._pulse.stop()
        self.listener.on_ended(ended)
