"""A transport alone: frames are counted and dropped.

Run as: bare_transport.py wsfeeds|picows|picows-aiofastnet URL COUNT
"""

import asyncio
import sys

KIND, URL, COUNT = sys.argv[1:]


class Counter:
    """Counts frames with the calls of `wsfeeds.transport.base.Listener`."""

    def __init__(self) -> None:
        self.left = int(COUNT) + 1  # the answer to the request is one more
        self.done = asyncio.Event()

    def on_open(self, connection: object) -> None:
        connection.send('{"id":1}')

    def on_data(self) -> None:
        pass

    def on_frame(self, frame: bytes, binary: bool) -> None:  # noqa: ARG002
        self.left -= 1

    def on_read(self) -> None:
        if self.left <= 0:
            self.done.set()

    def on_pong(self) -> None:
        pass

    def on_close(self, code: int, reason: str) -> None:  # noqa: ARG002
        self.done.set()


async def run_wsfeeds() -> None:
    from wsfeeds.transport.base import Dial  # noqa: PLC0415  # each kind pays for itself
    from wsfeeds.transport.websocket import WebsocketsTransport  # noqa: PLC0415

    counter = Counter()
    connection = await WebsocketsTransport().connect(Dial(url=URL, compression=False), counter)
    await counter.done.wait()
    await connection.close()


async def run_picows(*, aiofastnet: bool) -> None:
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect  # noqa: PLC0415

    counter = Counter()
    text = WSMsgType.TEXT

    class Listener(WSListener):
        fresh = True

        def on_ws_connected(self, transport: WSTransport) -> None:
            transport.send(text, b'{"id":1}')

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:  # noqa: ARG002
            if self.fresh:
                counter.on_data()
            if frame.msg_type is text and frame.fin:
                counter.on_frame(frame.get_payload_as_bytes(), False)
            self.fresh = frame.last_in_buffer
            if self.fresh:
                counter.on_read()

    transport, _ = await ws_connect(
        Listener,
        URL,
        read_buffer_init_size=262_144,
        use_aiofastnet=aiofastnet,
        enable_auto_pong=False,
    )
    await counter.done.wait()
    transport.disconnect()
    await transport.wait_disconnected()


asyncio.run(run_wsfeeds() if KIND == "wsfeeds" else run_picows(aiofastnet=KIND != "picows"))
