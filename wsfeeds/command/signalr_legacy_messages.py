"""Messages of ASP.NET SignalR 2.x; docs/protocols/websocket_v2.md, section 6.3."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec

from wsfeeds.command.exact import dumps, loads

_NO_JSON = object()
INITIALIZED = b"initialized"
"""What an event stream says before its first message."""


class Frame(msgspec.Struct, frozen=True):
    """A message of the server, or with `call` the answer to one of ours; `{}` is a keepalive."""

    cursor: str | int | None = msgspec.field(default=None, name="C")
    calls: list[msgspec.Raw] | None = msgspec.field(default=None, name="M")
    groups: str | None = msgspec.field(default=None, name="G")
    init: Any = msgspec.field(default=None, name="S")
    reconnect: Any = msgspec.field(default=None, name="T")
    delay: float | None = msgspec.field(default=None, name="L")
    error: str | None = msgspec.field(default=None, name="E")
    call: str | int | None = msgspec.field(default=None, name="I")
    disconnect: Any = msgspec.field(default=None, name="D")
    progress: Any = msgspec.field(default=None, name="P")

    @property
    def empty(self) -> bool:
        """Whether it says nothing that is known here."""
        return self == _EMPTY

    @property
    def ends(self) -> bool:
        """Whether the server tells us to go."""
        return self.error is not None or bool(self.disconnect)

    @property
    def answers(self) -> bool:
        """Whether this is about a call of ours."""
        return self.call is not None or self.progress is not None


_EMPTY = Frame()


class Call(msgspec.Struct, frozen=True):
    """What of a call decides whether it is delivered; the rest stays in its text."""

    hub: str = msgspec.field(name="H")
    method: str = msgspec.field(name="M")


frame_of = msgspec.json.Decoder(Frame).decode
call_of = msgspec.json.Decoder(Call).decode


def is_unknown(data: bytes) -> bool:
    """Tell whether a message is JSON, but not of a kind that a server may send."""
    value = _value(data)
    if not isinstance(value, dict):
        return value is not _NO_JSON
    return bool(value) and not value.keys() & set(Frame.__struct_encode_fields__)


def is_no_call(call: bytes) -> bool:
    """Tell whether what stands among a message's calls is JSON, but no call of a hub's method."""
    value = _value(call)
    return value is not _NO_JSON and not (isinstance(value, dict) and value.keys() & {"H", "M"})


def _value(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _NO_JSON


def numbers() -> Iterator[int]:
    """Count the calls of a connection."""
    return itertools.count()


def outgoing(text: str, calls: Iterator[int]) -> str:
    """Return what a Send command's text is on the wire: a call gets a number if it has none."""
    try:
        value: Any = loads(text)
    except msgspec.DecodeError:
        return text
    if isinstance(value, dict) and "M" in value and "I" not in value:
        return dumps({**value, "I": next(calls)}).decode()
    return text
