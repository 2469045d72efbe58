"""The socketio variant against python-socketio's own server, and against npm's in a slow test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import socketio  # type: ignore[import-untyped]
from aiohttp import web


class Peer:
    """A python-socketio server and what its clients did."""

    def __init__(self, **options: Any) -> None:
        self.server = socketio.AsyncServer(async_mode="aiohttp", namespaces="*", **options)
        self.url = ""
        self.heard: list[tuple[Any, ...]] = []
        self.acks: list[Any] = []
        self.gone: asyncio.Event = asyncio.Event()
        self.requests: list[web.Request] = []
        self.refuse_direct_sockets = False


@pytest.fixture
async def peer() -> AsyncIterator[Callable[..., Awaitable[Peer]]]:  # noqa: C901  # one handler each
    async with contextlib.AsyncExitStack() as stack:

        async def begin(path: str = "socket.io", **options: Any) -> Peer:
            peer = Peer(**options)
            server = peer.server

            @server.on("connect", namespace="*")
            async def connect(namespace: str, sid: str, environ: Any, auth: Any) -> None:
                if namespace == "/deny":
                    raise socketio.exceptions.ConnectionRefusedError("nope")
                server.start_background_task(greet, namespace, sid)

            async def greet(namespace: str, sid: str) -> None:
                await server.emit("odds", {"id": 1, "price": "1.5"}, to=sid, namespace=namespace)
                await server.emit("noise", 1, to=sid, namespace=namespace)
                await server.emit("bin", b"\x01\x02\x03", to=sid, namespace=namespace)

            @server.on("*", namespace="*")
            async def anything(event: str, namespace: str, sid: str, *args: Any) -> Any:
                peer.heard.append((event, namespace, *args))
                if event == "ask":
                    await server.emit("question", to=sid, namespace=namespace,
                                      callback=lambda *a: peer.acks.append(a))  # fmt: skip
                if event == "leave":
                    await server.disconnect(sid, namespace=namespace)
                await server.emit("echo", list(args), to=sid, namespace=namespace)
                return "ok"

            @server.on("disconnect", namespace="*")
            async def disconnect(namespace: str, sid: str, reason: Any = None) -> None:
                peer.gone.set()

            @web.middleware
            async def watch(request: web.Request, handler: Any) -> Any:
                peer.requests.append(request)
                direct = "sid" not in request.query and "Upgrade" in request.headers
                if direct and peer.refuse_direct_sockets:
                    return web.json_response({"code": 3, "message": "Bad request"}, status=400)
                return await handler(request)

            app = web.Application(middlewares=[watch])
            server.attach(app, socketio_path=path)
            runner = web.AppRunner(app, shutdown_timeout=0.2)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            stack.push_async_callback(server.shutdown)
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            peer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            return peer

        yield begin


def document(url: str, *events: str, **more: Any) -> dict[str, Any]:
    options = {"socketio": {"events": list(events)}} if events else {}
    return {"url": url, "protocol": "socketio", **options, **more}


ODDS = '["odds",{"id":1,"price":"1.5"}]'
BIN = '["bin",{"_base64":"AQID"}]'


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
async def test_events_arrive_as_their_array_on_every_transport(run, peer, transports) -> None:
    """Where the server takes no direct socket, polling does; attachments become _base64."""
    served = await peer(transports=transports)
    served.refuse_direct_sockets = len(transports) == 2
    ran = await run(document(served.url, "odds", "bin"), "-n", "2")
    assert ran.code == 0, ran.stderr
    assert ran.data == [ODDS, BIN]


async def test_no_events_means_all(run, peer) -> None:
    served = await peer()
    ran = await run(document(served.url), "-n", "3")
    assert ran.data == [ODDS, '["noise",1]', BIN]


async def test_polling_is_left_for_a_websocket_and_loses_nothing(start, peer) -> None:
    served = await peer()
    served.refuse_direct_sockets = True
    send = {"command": "send", "params": {"sendMessage": '["n","#{UUID}"]'}}
    ran = await start(
        document(served.url, "echo", onInterval={"intervalMs": 5, "commands": [send]}),
        "-n",
        "200",
    )
    await ran.end()
    sent = [arguments[0] for event, _, *arguments in served.heard if event == "n"]
    got = [json.loads(data)[1][0] for data in ran.data]
    assert got == sent[:200]
    assert any(
        "sid" in request.query and "Upgrade" in request.headers for request in served.requests
    )


async def test_path_of_the_url_is_the_namespace_and_the_query_is_kept(run, peer) -> None:
    served = await peer()
    ran = await run(document(f"{served.url}/live?token=t", "odds", "echo",
                             onConnect=[{"command": "send", "params": {"sendMessage": "hi"}}]),
                    "-n", "2")  # fmt: skip
    assert sorted(ran.data) == ['["echo",["hi"]]', ODDS]
    assert served.heard == [("message", "/live", "hi")]
    assert served.requests[0].query["token"] == "t"


@pytest.mark.parametrize("path", ["/hub/io", "hub/io/"])
async def test_the_path_of_the_engine_is_an_option(run, peer, path) -> None:
    served = await peer(path="hub/io")
    options = {"url": served.url, "protocol": "socketio"}
    ran = await run({**options, "socketio": {"events": ["odds"], "path": path}}, "-n", "1")
    assert ran.data == [ODDS]
    assert served.requests[0].path == "/hub/io/"


async def test_golden_session_of_the_page(run, listen) -> None:
    """Section 10, G13 and G14: what goes over the wire, word for word."""

    async def handler(connection: Any, server: Any) -> None:
        for said in (
            '0{"sid":"w7wS","upgrades":[],"pingInterval":25000,"pingTimeout":20000}',
            "",
            '40/live,{"sid":"bLGs"}',
            "",
            '43/live,0[{"ok":true}]',
            '42["odds",{"id":0}]',
            '42/live,["odds",{"id":1,"price":"1.5"}]',
            "2",
            "",
            '451-/live,["bin",{"_placeholder":true,"num":0}]',
            b"\x01\x02\x03",
            '42/live,7["ask"]',
            "",
            "41/live,",
        ):
            if said == "":
                server.received.append(await connection.recv())
            else:
                await connection.send(said)
        await connection.wait_closed()

    server = await listen(handler)
    raw = [{"command": "send", "params": {"sendMessage": '42/live,0["sub",{"x":1}]'}}]
    ran = await run(
        document(f"{server.url}/live", onConnect=raw, stopOn={"serverClose": True}), "-v"
    )
    assert ran.code == 0, ran.stderr
    assert server.connections[0].request.path == "/socket.io/?EIO=4&transport=websocket"
    assert server.received == ["40/live,", '42/live,0["sub",{"x":1}]', "3", "43/live,7[]"]
    assert ran.data == [ODDS, BIN, '["ask"]']


async def test_a_close_by_the_engine_is_a_server_close(run, listen) -> None:
    async def handler(connection: Any, _: Any) -> None:
        await connection.send('0{"sid":"a","upgrades":[]}')
        await connection.recv()
        await connection.send('40{"sid":"b"}')
        await connection.send("1")
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(document(server.url, stopOn={"serverClose": True}))
    assert ran.code == 0


async def test_what_is_sent_becomes_an_event_a_raw_packet_or_a_message(run, peer) -> None:
    served = await peer()
    texts = ['["sub",{"x":1.50}]', '42["raw",1]', "plain"]
    sends = [{"command": "send", "params": {"sendMessage": text}} for text in texts]
    ran = await run(document(served.url, "echo", onConnect=sends), "-n", "3")
    assert ran.code == 0, ran.stderr
    heard = [("sub", "/", {"x": 1.5}), ("raw", "/", 1), ("message", "/", "plain")]
    assert sorted(served.heard, key=str) == sorted(heard, key=str)


async def test_an_event_with_an_id_is_acknowledged(run, peer) -> None:
    served = await peer()
    sends = [{"command": "send", "params": {"sendMessage": '["ask"]'}}]
    again = [{"command": "send", "params": {"sendMessage": '["after"]'}}]
    ran = await run(
        document(served.url, "question", "echo", onConnect=sends, onMessage=again), "-n", "3"
    )
    assert ran.data[0] == '["question"]'
    assert served.acks == [()]


async def test_a_refused_namespace_ends_with_3(run, peer) -> None:
    served = await peer()
    ran = await run(document(f"{served.url}/deny"))
    assert ran.code == 3
    assert "nope" in ran.stderr


async def test_a_disconnect_by_the_server_is_a_server_close(run, peer) -> None:
    served = await peer()
    sends = [{"command": "send", "params": {"sendMessage": '["leave"]'}}]
    ran = await run(document(served.url, "x", onConnect=sends, stopOn={"serverClose": True}))
    assert ran.code == 0


async def test_pings_of_the_server_are_answered(run, peer) -> None:
    """The server would close a client that is silent for its ping timeout."""
    served = await peer(ping_interval=0.1, ping_timeout=0.2)
    ran = await run(document(served.url, "odds"), "-d", "1s", "--session")
    states = [line["state"] for line in ran.lines if line["type"] == "session"]
    assert states == ["connecting", "connected", "subscribed", "disconnected", "stopped"]


async def test_leaving_says_goodbye(run, peer) -> None:
    served = await peer()
    await run(document(served.url, "odds"), "-n", "1")
    async with asyncio.timeout(2):
        await served.gone.wait()


async def test_silence_of_the_server_is_stale(run, listen) -> None:
    """Dead after pingInterval + pingTimeout without a ping."""

    async def handler(connection: Any, _: Any) -> None:
        await connection.send('0{"sid":"a","upgrades":[],"pingInterval":100,"pingTimeout":100}')
        assert await connection.recv() == "40"
        await connection.send('40{"sid":"b"}')
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(document(server.url), "--no-reconnect", "--session")
    assert ran.code == 4
    assert [line["reason"] for line in ran.lines if line.get("state") == "disconnected"] == [
        "stale"
    ]


async def test_numbers_keep_their_digits_and_bad_packets_are_told(run, listen) -> None:
    async def handler(connection: Any, _: Any) -> None:
        await connection.send('0{"sid":"a","upgrades":[],"pingInterval":9000,"pingTimeout":9000}')
        await connection.recv()
        await connection.send('40{"sid":"b"}')
        for bad in ("42{", "4", "451-", "47", "9", "42[1]", "x"):
            await connection.send(bad)
        await connection.send(b"\x00")
        await connection.send('42["p", 1.50, 1E5, 12345678901234567890]')
        await connection.wait_closed()

    server = await listen(handler)
    ran = await run(document(server.url), "-n", "1", "--session")
    assert ran.data == ['["p",1.50,1E5,12345678901234567890]']
    assert len([line for line in ran.lines if line["type"] == "malformed"]) == 7


async def test_the_other_engine_version_ends_with_4(run, listen) -> None:
    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(
            400, json.dumps({"code": 5, "message": "Unsupported protocol version"})
        )

    async def handler(connection: Any, _: Any) -> None:
        await connection.close()

    server = await listen(handler, process_request=refuse)
    ran = await run(document(server.url))
    assert ran.code == 4
    assert "version" in ran.stderr


NODE = """
const { Server } = require("socket.io");
const http = require("http").createServer();
const io = new Server(http, { transports: process.argv[2].split(","), pingInterval: 300,
                              pingTimeout: 200 });
io.of("/deny").use((socket, next) => next(new Error("nope")));
io.of("/live").on("connection", (socket) => {
  socket.emit("odds", { id: 1, price: "1.5" });
  socket.emit("bin", Buffer.from([1, 2, 3]));
  socket.on("sub", (x, ack) => { ack && ack({ ok: true }); socket.emit("echo", x); });
});
if (process.argv[3] === "indirect") {
  const listeners = http.listeners("upgrade").slice();
  http.removeAllListeners("upgrade");
  http.on("upgrade", (req, socket, head) => {
    if (!req.url.includes("sid=")) return socket.end("HTTP/1.1 400 Bad Request\\r\\n\\r\\n");
    listeners.forEach((each) => each(req, socket, head));
  });
}
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
"""


@pytest.fixture(scope="module")
def node_server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install npm's socket.io once."""
    npm = shutil.which("npm")
    if npm is None:
        if os.environ.get("CI"):
            pytest.fail("npm is needed to run the real Socket.IO server")
        pytest.skip("the real Socket.IO server needs npm, which is not installed")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "server.js").write_text(NODE)
    subprocess.run([npm, "install", "--no-audit", "--no-fund", "--silent", "socket.io@4"],
                   cwd=folder, check=True, timeout=180)  # fmt: skip
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("transports", "mode"),
    [("websocket", "-"), ("polling", "-"), ("polling,websocket", "-"),
     ("polling,websocket", "indirect")],
)  # fmt: skip
async def test_npm_socket_io_server(run, node_server, transports, mode) -> None:
    """The real server, on each transport and through an upgrade, for longer than its pings."""
    process = await asyncio.create_subprocess_exec(
        "node", "server.js", transports, mode, cwd=node_server, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        port = int(await process.stdout.readline())
        url = f"http://127.0.0.1:{port}"
        send = {"command": "send", "params": {"sendMessage": '["sub",{"x":1.50}]'}}
        later = {"intervalMs": 700, "commands": [send]}
        ran = await run(
            document(f"{url}/live", "odds", "bin", "echo", onInterval=later), "-n", "4", "--session"
        )
        assert ran.code == 0, ran.stderr
        assert ran.data == [ODDS, BIN, *['["echo",{"x":1.5}]'] * 2]
        denied = await run(document(f"{url}/deny"))
        assert (denied.code, "nope" in denied.stderr) == (3, True)
    finally:
        process.kill()
        await process.wait()


HELLO = '0{"sid":"s","upgrades":[],"pingInterval":9000,"pingTimeout":9000,"maxPayload":40}'


@pytest.fixture
async def polls() -> AsyncIterator[Callable[..., Awaitable[tuple[str, list[str]]]]]:
    """Serve Engine.IO by polling, the polls after the handshake as a list says."""
    async with contextlib.AsyncExitStack() as stack:

        async def begin(*answers: Any, post: int = 200) -> tuple[str, list[str]]:
            posted: list[str] = []
            joined = asyncio.Event()
            left = list(answers)

            async def answer(request: web.Request) -> web.Response:
                if "Upgrade" in request.headers:
                    return web.Response(status=400)
                if request.method == "POST":
                    posted.append(await request.text())
                    joined.set()
                    return web.Response(text="ok", status=post if "42" in posted[-1] else 200)
                if "sid" not in request.query:
                    return web.Response(text=HELLO)
                await joined.wait()
                if not left:
                    await asyncio.sleep(30)
                item = left.pop(0)
                if isinstance(item, int):
                    return web.Response(status=item)
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


JOINED = '40{"sid":"x"}'


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


async def test_a_poll_that_fails_is_retried_as_a_new_connection(run, polls) -> None:
    url, posted = await polls(JOINED, 502, JOINED + '\x1e42["again"]')
    ran = await run(
        document(url, stopOn={"serverClose": True}), "-n", "1", "--set", "backoff_initial=10ms"
    )
    assert ran.data == ['["again"]']
    assert posted.count("40") == 2


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
    ran = await start(document(url, onConnect=sends), "-d", "1s")
    await ran.end()
    packets = [packet for body in posted for packet in body.split("\x1e")]
    assert packets[1:6] == [f'42["message","{"x" * 15}"]'] * 5
    assert all(len(body) <= 40 for body in posted)
