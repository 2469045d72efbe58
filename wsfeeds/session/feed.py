"""All the sockets of one feed: which are needed, started, changed, and how they end together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from wsfeeds import config
from wsfeeds.clock import Clock
from wsfeeds.errors import OutputFailed, ReaderGone, UsageError, WsfeedsError, gravest, leaves
from wsfeeds.events import ErrorEvent, SessionEvent
from wsfeeds.pipeline import Stream
from wsfeeds.protocol import Connector, FeedSettings, Socket, Wanted
from wsfeeds.session.dialling import Shared
from wsfeeds.session.pacing import ConnectBudget
from wsfeeds.session.supervisor import Session
from wsfeeds.session.tap import Tap
from wsfeeds.transport.base import Transport


class FeedRun:
    """One subscription to one feed, over as many sockets as it takes."""

    def __init__(
        self,
        connector: type[Connector],
        settings: FeedSettings,
        wanted: Wanted,
        stream: Stream,
        transport: Transport,
        *,
        clock: Clock | None = None,
        tap: Tap | None = None,
    ) -> None:
        """Prepare; everything that can be refused without a connection is refused here.

        Raises:
            UsageError: A symbol, channel or setting cannot be used.
        """
        connector.check(wanted, settings)
        self.connector = connector
        self.wanted = wanted
        self.stream = stream
        self.error: WsfeedsError | None = None
        self.keep_open = False
        """Whether to stay when no socket is left, because a command may ask for another."""
        self._paused = False
        self._stopped = False
        self._everything = not wanted.symbols
        self._codes: list[int] = []
        self._sessions: dict[str, tuple[Session, asyncio.Task[None]]] = {}
        self._cancelled: set[asyncio.Task[None]] = set()
        self._group: asyncio.TaskGroup | None = None
        self._changed = asyncio.Event()
        for secret in (*config.secrets_of(settings), *connector.derived_secrets(settings)):
            stream.redactor.add(secret)
        self._shared = Shared(
            connector=connector,
            settings=settings,
            stream=stream,
            clock=clock or Clock(),
            transport=transport,
            budget=ConnectBudget(connector.connects_per_second),
            tap=tap,
        )
        self._check_transport(settings)

    def _check_transport(self, settings: FeedSettings) -> None:
        for socket in self.connector.plan(self.wanted, settings)[:1]:
            endpoint = self.connector(socket, settings).endpoint(None)
            secret = endpoint.carries_secret or bool(settings.headers)
            urls = [*endpoint.urls, getattr(settings, "api_url", None)]
            for url in filter(None, urls):
                config.check_transport(
                    url, carries_secret=secret, allow_insecure=settings.allow_insecure
                )

    async def run(self) -> int:
        """Run until every socket has ended and return the gravest exit code.

        Raises:
            OutputFailed, ReaderGone: Nothing can be written any more.
        """
        try:
            async with asyncio.TaskGroup() as self._group:
                if not self._stopped:
                    self._start_sockets()
                while self._sessions or self.keep_open:
                    self._changed.clear()
                    await self._changed.wait()
        except BaseExceptionGroup as group:
            raise _worst(group) from None
        return gravest(self._codes)

    def _start_sockets(self) -> None:
        for socket in self.connector.plan(self.wanted, self._shared.settings):
            held = self._sessions.get(socket.key)
            if held is None and (socket.wanted.symbols or not self.connector.needs_symbols):
                self._start(socket)
            elif held is None:
                continue
            elif held[0].socket.wanted != socket.wanted:
                held[0].change(socket.wanted)

    def _start(self, socket: Socket) -> None:
        assert self._group is not None
        session = Session(self._shared, socket)
        if self._paused:
            session.pause()
        task = self._group.create_task(self._supervise(session))
        self._sessions[socket.key] = (session, task)
        # A task that is cancelled before its first step never enters its coroutine.
        task.add_done_callback(lambda _: self._gone(session))

    def _gone(self, session: Session) -> None:
        held = self._sessions.get(session.socket.key)
        if held is not None and held[0] is session:
            del self._sessions[session.socket.key]
        self._changed.set()

    async def _supervise(self, session: Session) -> None:
        try:
            await session.run()
            self._codes.append(0)
        except ReaderGone:
            raise
        except WsfeedsError as error:
            if isinstance(error, OutputFailed):  # no socket can go on
                raise
            self._codes.append(error.exit_code)
            self.keep_open = False
            if self.error is None or gravest([error.exit_code, self.error.exit_code]) != (
                self.error.exit_code
            ):
                self.error = error

    def stop(self, reason: str) -> None:
        """End every socket politely, once; `run` returns soon after."""
        self._stopped = True
        self.close_when_idle()
        for session, task in list(self._sessions.values()):
            # A second one would cut its closing short. `task.cancelling()` does not tell: the HTTP
            # client cancels the task that it runs in, for a moment, and takes that back.
            if task not in self._cancelled:
                self._cancelled.add(task)
                session.stop_reason = reason
                task.cancel()
                session.deafen()

    def close_when_idle(self) -> None:
        """Let `run` return when no socket is left: no command will ask for another."""
        self.keep_open = False
        self._changed.set()

    def listen(self, tap: Tap | None) -> None:
        """Let `tap` hear the raw frames of the connections to come."""
        self._shared.tap = tap

    # --- commands while it runs

    def subscribe(self, symbols: Iterable[str]) -> None:
        """Add symbols; where everything is subscribed they are there already.

        Raises:
            UsageError: A symbol cannot be used; nothing has changed.
        """
        if self._everything:
            asked = tuple(dict.fromkeys(symbols))
            self._check(asked)
            if not self._paused:
                self._tell(SessionEvent(feed=self.feed, state="subscribed", symbols=list(asked)))
            return
        both = tuple(dict.fromkeys((*self.wanted.symbols, *symbols)))
        self._check(both)
        self._change(both)

    def _check(self, symbols: tuple[str, ...]) -> None:
        self.connector.check_symbols(Wanted(symbols, self.wanted.channels), self._shared.settings)

    def unsubscribe(self, symbols: Iterable[str]) -> None:
        """Remove symbols.

        Raises:
            UsageError: A symbol is not subscribed, or none would be left.
        """
        gone = tuple(symbols)
        for symbol in gone:
            if symbol not in self.wanted.symbols:
                raise UsageError(f"{symbol!r} is not subscribed")
        self._change(tuple(s for s in self.wanted.symbols if s not in gone))

    def _must_run(self) -> None:
        if self._stopped:
            raise UsageError("the run is ending")

    def _change(self, symbols: tuple[str, ...]) -> None:
        self._must_run()
        wanted = Wanted(symbols, self.wanted.channels)
        if not symbols and not self.connector.needs_symbols:
            raise UsageError("without a symbol this feed sends everything; `quit` ends")
        before = self.connector.plan(self.wanted, self._shared.settings)
        self.wanted = wanted
        after = self.connector.plan(wanted, self._shared.settings)
        for key in {socket.key for socket in before} - {socket.key for socket in after}:
            if key in self._sessions:
                # Its closing takes a while, in which the key may be asked for again.
                session, task = self._sessions.pop(key)
                session.leave()
                task.cancel()
        self._start_sockets()

    def pause(self) -> None:
        """Stop the flow of all sockets.

        Raises:
            UsageError: It is stopped already.
        """
        self._must_run()
        if self._paused:
            raise UsageError("already paused")
        self._paused = True
        for session, _ in self._sessions.values():
            session.pause()

    def resume(self) -> None:
        """Start it again.

        Raises:
            UsageError: It was not stopped.
        """
        self._must_run()
        if not self._paused:
            raise UsageError("not paused")
        self._paused = False
        for session, _ in self._sessions.values():
            session.resume()

    def complain(self, message: str) -> None:
        """Emit a non-fatal error event (a bad command, say)."""
        self._tell(ErrorEvent(feed=self.feed, message=message))

    @property
    def feed(self) -> str:
        """The feed's name."""
        return self.connector.name

    def _tell(self, event: ErrorEvent | SessionEvent) -> None:
        shared = self._shared
        self.stream.emit_fact(event, shared.clock.now(), shared.connections)
        self.stream.flush()


def _worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return a fault of ours if there is one: it must not hide behind what else went wrong."""
    errors = list(leaves(group))
    return next((one for one in errors if not isinstance(one, WsfeedsError)), errors[0])
