"""What may be tried again on one socket, and when (contract, section 4). It never waits."""

from __future__ import annotations

from wsfeeds import config
from wsfeeds.clock import monotonic
from wsfeeds.errors import CredentialsRefused, LoggedOut, RetriesExhausted, Transient
from wsfeeds.protocol import Connector, FeedSettings
from wsfeeds.session.backoff import Backoff
from wsfeeds.session.dialling import RefusedAtUpgrade
from wsfeeds.session.endings import Renewed, Stale
from wsfeeds.session.link import Link

_HEALTHY_AFTER = 10.0
_UNAUTHORIZED = 401
_POLICY = 1008


class Retries:
    """Counts failures, refusals and quick closes in a row."""

    def __init__(self, connector: type[Connector], settings: FeedSettings) -> None:
        """Follow the backoff of the settings."""
        self._connector = connector
        self._settings = settings
        self._backoff = Backoff(settings.backoff_initial, settings.backoff_max)
        self._refusals = 0
        self._quick_closes = 0

    @property
    def failures(self) -> int:
        """Failures in a row so far."""
        return self._backoff.failures

    def subscribed(self) -> None:
        """The credentials were accepted: the next refusal is a first one again."""
        self._refusals = 0

    def lost(self, link: Link, error: Exception) -> None:
        """Learn how long a lost connection had been well.

        Raises:
            LoggedOut: The closes in a row look like another client's.
        """
        healthy = link.evidence_at
        if healthy is not None and monotonic() - healthy >= _HEALTHY_AFTER:
            self._backoff.reset()
        rule = link.connector.takeover_closes
        if rule is None or not isinstance(error, Transient):
            return
        closes, within = rule
        by_venue = link.greeted_at is not None and not isinstance(error, Stale)
        quick = by_venue and monotonic() - (link.greeted_at or 0.0) < within
        self._quick_closes = self._quick_closes + 1 if quick else 0
        if self._quick_closes >= closes:
            raise LoggedOut(
                f"the venue closed {closes} connections in a row within {within:g} s of its "
                "greeting: another client seems to have taken this account over"
            ) from error

    def delay(self, error: Transient) -> float:
        """Count one more failure and return the seconds to wait before the next attempt.

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
        return delay

    def refused(self, error: CredentialsRefused) -> Transient:
        """Give a refused single-use token, or one that has been replaced, one more chance.

        Raises:
            CredentialsRefused: It had that chance, or deserves none.
        """
        if isinstance(error, LoggedOut) or self._refusals:
            raise error
        at_upgrade = isinstance(error, RefusedAtUpgrade) and error.code == _UNAUTHORIZED
        may_be_the_token = at_upgrade or error.code == _POLICY
        if not (self._connector.single_use_token and may_be_the_token):
            refreshed = config.refreshed(self._settings)
            if refreshed == self._settings:
                raise error
            self._settings = refreshed
        limit = self._settings.max_retries
        if limit is not None and self._backoff.failures >= limit:
            raise error
        self._refusals += 1
        return Transient(error.message, code=error.code)
