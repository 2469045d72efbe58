"""What stands in a document in an unusual way, and means something all the same."""

from __future__ import annotations

from typing import Any

import pytest

from wsfeeds.command.exact import loads
from wsfeeds.command.program import Program
from wsfeeds.config.run import RunSettings
from wsfeeds.errors import UsageError

URL = "wss://stream.example.com/feed"


def program(params: Any, **environment: str) -> Program:
    raw = {"command": "websocket-v2", "params": {"url": URL, **params}}
    return Program(raw, RunSettings(), environment)


def refused(params: Any, **environment: str) -> str:
    with pytest.raises(UsageError) as caught:
        program(params, **environment)
    return caught.value.message


# --- blocks of other protocols ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "block", "place"),
    [
        ("native", {"signalr": {"transport": "webSockets"}}, "params.signalr.methods"),
        ("native", {"socketio": {"path": "/x"}}, "params.socketio.events"),
        ("signalr", {"socketio": {"events": 1}}, "params.socketio.events"),
        ("socketio", {"signalr": 5}, "params.signalr"),
    ],
)
def test_what_is_wrong_with_another_protocol_s_block_is_a_warning(protocol, block, place) -> None:
    found = program({"protocol": protocol, **block})
    (warning,) = found.warnings
    assert warning.startswith(f"{place}:")
    assert f"the protocol is {protocol}" in warning
    assert found.expanded({}).protocol == protocol


@pytest.mark.parametrize("secret", ["k7", "a-long-secret"])
def test_a_warning_shows_no_secret(secret) -> None:
    block = {"methods": [], "transport": "%{S}"}
    warnings = program({"signalr": block}, S=secret).warnings
    assert any("params.signalr.transport" in warning for warning in warnings)
    assert not any(secret in warning for warning in warnings)


# --- null, numbers as text, text as numbers ---------------------------------------------------

NAMES = ("protocol", "headers", "ciphers", "proxy", "onConnect", "onMessage", "onInterval",
         "onError", "onClose", "heartbeatIntervalMs", "signalr", "socketio", "stopOn")  # fmt: skip


def test_null_is_an_optional_member_left_out() -> None:
    command = {"id": 1002, "type": "PARSE", "command": None,
               "params": {"path": "$", "jsonPath": None, "key": None}}  # fmt: skip
    close = {"id": 9, "type": "WS_V2", "params": None}
    choice = {"command": "if-else", "params": {
        "condition": {"left": {"type": "value", "value": None}, "operation": "==", "operator": None,
                      "right": {"type": "value"}, "conditions": None},
        "trueCommands": [close], "falseCommands": None, "timeout": 1, "context": None}}  # fmt: skip
    params = dict.fromkeys(NAMES) | {"onMessage": [command, choice]}
    found = program(params)
    assert found.warnings == []
    bare = program({"onMessage": params["onMessage"]})
    assert found.expanded({}) == bare.expanded({})
    nested = {
        "stopOn": {"inactive": None},
        "headers": {"X": None},
        "proxy": {"host": "h", "port": None},
    }
    assert program(nested).expanded({}).headers == {}


def test_null_for_a_required_member_is_refused() -> None:
    assert refused({"url": None}).startswith("params.url:")
    assert refused({"onInterval": {"intervalMs": None, "commands": []}}).startswith(
        "params.onInterval.intervalMs:"
    )


def test_numbers_and_booleans_in_headers_are_their_text() -> None:
    headers = loads('{"A": 1, "B": 1.50, "C": true, "D": "x"}')
    assert program({"headers": headers}).expanded({}).headers == {
        "A": "1", "B": "1.50", "C": "true", "D": "x"}  # fmt: skip


def test_an_id_with_a_fraction_of_zero_is_whole() -> None:
    assert program({"onMessage": loads('[{"id": 9.0, "type": "WS_V2"}]')}).warnings == []
    assert program({"proxy": loads('{"host": "h", "port": 31.0}')}).warnings == []
    message = refused({"onMessage": loads('[{"id": 9.5, "type": "WS_V2"}]')})
    assert message.startswith("params.onMessage[0].id:")


# --- secrets that are known at the start ------------------------------------------------------


@pytest.mark.parametrize("secret", ["s3cr3tvalue", "'", 'quo"te\\d'])
def test_a_path_that_its_secret_spoils_is_refused_at_once_without_showing_it(secret) -> None:
    message = refused(
        {"onMessage": [{"command": "json-path", "params": {"path": "$.[%{T}"}}]}, T=secret
    )
    assert message.startswith("params.onMessage[0].params.path: ")
    assert "%{NAME}" in message
    assert secret not in message.partition(": ")[2]


def test_every_member_takes_a_secret_at_the_start() -> None:
    found = program(
        {
            "protocol": "%{PROTOCOL}",
            "signalr": {"methods": ["%{METHOD}"], "transport": "%{TRANSPORT}"},
            "onMessage": [
                {"type": "%{FAMILY}", "id": 6, "params": {"encoding": "%{ENCODING}"}},
                {"command": "%{NAME}", "params": {"path": "$"}},
            ],
        },
        PROTOCOL="signalr", METHOD="Odds", TRANSPORT="longPolling", FAMILY="WS_V2",
        ENCODING="base64+gzip", NAME="json-path",
    )  # fmt: skip
    params = found.expanded({})
    assert params.protocol == "signalr"
    assert params.signalr is not None
    assert (params.signalr.methods, params.signalr.transport) == (["Odds"], "longPolling")


def test_a_member_that_its_secret_spoils_is_refused() -> None:
    assert refused({"protocol": "%{P}"}, P="carrier pigeon").startswith("params.protocol: ")
    decode = {"command": "decode", "params": {"encoding": "%{E}"}}
    assert refused({"onMessage": [decode]}, E="rot13").startswith(
        "params.onMessage[0].params.encoding: "
    )


# --- words ------------------------------------------------------------------------------------


def test_an_unknown_operation_is_told_those_that_exist() -> None:
    condition = {"left": {"type": "value"}, "operation": "equals", "right": {"type": "value"}}
    params = {"condition": condition, "trueCommands": [], "timeout": 1}
    message = refused({"onMessage": [{"command": "if-else", "params": params}]})
    assert message.startswith("params.onMessage[0].params.condition.operation: must be one of ")
    assert "startsWith" in message
    assert "!==" in message


def test_suites_of_tls_1_3_alone_are_told_what_ciphers_governs() -> None:
    message = refused({"ciphers": "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384"})
    assert message.startswith("params.ciphers: governs TLS 1.2 and below only")
