"""The socketio variant against python-socketio's own server, and against npm's in a slow test."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest


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


async def test_polling_is_kept_where_the_server_offers_nothing_else(run, peer) -> None:
    """`upgrades` is empty; and the cookie of the first poll comes back with all that follows."""
    served = await peer(transports=["polling"], allow_upgrades=False, cookie="node")
    send = {"command": "send", "params": {"sendMessage": '["n"]'}}
    ran = await run(
        document(served.url, "echo", onInterval={"intervalMs": 10, "commands": [send]}), "-n", "5"
    )
    assert len(ran.data) == 5
    upgrade, first, *others = served.requests
    assert "Upgrade" in upgrade.headers
    assert "sid" not in first.query
    assert not any("Upgrade" in each.headers for each in others)
    assert {each.query["transport"] for each in others} == {"polling"}
    assert {each.cookies.get("node") for each in others} == {others[0].query["sid"]}


@pytest.mark.parametrize("how", ["refused", "silent", "closed", "chatter"])
async def test_an_upgrade_that_fails_leaves_polling_as_it_was(run, peer, how) -> None:
    served = await peer()
    served.refuse_direct_sockets = True
    served.probe = how
    send = {"command": "send", "params": {"sendMessage": '["n"]'}}
    ran = await run(
        document(served.url, "echo", onInterval={"intervalMs": 20, "commands": [send]}),
        *("-n", "20", "--session"),
    )
    assert len(ran.data) == 20
    states = [line["state"] for line in ran.lines if line["type"] == "session"]
    assert states == ["connecting", "connected", "subscribed", "disconnected", "stopped"]
    assert served.probes >= 1


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
    """The server closes a client that is silent for its ping timeout; twenty echoes take longer."""
    served = await peer(ping_interval=0.2, ping_timeout=1)
    send = {"command": "send", "params": {"sendMessage": '["n"]'}}
    ran = await run(
        document(served.url, "echo", onInterval={"intervalMs": 100, "commands": [send]}),
        *("-n", "20", "--session"),
    )
    states = [line["state"] for line in ran.lines if line["type"] == "session"]
    assert states == ["connecting", "connected", "subscribed", "disconnected", "stopped"]
    assert "heartbeats" in ran.stderr


async def test_leaving_says_goodbye(run, peer) -> None:
    served = await peer()
    await run(document(served.url, "odds"), "-n", "1")
    async with asyncio.timeout(10):
        await served.gone.wait()


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
