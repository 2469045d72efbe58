"""What lies between the frames and the network: TLS, headers, compression, split reads."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from tests.faults.scripted import MARKETS, SIGN, TOKEN
from wsfeeds import app
from wsfeeds.errors import UsageError


class Heard:
    """A tap that keeps what a connection is said to be."""

    about: dict[str, Any]

    def opened(
        self, _recv_ts: int, _conn: int, about: dict[str, Any], _state: Callable[..., object]
    ) -> None:
        self.about = about

    def inbound(self, *_: object) -> None: ...

    def outbound(self, *_: object) -> None: ...

    def closed(self, *_: object) -> None: ...


async def trades(peer):
    await peer.ack(await peer.until("trade_subscribe"))
    for price in range(1, 30):
        await peer.trade(str(price) * 40)
    await peer.serve()


async def test_a_certificate_of_an_authority_named_in_ca_file_is_accepted(
    tls_venue, connect_tls, authority, tmp_path
):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = connect_tls(ca_file=str(tmp_path / "ca.pem"))
    await client.until("session", state="subscribed")
    assert len(tls_venue.peers) == 1


async def test_any_other_certificate_is_refused_for_the_token_already(tls_venue, connect_tls):
    client = connect_tls(max_retries=0)
    assert await client.end() == 4
    assert "certificate" in client.of("error", fatal=True)[0]["message"]
    assert tls_venue.token_requests == 0


async def test_a_certificate_for_another_host_is_refused(
    venue, tls_venue, connect_tls, authority, tmp_path
):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    elsewhere = tls_venue.url.replace("127.0.0.1", "localhost")
    client = connect_tls(
        url=elsewhere, api_url=venue.api_url, ca_file=str(tmp_path / "ca.pem"), max_retries=0
    )
    assert await client.end() == 4
    assert "certificate" in client.of("error", fatal=True)[0]["message"]
    assert tls_venue.peers == []


async def test_the_wrong_authority_is_no_help(tls_venue, connect_tls, tmp_path):
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")
    client = connect_tls(ca_file=str(tmp_path / "other.pem"), max_retries=0)
    assert await client.end() == 4


async def test_a_ca_file_that_is_none_is_a_usage_error(venue, connect, tmp_path):
    (tmp_path / "none.pem").write_text("hello")
    with pytest.raises(UsageError, match=r"none\.pem|missing\.pem"):
        connect(ca_file=str(tmp_path / "missing.pem"), url="wss://127.0.0.1:1/")


@pytest.mark.parametrize(("compression", "offered"), [(True, True), (False, False)])
async def test_compression_is_offered_only_where_asked_for(venue, connect, compression, offered):
    venue.script = trades
    client = connect(compression=compression)
    await client.until("trade", count=29)
    headers = venue.peers[0].socket.request.headers
    assert ("permessage-deflate" in headers.get("Sec-WebSocket-Extensions", "")) is offered


async def test_headers_of_the_settings_are_sent(venue, connect):
    client = connect(headers={"X-Client": "abc-12345", "User-Agent": "mine/1"})
    await client.until("session", state="subscribed")
    headers = venue.peers[0].socket.request.headers
    assert headers["X-Client"] == "abc-12345"
    assert headers.get_all("User-Agent") == ["mine/1"]


async def test_headers_of_the_settings_are_sent_with_rest_requests(venue, connect):
    own = {"SIGN": "not-a-signature", "content-type": "text/plain"}
    client = connect(
        "BTC_USDT",
        "NONE_USDT",
        headers={"X-Client": "abc-12345", "User-Agent": "mine/1", "Accept": "a/b", **own},
    )
    await client.until("session", state="subscribed")
    assert {urlsplit(request.path).path for request in venue.rest} == {TOKEN, MARKETS}
    for request in venue.rest:
        assert request.headers.get_all("X-Client") == ["abc-12345"]
        assert request.headers.get_all("User-Agent") == ["mine/1"]
        assert request.headers.get_all("Accept") == ["a/b"]
    token_request = venue.rest[0].headers
    assert token_request.get_all("sign") == [SIGN]
    assert token_request.get_all("Content-Type") == ["application/json"]


async def test_the_values_of_a_query_of_the_url_are_never_shown(venue, connect):
    secret = "unknown-value-1"
    heard = Heard()
    client = connect(url=f"{venue.url}?x={secret}", tap=heard)
    await client.until("session", state="subscribed")
    assert await client.stop() == 0
    assert secret in venue.peers[0].socket.request.path
    shown = f"{venue.url}?x=***&token=***"
    assert {event["url"] for event in client.of("session")} == {None, shown}
    assert heard.about["url"] == shown
    assert heard.about["settings"]["url"] == f"{venue.url}?x=***"
    assert secret not in json.dumps([client.events, heard.about])


async def test_headers_never_travel_in_plain_text_to_another_host():
    where = {"api_url": "http://venue.example", "headers": {"X-Client": "abc-12345"}}
    wanted = app.Subscription(feed="cryptomus", settings=where)
    with pytest.raises(UsageError, match="unencrypted"):
        await app.list_markets(wanted)


async def test_a_token_never_travels_in_plain_text_for_a_list():
    where = {"api_url": "http://venue.example", "token": "abc-12345"}
    wanted = app.Subscription(feed="img_fastpath", settings=where)
    with pytest.raises(UsageError, match="unencrypted"):
        await app.list_markets(wanted, sport="soccer")


@pytest.mark.parametrize("seed", range(3))
async def test_the_same_events_come_however_the_bytes_are_split(venue, connect, bare_server, seed):
    venue.script = trades
    draw = random.Random(seed)

    async def forward(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, largest: int
    ) -> None:
        while data := await reader.read(65_536):
            start = 0
            while start < len(data):
                end = start + draw.randint(1, largest)
                writer.write(data[start:end])
                await writer.drain()
                await asyncio.sleep(0)  # one read at the other end for each piece
                start = end
        writer.write_eof()

    async def proxy(reader, writer):
        upstream, downstream = await asyncio.open_connection("127.0.0.1", venue.port)
        try:
            await asyncio.gather(forward(reader, downstream, 65_536), forward(upstream, writer, 9))
        finally:
            downstream.close()
            with contextlib.suppress(OSError):
                await downstream.wait_closed()

    async with bare_server(proxy) as port:
        client = connect(url=f"ws://127.0.0.1:{port}/ws")
        await client.until("trade", count=29)
        assert [trade["price"] for trade in client.of("trade")] == [
            str(price) * 40 for price in range(1, 30)
        ]
        await client.stop()


async def test_many_frames_of_one_read_share_its_receive_time_and_keep_their_order(venue, connect):
    async def burst(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        text = "".join(f"{n}," for n in range(1, 201)).rstrip(",").split(",")
        await asyncio.gather(*(peer.trade(price) for price in text))
        await peer.serve()

    venue.script = burst
    client = connect()
    await client.until("trade", count=200)
    found = client.of("trade")
    assert [trade["price"] for trade in found] == [str(n) for n in range(1, 201)]
    assert len({trade["recv_ts"] for trade in found}) < 100
