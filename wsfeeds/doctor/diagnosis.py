"""The checks of one feed, each skipped where one before it has failed that it depends on."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from wsfeeds import app, config, connectors, simulators
from wsfeeds.clock import monotonic, wall_seconds
from wsfeeds.doctor import network
from wsfeeds.doctor.mending import mend
from wsfeeds.doctor.reports import Check, Name, Status
from wsfeeds.doctor.trial import Trial
from wsfeeds.errors import (
    CredentialsRefused,
    SubscriptionRefused,
    Transient,
    UsageError,
    WsfeedsError,
)
from wsfeeds.protocol import Connector, FeedSettings, Wanted
from wsfeeds.secrets import Redactor
from wsfeeds.session.rest import converse

_WARN_AFTER = 2.0
_FAIL_AFTER = 60.0
"""Seconds that the clock may be wrong: a session forgives an expiry date as much."""
_ENDS_SOON = 300.0
_NEEDS: dict[Name, tuple[Name, ...]] = {
    "dns": ("settings",),
    "connect": ("dns",),
    "tls": ("connect",),
    "clock": ("tls",),
    "token": ("tls",),
    "upgrade": ("token",),
    "first_event": ("upgrade",),
}


class Found(msgspec.Struct):
    """What a check that has not failed has to say."""

    detail: str
    status: Status = "ok"
    mend: str | None = None
    more: list[str] = []


class Diagnosis:
    """Goes through the checks of one feed."""

    def __init__(self, wanted: app.Subscription, *, wait: float, redactor: Redactor) -> None:
        """Check what `wanted` would connect to, waiting `wait` seconds for the first event."""
        self._wanted = wanted
        self._wait = wait
        self._redactor = redactor
        self._connector = connectors.load(wanted.feed)
        self._settings: FeedSettings
        self._symbols = tuple(wanted.symbols)
        self._stand_in = simulators.create(self._connector.name).demo_symbols
        self._guessed = False
        self._places: list[network.Place] = []
        self._server_time = network.ServerTime()
        self._answer: WsfeedsError | str | None = None
        self._trial = Trial(wait)
        self._failed: dict[Name, Name] = {}

    async def checks(self) -> AsyncIterator[Check]:
        """Yield each check as soon as it is done."""
        steps: list[tuple[Name, Callable[[], Awaitable[Found]]]] = [
            ("settings", self._check_settings),
            ("dns", self._resolve),
            ("connect", self._connect),
            ("tls", self._encrypt),
            ("clock", self._compare_clocks),
            ("token", self._check_token),
            ("upgrade", self._upgrade),
            ("first_event", self._first_event),
        ]
        for name, step in steps:
            yield await self._check(name, step)

    async def _check(self, name: Name, step: Callable[[], Awaitable[Found]]) -> Check:
        for need in _NEEDS.get(name, ()):
            if need in self._failed:
                self._failed[name] = cause = self._failed[need]
                return Check(name=name, status="skipped", detail=f"needs {cause}")
        begun = monotonic()
        try:
            found = await step()
        except WsfeedsError as error:
            self._failed[name] = name
            return Check(
                name=name,
                status="failed",
                detail=self._redactor(error.message),
                mend=mend(name, error, self._connector),
                code=int(error.exit_code),
                ms=_since(begun),
            )
        if found.status == "skipped" and name == "upgrade":
            self._failed[name] = name
        return Check(
            name=name,
            status=found.status,
            detail=self._redactor(found.detail),
            mend=found.mend,
            ms=None if found.status == "skipped" else _since(begun),
            more=[self._redactor(each) for each in found.more],
        )

    # --- settings

    async def _check_settings(self) -> Found:
        wanted = self._wanted
        self._settings = settings = app.load_settings(
            self._connector,
            flags=wanted.flags,
            mapping=wanted.settings,
            config_file=wanted.config_file,
        )
        secrets = (*config.secrets_of(settings), *self._connector.derived_secrets(settings))
        for secret in secrets:
            self._redactor.add(secret)
        endpoint = self._sample().endpoint(None)
        urls = [*endpoint.urls]
        rest = self._connector.authorize(settings)
        if rest is not None:
            urls.append(next(rest).url)
            rest.close()
        for url in urls:
            config.check_transport(
                url,
                carries_secret=endpoint.carries_secret or bool(secrets),
                allow_insecure=settings.allow_insecure,
            )
        self._places = list(dict.fromkeys(network.place_of(url, settings) for url in urls))
        required = [key for key in self._connector.required if key != "url"]
        have = f"{' and '.join(required)} set" if required else "no credentials needed"
        return Found(have, more=[config.shown_url(each, settings.url) for each in endpoint.shown])

    def _sample(self) -> Connector:
        """Return a connector as a connection would have it, to ask where it goes.

        Where no symbol was named, a well-formed one stands in for it; it goes nowhere.
        """
        symbols = self._symbols or self._stand_in
        channels = app.find_channels(self._connector, self._wanted.channels, symbols)
        wanted = Wanted(symbols, channels)
        self._connector.check(wanted, self._settings)
        return self._connector(self._connector.plan(wanted, self._settings)[0], self._settings)

    # --- the way there

    async def _resolve(self) -> Found:
        more = []
        for place in self._places:
            addresses = await network.resolve(place, self._settings)
            more.append(f"{place.host} is {', '.join(addresses)}")
        return Found(", ".join(dict.fromkeys(each.host for each in self._places)), more=more)

    async def _connect(self) -> Found:
        for place in self._places:
            await network.connect(place, self._settings)
        return Found(", ".join(map(str, self._places)))

    async def _encrypt(self) -> Found:
        secure = [place for place in self._places if place.secure]
        versions = [await network.handshake(place, self._settings) for place in secure]
        if secure:
            found = dict.fromkeys(f"{version} verified" for version in versions)
            more = [f"{place}: {v}" for place, v in zip(secure, versions, strict=True)]
            return Found(", ".join(found), more=more)
        if any(place.is_proxy for place in self._places):
            return Found("through a proxy: the upgrade will show", status="skipped")
        return Found("not encrypted, on this machine or as allow_insecure has it", "skipped")

    async def _compare_clocks(self) -> Found:
        await self._ask()
        ahead = self._server_time.ahead
        if ahead is None:
            return Found("the server does not say what time it is", "skipped")
        off = f"{abs(ahead):.1f} s {'behind' if ahead > 0 else 'ahead of'} the server"
        if abs(ahead) > _FAIL_AFTER:
            raise UsageError(f"this machine's clock is {off}")
        if abs(ahead) > _WARN_AFTER:
            advice = mend("clock", None, self._connector)
            return Found(f"this machine's clock is {off}", "warning", advice)
        return Found(f"within {max(1.0, abs(ahead)):.0f} s of the server's")

    async def _ask(self) -> None:
        """Have the token's conversation, or any; the clock and the token are judged by it."""
        exchange = self._connector.authorize(self._settings)
        asks_for_token = exchange is not None
        exchange = exchange or network.knock(self._sample().endpoint(None).urls[0])
        try:
            answer = await converse(self._server_time.watch(exchange), self._settings)
        except WsfeedsError as error:
            self._answer = error if asks_for_token else None
        else:
            self._answer = answer if asks_for_token else None

    # --- credentials

    async def _check_token(self) -> Found:
        if isinstance(self._answer, WsfeedsError):
            raise self._answer
        if self._answer is not None:
            self._redactor.add(self._answer, passing=True)
            return Found("the venue gave one")
        if not self._connector.required:
            return Found("this feed needs none", "skipped")
        ends = self._sample().expires_at()
        if ends is None:
            return Found("set; only the upgrade shows whether it is right")
        left = ends - wall_seconds()
        if left <= 0:
            raise CredentialsRefused(f"the token ended {_span(-left)} ago")
        if left < _ENDS_SOON:
            return Found(f"the token ends in {_span(left)}", "warning", "get a new one soon")
        return Found(f"the token is good for another {_span(left)}")

    # --- the session

    async def _upgrade(self) -> Found:
        if not self._symbols and self._connector.needs_symbols:
            self._symbols = await self._any_symbol()
            self._guessed = not self._symbols
            self._symbols = self._symbols or self._stand_in
        trial = self._trial
        await trial.run(self._subscription(), self._redactor)
        if trial.connected is not None:
            return Found("connected", more=[f"to {trial.connected}"])
        error = trial.error or Transient("the session ended before it was connected")
        if self._guessed and self._is_absent(error):
            return self._needs_symbol("the server answers")
        raise error

    def _subscription(self) -> app.Subscription:
        wanted = dataclasses.replace(self._wanted, symbols=self._symbols)
        return dataclasses.replace(wanted, settings={**wanted.settings, "max_retries": 0})

    def _is_absent(self, error: WsfeedsError) -> bool:
        """Tell whether only what was asked for is not there."""
        if isinstance(error, SubscriptionRefused):
            return True
        is_status = isinstance(error, Transient) and isinstance(error.code, int)
        return is_status and self._sample().refusal(int(error.code or 0)) == "absent"

    def _needs_symbol(self, so_far: str) -> Found:
        name, symbols = self._connector.name, self._connector.symbol_help
        advice = f"name one: wsfeeds doctor {name} SYMBOL, that is {symbols}"
        return Found(f"{so_far}; a SYMBOL is needed for more", "skipped", advice)

    async def _any_symbol(self) -> tuple[str, ...]:
        """Return a symbol of the venue's own list, the well-known one if it is there."""
        with contextlib.suppress(WsfeedsError):  # that the list fails is no fault of the upgrade
            exchange = self._connector.markets(self._settings)
            if exchange is not None:
                listed = [row["symbol"] for row in await converse(exchange, self._settings)]
                return tuple([*filter(self._stand_in.__contains__, listed), *listed][:1])
        return ()

    async def _first_event(self) -> Found:
        trial = self._trial
        if trial.first is not None:
            about = " ".join(filter(None, (trial.first.channel, trial.first.symbol)))
            return Found(f"{trial.first.__struct_config__.tag}: {about}")
        if trial.error is not None and not (self._guessed and self._is_absent(trial.error)):
            raise trial.error
        if self._guessed:
            return self._needs_symbol("connected")
        said = "subscribed" if trial.subscribed else "the subscription was not answered"
        advice = "the market may be quiet: wait longer with --wait 60s, or name a busy SYMBOL"
        return Found(f"{said}, and nothing came within {self._wait:g} s", "warning", advice)


def _since(begun: float) -> int:
    return round((monotonic() - begun) * 1000)


def _span(seconds: float) -> str:
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{seconds:.0f} s"
