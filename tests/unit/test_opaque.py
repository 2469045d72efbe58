"""JSON that is passed on: what may change, and what may not."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wsfeeds.opaque import exact_json

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("ab: ,{", max_size=3), inner)
    ),
    max_leaves=12,
)


def exact(text: str) -> str:
    return bytes(exact_json(text.encode())).decode()


@given(JSON, st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" ,\t", " :\n\r ")]))
def test_only_white_space_and_escapes_change(
    value: Any, escaped: bool, separators: tuple[str, str]
):
    got = exact(f" {json.dumps(value, ensure_ascii=escaped, separators=separators)}\n")
    assert json.loads(got) == value
    assert got == json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert "\n" not in got


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ('{"a":1,"a":2}', '{"a":1,"a":2}'),
        ('{ "a" : 1, "a" : 2 }', '{"a":1,"a":2}'),
        ('{"z":-0,"a":[ -0 ]}', '{"z":-0,"a":[-0]}'),
        ("[1E400,1e-400,1.50]", "[1E400,1e-400,1.50]"),
        (f"[{'9' * 400}]", f"[{'9' * 400}]"),
        (r'{"\u0061":"\u00e9\/\"\n"}', '{"a":"é/\\"\\n"}'),
        ('["Foul, hard: { [ ] }"]', '["Foul, hard: { [ ] }"]'),
        ('["a  b" , "c"]', '["a  b","c"]'),
        ('"\u2028"', '"\u2028"'),
        ("  7 ", "7"),
    ],
)
def test_members_digits_and_text_stay(sent, kept):
    assert exact(sent) == kept


@pytest.mark.parametrize(
    "broken", ["", "[1,]", "{'a':1}", '"a', "01", "nul", "[1]]", '["a\nb"]', '["\\ud800"]']
)
def test_what_is_no_json_is_refused(broken):
    with pytest.raises(msgspec.DecodeError):
        exact(broken)


def test_what_is_nested_too_deeply_is_refused():
    with pytest.raises(RecursionError):
        exact("[" * 100_000 + "]" * 100_000)
