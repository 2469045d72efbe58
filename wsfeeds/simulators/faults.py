"""Faults that a simulated venue injects: how they are written, parsed and applied to frames.

Times are in seconds, probabilities between 0 and 1. Every purpose draws from its own seeded
generator, so switching one fault on leaves the choices of the others as they were.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from random import Random

from wsfeeds.errors import UsageError
from wsfeeds.quantities import parse_duration

_DEEP = 20_000

Frame = tuple[bytes, bool]
"""What goes into one WebSocket message: the payload, and whether it is binary."""


@dataclass(frozen=True, kw_only=True)
class Faults:
    """The faults of one simulator; everything is off by default.

    Args:
        disconnect: Seconds from the opening of a connection to its abrupt loss.
        stall: Seconds from the opening of a connection until it falls silent, yet stays open.
        slow_upgrade: Seconds that every upgrade waits.
        logout: Seconds from the opening of a connection until the venue logs it out.
        drop: Probability that a data frame is left out.
        duplicate: Probability that a data frame is sent twice.
        reorder: Probability that a data frame changes places with the next one.
        garbage: Probability that a frame of junk follows a data frame.
        truncate: Probability that a data frame loses its end.
        token_error: Probability that a request for a token fails.
        crossed_book: Probability that a partial book update crosses the book.
    """

    disconnect: float | None = None
    stall: float | None = None
    slow_upgrade: float | None = None
    logout: float | None = None
    drop: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    garbage: float = 0.0
    truncate: float = 0.0
    token_error: float = 0.0
    crossed_book: float = 0.0

    @classmethod
    def parse(cls, pairs: Iterable[str]) -> Faults:
        """Read faults as the command line writes them, such as ``drop=0.01``.

        Raises:
            UsageError: A fault is unknown, or its value is not what it takes.
        """
        values: dict[str, float] = {}
        for pair in pairs:
            name, sign, value = pair.partition("=")
            if not sign:
                raise UsageError(f"--fault takes NAME=VALUE, not {pair!r}")
            key = name.strip().replace("-", "_")
            if key not in _NAMES:
                raise UsageError(f"unknown fault {name!r}{nearest(name, NAMES)}")
            values[key] = _value(name, key, value.strip())
        return cls(**values)

    def given(self) -> frozenset[str]:
        """Name the faults that are on, as the command line writes them."""
        return frozenset(
            field.name.replace("_", "-")
            for field in fields(self)
            if getattr(self, field.name) != field.default
        )


_NAMES = frozenset(field.name for field in fields(Faults))
_TIMES = frozenset({"disconnect", "stall", "slow_upgrade", "logout"})
NAMES = tuple(sorted(name.replace("_", "-") for name in _NAMES))
"""Every fault of the contract, as the command line writes it."""

COMMON = frozenset(NAMES) - {"token-error", "crossed-book", "logout"}
"""The faults that every feed can have."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Suggest the known name closest to a mistyped one, or list them all."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""


def _value(name: str, key: str, text: str) -> float:
    try:
        if key in _TIMES:
            return parse_duration(text)
        probability = float(text)
    except (ValueError, UsageError) as error:
        takes = "a duration such as 5s" if key in _TIMES else "a probability from 0 to 1"
        raise UsageError(f"fault {name!r} takes {takes}, not {text!r}") from error
    if not 0.0 <= probability <= 1.0:
        raise UsageError(f"fault {name!r} takes a probability from 0 to 1, not {text!r}")
    return probability


class FrameFaults:
    """Applies the per-frame faults to the data frames of one connection.

    Args:
        faults: What goes wrong, and how often.
        random: Gives the generator of a purpose; the same purpose gives the same choices.
    """

    def __init__(self, faults: Faults, random: Callable[[str], Random]) -> None:
        self._chances: Mapping[str, tuple[float, Random]] = {
            name: (chance, random(name))
            for name in ("drop", "reorder", "duplicate", "garbage", "truncate")
            if (chance := getattr(faults, name)) > 0.0
        }
        self._held: Frame | None = None

    def __bool__(self) -> bool:
        """Tell whether any frame can be touched at all."""
        return bool(self._chances)

    def apply(self, frame: Frame) -> Iterator[Frame]:
        """Turn one data frame into the frames that are sent in its place."""
        if self._happens("drop"):
            return
        if self._held is not None:
            held, self._held = self._held, None
            yield from self._damage(frame)
            yield from self._damage(held)
        elif self._happens("reorder"):
            self._held = frame
        else:
            yield from self._damage(frame)

    def _damage(self, frame: Frame) -> Iterator[Frame]:
        if self._happens("truncate"):
            frame = _truncated(frame, self._chances["truncate"][1])
        yield frame
        if self._happens("duplicate"):
            yield frame
        if self._happens("garbage"):
            yield _junk(self._chances["garbage"][1])

    def _happens(self, name: str) -> bool:
        if name not in self._chances:
            return False
        chance, random = self._chances[name]
        return random.random() < chance


def _truncated(frame: Frame, random: Random) -> Frame:
    payload, binary = frame
    if binary:
        return payload[: random.randrange(max(len(payload), 1))], True
    text = payload.decode()  # a text frame stays UTF-8: cut between characters, not inside one
    return text[: random.randrange(max(len(text), 1))].encode(), False


def _junk(random: Random) -> Frame:
    kind = random.randrange(8)
    if kind == 0:
        return random.randbytes(random.randint(1, 64)), True
    if kind == 1:
        return b"[" * _DEEP + b"]" * _DEEP, False
    return _JUNK_TEXTS[kind - 2], False


_JUNK_TEXTS = (
    b"this is not JSON",
    b"<html><body><h1>502 Bad Gateway</h1></body></html>",
    b"null",
    b'{"surprise":[1,2,3],"nobody":"documented this"}',
    b'{"a":NaN,"b":1e99999,"c":',
    "\u0000\u001b[31m \U0001f4a5".encode(),
)
