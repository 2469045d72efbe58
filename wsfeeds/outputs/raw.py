"""`--format raw`: every inbound frame as it came, one a line."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

from wsfeeds.outputs.writers import Writer

_LINE_BREAKS = bytes.maketrans(b"\r\n", b"  ")


class RawFrames:
    """Writes inbound frames: line breaks become spaces, binary becomes base64."""

    def __init__(
        self, writers: Sequence[Writer], *, count: int | None, on_count: Callable[[], None]
    ) -> None:
        """Write to these; call `on_count` once after `count` frames and write no more."""
        self._writers = writers
        self._count = count
        self._on_count = on_count
        self._frames = 0

    def opened(
        self,
        recv_ts: int,
        conn: int,
        about: dict[str, Any],
        state: Callable[[], dict[str, Any]],
    ) -> None:
        """Nothing is written for an opening."""

    def inbound(self, recv_ts: int, conn: int, frame: bytes, binary: bool) -> None:  # noqa: ARG002
        """Write one frame."""
        if self._frames == self._count:
            return
        self._frames += 1
        line = base64.b64encode(frame) if binary else frame.translate(_LINE_BREAKS)
        for writer in self._writers:
            writer.write(line + b"\n")
        if self._frames == self._count:
            self._on_count()

    def outbound(self, recv_ts: int, conn: int, frame: str) -> None:
        """Outbound frames are not shown."""

    def closed(self, recv_ts: int, conn: int) -> None:
        """Nothing is written for a close."""
