"""Values that must not be seen: they mask themselves everywhere but where they are used."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

MASK = "***"
_PASSING_KEPT = 8
_MIN_REDACTED = 4
"""Shorter secrets are not searched for in texts: every second word would contain one."""


class Secret:
    """A text that shows itself only to `reveal()`; from a file it is read again by `refresh()`."""

    __slots__ = ("_path", "_value")

    def __init__(self, value: str, *, path: Path | None = None) -> None:
        """Hold `value`; `path` is where a newer one may be read from."""
        self._value = value
        self._path = path

    @classmethod
    def from_file(cls, path: Path) -> Secret:
        """Read the file's content less the trailing newline.

        Raises:
            OSError: The file cannot be read.
        """
        return cls(_read(path), path=path)

    def reveal(self) -> str:
        """Return the value, for the one place that sends it."""
        return self._value

    def refresh(self) -> Secret:
        """Return this secret as its file has it now, or itself where it came from elsewhere."""
        return self if self._path is None else Secret.from_file(self._path)

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")


class Redactor:
    """Replaces known secrets in texts, plain, percent-encoded or escaped in JSON, by `***`."""

    __slots__ = ("_passing", "_pattern", "_values")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Know these secrets from the start."""
        self._values: set[str] = set()
        self._passing: deque[set[str]] = deque()
        self._pattern: re.Pattern[str] | None = None
        for secret in secrets:
            self.add(secret)

    def add(self, secret: str, *, passing: bool = False) -> None:
        """Learn one more secret.

        A `passing` one (a single-use token) is forgotten when some newer ones have come, so that
        a run of months does not collect them.
        """
        if len(secret) < _MIN_REDACTED or secret in self._values:
            return
        spellings = {secret, *_spellings(secret)}
        if passing:
            if len(self._passing) == _PASSING_KEPT:
                self._values -= self._passing.popleft()
            self._passing.append(spellings)
        self._values |= spellings
        longest_first = sorted(self._values, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def __call__(self, text: str) -> str:
        """Return the text without the secrets known so far."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)


def _either_case(encoded: str) -> tuple[str, str]:
    """Return a percent-encoded text with its escapes in upper and in lower case (RFC 3986, 2.1)."""
    return encoded, re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), encoded)


def _spellings(secret: str) -> Iterator[str]:
    """Yield how a secret may look in a URL and in a JSON text."""
    # What is not Unicode came from the environment; `quote` would fail on it.
    for safe in ("", "/"):
        yield from _either_case(quote(secret, safe, errors="surrogateescape"))
    yield from _either_case(quote_plus(secret, errors="surrogateescape"))
    for ascii_only in (True, False):
        escaped = json.dumps(secret, ensure_ascii=ascii_only)[1:-1]
        yield escaped
        yield escaped.replace("/", "\\/")  # as PHP writes it
