"""Where raw frames of both directions can be listened to: recordings, `--format raw`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol


class Tap(Protocol):
    """Hears every frame before it is parsed; outbound ones with their secrets replaced."""

    def opened(
        self,
        recv_ts: int,
        conn: int,
        about: dict[str, Any],
        state: Callable[[], dict[str, Any]],
    ) -> None:
        """A connection has opened; `about` is what is needed to build its connector again.

        `state` tells at any time what the connector has learned since (`Connector.state`).
        """

    def inbound(self, recv_ts: int, conn: int, frame: bytes, binary: bool) -> None:
        """A frame has come."""

    def outbound(self, recv_ts: int, conn: int, frame: str) -> None:
        """A frame was sent."""

    def closed(self, recv_ts: int, conn: int) -> None:
        """The connection is gone."""
