"""The official clients of both SignalR generations against the simulators: the proof of them."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from wsfeeds.simulators import create

PROGRAMS = Path(__file__).parent / "official"
CORE = ("@microsoft/signalr@10.0.11",)
LEGACY = ("signalr@2.4.3", "jquery@3.7.1", "jsdom@24.1.3")
FAILED = "An error occurred while processing your request."

pytestmark = pytest.mark.slow


def install(folder: Path, *packages: str) -> Path:
    """Install npm packages, as any user would, and return the folder."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("node and npm are needed to run the official SignalR clients")
        pytest.skip("the official SignalR clients need node and npm, which are not installed")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefix", str(folder), *packages]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    for program in PROGRAMS.glob("*.js"):
        shutil.copy(program, folder)
    return folder


@pytest.fixture(scope="module")
def core(tmp_path_factory) -> Path:
    return install(tmp_path_factory.mktemp("core"), *CORE)


@pytest.fixture(scope="module")
def legacy(tmp_path_factory) -> Path:
    return install(tmp_path_factory.mktemp("legacy"), *LEGACY)


async def drive(
    program: Path,
    feed: str,
    transport: str,
    count: int,
    options: Mapping[str, object],
    environment: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Serve a simulator, run a client against it, return what the client says."""
    simulator = create(feed, options=options, rate=50)
    async with simulator.serve() as listening:
        url = listening.url.replace("ws://", "http://", 1)
        process = await asyncio.create_subprocess_exec(
            "node",
            str(program),
            url,
            transport,
            str(count),
            env={**os.environ, **(environment or {})},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(out)  # type: ignore[no-any-return]


@pytest.mark.parametrize("transport", ["webSockets", "serverSentEvents", "longPolling"])
@pytest.mark.parametrize(
    "options",
    [{}, {"redirects": 2}, {"version": 0}, {"records": "merged"}, {"sticky": True}],
    ids=["plain", "redirects", "version-0", "merged", "sticky"],
)
async def test_the_core_client_calls_streams_and_receives(core, transport, options):
    said = await drive(core / "signalr.js", "signalr", transport, 10, options)
    assert said["result"] == "ok"
    assert FAILED in said["error"]
    assert said["items"] == [0, 1, 2]
    assert said["seen"][:10] == list(range(1, 11))
    assert said["end"] == "clean"


@pytest.mark.parametrize("transport", ["webSockets", "serverSentEvents", "longPolling"])
async def test_the_core_client_brings_its_token_and_understands_a_close(core, transport):
    options = {"token": "s3cret-token", "end": "close", "end_after": "1s"}
    environment = {"HUB_TOKEN": "s3cret-token", "UNTIL_CLOSED": "1"}
    said = await drive(core / "signalr.js", "signalr", transport, 5, options, environment)
    assert "Connection closed with an error." in said["end"]


# jsdom has no EventSource, which this client needs for serverSentEvents.
@pytest.mark.parametrize("transport", ["webSockets", "longPolling"])
@pytest.mark.parametrize(
    ("options", "reconnects"),
    [
        ({}, 0),
        ({"redirect": "new"}, 0),
        ({"sticky": True, "url_path": "/app/signalr"}, 0),
        ({"end": "drop", "end_after": "300ms"}, 1),
    ],
    ids=["plain", "redirect", "sticky", "drop"],
)
async def test_the_legacy_client_calls_receives_and_resumes(legacy, transport, options, reconnects):
    count = 60 if reconnects else 10
    program = legacy / "signalr_legacy.js"
    said = await drive(program, "signalr_legacy", transport, count, options)
    assert (said["result"], said["error"]) == ("ok", FAILED)
    assert said["seen"] == list(range(1, count + 1))  # nothing lost, nothing twice
    assert said["reconnects"] == reconnects
