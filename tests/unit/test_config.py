"""Settings: who wins, what is accepted, and what every mistake is told."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest

from wsfeeds.config import (
    HELP,
    SettingsFile,
    check_transport,
    default_path,
    describe,
    is_loopback,
    load_file,
    parse_set,
    refreshed,
    resolve,
    secrets_of,
)
from wsfeeds.config.fields import fields_of
from wsfeeds.errors import Transient, UsageError
from wsfeeds.protocol import Connector, Duration, FeedSettings
from wsfeeds.secrets import Redactor, Secret


class AcmeSettings(FeedSettings, kw_only=True, frozen=True):
    url: str | None = "wss://acme.example/ws"
    api_url: str = "https://acme.example"
    user_id: str | None = None
    api_key: Secret | None = None
    ping_interval: Duration = 45.0
    speed: Literal["fast", "normal"] | None = None
    start_position: int | None = None
    first_message: Secret | None = None
    query: Secret | None = None
    factor: float = 1.0


class Acme(Connector):
    name: ClassVar[str] = "acme_feed"
    aliases: ClassVar[tuple[str, ...]] = ("acme-feed", "acme")
    settings_type: ClassVar[type[FeedSettings]] = AcmeSettings
    required: ClassVar[tuple[str, ...]] = ("user_id", "api_key")


class OtherSettings(FeedSettings, kw_only=True, frozen=True):
    token: Secret


class Other(Connector):
    name: ClassVar[str] = "other"
    settings_type: ClassVar[type[FeedSettings]] = OtherSettings
    required: ClassVar[tuple[str, ...]] = ("url", "token")


FEEDS = (Acme, Other)
CREDENTIALS = {"user_id": "u", "api_key": "k-secret"}


@pytest.fixture
def settings_file(tmp_path):
    """Return a function that writes and loads a settings file of mode 0600."""

    def write(text: str, env: dict[str, str] | None = None) -> SettingsFile:
        path = tmp_path / "settings.toml"
        path.write_text(text)
        path.chmod(0o600)
        return load_file(path, feeds=FEEDS, env=env or {})

    return write


def acme(**given: Any) -> AcmeSettings:
    given.setdefault("env", {})
    given["mapping"] = CREDENTIALS | given.get("mapping", {})
    settings = resolve(Acme, **given)
    assert isinstance(settings, AcmeSettings)
    return settings


# --- who wins -----------------------------------------------------------------------------------


def test_without_anything_said_the_defaults_hold():
    settings = acme()
    assert settings.url == "wss://acme.example/ws"
    assert settings.idle_timeout == 60.0
    assert settings.api_key == Secret("k-secret")


def test_flag_wins_over_environment_over_file_over_default(settings_file):
    file = settings_file('[feeds.acme_feed]\nidle_timeout="1s"\npong_timeout="1s"\nmax_frame="1KB"')
    env = {"WSFEEDS_ACME_FEED_IDLE_TIMEOUT": "2s", "WSFEEDS_ACME_FEED_PONG_TIMEOUT": "2s"}
    settings = acme(file=file, env=env, flags={"idle_timeout": "3s"})
    assert (settings.idle_timeout, settings.pong_timeout) == (3.0, 2.0)
    assert settings.max_frame == 1000
    assert settings.backoff_max == 30.0


def test_a_mapping_wins_like_a_flag_and_may_hold_secrets_and_typed_values():
    env = {"WSFEEDS_ACME_FEED_API_KEY": "of-env", "WSFEEDS_ACME_FEED_COMPRESSION": "true"}
    mapping: dict[str, Any] = {"api_key": Secret("mine"), "compression": False, "max_retries": 3}
    mapping |= {"idle_timeout": 1.5, "headers": {"X-A": "b", "X-C": Secret("d")}, "proxy": None}
    settings = acme(env=env, mapping=mapping)
    assert settings.api_key == Secret("mine")
    assert (settings.compression, settings.max_retries, settings.idle_timeout) == (False, 3, 1.5)
    assert settings.headers == {"X-A": Secret("b"), "X-C": Secret("d")}


def test_what_is_overruled_is_not_even_read(settings_file):
    file = settings_file('[feeds.acme_feed]\napi_key = "${NOT_SET}"\nuser_id = "file:none"')
    settings = acme(file=file)
    assert settings.user_id == "u"


def test_an_empty_variable_counts_as_not_set(settings_file):
    file = settings_file('[feeds.acme_feed]\nidle_timeout = "5s"')
    assert acme(file=file, env={"WSFEEDS_ACME_FEED_IDLE_TIMEOUT": ""}).idle_timeout == 5.0


# --- every kind of value ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("idle_timeout", "500ms", 0.5),
        ("data_timeout", "5m", 300.0),
        ("data_timeout", "off", None),
        ("data_timeout", "none", None),
        ("data_timeout", "0s", None),
        ("coalesce", "1ms", 0.001),
        ("max_frame", "64KiB", 65536),
        ("compression", "off", False),
        ("compression", "No", False),
        ("allow_insecure", "1", True),
        ("allow_insecure", "yes", True),
        ("max_retries", "0", 0),
        ("max_retries", "none", None),
        ("transport", "websockets", "websockets"),
        ("speed", "fast", "fast"),
        ("start_position", "7", 7),
        ("user_id", "abc", "abc"),
        ("url", "ws://[::1]:8080/ws", "ws://[::1]:8080/ws"),
        ("proxy", "socks5h://127.0.0.1:1080", Secret("socks5h://127.0.0.1:1080")),
        ("proxy", "", None),
        ("ciphers", "ECDHE+AESGCM", "ECDHE+AESGCM"),
        ("factor", "2.5", 2.5),
    ],
)
def test_texts_become_values_of_the_settings_kind(key, text, value):
    settings = resolve(Acme, env={}, flags={key: text}, require=False)
    assert getattr(settings, key) == value


def test_toml_values_keep_their_type_and_numbers_are_seconds_bytes_or_ids(settings_file):
    file = settings_file(
        "[feeds.acme_feed]\nidle_timeout = 5\nbackoff_initial = 0.25\nmax_frame = 4096\n"
        "compression = false\nmax_retries = 2\nuser_id = 12345\napi_key = 678\nfactor = 2\n"
        'data_timeout = 0\n[feeds.acme_feed.headers]\nX-Key = "v"\n'
    )
    settings = resolve(Acme, file=file, env={})
    assert isinstance(settings, AcmeSettings)
    assert (settings.idle_timeout, settings.backoff_initial) == (5.0, 0.25)
    assert (settings.max_frame, settings.compression, settings.max_retries) == (4096, False, 2)
    assert (settings.user_id, settings.api_key) == ("12345", Secret("678"))
    assert (settings.data_timeout, settings.factor) == (None, 2.0)
    assert settings.headers == {"X-Key": Secret("v")}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("idle_timeout", "5"),
        ("idle_timeout", "-5s"),
        ("idle_timeout", "0s"),
        ("idle_timeout", "off"),
        ("idle_timeout", ""),
        ("backoff_max", "0s"),
        ("max_frame", "0B"),
        ("max_frame", "inf"),
        ("max_retries", "-1"),
        ("max_retries", "1.5"),
        ("max_retries", "off"),
        ("max_retries", "9" * 5000),
        ("compression", "maybe"),
        ("transport", "carrier-pigeon"),
        ("speed", "slow"),
        ("factor", "nan"),
        ("factor", "1" + "0" * 400),
        ("url", "https://acme.example"),
        ("url", "acme.example"),
        ("url", "wss://"),
        ("url", "wss://host:99999"),
        ("url", "wss://host/a b"),
        ("url", "wss://host/#part"),
        ("url", "wss://host/\nX: y"),
        ("url", "wss://[::1"),
        ("api_url", "wss://acme.example"),
        ("proxy", "socks4://host:1"),
        ("proxy", "host:8080"),
        ("ca_file", "/nowhere/ca.pem"),
        ("ciphers", "NO-SUCH-CIPHER"),
        ("user_id", "a\udc80"),
        ("user_id", "${NOT_SET}"),
    ],
)
def test_values_without_sense_are_refused_by_place(key, text):
    with pytest.raises(UsageError, match=f"^command line: {key}: "):
        resolve(Acme, env={}, flags={key: text}, require=False)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("idle_timeout", "true"),
        ("user_id", "true"),
        ("user_id", "['a']"),
        ("api_key", "{a = 1}"),
        ("compression", "1"),
        ("max_retries", "1.0"),
        ("max_retries", "true"),
        ("max_frame", "[1]"),
        ("factor", "inf"),
        ("headers", "['a: b']"),
        ("headers", "{'bad name' = 'x'}"),
        ("headers", '{X-A = "a\\r\\nX-B: c"}'),
        ("headers", "{X-A = ''}"),
        ("headers", "{Host = 'other.example'}"),
        ("headers", "{sec-websocket-key = 'x'}"),
        ("speed", "3"),
    ],
)
def test_toml_values_of_another_type_are_refused_by_file_and_key(settings_file, key, value):
    file = settings_file(f"[feeds.acme_feed]\n{key} = {value}")
    with pytest.raises(UsageError, match=rf"settings\.toml: feeds\.acme_feed\.{key}"):
        resolve(Acme, file=file, env={}, require=False)


def test_a_backoff_that_shrinks_is_refused_by_place():
    flags = {"backoff_initial": "2s", "backoff_max": "1s"}
    with pytest.raises(UsageError, match=r"^command line: backoff_initial: must not be longer"):
        acme(flags=flags)


@pytest.mark.parametrize(
    ("key", "text", "bounds"),
    [("backoff_initial", "1m", (60.0, 60.0)), ("backoff_max", "100ms", (0.1, 0.1))],
)
def test_the_default_of_one_backoff_bound_gives_way_to_the_other(key, text, bounds):
    settings = acme(flags={key: text})
    assert (settings.backoff_initial, settings.backoff_max) == bounds


def test_none_or_an_empty_text_is_the_default(settings_file):
    file = settings_file('[feeds.acme_feed]\nurl = "wss://elsewhere.example"')
    assert acme(file=file, flags={"url": ""}).url == "wss://acme.example/ws"
    assert acme(file=file, mapping={"url": None}).url == "wss://acme.example/ws"
    with pytest.raises(UsageError, match="settings: token: needs a value"):
        resolve(Other, env={}, mapping={"token": None, "url": "wss://h"})


@pytest.mark.parametrize(
    "text",
    [
        "X-A: 1\nAuthorization: Bearer ${TOKEN}\n",
        '{"X-A": "1", "Authorization": "Bearer ${TOKEN}"}',
    ],
)
def test_headers_in_the_environment_are_lines_or_json(text):
    env = {"WSFEEDS_ACME_FEED_HEADERS": text, "TOKEN": "t:1"}
    assert acme(env=env).headers == {"X-A": Secret("1"), "Authorization": Secret("Bearer t:1")}


@pytest.mark.parametrize("text", ["no colon", '{"a": 1}', "{", "bad name: x"])
def test_headers_that_are_neither_are_refused(text):
    with pytest.raises(UsageError, match="WSFEEDS_ACME_FEED_HEADERS: "):
        acme(env={"WSFEEDS_ACME_FEED_HEADERS": text})


def test_a_variable_cannot_smuggle_a_header_in():
    env = {"WSFEEDS_ACME_FEED_HEADERS": "X-A: ${EVIL}", "EVIL": "1\r\nX-B: 2"}
    with pytest.raises(UsageError, match="one line"):
        acme(env=env)


def test_a_path_or_a_header_of_the_python_api_may_be_an_object(tmp_path):
    mapping = {"ca_file": tmp_path / "none.pem"}
    with pytest.raises(UsageError, match=f"cannot read {tmp_path / 'none.pem'}"):
        acme(mapping=mapping)
    with pytest.raises(UsageError, match="settings: factor: takes a number"):
        acme(mapping={"factor": [1]})
    with pytest.raises(UsageError, match="no-such-user"):
        acme(mapping={"ca_file": "~no-such-user/ca.pem"})


# --- variables and files ------------------------------------------------------------------------


def test_variables_are_taken_whole_or_within_a_text(settings_file):
    env = {"HOST": "h.example", "KEY": "from-env"}
    file = settings_file(
        '[feeds.acme_feed]\nurl = "wss://${HOST}/x"\nuser_id = "$${HOST}"\napi_key = "${KEY}"', env
    )
    settings = resolve(Acme, file=file, env=env)
    assert isinstance(settings, AcmeSettings)
    assert (settings.url, settings.user_id) == ("wss://h.example/x", "${HOST}")
    assert settings.api_key == Secret("from-env")


def test_an_unset_variable_is_named_with_key_and_file(settings_file):
    file = settings_file('[feeds.acme_feed]\nuser_id = "u"\napi_key = "${ACME_KEY}"')
    with pytest.raises(UsageError) as caught:
        resolve(Acme, file=file, env={})
    for part in ("'ACME_KEY'", "settings.toml", "feeds.acme_feed.api_key"):
        assert part in caught.value.message


def test_a_file_is_relative_to_the_settings_file_and_read_again(settings_file, tmp_path):
    (tmp_path / "keys").mkdir()
    key = tmp_path / "keys" / "acme"
    key.write_text("one\n")
    file = settings_file(
        '[feeds.acme_feed]\nuser_id = "file:keys/acme"\napi_key = "file:keys/${WHO}"\n'
        'headers = {X-Key = "file:keys/acme"}'
    )
    settings = resolve(Acme, file=file, env={"WHO": "acme"})
    key.write_text("two\n")
    newer = refreshed(settings)
    assert isinstance(settings, AcmeSettings)
    assert isinstance(newer, AcmeSettings)
    assert (settings.user_id, settings.api_key) == ("one", Secret("one"))
    assert (newer.user_id, newer.api_key) == ("one", Secret("two"))
    assert newer.headers == {"X-Key": Secret("two")}


def test_a_file_named_in_the_environment_is_relative_to_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "key").write_text("cwd\n")
    monkeypatch.chdir(tmp_path)
    env = {"WSFEEDS_ACME_FEED_API_KEY": "file:key", "WSFEEDS_ACME_FEED_USER_ID": "u"}
    assert Secret("cwd") in msgspec.structs.astuple(resolve(Acme, env=env))


def test_an_unreadable_file_is_named_with_its_key(settings_file, tmp_path):
    file = settings_file('[feeds.acme_feed]\nuser_id = "u"\napi_key = "file:none"')
    with pytest.raises(UsageError) as caught:
        resolve(Acme, file=file, env={})
    assert f"feeds.acme_feed.api_key: cannot read {tmp_path / 'none'}: No such" in str(caught.value)


@pytest.mark.parametrize("content", [b"\n", b"\xff\xfe"])
def test_an_empty_or_binary_secret_file_is_refused(settings_file, tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    file = settings_file('[feeds.acme_feed]\napi_key = "file:key"')
    with pytest.raises(UsageError, match=r"feeds\.acme_feed\.api_key: "):
        resolve(Acme, file=file, env={}, require=False)


def test_a_secret_file_that_is_gone_or_empty_for_a_moment_is_transient(tmp_path):
    key = tmp_path / "key"
    key.write_text("one")
    settings = acme(mapping={"api_key": f"file:{key}"})
    key.write_text("")
    with pytest.raises(Transient, match="the file of api_key is empty"):
        refreshed(settings)
    key.unlink()
    with pytest.raises(Transient, match="cannot read the file of api_key"):
        refreshed(settings)


def test_a_ca_file_is_relative_to_the_settings_file(settings_file, tmp_path):
    (tmp_path / "ca.pem").write_text("no certificate")
    file = settings_file('[feeds.acme_feed]\nca_file = "ca.pem"')
    with pytest.raises(UsageError, match=f"ca_file: no certificates in {tmp_path / 'ca.pem'}"):
        acme(file=file)


def test_what_came_from_a_variable_or_file_is_not_quoted_in_errors(settings_file):
    file = settings_file('[feeds.acme_feed]\nidle_timeout = "${PASS}"\nspeed = "normal"')
    with pytest.raises(UsageError) as caught:
        acme(file=file, env={"PASS": "hunter22"})
    assert "hunter22" not in str(caught.value)
    with pytest.raises(UsageError) as caught:
        acme(env={"WSFEEDS_ACME_FEED_SPEED": "${PASS}", "PASS": "hunter22"})
    assert "hunter22" not in str(caught.value)


# --- the file -----------------------------------------------------------------------------------


def test_the_default_file_is_taken_where_there_is_one(tmp_path):
    env = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nowhere"}
    assert load_file(feeds=FEEDS, env=env) == SettingsFile()
    path = tmp_path / "wsfeeds" / "config.toml"
    path.parent.mkdir()
    path.write_text("[feeds.other]\nmax_retries = 1")
    assert load_file(feeds=FEEDS, env=env).feeds == {"other": {"max_retries": 1}}


def test_the_default_path_follows_xdg():
    assert default_path({"HOME": "/h"}) == Path("/h/.config/wsfeeds/config.toml")
    assert default_path({"HOME": "/h", "XDG_CONFIG_HOME": "rel"}) == default_path({"HOME": "/h"})
    assert default_path({"XDG_CONFIG_HOME": "/x"}) == Path("/x/wsfeeds/config.toml")
    assert default_path({}) is None
    assert load_file(feeds=FEEDS, env={}) == SettingsFile()


def test_no_file_is_taken_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("config.toml", "wsfeeds.toml"):
        Path(name).write_text("[feeds.other]\nmax_retries = 1")
    assert load_file(feeds=FEEDS, env={"HOME": str(tmp_path / "home")}) == SettingsFile()


def test_a_missing_explicit_file_or_a_folder_is_refused(tmp_path):
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(UsageError, match=f"cannot read the settings file {path}: "):
            load_file(path, feeds=FEEDS, env={})


def test_a_default_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "wsfeeds" / "config.toml").mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot read the settings file"):
        load_file(feeds=FEEDS, env={"XDG_CONFIG_HOME": str(tmp_path)})


def test_connectors_are_not_asked_for_without_a_file():
    feeds = iter(FEEDS)
    assert load_file(feeds=feeds, env={}) == SettingsFile()
    assert next(feeds) is Acme


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = 1\nb = \n", r"settings\.toml: no valid TOML: .*line 2"),
        ("feed = 1", "unknown key 'feed'; the nearest known one is 'feeds'"),
        ("[feeds.acm]", "unknown feed 'acm'; the nearest known one is 'acme'"),
        ("feeds = 1", "feeds must be tables"),
        ("[feeds]\nother = 1", "feeds.other must be a table"),
        ("[feeds.acme]\n[feeds.acme_feed]", "two tables"),
        (
            "[feeds.other]\ntokn = 'x'",
            r"feeds\.other: unknown key 'tokn'; the nearest known one is 'token'",
        ),
        ("[feeds.acme_feed]\napi-key = 'x'", "unknown key 'api-key'; the .* is 'api_key'"),
        (
            "[record]\nrotat = '1h'",
            "record: unknown key 'rotat'; the nearest known one is 'rotate'",
        ),
        ("record = 1", "record: must be a table"),
        ("[record]\nrotate = ['1h', '2h']", "record.rotate: "),
        ("[record]\nrotate = 5", "record.rotate, item 1: takes a text"),
        ("[record]\ncompress = 'zip'", "record.compress: takes one of none, gzip, zstd, not 'zip'"),
        ("[record]\nfsync = '0s'", "record.fsync: must be more than zero"),
        ("[record]\nfsync = 'often'", "record.fsync: takes a duration"),
        ("[record]\ncapture = 1", "record.capture: takes a text"),
        ("[record]\ndir = ''", "record.dir: takes a text"),
        ("[record]\ndir = '${NOT_SET}'", "record.dir: the environment variable 'NOT_SET'"),
        ("[record]\nsubscriptions = 1", "record.subscriptions: must be tables"),
        ("[[record.subscriptions]]\nsymbols = []", r"record.subscriptions\[0\]: needs a feed"),
        ("[[record.subscriptions]]\nfeed = 'ohter'", "unknown feed 'ohter'; the .* is 'other'"),
        ("[[record.subscriptions]]\nfeed = 'other'\nsymbol = 'A'", "unknown key 'symbol'"),
        (
            "[[record.subscriptions]]\nfeed = 'acme'\n[[record.subscriptions]]\nfeed = 'acme_feed'",
            "acme_feed is there already",
        ),
    ],
)
def test_mistakes_in_the_file_are_named_with_the_nearest_known_word(settings_file, text, message):
    with pytest.raises(UsageError, match=message):
        settings_file(text)


def test_a_file_that_is_not_utf_8_is_named_with_its_line(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_bytes(b"a = 1\nb = '\xff'\n")
    with pytest.raises(UsageError, match="line 2 is not UTF-8 text"):
        load_file(path, feeds=FEEDS, env={})


def test_a_feed_may_have_any_of_its_names_in_the_file(settings_file):
    for name in ("acme", "acme-feed", "acme_feed"):
        file = settings_file(f"[feeds.{name}]\nmax_retries = 4")
        assert acme(file=file).max_retries == 4


def test_the_record_table_is_typed(settings_file):
    file = settings_file(
        '[record]\ndir = "${BASE}/r"\nrotate = ["1h", "256MB"]\ncompress = "zstd"\nfsync = "5s"\n'
        'capture = "both"\n[[record.subscriptions]]\nfeed = "acme-feed"\nsymbols = ["A", "B"]\n'
        'channels = "trade"\n[[record.subscriptions]]\nfeed = "other"',
        {"BASE": "/data"},
    )
    record = file.record
    assert (record.dir, record.rotate, record.compress) == ("/data/r", ("1h", "256MB"), "zstd")
    assert (record.fsync, record.capture) == ("5s", "both")
    first, second = record.subscriptions
    assert (first.feed, first.symbols, first.channels) == ("acme_feed", ("A", "B"), ("trade",))
    assert (second.feed, second.symbols, second.channels) == ("other", (), ())


def test_what_the_record_table_leaves_out_is_left_to_the_command(settings_file):
    record = settings_file('[record]\nrotate = "1h"\nfsync = "always"').record
    assert (record.rotate, record.fsync) == (("1h",), "always")
    assert record.dir is record.compress is record.capture is None
    assert record.subscriptions == ()


# --- the environment ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("WSFEEDS_ACME_FEED_APIKEY", "WSFEEDS_ACME_FEED_API_KEY"),
        ("WSFEEDS_ACME_FEED_api_key", "WSFEEDS_ACME_FEED_API_KEY"),
        ("WSFEEDS_ACME_FED_API_KEY", "WSFEEDS_ACME_FEED_API_KEY"),
        ("WSFEEDS_ACME_API_KEY", "WSFEEDS_ACME_FEED_API_KEY"),
    ],
)
def test_a_mistyped_variable_is_refused_with_the_nearest_known_one(name, nearest):
    with pytest.raises(UsageError) as caught:
        acme(env={name: "hunter22"})
    assert caught.value.message == (
        f"unknown environment variable {name!r}; the nearest known one is {nearest!r}"
    )


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("WSFEEDS_IGRATECH_FOO", "WSFEEDS_IGRATECH_PROXY"),
        ("WSFEEDS_IMG_FASTPATH_TOKN", "WSFEEDS_IMG_FASTPATH_TOKEN"),
        ("WSFEEDS_RUN_PROXI", "WSFEEDS_RUN_PROXY"),
    ],
)
def test_a_mistyped_variable_of_a_feed_that_is_not_in_use_is_refused_too(name, nearest):
    with pytest.raises(UsageError) as caught:
        acme(env={name: "hunter22"})
    assert caught.value.message == (
        f"unknown environment variable {name!r}; the nearest known one is {nearest!r}"
    )
    assert acme(env={nearest: "never read, as the feed is not in use"}) == acme()


@pytest.mark.parametrize(
    "name", ["WSFEEDS_OTHER_TOKEN", "WSFEEDS_OTHER_NONSENSE", "WSFEEDS_CONFIG", "ACME_FEED_URL"]
)
def test_variables_of_others_do_not_matter(name):
    assert acme(env={name: "x"}) == acme()


# --- the command line ---------------------------------------------------------------------------


def test_set_options_become_flags():
    assert parse_set(["a=1", "url=wss://h/?x=y", "a=2"]) == {"a": "2", "url": "wss://h/?x=y"}


@pytest.mark.parametrize("item", ["hunter22!", "=x", "", "idle_timeout"])
def test_a_set_option_without_key_and_value_is_refused_unseen(item):
    with pytest.raises(UsageError, match="takes KEY=VALUE") as caught:
        parse_set([item])
    assert "hunter22!" not in str(caught.value)


SECRET_FLAGS = [
    "api_key=hunter22",
    "token=hunter22",
    "headers=X: hunter22",
    "query=hunter22",
    "first_message=hunter22",
    "proxy=http://user:hunter22@proxy.example:8080",
    "proxy=user:hunter22@proxy.example:8080",
    "proxy=http://user:hunter22@[::1",
]


@pytest.mark.parametrize("item", SECRET_FLAGS)
def test_secrets_on_the_command_line_are_refused_and_not_repeated(item):
    key, _, value = item.partition("=")
    for attempt in (lambda: parse_set([item]), lambda: acme(flags={key: value})):
        with pytest.raises(UsageError, match="would show in the process list") as caught:
            attempt()
        assert "hunter22" not in str(caught.value)


def test_user_id_and_a_proxy_without_password_are_allowed():
    flags = parse_set(["user_id=me", "proxy=http://proxy.example:8080"])
    settings = resolve(Acme, env={}, flags=flags, require=False)
    assert isinstance(settings, AcmeSettings)
    assert settings.user_id == "me"


def test_an_unknown_flag_or_setting_is_refused_with_the_nearest_known_one():
    expected = "acme_feed has no setting 'idle_timout'; the nearest known one is 'idle_timeout'"
    with pytest.raises(UsageError, match=f"command line: {expected}"):
        acme(flags={"idle_timout": "1s"})
    with pytest.raises(UsageError, match=f"settings: {expected}"):
        acme(mapping={"idle_timout": "1s"})


# --- what is missing ----------------------------------------------------------------------------


def test_all_missing_settings_are_named_with_every_way_to_give_them():
    with pytest.raises(UsageError) as caught:
        resolve(Acme, env={"HOME": "/h"})
    assert caught.value.message == (
        "acme_feed needs user_id and api_key: set WSFEEDS_ACME_FEED_USER_ID and "
        "WSFEEDS_ACME_FEED_API_KEY in the environment, or user_id and api_key under "
        "[feeds.acme_feed] in /h/.config/wsfeeds/config.toml"
    )


def test_a_missing_url_may_also_come_from_its_option():
    with pytest.raises(UsageError, match=r"other needs url and token: .*, or --url$"):
        resolve(Other, env={})


def test_an_empty_required_setting_is_missing(settings_file):
    file = settings_file('[feeds.acme_feed]\nuser_id = ""\napi_key = "k"')
    with pytest.raises(UsageError, match="acme_feed needs user_id: "):
        resolve(Acme, file=file, env={})


def test_required_settings_may_be_left_out_where_nothing_is_opened():
    settings = resolve(Other, env={}, require=False)
    assert isinstance(settings, OtherSettings)
    assert (settings.url, settings.token) == (None, Secret(""))


# --- secrets ------------------------------------------------------------------------------------


def test_every_secret_is_told_to_the_redactor():
    settings = acme(
        mapping={
            "api_key": "key-00001",
            "url": "wss://me:p%40ss-0002@h/x?access_token=tok-0003&lang=english",
            "proxy": "http://me:pass-0004@proxy:1",
            "headers": {"Authorization": "Bearer tok-0005"},
            "query": "token=tok-0006&lang=english",
            "first_message": '{"op":"login","args":[{"apiKey":"key-0007"}],"n":1}',
        }
    )
    found = secrets_of(settings)
    redact = Redactor(found)
    for secret in ("key-00001", "p%40ss-0002", "p@ss-0002", "tok-0003", "pass-0004", "tok-0005"):
        assert redact(f"<{secret}>") == "<***>"
    for secret in ("tok-0006", "key-0007"):
        assert redact(f"<{secret}>") == "<***>"
    assert not {"english", "login", "", "me"} & set(found)


@pytest.mark.parametrize("message", ["hello there", "[" * 100_000])
def test_a_first_message_that_is_no_json_is_one_secret(message):
    assert secrets_of(acme(mapping={"first_message": message})) == ["k-secret", message]


def test_a_proxy_without_password_is_no_secret():
    assert secrets_of(acme(mapping={"proxy": "http://127.0.0.1:3128"})) == ["k-secret"]


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ('api_key = "hunter22"', True),
        ('proxy = "http://u:hunter22@p:1"', True),
        ('headers = {Authorization = "hunter22"}', True),
        ('headers = {User-Agent = "me"}', False),
        ('proxy = "http://p:1"', False),
        ('api_key = "${KEY}"', False),
        ("max_retries = 1", False),
    ],
)
def test_others_being_able_to_read_literal_secrets_is_warned_about(tmp_path, caplog, text, warned):
    path = tmp_path / "settings.toml"
    path.write_text(f"[feeds.acme_feed]\n{text}")
    for mode in (0o644, 0o600):
        caplog.clear()
        path.chmod(mode)
        with caplog.at_level(logging.WARNING, "wsfeeds"):
            load_file(path, feeds=FEEDS, env={})
        assert bool(caplog.records) == (warned and mode == 0o644)
        assert "hunter22" not in caplog.text


def test_others_being_able_to_read_a_secret_file_is_warned_about(tmp_path, caplog):
    key = tmp_path / "key"
    key.write_text("hunter22")
    for mode in (0o640, 0o600):
        caplog.clear()
        key.chmod(mode)
        acme(mapping={"api_key": f"file:{key}"})
        assert ("chmod 600" in caplog.text) == (mode == 0o640)
        assert "hunter22" not in caplog.text


# --- plain text only at home --------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST"]
)
def test_this_machine_is_loopback(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "128.0.0.1", "localhost.example", "127.0.0.1.example", "::2"])
def test_other_machines_are_not_loopback(host):
    assert not is_loopback(host)


@pytest.mark.parametrize("url", ["ws://venue.example/x?token=hunter22", "HTTP://10.0.0.1"])
def test_credentials_do_not_travel_unencrypted(url):
    with pytest.raises(UsageError, match="allow_insecure=true") as caught:
        check_transport(url, carries_secret=True, allow_insecure=False)
    assert "hunter22" not in str(caught.value)
    check_transport(url, carries_secret=True, allow_insecure=True)
    check_transport(url, carries_secret=False, allow_insecure=False)


@pytest.mark.parametrize("url", ["wss://v.example", "https://v.example", "ws://[::1]:1/x"])
def test_credentials_travel_encrypted_or_at_home(url):
    check_transport(url, carries_secret=True, allow_insecure=False)


# --- telling people -----------------------------------------------------------------------------


def test_settings_are_described_with_their_source_and_without_secrets(settings_file):
    file = settings_file('[feeds.acme_feed]\napi_key = "hunter22"\nurl = "ws://u:hunter22@h/"')
    env = {"WSFEEDS_ACME_FEED_DATA_TIMEOUT": "1m"}
    infos = describe(Acme, file=file, env=env, flags={"max_retries": "x"})
    assert "hunter22" not in repr(infos)
    told = {info.key: info for info in infos}
    assert list(told) == list(fields_of(AcmeSettings))
    key = told["api_key"]
    assert (key.source, key.secret, key.required, key.value) == ("file", True, True, None)
    assert (key.env, key.default, key.problem) == ("WSFEEDS_ACME_FEED_API_KEY", "required", None)
    assert (told["user_id"].source, told["user_id"].value) == ("unset", None)
    data = told["data_timeout"]
    assert (data.source, data.value, data.default, data.kind) == ("env", "60s", "off", "duration")
    assert (told["max_frame"].source, told["max_frame"].value) == ("default", "16MB")
    assert told["max_retries"].source == "flag"
    assert "whole number" in (told["max_retries"].problem or "")
    assert (told["max_retries"].default, told["compression"].default) == ("none", "true")
    assert told["url"].value == "ws://u:***@h/"
    assert told["speed"].choices == ("fast", "normal")


def test_a_secret_default_is_not_described_either():
    class Demo(FeedSettings, kw_only=True, frozen=True):
        token: Secret = Secret("hunter22")

    class DemoFeed(Connector):
        name: ClassVar[str] = "demo"
        settings_type: ClassVar[type[FeedSettings]] = Demo

    told = {info.key: info for info in describe(DemoFeed, env={})}["token"]
    assert (told.default, told.source, told.value) == ("***", "default", None)


def test_a_broken_url_does_not_break_the_search_for_secrets():
    assert secrets_of(AcmeSettings(url="ws://[::1", headers=None)) == []


def test_a_credential_whose_variable_is_unset_is_a_problem(settings_file):
    file = settings_file('[feeds.acme_feed]\napi_key = "${NOT_SET}"')
    told = {info.key: info for info in describe(Acme, file=file, env={})}
    assert "NOT_SET" in (told["api_key"].problem or "")


def test_a_setting_without_a_default_is_required():
    told = {info.key: info for info in describe(Other, env={})}
    assert (told["token"].required, told["token"].source) == (True, "unset")


def test_every_setting_of_all_feeds_has_its_line_of_help():
    assert set(fields_of(FeedSettings)) <= set(HELP)
    assert all(len(line) < 100 for line in HELP.values())


def test_a_setting_of_an_unknown_type_is_a_fault_of_its_author():
    class Odd(FeedSettings, kw_only=True, frozen=True):
        odd: int | str = 1

    class Noted(FeedSettings, kw_only=True, frozen=True):
        plain: Annotated[str, "a note"] = "x"

    with pytest.raises(TypeError, match="no setting can be of type"):
        fields_of(Odd)
    assert fields_of(Noted)["plain"].kind == "text"


def test_importing_the_settings_is_cheap():
    heavy = "{'asyncio', 'httpx', 'websockets', 'ssl', 'rich', 'typer'}"
    code = f"import sys, wsfeeds.config; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
