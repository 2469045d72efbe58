"""How the simulated Igratech wraps messages (docs/protocols/igratech.md, sections 5 and 7).

Frames are put together as bytes, so that a payload from a script keeps every digit of its own.
"""

from __future__ import annotations

from typing import Any

import orjson

STYLES = ("event-data", "type-payload", "single-key", "message-name", "flat", "array")
"""Every envelope that a client has to take."""

_KEYS = {
    "event-data": ("event", "data"),
    "type-payload": ("type", "payload"),
    "message-name": ("event", "data"),
    "flat": ("action", None),
}
_DISCRIMINATORS = ("event", "type", "action", "channel", "cmd", "name")
_MESSAGE_NAMES = {"ping-pong": "publish-pong"}
_ALIASES = {"ping": "ping-pong", "pong": "ping-pong", "pingpong": "ping-pong"}
_OWN_NAMES = {"ping-pong": "subscribe-ping", "settings": "subscribe-settings"}


def encode(style: str, operation: str, payload: bytes, status: bytes | None = None) -> bytes:
    """Wrap a payload.

    Args:
        style: One of `STYLES`.
        operation: Such as ``bets-result``.
        payload: JSON.
        status: JSON of a sibling member, for the styles that have room for one.
    """
    name = orjson.dumps(operation)
    if style == "single-key":
        return b"{%b:%b}" % (name, payload)
    if style == "array":
        return b"[%b,%b]" % (name, payload)
    if style == "message-name":
        name = orjson.dumps(_MESSAGE_NAMES.get(operation, f"publish-{operation}"))
    key, payload_key = _KEYS[style]
    head = b'{"%b":%b' % (key.encode(), name)
    if payload_key is None:
        return head + _flattened(payload)
    extra = b"" if status is None else b',"status":%b' % status
    return head + extra + b',"%b":%b}' % (payload_key.encode(), payload)


def operation(message: str | bytes, style: str, *, strict: bool) -> str | None:
    """Tell what a client asks for; None where it cannot be told.

    Args:
        message: What the client sent.
        style: The server's own style.
        strict: Take that style only, else any.
    """
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError:
        return None
    if strict:
        return _strictly(value, style)
    if isinstance(value, list) and len(value) == 2:
        return _known(value[0])
    if not isinstance(value, dict):
        return None
    for key in _DISCRIMINATORS:
        if name := _known(value.get(key)):
            return name
    return _known(next(iter(value))) if len(value) == 1 else None


def _strictly(value: Any, style: str) -> str | None:
    """Take only what copies the style of the greeting."""
    if style == "array":
        name = value[0] if isinstance(value, list) and len(value) == 2 else None
        return name if name in _OWN_NAMES else None
    if not isinstance(value, dict):
        return None
    if style == "single-key":
        name = next(iter(value)) if len(value) == 1 else None
        return name if name in _OWN_NAMES else None
    name = value.get(_KEYS[style][0])
    if style == "message-name":
        return next((own for own, sent in _OWN_NAMES.items() if sent == name), None)
    return name if name in _OWN_NAMES else None


def _known(name: object) -> str | None:
    if not isinstance(name, str):
        return None
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    plain = plain.removeprefix("publish-").removeprefix("subscribe-")
    plain = _ALIASES.get(plain, plain)
    return plain if plain in _OWN_NAMES else None


def _flattened(payload: bytes) -> bytes:
    """Put an object's members beside the discriminator; anything else needs a name."""
    text = payload.strip()
    if not text.startswith(b"{"):
        return b',"items":%b}' % text
    members = text[1:].lstrip()
    return members if members == b"}" else b"," + members
