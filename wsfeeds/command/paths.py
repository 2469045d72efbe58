"""Where in a value: JSONPath (RFC 9535), and the dotted paths of variables and conditions."""

from __future__ import annotations

import contextlib
import functools
import importlib
from typing import Any

from wsfeeds.command.exact import Exact
from wsfeeds.errors import UsageError


class Nothing:
    """No value at all, JavaScript's `undefined`; there is one instance, `NOTHING`."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = Nothing()


class Path:
    """A compiled JSONPath."""

    def __init__(self, text: str) -> None:
        """Compile it.

        Raises:
            UsageError: It is no JSONPath.
        """
        environment, failure = _environment()
        if not text.startswith("$"):
            raise UsageError(f"{text!r} is no JSONPath: it must begin with $")
        try:
            self._query = environment.compile(text)
        except (failure, RecursionError) as error:
            why = str(error).partition("\n")[0] or "nested too deeply"
            raise UsageError(f"{text!r} is no JSONPath: {why}") from None
        self._failure = failure
        self.definite: bool = self._query.singular_query()
        """Whether it has names and indexes only, so that it finds one value or none."""

    def find(self, value: Any) -> Any:
        """Return the one value of a definite path, `NOTHING` if missing, else the list of all.

        Raises:
            ValueError: The path cannot be followed in this value.
        """
        if isinstance(value, str):  # the library would parse it as a document
            found = [value] if str(self._query) == "$" else []
            return found if not self.definite else found[0] if found else NOTHING
        try:
            found = self._query.findall(value)
        except (self._failure, RecursionError) as error:
            raise ValueError(str(error).partition("\n")[0] or "nested too deeply") from None
        if not self.definite:
            return found
        return found[0] if found else NOTHING


@functools.lru_cache(maxsize=256)
def compile_path(text: str) -> Path:
    """Return the compiled JSONPath; see `Path`."""
    return Path(text)


@functools.cache
def _environment() -> tuple[Any, type[Exception]]:
    jsonpath = importlib.import_module("jsonpath")
    if not hasattr(jsonpath, "JSONPathEnvironment"):
        raise UsageError(
            "another package took the module name jsonpath: uninstall jsonpath-python, then "
            "pip install --force-reinstall python-jsonpath"
        )
    return _exact(jsonpath)(strict=True), jsonpath.JSONPathError


def _exact(jsonpath: Any) -> Any:
    """Return the library's environment, with number literals that keep their digits."""
    parse = importlib.import_module("jsonpath.parse")

    class Parser(parse.Parser):  # type: ignore[misc,name-defined]
        """Checks literals as the library does, and takes their value from the text."""

        def parse_float_literal(self, stream: Any) -> Any:
            text = stream.current().value
            super().parse_float_literal(stream)
            return parse.FloatLiteral(value=Exact(text))

        def parse_integer_literal(self, stream: Any) -> Any:
            text = stream.current().value
            with contextlib.suppress(OverflowError):  # the library makes a float of it
                super().parse_integer_literal(stream)
            return parse.IntegerLiteral(value=_integer(text))

    class Environment(jsonpath.JSONPathEnvironment):  # type: ignore[misc]
        """Parses with it."""

        parser_class = Parser

    return Environment


def _integer(text: str) -> int | Exact:
    """Return an integer literal's value; one of thousands of digits, or with an exponent, too."""
    return int(text) if text.removeprefix("-").isdecimal() and len(text) < 4000 else Exact(text)


def lookup(value: Any, path: str) -> Any:
    """Return what a dotted path such as `odds.0.price` leads to, or `NOTHING`.

    Numbers in brackets count as steps too, negative ones from the end.
    """
    for step in path.replace("[", ".").replace("]", "").split("."):
        if step == "":
            continue
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.removeprefix("-").isdecimal():
            index = int(step)
            if not -len(value) <= index < len(value):
                return NOTHING
            value = value[index]
        elif isinstance(value, list | str) and step == "length":
            value = len(value)
        else:
            return NOTHING
    return value
