"""Runs one client to its end and tells what it cost."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.feeds import CRYPTOMUS, Feed
from benchmarks.load import Load, Order

_REFERENCES = Path(__file__).parent / "references"


@dataclass(frozen=True)
class Client:
    """A program under measurement: a name, its arguments and its environment."""

    name: str
    command: list[str]
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Cost:
    """What one run of a client took."""

    cpu: float
    """Seconds of CPU, user and system, of the whole process."""
    peak: int
    """Memory at most, in KiB."""
    output: Path


@dataclass(frozen=True)
class Asked:
    """What a client is to subscribe to, and how many events it ends after."""

    channels: Sequence[str]
    markets: Sequence[str]
    count: int
    compression: bool = False
    flush: bool = False
    book: bool = False
    feed: Feed = CRYPTOMUS
    sockets: int = 1


def wsfeeds(load: Load, asked: Asked, **settings: str) -> Client:
    """Return `wsfeeds subscribe`, with the settings given."""
    feed = asked.feed
    channels = [*asked.channels, "bbo"] if asked.book else asked.channels
    settings = {"compression": "true" if asked.compression else "false", **settings}
    command = [sys.executable, "-m", "wsfeeds", "subscribe", feed.name, *asked.markets, "-q"]
    command += ["-c", ",".join(channels), "-n", str(asked.count)]
    command += ["--url", load.url]
    command += ["--api-url", load.api_url] if feed.has_api else []
    command += [f"--set={key}={value}" for key, value in settings.items()]
    prefix = f"WSFEEDS_{feed.name.upper()}"
    secrets = {f"{prefix}_{key}": value for key, value in feed.secrets.items()}
    coalesce = f" coalesce={settings['coalesce']}" if "coalesce" in settings else ""
    return Client(f"wsfeeds{coalesce}", command, secrets)


def reference(load: Load, asked: Asked, name: str) -> Client:
    """Return one of the programs in `references`."""
    options = [
        load.url,
        load.api_url,
        str(asked.count),
        ",".join(asked.channels),
        ",".join(asked.markets),
        *("yes" if wanted else "no" for wanted in (asked.compression, asked.flush, asked.book)),
    ]
    if name == "websockets_echo":
        options += [str(asked.feed.requests), str(asked.sockets)]
    script, *how = name.split()
    return Client(name, [sys.executable, str(_REFERENCES / f"{script}.py"), *options, *how])


def run(client: Client, load: Load, order: Order, folder: Path, *, piped: bool = False) -> Cost:
    """Run the client against the load and return what it cost.

    Args:
        client: The program.
        load: Serves it.
        order: What is sent to it.
        folder: Where the file with its output goes.
        piped: Whether its output goes to that file through a pipe and `cat`.
    """
    load.order = order
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as output:
        if not piped:
            cpu, peak = wait(start(client, output.fileno()), client)
        else:
            consumer = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=output)
            assert consumer.stdin is not None
            process = start(client, consumer.stdin.fileno())
            consumer.stdin.close()
            cpu, peak = wait(process, client)
            consumer.wait()
    return Cost(cpu, peak, Path(name))


def start(client: Client, stdout: int) -> subprocess.Popen[bytes]:
    """Start the client with that standard output."""
    environment = {**os.environ, **client.environment}
    return subprocess.Popen(client.command, stdout=stdout, env=environment)


def wait(process: subprocess.Popen[bytes], client: Client) -> tuple[float, int]:
    """Return the CPU seconds and the peak memory of a client once it has ended."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{client.name} ended with {process.returncode}: {client.command}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss
