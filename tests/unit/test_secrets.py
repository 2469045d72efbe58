"""Secrets show themselves only where they are used."""

from __future__ import annotations

import json
import re
from urllib.parse import quote, quote_plus

import msgspec
import pytest

from wsfeeds.secrets import Redactor, Secret

VALUE = "s3cr3t/with +signs"


def test_a_secret_masks_itself_in_every_text():
    secret = Secret(VALUE)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{[secret]}", f"{secret!s}"]
    assert not any(VALUE in text for text in shown)
    assert secret.reveal() == VALUE


def test_a_secret_in_a_struct_is_masked_and_never_encoded():
    class Holder(msgspec.Struct):
        token: Secret

    assert VALUE not in repr(Holder(Secret(VALUE)))
    with pytest.raises(TypeError):
        msgspec.json.encode(Holder(Secret(VALUE)))


def test_secrets_are_equal_by_value():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


@pytest.mark.parametrize(
    ("content", "value"),
    [("abcd", "abcd"), ("abcd\n", "abcd"), ("abcd\r\n", "abcd"), ("ab\ncd\n\n", "ab\ncd\n")],
)
def test_a_file_is_taken_less_its_trailing_newline(tmp_path, content, value):
    path = tmp_path / "token"
    path.write_bytes(content.encode())
    assert Secret.from_file(path).reveal() == value


def test_a_secret_from_a_file_is_read_again(tmp_path):
    path = tmp_path / "token"
    path.write_text("old\n")
    old = Secret.from_file(path)
    path.write_text("new\n")
    new = old.refresh()
    assert (old.reveal(), new.reveal()) == ("old", "new")
    path.write_text("newest\n")
    assert new.refresh().reveal() == "newest"


def test_a_secret_from_elsewhere_stays_as_it_is():
    secret = Secret(VALUE)
    assert secret.refresh() is secret


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        Secret.from_file(tmp_path / "none")


@pytest.mark.parametrize(
    "written",
    [
        *(VALUE, quote(VALUE, safe=""), quote(VALUE), quote_plus(VALUE)),
        re.sub("%..", lambda escape: escape[0].lower(), quote(VALUE, safe="")),
    ],
)
def test_the_redactor_replaces_secrets_plain_and_percent_encoded(written):
    assert Redactor([VALUE])(f"GET /?token={written}&x=1") == "GET /?token=***&x=1"


@pytest.mark.parametrize("value", ['pass"word\\1', "päss\twörd", "a/b\nc"])
def test_the_redactor_knows_a_secret_inside_json(value):
    redact = Redactor([value])
    assert redact(json.dumps({"m": value})) == '{"m": "***"}'
    assert redact(json.dumps({"m": value}, ensure_ascii=False)) == '{"m": "***"}'


def test_the_longer_of_two_overlapping_secrets_goes_first():
    assert Redactor(["abcd", "abcdefgh"])("abcdefgh abcd") == "*** ***"


def test_secrets_learned_later_are_redacted_too():
    redact = Redactor()
    assert redact("token-1") == "token-1"
    redact.add("token-1")
    redact.add("token-1")
    assert redact("token-1") == "***"


def test_short_secrets_and_empty_ones_leave_texts_readable():
    assert Redactor(["", "abc"])("abc def") == "abc def"


def test_a_secret_is_taken_as_text_not_as_a_pattern():
    assert Redactor(["a.c*d"])("abcd a.c*d") == "abcd ***"


def test_a_secret_that_is_not_unicode_does_not_break_the_redactor():
    assert Redactor(["abc\udce4d"])("x abc\udce4d") == "x ***"
