"""Decode: docs/protocols/websocket_v2.md, section 4.1."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import tracemalloc

import lz4.block  # type: ignore[import-untyped]
import lz4.frame  # type: ignore[import-untyped]
import pytest

from wsfeeds.command import decode as module
from wsfeeds.command.decode import Undecodable, decode
from wsfeeds.command.exact import dumps

GOLDEN = {  # section 10, G5
    "gzip": "H4sIAAAAAAACA6tWSi1LzStRslLKT0kpVtJRykxRsjKsBQA9UduHFwAAAA==",
    "lz4_frame": "BCJNGGhAFwAAAAAAAAAyFwAAgHsiZXZlbnQiOiJvZGRzIiwiaWQiOjF9AAAAAA==",
    "lz4_sized_block": "FwAAAPAIeyJldmVudCI6Im9kZHMiLCJpZCI6MX0=",
    "lz4_raw_block": "8Ah7ImV2ZW50Ijoib2RkcyIsImlkIjoxfQ==",
}
ODDS = {"event": "odds", "id": 1}


def call(argument: str) -> str:
    return json.dumps({"type": 1, "target": "t", "arguments": [argument]}) + "\x1e"


def packed(value: object) -> str:
    return base64.b64encode(gzip.compress(json.dumps(value).encode())).decode()


@pytest.mark.parametrize("name", GOLDEN)
def test_all_containers_are_found_out(name) -> None:
    assert decode(GOLDEN[name]) == ODDS


@pytest.mark.parametrize("name", GOLDEN)
def test_all_containers_with_their_encoding(name) -> None:
    assert decode(GOLDEN[name], "base64+gzip" if name == "gzip" else "base64+lz4") == ODDS


@pytest.mark.parametrize(
    "text", ["ping", "hello world", "abcd", "test", "deadbeef", "AAAA", "1.5.0", "", "eyJh"]
)
def test_other_text_stays_as_it_is(text) -> None:
    assert decode(text) == text


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("foreign", ["!!!!", ".", "éééé"])
def test_base64_is_read_strictly(name, foreign) -> None:
    text = GOLDEN[name][:8] + foreign + GOLDEN[name][8:]
    assert decode(text) == text


def test_the_alphabets_of_base64_are_not_mixed() -> None:
    text = base64.b64encode(gzip.compress(b'"???>>>???>>>"', mtime=0)).decode()
    while not (text.count("/") >= 1 and "+" in text):
        text = base64.b64encode(gzip.compress(dumps(text), mtime=0)).decode()
    assert decode(text) != text
    assert decode(text.replace("+", "-").replace("/", "_")) == decode(text)
    mixed = text.replace("+", "-")
    assert decode(mixed) == mixed


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        ('{"type":1,"target":"t","arguments":[{"a":1}]}\x1e', {"a": 1}),
        ('{"type":1,"target":"t","arguments":[1,2]}', [1, 2]),
        (call(GOLDEN["gzip"]), ODDS),  # G8
        ('{"type":2,"item":1}', {"type": 2, "item": 1}),
        ('{"type":4,"target":"t","arguments":[1]}', {"type": 4, "target": "t", "arguments": [1]}),
        ('{"C":"d","M":[{"H":"h","M":"m","A":[1]},{"H":"h","M":"m","A":[2]}]}', [[1], [2]]),
        ('{"H":"h","M":"m","A":[1,2]}', [1, 2]),
        (json.dumps({"H": "h", "M": "m", "A": [GOLDEN["lz4_frame"]]}), [ODDS]),
        ('["odds",{"id":1,"price":"1.5"}]', [{"id": 1, "price": "1.5"}]),
        ('["odds"]', []),
        ('{"type":1,"target":"t","arguments":[]}', []),
        ("[]", []),
        ("[1,2]", [1, 2]),
        ("42", 42),
        (json.dumps(GOLDEN["lz4_raw_block"]), ODDS),
        ({"already": "json"}, {"already": "json"}),
        (None, None),
    ],
)
def test_envelopes_are_unwrapped(payload, value) -> None:
    assert decode(payload) == value


def test_it_looks_into_what_it_found_at_most_twice() -> None:
    assert decode(packed(packed(ODDS))) == ODDS
    assert decode(packed({"type": 1, "arguments": [packed(ODDS)]})) == ODDS
    assert decode(packed(packed(packed({"deep": packed(ODDS)})))) == {"deep": packed(ODDS)}
    four = packed(packed(packed(packed(ODDS))))
    assert isinstance(decode(four), str)


def test_url_safe_base64_and_missing_padding_are_taken() -> None:
    raw = gzip.compress(b'{"a":"' + bytes(range(97, 123)) * 3 + b'"}')
    text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert decode(text)["a"].startswith("abc")


@pytest.mark.parametrize(
    ("payload", "encoding"),
    [
        ("no base64!", "base64+gzip"),
        (GOLDEN["gzip"], "base64+lz4"),
        (GOLDEN["lz4_frame"], "base64+gzip"),
        (GOLDEN["gzip"][:-12] + "AAAAAAAAAAA=", "base64+gzip"),
        (base64.b64encode(lz4.frame.compress(b"x" * 99)[:-9]).decode(), "base64+lz4"),
        (base64.b64encode(gzip.compress(b"\xff", mtime=0)).decode(), "base64+gzip"),
        (base64.b64encode(gzip.compress(b"{}", mtime=0)[:-4]).decode(), "base64+gzip"),
    ],
)
def test_with_an_encoding_anything_else_is_an_error(payload, encoding) -> None:
    with pytest.raises(Undecodable):
        decode(payload, encoding)


def test_without_an_encoding_damaged_gzip_stays_text() -> None:
    damaged = base64.b64encode(gzip.compress(b"{}")[:-4]).decode()
    assert decode(damaged) == damaged


def test_numbers_keep_their_digits() -> None:
    content = b'{"p":1.50,"q":1E5,"n":12345678901234567890}'
    text = base64.b64encode(gzip.compress(content)).decode()
    assert dumps(decode(text)) == content


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        lz4.frame.compress,
        lz4.block.compress,
        lambda content: lz4.block.compress(content, store_size=False),
    ],
    ids=["gzip", "lz4 frame", "lz4 sized block", "lz4 raw block"],
)
def test_output_is_bounded(pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 100_000)
    fits = json.dumps("x" * 99_000).encode()
    assert len(decode(base64.b64encode(pack(fits)).decode())) == 99_000
    bomb = base64.b64encode(pack(json.dumps("x" * 200_000).encode())).decode()
    with contextlib.suppress(Undecodable):
        assert decode(bomb) == bomb


@pytest.mark.parametrize("pack", [gzip.compress, lz4.frame.compress], ids=["gzip", "lz4 frame"])
def test_a_bomb_takes_no_memory(pack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 100_000)
    bomb = base64.b64encode(pack(bytes(50_000_000))).decode()
    tracemalloc.start()
    try:
        with pytest.raises(Undecodable, match="more than 100000 bytes"):
            decode(bomb)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_the_bound_is_the_page_s() -> None:
    assert module.LIMIT == 64 * 1024 * 1024


def test_gzip_of_several_members_is_one_text() -> None:
    whole = gzip.compress(b'{"a":') + gzip.compress(b"1}")
    assert decode(base64.b64encode(whole).decode()) == {"a": 1}
