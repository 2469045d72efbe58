"""Session facts as log lines: an outage once when it starts and once when it ends."""

from __future__ import annotations

import logging

from wsfeeds.cli.console import logger
from wsfeeds.events import ErrorEvent, Event, FeedStatus, Gap, Malformed, SessionEvent, Unknown


class FactLog:
    """Logs what happens to the connections of one run."""

    def __init__(self) -> None:
        """Start with no outage."""
        self._failing: set[str] = set()
        self._sockets: set[tuple[str, ...]] = set()

    def __call__(self, event: Event) -> None:
        """Log one session fact."""
        match event:
            case SessionEvent():
                self._session(event)
            case Gap():
                missed = "" if event.missed is None else f", {event.missed} missed"
                logger.warning("%s: gap (%s)%s", _who(event), event.reason, missed)
            case ErrorEvent(fatal=True) if len(self._sockets) > 1:
                # The last socket's is what the command ends with, and says at its end.
                logger.error("%s: %s", _who(event), event.message)
            case ErrorEvent(fatal=False):
                logger.warning("%s: %s", _who(event), event.message)
            case FeedStatus():
                logger.warning("%s: the venue's feed is %s", _who(event), event.state)
            case Malformed():
                logger.warning("%s: malformed frame: %s", _who(event), event.error)
            case Unknown():
                logger.info("%s: unknown frame", _who(event))

    def _session(self, event: SessionEvent) -> None:
        who = _socket(event)
        symbols = tuple(event.symbols or ())
        if event.state == "connecting":
            self._sockets.add(symbols)
        elif event.state == "stopped":
            self._sockets.discard(symbols)
        if event.state == "reconnecting":
            level = logging.INFO if who in self._failing else logging.WARNING
            self._failing.add(who)
            seconds = (event.delay_ms or 0) / 1000
            logger.log(level, "%s: %s; trying again in %.1f s", who, event.reason, seconds)
        elif event.state == "subscribed" and self._failing & {who, event.feed}:
            self._failing -= {who, event.feed}  # one of several symbols may be all that is left
            logger.warning("%s: connected again", who)
        else:
            what = event.reason or event.url or ", ".join(event.symbols or ())
            logger.info("%s: %s %s", who, event.state, what)


def _socket(event: SessionEvent) -> str:
    """Name the socket by its symbol where it carries just one."""
    symbols = event.symbols or []
    return f"{event.feed} {symbols[0]}" if len(symbols) == 1 else event.feed


def _who(event: Event) -> str:
    return f"{event.feed} {event.symbol}" if event.symbol else event.feed
