"""One attempt to connect: token, preparation, and an upgrade at the first URL that takes it.

Each step has an end: REST requests and the upgrade take `connect_timeout` each at most.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from wsfeeds import config
from wsfeeds.clock import Clock, wall_seconds
from wsfeeds.errors import CredentialsRefused
from wsfeeds.pipeline import Stream
from wsfeeds.protocol import Connector, Endpoint, FeedSettings
from wsfeeds.secrets import Secret
from wsfeeds.session.line import Owner
from wsfeeds.session.link import Link
from wsfeeds.session.pacing import ConnectBudget
from wsfeeds.session.rest import converse
from wsfeeds.session.tap import Tap
from wsfeeds.transport.base import Dial, Transport, UpgradeRefused
from wsfeeds.transport.proxies import proxy_for

_EXPIRY_TOLERANCE = 60.0


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

    def learn(self, settings: FeedSettings) -> None:
        """Know the secrets of settings that were read again."""
        for secret in config.secrets_of(settings):
            self.stream.redactor.add(secret)


class RefusedAtUpgrade(CredentialsRefused):
    """The upgrade was answered with a status that speaks of credentials."""


class Dialler:
    """Opens the connections of one socket, beginning with the URL that worked last."""

    def __init__(self, shared: Shared, owner: Owner) -> None:
        """Open links that belong to `owner`."""
        self._shared = shared
        self._owner = owner
        self._url_index = 0

    def shown(self, connector: Connector) -> str:
        """Return the URL that is tried first, without secrets."""
        shown = _shown(connector, connector.endpoint(None))
        return shown[min(self._url_index, len(shown) - 1)]

    async def dial(
        self, connector: Connector, settings: FeedSettings, conn: int, *, first: bool, paused: bool
    ) -> Link:
        """Open a connection, after the connect budget has a place for it.

        Args:
            connector: A fresh one, for this connection alone.
            settings: The settings as they are now.
            conn: The number of the connection.
            first: Whether nothing has ever been subscribed on this socket.
            paused: Whether no data is wanted for now.

        Raises:
            CredentialsRefused: The token has expired, or the venue does not take it.
            Transient: No connection could be made.
            UsageError: A setting cannot be used.
        """
        await self._shared.budget.acquire()
        expiry = connector.expires_at()
        if expiry is not None and wall_seconds() > expiry + _EXPIRY_TOLERANCE:
            raise CredentialsRefused(f"the {connector.name} token has expired; get a new one")
        endpoint = connector.endpoint(await self._authorize(settings))
        preparation = connector.prepare()
        if preparation is not None:
            await converse(preparation, settings)
        candidates = _candidates(endpoint.urls, _shown(connector, endpoint), self._url_index)
        for index, url, shown in candidates:
            link = self._link(connector, shown, settings, conn, first=first, paused=paused)
            try:
                await self._upgrade(link, endpoint, url, settings)
            except UpgradeRefused as refused:
                meaning = connector.refusal(refused.status or 0)
                if meaning == "credentials":
                    raise RefusedAtUpgrade(refused.message, code=refused.code) from refused
                if meaning == "absent":
                    refused.retry_after = max(refused.retry_after or 0.0, connector.absent_retry)
                if meaning != "elsewhere" or index == candidates[-1][0]:
                    raise
            else:
                self._url_index = index
                break
        return link

    async def _authorize(self, settings: FeedSettings) -> str | None:
        exchange = self._shared.connector.authorize(settings)
        if exchange is None:
            return None
        token: str = await converse(exchange, settings)
        self._shared.stream.redactor.add(token, passing=True)
        return token

    def _link(
        self,
        connector: Connector,
        shown: str,
        settings: FeedSettings,
        conn: int,
        *,
        first: bool,
        paused: bool,
    ) -> Link:
        return Link(
            self._owner,
            connector,
            self._shared.stream,
            self._shared.clock,
            conn=conn,
            shown_url=shown,
            about=_about(connector, shown, settings),
            tap=self._shared.tap,
            first=first,
            paused=paused,
        )

    async def _upgrade(
        self, link: Link, endpoint: Endpoint, url: str, settings: FeedSettings
    ) -> None:
        config.check_transport(
            url,
            carries_secret=endpoint.carries_secret or bool(settings.headers),
            allow_insecure=settings.allow_insecure,
        )
        proxy = settings.proxy.reveal() if settings.proxy else None
        headers = {name: value.reveal() for name, value in (settings.headers or {}).items()}
        given = {name.lower() for name in headers}
        own = {name: each for name, each in endpoint.headers.items() if name.lower() not in given}
        dial = Dial(
            url=url,
            headers={**own, **headers},
            timeout=settings.connect_timeout,
            max_frame=settings.max_frame,
            compression=settings.compression,
            proxy=proxy_for(url, proxy),
            ca_file=settings.ca_file,
            ciphers=settings.ciphers,
            coalesce=settings.coalesce,
        )
        try:
            await self._shared.transport.connect(dial, link)
        except BaseException:
            await link.close()
            raise


def _shown(connector: Connector, endpoint: Endpoint) -> list[str]:
    return [config.shown_url(url, connector.settings.url) for url in endpoint.shown]


def _candidates(
    urls: Sequence[str], shown: Sequence[str], start: int
) -> list[tuple[int, str, str]]:
    """Return index, URL and shown URL of each candidate, beginning with the one that worked."""
    order = [*range(start, len(urls)), *range(start)]
    return [(index, urls[index], shown[index]) for index in order]


def _about(connector: Connector, shown: str, settings: FeedSettings) -> dict[str, Any]:
    """Describe a connection for those who record it, without secrets."""
    public = {
        name: value
        for name, value in msgspec.structs.asdict(settings).items()
        if value is not None and not _is_secret(value)
    }
    for key in {"url", "api_url"} & public.keys():
        public[key] = config.masked_url(public[key])
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
