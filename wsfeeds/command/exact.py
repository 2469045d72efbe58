"""JSON whose numbers keep their digits through every command.

Fractions become `Exact`, a float that JSONPath and If-Else can compare by all its digits and that
is written again as it came; integers are Python's, of any size.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Self, cast

import msgspec

_MINUS_ZERO = re.compile(r"(?:^|[\[:,\s])-0(?:$|[\s,}\]])").search


class Exact(float):
    """A number with a fraction or exponent, and its text.

    It compares with its like and with integers by all its digits, with floats as a float.
    """

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        """Keep the text beside the nearest float."""
        number = super().__new__(cls, text)
        number.text = text
        return number

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return _compared(self, other, operator.eq)

    def __ne__(self, other: object) -> bool:
        return _compared(self, other, operator.ne)

    def __lt__(self, other: float) -> bool:
        return _compared(self, other, operator.lt)

    def __le__(self, other: float) -> bool:
        return _compared(self, other, operator.le)

    def __gt__(self, other: float) -> bool:
        return _compared(self, other, operator.gt)

    def __ge__(self, other: float) -> bool:
        return _compared(self, other, operator.ge)

    __hash__ = float.__hash__


def _compared(one: Exact, other: Any, judge: Callable[[Any, Any], bool]) -> bool:
    if isinstance(other, Exact | int) and not isinstance(other, bool):
        try:
            exact = Decimal(other.text) if isinstance(other, Exact) else other
            return judge(Decimal(one.text), exact)
        except InvalidOperation:  # an exponent of nineteen digits
            return judge(float(one), float(other))
    if isinstance(other, float):
        return judge(float(one), other)
    return cast("bool", NotImplemented)  # what Python asks of a comparison


def _written(value: object) -> msgspec.Raw:
    if isinstance(value, Exact):
        return msgspec.Raw(value.text.encode())
    raise TypeError(f"{type(value).__name__} is no JSON")


_decoder = msgspec.json.Decoder(float_hook=Exact)
_encoder = msgspec.json.Encoder(enc_hook=_written)


def loads(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        msgspec.DecodeError: It is no JSON, or nested too deeply.
    """
    try:
        value = _decoder.decode(text)
    except RecursionError:
        raise msgspec.DecodeError("nested too deeply") from None
    except UnicodeEncodeError:
        raise msgspec.DecodeError("half a surrogate pair") from None
    except UnicodeDecodeError:
        raise msgspec.DecodeError("it is not UTF-8") from None
    if (b"-0" in text) if isinstance(text, bytes) else ("-0" in text):
        return _keep_minus_zero(text, value)
    return value


def _keep_minus_zero(text: str | bytes, value: Any) -> Any:
    """Read once more where there is the one integer whose digits an int does not keep."""
    plain = text if isinstance(text, str) else text.decode()
    if not _MINUS_ZERO(plain):
        return value
    return json.loads(plain, parse_float=Exact, parse_int=_int)


def _int(text: str) -> int | Exact:
    return Exact(text) if text == "-0" else int(text)


def dumps(value: Any) -> bytes:
    """Return compact JSON in UTF-8, numbers with their digits.

    Raises:
        TypeError: It is no JSON value.
        RecursionError: It is nested too deeply.
    """
    return _encoder.encode(value)


def text_of(value: Any) -> str:
    """Return a value as text: a string as it is, anything else as JSON."""
    return value if isinstance(value, str) else dumps(value).decode()
