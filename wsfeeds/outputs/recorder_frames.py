"""Raw frames of both directions as lines: what `wsfeeds replay` builds the events from again."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from wsfeeds.outputs.recorder_track import BUFFER, Track

_encode = msgspec.json.Encoder().encode


class FrameTap:
    """Writes a line for each frame, and at the top of each segment who is connected.

    An `open` line says what it takes to build the connector again, and, where a connector has
    learned something by then, its `state`: so every segment can be replayed by itself.
    """

    def __init__(self, track: Track, run: str, redact: Callable[[str], str]) -> None:
        """Write to `track`; `redact` takes secrets out of what a venue echoes."""
        self._redact = redact
        self._track = track
        self._run = run
        self._open: dict[int, tuple[dict[str, Any], Callable[[], dict[str, Any]]]] = {}

    def opened(
        self,
        recv_ts: int,
        conn: int,
        about: dict[str, Any],
        state: Callable[[], dict[str, Any]],
    ) -> None:
        """Write what the connection is."""
        if recv_ts >= self._track.limit:
            self._begin(recv_ts)
        self._open[conn] = (about, state)
        self._write_open(recv_ts, conn)
        self._track.write()

    def inbound(self, recv_ts: int, conn: int, frame: bytes, binary: bool) -> None:
        """Write a frame that has come; it is flushed with its read."""
        track = self._track
        if recv_ts >= track.limit:
            self._begin(recv_ts)
        buffer = track.buffer
        buffer += b'{"recv_ts":%d,"conn":%d,"dir":"in","frame":' % (recv_ts, conn)
        text = None if binary else _text(frame)
        if text is None:
            buffer += b'"' + base64.b64encode(frame) + b'","base64":true}\n'
        else:
            buffer += orjson.dumps(self._redact(text))
            buffer += b"}\n"
        track.lines += 1
        track.last_recv_ts = recv_ts
        if len(buffer) >= BUFFER:
            track.write()

    def outbound(self, recv_ts: int, conn: int, frame: str) -> None:
        """Write a frame that was sent, at once."""
        track = self._track
        recv_ts = max(recv_ts, track.last_recv_ts)
        if recv_ts >= track.limit:
            self._begin(recv_ts)
        line = {"recv_ts": recv_ts, "conn": conn, "dir": "out", "frame": frame}
        self._append(recv_ts, _encode(line))
        track.write()

    def closed(self, recv_ts: int, conn: int) -> None:
        """Forget the connection; a close has no line of its own."""
        del recv_ts
        self._open.pop(conn, None)

    def _begin(self, recv_ts: int) -> None:
        self._track.begin(recv_ts, None)
        for conn in self._open:
            self._write_open(recv_ts, conn)

    def _write_open(self, recv_ts: int, conn: int) -> None:
        about, state = self._open[conn]
        line = {"recv_ts": recv_ts, "conn": conn, "dir": "open", "run": self._run, **about}
        learned = state()
        if learned:
            line["settings"] = {**about["settings"], "state": learned}
        text = _encode(line)
        self._track.uncounted += len(text)
        self._append(recv_ts, text)

    def _append(self, recv_ts: int, line: bytes) -> None:
        track = self._track
        track.buffer += line
        track.buffer.append(10)
        track.lines += 1
        track.last_recv_ts = recv_ts


def _text(frame: bytes) -> str | None:
    """Return a text frame as text, None where it is not UTF-8 after all."""
    try:
        return frame.decode()
    except UnicodeDecodeError:
        return None
