"""Lists of commands, compiled once, run inline; docs/protocols/websocket_v2.md, section 3.

A chain runs where a message is delivered; only the outcome of a Send by HTTP is waited for, see
`wsfeeds.command.worker`.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import msgspec

from wsfeeds.clock import monotonic
from wsfeeds.command import spec
from wsfeeds.command.exact import loads
from wsfeeds.command.paths import NOTHING, lookup
from wsfeeds.command.variables import NoValue, Variables, names_secret, varies
from wsfeeds.command.worker import Work
from wsfeeds.config import nearest
from wsfeeds.errors import UsageError, WsfeedsError


class CommandFailed(WsfeedsError):
    """A command could not do its work: its chain is abandoned, the connection stays."""


class Peer(Protocol):
    """The connection, as commands see it."""

    def send(self, text: str) -> asyncio.Future[None] | None:
        """Send a message by the variant's rules; raises `WsfeedsError` where that is impossible.

        Where the server confirms it, the future does, or fails with a `WsfeedsError`.
        """

    def request_close(self) -> None:
        """Close cleanly and finish once the running chain is through."""


@dataclass(kw_only=True)
class Context:
    """What the commands of a chain share; `data` is each one's output, the next one's input."""

    data: Any
    hook: spec.Hook
    connection: Peer
    variables: Variables
    vars: dict[str, Any] = field(default_factory=dict)
    deadline: float | None = None

    def expand(self, value: Any) -> Any:
        """Return a JSON value with its variables expanded.

        Raises:
            CommandFailed: A variable has no value.
        """
        try:
            return self.variables.expand(value, self.lookup, self.data)
        except NoValue as error:
            raise CommandFailed(error.message) from error

    def expand_text(self, text: str) -> str:
        """Return a string with its variables expanded, see `expand`."""
        try:
            return self.variables.text(text, self.lookup, self.data)
        except NoValue as error:
            raise CommandFailed(error.message) from error

    def lookup(self, path: str) -> Any:
        """Return the value at a dotted path: of the context, of `vars`, else of `data`."""
        first, _, rest = path.partition(".")
        if first == "data":
            return self._within_data(rest)
        if first == "vars":
            return lookup(self.vars, rest)
        if first == "hook":
            return self.hook
        found = lookup(self.vars, path)
        return found if found is not NOTHING else self._within_data(path)

    def _within_data(self, path: str) -> Any:
        """Look into `data`, and into the JSON that it is where it is text."""
        found = lookup(self.data, path)
        if found is NOTHING and isinstance(self.data, str):
            with contextlib.suppress(msgspec.DecodeError):
                return lookup(loads(self.data), path)
        return found


class HookCommand(ABC):
    """One kind of command; subclasses register themselves by their class attributes.

    An instance serves one place of the document. Where its parameters hold variables it is made
    anew for each run, with everything expanded, unless `expands_itself`.
    """

    family: ClassVar[str | None]
    """The `type` of the pair; None where nobody documents it: any but the known families."""
    id: ClassVar[int]
    names: ClassVar[tuple[str, ...]]
    """Kebab-case names, the documented one first."""
    params_type: ClassVar[type[msgspec.Struct]]
    sends_only: ClassVar[bool] = False
    """Whether it passes its input through, so that a chain of such has no output of its own."""
    expands_itself: ClassVar[bool] = False

    def __init__(self, params: Any, place: str, compiler: Compiler) -> None:
        """Check `params`, an instance of `params_type`.

        Raises:
            UsageError: They cannot work; the message begins with `place`.
        """
        self.params = params
        self.place = place
        self.compiler = compiler

    @abstractmethod
    def run(self, context: Context) -> Any:
        """Return the output, `NOTHING` for no value; or the `Work` that ends with it.

        Raises:
            CommandFailed: It could not be done.
        """

    def __init_subclass__(cls) -> None:
        _known[cls.family, cls.id] = cls
        for name in cls.names:
            _named[name] = cls


_known: dict[tuple[str | None, int], type[HookCommand]] = {}
_named: dict[str, type[HookCommand]] = {}
_FAMILIES = frozenset({"WS", "WS_V2", "PARSE"})
_OUTER = "the outer command cannot stand inside a hook"
_LISTEN = "Listen belongs to the old WebSocket command and works in no hook of this one"
_REFUSED = {
    ("WS_V2", 1): _OUTER,
    ("WS", 2): _LISTEN,
    "websocket-v2": _OUTER,
    "websocket-listen": _LISTEN,
}


def registered() -> list[type[HookCommand]]:
    """Return every kind of command."""
    return list(_known.values())


class Compiler:
    """Turns the document's lists into chains and gathers what deserves a warning."""

    def __init__(self, variables: Variables) -> None:
        """Compile for a run with these variables."""
        self.variables = variables
        self.warnings: list[str] = []

    def chain(self, commands: Sequence[spec.Command], place: str) -> Chain:
        """Return the chain of a list of commands.

        Raises:
            UsageError: A command is unknown or its parameters are wrong, with its place.
        """
        return Chain([self._step(each, f"{place}[{i}]") for i, each in enumerate(commands)])

    def _step(self, command: spec.Command, place: str) -> Step:
        known = self.variables.known
        named = spec.Command(
            id=command.id, type=known(command.type), command=known(command.command)
        )
        kind = _find(named, place)
        where = f"{place}.params"
        raw = spec.tidied(command.params, kind.params_type)
        self.warnings += spec.unknown_members(raw, kind.params_type, where)
        dynamic = not kind.expands_itself and varies(raw)
        return Step(kind, self, raw, where, dynamic=dynamic)


def _find(command: spec.Command, place: str) -> type[HookCommand]:
    name = command.command
    if name is not None:
        if name in _REFUSED:
            raise UsageError(f"{place}.command: {_REFUSED[name]}")
        if name not in _named:
            raise UsageError(
                f"{place}.command: there is no command {name!r}{nearest(name, _named)}"
            )
        return _named[name]
    if command.type is None or command.id is None:
        raise UsageError(f"{place}: needs type and id, or command")
    pair = (command.type, command.id)
    if pair in _REFUSED:
        raise UsageError(f"{place}: {_REFUSED[pair]}")
    kind = _known.get(pair)
    if kind is None and command.type not in _FAMILIES:
        kind = _known.get((None, command.id))
    if kind is None:
        raise UsageError(
            f"{place}: there is no command of type {command.type} with id {command.id}"
        )
    return kind


class Step:
    """One command at its place."""

    def __init__(
        self,
        kind: type[HookCommand],
        compiler: Compiler,
        raw: dict[str, Any],
        place: str,
        *,
        dynamic: bool,
    ) -> None:
        """Check as much as can be checked before the variables have values.

        Raises:
            UsageError: The parameters are wrong.
        """
        self.kind = kind
        self.place = place
        self._compiler = compiler
        self._raw = raw
        self._fixed = None
        known = raw if kind.expands_itself else compiler.variables.known(raw)
        if dynamic:
            self._convert(known)
        else:
            self._fixed = self._make(known)

    def _make(self, raw: dict[str, Any]) -> HookCommand:
        try:
            return self.kind(self._convert(raw), self.place, self._compiler)
        except UsageError as error:
            raise self._discreet(error) from None

    def _convert(self, raw: dict[str, Any]) -> Any:
        try:
            return spec.convert(raw, self.kind.params_type, self.place)
        except UsageError as error:
            raise self._discreet(error) from None

    def _discreet(self, error: UsageError) -> UsageError:
        """Return an error that quotes no part of a secret."""
        if self.kind.expands_itself or not names_secret(self._raw):
            return error
        place, _, _ = error.message.partition(": ")
        return UsageError(f"{place}: cannot be used with the value that its %{{NAME}} has")

    def run(self, context: Context) -> Work:
        """Return the command's output, having yielded what it waits for.

        Raises:
            CommandFailed: It could not be done; the message begins with its place.
        """
        try:
            command = self._fixed or self._make(self._expanded(context))
            output = command.run(context)
            return (yield from output) if isinstance(output, Generator) else output
        except CommandFailed as error:
            raise CommandFailed(_within(self.place, error.message)) from error
        except UsageError as error:  # only the expanded parameters showed it
            raise CommandFailed(error.message) from error

    def _expanded(self, context: Context) -> dict[str, Any]:
        texts = {
            field.encode_name
            for field in msgspec.structs.fields(self.kind.params_type)
            if field.type in (str, str | None)
        }
        return {
            name: context.expand_text(value)
            if name in texts and isinstance(value, str)
            else context.expand(value)
            for name, value in self._raw.items()
        }


def _within(place: str, message: str) -> str:
    return message if message.startswith("params.") else f"{place}: {message}"


class Chain:
    """The commands of one hook."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Run these, in this order."""
        self.steps = tuple(steps)
        self.silent = all(step.kind.sends_only for step in steps)
        """Whether it has no output of its own."""

    def run(self, context: Context) -> Work:
        """Return the last command's output, `NOTHING` where it had none.

        It yields what commands wait for.

        Raises:
            CommandFailed: A command could not do its work; those after it did not run.
        """
        for step in self.steps:
            if context.deadline is not None and monotonic() > context.deadline:
                raise CommandFailed(f"{step.place}: the time of the If-Else around it is over")
            context.data = yield from step.run(context)
        return context.data
