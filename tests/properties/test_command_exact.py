"""Properties of the executor's pure parts: exact JSON, Decode, variables, Json Path."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from decimal import Decimal
from typing import Any

import lz4.block  # type: ignore[import-untyped]
import lz4.frame  # type: ignore[import-untyped]
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfeeds.command.comparisons import compare
from wsfeeds.command.decode import Undecodable, decode
from wsfeeds.command.exact import dumps, loads
from wsfeeds.command.paths import NOTHING, compile_path, lookup
from wsfeeds.command.variables import NoValue, Variables, nowhere
from wsfeeds.errors import UsageError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBER = st.from_regex(
    r"-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?", fullmatch=True
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(NUMBER)
def test_every_number_keeps_its_digits(text: str) -> None:
    assert dumps(loads(f'[{text},{{"n":{text}}}]')) == f'[{text},{{"n":{text}}}]'.encode()


@given(JSON)
def test_reading_and_writing_changes_nothing(value: Any) -> None:
    text = json.dumps(value)
    again = dumps(loads(text))
    assert json.loads(again, parse_float=Decimal) == json.loads(text, parse_float=Decimal)
    assert dumps(loads(again)) == again


@given(st.binary() | TEXT)
def test_what_is_no_json_is_told_by_one_error(text: bytes | str) -> None:
    with contextlib.suppress(msgspec.DecodeError):
        dumps(loads(text))


@given(
    st.dictionaries(TEXT, JSON, max_size=3).filter(
        lambda value: not {"type", "H", "C"} & value.keys()
    ),
    st.sampled_from(["gzip", "frame", "sized", "raw"]),
    st.booleans(),
)
def test_decode_undoes_every_container(value: Any, kind: str, told: bool) -> None:
    pack: Any = {
        "gzip": gzip.compress,
        "frame": lz4.frame.compress,
        "sized": lz4.block.compress,
        "raw": lambda content: lz4.block.compress(content, store_size=False),
    }[kind]
    content = dumps(loads(json.dumps(value)))
    text = base64.b64encode(pack(content)).decode()
    encoding: Any = ("base64+gzip" if kind == "gzip" else "base64+lz4") if told else None
    assert dumps(decode(text, encoding)) == content


@given(TEXT | JSON, st.sampled_from([None, "base64+gzip", "base64+lz4"]))
def test_decode_never_fails_in_another_way(payload: Any, encoding: Any) -> None:
    with contextlib.suppress(Undecodable):
        decode(payload, encoding)


@given(st.binary(min_size=1), st.sampled_from([b"", b"\x1f\x8b", b"\x04\x22\x4d\x18"]))
def test_decode_of_any_bytes_never_fails_in_another_way(data: bytes, magic: bytes) -> None:
    text = base64.b64encode(magic + data).decode()
    assert decode(text) is not NOTHING
    for encoding in ("base64+gzip", "base64+lz4"):
        with contextlib.suppress(Undecodable):
            decode(text, encoding)


@given(TEXT)
def test_text_without_variables_is_expanded_to_itself(text: str) -> None:
    variables = Variables([], {})
    try:
        assert variables.text(text, nowhere) == text or "{" in text
    except NoValue:
        assert "{" in text


@given(JSON)
def test_the_root_path_finds_everything(value: Any) -> None:
    exact = loads(json.dumps(value))
    assert dumps(compile_path("$").find(exact)) == dumps(exact)


@given(st.text("$.@[]()?*'\"-+<>=!&|:,~/ abx01\\").map("$".__add__) | TEXT, JSON)
def test_a_path_is_compiled_or_refused(text: str, value: Any) -> None:
    try:
        path = compile_path(text)
    except UsageError:
        return
    with contextlib.suppress(ValueError):
        dumps([each for each in [path.find(value)] if each is not NOTHING])


@given(JSON, TEXT)
def test_looking_up_never_fails(value: Any, path: str) -> None:
    lookup(value, path)


@pytest.mark.parametrize(
    "operation", ["==", "===", "includes", "startsWith", "endsWith", "<", ">="]
)
@given(left=JSON, right=JSON)
def test_comparing_never_fails(operation: str, left: Any, right: Any) -> None:
    assert compare(left, operation, right) in {True, False}
    assert compare(left, "!=", right) is not compare(left, "==", right)
    assert compare(left, "!==", right) is not compare(left, "===", right)
