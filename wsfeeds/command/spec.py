"""The WebSocket V2 command document as typed structs; docs/protocols/websocket_v2.md, section 2.

`read_document` is the way in: it checks everything that can be checked without a connection and
names the place of what is wrong (`params.onInterval.intervalMs: …`). What the hooks' commands take
is declared beside each command in `wsfeeds.command.commands`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from wsfeeds.addresses import PROXY_SCHEMES
from wsfeeds.command.exact import Exact, text_of
from wsfeeds.config import nearest
from wsfeeds.errors import UsageError

Protocol = Literal["native", "signalr", "signalr-legacy", "socketio"]
TransportName = Literal["webSockets", "serverSentEvents", "longPolling"]
Milliseconds = Annotated[float, Meta(gt=0, description="milliseconds")]
Hook = Literal["onConnect", "onMessage", "onInterval", "onError", "onClose"]
Operation = Literal[
    "includes", "startsWith", "endsWith", "==", "!=", "===", "!==", ">", ">=", "<", "<="
]
_TIMES = frozenset({"intervalMs", "heartbeatIntervalMs", "inactiveAfterMs", "timeout"})
_INTEGERS = frozenset({"id", "port"})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset({"host", "connection", "upgrade", "content-length", "transfer-encoding"})


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """One command of a hook: by `type` and `id`, or by its kebab-case name."""

    id: int | None = None
    type: str | None = None
    command: str | None = None
    params: dict[str, Any] = {}


class Interval(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Commands to be run every `intervalMs` while connected."""

    interval_ms: Milliseconds
    commands: list[Command]


class ProxySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A proxy in parts, or its whole `url`."""

    url: str | None = None
    protocol: Literal["http", "https", "socks5", "socks5h"] = "http"
    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] | None = None
    username: str | None = None
    password: str | None = None


class SignalROptions(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """For both SignalR variants; `hubs` is our extension for `signalr-legacy`."""

    methods: list[str]
    skip_negotiation: bool = False
    transport: TransportName | None = None
    hubs: list[str] = []


class SocketIOOptions(msgspec.Struct, frozen=True, kw_only=True):
    """For the Socket.IO variant; an empty list of events takes them all."""

    events: list[str]
    path: str = "/socket.io/"


class StopOn(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What ends the run; `inactiveAfterMs` is our extension."""

    inactive: bool = False
    item_deleted: bool = False
    server_close: bool = False
    inactive_after_ms: Milliseconds = 60_000.0


class Params(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The parameters of the WebSocket V2 command."""

    url: str
    protocol: Protocol = "native"
    headers: dict[str, str] = {}
    ciphers: str | None = None
    proxy: str | ProxySettings | None = None
    on_connect: list[Command] = []
    on_message: list[Command] = []
    on_interval: Interval | None = None
    on_error: list[Command] = []
    on_close: list[Command] = []
    heartbeat_interval_ms: Milliseconds | None = None
    signalr: SignalROptions | None = None
    socketio: SocketIOOptions | None = None
    stop_on: StopOn = StopOn()


_BLOCKS: dict[str, tuple[Any, frozenset[str]]] = {
    "signalr": (SignalROptions, frozenset({"signalr", "signalr-legacy"})),
    "socketio": (SocketIOOptions, frozenset({"socketio"})),
}


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The whole document: `{"command": "websocket-v2", "params": {…}}`."""

    params: Params
    command: Literal["websocket-v2"] | None = None
    id: Literal[1] | None = None
    type: Literal["WS_V2"] | None = None


def document_schema() -> dict[str, Any]:
    """Return the JSON Schema of the document, for `wsfeeds schema websocket-v2`."""
    from wsfeeds.command.commands import command_schemas  # noqa: PLC0415  # it imports this module

    schema = msgspec.json.schema(Document)
    definitions = schema.setdefault("$defs", {})
    definitions |= command_schemas()
    definitions["Document"]["anyOf"] = [{"required": ["command"]}, {"required": ["id", "type"]}]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "wsfeeds run: the WebSocket V2 command document",
        **schema,
    }


def read_document(raw: Any) -> tuple[Document, list[str]]:
    """Return the typed document and warnings about members that nobody knows.

    Raises:
        UsageError: Something is missing or wrong; the message begins with its place.
    """
    if not isinstance(raw, dict):
        raise UsageError('the document must be {"command": "websocket-v2", "params": {…}}')
    _check_identity(raw)
    _check_headers(raw.get("params"))
    params, warnings = without_foreign(raw.get("params"))
    document = convert(raw | {"params": params} if "params" in raw else raw, Document, "")
    _check_proxy(document.params.proxy)
    warnings += unknown_members(raw, Document, "")
    return document, [*warnings, *_overridden(document.params.headers)]


def convert(raw: Any, kind: Any, place: str) -> Any:
    """Return `raw` as a `kind` of struct.

    Raises:
        UsageError: It is none; the message begins with the place, which is within `place`.
    """
    try:
        return msgspec.convert(_with_times(raw), kind)
    except msgspec.ValidationError as error:
        raise UsageError(_located(str(error), place)) from None


def _with_times(raw: Any) -> Any:
    """Return the document with its times as floats; all other numbers keep their digits."""
    if isinstance(raw, dict):
        return {
            name: float(value) if name in _TIMES and type(value) is Exact else _with_times(value)
            for name, value in raw.items()
        }
    return [_with_times(each) for each in raw] if isinstance(raw, list) else raw


def tidied(raw: Any, kind: Any) -> Any:
    """Return `raw`, meant for a `kind` of struct, said plainly.

    Optional members that are null are left out, as are headers; other header values become their
    text; an id of 3.0 is 3.
    """
    if isinstance(raw, list):
        return [tidied(each, kind) for each in raw]
    if not isinstance(raw, dict):
        return raw
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    return {
        name: _tidy(name, value, fields[name].type) if name in fields else value
        for name, value in raw.items()
        if value is not None or name not in fields or fields[name].required
    }


def _tidy(name: str, value: Any, kind: Any) -> Any:
    inner = _struct_within(kind)
    if inner is not None:
        return tidied(value, inner)
    if name in _INTEGERS and type(value) is Exact and value.is_integer():
        return int(value)
    if name == "headers" and isinstance(value, dict):
        return {
            header: text_of(each) if isinstance(each, int | float) else each
            for header, each in value.items()
            if each is not None
        }
    return value


def without_foreign(params: Any) -> tuple[Any, list[str]]:
    """Return the parameters without blocks of other protocols that are wrong, and warnings."""
    if not isinstance(params, dict):
        return params, []
    protocol = params.get("protocol", "native")
    warnings: list[str] = []
    kept = dict(params)
    for block, (kind, users) in _BLOCKS.items():
        if protocol in users or block not in params:
            continue
        try:
            convert(params[block], kind, f"params.{block}")
        except UsageError as error:
            warnings.append(f"{error.message}; ignored, for the protocol is {protocol}")
            del kept[block]
    return kept, warnings


def _check_identity(raw: Mapping[str, Any]) -> None:
    named = raw.get("command")
    if named is None and (raw.get("type"), raw.get("id")) == ("WS_V2", 1):
        return
    if named != "websocket-v2":
        told = f"not {named!r}" if named is not None else "and it is missing"
        raise UsageError(f'command: must be "websocket-v2", {told}')


def _check_headers(params: Any) -> None:
    headers = params.get("headers") if isinstance(params, dict) else None
    for name, value in headers.items() if isinstance(headers, dict) else ():
        if not _HEADER_NAME.fullmatch(name):
            raise UsageError(f"params.headers: {name!r} is no name of a header")
        if not isinstance(value, str):
            raise UsageError(f"params.headers.{name}: expected a string")


def _overridden(headers: Mapping[str, str]) -> Iterator[str]:
    for name in headers:
        if is_ours(name):
            yield f"params.headers.{name}: the handshake sets this one itself; left out"


def is_ours(header: str) -> bool:
    """Tell whether a header belongs to the handshake and may not be overridden."""
    name = header.lower()
    return name in _OURS or name.startswith("sec-websocket-")


def _check_proxy(proxy: str | ProxySettings | None) -> None:
    if not isinstance(proxy, ProxySettings):
        return
    if proxy.url is None and proxy.host is None:
        raise UsageError("params.proxy: needs either url, or host with protocol and port")
    if proxy.url is not None and proxy != ProxySettings(url=proxy.url):
        raise UsageError("params.proxy.url: says everything; nothing else may stand beside it")
    if proxy.password is not None and proxy.username is None:
        raise UsageError("params.proxy.username: is required where there is a password")


# --- places -----------------------------------------------------------------------------------

_AT = re.compile(r" - at `\$?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_EXTRA = re.compile(r"Object contains unknown field `([^`]+)`")
_CHOICES = {
    "protocol": get_args(Protocol),
    "transport": get_args(TransportName),
    "encoding": ("base64+lz4", "base64+gzip"),
    "operator": ("AND", "OR"),
    "operation": get_args(Operation),
}


def _located(message: str, place: str) -> str:
    """Turn msgspec's message into `place: what is wrong`."""
    match = _AT.search(message)
    path = (match["path"] if match else "").removeprefix(".")
    what = message[: match.start()] if match else message
    missing, extra = _MISSING.match(what), _EXTRA.match(what)
    if missing or extra:
        path = ".".join(filter(None, (path, (missing or extra)[1])))  # type: ignore[index]  # one is set
        what = "is required" if missing else "nobody knows this member"
    elif what.startswith("Invalid enum value"):
        name = path.rpartition(".")[2]
        if name == "protocol" and path.endswith("proxy.protocol"):
            choices: tuple[str, ...] = PROXY_SCHEMES
        else:
            choices = _CHOICES.get(name, ())
        told = what.removeprefix("Invalid enum value ")
        what = f"must be one of {', '.join(choices)}, not {told}" if choices else what
    else:
        what = what[:1].lower() + what[1:].replace("`Exact`", "`float`")
    whole = ".".join(filter(None, (place, path))).replace(".[", "[")
    return f"{whole or 'the document'}: {what}"


def unknown_members(raw: Any, kind: Any, place: str) -> Iterator[str]:
    """Warn about members that the structs do not have, all the way down."""
    if isinstance(raw, list):
        for index, each in enumerate(raw):
            yield from unknown_members(each, kind, f"{place}[{index}]")
        return
    if not isinstance(raw, dict):
        return
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    for name, value in raw.items():
        where = f"{place}.{name}" if place else name
        if name not in fields:
            yield f"{where}: nobody knows this member{nearest(name, fields)}"
            continue
        inner = _struct_within(fields[name])
        if inner is not None:
            yield from unknown_members(value, inner, where)


def _struct_within(kind: Any) -> Any:
    """Return the struct that a field holds, alone, optional or in a list."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind
    return next(filter(None, map(_struct_within, get_args(kind))), None)
