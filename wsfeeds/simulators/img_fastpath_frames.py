"""How the simulated FastPath writes frames (docs/protocols/img_fastpath.md, sections 4 to 8).

A packet is built once, with placeholders where its number and its times go: the same packet is
written again for every connection that replays it, and comes out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any
from uuid import UUID

import orjson

_NEW_IN_ACTION = frozenset({"timelineSequence", "relatedFixtureActionIds"})
_NEW_IN_SUMMARY = frozenset({"collectionStatus", "currentClockState"})

Stamp = Callable[[float], int]
"""Turns simulated seconds into microseconds since 1970."""


class Moment:
    """A simulated time, and how it is written.

    Args:
        at: Simulated seconds since the script began.
        digits: Of the fraction of a second.
        zone: Whether a ``Z`` follows.
    """

    __slots__ = ("at", "digits", "zone")

    def __init__(self, at: float, digits: int = 6, *, zone: bool = True) -> None:
        self.at = at
        self.digits = digits
        self.zone = zone

    def written(self, stamp: Stamp) -> str:
        """Write it as ISO 8601."""
        return iso(stamp(self.at), self.digits) + ("Z" if self.zone else "")


class Number:
    """The place of a frame's sequence number."""

    __slots__ = ()


class Timeline:
    """The place of a ``timelineSequence`` (section 5.3).

    Args:
        period: The action's period.
        elapsed: Seconds since that period began.
    """

    __slots__ = ("elapsed", "period")

    def __init__(self, period: int, elapsed: float) -> None:
        self.period = period
        self.elapsed = elapsed

    def written(self, number: int, *, scientific: bool) -> bytes:
        """Write it as the double that the venue prints."""
        value = Decimal(repr(self.period + self.elapsed * 1e-9 + number * 1e-16))
        return format(value, "E" if scientific else "f").encode()


@dataclass(frozen=True)
class Packet:
    """One data frame of a stream.

    Args:
        at: When it reaches the venue, in simulated seconds since the script began.
        body: The frame, with placeholders.
    """

    at: float
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Style:
    """Which of the published shapes frames have.

    Args:
        version: 3, or 1 for the shape of 2022 without the members that came later.
        scientific: Whether ``timelineSequence`` is printed as in ``1.0E-16``.
    """

    version: int = 3
    scientific: bool = False

    def encode(self, body: Mapping[str, Any], stamp: Stamp, number: int) -> bytes:
        """Write a packet as the frame with this number."""

        def fill(value: object) -> object:
            if isinstance(value, Moment):
                return value.written(stamp)
            if isinstance(value, Number):
                return number
            if isinstance(value, Timeline):
                return orjson.Fragment(value.written(number, scientific=self.scientific))
            raise TypeError(f"{value!r} has no place in a frame")

        return orjson.dumps(self._aged(body), default=fill)

    def _aged(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.version != 1 or "fixtureAction" not in body:
            return body
        return {
            "fixtureAction": _without(body["fixtureAction"], _NEW_IN_ACTION),
            "fixtureSummary": _without(body["fixtureSummary"], _NEW_IN_SUMMARY),
            "version": 1,
        }


def iso(microseconds: int, digits: int = 6) -> str:
    """Write a time as ISO 8601 without a zone, with so many digits of the second."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    text = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{f'{fraction:06}'.ljust(digits, '0')[:digits]}" if digits else text


def heartbeat(shape: str, now: int) -> dict[str, str]:
    """Build a heartbeat in one of the two published shapes (section 4).

    Args:
        shape: ``tracking`` or ``golf``.
        now: Microseconds since 1970.
    """
    at = f"{iso(now, 3)}Z"
    if shape == "golf":
        return {"timestamp": at, "eventelementType": "heartbeat", "message": "heartbeat"}
    return {"message": f"Heartbeat sent at {at}", "level": "INFO"}


def connection_state(state: str, now: int) -> dict[str, str]:
    """Build a connection status frame: exactly three members, no number (section 6)."""
    return {
        "eventElementType": "ConnectionStateChanged",
        "state": state,
        "timestamp": f"{iso(now, 3)}Z",
    }


def clock_text(seconds: float) -> str:
    """Write a clock as ``MM:SS``; soccer counts on beyond 90."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    return f"{minutes:02}:{rest:02}"


def uuid(random: Random) -> str:
    """Make a UUID of the given chance."""
    return str(UUID(int=random.getrandbits(128), version=4))


def trace_id(random: Random) -> str:
    """Make a trace id: 32 hexadecimal digits without dashes."""
    return f"{random.getrandbits(128):032x}"


def _without(members: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if name not in names}
