"""The `native` variant: a plain WebSocket; docs/protocols/websocket_v2.md, section 6.1."""

from __future__ import annotations

import base64
from typing import ClassVar

from wsfeeds.command.variants import SocketSession


class Client(SocketSession):
    """Text frames are `data` as they are, binary ones as base64; what is sent goes out verbatim."""

    pongs_prove: ClassVar[bool] = True

    async def open(self) -> None:
        """Connected is what the upgrade says."""
        await self.upgrade(self.route.ws(self.params.url))

    def received(self, frame: bytes, binary: bool) -> None:
        """Hand a message over."""
        self.listener.on_message(base64.b64encode(frame).decode() if binary else frame.decode())
