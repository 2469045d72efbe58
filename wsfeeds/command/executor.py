"""Runs a document: attempts, the wait between them, what ends it; contract, sections 4 and 9."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any, cast

from wsfeeds import config
from wsfeeds.clock import Clock, monotonic
from wsfeeds.command.life import Life
from wsfeeds.command.listener import Ended
from wsfeeds.command.program import Program
from wsfeeds.command.reports import FEED, Reports
from wsfeeds.config.run import RunSettings
from wsfeeds.errors import (
    OutputFailed,
    ReaderGone,
    RetriesExhausted,
    Transient,
    WsfeedsError,
)
from wsfeeds.events import ErrorEvent, Gap, GapReason, SessionEvent
from wsfeeds.pipeline import Stream
from wsfeeds.session.backoff import Backoff
from wsfeeds.transport.base import Transport

_HEALTHY_AFTER = 10.0
_ITEM_POLL = 0.25
_ANSWER_WITHIN = 5.0
"""Seconds that the server gets to answer a close of ours: page, section 3."""
_CLOSE_WITHIN = 10.0
"""Seconds after which a goodbye is given up, whatever a variant is at."""
_UNANSWERED = "the server did not answer our close"
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
        for secret in program.secrets:
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
        self._outage: tuple[GapReason, int | None] | None = None
        self._silent_since: float | None = None
        self.reports = Reports(
            program, stream, self._clock, count=count, on_count=lambda: self.finish("count")
        )

    # --- the outside

    def finish(self, reason: str) -> None:
        """End the run politely: no further message, a clean close, `onClose`, no new attempt."""
        if self._life is not None:
            self._life.finish()
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
            self.reports.mute = True
            raise
        except WsfeedsError as error:
            error.message = reason = self.reports.masking.told(error.message)
            self.error = error
            self.reports.fact(ErrorEvent(feed=FEED, code=error.code, message=reason, fatal=True))
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            self.reports.fact(SessionEvent(feed=FEED, state="stopped", reason=reason))
            self.reports.flush()
        if not watcher.cancelled():
            watcher.result()
        return 0 if self.error is None else self.error.exit_code

    async def _watch_item(self) -> None:
        if self._item is None or not self._program.stop_on.item_deleted:
            return
        while not _is_gone(self._item):  # noqa: ASYNC110  # no portable way to be told
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
        self.reports.connections += 1
        settings = cast("RunSettings", config.refreshed(self._program.settings))
        for secret in config.secrets_of(settings):
            self._stream.redactor.add(secret)
        params, url = self._program.connection(self.reports.vars)
        life = self._life = Life(
            self,
            self.reports,
            params,
            clock=self._clock,
            gate=self._stream.gate,
            silent_since=self._silent_since,
        )
        life.shown_url = url
        life.watch(settings.idle_timeout, settings.data_timeout)
        route = self._program.route(
            params,
            settings,
            self._transport,
            learn=lambda token: self._stream.redactor.add(token, passing=True),
        )
        life.session = self._program.variant(params, route, life)
        attempt = self._backoff.failures + 1
        self.reports.fact(SessionEvent(feed=FEED, state="connecting", attempt=attempt, url=url))
        self.reports.flush()
        try:
            await self._open(life)
            if not life.connected:  # the run is to end
                await self._close(life)
                return Ended()
            ended = await self._live(life)
        except WsfeedsError as error:
            await self._close(life)
            if not isinstance(error, OutputFailed | ReaderGone):
                self.reports.socket_error(error.message, "connect", life)
                self.reports.flush()
            raise
        except BaseException:
            await self._close(life)
            raise
        self._over(life, ended)
        if life.fault is not None:
            raise life.fault
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
            opening.cancel()
            (failure,) = await asyncio.gather(opening, return_exceptions=True)
        if isinstance(failure, Exception) and not isinstance(failure, WsfeedsError):
            raise failure  # a fault of ours, whatever else happened meanwhile
        if life.ended.done() and not life.connected:
            ended = life.ended.result()
            raise ended.error or Transient(ended.reason or _OPENED_FIRST, code=ended.code)

    async def _live(self, life: Life) -> Ended:
        """Wait for the end of an established connection, and close what is left of it."""
        assert self._stopping is not None
        ends: set[asyncio.Future[Any]] = {life.ended, self._stopping}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        stopped = self._stopping.done() and not life.ended.done()
        if stopped and life.session is not None:
            life.session.route.close_within = _ANSWER_WITHIN
        await self._close(life)
        if stopped:
            if life.session is not None and not life.session.parted:
                return Ended(code=1006, reason=_UNANSWERED, by_us=True)
            return Ended(code=1000, clean=True, by_us=True)
        return life.ended.result()

    async def _close(self, life: Life) -> None:
        with contextlib.suppress(TimeoutError, WsfeedsError):
            async with asyncio.timeout(_CLOSE_WITHIN):
                await life.close()

    # --- what the connection reports

    def connected(self, life: Life) -> None:
        """Run `onConnect`, and report what an outage may have cost."""
        self.reports.fact(SessionEvent(feed=FEED, state="connected", url=life.shown_url))
        now = self._clock.now()
        life.worker.do(lambda: self.reports.run_hook("onConnect", None, life, now))
        life.worker.do(self._subscribed)
        self.reports.flush()

    def _subscribed(self) -> None:
        self.reports.fact(SessionEvent(feed=FEED, state="subscribed", symbols=[]))
        outage, self._outage = self._outage, None
        if outage is not None:
            reason, since = outage
            self.reports.fact(Gap(feed=FEED, reason=reason, from_ts=since, to_ts=self._clock.now()))

    # --- the end of a connection

    def _over(self, life: Life, ended: Ended) -> None:
        """Say that the connection is gone, run `onError` and `onClose`, remember the hole."""
        reason = "stale" if ended.stale else ended.reason
        if ended.error is not None:
            reason = ended.error.message
        code = None if ended.code is None else str(ended.code)
        if ended.error is not None:
            self.reports.fact(
                ErrorEvent(feed=FEED, code=ended.error.code, message=ended.error.message)
            )
        self.reports.fact(
            SessionEvent(feed=FEED, state="disconnected", reason=reason or None, code=code)
        )
        if not (ended.clean or ended.by_us):
            self.reports.socket_error(_told(ended), ended.phase, life)
        closed = {"code": ended.code, "reason": ended.reason, "wasClean": ended.clean}
        now = self._clock.now()
        life.worker.do(lambda: self.reports.run_hook("onClose", closed, life, now))
        self.reports.flush()
        if self._outage is None:
            self._outage = ("stale" if ended.stale else "disconnect", life.last_message_ts)
        # `stopOn.inactive` may allow more silence than `idle_timeout` does.
        self._silent_since = life.silent_since if ended.stale else None
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
        self.reports.fact(
            SessionEvent(
                feed=FEED,
                state="reconnecting",
                reason="stale" if ended.stale else message,
                code=None if ended.code is None else str(ended.code),
                attempt=self._backoff.failures,
                delay_ms=round(delay * 1000),
            )
        )
        self.reports.flush()
        await asyncio.wait({self._stopping}, timeout=delay)


def _is_gone(path: Path) -> bool:
    """Tell whether a file is certainly not there; one that cannot be looked at may be."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _told(ended: Ended) -> str:
    """Say in words how a connection ended."""
    if ended.error is not None:
        return ended.error.message
    if ended.stale:
        return ended.reason or "the server has been silent for too long"
    what = "the server closed the connection" if ended.by_server else "the connection was lost"
    return f"{what}: {ended.reason}" if ended.reason else what
