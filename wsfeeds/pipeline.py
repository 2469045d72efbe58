"""Where the events of all sessions meet: numbered, filtered, counted, handed to the outputs.

Everything here is a plain call on the event loop's thread; a slow output closes the `Gate`, which
stops the reading of the sockets, so memory stays bounded and nothing is dropped.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

import msgspec

from wsfeeds.events import DATA_EVENTS, TYPES, Event, Heartbeat
from wsfeeds.secrets import Redactor

BATCH = 256
"""Data events gathered at most before they are passed on: some 64 KiB of lines."""


class Output(Protocol):
    """Where events go; they are not changed any more. A blocked output closes its gate."""

    def emit(self, event: Event) -> None:
        """Take one event, of any kind."""

    def emit_all(self, events: Sequence[Event]) -> None:
        """Take data events of one read, at least one: they have the same `recv_ts`."""

    def flush(self) -> None:
        """Pass on what was taken: the frames of one read are through."""


class Valve(Protocol):
    """A source that can be told not to read."""

    def pause_reading(self) -> None:
        """Stop reading."""

    def resume_reading(self) -> None:
        """Read on."""


class Gate:
    """Back-pressure: while anybody holds it closed, no attached valve is read."""

    def __init__(self) -> None:
        """Start open."""
        self._holders: set[object] = set()
        self._valves: list[Valve] = []

    @property
    def closed(self) -> bool:
        """Whether sources must not be read now."""
        return bool(self._holders)

    def close(self, holder: object) -> None:
        """Stop all sources until `holder` opens again."""
        if not self._holders:
            for valve in list(self._valves):
                valve.pause_reading()
        self._holders.add(holder)

    def open(self, holder: object) -> None:
        """Let the sources read again unless somebody else holds the gate."""
        if holder not in self._holders:
            return
        self._holders.discard(holder)
        if not self._holders:
            for valve in list(self._valves):
                valve.resume_reading()

    def attach(self, valve: Valve) -> None:
        """Add a source."""
        self._valves.append(valve)
        if self._holders:
            valve.pause_reading()

    def detach(self, valve: Valve) -> None:
        """Remove a source."""
        if valve in self._valves:
            self._valves.remove(valve)


class Countdown:
    """How many data events may still pass, over all streams that share it."""

    def __init__(self, count: int, on_zero: Callable[[], None]) -> None:
        """Let `count` pass and call `on_zero` after the last of them, once."""
        self.left = count
        self._on_zero: Callable[[], None] | None = on_zero

    def grant(self, wanted: int) -> int:
        """Return how many of so many may pass."""
        granted = min(wanted, self.left)
        self.left -= granted
        return granted

    def settle(self) -> None:
        """Say so if those that have passed were the last."""
        if self.left == 0 and self._on_zero is not None:
            on_zero, self._on_zero = self._on_zero, None
            on_zero()


class Stream:
    """One numbered stream of events to some outputs."""

    def __init__(
        self,
        outputs: Sequence[Output],
        *,
        types: Collection[str] | None = None,
        heartbeats: bool = False,
        countdown: Countdown | None = None,
        on_fact: Callable[[Event], None] | None = None,
        redactor: Redactor | None = None,
        gate: Gate | None = None,
    ) -> None:
        """Set up the stream.

        Args:
            outputs: Where events go, in this order.
            types: The names of the event types to let through; None lets all through.
            heartbeats: Whether heartbeats are let through.
            countdown: Says how many data events may pass; None lets all pass.
            on_fact: Called with every session fact, filtered out or not, free of secrets.
            redactor: Takes secrets out of session facts.
            gate: Held by outputs that cannot take more.
        """
        self.outputs = list(outputs)
        self.gate = gate or Gate()
        self.redactor = redactor or Redactor()
        self.seq = 0
        self.data_events = 0
        self.facts: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self._types = None if types is None else frozenset(TYPES[name] for name in types)
        self._heartbeats = heartbeats or (types is not None and "heartbeat" in types)
        self._countdown = countdown
        self.on_fact = on_fact

    @property
    def room(self) -> int:
        """How many data events may be gathered before they have to be emitted."""
        return BATCH if self._countdown is None else min(BATCH, self._countdown.left)

    def emit(self, events: Sequence[Event], recv_ts: int, conn: int) -> None:
        """Number data events that one read has brought and hand them to the outputs."""
        if self._types is not None:
            events = [event for event in events if event.__class__ in self._types]
        countdown = self._countdown
        if countdown is not None:
            events = events[: countdown.grant(len(events))]
        if not events:
            return
        seq = self.seq
        for event in events:
            event.seq = seq = seq + 1
            event.recv_ts = recv_ts
            event.conn = conn
        self.seq = seq
        for output in self.outputs:
            output.emit_all(events)
        self.data_events += len(events)
        if countdown is not None:
            countdown.settle()

    def close(self) -> None:
        """Let no more data events through: what was asked for is complete."""
        self._countdown = Countdown(0, lambda: None)

    def emit_fact(self, event: Event, recv_ts: int, conn: int) -> None:
        """Number a session fact, free it of secrets and hand it to the outputs."""
        self.facts[str(event.__struct_config__.tag)] += 1
        if event.__class__ is Heartbeat and not self._heartbeats:
            return
        self._redact(event)
        if self.on_fact is not None:
            self.on_fact(event)
        if self._types is not None and event.__class__ not in self._types:
            return
        self.seq = event.seq = self.seq + 1
        event.recv_ts = recv_ts
        event.conn = conn
        for output in self.outputs:
            output.emit(event)

    def flush(self) -> None:
        """Let the outputs pass on what they took."""
        for output in self.outputs:
            output.flush()

    def _redact(self, event: Event) -> None:
        for name in event.__struct_fields__:
            value = getattr(event, name)
            if isinstance(value, str):
                setattr(event, name, self.redactor(value))
            elif isinstance(value, msgspec.Raw):
                text = bytes(value).decode()
                clean = self.redactor(text)
                if clean != text:
                    setattr(event, name, msgspec.Raw(clean.encode()))


DATA_CLASSES: frozenset[type[Event]] = frozenset(DATA_EVENTS)
