"""Cutting what arrives into messages: records that end in U+001E, and server-sent events.

Both take bytes cut anywhere, inside a character too, and give whole messages as bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from wsfeeds.errors import Transient

RS = b"\x1e"
_LINE_ENDS = re.compile(rb"\r\n|\n|\r")
_FIELD_NAME = len(b"data: ")
_UNNAMED = frozenset({b"", b"message"})
_BOM = b"\xef\xbb\xbf"


class RecordSplitter:
    """Puts records together; `limit` is the most bytes of one."""

    def __init__(self, limit: int) -> None:
        """Start with nothing."""
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the records that this completes, without their U+001E.

        Raises:
            Transient: A record is longer than the limit.
        """
        *records, rest = data.split(RS)
        if records and self._parts:
            records[0] = b"".join((*self._parts, records[0]))
            self._parts.clear()
            self._size = 0
        if rest:
            self._parts.append(rest)
            self._size += len(rest)
        if self._size > self._limit or any(len(record) > self._limit for record in records):
            raise Transient(f"a message was larger than max_frame ({self._limit} bytes)")
        return records

    @property
    def rest(self) -> bytes:
        """What there is of a record whose end has not come."""
        return b"".join(self._parts)


class EventStream:
    """Reads the data of server-sent events (`text/event-stream` of the HTML standard).

    Only U+000A and U+000D end lines; ids and comments are passed over, for SignalR uses none. The
    data of an event with a name of its own, which no `onmessage` would see, goes to `named`.
    `limit` is the most bytes of one event.
    """

    def __init__(self, limit: int, named: Callable[[bytes], None]) -> None:
        """Start with nothing."""
        self._limit = limit
        self._named = named
        self._name = b""
        self._begun = False
        self._after_return = False
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._size = 0
        self._unfinished = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that this completes.

        Raises:
            Transient: An event is longer than the limit.
        """
        if self._after_return and chunk[:1] == b"\n":
            chunk = chunk[1:]  # the other half of a line end whose first half ended a chunk
            self._after_return = False
        if not chunk:
            return []
        self._after_return = chunk[-1:] == b"\r"
        *lines, rest = _LINE_ENDS.split(chunk)
        events: list[bytes] = []
        for line in lines:
            whole = b"".join((*self._line, line)) if self._line else line
            self._line.clear()
            self._unfinished = 0
            self._take(whole, events)
            self._check()
        if rest:
            self._line.append(rest)
            self._unfinished += len(rest)
            self._check()
        return events

    @property
    def rest(self) -> bytes:
        """What there is of an event whose end has not come."""
        return b"\n".join((*self._data, *filter(None, (b"".join(self._line),))))

    def _check(self) -> None:
        longest = self._limit + 1  # each line counts its end
        if self._size > longest or self._size + self._unfinished > longest + _FIELD_NAME:
            raise Transient(f"an event was larger than max_frame ({self._limit} bytes)")

    def _take(self, line: bytes, events: list[bytes]) -> None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(_BOM)
        if not line:
            if self._data:
                take = events.append if self._name in _UNNAMED else self._named
                take(b"\n".join(self._data))
                self._data.clear()
            self._size = 0
            self._name = b""
            return
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(self._data[-1]) + 1
        elif name == b"event":
            self._name = value.removeprefix(b" ")
