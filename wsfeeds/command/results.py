"""What a run puts out: results of chains, numbered with the session facts (contract, section 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import msgspec

from wsfeeds.command.exact import dumps
from wsfeeds.command.masking import Masking
from wsfeeds.command.spec import Hook
from wsfeeds.events import Event, Micros
from wsfeeds.pipeline import Stream


class Result(msgspec.Struct, tag="result", tag_field="type", kw_only=True, gc=False):
    """One output of a chain; `data` is its JSON with the digits that came."""

    hook: Hook
    recv_ts: Micros
    seq: int = 0
    heartbeat: bool = False
    data: Any


class Results:
    """Numbers results and hands them to the stream's outputs; keeps the current one."""

    def __init__(
        self,
        stream: Stream,
        *,
        masking: Masking,
        count: int | None = None,
        on_count: Callable[[], None] | None = None,
    ) -> None:
        """Publish to the outputs of `stream`.

        Args:
            stream: Whose numbers and outputs are used.
            masking: Takes secrets out.
            count: The number of fresh `onMessage` results after which no more come.
            on_count: Called once when that number is reached.
        """
        self.fresh = 0
        self._stream = stream
        self._masking = masking
        self._count = count
        self._on_count = on_count
        self.current: Any = None
        """The output of the last finished `onMessage` chain."""
        self._current: msgspec.Raw | None = None
        self._latest = 0

    def stamp(self, recv_ts: int) -> int:
        """Return the time to put out for something received then: never less than one before.

        A message that waited behind a Send comes after facts that are younger than it.
        """
        self._latest = max(self._latest, recv_ts)
        return self._latest

    @property
    def full(self) -> bool:
        """Whether everything that was asked for has been published."""
        return self._count is not None and self.fresh >= self._count

    def publish(self, hook: Hook, data: Any, recv_ts: int) -> None:
        """Publish the output of a finished chain.

        Raises:
            TypeError, ValueError, RecursionError: It cannot be written as JSON.
        """
        if hook == "onMessage" and self.full:
            return
        encoded = msgspec.Raw(self._encode(data))
        self._emit(Result(hook=hook, recv_ts=recv_ts, data=encoded))
        if hook == "onMessage":
            self.current, self._current = data, encoded
            self.fresh += 1
            if self.full and self._on_count is not None:
                self._on_count()

    def repeat(self, recv_ts: int) -> None:
        """Publish the current result once more, as a heartbeat; nothing before the first one."""
        if self._current is not None and not self.full:
            self._emit(
                Result(hook="onMessage", recv_ts=recv_ts, heartbeat=True, data=self._current)
            )

    def _emit(self, result: Result) -> None:
        stream = self._stream
        result.recv_ts = self.stamp(result.recv_ts)
        stream.seq = result.seq = stream.seq + 1
        for output in stream.outputs:
            output.emit(cast("Event", result))  # it is encoded all the same

    def _encode(self, data: Any) -> bytes:
        line = dumps(data)
        shown = self._masking.value(data, line.decode())
        return line if shown is data else dumps(shown)
