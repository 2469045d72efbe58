"""The socketio variant by polling, against a server whose every answer the test says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web


def document(url: str, *events: str, **more: Any) -> dict[str, Any]:
    options = {"socketio": {"events": list(events)}} if events else {}
    return {"url": url, "protocol": "socketio", **options, **more}


ODDS = '["odds",{"id":1,"price":"1.5"}]'
BIN = '["bin",{"_base64":"AQID"}]'


HELLO = '0{"sid":"s","upgrades":[],"pingInterval":9000,"pingTimeout":9000,"maxPayload":40}'


@pytest.fixture
async def polls() -> AsyncIterator[Callable[..., Awaitable[tuple[str, list[str]]]]]:
    """Serve Engine.IO by polling, the polls after the handshake as a list says."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(*answers: Any, post: int = 200) -> tuple[str, list[str]]:
            posted: list[str] = []
            posting: list[web.Request] = []
            joined = asyncio.Event()
            left = list(answers)
            never = asyncio.Event()
            stack.callback(never.set)

            async def answer(request: web.Request) -> web.StreamResponse:
                if "Upgrade" in request.headers:
                    return web.Response(status=400)
                if request.method == "POST":
                    posted.append(f"two at once: {posted[-1]}" if posting else "")
                    posting.append(request)
                    posted[-1] += await request.text()
                    await turns()  # whoever posted without waiting would do it now
                    posting.remove(request)
                    joined.set()
                    return web.Response(text="ok", status=post if "42" in posted[-1] else 200)
                if "sid" not in request.query:
                    return web.Response(text=HELLO)
                await joined.wait()
                if not left:
                    await never.wait()
                    return web.Response(status=400)
                item = left.pop(0)
                if isinstance(item, int):
                    return web.Response(status=item)
                if isinstance(item, tuple):
                    return await half(request, *item)
                return web.Response(body=item if isinstance(item, bytes) else item.encode())

            app = web.Application()
            app.router.add_route("*", "/socket.io/", answer)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            return f"http://127.0.0.1:{runner.addresses[0][1]}", posted

        yield begin


async def turns() -> None:
    """Let everything else on the loop have its turn, many times."""
    for _ in range(50):
        await asyncio.sleep(0)


async def half(request: web.Request, body: str) -> web.StreamResponse:
    """Break off within an answer."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(body.encode())
    assert request.transport is not None
    request.transport.close()
    return response


JOINED = '40{"sid":"x"}'


async def test_the_way_from_polling_to_a_socket_is_that_of_the_page(run) -> None:
    """`2probe`, `3probe`, `5`; from then on everything goes over the socket."""
    said: list[str] = []
    moving = asyncio.Event()
    answers = [JOINED, "6"]

    async def answer(request: web.Request) -> web.StreamResponse:
        if "Upgrade" in request.headers and "sid" in request.query:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            said.append(await socket.receive_str())
            moving.set()
            await socket.send_str("3probe")
            said.append(await socket.receive_str())
            await socket.send_str('42["over"]')
            said.extend([message.data async for message in socket])
            return socket
        if "Upgrade" in request.headers:
            return web.Response(status=400)
        if request.method == "POST":
            return web.Response(text="ok")
        if "sid" not in request.query:
            return web.Response(text=HELLO.replace('"upgrades":[]', '"upgrades":["websocket"]'))
        if len(answers) == 1:
            await moving.wait()
        return web.Response(text=answers.pop(0))

    app = web.Application()
    app.router.add_route("*", "/socket.io/", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        ran = await run(document(f"http://127.0.0.1:{runner.addresses[0][1]}"), "-n", "1")
    finally:
        await runner.cleanup()
    assert ran.data == ['["over"]'], ran.stderr
    assert said == ["2probe", "5", "41"]


async def test_packets_of_one_poll_are_worked_off_in_order(run, polls) -> None:
    binary = ('451-["b",{"_placeholder":true,"num":0}]', "bAQID")
    body = "\x1e".join((JOINED, '42["a",1]', *binary, "2", '42["c"]'))
    url, posted = await polls(body, b"\xff", '42["d"]')
    ran = await run(document(url), "-n", "4", "--session")
    assert ran.data == ['["a",1]', '["b",{"_base64":"AQID"}]', '["c"]', '["d"]']
    assert posted[0] == "40"
    assert "3" in posted[1].split("\x1e")
    assert posted[-1] == "41\x1e1"
    assert [line["encoding"] for line in ran.lines if line["type"] == "malformed"] == ["base64"]


@pytest.mark.parametrize("status", [204, 404])
async def test_a_session_that_is_gone_is_a_server_close(run, polls, status) -> None:
    url, _ = await polls(JOINED, status)
    ran = await run(document(url, stopOn={"serverClose": True}))
    assert ran.code == 0


@pytest.mark.parametrize("status", [400, 502])
async def test_a_poll_that_fails_is_retried_as_a_new_connection(run, polls, status) -> None:
    """A session that the server does not know is answered with 400."""
    url, posted = await polls(JOINED, status, JOINED + '\x1e42["again"]')
    ran = await run(
        document(url, stopOn={"serverClose": True}), "-n", "1", "--set", "backoff_initial=10ms"
    )
    assert ran.data == ['["again"]']
    assert posted.count("40") == 2


async def test_whole_packets_of_a_poll_that_breaks_off_are_delivered(run, polls) -> None:
    url, _ = await polls(JOINED, ('42["a"]\x1e42["b"]\x1e42["c',), JOINED + '\x1e42["d"]')
    ran = await run(document(url), "-n", "3", "--session", "--set", "backoff_initial=10ms")
    assert ran.data == ['["a"]', '["b"]', '["d"]']
    assert [line["frame"] for line in ran.lines if line["type"] == "malformed"] == ['42["c']


async def test_a_post_that_fails_is_a_socket_error(run, polls) -> None:
    url, _ = await polls(JOINED, post=500)
    sends = [{"command": "send", "params": {"sendMessage": "hello"}}]
    phase = [{"command": "json-path", "params": {"path": "$.phase"}}]
    ran = await run(document(url, onConnect=sends, onError=phase), "--no-reconnect")
    assert ran.code == 4
    assert ran.results[0]["data"] == "send"


async def test_posts_are_cut_at_the_server_s_limit(start, polls) -> None:
    url, posted = await polls(JOINED, "6")
    sends = [{"command": "send", "params": {"sendMessage": "x" * 15}} for _ in range(5)]
    ran = await start(document(url, onConnect=sends))
    async with asyncio.timeout(20):
        while sum("message" in body for body in posted) < 5:  # noqa: ASYNC110  # of another task
            await asyncio.sleep(0.005)
    ran.process.terminate()
    await ran.end()
    packets = [packet for body in posted for packet in body.split("\x1e")]
    assert packets[1:6] == [f'42["message","{"x" * 15}"]'] * 5
    assert all(len(body) <= 40 for body in posted)


async def test_what_is_sent_before_a_close_is_posted_before_the_goodbye(run, polls) -> None:
    """One POST at a time, in order: nothing of a chain that ends with Close is lost."""
    url, posted = await polls(f'{JOINED}\x1e42["go"]')
    chain = [
        *({"command": "send", "params": {"sendMessage": n + "x" * 15}} for n in "abc"),
        {"command": "close"},
    ]
    ran = await run(document(url, onMessage=chain))
    assert (ran.code, ran.data) == (0, ['["go"]']), ran.stderr
    packets = [packet for body in posted for packet in body.split("\x1e")]
    sent = [f'42["message","{n}xxxxxxxxxxxxxxx"]' for n in "abc"]
    assert packets == ["40", *sent, "41", "1"]
