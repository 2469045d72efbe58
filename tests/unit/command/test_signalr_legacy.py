"""Opening a connection to ASP.NET SignalR 2.x: negotiation, its URLs, choice of a transport."""

from __future__ import annotations

import orjson
import pytest

from wsfeeds.command.listener import Unusable
from wsfeeds.command.signalr_legacy import Client
from wsfeeds.command.signalr_legacy_negotiation import base_of, connection_data
from wsfeeds.errors import CredentialsRefused, Transient, UsageError
from wsfeeds.simulators.httpd import Request, Response
from wsfeeds.simulators.signalr import SignalRSimulator
from wsfeeds.simulators.signalr_legacy import SignalRLegacySimulator

TRANSPORTS = ("webSockets", "serverSentEvents", "longPolling")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_headers_and_cookies_go_with_every_request(legacy, transport):
    headers = {"Authorization": "Bearer s3cret-token", "X-Mine": "1"}
    async with legacy.serve(token="s3cret-token", sticky=True) as (simulator, url):
        async with legacy.client(f"{url}?tenant=a%20b", transport, headers=headers) as (hub, ear):
            await hub.open()
            hub.send('{"H":"oddshub","M":"Sub","A":[]}')
            await ear.until(lambda: len(ear.messages) >= 3)
        assert len(simulator.asked("abort")) == 1
        assert all(request.headers["x-mine"] == "1" for request in simulator.requests)
        assert all(request.target.endswith("&tenant=a%20b") for request in simulator.requests)
        assert all("cookie" in request.headers for request in simulator.requests[1:])
        assert len(simulator.asked("send")) == (transport != "webSockets")


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_redirect_is_followed_with_its_token_and_query(legacy, transport):
    async with (
        legacy.serve(redirect="all") as (simulator, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
    bearer = f"Bearer {simulator.access_token}"
    assert all(each.headers["authorization"] == bearer for each in simulator.requests[1:])
    assert all(each.param("hop") for each in simulator.requests[1:])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_streams_are_where_negotiate_says(legacy, transport):
    async with (
        legacy.serve(url_path="/app/signalr") as (_, url),
        legacy.client(url, transport) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)


async def test_without_websockets_the_next_transport_is_taken(legacy):
    async with legacy.serve(web_sockets=False) as (simulator, url):
        async with legacy.client(url) as (hub, ear):
            await hub.open()
            await ear.until(lambda: len(ear.messages) >= 3)
        assert simulator.asked("connect")[0].param("transport") == "serverSentEvents"
        async with legacy.client(url, "webSockets") as (hub, ear):
            with pytest.raises(Unusable, match="webSockets"):
                await hub.open()


@pytest.mark.parametrize("works", [{"serverSentEvents", "longPolling"}, {"longPolling"}])
async def test_a_transport_that_does_not_work_is_followed_by_the_next(legacy, works):
    kind = legacy.crippled(*works)
    async with legacy.serve(kind=kind) as (simulator, url), legacy.client(url) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
    tried = [each.param("transport") for each in simulator.asked("connect")]
    assert tried == list(TRANSPORTS[: 4 - len(works)])
    assert len(simulator.asked("start")) == 1


async def test_what_negotiate_refuses_is_told(legacy):
    async with legacy.serve(negotiate_error="go away") as (_, url), legacy.client(url) as (hub, _):
        with pytest.raises(Unusable, match="go away"):
            await hub.open()
    async with legacy.serve(token="another") as (_, url), legacy.client(url) as (hub, _):
        with pytest.raises(CredentialsRefused, match="401"):
            await hub.open()


class CoreAnswer(SignalRLegacySimulator):
    """A server of the newer generation that answers GET as well."""

    async def http(self, request: Request) -> Response:
        return Response.json({"connectionId": "x", "availableTransports": []})


@pytest.mark.parametrize("kind", [CoreAnswer, SignalRSimulator])  # the latter answers no GET
async def test_a_server_of_the_newer_generation_is_told_apart(legacy, kind):
    async with legacy.serve(kind=kind) as (_, url), legacy.client(url) as (hub, _):
        with pytest.raises(Unusable, match="use the protocol signalr"):
            await hub.open()


@pytest.mark.parametrize(
    ("query", "signalr", "data"),
    [
        ("?connectionData=%5B%7B%22name%22%3A%22A%22%7D%5D", {}, '[{"name":"A"}]'),
        ("", {"methods": ["OddsHub.a", "oddshub.b", "c", "More.d"]},
         '[{"name":"oddshub"},{"name":"more"}]'),
        ("", {"methods": ["a"], "hubs": ["First", "Second"]},
         '[{"name":"first"},{"name":"second"}]'),
        ("", {"methods": ["Hub.a"], "hubs": ["Other"]}, '[{"name":"hub"}]'),
    ],
)  # fmt: skip
def test_hubs_are_named_in_the_query_the_methods_or_by_themselves(legacy, query, signalr, data):
    options = {"methods": []} | signalr
    assert connection_data(legacy.params(f"http://127.0.0.1/{query}", options)) == data


@pytest.mark.parametrize("data", ["xx", "[]", "{}", "%5B%7B%7D%5D", '[{"name":""}]', "[1]", "%FF"])
def test_connection_data_that_names_no_hub_is_refused(legacy, data):
    params = legacy.params(f"http://127.0.0.1/?connectionData={data}", {"methods": ["Hub.a"]})
    with pytest.raises(UsageError, match=r"^params\.url: "):
        Client.check(params)


def test_a_document_without_hubs_is_refused_and_a_skip_warned_about(legacy):
    with pytest.raises(UsageError, match=r"^params\.signalr\.hubs: "):
        Client.check(legacy.params("http://127.0.0.1/", {"methods": ["a"]}))
    skipping = {"methods": ["Hub.a"], "skipNegotiation": True}
    (warning,) = Client.check(legacy.params("http://127.0.0.1/", skipping))
    assert warning.startswith("params.signalr.skipNegotiation: ")


@pytest.mark.parametrize(
    ("url", "base", "query"),
    [
        ("http://a.example", "http://a.example/signalr", ""),
        ("http://a.example/?b=1", "http://a.example/signalr", "b=1"),
        ("http://a.example/app?b=%20&connectionData=%5B%5D&c", "http://a.example/app", "b=%20&c"),
    ],
)
def test_signalr_is_appended_where_there_is_no_path(url, base, query):
    assert base_of(url) == (base, query)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_every_request_says_what_the_protocol_wants(legacy, transport):
    async with (
        legacy.serve() as (simulator, url),
        legacy.client(f"{url}?tenant=7", transport) as (hub, ear),
    ):
        await hub.open()
        hub.send('{"H":"oddshub","M":"Sub","A":[]}')
        await ear.until(lambda: len(ear.messages) >= 3)
        await hub.close()
    asked = {each.path.rpartition("/")[2]: each for each in simulator.requests}
    posts = {"send", "abort", "poll"}
    assert {name: each.method for name, each in asked.items()} == {
        name: "POST" if name in posts or (name, transport) == ("connect", "longPolling") else "GET"
        for name in asked
    }
    token = asked["connect"].param("connectionToken")
    assert token is not None
    for name, each in asked.items():
        assert each.param("clientProtocol") == "1.5"
        assert each.param("connectionData") == '[{"name":"oddshub"}]'
        assert each.target.endswith("&tenant=7")
        assert each.param("transport") == (None if name == "negotiate" else transport)
        assert each.param("connectionToken") == (None if name == "negotiate" else token)
        streams = name == "connect" and transport != "longPolling"
        assert (each.param("tid") in set(map(str, range(11)))) == streams
    assert set(asked) >= {"negotiate", "connect", "start", "abort"}
    assert ("poll" in asked) == (transport == "longPolling")


async def test_only_streams_are_where_negotiate_says(legacy):
    path = "/app/signalr"
    async with (
        legacy.serve(url_path=path) as (simulator, url),
        legacy.client(url, "longPolling") as (hub, ear),
    ):
        await hub.open()
        hub.send('{"H":"oddshub","M":"Sub","A":[]}')
        await ear.until(lambda: len(ear.messages) >= 3)
    places = {each.path for each in simulator.requests}
    assert places == {
        "/signalr/negotiate", f"{path}/connect", "/signalr/start", f"{path}/poll", "/signalr/send",
        "/signalr/abort",
    }  # fmt: skip


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_http_redirect_takes_no_credentials_to_another_server(legacy, transport):
    headers = {"Authorization": "Bearer s3cret-token", "X-Api-Key": "k3y"}
    async with (
        legacy.serve() as (other, there),
        legacy.serve(kind=legacy.moved(there.replace("ws", "http", 1))) as (simulator, url),
        legacy.client(url.replace("/signalr", "/old?tenant=7"), transport, headers=headers)
        as (hub, ear),
    ):  # fmt: skip
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        await hub.close()
    assert [each.headers["x-api-key"] for each in simulator.requests] == ["k3y"]
    carried = {name for each in other.requests for name in each.headers}
    assert not carried & {"authorization", "x-api-key"}
    assert all(each.target.endswith("&tenant=7") for each in other.requests)
    assert all(len(each.query["connectionData"]) == 1 for each in other.requests)
    assert len(other.asked("connect")) == 1


async def test_an_http_redirect_is_followed_with_everything_on_the_same_server(legacy):
    headers = {"Authorization": "Bearer s3cret-token"}
    options = {"kind": legacy.moved("/signalr"), "token": "s3cret-token"}
    async with (
        legacy.serve(**options) as (simulator, url),
        legacy.client(url.replace("/signalr", "/old"), headers=headers) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
    assert [each.path for each in simulator.asked("negotiate")] == [
        "/old/negotiate", "/signalr/negotiate"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "told", ["http://a.example/app/x y?z=1", "//a.example/app/x y", "app/x y/", "////app/x y"]
)
async def test_a_url_of_negotiate_leads_to_no_other_server(legacy, told):
    class Elsewhere(SignalRLegacySimulator):
        def _negotiate(self, request: Request, base: str) -> Response:
            answer = super()._negotiate(request, base)
            assert isinstance(answer.body, bytes)
            return Response.json(orjson.loads(answer.body) | {"Url": told})

    async with (
        legacy.serve(kind=Elsewhere, url_path="/app/x y") as (simulator, url),
        legacy.client(url) as (hub, ear),
    ):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)
        assert [each.target.partition("?")[0] for each in simulator.asked("connect")] == [
            "/app/x%20y/connect"
        ]


@pytest.mark.parametrize("transport", ["webSockets", "longPolling"])
@pytest.mark.parametrize("odd", ["20", -1, 1e300, None, True, []])
async def test_times_of_negotiate_that_are_none_are_passed_over(legacy, transport, odd):
    times = ("KeepAliveTimeout", "DisconnectTimeout", "ConnectionTimeout", "LongPollDelay",
             "TransportConnectTimeout")  # fmt: skip

    class Odd(SignalRLegacySimulator):
        def _negotiate(self, request: Request, base: str) -> Response:
            answer = super()._negotiate(request, base)
            assert isinstance(answer.body, bytes)
            return Response.json(orjson.loads(answer.body) | dict.fromkeys(times, odd))

    async with legacy.serve(kind=Odd) as (_, url), legacy.client(url, transport) as (hub, ear):
        await hub.open()
        await ear.until(lambda: len(ear.messages) >= 3)


async def test_without_a_transport_that_works_there_is_no_connection(legacy):
    kind = legacy.crippled()
    async with (
        legacy.serve(kind=kind) as (_, url),
        legacy.client(url, "serverSentEvents") as (hub, _),
    ):
        with pytest.raises(Transient, match="502"):
            await hub.open()


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        ({"Url": "/signalr"}, Unusable, "without a connection token"),
        ({"ProtocolVersion": "2.0", "Error": "no licence"}, Unusable, "no licence"),
        ({"RedirectUrl": "mailto:a@b"}, Unusable, "no URL"),
        ({"RedirectUrl": "/signalr"}, Unusable, "more than 100 times"),
        ({"RedirectUrl": "http://a.example/", "AccessToken": "t"}, UsageError, "allow_insecure"),
        ({"RedirectUrl": "http://[::bad"}, Unusable, "no URL"),
        ({"RedirectUrl": "http://127.0.0.1:99999/"}, Unusable, "no URL"),
        ({"ConnectionToken": "t", "Url": "http://[::bad"}, Unusable, "a Url that is none"),
        ({"ConnectionToken": "t", "Url": "/a\0b"}, Unusable, "a Url that is none"),
        ({"ConnectionToken": ["t"]}, Unusable, "without a connection token"),
        ("text", Transient, "something else"),
        (b'{"Error":"acc\xe8s"}', Transient, "something else"),
    ],
)
async def test_a_negotiation_that_leads_nowhere_is_an_error(legacy, answer, error, told):
    kind = legacy.answering(answer)
    async with legacy.serve(kind=kind) as (_, url), legacy.client(url) as (hub, _):
        with pytest.raises(error, match=told):
            await hub.open()
