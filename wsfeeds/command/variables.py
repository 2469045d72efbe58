"""Variables in the document's strings, expanded when the command runs.

`%{SECRET}` an environment variable, never shown · `@{NAME}` a fact of the run or the previous
output · `#{UUID}` a new one each time · `${path.to.value}` from the context;
docs/protocols/websocket_v2.md, section 2.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wsfeeds.clock import wall_seconds
from wsfeeds.command.exact import text_of
from wsfeeds.command.paths import NOTHING
from wsfeeds.errors import UsageError, WsfeedsError
from wsfeeds.secrets import MASK

_VARIABLE = re.compile(r"([%@#$])\{([^{}]+)\}")
_SECRET = re.compile(r"%\{([^{}]+)\}")
_PREVIOUS = ("PREVIOUS_OUTPUT", "STEP_OUTPUT")
_RUN = ("PROJECT_ID", "RUN_ID", "START_TIMESTAMP")

Lookup = Callable[[str], Any]
"""Returns the value at a path of the context, `NOTHING` where there is none."""


class NoValue(WsfeedsError):
    """A variable has no value where it is used."""


class Variables:
    """What variables mean in one run."""

    def __init__(self, document: Any, environment: Mapping[str, str]) -> None:
        """Find every secret that the document names.

        Raises:
            UsageError: One is not set; the message begins with its place.
        """
        self.secrets: dict[str, str] = {}
        for place, text in _strings(document, ""):
            for name in _SECRET.findall(text):
                if name not in environment:
                    raise UsageError(f"{place}: %{{{name}}} is not set in the environment")
                if not _is_unicode(environment[name]):
                    raise UsageError(f"{place}: %{{{name}}} is not set to UTF-8 text")
                self.secrets[name] = environment[name]
        self._run = {
            "PROJECT_ID": environment.get("PROJECT_ID") or "wsfeeds",
            "RUN_ID": str(uuid.uuid4()),
            "START_TIMESTAMP": str(int(wall_seconds() * 1000)),
        }

    def expand(self, value: Any, lookup: Lookup, previous: Any = NOTHING) -> Any:
        """Return a JSON value with the variables of all its strings expanded.

        A string that is one variable alone becomes its value, of whatever type.

        Raises:
            NoValue: A variable has no value here.
        """
        if isinstance(value, str):
            whole = _VARIABLE.fullmatch(value)
            if whole is not None:
                return self._value(whole, lookup, previous)
            return self.text(value, lookup, previous)
        if isinstance(value, dict):
            return {key: self.expand(each, lookup, previous) for key, each in value.items()}
        if isinstance(value, list):
            return [self.expand(each, lookup, previous) for each in value]
        return value

    def known(self, value: Any) -> Any:
        """Return a JSON value with the secrets of all its strings in their places."""
        if isinstance(value, str):
            return _SECRET.sub(lambda match: self.secrets[match[1]], value)
        if isinstance(value, dict):
            return {key: self.known(each) for key, each in value.items()}
        return [self.known(each) for each in value] if isinstance(value, list) else value

    def text(self, text: str, lookup: Lookup, previous: Any = NOTHING) -> str:
        """Return a string with its variables expanded, values other than strings as JSON.

        Raises:
            NoValue: A variable has no value here.
        """
        if "{" not in text:
            return text
        return _VARIABLE.sub(lambda match: text_of(self._value(match, lookup, previous)), text)

    def twice(self, text: str, lookup: Lookup) -> tuple[str, str]:
        """Return a string with its variables expanded, and the same with `***` for each secret.

        Raises:
            NoValue: A variable has no value here.
        """
        real, shown, end = "", "", 0
        for match in _VARIABLE.finditer(text):
            value = text_of(self._value(match, lookup, NOTHING))
            between = text[end : match.start()]
            real += between + value
            shown += between + (MASK if match[1] == "%" else value)
            end = match.end()
        return real + text[end:], shown + text[end:]

    def _value(self, match: re.Match[str], lookup: Lookup, previous: Any) -> Any:
        kind, name = match.groups()
        value: Any = match[0]
        if kind == "%":
            value = self.secrets[name]
        elif kind == "#" and name == "UUID":
            value = str(uuid.uuid4())
        elif kind == "@" and name in _PREVIOUS:
            value = previous
        elif kind == "@" and name in _RUN:
            value = self._run[name]
        elif kind == "$":
            value = lookup(name.strip())
        if value is NOTHING:
            raise NoValue(f"{match[0]} has no value here")
        return value


def _is_unicode(text: str) -> bool:
    """Tell whether a text of the environment was UTF-8; other bytes come as half surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def varies(value: Any) -> bool:
    """Tell whether any string in a JSON value names a variable that is no secret."""
    kinds = (kind for _, text in _strings(value, "") for kind, _ in _VARIABLE.findall(text))
    return any(kind != "%" for kind in kinds)


def names_secret(value: Any) -> bool:
    """Tell whether any string in a JSON value names a secret."""
    return any(_SECRET.search(text) for _, text in _strings(value, ""))


def nowhere(path: str) -> Any:
    """Look up a path where no chain is running: nothing has a value."""
    del path
    return NOTHING


def _strings(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Yield every string of a JSON value with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from _strings(each, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _strings(each, f"{place}[{index}]")
