"""What a line must be, key by key: the contract's schema, checked in bulk."""

from __future__ import annotations

import functools
import itertools
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import Raw

from wsfeeds import events
from wsfeeds.events import DecimalText, Event

_LEVELS = {"bids", "asks"}
_OPAQUE = {"data", "team", *_LEVELS}


def _strict(event: type[Event]) -> type[Any]:
    """Return a struct that demands every key of the event, and opens nothing opaque.

    Decimals are checked apart, many at a time: msgspec's `pattern` costs a call for each.
    """
    hints = get_type_hints(event, include_extras=True)
    fields = [(name, Raw if name in _OPAQUE else hints[name]) for name in event.__struct_fields__]
    return msgspec.defstruct(
        event.__name__,
        fields,
        tag_field="type",
        tag=str(event.__struct_config__.tag),
        kw_only=True,
        gc=False,
    )


def _decimals(event: type[Event]) -> Callable[[Any], tuple[Any, ...]] | None:
    """Return what takes the decimals out of an event, None where it has none."""
    hints = get_type_hints(event, include_extras=True)
    names = [
        name
        for name in event.__struct_fields__
        if DecimalText in (hints[name], *getattr(hints[name], "__args__", ()))
    ]
    if len(names) == 1:
        return lambda one: (getattr(one, names[0]),)
    return operator.attrgetter(*names) if names else None


STRICT = {_strict(event): event for event in events.TYPES.values()}
_DECIMALS = {strict: _decimals(event) for strict, event in STRICT.items()}
GAP, _BOOK = (
    next(strict for strict, event in STRICT.items() if event is wanted)
    for wanted in (events.Gap, events.Book)
)
_Union: Any = functools.reduce(operator.or_, STRICT)
decoder = msgspec.json.Decoder(_Union)
_PLAIN = re.compile(r" ?(?:-?[0-9]++(?:\.[0-9]++)? )*+").fullmatch
_LEVEL = rb'\["-?[0-9]++(?:\.[0-9]++)?","-?[0-9]++(?:\.[0-9]++)?"\],?'
_PLAIN_LEVELS = re.compile(rb"(?:\[(?:" + _LEVEL + rb")*+\] )*+").fullmatch


class _FrameLine(msgspec.Struct, tag_field="dir", forbid_unknown_fields=True, kw_only=True):
    recv_ts: int
    conn: Annotated[int, msgspec.Meta(ge=1)]


class _Frame(_FrameLine):
    frame: str
    base64: bool = False


class In(_Frame, tag="in"):
    """The line of a frame that came."""


class Out(_Frame, tag="out"):
    """The line of a frame that was sent."""


class Open(_FrameLine, tag="open"):
    """The line of a connection."""

    run: str
    url: str
    symbols: list[str]
    channels: list[str]
    settings: dict[str, Any]


frames = msgspec.json.Decoder(In | Out | Open)
_encoder = msgspec.json.Encoder()
_members = msgspec.json.Decoder(dict[str, Raw]).decode


def misnumbered(event: Any) -> str | None:
    """Return what is wrong with an event's own numbers, None if nothing is."""
    if event.seq < 1:
        return f"seq {event.seq} is less than one"
    # Facts may come before the first connection.
    if event.conn < (1 if STRICT[event.__class__] in events.DATA_EVENTS else 0):
        return f"conn {event.conn} is less than one"
    return None


def is_canonical(checked: Sequence[Any], block: bytes) -> bool:
    """Tell whether a block is exactly what its events are written as, keys in their order.

    It costs a fraction of decoding. `miswritten` tells of each line what is wrong.
    """
    return _encoder.encode_lines(checked) == block


def miswritten(event: Any, line: bytes) -> str | None:
    """Return what is wrong with how an event's line is written, None if nothing is."""
    if _encoder.encode(event) == line:
        return None
    if line.endswith(b"\r"):
        return "it ends in \\r\\n"
    keys = list(_members(line))
    wanted = ["type", *event.__struct_fields__]
    if keys == wanted:
        return "it is not compact, has a key twice, or escapes what needs no escape"
    unknown = [key for key in keys if key not in wanted]
    if unknown:
        return f"an unknown key {unknown[0]!r}"
    return "its keys are not in the documented order"


def faulty_decimal(checked: Sequence[Any]) -> str | None:
    """Return what is wrong with a decimal of some events, None if nothing is."""
    kinds: defaultdict[type[Any], list[Any]] = defaultdict(list)
    for event in checked:
        kinds[event.__class__].append(event)
    for kind, group in kinds.items():
        fields = _DECIMALS[kind]
        if fields is not None:
            values = itertools.chain.from_iterable(map(fields, group))
            if not _PLAIN(" ".join([text for text in values if text is not None]) + " "):
                return "a decimal is not in plain notation"
    levels = [side for book in kinds[_BOOK] for side in (book.bids, book.asks)]
    if levels and not _PLAIN_LEVELS(b" ".join(levels) + b" "):
        return "bids or asks are no list of [price, quantity] in plain notation"
    return None
