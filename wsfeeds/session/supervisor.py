"""One socket's life: attempts, the wait between them, and what may not be tried again.

States go through the stream as `session` events: connecting → connected → subscribed →
disconnected → reconnecting → … → stopped. Rules are those of contract section 4.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import msgspec

from wsfeeds import config
from wsfeeds.clock import Clock, monotonic, wall_seconds
from wsfeeds.errors import (
    CredentialsRefused,
    LoggedOut,
    OutputFailed,
    ReaderGone,
    RetriesExhausted,
    Transient,
    UsageError,
    WsfeedsError,
)
from wsfeeds.events import ErrorEvent, Event, Gap, GapReason, SessionEvent
from wsfeeds.pipeline import Stream
from wsfeeds.protocol import Connector, Endpoint, FeedSettings, Socket, Wanted
from wsfeeds.secrets import Secret
from wsfeeds.session.backoff import Backoff
from wsfeeds.session.link import STALE, Link, Renewed, Stale, endpoint_pairs
from wsfeeds.session.pacing import ConnectBudget
from wsfeeds.session.rest import converse
from wsfeeds.session.tap import Tap
from wsfeeds.transport.base import Dial, Transport, UpgradeRefused
from wsfeeds.transport.proxies import proxy_for

_HEALTHY_AFTER = 10.0
_EXPIRY_TOLERANCE = 60.0
_RENEW_BEFORE = 60.0
_RENEW_RETRY = 10.0
_CAUGHT_UP_WITHIN = 5.0
_POLL = 0.05


class Shared(msgspec.Struct, kw_only=True):
    """What the sockets of one run share."""

    connector: type[Connector]
    settings: FeedSettings
    stream: Stream
    clock: Clock
    transport: Transport
    budget: ConnectBudget
    tap: Tap | None = None
    connections: int = 0

    def next_connection(self) -> int:
        """Return the number of the run's next connection, counted from 1."""
        self.connections += 1
        return self.connections


class _Over(Exception):
    """The socket is finished."""


class _RefusedAtUpgrade(CredentialsRefused):
    """The upgrade was answered with a status that speaks of credentials."""


class Session:
    """Keeps one socket connected until it is finished, refused, exhausted or stopped."""

    def __init__(self, shared: Shared, socket: Socket) -> None:
        """Supervise `socket`."""
        self.socket = socket
        self.paused = False
        self._shared = shared
        self._settings = shared.settings
        self._backoff = Backoff(self._settings.backoff_initial, self._settings.backoff_max)
        self._link: Link | None = None
        self._previous: Connector | None = None
        self._conn: int | None = None
        self._last_conn = 0
        self._url_index = 0
        self._refusals = 0
        self._quick_closes = 0
        self._ever_subscribed = False
        self._outage: tuple[GapReason, int | None] | None = None
        self._paused_at: int | None = None
        self._successor: Link | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._mute = False
        self.stop_reason = "stopped"

    # --- the outside

    @property
    def feed(self) -> str:
        """The feed's name."""
        return self._shared.connector.name

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside the link; it ends with the session."""
        assert self._tasks is not None
        self._tasks.create_task(work)

    def change(self, wanted: Wanted) -> None:
        """Take over a new set of symbols, now or with the next connection."""
        self.socket = Socket(wanted, self.socket.key)
        if self._link is not None and self._link.is_open:
            self._link.change(wanted)

    def pause(self) -> None:
        """Stop the flow."""
        self.paused = True
        if self._link is not None and self._link.is_open:
            self._paused_at = self._link.last_frame_ts
            self._link.pause()

    def resume(self) -> None:
        """Start the flow again."""
        self.paused = False
        if self._link is not None and self._link.is_open:
            self._link.resume(self._paused_at)
        self._paused_at = None

    async def run(self) -> None:
        """Run until the end.

        Raises:
            WsfeedsError: The socket is refused, or cannot be reached, or an output failed.
        """
        try:
            await self._run()
            self.stop_reason = "finished"
        except (OutputFailed, ReaderGone):
            self._mute = True
            raise
        except WsfeedsError as error:
            self.stop_reason = error.message
            self._fail(error)
            raise
        finally:
            for link in (self._link, self._successor):
                if link is not None:
                    await link.close()
            self._report_leftovers()
            self._fact(SessionEvent(feed=self.feed, state="stopped", reason=self.stop_reason))
            self._flush()

    async def _run(self) -> None:
        """Supervise within a task group, and raise what ended it as it is."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                await self._supervise()
                raise _Over
        except BaseExceptionGroup as group:
            for error in _leaves(group):
                if not isinstance(error, _Over):
                    raise error from None

    def _report_leftovers(self) -> None:
        """Report what no connection will bring any more."""
        connector = self._link.connector if self._link is not None else self._previous
        if connector is None:
            return
        for event in connector.ending():
            if isinstance(event, Gap):
                event.from_ts = self._link.last_frame_ts if self._link is not None else None
                event.to_ts = self._shared.clock.now()
            self._fact(event)

    def _fail(self, error: WsfeedsError) -> None:
        event = ErrorEvent(feed=self.feed, code=error.code, message=error.message, fatal=True)
        event.symbol = self.socket.symbol
        self._fact(event)

    # --- attempts

    async def _supervise(self) -> None:
        while True:
            try:
                link = await self._open()
                await self._live(link)
            except Transient as error:
                await self._again(error)
            except CredentialsRefused as error:
                await self._refused(error)
            else:
                return

    async def _open(self) -> Link:
        """Make one attempt: secrets, token, preparation, upgrade."""
        shared = self._shared
        shared.clock.anchor()
        self._link = None
        if self._conn is None:
            self._conn = shared.next_connection()
        settings = config.refreshed(self._settings)
        self._learn(settings)
        connector = shared.connector(self.socket, settings, previous=self._previous)
        self._announce(connector)
        await shared.budget.acquire()
        link = self._link = await self._dial(connector, settings, self._conn)
        self._reconcile(link)
        return link

    def _reconcile(self, link: Link) -> None:
        """Carry out on a new link the commands that came while it was being opened."""
        if link.connector.socket.wanted != self.socket.wanted:
            link.change(self.socket.wanted)
        if self.paused and not link.paused:
            link.pause()
        elif link.paused and not self.paused:
            link.resume(self._paused_at)

    def _announce(self, connector: Connector, conn: int | None = None) -> None:
        shown = connector.endpoint(None).shown
        self._fact(
            SessionEvent(
                feed=self.feed,
                state="connecting",
                attempt=self._backoff.failures + 1,
                url=shown[min(self._url_index, len(shown) - 1)],
            ),
            conn,
        )
        self._flush()

    def _learn(self, settings: FeedSettings) -> None:
        for secret in config.secrets_of(settings):
            self._shared.stream.redactor.add(secret)

    async def _dial(self, connector: Connector, settings: FeedSettings, conn: int) -> Link:
        expiry = connector.expires_at()
        if expiry is not None and wall_seconds() > expiry + _EXPIRY_TOLERANCE:
            raise CredentialsRefused(f"the {self.feed} token has expired; get a new one")
        token = await self._authorize(settings)
        preparation = connector.prepare()
        if preparation is not None:
            await converse(preparation, settings)
        endpoint = connector.endpoint(token)
        error: UpgradeRefused | None = None
        for index, url, shown in endpoint_pairs(endpoint, self._url_index):
            config.check_transport(
                url,
                carries_secret=endpoint.carries_secret,
                allow_insecure=settings.allow_insecure,
            )
            try:
                link = await self._upgrade(connector, settings, endpoint, url, shown, conn)
            except UpgradeRefused as refused:
                error = refused
                meaning = connector.refusal(refused.status or 0)
                if meaning == "credentials":
                    raise _RefusedAtUpgrade(refused.message, code=refused.code) from refused
                if meaning == "absent":
                    refused.retry_after = max(refused.retry_after or 0.0, connector.absent_retry)
                    raise
                if meaning != "elsewhere":
                    raise
            else:
                self._url_index = index
                return link
        assert error is not None
        raise error

    async def _authorize(self, settings: FeedSettings) -> str | None:
        exchange = self._shared.connector.authorize(settings)
        if exchange is None:
            return None
        token: str = await converse(exchange, settings)
        self._shared.stream.redactor.add(token, passing=True)
        return token

    async def _upgrade(
        self,
        connector: Connector,
        settings: FeedSettings,
        endpoint: Endpoint,
        url: str,
        shown: str,
        conn: int,
    ) -> Link:
        shared = self._shared
        link = Link(
            self,
            connector,
            shared.stream,
            shared.clock,
            conn=conn,
            shown_url=shown,
            about=_about(connector, shown, settings),
            tap=shared.tap,
            first=not self._ever_subscribed,
            paused=self.paused,
        )
        proxy = settings.proxy.reveal() if settings.proxy else None
        headers = {name: value.reveal() for name, value in (settings.headers or {}).items()}
        dial = Dial(
            url=url,
            headers={**endpoint.headers, **headers},
            timeout=settings.connect_timeout,
            max_frame=settings.max_frame,
            compression=settings.compression,
            proxy=proxy_for(url, proxy),
            ca_file=settings.ca_file,
            ciphers=settings.ciphers,
            coalesce=settings.coalesce,
        )
        try:
            await shared.transport.connect(dial, link)
        except BaseException:
            await link.close()
            raise
        return link

    # --- while connected

    def link_opened(self, link: Link) -> None:
        """Use the number up: the next connection has a new one."""
        self._last_conn = link.conn
        if link.conn == self._conn:
            self._conn = None

    def link_subscribed(self, link: Link) -> None:
        """Report the hole of the outage that ends here, where there was one."""
        self._ever_subscribed = True
        self._refusals = 0
        outage, self._outage = self._outage, None
        if outage is None or link.connector.resumes:
            return
        if self.paused:
            self._paused_at = self._paused_at or outage[1]
        else:
            link.outage(*outage)

    async def _live(self, link: Link) -> None:
        while True:
            renewal = self._plan_renewal(link)
            error: Transient | CredentialsRefused | UsageError | None = None
            try:
                await asyncio.shield(link.ended)
            except (Transient, CredentialsRefused, UsageError) as failed:
                error = failed
            finally:
                if renewal is not None:
                    renewal.cancel()
                self._previous = link.connector
                link.connector.previous = None  # one generation is enough
                await link.close()
            successor = await self._take_successor()
            if successor is None or (error is not None and not isinstance(error, Transient)):
                if error is not None:
                    self._lost(link, error)
                    raise error
                self._disconnected(link, "finished", None)
                return
            self._disconnected(link, "handed over" if error is None else error.message, None)
            link = self._link = successor
            self._reconcile(link)

    async def _take_successor(self) -> Link | None:
        """Return the second connection of a hand-over if it is alive."""
        successor, self._successor = self._successor, None
        if successor is not None and not successor.is_open:
            await successor.close()
            return None
        return successor

    def _lost(self, link: Link, error: Exception) -> None:
        """Say that the connection is gone and remember what may have been missed."""
        stale = isinstance(error, Stale)
        reason = STALE if stale else getattr(error, "message", type(error).__name__)
        if isinstance(error, LoggedOut):
            reason = f"logout: {error.message}"
        self._disconnected(link, reason, getattr(error, "code", None))
        seen = link.subscribed or link.evidence_at is not None
        if self._outage is None and (seen or self._ever_subscribed) and not self.paused:
            self._outage = ("stale" if stale else "disconnect", link.last_frame_ts)
        healthy = link.evidence_at
        if healthy is not None and monotonic() - healthy >= _HEALTHY_AFTER:
            self._backoff.reset()
        self._watch_takeover(link, error)

    def _disconnected(self, link: Link, reason: str, code: int | str | None) -> None:
        text = None if code is None else str(code)
        link.fact(SessionEvent(feed=self.feed, state="disconnected", reason=reason, code=text))
        self._flush()

    def _watch_takeover(self, link: Link, error: Exception) -> None:
        rule = link.connector.takeover_closes
        if rule is None or not isinstance(error, Transient) or isinstance(error, Stale):
            return
        closes, within = rule
        quick = link.greeted_at is not None and monotonic() - link.greeted_at < within
        self._quick_closes = self._quick_closes + 1 if quick else 0
        if self._quick_closes >= closes:
            raise LoggedOut(
                f"the venue closed {closes} connections in a row within {within:g} s of its "
                "greeting: another client seems to have taken this account over"
            ) from error

    # --- between connections

    async def _again(self, error: Transient) -> None:
        """Wait before the next attempt.

        Raises:
            RetriesExhausted: There were too many failures in a row.
        """
        if isinstance(error, Renewed):
            self._backoff.reset()
        delay = self._backoff.next(at_least=error.retry_after)
        if isinstance(error, Renewed):
            self._backoff.reset()
        limit = self._settings.max_retries
        if limit is not None and self._backoff.failures > limit:
            tries = f" after {limit} {'retry' if limit == 1 else 'retries'}" if limit else ""
            raise RetriesExhausted(f"gave up{tries}: {error.message}", code=error.code) from error
        self._fact(
            SessionEvent(
                feed=self.feed,
                state="reconnecting",
                reason=STALE if isinstance(error, Stale) else error.message,
                code=None if error.code is None else str(error.code),
                attempt=max(1, self._backoff.failures),
                delay_ms=round(delay * 1000),
            )
        )
        self._flush()
        await asyncio.sleep(delay)

    async def _refused(self, error: CredentialsRefused) -> None:
        """Give a refused single-use token, or one that has been replaced, one more chance."""
        if isinstance(error, LoggedOut) or self._refusals:
            raise error
        may_be_the_token = isinstance(error, _RefusedAtUpgrade) and error.code == 401
        may_be_the_token = may_be_the_token or error.code == 1008
        if not (self._shared.connector.single_use_token and may_be_the_token):
            if config.refreshed(self._settings) == self._settings:
                raise error
            self._settings = config.refreshed(self._settings)
        limit = self._settings.max_retries
        if limit is not None and self._backoff.failures >= limit:
            raise error
        self._refusals += 1
        await self._again(Transient(error.message, code=error.code))

    # --- a new token before the old one ends

    def _plan_renewal(self, link: Link) -> asyncio.Task[None] | None:
        expiry = link.connector.expires_at()
        if expiry is None or self._tasks is None:
            return None
        return self._tasks.create_task(self._renew(link, expiry))

    async def _renew(self, link: Link, expiry: float) -> None:
        """Hand over to a second connection with a newer token, as soon as there is one."""
        await asyncio.sleep(max(0.0, expiry - _RENEW_BEFORE - wall_seconds()))
        complained = False
        while not link.ended.done():
            try:
                if await self._hand_over(link, expiry):
                    return
            except Transient as error:
                self._fact(ErrorEvent(feed=self.feed, message=f"hand-over: {error.message}"))
            except CredentialsRefused as error:
                link.end(error)
                return
            if not complained:
                complained = True
                message = f"the {self.feed} token is about to expire and there is no newer one"
                self._fact(ErrorEvent(feed=self.feed, message=message))
                self._flush()
            await asyncio.sleep(_RENEW_RETRY)

    async def _hand_over(self, link: Link, expiry: float) -> bool:
        settings = config.refreshed(self._settings)
        connector = self._shared.connector(
            self.socket, settings, previous=link.connector, overlaps=True
        )
        newer = connector.expires_at()
        if newer is not None and newer <= expiry:
            return False
        self._learn(settings)
        await self._shared.budget.acquire()
        conn = self._shared.next_connection()
        self._announce(connector, conn)
        successor = self._successor = await self._dial(connector, settings, conn)
        await _until(
            lambda: successor.ended.done() or (successor.subscribed and connector.caught_up()),
            _CAUGHT_UP_WITHIN,
        )
        if successor.ended.done():
            self._successor = None
            await successor.close()
            raise Transient("the second connection did not hold")
        link.end()
        return True

    def leave(self) -> None:
        """End because nothing is wanted here any more; whoever calls this cancels the task."""
        self.stop_reason = "unsubscribed"
        self._fact(SessionEvent(feed=self.feed, state="unsubscribed"))
        self._flush()

    def _fact(self, event: Event, conn: int | None = None) -> None:
        if isinstance(event, SessionEvent) and event.symbols is None:
            event.symbols = list(self.socket.wanted.symbols)
        if not self._mute:
            conn = conn or self._conn or self._last_conn
            self._shared.stream.emit_fact(event, self._shared.clock.now(), conn)

    def _flush(self) -> None:
        if not self._mute:
            self._shared.stream.flush()


async def _until(condition: Callable[[], bool], within: float) -> None:
    deadline = monotonic() + within
    while not condition() and monotonic() < deadline:  # noqa: ASYNC110  # a rare, short wait
        await asyncio.sleep(_POLL)


def _about(connector: Connector, shown: str, settings: FeedSettings) -> dict[str, Any]:
    """Describe a connection for those who record it, without secrets."""
    public = {
        name: value
        for name, value in msgspec.structs.asdict(settings).items()
        if value is not None and not _is_secret(value)
    }
    if connector.overlaps:
        public["overlaps"] = True
    return {
        "url": shown,
        "symbols": list(connector.socket.wanted.symbols),
        "channels": list(connector.socket.wanted.channels),
        "settings": public,
    }


def _is_secret(value: object) -> bool:
    return isinstance(value, Secret) or (
        isinstance(value, dict) and any(isinstance(part, Secret) for part in value.values())
    )


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
