"""`wsfeeds sim`: simulated venues on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from wsfeeds import connectors, simulators
from wsfeeds.cli import leaving
from wsfeeds.cli.console import Console, on_signals, put
from wsfeeds.errors import ExitCode, UsageError
from wsfeeds.simulators.faults import Faults

_LAST_PORT = 65_535


@dataclass(kw_only=True)
class Options:
    """The options of `sim`, as given."""

    feeds: Sequence[str]
    host: str = "127.0.0.1"
    port: int = 0
    seed: int = 1
    rate: float | None = None
    faults: Sequence[str] = ()
    set: Sequence[str] = ()


def serve(options: Options, console: Console) -> int:
    """Serve until a signal comes and return the exit code.

    Raises:
        UsageError: A feed, fault or option does not exist, or a port is taken.
    """
    if not 0 <= options.port <= _LAST_PORT:
        raise UsageError(f"--port is a number from 0 to {_LAST_PORT}, not {options.port}")
    return leaving.run(_serve(options, console))


async def _serve(options: Options, console: Console) -> int:
    feeds = [_name(feed) for feed in options.feeds] or list(simulators.feeds())
    faults = Faults.parse(list(options.faults))
    served = [
        simulators.create(
            feed,
            seed=options.seed,
            rate=options.rate,
            faults=faults,
            options=_options(options.set),
        )
        for feed in dict.fromkeys(feeds)
    ]
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_signal(number: int) -> None:
        if stopped.done():
            os._exit(128 + number)
        stopped.set_result(number)

    on_signals(asyncio.get_running_loop(), on_signal)
    async with contextlib.AsyncExitStack() as stack:
        for offset, simulator in enumerate(served):
            port = options.port + offset if options.port else 0
            listening = await stack.enter_async_context(simulator.serve(options.host, port))
            put(listening.line().decode())
        console.say(f"serving {', '.join(feeds)}; press Ctrl-C to stop")
        number = await stopped
    return ExitCode.INTERRUPTED if number == 2 else ExitCode.OK


def _name(feed: str) -> str:
    """Return the simulator's name for a feed by any of its names."""
    name = feed.strip().lower().replace("-", "_")
    return name if name in simulators.feeds() else connectors.load(feed).name


def _options(items: Sequence[str]) -> dict[str, object]:
    options: dict[str, object] = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--set takes NAME=VALUE, not {item!r}")
        options[key.strip()] = value
    return options
