"""The seam between a session and whatever carries its frames.

A transport calls its listener plainly, without queue or task switch: `on_open`, then for each read
`on_data`, a call of `on_frame` for each message in it and `on_read`, and at the end `on_close`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from wsfeeds.errors import Transient

CLOSE_WITHIN = 2.0
"""Seconds that a peer gets to finish the closing handshake."""
LOST = 1006
"""The close code where no close frame said why (RFC 6455, section 7.4.1)."""
TOO_BIG = 1009
"""The close code for a message that is larger than the receiver takes."""


class Dial(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to open one connection; `url` and `headers` may hold secrets."""

    url: str
    headers: dict[str, str] = {}
    timeout: float = 10.0
    max_frame: int = 16_000_000
    compression: bool = True
    proxy: str | None = None
    ca_file: str | None = None
    ciphers: str | None = None
    coalesce: float | None = None
    """Seconds to leave the socket alone after each read, so that the next one brings more."""


class UpgradeRefused(Transient):
    """The server answered the upgrade with an HTTP status instead; `status` is set."""


class Listener(Protocol):
    """What a connection calls; every call returns without waiting."""

    def on_open(self, connection: Connection) -> None:
        """The upgrade is through: from now on it may be sent."""

    def on_data(self) -> None:
        """Bytes have arrived; frames may follow."""

    def on_frame(self, frame: bytes, binary: bool) -> None:
        """One whole message; text is not yet checked to be UTF-8."""

    def on_read(self) -> None:
        """The frames of this read have been handed over."""

    def on_pong(self) -> None:
        """A WebSocket pong has arrived."""

    def on_close(self, code: int, reason: str) -> None:
        """The connection is gone; `LOST` where no close frame said why."""


class Connection(Protocol):
    """An open connection."""

    @property
    def gave_up(self) -> bool:
        """Whether this side closed because of what the peer had sent: too big, no WebSocket."""
        ...

    def send(self, text: str) -> None:
        """Send one text message; nothing happens on a connection that is closing."""

    def ping(self) -> None:
        """Send a WebSocket ping."""

    def pause_reading(self) -> None:
        """Stop reading the socket: back-pressure reaches the venue."""

    def resume_reading(self) -> None:
        """Read on."""

    async def close(
        self, code: int = 1000, reason: str = "", *, within: float = CLOSE_WITHIN
    ) -> None:
        """Close within so many seconds, cleanly if the peer takes part; idempotent."""


class Transport(Protocol):
    """Opens connections."""

    name: str

    async def connect(self, dial: Dial, listener: Listener) -> Connection:
        """Open one connection and return once the upgrade is through.

        Raises:
            UpgradeRefused: The server answered with an HTTP status.
            Transient: No connection could be made.
            UsageError: The URL, the proxy or a TLS setting cannot be used.
        """
        ...
