"""Comparisons of If-Else, as JavaScript makes them, but for numbers: all their digits count."""

from __future__ import annotations

import re
from typing import Any

from wsfeeds.command.exact import Exact, text_of
from wsfeeds.command.paths import NOTHING

_NUMERIC = re.compile(r"\s*(?:[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)?\s*")


def compare(left: Any, operation: str, right: Any) -> bool:
    """Return whether the comparison holds; what cannot be compared does not."""
    match operation:
        case "includes":
            return _includes(left, right)
        case "startsWith":
            return isinstance(left, str) and left.startswith(text_of(_none(right)))
        case "endsWith":
            return isinstance(left, str) and left.endswith(text_of(_none(right)))
        case "==":
            return _alike(left, right)
        case "!=":
            return not _alike(left, right)
        case "===":
            return _same(left, right)
        case "!==":
            return not _same(left, right)
    return _ordered(left, operation, right)


def _none(value: Any) -> Any:
    return None if value is NOTHING else value


def _includes(left: Any, right: Any) -> bool:
    if isinstance(left, list):
        return any(_same(each, right) for each in left)
    return isinstance(left, str) and right is not NOTHING and text_of(right) in left


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _same(left: Any, right: Any) -> bool:
    if _is_number(left) and _is_number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def _alike(left: Any, right: Any) -> bool:
    """Compare loosely: null is undefined, and a text that is a number is one."""
    if _none(left) is None or _none(right) is None:
        return _none(left) is None and _none(right) is None
    if type(left) is type(right) or (_is_number(left) and _is_number(right)):
        return bool(left == right)
    one, other = _number(left), _number(right)
    return one is not None and one == other


def _ordered(left: Any, operation: str, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        one: Any = left
        other: Any = right
    else:
        one, other = _number(left), _number(right)
        if one is None or other is None:
            return False
    match operation:
        case ">":
            return bool(one > other)
        case ">=":
            return bool(one >= other)
        case "<":
            return bool(one < other)
    return bool(one <= other)


def _number(value: Any) -> float | None:
    """Return what JavaScript makes of a value as a number, with all its digits; None for NaN."""
    if isinstance(value, bool) or value is None:
        return int(value or 0)
    if isinstance(value, int | float):
        return value
    if isinstance(value, str) and _NUMERIC.fullmatch(value):
        return Exact(value.strip()) if value.strip() else 0
    return None
