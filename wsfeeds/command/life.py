"""One connection of a run: its hooks, its timers, and how it ended.

Everything a variant reports is worked off within its call, so a slow chain or a blocked output
slows the reading. Only behind a Send whose POST is not answered do messages wait, up to a thousand;
then the reading pauses.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from wsfeeds.clock import Clock, monotonic
from wsfeeds.command.reports import Reports
from wsfeeds.command.spec import Params
from wsfeeds.command.variants import Ended, Phase, SendFailed, VariantSession
from wsfeeds.command.worker import Worker
from wsfeeds.errors import OutputFailed, ReaderGone, WsfeedsError
from wsfeeds.pipeline import Gate

_MOST_WAITING = 1000


class Owner(Protocol):
    """What a connection asks of the run it belongs to."""

    def connected(self, life: Life) -> None:
        """The variant's handshake is through."""

    def finish(self, reason: str) -> None:
        """End the run politely."""


class Life:
    """Listens to one variant session, and is the connection that commands see."""

    def __init__(
        self,
        owner: Owner,
        reports: Reports,
        params: Params,
        *,
        clock: Clock,
        gate: Gate,
        silent_since: float | None = None,
    ) -> None:
        """Prepare for a connection that is about to be opened.

        Args:
            owner: The run.
            reports: Where everything is told.
            params: The document's, for this connection.
            clock: For receive times.
            gate: Says when an output is behind.
            silent_since: Since when nothing has come, where the connection before ended for that.
        """
        loop = asyncio.get_running_loop()
        self.session: VariantSession | None = None
        self.ended: asyncio.Future[Ended] = loop.create_future()
        self.shown_url = ""
        """Where to, free of secrets."""
        self.connected = False
        self.deaf = False
        self.worker = Worker(done=self._chain_over, resumed=self._resumed, failed=self.on_fault)
        self.behind = self._crowded = False
        self.recv_ts = clock.now()
        self.last_message_ts: int | None = None
        self.evidence_at: float | None = None
        self.fault: BaseException | None = None
        """A fault of ours that came when the connection was over already."""
        self._owner = owner
        self._reports = reports
        self.params = params
        self._clock = clock
        self._gate = gate
        self._loop = loop
        self._idle: float | None = None
        self._data: float | None = None
        self._last_activity = self._last_message = monotonic()
        self._silent_before = silent_since
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._close_wanted = False

    def watch(self, idle: float | None, data: float | None) -> None:
        """Take silence of so many seconds, at all or of messages, for the end."""
        self._idle, self._data = idle, data

    # --- Listener

    def on_data(self) -> None:
        """Stamp what has arrived; it proves that the peer lives, unless it answers our goodbye."""
        if self.deaf:
            return
        self.recv_ts = self._clock.now()
        self._last_activity = monotonic()
        self._silent_before = None
        if self.connected and self.evidence_at is None:
            self.evidence_at = self._last_activity

    def on_connected(self) -> None:
        """Run `onConnect` and start the timers."""
        if self.connected or self.ended.done():
            return
        self.connected = True
        self._last_activity = self._last_message = monotonic()
        self._guard(self._start)

    def _start(self) -> None:
        self._gate.attach(self)
        self._owner.connected(self)
        interval = self.params.on_interval
        if interval is not None:
            self._every("interval", interval.interval_ms / 1000, self._reports.tick)
        beat = self.params.heartbeat_interval_ms
        if beat is not None:
            self._every("heartbeat", beat / 1000, self._reports.beat)
        self._watch_silence()

    def on_message(self, text: str) -> None:
        """Run `onMessage`, here and now."""
        if self.deaf or self.ended.done():
            return
        self._last_message = self._last_activity
        self.last_message_ts = self.recv_ts
        try:
            self.worker.do(partial(self._reports.run_hook, "onMessage", text, self, self.recv_ts))
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.on_fault(error)
        if self.worker.waiting >= _MOST_WAITING and not self._crowded:
            self._pause(crowded=True)

    def on_read(self) -> None:
        """Write out what the read brought."""
        self._guard(self._reports.flush)

    def on_error(self, message: str, phase: Phase) -> None:
        """Run `onError` for an error that does not end the connection."""
        if not self.ended.done():
            self._guard(lambda: self._reports.socket_error(message, phase, self))

    def on_malformed(self, error: str, frame: bytes) -> None:
        """Report a frame that makes no sense; it is passed over."""
        if not (self.deaf or self.ended.done()):
            self._guard(lambda: self._reports.malformed(error, frame, self.recv_ts))

    def on_unknown(self, frame: bytes) -> None:
        """Report a frame of a kind that nobody documented."""
        if not (self.deaf or self.ended.done()):
            self._guard(lambda: self._reports.unknown(frame, self.recv_ts))

    def on_skipped(self, reason: str) -> None:
        """Count what rightly reaches no hook."""
        self._reports.skipped(reason)

    def on_ended(self, ended: Ended) -> None:
        """Remember how the connection ended, the first time."""
        if not self.ended.done():
            self.deaf = True
            self.ended.set_result(ended)

    def on_fault(self, error: BaseException) -> None:
        """End the connection for an error; one of ours, or of an output, ends the run."""
        if self.ended.done():
            if not isinstance(error, WsfeedsError):
                self.fault = self.fault or error
            return
        self.deaf = True
        if isinstance(error, WsfeedsError) and not isinstance(error, OutputFailed | ReaderGone):
            self.ended.set_result(Ended(code=1006, reason=error.message, error=error))
        else:
            self.ended.set_exception(error)
            self.ended.exception()  # whoever waits gets it; nobody waiting is no leak

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the connection until it is over."""
        task = self._loop.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  # outermost of this task
            self.on_fault(error)

    # --- the connection that commands see

    def send(self, text: str) -> asyncio.Future[None] | None:
        """Send a message by the variant's rules; see `VariantSession.send`.

        Raises:
            SendFailed: The connection is not open.
        """
        if self.session is None or not self.connected or self.ended.done():
            raise SendFailed("the connection is not open")
        return self.session.send(text)

    def request_close(self) -> None:
        """Close cleanly and finish once the running chain is through."""
        self._close_wanted = True

    def finish(self) -> None:
        """Hear nothing more, and leave out what still waits for its turn."""
        self.deaf = True
        for _ in range(self.worker.clear()):
            self._reports.skipped("after the end")

    def _chain_over(self) -> None:
        if self._close_wanted:  # by onError or onClose too: there is to be no further attempt
            self.deaf = True
            self._owner.finish("closed by the document")

    def _resumed(self) -> None:
        """Write out what a chain that had waited brought; read on, if that had stopped."""
        if self._crowded and self.worker.waiting < _MOST_WAITING // 2:
            self._resume(crowded=True)
        self._reports.flush()

    # --- Valve

    @property
    def paused(self) -> bool:
        """Whether nothing is read now: an output is behind, or too many messages wait."""
        return self.behind or self._crowded

    def pause_reading(self) -> None:
        """Leave the network unread: an output is behind."""
        self._pause(behind=True)

    def resume_reading(self) -> None:
        """Read on; silence counts from here."""
        self._resume(behind=True)

    def _pause(self, *, behind: bool = False, crowded: bool = False) -> None:
        self.behind |= behind
        self._crowded |= crowded
        if self.session is not None:
            self.session.pause_reading()

    def _resume(self, *, behind: bool = False, crowded: bool = False) -> None:
        self.behind &= not behind
        self._crowded &= not crowded
        if self.paused:
            return
        self._last_activity = self._last_message = monotonic()
        self._silent_before = None
        if self.session is not None:
            self.session.resume_reading()

    # --- timers

    def _every(self, name: str, seconds: float, call: Callable[[Life], None]) -> None:
        """Call again and again, on the beat; beats that were missed are left out."""
        due = self._loop.time() + seconds

        def fire() -> None:
            nonlocal due
            due = max(due + seconds, self._loop.time())
            self._timers[name] = self._loop.call_at(due, fire)
            if not self.deaf:
                self._guard(lambda: call(self))

        self._timers[name] = self._loop.call_at(due, fire)

    def _watch_silence(self) -> None:
        """Judge silence now, and look again when it could be too long."""
        verdicts = list(self._silences())
        if not verdicts:
            return
        now = monotonic()
        for deadline, verdict in verdicts:
            if now >= deadline and not self.paused:
                verdict()
                return
        wait = max(0.001, min(deadline for deadline, _ in verdicts) - now)
        if self.paused:
            wait = max(wait, 0.1)
        self._timers["silence"] = self._loop.call_later(wait, self._watch_silence)

    def _silences(self) -> list[tuple[float, Callable[[], None]]]:
        """Return deadlines and what passes then; `inactive` first, it is the document's wish."""
        found: list[tuple[float, Callable[[], None]]] = []
        stop = self.params.stop_on
        if stop.inactive:
            seconds = stop.inactive_after_ms / 1000
            found.append((self.silent_since + seconds, lambda: self._owner.finish("inactive")))
        if self._idle is not None:
            why = f"nothing received for {self._idle:g} s"
            found.append((self._last_activity + self._idle, lambda: self._stale(why)))
        if self._data is not None:
            told = f"no message for {self._data:g} s"
            found.append((self._last_message + self._data, lambda: self._stale(told)))
        return found

    @property
    def silent_since(self) -> float:
        """Since when nothing has come, on the monotonic clock."""
        before = self._silent_before
        return self._last_activity if before is None else before

    def _stale(self, why: str) -> None:
        self.on_ended(Ended(code=1006, reason=why, stale=True))

    # --- the end

    async def close(self) -> None:
        """Say goodbye, close, and stop everything that belongs to this connection."""
        self.deaf = True
        self.stop_timers()
        try:
            if self.session is not None:
                await self.session.close()
        finally:
            self._gate.detach(self)
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            try:
                await self.worker.settled()
            finally:
                self.worker.stop()
            if self.session is not None:
                self._report_unfinished(self.session)
                await self.session.route.aclose()

    def _report_unfinished(self, session: VariantSession) -> None:
        for error, part in session.unfinished():
            self._reports.malformed(error, part, self.recv_ts)

    def stop_timers(self) -> None:
        """Let nothing more fall due."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  # outermost: the event loop would swallow it
            self.on_fault(error)
