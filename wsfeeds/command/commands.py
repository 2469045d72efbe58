"""The commands of hooks, one small class each; docs/protocols/websocket_v2.md, section 4.

To add one: a subclass of `HookCommand` with its parameters as a struct. Nothing else needs to know.
"""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import msgspec

import wsfeeds.command.conditions  # noqa: F401  # importing it makes If-Else known
from wsfeeds.command.decode import Encoding, Undecodable, decode
from wsfeeds.command.exact import loads
from wsfeeds.command.hooks import CommandFailed, Compiler, Context, HookCommand, registered
from wsfeeds.command.paths import NOTHING, compile_path
from wsfeeds.command.worker import Work
from wsfeeds.errors import UsageError, WsfeedsError


def command_schemas() -> dict[str, Any]:
    """Return the JSON Schema of every command's parameters, by its kebab-case name."""
    schemas: dict[str, Any] = {}
    for kind in registered():
        _, parts = msgspec.json.schema_components([kind.params_type])
        schemas |= parts
    return schemas


class SendParams(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Parameters of Send."""

    send_message: str


class Send(HookCommand):
    """Sends a message over the active connection; its input passes through."""

    family: ClassVar[str | None] = "WS_V2"
    id: ClassVar[int] = 3
    names: ClassVar[tuple[str, ...]] = ("websocket-v2-send", "send")
    params_type: ClassVar[type[msgspec.Struct]] = SendParams
    sends_only: ClassVar[bool] = True

    def run(self, context: Context) -> Any:
        """Send the message by the rules of the variant."""
        try:
            taken = context.connection.send(self.params.send_message)
        except WsfeedsError as error:
            raise CommandFailed(error.message) from error
        return context.data if taken is None else self._confirmed(taken, context)

    def _confirmed(self, taken: asyncio.Future[None], context: Context) -> Work:
        """Wait until the server has taken the message."""
        yield taken, context.deadline
        if not taken.done():
            raise CommandFailed("the time of the If-Else around it is over")
        try:
            taken.result()
        except WsfeedsError as error:
            raise CommandFailed(f"cannot send: {error.message}") from error
        return context.data


class DecodeParams(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of Decode; without `encoding` it finds out by itself."""

    encoding: Encoding | None = None


class Decode(HookCommand):
    """Decompresses and unwraps the payload to JSON."""

    family: ClassVar[str | None] = "WS_V2"
    id: ClassVar[int] = 6
    names: ClassVar[tuple[str, ...]] = ("decode", "websocket-v2-decode")
    params_type: ClassVar[type[msgspec.Struct]] = DecodeParams

    def run(self, context: Context) -> Any:
        """Return the decoded payload."""
        if context.data is NOTHING:
            return NOTHING
        try:
            return decode(context.data, self.params.encoding)
        except Undecodable as error:
            raise CommandFailed(f"cannot decode the payload: {error}") from error


class CloseParams(msgspec.Struct, frozen=True, kw_only=True):
    """Close takes no parameters."""


class Close(HookCommand):
    """Closes cleanly, once the chain is through and published; its input passes through."""

    family: ClassVar[str | None] = "WS_V2"
    id: ClassVar[int] = 9
    names: ClassVar[tuple[str, ...]] = ("websocket-v2-close", "close")
    params_type: ClassVar[type[msgspec.Struct]] = CloseParams
    sends_only: ClassVar[bool] = True

    def run(self, context: Context) -> Any:
        """Ask for the end."""
        context.connection.request_close()
        return context.data


class JsonPathParams(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Parameters of Json Path: `jsonPath`, or `path`; `source` picks a member of the input first.

    The result is stored as a variable under `key`, else it becomes the output.
    """

    json_path: str | None = None
    path: str | None = None
    input: Any = None
    source: str | None = None
    key: str | None = None


class JsonPath(HookCommand):
    """Extracts by JSONPath."""

    family: ClassVar[str | None] = "PARSE"
    id: ClassVar[int] = 1002
    names: ClassVar[tuple[str, ...]] = ("json-path",)
    params_type: ClassVar[type[msgspec.Struct]] = JsonPathParams

    def __init__(self, params: Any, place: str, compiler: Compiler) -> None:
        """See `HookCommand`; the path is compiled."""
        super().__init__(params, place, compiler)
        text = params.json_path if params.json_path is not None else params.path
        if text is None:
            raise UsageError(f"{place}.path: is required")
        name = "path" if params.json_path is None else "jsonPath"
        try:
            self._path = compile_path(text)
        except UsageError as error:
            raise UsageError(f"{place}.{name}: {error.message}") from error

    def run(self, context: Context) -> Any:
        """Return what the path finds, or store it."""
        params = self.params
        value = _parsed(_input(params.input, context), params.source)
        if value is NOTHING:
            return _stored(context, params.key, NOTHING)
        try:
            found = self._path.find(value)
        except ValueError as error:
            raise CommandFailed(f"the path cannot be followed: {error}") from error
        return _stored(context, params.key, found)


class JsonParseParams(msgspec.Struct, frozen=True, kw_only=True):
    """Parameters of JSON Parse; without `validate`, what is no JSON stays text."""

    source: str | None = None
    key: str | None = None
    input: Any = None
    validate: bool = True


class JsonParse(HookCommand):
    """Turns text into JSON."""

    family: ClassVar[str | None] = "PARSE"
    id: ClassVar[int] = 1007
    names: ClassVar[tuple[str, ...]] = ("json-parse",)
    params_type: ClassVar[type[msgspec.Struct]] = JsonParseParams

    def run(self, context: Context) -> Any:
        """Return the parsed text, or store it."""
        params = self.params
        value = _input(params.input, context)
        if params.source is not None:
            value = _parsed(value, params.source)
        if isinstance(value, str):
            try:
                value = loads(value)
            except msgspec.DecodeError as error:
                if params.validate:
                    raise CommandFailed(f"the input is no JSON: {error}") from error
        return _stored(context, params.key, value)


def _input(given: Any, context: Context) -> Any:
    return context.data if given is None else given


def _parsed(value: Any, source: str | None) -> Any:
    """Return the input as JSON, or one of its members."""
    if isinstance(value, str):
        try:
            value = loads(value)
        except msgspec.DecodeError as error:
            raise CommandFailed(f"the input is no JSON: {error}") from error
    if source is None:
        return value
    return value.get(source, NOTHING) if isinstance(value, dict) else NOTHING


def _stored(context: Context, key: str | None, value: Any) -> Any:
    """Keep a result as a variable under its key, if it has one; else it is the output."""
    if key is None:
        return value
    if value is NOTHING:
        context.vars.pop(key, None)
    else:
        context.vars[key] = value
    return context.data
