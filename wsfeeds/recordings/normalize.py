"""Frames to events once more: recorded frames through the real connectors.

A connector is pure, and everything that was sent passes `Connector.sent`, so the same frames in the
same order give the same data events. Each segment begins with the state of the connectors that were
at work, so it can be read by itself, from the middle of a connection too.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from wsfeeds import connectors
from wsfeeds.errors import RecordingDamaged
from wsfeeds.events import DATA_EVENTS, Event
from wsfeeds.protocol import Connector, FeedSettings, Socket, Wanted
from wsfeeds.recordings.lines import FrameLine
from wsfeeds.secrets import MASK, Secret

_DATA = frozenset(DATA_EVENTS)
_Key = tuple[tuple[str, ...], tuple[str, ...]]


class Normalizer:
    """Turns the frames of one feed into its data events, line by line."""

    def __init__(self, feed: str) -> None:
        """Serve the connections of `feed`.

        Raises:
            UsageError: There is no such feed.
        """
        self._type = connectors.load(feed)
        self._run: str | None = None
        self._connectors: dict[int, Connector] = {}
        self._latest: dict[_Key, Connector] = {}

    def feed(self, line: FrameLine) -> Iterator[Event]:
        """Yield the data events of a line, with `recv_ts` and `conn` set.

        Raises:
            RecordingDamaged: The line is of a connection that nothing was said about.
        """
        if line.dir == "open":
            self._open(line)
            return
        connector = self._connectors.get(line.conn)
        if connector is None:
            raise RecordingDamaged(f"connection {line.conn} has no open line before its frames")
        if line.dir == "out":
            connector.sent(line.frame)
            return
        for item in connector.receive(frame_of(line)):
            if item.__class__ in _DATA:
                assert isinstance(item, Event)
                item.recv_ts = line.recv_ts
                item.conn = line.conn
                yield item

    def _open(self, line: FrameLine) -> None:
        if line.run != self._run:
            self._run = line.run
            self._connectors.clear()
            self._latest.clear()
        if line.conn in self._connectors:
            return  # the next segment of a connection that goes on
        key = (tuple(line.symbols), tuple(line.channels))
        previous = self._latest.get(key)
        public = dict(line.settings)
        overlaps = bool(public.pop("overlaps", False))
        state = public.pop("state", None)
        connector = self._type(
            Socket(Wanted(*key)),
            settings_of(self._type, public),
            previous=previous,
            overlaps=overlaps,
        )
        if previous is None and state:
            connector.restore(state)
        self._connectors[line.conn] = self._latest[key] = connector


def frame_of(line: FrameLine) -> bytes:
    """Return the frame of a line as it came."""
    return base64.b64decode(line.frame) if line.base64 else line.frame.encode()


def settings_of(connector: type[Connector], public: dict[str, Any]) -> FeedSettings:
    """Return settings from what an `open` line says, with blanks for the secrets.

    Members that this version does not know are left out.
    """
    kind = connector.settings_type
    known = set(kind.__struct_fields__)
    given = {key: value for key, value in public.items() if key in known}
    settings = msgspec.convert(given, kind, strict=False)
    secrets = {
        key: Secret(MASK)
        for key in connector.required
        if getattr(settings, key) is None and key not in {"url", "api_url"}
    }
    return msgspec.structs.replace(settings, **secrets)
