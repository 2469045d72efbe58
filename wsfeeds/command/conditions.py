"""The If-Else command and its conditions; docs/protocols/websocket_v2.md, section 4."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from wsfeeds.clock import monotonic
from wsfeeds.command import spec
from wsfeeds.command.comparisons import compare
from wsfeeds.command.exact import loads
from wsfeeds.command.hooks import CommandFailed, Compiler, Context, HookCommand
from wsfeeds.command.paths import NOTHING, compile_path, lookup
from wsfeeds.command.variables import names_secret, varies
from wsfeeds.command.worker import Work
from wsfeeds.errors import UsageError

Operation = spec.Operation


class Operand(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison: a path in the context, or a value."""

    type: Literal["property", "value"]
    value: Any = None


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison, or several joined by AND or OR."""

    left: Operand | None = None
    operation: Operation | None = None
    right: Operand | None = None
    operator: Literal["AND", "OR"] | None = None
    conditions: list[Condition] = []


class IfElseParams(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Parameters of If-Else; `timeout` bounds the branch that is taken, in milliseconds."""

    condition: Condition
    true_commands: list[spec.Command]
    timeout: Annotated[float, Meta(gt=0)]
    false_commands: list[spec.Command] = []
    context: str = "CommandResult"


class IfElse(HookCommand):
    """Runs one of two lists of commands; an empty one passes the input through."""

    family: ClassVar[str | None] = None
    id: ClassVar[int] = 1100
    names: ClassVar[tuple[str, ...]] = ("if-else",)
    params_type: ClassVar[type[msgspec.Struct]] = IfElseParams
    expands_itself: ClassVar[bool] = True

    def __init__(self, params: Any, place: str, compiler: Compiler) -> None:
        """See `HookCommand`; both lists are compiled."""
        super().__init__(params, place, compiler)
        _check_condition(params.condition, f"{place}.condition")
        self._true = compiler.chain(params.true_commands, f"{place}.trueCommands")
        self._false = compiler.chain(params.false_commands, f"{place}.falseCommands")

    def run(self, context: Context) -> Work:
        """Judge the condition and run the list it chooses."""
        params = self.params
        subject = self._subject(context)
        chosen = self._true if _holds(params.condition, subject, context) else self._false
        outer = context.deadline
        limit = monotonic() + params.timeout / 1000
        context.deadline = limit if outer is None else min(outer, limit)
        try:
            return (yield from chosen.run(context))
        finally:
            context.deadline = outer

    def _subject(self, context: Context) -> Any:
        """Return where properties are looked up: the previous output, or a variable."""
        name = self.params.context
        if name != "CommandResult":
            return context.lookup(context.expand_text(name))
        data = context.data
        if isinstance(data, str):
            try:
                return loads(data)
            except msgspec.DecodeError:
                return data
        return data


def _check_condition(condition: Condition, place: str) -> None:
    if condition.operator is not None:
        if not condition.conditions:
            raise UsageError(f"{place}.conditions: needs at least one")
        for index, each in enumerate(condition.conditions):
            _check_condition(each, f"{place}.conditions[{index}]")
        return
    for name in ("left", "operation", "right"):
        if getattr(condition, name) is None:
            raise UsageError(f"{place}.{name}: is required")
    for name, side in (("left", condition.left), ("right", condition.right)):
        if side is not None and side.type == "property":
            _check_path(side.value, f"{place}.{name}.value")


def _check_path(path: Any, place: str) -> None:
    if not isinstance(path, str):
        raise UsageError(f"{place}: must be the path of the property")
    if not path.startswith("$") or varies(path) or names_secret(path):
        return
    try:
        compile_path(path)
    except UsageError as error:
        raise UsageError(f"{place}: {error.message}") from error


def _holds(condition: Condition, subject: Any, context: Context) -> bool:
    if condition.operator is not None:
        judged = (_holds(each, subject, context) for each in condition.conditions)
        return all(judged) if condition.operator == "AND" else any(judged)
    assert condition.left is not None
    assert condition.right is not None
    left = _operand(condition.left, subject, context)
    right = _operand(condition.right, subject, context)
    assert condition.operation is not None
    return compare(left, condition.operation, right)


def _operand(operand: Operand, subject: Any, context: Context) -> Any:
    if operand.type == "value":
        return context.expand(operand.value)
    path = context.expand_text(operand.value)
    if path.startswith("$"):
        try:
            return compile_path(path).find(subject)
        except (UsageError, ValueError) as error:
            raise CommandFailed(f"property {path!r}: {error}") from error
    found = lookup(subject, path.removeprefix("CommandResult."))
    return found if found is not NOTHING else lookup(context.vars, path)
