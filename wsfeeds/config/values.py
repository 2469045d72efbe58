"""From what is written to typed values: `${NAME}`, `file:PATH`, and each kind of setting.

A text may take environment variables, `"${NAME}"` or within a text (`"wss://${HOST}/x"`; `$${` is a
plain `${`), or be a file's content less the trailing newline, `"file:PATH"`. That works the same in
the settings file, the environment and the Python API.
"""

from __future__ import annotations

import logging
import math
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from wsfeeds.config.fields import Field
from wsfeeds.errors import UsageError
from wsfeeds.quantities import parse_duration, parse_size
from wsfeeds.secrets import Secret

_log = logging.getLogger("wsfeeds")
_VARIABLE = re.compile(r"\$?\$\{([^{}]*)\}")
_FILE = "file:"
_WORDS = {
    word: index == 0
    for index, words in enumerate((("true", "yes", "on", "1"), ("false", "no", "off", "0")))
    for word in words
}
_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_PROTOCOL_HEADERS = ("host", "connection", "upgrade", "content-length", "transfer-encoding")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SHOWN = 60
_OTHERS_MAY_READ = stat.S_IRGRP | stat.S_IROTH


class Given(msgspec.Struct, frozen=True):
    """A value as somebody wrote it; `place` names it in messages, `folder` is where PATHs start."""

    value: Any
    place: str
    env: Mapping[str, str]
    folder: Path | None = None
    source: Literal["flag", "env", "file"] = "flag"

    def inside(self, name: str, value: Any) -> Given:
        """Return a member of this value."""
        return msgspec.structs.replace(self, value=value, place=f"{self.place}, {name}")

    def wrong(self, why: str) -> UsageError:
        """Return the error that says where the value is."""
        return UsageError(f"{self.place}: {why}")

    def path(self, text: str) -> Path:
        """Return a path that is relative to the settings file, else to the current folder."""
        try:
            path = Path(text).expanduser()
        except RuntimeError:
            path = Path(text)
        return path if self.folder is None else self.folder / path


def is_reference(value: object) -> bool:
    """Tell a text that takes its content from elsewhere from a literal one."""
    return isinstance(value, str) and (value.startswith(_FILE) or "${" in value)


def readable_by_others(path: Path) -> bool:
    """Tell whether the group or everybody may read a file."""
    return bool(path.stat().st_mode & _OTHERS_MAY_READ)


def text_of(given: Given) -> str:
    """Return a text with its variables and its file taken in.

    Raises:
        UsageError: A variable is not set, a file is not readable, or it is no text.
    """
    text = _filled(given)
    if not str(given.value).startswith(_FILE):
        return text
    return _from_file(given, text).reveal()


def secret_of(given: Given) -> Secret:
    """Return a secret; one from a file can be read again.

    Raises:
        UsageError: As for `text_of`, or it is empty.
    """
    if isinstance(given.value, Secret):
        return given.value
    text = _filled(given)
    secret = _from_file(given, text) if str(given.value).startswith(_FILE) else Secret(text)
    if not secret.reveal():
        raise given.wrong("is empty")
    return secret


def convert(field: Field, given: Given) -> Any:
    """Return the typed value of a setting; None where it is switched off.

    None, or an empty text where the setting is optional, is the default.

    Raises:
        UsageError: The value is none of this kind; the message never shows a secret.
    """
    value = given.value
    if value is None or (value == "" and field.optional):
        if field.default is msgspec.NODEFAULT:
            raise given.wrong("needs a value")
        return field.default
    if field.kind in _TEXTUAL:
        return _TEXTUAL[field.kind](field, given)
    if isinstance(value, str):
        value = text_of(given).strip()
        if value.lower() in field.words_for_none:
            return None
    try:
        typed = _TYPED[field.kind](value)
    except UsageError as error:
        raise given.wrong(_unquoted(given, field, error.message)) from None
    if field.optional and field.kind == "duration" and typed == 0:
        return None
    return typed


# --- texts --------------------------------------------------------------------------------------


def _filled(given: Given) -> str:
    value = given.value
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        # An id or a token may consist of digits, which TOML and Python take for a number.
        value = str(value)
    if not isinstance(value, str):
        raise given.wrong(f"takes a text, not {_type_name(value)}")

    def fill(match: re.Match[str]) -> str:
        if match[0].startswith("$$"):
            return match[0][1:]
        name = match[1]
        if name not in given.env:
            raise given.wrong(f"the environment variable {name!r} is not set")
        return given.env[name]

    text = _VARIABLE.sub(fill, value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise given.wrong("is not UTF-8 text") from None
    return text


def _from_file(given: Given, text: str) -> Secret:
    path = given.path(text.removeprefix(_FILE))
    try:
        return Secret.from_file(path)
    except OSError as error:
        raise given.wrong(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError:
        raise given.wrong(f"cannot read {path}: it is not UTF-8 text") from None


def _text(field: Field, given: Given) -> str:
    del field
    text = text_of(given)
    if _CONTROL.search(text):
        raise given.wrong("must be one line without control characters")
    return text


def _file(field: Field, given: Given) -> str:
    return str(given.path(_text(field, given)))


def _secret(field: Field, given: Given) -> Secret:
    del field
    secret = secret_of(given)
    value = given.value
    if isinstance(value, str) and value.startswith(_FILE):
        path = given.path(_filled(given).removeprefix(_FILE))
        if readable_by_others(path):
            _log.warning("%s: others can read this secret: chmod 600 %s", given.place, path)
    return secret


def _choice(field: Field, given: Given) -> str:
    text = text_of(given).strip().lower()
    if text not in field.choices:
        raise given.wrong(f"takes one of {', '.join(field.choices)}{_shown(given, text)}")
    return text


# --- headers ------------------------------------------------------------------------------------


def _headers(field: Field, given: Given) -> dict[str, Secret]:
    value = given.value
    if isinstance(value, str):
        value = _parse_headers(given)
    if not isinstance(value, Mapping):
        raise given.wrong(f"takes a table of name = value, not {_type_name(value)}")
    headers = {}
    for name, each in value.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise given.wrong("a header's name has letters, digits and dashes only")
        if name.lower() in _PROTOCOL_HEADERS or name.lower().startswith("sec-websocket-"):
            raise given.wrong(f"{name} belongs to the protocol and cannot be set")
        secret = _secret(field, given.inside(name, each))
        text = secret.reveal()
        if _CONTROL.search(text) or not text.isascii():
            raise given.wrong(f"the value of {name} must be one line of ASCII text")
        headers[name] = secret
    return headers


def _parse_headers(given: Given) -> Mapping[str, Any]:
    """Read `Name: value` lines or a JSON object, the forms for the environment."""
    # A file is taken in first; variables later, one by one, so that none can add a header.
    text = text_of(given) if given.value.startswith(_FILE) else given.value
    if text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text, type=dict[str, str])
        except msgspec.MsgspecError:
            raise given.wrong("takes `Name: value` lines or a JSON object of texts") from None
    headers = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, colon, value = line.partition(":")
        if not colon:
            raise given.wrong("takes `Name: value` lines or a JSON object of texts")
        headers[name.strip()] = value.strip()
    return headers


# --- numbers and switches -----------------------------------------------------------------------


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    raise UsageError(f"takes true or false, not {value!r}")


def _int(value: Any) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UsageError(f"takes a whole number that is not negative, not {value!r}")
    return value


def _number(value: Any) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (ValueError, TypeError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise UsageError(f"takes a number that is not negative, not {value!r}")
    return number


_TEXTUAL: dict[str, Callable[[Field, Given], Any]] = {
    "text": _text,
    "file": _file,
    "secret": _secret,
    "choice": _choice,
    "headers": _headers,
}
_TYPED: dict[str, Callable[[Any], Any]] = {
    "bool": _bool,
    "int": _int,
    "number": _number,
    "duration": parse_duration,
    "size": parse_size,
}


def _unquoted(given: Given, field: Field, message: str) -> str:
    """Keep what came from a variable or a file out of a message: it may be a secret."""
    return f"takes a {field.kind}; its content is none" if is_reference(given.value) else message


def _shown(given: Given, text: str) -> str:
    return "" if is_reference(given.value) else f", not {text[:_SHOWN]!r}"


def _type_name(value: object) -> str:
    names = {"dict": "a table", "list": "a list", "bool": "true or false"}
    return names.get(type(value).__name__, type(value).__name__)
