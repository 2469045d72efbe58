"""`wsfeeds replay --serve`: recorded frames as the venue's own socket."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator

from wsfeeds.cli.console import Console, put
from wsfeeds.cli.damage import Damage
from wsfeeds.cli.replay import Options
from wsfeeds.cli.running import Running
from wsfeeds.errors import UsageError
from wsfeeds.recordings.normalize import frame_of
from wsfeeds.recordings.replay import Pace
from wsfeeds.recordings.serve import Connection, connections
from wsfeeds.simulators.playback import Playback, Played, Recorded

_PORTS = 65_536


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`.

    Raises:
        UsageError: It is none.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) >= _PORTS:
        raise UsageError(f"--serve takes HOST:PORT such as 127.0.0.1:8765, not {text!r}")
    return host.strip("[]") or "127.0.0.1", int(port)


async def serve_recording(
    options: Options,
    console: Console,
    pace: Callable[[], Pace],
    since: int | None,
    until: int | None,
) -> int:
    """Serve until a signal comes and return the exit code.

    Raises:
        UsageError: There are no frames, or the address cannot be listened on.
    """
    host, port = parse_address(options.serve or "")
    stopped = asyncio.Event()
    running = Running(console, lambda _: stopped.set())
    damage = Damage()
    found = connections(options.paths, since=since, until=until, on_damage=damage)
    damage.summarise()
    if not found:
        raise UsageError("no frames were recorded in that range")
    async with contextlib.AsyncExitStack() as stack:
        for offset, feed in enumerate(dict.fromkeys(each.feed for each in found)):
            recorded = [_recorded(each) for each in found if each.feed == feed]
            venue = Playback(feed, recorded, lambda: pace().wait)
            listening = await stack.enter_async_context(
                venue.serve(host, port + offset if port else 0)
            )
            put(listening.line().decode())
        console.say("playing to whoever connects; press Ctrl-C to stop")
        return await running.finish(_until(stopped), ())


async def _until(stopped: asyncio.Event) -> int:
    await stopped.wait()
    return 0


def _recorded(connection: Connection) -> Recorded:
    def frames() -> Iterable[Played]:
        return _played(connection)

    return Recorded(connection.url, frames)


def _played(connection: Connection) -> Iterator[Played]:
    for line in connection.lines():
        yield Played(line.recv_ts, line.dir == "in", frame_of(line), line.base64)
