"""One session as a subscription would have it, until its first data event."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from wsfeeds import app
from wsfeeds.errors import WsfeedsError
from wsfeeds.events import Event, SessionEvent, is_data
from wsfeeds.pipeline import Stream
from wsfeeds.secrets import Redactor
from wsfeeds.session.feed import FeedRun


class Trial:
    """The session, and as its output what notes how far it came."""

    def __init__(self, wait: float) -> None:
        """Give a connected session so many seconds for its first event."""
        self._wait = wait
        self._run: FeedRun
        self.connected: str | None = None
        """Where it is connected to, without secrets."""
        self.subscribed = False
        self.first: Event | None = None
        self.error: WsfeedsError | None = None

    async def run(self, wanted: app.Subscription, redactor: Redactor) -> None:
        """Run the session to its end; what ended it is kept, not raised.

        Raises:
            UsageError: What is wanted cannot be used.
        """
        self._run = app.open_feed(wanted, Stream([self], redactor=redactor))
        await self._run.run()
        self.error = self._run.error

    def emit(self, event: Event) -> None:
        """Take one event into account."""
        if isinstance(event, SessionEvent):
            if event.state == "connected" and self.connected is None:
                self.connected = event.url or ""
                asyncio.get_running_loop().call_later(self._wait, self._run.stop, "duration")
            self.subscribed = self.subscribed or event.state == "subscribed"
        elif is_data(event):
            self.emit_all([event])

    def emit_all(self, events: Sequence[Event]) -> None:
        """Take data events into account: the first one is all that is asked for."""
        if self.first is None:
            self.first = events[0]
            self._run.stop("count")

    def flush(self) -> None:
        """Nothing is kept here."""
