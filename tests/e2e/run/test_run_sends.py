"""A Send by HTTP that the server does not take is told, and its chain goes no further."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.signalr import SignalRSimulator
from wsfeeds.simulators.signalr_legacy import SignalRLegacySimulator

Answer = Callable[[], Awaitable[Response]]
PROTOCOLS = [("signalr", SignalRSimulator), ("signalr-legacy", SignalRLegacySimulator)]
TRANSPORTS = ("serverSentEvents", "longPolling")
WENT_ON = {"id": 1007, "type": "PARSE", "params": {"input": '"went on"'}}


def send(text: str) -> dict[str, Any]:
    message = f'{{"H":"oddshub","M":"{text}","A":[],"target":"{text}","arguments":[],"type":1}}'
    return {"id": 3, "type": "WS_V2", "params": {"sendMessage": message}}


@contextlib.asynccontextmanager
async def refusing(kind: Any, answer: Answer, posts: list[bytes]) -> AsyncIterator[str]:
    """Serve a hub that answers messages with `Refused` in them in its own way; give the URL."""

    class Some(kind):  # type: ignore[misc]
        async def http(self, request: Request) -> Response:
            if request.method == "POST" and b"Sub" in request.body:
                posts.append(request.body)
            if b"Refused" in request.body:
                return await answer()
            return await super().http(request)  # type: ignore[no-any-return]

    async with Some(rate=100, options={}).serve() as listening:
        yield listening.url


def document(url: str, protocol: str, transport: str, **more: Any) -> dict[str, Any]:
    options: dict[str, Any] = {"methods": [], "transport": transport}
    if protocol == "signalr-legacy":
        options["hubs"] = ["OddsHub"]
    return {"url": url, "protocol": protocol, "signalr": options} | more


async def overloaded() -> Response:
    return Response.text("too much", 503)


async def forbidden() -> Response:
    return Response.text("not you", 403)


async def never() -> Response:
    await asyncio.Event().wait()
    raise AssertionError


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(("protocol", "kind"), PROTOCOLS)
async def test_a_send_that_is_refused_is_told_and_ends_its_chain(
    run, protocol, kind, transport
) -> None:
    posts: list[bytes] = []
    async with refusing(kind, overloaded, posts) as url:
        hooks = {
            "onConnect": [send("Refused"), send("Sub"), WENT_ON],
            "onError": [{"id": 1002, "type": "PARSE", "params": {"path": "$.phase"}}],
        }
        params = document(url, protocol, transport, **hooks)
        # Long enough for the refusal to come before the last message.
        ran = await run(params, "-n", "60", "--session")
    assert ran.code == 0
    assert len(ran.data) == 60
    assert posts == []
    (error,) = [line["message"] for line in ran.lines if line["type"] == "error"]
    assert error.startswith("onConnect: params.onConnect[0]")
    assert error in ran.stderr
    assert "503" in error
    others = [(line["hook"], line["data"]) for line in ran.results if line["hook"] != "onMessage"]
    assert others == [("onError", "send")]


@pytest.mark.parametrize(("protocol", "kind"), PROTOCOLS)
async def test_a_send_by_http_lets_its_input_pass(run, protocol, kind) -> None:
    """The next command gets what the Send got, once the server has taken the message."""
    posts: list[bytes] = []
    async with refusing(kind, overloaded, posts) as url:
        first = {"id": 1007, "type": "PARSE", "params": {"input": '{"kept":1.50}'}}
        params = document(url, protocol, "longPolling", onConnect=[first, send("Sub")])
        ran = await run(params, "-n", "1")
    assert [line["data"] for line in ran.results if line["hook"] == "onConnect"] == [
        {"kept": "1.50"}
    ]
    assert len(posts) == 1


@pytest.mark.parametrize(("protocol", "kind"), PROTOCOLS)
async def test_a_send_that_is_forbidden_is_refused_credentials(run, protocol, kind) -> None:
    async with refusing(kind, forbidden, []) as url:
        ran = await run(document(url, protocol, "longPolling", onConnect=[send("Refused")]))
    assert ran.code == 3
    assert "HTTP 403" in ran.stderr


@pytest.mark.parametrize(("protocol", "kind"), PROTOCOLS)
async def test_messages_wait_for_a_send_without_an_answer_but_not_for_ever(
    run, protocol, kind
) -> None:
    async with refusing(kind, never, []) as url:
        params = document(url, protocol, "serverSentEvents", onConnect=[send("Refused"), WENT_ON])
        ran = await run(params, "-n", "3", "--session", "--set", "connect_timeout=1s")
    assert ran.code == 0
    facts = [line.get("state") or line["type"] for line in ran.lines]
    assert facts.index("error") < facts.index("subscribed") < facts.index("result")
    ids = [_payload(each)["id"] for each in ran.data]
    assert ids == [str(n) for n in range(1, 4)] or ids == [1, 2, 3]


@pytest.mark.parametrize(("protocol", "kind"), PROTOCOLS)
async def test_the_time_of_a_branch_ends_the_wait_for_an_answer(run, protocol, kind) -> None:
    """Long before the POST itself is given up."""
    condition = {"left": {"type": "value"}, "operation": "==", "right": {"type": "value"}}
    branch = {"condition": condition, "trueCommands": [send("Refused")], "timeout": 100}
    async with refusing(kind, never, []) as url:
        params = document(url, protocol, "serverSentEvents",
                          onConnect=[{"command": "if-else", "params": branch}])  # fmt: skip
        ran = await run(params, "-n", "1", "--session", "--set", "connect_timeout=15s")
    assert ran.code == 0
    (error,) = [line["message"] for line in ran.lines if line["type"] == "error"]
    assert error.endswith("the time of the If-Else around it is over")


async def test_a_polite_end_leaves_nothing_waiting(start) -> None:
    """Ctrl+C while a message waits for an answer that never comes."""
    posts: list[bytes] = []
    async with refusing(SignalRSimulator, never, posts) as url:
        params = document(url, "signalr", "longPolling", onConnect=[send("SubRefused")])
        going = await start(params, "--session")
        async with asyncio.timeout(20):
            while not posts:  # noqa: ASYNC110  # nothing tells of a request
                await asyncio.sleep(0.005)
        going.process.terminate()
        ran = await going.end()
    assert ran.code in {0, 143}
    assert ran.lines[-1]["state"] == "stopped"


def _payload(text: str) -> Any:
    call = json.loads(text)
    return (call["arguments"] if "arguments" in call else call["A"])[0]
