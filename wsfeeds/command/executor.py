"""Runs a document: attempts, the wait between them, what ends it; contract, sections 4 and 9."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, cast

from wsfeeds import config
from wsfeeds.clock import Clock, monotonic
from wsfeeds.command import spec
from wsfeeds.command.hooks import CommandFailed, Context
from wsfeeds.command.life import Life
from wsfeeds.command.paths import NOTHING
from wsfeeds.command.program import Program
from wsfeeds.command.results import Results
from wsfeeds.command.route import Route
from wsfeeds.command.variants import Ended, Phase
from wsfeeds.config.run import RunSettings
from wsfeeds.config.secrecy import masked_url
from wsfeeds.errors import (
    OutputFailed,
    ReaderGone,
    RetriesExhausted,
    Transient,
    WsfeedsError,
)
from wsfeeds.events import ErrorEvent, Event, Gap, GapReason, Malformed, SessionEvent
from wsfeeds.pipeline import Stream
from wsfeeds.protocol import frame_text
from wsfeeds.session.backoff import Backoff
from wsfeeds.transport.base import Transport

FEED = "run"
_HEALTHY_AFTER = 10.0
_ITEM_POLL = 0.25
_CLOSE_WITHIN = 6.0
"""Seconds after which a goodbye is given up; variants bound theirs by five."""
_OPENED_FIRST = "the connection ended before it was established"


class Run:
    """One execution of a document, over as many connections as it takes."""

    def __init__(
        self,
        program: Program,
        stream: Stream,
        transport: Transport,
        *,
        count: int | None = None,
        item: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Prepare; nothing is opened before `run`.

        Args:
            program: The document.
            stream: Takes results and session facts; its gate stops the reading.
            transport: Opens WebSockets.
            count: The number of fresh `onMessage` results after which the run ends.
            item: The file whose removal is `itemDeleted`.
            clock: For receive times.
        """
        self.error: WsfeedsError | None = None
        secrets = program.secrets
        for secret in secrets:
            stream.redactor.add(secret)
        self._program = program
        self._stream = stream
        self._transport = transport
        self._item = item
        self._clock = clock or Clock()
        self._stopping: asyncio.Future[str] | None = None
        self._early: str | None = None
        self._life: Life | None = None
        self._backoff = Backoff(program.settings.backoff_initial, program.settings.backoff_max)
        self._connections = 0
        self._vars: dict[str, Any] = {}
        self._outage: tuple[GapReason, int | None] | None = None
        self._mute = False
        self.results = Results(
            stream, secrets=bool(secrets), count=count, on_count=lambda: self.finish("count")
        )

    # --- the outside

    def finish(self, reason: str) -> None:
        """End the run politely: no further message, a clean close, `onClose`, no new attempt."""
        if self._life is not None:
            self._life.deaf = True
        if self._stopping is None:
            self._early = self._early or reason
        elif not self._stopping.done():
            self._stopping.set_result(reason)

    def notify_item_deleted(self) -> None:
        """Take it that the item behind this run is gone (`stopOn.itemDeleted`)."""
        if self._program.stop_on.item_deleted:
            self.finish("item deleted")

    async def run(self) -> int:
        """Run until the end and return the exit code; `error` says why where it is not 0.

        Raises:
            OutputFailed, ReaderGone: Nothing can be written any more.
        """
        self._stopping = asyncio.get_running_loop().create_future()
        if self._early is not None:
            self._stopping.set_result(self._early)
        watcher = asyncio.create_task(self._watch_item())
        reason = "stopped"
        try:
            reason = await self._supervise()
        except (OutputFailed, ReaderGone):
            self._mute = True
            raise
        except WsfeedsError as error:
            reason = error.message
            self.error = error
            self._fact(ErrorEvent(feed=FEED, code=error.code, message=error.message, fatal=True))
        finally:
            watcher.cancel()
            self._fact(SessionEvent(feed=FEED, state="stopped", reason=reason))
            self.flush()
        return 0 if self.error is None else self.error.exit_code

    async def _watch_item(self) -> None:
        if self._item is None or not self._program.stop_on.item_deleted:
            return
        while self._item.exists():  # noqa: ASYNC110  # no portable way to be told
            await asyncio.sleep(_ITEM_POLL)
        self.notify_item_deleted()

    # --- attempts

    async def _supervise(self) -> str:
        """Connect again and again; return why it is over."""
        assert self._stopping is not None
        while not self._stopping.done():
            try:
                ended = await self._attempt()
            except Transient as error:
                ended = Ended(error=error, retry_after=error.retry_after)
            if self._stopping.done():
                break
            if ended.by_server and self._program.stop_on.server_close:
                return "the server closed the connection"
            if ended.error is not None and not isinstance(ended.error, Transient):
                raise ended.error
            await self._again(ended)
        return self._stopping.result()

    async def _attempt(self) -> Ended:
        """Make one connection and live it to its end.

        Raises:
            WsfeedsError: It was not established.
        """
        self._connections += 1
        settings = cast("RunSettings", config.refreshed(self._program.settings))
        for secret in config.secrets_of(settings):
            self._stream.redactor.add(secret)
        params = self._program.expanded(self._vars)
        life = self._life = Life(
            self, params, number=self._connections, clock=self._clock, gate=self._stream.gate
        )
        life.watch(settings.idle_timeout, settings.data_timeout)
        route = self._route(params, settings)
        life.session = self._program.variant(params, route, life)
        self._fact(
            SessionEvent(
                feed=FEED,
                state="connecting",
                attempt=self._backoff.failures + 1,
                url=masked_url(params.url),
            )
        )
        self.flush()
        try:
            await self._open(life)
            if not life.connected:  # the run is to end
                await self._close(life)
                return Ended()
            ended = await self._live(life)
        except WsfeedsError as error:
            await self._close(life)
            if not isinstance(error, OutputFailed | ReaderGone):
                self.socket_error(error.message, "connect", life)
                self.flush()
            raise
        except BaseException:
            await self._close(life)
            raise
        self._over(life, ended)
        return ended

    async def _open(self, life: Life) -> None:
        """Open the session unless it ends, or the run does, meanwhile."""
        assert life.session is not None
        assert self._stopping is not None
        opening = asyncio.create_task(life.session.open())
        try:
            ends: set[asyncio.Future[Any]] = {opening, life.ended, self._stopping}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if opening.done() and (error := opening.exception()) is not None:
                if not life.connected:
                    raise error
                life.on_fault(error)
        finally:
            if not opening.done():
                opening.cancel()
            await asyncio.gather(opening, return_exceptions=True)
        if life.ended.done() and not life.connected:
            ended = life.ended.result()
            raise ended.error or Transient(ended.reason or _OPENED_FIRST, code=ended.code)

    async def _live(self, life: Life) -> Ended:
        """Wait for the end of an established connection, and close what is left of it."""
        assert self._stopping is not None
        ends: set[asyncio.Future[Any]] = {life.ended, self._stopping}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopped = self._stopping.done() and not life.ended.done()
        await self._close(life)
        if stopped:
            return Ended(code=1000, clean=True)
        return life.ended.result()

    async def _close(self, life: Life) -> None:
        with contextlib.suppress(TimeoutError, WsfeedsError):
            async with asyncio.timeout(_CLOSE_WITHIN):
                await life.close()

    def _route(self, params: spec.Params, settings: RunSettings) -> Route:
        proxy = spec.proxy_url(params.proxy)
        if proxy is None and settings.proxy is not None:
            proxy = settings.proxy.reveal()
        known = {name: value.reveal() for name, value in (settings.headers or {}).items()}
        names = {name.lower() for name in params.headers}
        merged = {n: v for n, v in known.items() if n.lower() not in names} | params.headers
        return Route(
            params.url,
            headers={n: v for n, v in merged.items() if not spec.is_ours(n)},
            settings=settings,
            proxy=proxy,
            ciphers=params.ciphers or settings.ciphers,
            transport=self._transport,
            learn=lambda token: self._stream.redactor.add(token, passing=True),
            carries_secret=self._program.carries_secret,
        )

    # --- what the connection reports

    def connected(self, life: Life) -> None:
        """Run `onConnect`, and report what an outage may have cost."""
        url = masked_url(life.params.url)
        self._fact(SessionEvent(feed=FEED, state="connected", url=url))
        self.run_hook("onConnect", None, life, self._clock.now())
        self._fact(SessionEvent(feed=FEED, state="subscribed", symbols=[]))
        outage, self._outage = self._outage, None
        if outage is not None:
            reason, since = outage
            self._fact(Gap(feed=FEED, reason=reason, from_ts=since, to_ts=self._clock.now()))
        self.flush()

    def run_hook(self, hook: spec.Hook, data: Any, life: Life, recv_ts: int) -> None:
        """Run the chain of a hook to its end and publish its output."""
        chain = self._program.chains.get(hook)
        if chain is None or (hook != "onMessage" and not chain.steps):
            return
        context = Context(
            data=data,
            hook=hook,
            connection=life,
            variables=self._program.variables,
            vars=self._vars,
        )
        try:
            output = chain.run(context)
            if output is NOTHING or (hook != "onMessage" and chain.silent):
                return
            self.results.publish(hook, output, recv_ts)
        except CommandFailed as error:
            self._complain(hook, error.message)
        except RecursionError:
            self._complain(hook, "the data is nested too deeply")

    def tick(self, life: Life) -> None:
        """Run `onInterval`; what would publish waits for a reader that is behind."""
        if life.paused and not self._program.chains["onInterval"].silent:
            return
        self.run_hook("onInterval", self.results.current, life, self._clock.now())
        self.flush()

    def beat(self, life: Life) -> None:
        """Publish the current result again."""
        if not life.paused:
            self.results.repeat(self._clock.now())
            self.flush()

    def socket_error(self, message: str, phase: Phase, life: Life) -> None:
        """Run `onError`."""
        shown = self._stream.redactor(message)
        self.run_hook("onError", {"message": shown, "phase": phase}, life, self._clock.now())
        self.flush()

    def malformed(self, error: str, frame: bytes, life: Life) -> None:
        """Keep a frame that makes no sense."""
        text, encoding = frame_text(frame)
        self._stream.emit_fact(
            Malformed(feed=FEED, error=error, frame=text, encoding=encoding),
            life.recv_ts,
            life.number,
        )

    def flush(self) -> None:
        """Let the outputs write."""
        if not self._mute:
            self._stream.flush()

    # --- the end of a connection

    def _over(self, life: Life, ended: Ended) -> None:
        """Say that the connection is gone, run `onError` and `onClose`, remember the hole."""
        reason = "stale" if ended.stale else ended.reason
        if ended.error is not None:
            reason = ended.error.message
        code = None if ended.code is None else str(ended.code)
        if ended.error is not None:
            self._fact(ErrorEvent(feed=FEED, code=ended.error.code, message=ended.error.message))
        self._fact(SessionEvent(feed=FEED, state="disconnected", reason=reason or None, code=code))
        if not ended.clean:
            self.socket_error(_told(ended), "connection", life)
        closed = {"code": ended.code, "reason": ended.reason, "wasClean": ended.clean}
        self.run_hook("onClose", closed, life, self._clock.now())
        self.flush()
        if self._outage is None:
            self._outage = ("stale" if ended.stale else "disconnect", life.last_message_ts)
        healthy = life.evidence_at
        if healthy is not None and monotonic() - healthy >= _HEALTHY_AFTER:
            self._backoff.reset()

    async def _again(self, ended: Ended) -> None:
        """Wait before the next attempt, or for the end of the run.

        Raises:
            RetriesExhausted: There were too many failures in a row.
        """
        assert self._stopping is not None
        delay = self._backoff.next(at_least=ended.retry_after)
        limit = self._program.settings.max_retries
        message = _told(ended)
        if limit is not None and self._backoff.failures > limit:
            tries = f"{limit} {'retry' if limit == 1 else 'retries'}"
            raise RetriesExhausted(f"gave up after {tries}: {message}", code=ended.code)
        self._fact(
            SessionEvent(
                feed=FEED,
                state="reconnecting",
                reason="stale" if ended.stale else message,
                code=None if ended.code is None else str(ended.code),
                attempt=self._backoff.failures,
                delay_ms=round(delay * 1000),
            )
        )
        self.flush()
        await asyncio.wait({self._stopping}, timeout=delay)

    # --- facts

    def _complain(self, hook: str, message: str) -> None:
        self._fact(ErrorEvent(feed=FEED, message=f"{hook}: {message}"))

    def _fact(self, event: Event) -> None:
        if not self._mute:
            self._stream.emit_fact(event, self._clock.now(), self._connections)


def _told(ended: Ended) -> str:
    """Say in words how a connection ended."""
    if ended.error is not None:
        return ended.error.message
    if ended.stale:
        return ended.reason or "the server has been silent for too long"
    what = "the server closed the connection" if ended.by_server else "the connection was lost"
    return f"{what}: {ended.reason}" if ended.reason else what
