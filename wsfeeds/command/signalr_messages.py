"""Messages of the JSON hub protocol; docs/protocols/websocket_v2.md, section 6.2."""

from __future__ import annotations

from typing import Any

import msgspec

from wsfeeds.command.exact import dumps, loads

RS = "\x1e"
HANDSHAKE = '{"protocol":"json","version":1}' + RS
PING_RECORD = '{"type":6}' + RS
CLOSE_RECORD = '{"type":7}' + RS
INVOCATION, STREAM_ITEM, COMPLETION, CLOSING = 1, 2, 3, 7
COUNTED = {5: "cancellations", 6: "heartbeats", 8: "acks", 9: "acks"}
"""What is passed over; 8 and 9 belong to a stateful reconnect, which is never asked for."""
_SENT_BY_SERVERS = frozenset({INVOCATION, STREAM_ITEM, COMPLETION, CLOSING, *COUNTED})
_NO_RESULT = "Client didn't provide a result."


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """What of a message decides where it goes; the rest stays in the record."""

    type: int
    target: str | None = None
    invocation_id: str | None = None
    error: str | None = None
    allow_reconnect: bool = False


class Shaken(msgspec.Struct, frozen=True):
    """The answer to the handshake; a `type` is none."""

    error: str | None = None
    type: int | None = None


message_of = msgspec.json.Decoder(Message).decode
shaken_of = msgspec.json.Decoder(Shaken).decode


def is_unknown(record: bytes) -> bool:
    """Tell whether a record is JSON, but none of the messages that a server may send."""
    try:
        value = msgspec.json.decode(record)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    kind = value.get("type") if isinstance(value, dict) else None
    return isinstance(kind, bool) or not isinstance(kind, int) or kind not in _SENT_BY_SERVERS


def no_result(invocation_id: str) -> str:
    """Return the answer to a server that wants a result of us."""
    answer = {"type": COMPLETION, "invocationId": invocation_id, "error": _NO_RESULT}
    return dumps(answer).decode() + RS


def outgoing(text: str) -> str:
    """Return what a Send command's text is on the wire.

    An object with `type` or `target` is a message, of type 1 unless it says otherwise; anything
    else goes as it is. Both end in U+001E.
    """
    bare = text.removesuffix(RS)
    try:
        value: Any = loads(bare)
    except msgspec.DecodeError:
        return bare + RS
    if isinstance(value, dict) and "target" in value and "type" not in value:
        return dumps({"type": INVOCATION, **value}).decode() + RS
    return bare + RS
