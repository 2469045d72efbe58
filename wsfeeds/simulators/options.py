"""Options of a simulator (``--set NAME=VALUE``): declared once, listed and checked everywhere.

A simulator declares a frozen dataclass of fields made by `duration`, `switch`, `number`,
`choice` and `text`; the field's name is the option's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self

from wsfeeds.errors import UsageError
from wsfeeds.quantities import parse_duration
from wsfeeds.simulators.faults import nearest


@dataclass(frozen=True)
class Option:
    """What a person needs to know about one option."""

    name: str
    kind: str
    default: str
    help: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a simulator; subclasses add fields."""

    @classmethod
    def listed(cls) -> tuple[Option, ...]:
        """List the options in the order of their declaration."""
        return tuple(
            Option(
                name=each.name,
                kind=each.metadata["kind"],
                default=each.metadata["default"],
                help=each.metadata["help"],
            )
            for each in fields(cls)
        )

    @classmethod
    def parse(cls, given: Mapping[str, object]) -> Self:
        """Check and convert options given as text, or as values of the right type.

        Raises:
            UsageError: An option is unknown, or its value is not what it takes.
        """
        known = {each.name: each for each in fields(cls)}
        values: dict[str, object] = {}
        for name, value in given.items():
            key = name.replace("-", "_")
            if key not in known:
                hint = nearest(key, known) if known else "; there are none"
                raise UsageError(f"unknown simulator option {name!r}{hint}")
            metadata = known[key].metadata
            try:
                values[key] = metadata["parse"](value) if isinstance(value, str) else value
            except (ValueError, UsageError) as error:
                raise UsageError(
                    f"simulator option {name!r} takes {metadata['kind']}, not {value!r}"
                ) from error
        return cls(**values)


def duration(default: str, help: str) -> Any:  # noqa: A002 - reads best at the declaration
    """Declare a duration such as ``60s``; its value is in seconds."""
    return _field(parse_duration, "a duration such as 5s", default, help)


def switch(default: bool, help: str) -> Any:  # noqa: A002 - reads best at the declaration
    """Declare an option that is on or off."""
    return _field(_switch, "true or false", "true" if default else "false", help)


def number(default: int, help: str) -> Any:  # noqa: A002 - reads best at the declaration
    """Declare a whole number."""
    return _field(int, "a whole number", str(default), help)


def choice(*choices: str, help: str) -> Any:  # noqa: A002 - reads best at the declaration
    """Declare one of several words; the first is the default."""

    def parse(value: str) -> str:
        if value.lower() not in choices:
            raise ValueError(value)
        return value.lower()

    return _field(parse, f"one of {', '.join(choices)}", choices[0], help)


def text(default: str, help: str) -> Any:  # noqa: A002 - reads best at the declaration
    """Declare free text."""
    return _field(str, "text", default, help)


def _field(parse: Callable[[str], object], kind: str, default: str, about: str) -> Any:
    metadata = {"parse": parse, "kind": kind, "default": default, "help": about}
    return field(default=parse(default), metadata=metadata)


def _switch(value: str) -> bool:
    words = {"true": True, "on": True, "yes": True, "1": True}
    words |= {"false": False, "off": False, "no": False, "0": False}
    if value.lower() not in words:
        raise ValueError(value)
    return words[value.lower()]
