"""The tree that the docstring draws is the tree that there is."""

from __future__ import annotations

import importlib
import pkgutil
import re

import wsfeeds
from wsfeeds import errors
from wsfeeds.errors import ExitCode, WsfeedsError, gravest


def drawn() -> dict[str, tuple[str | None, int]]:
    """Return each error of the docstring with the one above it and its exit code."""
    found: dict[str, tuple[str | None, int]] = {}
    path: list[str] = []
    for line in re.findall(r"^    .*exit \d.*$", errors.__doc__ or "", re.MULTILINE):
        match = re.fullmatch(r"    ((?:│   |    )*)([├└]── )?(\w+) +exit (\d)  \S.*", line)
        assert match, line
        depth = len(match[1]) // 4 + bool(match[2])
        path = [*path[:depth], match[3]]
        found[match[3]] = (path[-2] if depth else None, int(match[4]))
    return found


def defined() -> dict[str, tuple[str | None, int]]:
    """Return the same of the classes, those of documents' commands left out."""
    for module in pkgutil.walk_packages(wsfeeds.__path__, "wsfeeds."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found: dict[str, tuple[str | None, int]] = {}
    waiting: list[tuple[type[WsfeedsError], str | None]] = [(WsfeedsError, None)]
    while waiting:
        kind, parent = waiting.pop()
        if kind.__module__.startswith("wsfeeds.") and "wsfeeds.command." not in kind.__module__:
            found[kind.__name__] = (parent, int(kind.exit_code))
            waiting += [(below, kind.__name__) for below in kind.__subclasses__()]
    return found


def test_the_drawn_tree_is_the_defined_one():
    assert drawn() == defined()


def test_the_modules_that_the_docstring_names_exist():
    for name in re.findall(r"`(wsfeeds\.[\w.]+)`", errors.__doc__ or ""):
        importlib.import_module(name)


def test_the_gravest_code_wins():
    assert gravest([4, 0, 2]) == ExitCode.USAGE
    assert gravest([4, 2, 3, 6, 1]) == ExitCode.FAULT
    assert gravest([4, 2, 3, 6]) == ExitCode.OUTPUT
    assert gravest([4, 2, 3]) == ExitCode.REFUSED
    assert gravest([]) == ExitCode.OK
