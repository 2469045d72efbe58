"""SignalR documents run by the command: what is told, and when it comes back or gives up."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from websockets.asyncio.server import ServerConnection

from wsfeeds import simulators

RS = "\x1e"
SHAKEN = "{}" + RS
CLOSE = '{"type":7,"error":"enough"}' + RS
SKIP = {"methods": ["Odds"], "skipNegotiation": True}


def call(target: str, *arguments: Any, **more: Any) -> str:
    return json.dumps({"type": 1, "target": target, "arguments": arguments, **more}) + RS


def document(url: str, **more: Any) -> dict[str, Any]:
    return {"url": url, "protocol": "signalr", "signalr": SKIP} | more


@pytest.fixture
async def hub(listen: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Serve a hub that says a list of texts to each client that has shaken hands."""

    async def begin(*texts: str) -> Any:
        async def handler(connection: ServerConnection, server: Any) -> None:
            server.received.append(await connection.recv())
            for text in texts:
                await connection.send(text)
            async for message in connection:
                server.received.append(message)

        return await listen(handler)

    return begin


async def test_every_message_is_delivered_told_or_counted(run, hub) -> None:
    server = await hub(
        SHAKEN + call("Odds", 1.5).replace("1.5", "1.50") + call("Other", 2)[:9],
        call("Other", 2)[9:] + call("odds", 3) + '{"type":42,"price":1.10}' + RS + "{]" + RS,
        call("Odds", 4, invocationId="7") + CLOSE + call("Odds", 5),
    )
    path = {"id": 1002, "type": "PARSE", "params": {"path": "$.arguments[0]"}}
    stop = {"serverClose": True}
    ran = await run(document(server.url, onMessage=[path], stopOn=stop), "--session")
    assert ran.code == 0
    assert ran.data == ["1.50", 4]
    assert [line["data"] for line in ran.lines if line["type"] == "unknown"] == [
        {"type": 42, "price": "1.10"}
    ]
    assert [line["frame"] for line in ran.lines if line["type"] == "malformed"] == ["{]"]
    assert ran.stderr.splitlines()[-1].endswith("not shown: 2 not asked for, 1 after the end")
    told = [json.loads(text.removesuffix(RS)) for text in server.received]
    assert told[0] == {"protocol": "json", "version": 1}
    assert {"type": 3, "invocationId": "7"}.items() <= told[2].items()
    assert "error" in told[2]


@pytest.mark.parametrize(
    ("close", "least", "most"),
    [(CLOSE, 30_000, 40_000), (CLOSE.replace('"error"', '"allowReconnect":true,"error"'), 0, 600)],
)
async def test_type_7_says_how_soon_to_come_back(start, hub, close, least, most) -> None:
    server = await hub(SHAKEN, close)
    ran = await start(document(server.url), "--session")
    while (line := await ran.line()).get("state") != "reconnecting":
        pass
    assert least <= line["delay_ms"] <= most
    assert "enough" in line["reason"]


@contextlib.asynccontextmanager
async def answering(answer: Any, status: int = 200) -> AsyncIterator[str]:
    """Serve one answer to whatever is asked; give the URL."""

    async def handle(_: web.Request) -> web.Response:
        return web.json_response(answer, status=status)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hub"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("protocol", "answer", "status", "code", "told"),
    [
        ("signalr", {"error": "closed today"}, 200, 4, "closed today"),
        ("signalr", {"ProtocolVersion": "1.5"}, 200, 4, "use the protocol signalr-legacy"),
        ("signalr", {}, 401, 3, "401"),
        ("signalr-legacy", {"Error": "closed today"}, 200, 4, "closed today"),
        ("signalr-legacy", {"availableTransports": []}, 200, 4, "use the protocol signalr"),
        ("signalr-legacy", {}, 403, 3, "403"),
    ],
)
async def test_a_negotiation_that_cannot_succeed_ends_the_run(
    run, protocol, answer, status, code, told
) -> None:
    async with answering(answer, status) as url:
        params = {"url": url, "protocol": protocol, "signalr": {"methods": ["Hub.m"]}}
        ran = await run(params)
    assert ran.code == code
    assert told in ran.stderr


async def test_a_legacy_document_without_hubs_is_refused(run) -> None:
    params = {
        "url": "http://127.0.0.1:9/",
        "protocol": "signalr-legacy",
        "signalr": {"methods": ["m"]},
    }
    ran = await run(params)
    assert ran.code == 2
    assert "params.signalr.hubs" in ran.stderr


async def test_skipping_the_negotiation_needs_websockets(run) -> None:
    params = document("http://127.0.0.1:9/", signalr=SKIP | {"transport": "longPolling"})
    ran = await run(params)
    assert ran.code == 2
    assert "params.signalr.skipNegotiation" in ran.stderr


@pytest.mark.parametrize("transport", ["webSockets", "serverSentEvents", "longPolling"])
async def test_after_a_loss_it_negotiates_anew(run, transport) -> None:
    options = {"end": "drop", "end_after": "100ms", "end_connections": 1}
    async with simulators.create("signalr", rate=100, options=options).serve() as listening:
        params = document(listening.url, signalr={"methods": [], "transport": transport})
        ran = await run(params, "--session", "-n", "60", "--set", "backoff_initial=10ms")
    assert ran.code == 0
    states = [line["state"] for line in ran.lines if line["type"] == "session"]
    assert states.count("connected") == 2
    assert [line["reason"] for line in ran.lines if line["type"] == "gap"] == ["disconnect"]
