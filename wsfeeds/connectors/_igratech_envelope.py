"""The envelopes of Igratech: from any documented style to operation and payload, and back.

The venue documents operations, not their frames; docs/protocols/igratech.md, section 5, lists every
style that a client must accept, and how it copies the style of the greeting in what it sends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from wsfeeds.errors import UsageError
from wsfeeds.opaque import exact_json

OPERATIONS = frozenset(
    {
        "connected",
        "logout",
        "ping-pong",
        "settings",
        "incident",
        "bet",
        "bets-result",
        "balance",
        "stats",
    }
)
_DISCRIMINATORS = ("event", "type", "action", "channel", "cmd", "name")
_PAYLOADS = ("data", "payload", "body", "params")
_SAME_AS = {
    "ping": "ping-pong",
    "pong": "ping-pong",
    "pingpong": "ping-pong",
    "bet-result": "bets-result",
    "betsresult": "bets-result",
    "connect": "connected",
}
_BLANK = re.compile(r"[_\s]")
_MESSAGE_NAME = re.compile(r"publish-|subscribe-")
_MESSAGE_NAMES = {"ping-pong": "subscribe-ping", "settings": "subscribe-settings"}
_PARTS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)
_PLAIN = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


class ReplyStyle(Struct, frozen=True):
    """How to write to the venue: the defaults of section 5.3, or what the greeting showed."""

    key: str = "event"
    payload_key: str = "data"
    message_names: bool = False


class Usual(Struct, forbid_unknown_fields=True, gc=False):
    """A frame of the default style with nothing else in it, the one that comes in masses."""

    event: str
    data: Raw


decode_usual = msgspec.json.Decoder(Usual).decode


class Envelope(Struct, gc=False):
    """What a frame says; `operation` is None where nobody documented it.

    `name` is the operation as sent; `data` what the event keeps: the payload, or the whole frame.
    """

    operation: str | None
    name: str | None
    data: Raw
    style: ReplyStyle = ReplyStyle()


def normalized(name: str) -> str | None:
    """Return the operation that a name stands for (section 5.2), None where it is none."""
    if name in OPERATIONS:
        return name
    plain = _canonical(name)
    match = _MESSAGE_NAME.match(plain)
    if match:
        plain = plain[match.end() :]
    plain = _SAME_AS.get(plain, plain)
    return plain if plain in OPERATIONS else None


def read(frame: bytes) -> Envelope:
    """Return what any frame says, in the order of section 5.1.

    Raises:
        msgspec.DecodeError: It is no JSON.
    """
    start = frame.lstrip()[:1]
    found = None
    if start == b"{":
        found = _read_object(frame, _PARTS.decode(frame))
    elif start == b"[":
        found = _read_pair(_ITEMS.decode(frame))
    return found or Envelope(None, None, exact_json(frame))


def encode(operation: str, style: ReplyStyle) -> str:
    """Return a frame for the venue in its own style (section 5.3).

    A style without a discriminator (single key, array) teaches only its names: the documented shape
    of a client frame always has one.

    Raises:
        UsageError: It is none of the two operations that a client may send.
    """
    if operation not in _MESSAGE_NAMES:
        raise UsageError(f"igratech takes no {operation!r} from a client")
    frame: dict[str, Any] = {
        style.key: _MESSAGE_NAMES[operation] if style.message_names else operation
    }
    if operation == "settings":
        frame[style.payload_key] = {}
    return _ENCODER.encode(frame).decode()


def _canonical(name: str) -> str:
    return _BLANK.sub("-", name.strip().lower())


def _has_message_name(name: str) -> bool:
    return _MESSAGE_NAME.match(_canonical(name)) is not None


def _read_object(frame: bytes, parts: dict[str, Raw]) -> Envelope | None:
    texts = {key: _TEXT.decode(parts[key]) for key in _DISCRIMINATORS if _is_text(parts.get(key))}
    for key, name in texts.items():
        operation = normalized(name)
        if operation is not None:
            return _read_discriminated(frame, parts, key, operation)
    if texts:
        return Envelope(None, next(iter(texts.values())), exact_json(frame))
    if len(parts) == 1:
        ((name, payload),) = parts.items()
        return _named(name, payload)
    return None


def _read_discriminated(
    frame: bytes, parts: Mapping[str, Raw], key: str, operation: str
) -> Envelope:
    payload_key = next((each for each in _PAYLOADS if each in parts), None)
    name = _TEXT.decode(parts[key])
    if payload_key is None:
        data = _without(parts, key)
    elif len(parts) == 2:
        data = exact_json(parts[payload_key])
    else:
        data = exact_json(frame)
    style = ReplyStyle(key, payload_key or "data", _has_message_name(name))
    return Envelope(operation, name, data, style)


def _read_pair(items: list[Raw]) -> Envelope | None:
    if len(items) == 2 and _is_text(items[0]):
        return _named(_TEXT.decode(items[0]), items[1])
    return None


def _named(name: str, payload: Raw) -> Envelope | None:
    operation = normalized(name)
    if operation is None:
        return None
    style = ReplyStyle(message_names=_has_message_name(name))
    return Envelope(operation, name, exact_json(payload), style)


def _without(parts: Mapping[str, Raw], key: str) -> Raw:
    rest = {name: exact_json(part) for name, part in parts.items() if name != key}
    return Raw(_ENCODER.encode(rest))


def _is_text(part: Raw | None) -> bool:
    return part is not None and bytes(part)[:1] == b'"'


# --- game ids -----------------------------------------------------------------------------------

_GAME = re.compile(rb"game", re.IGNORECASE)
_GAME_KEYS = ("gameid", "game_id", "game")
"""The best first; `-` is as good as `_`, and case does not matter."""
_DEPTH = 3
"""A list, its items, and a part of an item."""


def game_ids(data: Raw) -> frozenset[str]:
    """Return the game ids that are recognisable in a payload: a best effort, nothing is documented.

    An id is the text or whole number under `gameId`, `game_id`, `GameID` … or `game`, or the `id`
    of an object under `game`. Where the keys of one object say different things, `gameId` is
    believed rather than `game_id`, and that rather than `game`. Ids are looked for in the payload
    (or its list's items) and, only where an object has none, in the parts of that object.
    """
    text = bytes(data)
    if not _GAME.search(text):
        return frozenset()
    return frozenset(_ids(_PLAIN.decode(text), _DEPTH))


def _ids(value: Any, depth: int) -> Iterator[str]:
    inner: Any = ()
    if isinstance(value, list):
        inner = value
    elif isinstance(value, dict):
        own = _own_id(value)
        if own is None:
            inner = value.values()
        else:
            yield own
    if depth > 0:
        for each in inner:
            yield from _ids(each, depth - 1)


def _own_id(members: dict[str, Any]) -> str | None:
    """Return the id that an object itself has, by its best key that holds one."""
    found: dict[str, str] = {}
    for key, part in members.items():
        plain = key.replace("-", "_").lower()
        game = _id(part) if plain in _GAME_KEYS else None
        if game is not None:
            found.setdefault(plain, game)
    return next((found[key] for key in _GAME_KEYS if key in found), None)


def _id(value: Any) -> str | None:
    if isinstance(value, dict):
        value = next((part for key, part in value.items() if key.lower() == "id"), None)
    usable = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    return str(value) if usable else None
