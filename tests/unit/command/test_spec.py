"""The document: everything wrong is refused with its place before anything is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wsfeeds.command import spec, strings
from wsfeeds.command.program import Program
from wsfeeds.config.run import RunSettings
from wsfeeds.errors import UsageError
from wsfeeds.secrets import Secret
from wsfeeds.session.keepalive import WEBSOCKET_PING
from wsfeeds.transport.websocket import WebsocketsTransport

URL = "wss://stream.example.com/feed"
SEND = {"id": 3, "type": "WS_V2", "params": {"sendMessage": "x"}}


def program(params: Any, settings: RunSettings | None = None, **environment: str) -> Program:
    raw = {"command": "websocket-v2", "params": {"url": URL, **params}}
    return Program(raw, settings or RunSettings(), environment)


def refused(params: Any, **environment: str) -> str:
    with pytest.raises(UsageError) as caught:
        program(params, None, **environment)
    return caught.value.message


def if_else(left: Any) -> Any:
    condition = {"left": left, "operation": "==", "right": {"type": "value", "value": 1}}
    return {"command": "if-else", "params": {"timeout": 1000, "condition": condition,
                                             "trueCommands": []}}  # fmt: skip


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({"url": "ftp://host"}, "params.url"),
        ({"url": "stream.example.com"}, "params.url"),
        ({"url": "ws://"}, "params.url"),
        ({"url": "ws://[::1"}, "params.url"),
        ({"url": "ws://host:99999"}, "params.url"),
        ({"url": "ws://a host"}, "params.url"),
        ({"url": "ws://dots..example"}, "params.url"),
        ({"url": f"ws://{'a' * 64}.example"}, "params.url"),
        ({"url": "http://xn--a/x"}, "params.url"),
        ({"url": 5}, "params.url"),
        ({"protocol": "mqtt"}, "params.protocol"),
        ({"headers": {"A": [1]}}, "params.headers.A"),
        ({"headers": {"A b": "1"}}, "params.headers"),
        ({"headers": {"A": "1\n2"}}, "params.headers.A"),
        ({"headers": []}, "params.headers"),
        ({"ciphers": "NO-SUCH-CIPHER"}, "params.ciphers"),
        ({"heartbeatIntervalMs": 0}, "params.heartbeatIntervalMs"),
        ({"heartbeatIntervalMs": -1}, "params.heartbeatIntervalMs"),
        ({"heartbeatIntervalMs": "1"}, "params.heartbeatIntervalMs"),
        ({"onInterval": {"commands": []}}, "params.onInterval.intervalMs"),
        ({"onInterval": {"intervalMs": 5}}, "params.onInterval.commands"),
        ({"onInterval": {"intervalMs": 0, "commands": []}}, "params.onInterval.intervalMs"),
        ({"onInterval": []}, "params.onInterval"),
        ({"onMessage": {}}, "params.onMessage"),
        ({"onMessage": [SEND, 5]}, "params.onMessage[1]"),
        ({"onMessage": [{"id": "3", "type": "WS_V2"}]}, "params.onMessage[0].id"),
        ({"onMessage": [{"id": 3}]}, "params.onMessage[0]"),
        ({"onMessage": [{"id": 3, "type": "WS_V2"}]}, "params.onMessage[0].params.sendMessage"),
        ({"onMessage": [{"id": 2, "type": "WS_V2"}]}, "params.onMessage[0]"),
        ({"onMessage": [{"id": 1, "type": "WS_V2"}]}, "params.onMessage[0]: the outer command"),
        ({"onMessage": [{"id": 2, "type": "WS"}]}, "params.onMessage[0]: Listen"),
        ({"onMessage": [{"id": 1, "type": "PARSE"}]}, "params.onMessage[0]"),
        ({"onMessage": [{"id": 1100, "type": "PARSE"}]}, "params.onMessage[0]: there is no"),
        ({"onMessage": [{"id": 6, "type": "SINK"}]}, "params.onMessage[0]: there is no"),
        ({"onMessage": [{"command": "jsn-path"}]}, "params.onMessage[0].command"),
        ({"onMessage": [{"command": "websocket-v2"}]}, "params.onMessage[0].command: the outer"),
        ({"onMessage": [{"command": "websocket-listen"}]}, "params.onMessage[0].command: Listen"),
        ({"onMessage": [{"command": "json-path"}]}, "params.onMessage[0].params.path"),
        (
            {"onMessage": [{"command": "json-path", "params": {"path": "$.["}}]},
            "params.onMessage[0].params.path",
        ),
        (
            {"onMessage": [{"command": "json-path", "params": {"path": "$.a[?@.b in [1]]"}}]},
            "params.onMessage[0].params.path",
        ),
        (
            {"onMessage": [{"command": "json-path", "params": {"jsonPath": "a.b"}}]},
            "params.onMessage[0].params.jsonPath",
        ),
        (
            {"onMessage": [{"command": "decode", "params": {"encoding": "zip"}}]},
            "params.onMessage[0].params.encoding: must be one of base64+lz4, base64+gzip",
        ),
        (
            {"onInterval": {"intervalMs": 5, "commands": [{"command": "send"}]}},
            "params.onInterval.commands[0].params.sendMessage",
        ),
        ({"proxy": 5}, "params.proxy"),
        ({"proxy": "ftp://x"}, "params.proxy"),
        ({"proxy": {}}, "params.proxy"),
        ({"proxy": {"host": "h", "user": "x"}}, "params.proxy.user"),
        ({"proxy": {"host": "h", "port": 0}}, "params.proxy.port"),
        ({"proxy": {"host": "h", "protocol": "ftp"}}, "params.proxy.protocol: must be one of http"),
        ({"proxy": {"host": "h@x"}}, "params.proxy.host"),
        ({"proxy": {"host": "a b"}}, "params.proxy"),
        ({"proxy": {"host": "h", "password": "p"}}, "params.proxy.username"),
        ({"proxy": {"host": "h", "username": "a:b", "password": "p"}}, "params.proxy: a user name"),
        ({"proxy": "http://a%3Ab:p@h"}, "params.proxy: a user name"),
        ({"proxy": "http://u:p#x@h:1"}, "params.proxy"),
        ({"proxy": "http://h:1/x"}, "params.proxy: must end with the port"),
        (
            {"onMessage": [if_else({"type": "property", "value": "$.a["})]},
            "params.onMessage[0].params.condition.left.value: '$.a['",
        ),
        (
            {"onMessage": [if_else({"type": "property"})]},
            "params.onMessage[0].params.condition.left.value",
        ),
        ({"protocol": "signalr", "signalr": {}}, "params.signalr.methods"),
        ({"protocol": "signalr-legacy", "signalr": {}}, "params.signalr.methods"),
        (
            {"protocol": "signalr", "signalr": {"methods": [], "transport": "WebSockets"}},
            "params.signalr.transport",
        ),
        ({"protocol": "signalr", "signalr": {"methods": "x"}}, "params.signalr.methods"),
        ({"protocol": "socketio", "socketio": {}}, "params.socketio.events"),
        ({"protocol": "socketio", "socketio": {"events": [], "path": 5}}, "params.socketio.path"),
        ({"stopOn": {"inactive": 1}}, "params.stopOn.inactive"),
        ({"stopOn": {"inactiveAfterMs": 0}}, "params.stopOn.inactiveAfterMs"),
        ({"url": "wss://h/%{NO_SUCH}"}, "params.url: %{NO_SUCH}"),
        (
            {"onConnect": [{"command": "send", "params": {"sendMessage": "%{GONE}"}}]},
            "params.onConnect[0].params.sendMessage: %{GONE}",
        ),
        ({"url": "wss://h/${data.x}"}, "params.url"),
        ({"url": "ws://stream.example.com", "headers": {"Authorization": "x"}}, "credentials"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_place(params, place) -> None:
    message = refused(params)
    assert message.startswith(place), message


@pytest.mark.parametrize(
    "raw",
    [
        5,
        {},
        {"params": {"url": URL}},
        {"command": "websocket-v3", "params": {"url": URL}},
        {"command": "websocket-v2"},
        {"command": "websocket-v2", "params": {}},
        {"command": "websocket-v2", "params": []},
        {"id": 2, "type": "WS_V2", "params": {"url": URL}},
    ],
)
def test_other_documents_are_refused(raw) -> None:
    with pytest.raises(UsageError):
        Program(raw, RunSettings(), {})


def test_the_outer_command_is_known_by_its_pair_too() -> None:
    raw = {"id": 1, "type": "WS_V2", "params": {"url": URL}}
    assert Program(raw, RunSettings(), {}).warnings == []


def test_unknown_members_are_warned_about_wherever_they_are() -> None:
    found = program(
        {
            "bogus": 1,
            "stopOn": {"srverClose": True},
            "onMessage": [{**SEND, "note": "x", "params": {"sendMessage": "x", "extra": 1}}],
            "signalr": {"methods": [], "x": 1},
            "onInterval": {"intervalMs": 1, "commands": [{**SEND, "y": 1}]},
        }
    ).warnings
    places = {warning.partition(":")[0] for warning in found}
    assert places == {
        "params.bogus",
        "params.stopOn.srverClose",
        "params.onMessage[0].note",
        "params.onMessage[0].params.extra",
        "params.signalr.x",
        "params.onInterval.commands[0].y",
    }
    assert any("serverClose" in warning for warning in found)


@pytest.mark.parametrize(
    ("proxy", "url"),
    [
        ("http://u:p@h:1", "http://u:p@h:1"),
        ("socks5h://h", "socks5h://h"),
        ("http://u@h:1", "http://u@h:1"),
        ("socks5://a%3Ab:p@h", "socks5://a%3Ab:p@h"),
        ({"url": "https://h"}, "https://h"),
        ({"host": "h"}, "http://h"),
        (
            {"protocol": "socks5", "host": "h", "port": 1080, "username": "u@", "password": "p/:"},
            "socks5://u%40:p%2F%3A@h:1080",
        ),
    ],
)
def test_a_proxy_is_a_url_or_its_parts(proxy, url) -> None:
    assert strings.proxy_url(program({"proxy": proxy}).expanded({}).proxy) == url


def test_every_secret_is_known_to_the_redactor() -> None:
    """Named ones, and what headers, URL and proxy give away."""
    found = program(
        {
            "url": "wss://u:urlpass@h/?token=urltoken",
            "headers": {"Authorization": "Bearer abcdef", "Origin": "https://x", "X-A": "%{A}"},
            "proxy": "http://u:proxypass@h",
        },
        A="env-secret",
    ).secrets
    assert {"env-secret", "urlpass", "urltoken", "abcdef", "proxypass"} <= set(found)
    assert "https://x" not in found


def test_settings_may_hold_secrets_as_well() -> None:
    settings = RunSettings(headers={"X-Key": Secret("from-settings")})
    assert "from-settings" in program({}, settings).secrets


def test_plain_text_is_fine_without_credentials() -> None:
    found = program({"url": "ws://stream.example.com", "headers": {"Origin": "https://x"}})
    assert not found.carries_secret


def test_kebab_names_are_those_of_the_page() -> None:
    names = ("websocket-v2-send", "websocket-v2-close", "decode", "json-path", "json-parse")
    params: list[Any] = [{"sendMessage": "x"}, {}, {}, {"path": "$"}, {}]
    chain = [{"command": n, "params": p} for n, p in zip(names, params, strict=True)]
    assert len(program({"onMessage": chain}).chains["onMessage"].steps) == 5


def test_the_schema_describes_the_page_s_examples() -> None:
    """Every parameter of the page has its place in the JSON Schema."""
    schema = spec.document_schema()
    json.dumps(schema)
    params = schema["$defs"]["Params"]["properties"]
    assert set(params) == {
        "url", "ciphers", "headers", "heartbeatIntervalMs", "onConnect", "onMessage", "onClose",
        "onError", "onInterval", "protocol", "proxy", "signalr", "socketio", "stopOn",
    }  # fmt: skip
    assert schema["$defs"]["Params"]["required"] == ["url"]
    for name in ("SendParams", "DecodeParams", "JsonPathParams", "JsonParseParams", "IfElseParams"):
        assert name in schema["$defs"]


def test_every_document_of_configs_is_accepted() -> None:
    folder = Path(__file__).parents[3] / "configs" / "websocket-v2"
    env = {"INTERACT_QUOTE_URL": "wss://h/x", "INTERACT_QUOTE_TOKEN": "token"}
    for path in folder.glob("*.json"):
        assert Program(json.loads(path.read_text()), RunSettings(), env).warnings == []


@pytest.mark.parametrize("number", [2, 4, 5, 7, 8, 10])
def test_undocumented_commands_are_refused(number) -> None:
    message = refused({"onMessage": [{"id": number, "type": "WS_V2"}]})
    assert message.startswith(
        f"params.onMessage[0]: there is no command of type WS_V2 with id {number}"
    )


@pytest.mark.parametrize("missing", ["condition", "trueCommands", "timeout"])
def test_what_if_else_needs_is_named(missing) -> None:
    params: dict[str, Any] = {
        "condition": {"operator": "AND", "conditions": []},
        "trueCommands": [],
        "timeout": 5,
    }
    del params[missing]
    message = refused({"onError": [{"command": "if-else", "params": params}]})
    assert message.startswith(f"params.onError[0].params.{missing}: is required")


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "connection",
        "UPGRADE",
        "Content-Length",
        "Transfer-Encoding",
        "Sec-WebSocket-Key",
        "sec-websocket-x",
    ],
)
def test_headers_of_the_handshake_are_left_out_with_a_warning(name) -> None:
    found = program({"headers": {name: "x", "Origin": "o", "User-Agent": "u"}})
    assert [warning.partition(":")[0] for warning in found.warnings] == [f"params.headers.{name}"]
    params = found.expanded({})
    route = found.route(params, RunSettings(), WebsocketsTransport(), learn=lambda _: None)
    assert route.headers == {"Origin": "o", "User-Agent": "u"}


def test_options_of_other_variants_are_ignored_without_a_word() -> None:
    found = program({"signalr": {"methods": ["x"]}, "socketio": {"events": ["y"]}})
    assert found.warnings == []


def test_defaults_are_those_of_the_page() -> None:
    params = program({}).expanded({})
    assert (params.protocol, params.proxy, params.heartbeat_interval_ms) == ("native", None, None)
    assert params.stop_on == spec.StopOn(
        inactive=False, item_deleted=False, server_close=False, inactive_after_ms=60_000
    )
    hub = program({"protocol": "signalr", "signalr": {"methods": []}}).expanded({}).signalr
    assert hub == spec.SignalROptions(methods=[], skip_negotiation=False, transport=None)
    assert spec.SocketIOOptions(events=[]).path == "/socket.io/"
    assert WEBSOCKET_PING == 20


def test_variables_of_the_connection_are_expanded_for_each_one() -> None:
    found = program({"url": f"{URL}/#{{UUID}}/@{{PROJECT_ID}}/%{{A}}"}, A="secret")
    (one, shown), (other, _) = found.connection({}), found.connection({})
    assert one.url != other.url
    assert one.url.endswith("/wsfeeds/secret")
    assert shown == one.url.replace("secret", "***")


@pytest.mark.parametrize(
    ("proxy", "place"),
    [
        ({"url": "http://h", "username": "u"}, "params.proxy.url"),
        ({"port": 1}, "params.proxy"),
        ("http://", "params.proxy"),
    ],
)
def test_a_proxy_that_is_unclear_is_refused(proxy, place) -> None:
    assert refused({"proxy": proxy}).startswith(f"{place}:")


def test_a_proxy_may_have_an_ipv6_address() -> None:
    proxy = {"host": "2001:db8::1", "port": 3128}
    assert strings.proxy_url(program({"proxy": proxy}).expanded({}).proxy) == (
        "http://[2001:db8::1]:3128"
    )


def test_a_document_nested_too_deeply_is_refused() -> None:
    """By what checks it; a little less deep, it is the chain that fails when it runs."""
    command: dict[str, Any] = {"command": "close"}
    condition = {"operator": "AND", "conditions": [
        {"left": {"type": "value"}, "operation": "==", "right": {"type": "value"}}]}  # fmt: skip
    for _ in range(400):
        params = {"timeout": 1, "condition": condition, "trueCommands": [command]}
        command = {"command": "if-else", "params": params}
    assert refused({"onConnect": [command]}) == "the document is nested too deeply"


def test_a_variable_may_be_empty() -> None:
    """Set to nothing is set, and nothing to hide."""
    found = program({"headers": {"X-Extra": "%{NOTHING}"}}, NOTHING="")
    assert found.connection({})[0].headers == {"X-Extra": ""}
    assert found.warnings == []
