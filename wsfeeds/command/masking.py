"""Takes a document's secrets out of what a run shows (contract, section 4).

A secret of four characters or more is searched for in everything: in strings and keys of results,
in numbers that equal it, in messages and frames. A shorter one is in every second result by chance,
so results and frames are left alone; it is hidden where the document puts it, which is the URL, and
as a whole word in every message of ours. A warning says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from wsfeeds.command.exact import Exact
from wsfeeds.secrets import MASK, Redactor

SHORT = 4
"""Secrets with fewer characters are not searched for in results."""


class Masking:
    """Knows the secrets of one run."""

    def __init__(self, named: Iterable[str], redactor: Redactor) -> None:
        """Mask with `redactor`, which knows all long secrets.

        Args:
            named: The values that the document's `%{NAME}` have.
            redactor: It may learn more while the run goes on.
        """
        values = set(named)
        self._redact = redactor
        self._numbers = {
            number
            for value in values
            if len(value) >= SHORT and (number := _number(value)) is not None
        }
        short = sorted((v for v in values if 0 < len(v) < SHORT), key=len, reverse=True)
        alone = "|".join(map(re.escape, short))
        self._short = re.compile(rf"(?<!\w)(?:{alone})(?!\w)") if short else None

    def told(self, text: str) -> str:
        """Return a message of ours without any secret, short ones too."""
        text = self._redact(text)
        return text if self._short is None else self._short.sub(MASK, text)

    def value(self, value: Any, line: str) -> Any:
        """Return a JSON value without secrets, itself where `line`, its text, holds none."""
        # An escape within a string (JSON in JSON) hides a secret from a look at the whole line.
        if not self._numbers and "\\\\" not in line and self._redact(line) == line:
            return value
        return self._clean(value)

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._redact(value)
        if isinstance(value, list):
            return [self._clean(each) for each in value]
        if isinstance(value, dict):
            return {self._redact(key): self._clean(each) for key, each in value.items()}
        return MASK if self._numbers and self._is_secret(value) else value

    def _is_secret(self, value: Any) -> bool:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return (_number(value.text) if isinstance(value, Exact) else value) in self._numbers


def _number(text: str) -> Decimal | None:
    """Return what a text is as a number, None for other texts and for `NaN` and the like."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
