"""What settings a feed has: read from its settings struct, so that nothing is listed twice."""

from __future__ import annotations

import difflib
import functools
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Protocol, Union, get_args, get_origin

import msgspec

from wsfeeds.protocol import FeedSettings
from wsfeeds.quantities import format_duration, format_size
from wsfeeds.secrets import Secret

Kind = Literal[
    "text",
    "secret",
    "bool",
    "int",
    "number",
    "duration",
    "size",
    "choice",
    "file",
    "headers",
]
_PLAIN: dict[Any, Kind] = {
    str: "text",
    Secret: "secret",
    bool: "bool",
    int: "int",
    float: "number",
    dict[str, Secret]: "headers",
}

HELP: dict[str, str] = {
    "url": "WebSocket URL, without token and path parameters",
    "api_url": "base URL of the REST interface (token, markets, fixtures)",
    "user_id": "the account's user id",
    "api_key": "the account's API key, which signs token requests",
    "token": "the venue's access token",
    "ping_interval": "how often the application's ping is sent",
    "pong_timeout": "how long to wait for the answer to a ping",
    "idle_timeout": "nothing received for that long: the connection is dead, reconnect",
    "data_timeout": "no data event for that long: report a gap, reconnect; off: never",
    "request_settings": "ask the venue for its settings after the greeting",
    "query": "extra query string of the WebSocket URL",
    "first_message": "a frame to send first on each connection",
    "allow_insecure": "allow credentials over ws:// or http:// to other hosts than this one",
    "compression": "offer permessage-deflate",
    "transport": "which WebSocket client to use",
    "coalesce": "gather frames for that long before handling them; off: handle them at once",
    "speed": "replay speed of finished matches",
    "start_position": "how many events to skip from the start",
    "renew_interval": "how often quotes are asked for again",
    "backoff_initial": "the first wait before a reconnect; it doubles with each failure",
    "backoff_max": "the longest wait before a reconnect",
    "max_retries": "give up after that many failures in a row; none: never",
    "connect_timeout": "how long a connection may take to open",
    "max_frame": "a larger frame ends the connection",
    "proxy": "http://, https://, socks5:// or socks5h:// proxy, with user and password if needed",
    "ca_file": "file of an additional certificate authority (PEM)",
    "ciphers": "TLS ciphers to offer, in OpenSSL's notation",
    "headers": "additional HTTP headers of requests to the venue",
}
"""One line about each setting, by its key."""


class Feed(Protocol):
    """What is asked of a connector class here; anything that has settings may offer the same."""

    @property
    def name(self) -> str:
        """The key in `[feeds.NAME]` and, in upper case, in the environment."""

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names accepted in the settings file."""

    @property
    def settings_type(self) -> type[FeedSettings]:
        """The struct that the settings become."""

    @property
    def required(self) -> tuple[str, ...]:
        """Settings without which nothing can be opened."""


class Field(msgspec.Struct, frozen=True):
    """One setting: its key, what it takes and what it is when nobody sets it."""

    key: str
    kind: Kind
    optional: bool
    default: Any
    choices: tuple[str, ...] = ()

    @property
    def secret(self) -> bool:
        """Whether the value must not be seen."""
        return self.kind in {"secret", "headers"}

    @property
    def words_for_none(self) -> frozenset[str]:
        """The words that clear it; "off" for a number could also be read as zero."""
        if not self.optional:
            return frozenset()
        return frozenset({"off", "none"} if self.kind in {"duration", "size"} else {"none"})

    def default_text(self) -> str:
        """Return the default as one would write it."""
        if self.default is None:
            return "off" if self.kind == "duration" else "none"
        return self.text(self.default)

    def text(self, value: Any) -> str:
        """Return a value as one would write it, `***` for a secret."""
        if self.secret:
            return "***"
        if self.kind == "bool":
            return "true" if value else "false"
        if self.kind == "duration":
            return format_duration(value)
        return format_size(value) if self.kind == "size" else str(value)


@functools.cache
def fields_of(settings_type: type[FeedSettings]) -> dict[str, Field]:
    """Return the settings of a struct by key, in the order of their declaration."""
    return {each.name: _field(each) for each in msgspec.structs.fields(settings_type)}


def variable(feed: Feed, key: str) -> str:
    """Return the name of the environment variable of a setting."""
    return f"WSFEEDS_{feed.name}_{key}".upper()


def nearest(name: str, known: Iterable[str]) -> str:
    """Return the known name that is most like `name`, quoted, to end a message with."""
    plain = {each.lower().replace("-", "_"): each for each in sorted(known)}
    close = difflib.get_close_matches(name.lower().replace("-", "_"), plain, n=1, cutoff=0.0)
    return f"; the nearest known one is {plain[close[0]]!r}" if close else ""


def _field(declared: msgspec.structs.FieldInfo) -> Field:
    kind, optional, choices = _kind(declared.type)
    if kind == "text" and declared.name.endswith("_file"):
        kind = "file"
    factory = declared.default_factory
    default = declared.default if factory is msgspec.NODEFAULT else factory()
    return Field(declared.name, kind, optional, default, choices)


def _kind(annotation: Any) -> tuple[Kind, bool, tuple[str, ...]]:
    """Return what an annotation takes, whether it may be None, and its words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Union, types.UnionType}:
        others = [each for each in arguments if each is not types.NoneType]
        if len(others) == 1:
            kind, _, choices = _kind(others[0])
            return kind, True, choices
    elif origin is Annotated:
        extra: dict[str, Any] = {}
        for each in arguments[1:]:
            extra |= getattr(each, "extra", None) or {}
        kind, optional, choices = _kind(arguments[0])
        return extra.get("kind", kind), optional, choices
    elif origin is Literal:
        return "choice", False, tuple(map(str, arguments))
    elif annotation in _PLAIN:
        return _PLAIN[annotation], False, ()
    raise TypeError(f"no setting can be of type {annotation}")
