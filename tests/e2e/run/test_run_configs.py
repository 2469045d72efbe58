"""Every document in configs/websocket-v2 runs against a server of its kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wsfeeds import simulators

FOLDER = Path(__file__).parents[3] / "configs" / "websocket-v2"


def document(name: str, url: str | None = None) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    if url is not None:
        whole["params"]["url"] = url
    return whole


def test_every_document_is_tested() -> None:
    names = {path.stem for path in FOLDER.glob("*.json")}
    assert names == {"native", "signalr-decode", "heartbeat", "interact-quote"}


async def test_native(run, says) -> None:
    """The page's first example: subscribe, take the data, end when the server closes."""
    server = await says('{"data":[1.50]}', "[]", then=1000)
    ran = await run(document("native", server.url), whole=True)
    assert ran.code == 0
    assert ran.data == [["1.50"]]
    assert server.received in ([], ['{"type":"subscribe"}'])


async def test_heartbeat(start, says) -> None:
    """The page's third example; five seconds are too long for a test."""
    server = await says("tick")
    whole = document("heartbeat", server.url)
    whole["params"]["heartbeatIntervalMs"] /= 100
    whole["params"]["onInterval"]["intervalMs"] /= 1000
    ran = await start(whole, whole=True)
    assert [(await ran.line())["heartbeat"] for _ in range(3)] == [False, True, True]
    assert server.received[0] == "ping"


async def test_signalr_decode(run) -> None:
    """The page's second example, against the simulated hub."""
    async with simulators.create("signalr").serve() as listening:
        ran = await run(document("signalr-decode", listening.url), "-n", "3", whole=True)
    assert ran.code == 0, ran.stderr
    assert len(ran.data) == 3
    assert all(isinstance(data, dict) for data in ran.data)


@pytest.mark.parametrize("count", [3])
async def test_interact_quote(run, count) -> None:
    """A feed of ours by a document alone, its token from the environment."""
    async with simulators.create("interact_quote").serve() as listening:
        token = listening.settings["token"]
        env = {"INTERACT_QUOTE_URL": listening.url, "INTERACT_QUOTE_TOKEN": token}
        ran = await run(document("interact-quote"), "-n", str(count), whole=True, env=env)
    assert ran.code == 0, ran.stderr
    assert {item["market_id"] for data in ran.data for item in data} == {"219_33753655"}
    assert token not in ran.stderr + json.dumps(ran.lines)


def test_the_schema_of_the_document_is_printed(wsfeeds_command) -> None:
    """It names every member of the examples."""
    done = wsfeeds_command("schema", "websocket-v2")
    assert done.code == 0
    schema = json.loads(done.stdout)
    known = set(schema["$defs"]["Params"]["properties"])
    for path in FOLDER.glob("*.json"):
        assert set(json.loads(path.read_text())["params"]) <= known
