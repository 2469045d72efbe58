"""The composition root: the only module that knows every layer and puts them together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wsfeeds import config, connectors
from wsfeeds.errors import UsageError, WsfeedsError
from wsfeeds.events import AnyEvent
from wsfeeds.outputs.queue import QueueOutput
from wsfeeds.pipeline import Stream
from wsfeeds.protocol import Connector, FeedSettings, Wanted
from wsfeeds.secrets import Redactor
from wsfeeds.session.feed import FeedRun
from wsfeeds.session.rest import converse
from wsfeeds.session.tap import Tap
from wsfeeds.transport.base import Transport


@dataclass(kw_only=True)
class Subscription:
    """What a user asks of one feed; texts as on the command line."""

    feed: str
    symbols: Sequence[str] = ()
    channels: Sequence[str] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    config_file: Path | None = None
    sim: bool = False


def find_channels(
    connector: type[Connector], names: Iterable[str], symbols: Sequence[str]
) -> tuple[str, ...]:
    """Return the channels asked for, or those that the feed has for such symbols by default.

    Raises:
        UsageError: The feed has no such channel; the message names the nearest one.
    """
    known = [channel.name for channel in connector.channels]
    names = list(names)
    chosen = tuple(dict.fromkeys(name.strip() for name in names if name.strip()))
    if names and not chosen:
        raise UsageError(f"no channel is named; {connector.name} has {', '.join(known)}")
    for name in chosen:
        if name not in known:
            near = config.nearest(name, known)
            raise UsageError(f"{connector.name} has no channel {name!r}{near}")
    return chosen or connector.default_channels(symbols)


def load_settings(
    connector: type[Connector],
    *,
    flags: Mapping[str, str] | None = None,
    mapping: Mapping[str, Any] | None = None,
    config_file: Path | None = None,
    require: bool = True,
) -> FeedSettings:
    """Resolve a feed's settings: mapping, flags, environment, file, defaults.

    Raises:
        UsageError: A setting is unknown, wrong or missing.
    """
    feeds = map(connectors.load, connectors.names())
    file = config.load_file(config_file, feeds=feeds)
    return config.resolve(
        connector, file=file, flags=flags or {}, mapping=mapping or {}, require=require
    )


@contextlib.asynccontextmanager
async def simulated(wanted: Subscription) -> AsyncIterator[Subscription]:
    """Serve the feed's simulator if it was asked for, and yield what to subscribe to there."""
    if not wanted.sim:
        yield wanted
        return
    for key in ("url", "api_url"):
        if key in wanted.flags:
            raise UsageError(f"--sim and --{key.replace('_', '-')} exclude each other")
    from wsfeeds import simulators  # noqa: PLC0415  # no live session pays for it

    connector = connectors.load(wanted.feed)
    simulator = simulators.create(connector.name)
    async with simulator.serve() as listening:
        place = {"url": listening.url, "api_url": listening.api_url, **listening.settings}
        known = config.fields_of(connector.settings_type)
        mapping = {key: value for key, value in place.items() if key in known and value}
        symbols = wanted.symbols
        if not symbols and connector.needs_symbols:
            symbols = simulator.demo_symbols
        yield Subscription(
            feed=wanted.feed,
            symbols=symbols,
            channels=wanted.channels,
            flags=wanted.flags,
            settings={**wanted.settings, **mapping},
            config_file=wanted.config_file,
        )


def open_feed(wanted: Subscription, stream: Stream, *, tap: Tap | None = None) -> FeedRun:
    """Put together everything for one feed; nothing is opened before `FeedRun.run`.

    Raises:
        UsageError: The feed, a channel, a symbol or a setting cannot be used.
    """
    connector = connectors.load(wanted.feed)
    channels = find_channels(connector, wanted.channels, wanted.symbols)
    settings = load_settings(
        connector,
        flags=wanted.flags,
        mapping=wanted.settings,
        config_file=wanted.config_file,
    )
    symbols = tuple(dict.fromkeys(wanted.symbols))
    return FeedRun(
        connector,
        settings,
        Wanted(symbols, channels),
        stream,
        find_transport(settings),
        tap=tap,
    )


def find_transport(settings: FeedSettings) -> Transport:
    """Return the transport that the settings ask for; so far, `auto` has no choice."""
    from wsfeeds.transport.websocket import WebsocketsTransport  # noqa: PLC0415  # 0.1 s to import

    assert settings.transport in {"auto", WebsocketsTransport.name}
    return WebsocketsTransport()


async def list_markets(
    wanted: Subscription, *, sport: str | None = None, redactor: Redactor | None = None
) -> list[dict[str, Any]]:
    """Return what can be subscribed on a feed, from the venue's own list.

    Raises:
        UsageError: The feed has no such list, or an argument does not fit.
        CredentialsRefused, Transient: The list cannot be had.
    """
    async with simulated(wanted) as asked:
        connector = connectors.load(asked.feed)
        settings = load_settings(
            connector,
            flags=asked.flags,
            mapping=asked.settings,
            config_file=asked.config_file,
            require=False,
        )
        if redactor is not None:
            for secret in config.secrets_of(settings):
                redactor.add(secret)
        exchange = connector.markets(settings, symbols=wanted.symbols, sport=sport)
        if exchange is None:
            raise UsageError(f"{connector.name} publishes no list of what can be subscribed")
        rows: list[dict[str, Any]] = await converse(exchange, settings)
        return rows


class EventStream:
    """The events of one subscription, for `async for`."""

    def __init__(self, run: FeedRun, queue: QueueOutput, task: asyncio.Task[int]) -> None:
        """Take events from `queue` while `task` runs."""
        self._run = run
        self._queue = queue
        self._task = task
        self._told = False

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> AnyEvent:
        event = await self._queue.take()
        if event is not None:
            return event
        if self._task.done() and not self._task.cancelled():
            error = self._task.exception() or self._run.error
            if isinstance(error, WsfeedsError):
                error.message = self._run.stream.redactor(error.message)
                error.args = (error.message,)
            if error is not None:
                self._told = True
                raise error
        raise StopAsyncIteration

    async def close(self) -> None:
        """Stop, and wait for the end of everything that was started.

        Whoever is cancelled meanwhile cuts the farewells short and still leaves nothing behind.
        """
        self._run.stop("closed")
        try:
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self._task.cancel()
            await asyncio.wait({self._task})
            raise

    def raise_fault(self) -> None:
        """Raise a fault in wsfeeds itself that no iteration has raised."""
        if not self._told and not self._task.cancelled():
            self._task.result()

    def subscribe(self, *symbols: str) -> None:
        """Add symbols to the running subscription.

        Raises:
            UsageError: A symbol cannot be used; nothing has changed.
        """
        self._run.subscribe(symbols)

    def unsubscribe(self, *symbols: str) -> None:
        """Remove symbols from the running subscription.

        Raises:
            UsageError: A symbol is not subscribed.
        """
        self._run.unsubscribe(symbols)


@contextlib.asynccontextmanager
async def stream(
    feed: str,
    symbols: Sequence[str] = (),
    *,
    channels: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    sim: bool = False,
    heartbeats: bool = False,
) -> AsyncIterator[EventStream]:
    """Subscribe to a feed and yield its events, session facts included.

    Args:
        feed: The feed's name.
        symbols: What to subscribe to, as on the command line.
        channels: Channel names; none means the feed's default ones.
        settings: Settings by name; they win over environment and settings file.
        sim: Whether to talk to the embedded simulator instead of the venue.
        heartbeats: Whether heartbeat events are yielded too.

    Raises:
        UsageError: Something asked for cannot be used; nothing was opened.
        WsfeedsError: From the iteration, when the subscription ends for good.
    """
    asked = Subscription(
        feed=feed, symbols=symbols, channels=channels, settings=settings or {}, sim=sim
    )
    async with simulated(asked) as wanted:
        joint = Stream((), heartbeats=heartbeats)
        queue = QueueOutput(joint.gate)
        joint.outputs.append(queue)
        run = open_feed(wanted, joint)
        task = asyncio.create_task(run.run())
        task.add_done_callback(lambda _: queue.end())
        events = EventStream(run, queue, task)
        try:
            yield events
        finally:
            await events.close()
        events.raise_fault()
