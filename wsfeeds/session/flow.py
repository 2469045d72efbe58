"""What stops and starts the flow of one connection: commands, and outputs that are full.

A pause is carried out in the feed's own way, or by not reading the socket, as back-pressure is.
"""

from __future__ import annotations

from collections.abc import Sequence

from wsfeeds.clock import Clock, monotonic
from wsfeeds.events import Event, SessionEvent
from wsfeeds.pipeline import Stream
from wsfeeds.protocol import Connector
from wsfeeds.session.dialogue import Dialogue
from wsfeeds.session.keepalive import Liveness
from wsfeeds.session.line import Line, Owner
from wsfeeds.session.reading import Reading
from wsfeeds.session.tap import Tap


class Flow(Line):
    """A line whose data can be held back, and whose socket can be left unread."""

    def __init__(
        self,
        owner: Owner,
        connector: Connector,
        stream: Stream,
        clock: Clock,
        *,
        conn: int,
        tap: Tap | None,
        first: bool,
        paused: bool,
    ) -> None:
        """Prepare for a connection that is about to be opened, its data held back if `paused`."""
        super().__init__(owner, connector, stream, clock, conn=conn, tap=tap)
        self.paused = paused
        self.reading = Reading()
        self.twin: Flow | None = None
        """The second connection of a hand-over: it is silent when this one is."""
        self._emit = self._keep_back if paused else stream.emit
        self._liveness = Liveness(connector, monotonic())
        self._dialogue = Dialogue(self, self.reading, first=first)
        self.paused_at: int | None = None
        """When the last frame before the pause came."""

    @property
    def is_unread(self) -> bool:
        """Whether it is paused by leaving the socket unread."""
        return self.reading.is_held("pause")

    def pause(self) -> None:
        """Stop the flow in the feed's own way; no data event comes until `resume`."""
        chains = self.connector.pause()
        if chains is None:
            self._stop_reading("pause")
            self._announce_pause(None)
        else:
            self.guard(lambda: self._dialogue.pause(chains, self._announce_pause))

    def _announce_pause(self, since: int | None) -> None:
        if self.paused:
            return
        self.hush()
        self.paused_at = since or self.last_frame_ts or self.recv_ts
        self.fact(SessionEvent(feed=self.feed, state="paused"))
        self._stream.flush()

    def hush(self) -> None:
        """Keep data events back, here and where a second connection is taking over."""
        self.paused, self._emit = True, self._keep_back
        self._liveness.sleep_data()
        if self.twin is not None:
            self.twin.hush()

    def unhush(self) -> None:
        """Let data events through again."""
        self.paused, self._emit = False, self._stream.emit
        self._liveness.wake_data(monotonic())
        if self.twin is not None:
            self.twin.unhush()

    def _keep_back(self, events: Sequence[Event], recv_ts: int, conn: int) -> None:
        """Count data events of a pause, whether a frame or the connector's timer made them."""
        del recv_ts, conn
        self._stream.skipped["paused"] += len(events)

    def resume(self, paused_at: int | None = None) -> None:
        """Start the flow again; what was missed meanwhile is reported as a gap."""
        if self.is_unread:
            self._unpause()
            self._stream.flush()
            self._read_on("pause")
            return
        since = paused_at or self.paused_at
        self.guard(lambda: self._dialogue.resume(self._unpause, since))

    def _unpause(self) -> None:
        self.unhush()
        self.fact(SessionEvent(feed=self.feed, state="resumed"))

    def pause_reading(self) -> None:
        """The gate has closed: an output cannot take more."""
        self._stop_reading("gate")

    def resume_reading(self) -> None:
        """The gate is open again."""
        self._read_on("gate")

    def _stop_reading(self, why: str) -> None:
        if self.reading.hold(why, monotonic()) and self._connection is not None:
            self._connection.pause_reading()
            self._liveness.sleep()

    def _read_on(self, why: str) -> None:
        now = monotonic()
        if self.reading.release(why, now) and self._connection is not None:
            self._liveness.wake(now)
            self._connection.resume_reading()
            self.schedule()
