"""When to ping, and when silence means that the peer is gone. Pure: times come in as arguments.

Time during which the socket was kept unread on purpose does not count (contract, section 4).
"""

from __future__ import annotations

from wsfeeds.protocol import Connector

WEBSOCKET_PING = 20.0
"""Seconds between WebSocket pings at most; they keep middle boxes from forgetting us."""


class Liveness:
    """The watchdogs of one connection; `last_frame` and `last_data` are set by the link."""

    def __init__(self, connector: Connector, now: float) -> None:
        """Start the clocks at the opening of the connection."""
        settings = connector.settings
        self._connector = connector
        self.last_frame = now
        self.last_data = now
        self._idle = settings.idle_timeout
        self._data = settings.data_timeout
        self._pong_timeout = settings.pong_timeout
        self._keepalive = connector.keepalive()
        # A live venue must always have something to answer within the idle timeout.
        self._every = min(self._keepalive.every, self._idle / 2) if self._keepalive else None
        self._websocket_every = min(WEBSOCKET_PING, self._idle / 2)
        self._counts_websocket = connector.websocket_pongs_count
        self._ping_at = None if self._every is None else now + self._every
        self._websocket_ping_at = now + self._websocket_every
        self._pong_due: float | None = None
        self._websocket_pong_due: float | None = None
        self._missed = 0
        self._asleep = False
        self._data_asleep = False

    # --- what happened

    def pong(self, now: float) -> None:
        """The application's pong has come."""
        self.last_frame = now
        self._pong_due = None
        self._missed = 0

    def websocket_pong(self, now: float) -> None:
        """A WebSocket pong has come."""
        self._websocket_pong_due = None
        if self._counts_websocket:
            self.last_frame = now

    def sleep(self) -> None:
        """The socket is not read any more: silence says nothing about the peer."""
        self._asleep = True

    def wake(self, now: float) -> None:
        """The socket is read again: the clocks start anew."""
        self._asleep = False
        self.last_frame = self.last_data = now
        if self._pong_due is not None:
            self._pong_due = now + self._pong_timeout
        if self._websocket_pong_due is not None:
            self._websocket_pong_due = now + self._pong_timeout

    def sleep_data(self) -> None:
        """No data is wanted for now."""
        self._data_asleep = True

    def wake_data(self, now: float) -> None:
        """Data is wanted again."""
        self._data_asleep = False
        self.last_data = now

    # --- what to do

    def ping_due(self, now: float) -> bool:
        """Tell whether an application ping is to be sent now, and count on its answer."""
        if self._every is None or self._ping_at is None or now < self._ping_at:
            return False
        self._ping_at = now + self._every
        if self._pong_due is None:
            self._pong_due = now + self._pong_timeout
        return True

    def websocket_ping_due(self, now: float) -> bool:
        """Tell whether a WebSocket ping is to be sent now."""
        if now < self._websocket_ping_at:
            return False
        self._websocket_ping_at = now + self._websocket_every
        if self._counts_websocket and self._websocket_pong_due is None:
            self._websocket_pong_due = now + self._pong_timeout
        return True

    def verdict(self, now: float) -> str | None:
        """Return why the connection is to be given up, None while it is well."""
        if self._asleep:
            return None
        if now >= self.last_frame + self._idle:
            return f"nothing received for {self._idle:g} s"
        data_due = self._data_due()
        if self._data is not None and data_due is not None and now >= data_due:
            return f"no data for {self._data:g} s"
        if self._websocket_pong_due is not None and now >= self._websocket_pong_due:
            if self.last_frame >= self._websocket_pong_due - self._pong_timeout:
                self._websocket_pong_due = None  # something else proved the peer meanwhile
                return None
            return f"no WebSocket pong within {self._pong_timeout:g} s"
        return self._pong_verdict(now)

    def _data_due(self) -> float | None:
        """Return when data is overdue; where nothing is subscribed none can be."""
        if self._data is None or self._data_asleep or not self._connector.wants_anything:
            return None
        return self.last_data + self._data

    def _pong_verdict(self, now: float) -> str | None:
        keepalive, due = self._keepalive, self._pong_due
        if keepalive is None or due is None or now < due:
            return None
        self._pong_due = None
        self._missed += 1
        if self._missed <= keepalive.tolerated:
            self._ping_at = now  # once more, in place of the regular one
            return None
        return f"no pong within {self._pong_timeout:g} s"

    def next_deadline(self) -> float:
        """Return when to look again."""
        times = [self._websocket_ping_at]
        if self._ping_at is not None:
            times.append(self._ping_at)
        if not self._asleep:
            times.append(self.last_frame + self._idle)
            others = (self._data_due(), self._pong_due, self._websocket_pong_due)
            times += [due for due in others if due is not None]
        return min(times)
