"""Opening a connection to ASP.NET Core SignalR: negotiation, redirects, choice of a transport."""

from __future__ import annotations

import pytest

from wsfeeds.clock import wall_seconds
from wsfeeds.command.listener import Unusable
from wsfeeds.errors import CredentialsRefused, Transient, UsageError
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.signalr import SignalRSimulator
from wsfeeds.simulators.signalr_legacy import SignalRLegacySimulator

TRANSPORTS = ("webSockets", "serverSentEvents", "longPolling")
NO_SERVERS = (
    "ftp://a.example/",
    "http://[::bad",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:abc/",
    "http://127.0.0.1:0/",
    "http://xn--a/x",
    "http://999.1.1.1/",
    "http://[v1.x]/",
    "http://user:pass@127.0.0.1/",
    f"http://{'a' * 64}.example/",
    "http://127.0.0.1/\x7f",
    f"http://127.0.0.1/{'a' * 70_000}",
    ["http://127.0.0.1/"],
    7,
)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_headers_token_and_cookies_go_with_every_request(core, transport):
    async with (
        core.serve(token="s3cret-token", sticky=True) as (simulator, url),
        core.client(url, transport, headers={"Authorization": "Bearer s3cret-token", "X-Mine": "1"})
        as (hub, ear),
    ):  # fmt: skip
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        await hub.close()
        assert len(simulator.requests) >= 2
        assert all(request.headers["x-mine"] == "1" for request in simulator.requests)
        assert all("cookie" in request.headers for request in simulator.requests[1:])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_redirects_are_followed_with_the_token_they_gave(core, transport):
    async with (
        core.serve(redirects=3, sticky=True) as (simulator, url),
        core.client(f"{url}?tenant=7", transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
    first, *others = simulator.requests
    assert first.target == "/hub/negotiate?tenant=7&negotiateVersion=1"
    assert "authorization" not in first.headers
    bearer = f"Bearer {simulator.access_token}"
    assert all(request.headers["authorization"] == bearer for request in others)
    in_query = [request for request in others if request.param("access_token")]
    assert len(in_query) == (transport == "serverSentEvents")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_redirect_without_a_token_leaves_the_one_before(core, transport):
    class Forwarding(SignalRSimulator):
        def _negotiate(self, request: Request, hops: int) -> Response:
            if hops == 1:
                return Response.json({"url": "/hub/2"})
            return super()._negotiate(request, hops)

    async with (
        core.serve(kind=Forwarding, redirects=2) as (simulator, url),
        core.client(url, transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
    paths = [each.path for each in simulator.requests[:3]]
    assert paths == ["/hub/negotiate", "/hub/1/negotiate", "/hub/2/negotiate"]
    bearer = f"Bearer {simulator.access_token}"
    assert all(each.headers["authorization"] == bearer for each in simulator.requests[1:])


async def test_endless_redirects_are_an_error(core):
    async with core.serve(redirects=101) as (_, url), core.client(url) as (hub, _):
        with pytest.raises(Unusable, match="100"):
            await hub.open()
    async with core.serve(redirects=100) as (_, url), core.client(url) as (hub, _):
        await hub.open()


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_an_http_redirect_is_followed_with_everything_on_the_same_server(
    core, transport, status
):
    headers = {"Authorization": "Bearer s3cret-token", "Cookie": "mine=1"}
    options = {"kind": core.moved("/hub", status), "token": "s3cret-token"}
    async with core.serve(**options) as (simulator, url):
        old = url.replace("/hub", "/old?tenant=7")
        async with core.client(old, transport, headers=headers) as (hub, ear):
            await hub.open()
            await ear.until(lambda: len(ear.messages) >= 3)
    first, second, third, *_ = simulator.requests
    assert first.target == "/old/negotiate?tenant=7&negotiateVersion=1"
    assert (second.method, second.target) == ("POST", "/hub/negotiate?tenant=7&negotiateVersion=1")
    assert third.target.startswith("/hub?tenant=7&id=")
    assert all(each.headers["cookie"] == "mine=1" for each in simulator.requests)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_http_redirect_takes_no_credentials_to_another_server(core, transport):
    headers = {"Authorization": "Bearer s3cret-token", "Cookie": "mine=1", "X-Api-Key": "k3y"}
    async with (
        core.serve() as (other, there),
        core.serve(kind=core.moved(there.replace("ws", "http", 1))) as (simulator, url),
        core.client(url.replace("/hub", "/old"), transport, headers=headers) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        await hub.close()
    assert [each.headers["x-api-key"] for each in simulator.requests] == ["k3y"]
    assert len(other.requests) >= 2
    carried = {name for each in other.requests for name in each.headers}
    assert not carried & {"authorization", "cookie", "x-api-key"}


@pytest.mark.parametrize(
    ("there", "error", "told"),
    [
        ("/old", Unusable, "more than 100 times"),
        ("/login?from=", Transient, "HTTP 307"),
        ("http://127.0.0.1:99999", Unusable, "no URL"),
        ("http://[::bad", Transient, "Invalid URL in location header"),
        ("http://xn--a", Transient, "no name"),
        ("", Transient, "HTTP 404"),
    ],
)
async def test_an_http_redirect_that_leads_nowhere_is_an_error(core, there, error, told):
    async with (
        core.serve(kind=core.moved(there)) as (_, url),
        core.client(url.replace("/hub", "/old")) as (hub, _),
    ):
        with pytest.raises(error, match=told):
            await hub.open()


async def test_the_negotiation_can_be_skipped(core):
    skip = {"skipNegotiation": True}
    async with core.serve() as (simulator, url), core.client(url, signalr=skip) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert [request.target for request in simulator.requests] == ["/hub"]
    with pytest.raises(UsageError, match=r"params\.signalr\.skipNegotiation"):
        async with core.client(url, "longPolling", signalr=skip):
            pass


async def test_version_0_uses_the_connection_id(core):
    async with core.serve(version=0) as (simulator, url), core.client(url) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert simulator.requests[1].param("id") in simulator.connections


@pytest.mark.parametrize(
    ("options", "used"),
    [
        ({}, "WebSockets"),
        ({"web_sockets": False}, "ServerSentEvents"),
        ({"web_sockets": False, "server_sent_events": False}, "LongPolling"),
    ],
)
async def test_the_first_transport_that_is_offered_is_taken(core, options, used):
    async with core.serve(**options) as (simulator, url), core.client(url) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert [each.transport for each in simulator.connections.values()] == [used]


@pytest.mark.parametrize(
    ("works", "used"),
    [
        ({"serverSentEvents", "longPolling"}, "ServerSentEvents"),
        ({"longPolling"}, "LongPolling"),
    ],
)
async def test_a_transport_that_does_not_work_is_followed_by_the_next(core, works, used):
    kind = core.crippled(*works)
    async with core.serve(kind=kind) as (simulator, url), core.client(url) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        taken = [each.transport for each in simulator.connections.values() if each.transport]
        ids = [each.param("id") for each in simulator.requests if each.path == "/hub"]
    assert taken == [used]
    # An id is good for one attempt.
    assert len(simulator.asked("negotiate")) == len(set(ids)) == 4 - len(works)


async def test_a_page_instead_of_events_is_followed_by_the_next_transport(core):
    class Page(SignalRSimulator):
        async def http(self, request: Request) -> Response:
            if request.headers.get("accept") == "text/event-stream":
                return Response(200, b"<html>", {"Content-Type": "text/html; charset=utf-8"})
            return await super().http(request)

    async with (
        core.serve(kind=Page, web_sockets=False) as (simulator, url),
        core.client(url) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        taken = [each.transport for each in simulator.connections.values() if each.transport]
    assert taken == ["LongPolling"]


async def test_without_a_transport_that_works_there_is_no_connection(core):
    kind = core.crippled()
    only = {"long_polling": False}
    async with core.serve(kind=kind, **only) as (_, url), core.client(url) as (hub, _):
        with pytest.raises(Transient, match="502"):
            await hub.open()


async def test_a_transport_that_is_not_offered_is_an_error(core):
    async with (
        core.serve(long_polling=False) as (_, url),
        core.client(url, "longPolling") as (hub, _),
    ):
        with pytest.raises(Unusable, match="longPolling: it has webSockets, serverSentEvents"):
            await hub.open()


async def test_what_negotiate_refuses_is_told(core):
    async with core.serve(negotiate_error="go away") as (_, url), core.client(url) as (hub, _):
        with pytest.raises(Unusable, match="go away"):
            await hub.open()
    async with core.serve(token="another") as (_, url), core.client(url) as (hub, _):
        with pytest.raises(CredentialsRefused, match="401"):
            await hub.open()
    async with core.serve() as (_, url), core.client(f"{url}/nowhere") as (hub, _):
        with pytest.raises(Transient, match="404"):
            await hub.open()


async def test_a_server_of_the_older_generation_is_told_apart(core):
    async with (
        core.serve(kind=SignalRLegacySimulator) as (_, url),
        core.client(url) as (hub, _),
    ):
        with pytest.raises(Unusable, match="use the protocol signalr-legacy"):
            await hub.open()


async def test_negotiation_is_a_post_without_a_body(core):
    async with core.serve() as (simulator, url), core.client(f"{url}?a=1#part") as (hub, _):
        await hub.open()
    negotiated, upgraded = simulator.requests
    assert (negotiated.method, negotiated.body) == ("POST", b"")
    assert negotiated.target == "/hub/negotiate?a=1&negotiateVersion=1"
    assert upgraded.target.startswith("/hub?a=1&id=")
    assert upgraded.param("id") not in {None, ""}


async def test_a_version_that_the_url_asks_for_is_kept(core):
    async with (
        core.serve() as (simulator, url),
        core.client(f"{url}?negotiateVersion=0") as (hub, _),
    ):
        await hub.open()
        assert simulator.requests[0].target == "/hub/negotiate?negotiateVersion=0"
        assert simulator.requests[1].param("id") in simulator.connections


async def test_messages_are_posted_as_text_beside_a_stream(core):
    async with (
        core.serve() as (simulator, url),
        core.client(url, "serverSentEvents") as (hub, _),
    ):
        await hub.open()
    _, stream, *posts = simulator.requests
    assert stream.headers["accept"] == "text/event-stream"
    assert {each.method for each in posts} == {"POST"}
    assert {each.headers["content-type"] for each in posts} == {"text/plain;charset=UTF-8"}
    assert posts[0].body == b'{"protocol":"json","version":1}\x1e'
    assert {each.param("id") for each in posts} == {stream.param("id")}


async def test_the_first_poll_comes_before_the_handshake_and_no_poll_from_a_cache(core):
    async with core.serve() as (simulator, url), core.client(url, "longPolling") as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        await hub.close()
    methods = [each.method for each in simulator.requests]
    assert methods[:2] == ["POST", "GET"]
    assert methods[-1] == "DELETE"
    polls = [each for each in simulator.requests if each.method == "GET"]
    assert len(polls) >= 3
    stamps = [int(each.param("_") or "") for each in polls]
    assert all(abs(stamp / 1000 - wall_seconds()) < 3600 for stamp in stamps)
    assert not any(each.param("_") for each in simulator.requests if each.method != "GET")
    assert len({each.param("id") for each in simulator.requests[1:]}) == 1


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        ({"connectionId": "x", "availableTransports": []}, Unusable, "no transport"),
        ({"connectionId": "x"}, Unusable, "without connection id or transports"),
        (
            {"negotiateVersion": 1, "connectionId": "x", "availableTransports": []},
            Unusable,
            "without connection id",
        ),
        (
            {
                "connectionId": "x",
                "availableTransports": [{"transport": "WebSockets", "transferFormats": ["Binary"]}],
            },
            Unusable,
            "no transport that carries text",
        ),
        ({"url": "mailto:a@b"}, Unusable, "no URL"),
        ({"url": "/hub", "accessToken": "a\nb"}, Unusable, "no header"),
        ({"url": "http://a.example/hub", "accessToken": "t"}, UsageError, "allow_insecure"),
        ([], Transient, "something else"),
        (b'{"error":"acc\xe8s"}', Transient, "something else"),
        *(({"url": each}, Unusable, "no URL") for each in NO_SERVERS),
    ],
)
async def test_a_negotiation_that_leads_nowhere_is_an_error(core, answer, error, told):
    kind = core.answering(answer)
    async with core.serve(kind=kind) as (_, url), core.client(url) as (hub, _):
        with pytest.raises(error, match=told):
            await hub.open()
