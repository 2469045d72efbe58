"""`wsfeeds doctor` against simulators, and against ends that are broken in one place each."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import trustme

from wsfeeds import simulators

NAMES = ["settings", "dns", "connect", "tls", "clock", "token", "upgrade", "first_event"]
FEEDS = ["cryptomus", "igratech", "img_fastpath", "interact_quote"]
USER = "doctor-user-0001"
KEY = "DOCTOR-API-KEY-0123456789"
ACCOUNT = {"WSFEEDS_CRYPTOMUS_USER_ID": USER, "WSFEEDS_CRYPTOMUS_API_KEY": KEY}


def statuses(report: dict[str, Any], number: int = 0) -> dict[str, str]:
    return {check["name"]: check["status"] for check in report["feeds"][number]["checks"]}


def failed(report: dict[str, Any]) -> dict[str, Any]:
    """Return the one failed check."""
    checks = [check for feed in report["feeds"] for check in feed["checks"]]
    (found,) = [check for check in checks if check["status"] == "failed"]
    return dict(found)


@pytest.fixture
def doctor(wsfeeds_command) -> Callable[..., dict[str, Any]]:
    """Run `doctor --json` and return its document, whose exit code must be the command's."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
        done = wsfeeds_command("doctor", *arguments, "--json", env=env)
        assert done.stderr == ""
        report: dict[str, Any] = json.loads(done.stdout)
        assert report["exit_code"] == done.code
        assert report["ok"] == (done.code == 0)
        for feed in report["feeds"]:
            assert [check["name"] for check in feed["checks"]] == NAMES
        return report

    return run


@pytest.mark.parametrize("feed", FEEDS)
def test_a_simulated_venue_is_healthy_up_to_its_first_event(doctor, feed):
    report = doctor(feed, "--sim")
    assert report["exit_code"] == 0
    found = statuses(report)
    assert {found["settings"], found["dns"], found["connect"]} == {"ok"}
    assert (found["upgrade"], found["first_event"]) == ("ok", "ok")
    assert "failed" not in found.values()


def test_every_feed_is_checked_where_none_is_named(doctor):
    report = doctor("--sim")
    assert [each["feed"] for each in report["feeds"]] == FEEDS
    assert all(each["ok"] for each in report["feeds"])
    assert report["left_out"] == []


def test_people_get_a_line_a_check(wsfeeds_command):
    done = wsfeeds_command("doctor", "cryptomus", "--sim")
    assert (done.code, done.stderr) == (0, "")
    name, *lines = done.stdout.decode().splitlines()
    assert name == "cryptomus"
    shown = [name.replace("_", " ") for name in NAMES]
    assert [line[11:24].strip() for line in lines] == shown
    detailed = wsfeeds_command("doctor", "cryptomus", "--sim", "-v")
    assert len(detailed.stdout.splitlines()) > len(lines) + 1
    assert b" ms)" in detailed.stdout


def test_without_settings_there_is_nothing_to_check_and_the_reasons_are_told(doctor):
    report = doctor()
    assert (report["exit_code"], report["feeds"]) == (2, [])
    reasons = {each["feed"]: each["reason"] for each in report["left_out"]}
    assert list(reasons) == FEEDS
    assert "user_id and api_key" in reasons["cryptomus"]


def test_a_feed_without_its_settings_fails_at_the_settings(doctor):
    report = doctor("cryptomus")
    assert failed(report)["code"] == report["exit_code"] == 2
    assert "WSFEEDS_CRYPTOMUS_API_KEY" in failed(report)["detail"]
    assert set(statuses(report).values()) == {"failed", "skipped"}


def test_only_feeds_with_settings_are_checked_and_the_others_named(doctor):
    report = doctor(env={"WSFEEDS_IGRATECH_URL": "ws://127.0.0.1:1/"})
    assert [each["feed"] for each in report["feeds"]] == ["igratech"]
    assert [each["feed"] for each in report["left_out"]] == [f for f in FEEDS if f != "igratech"]


def test_a_wrong_setting_is_told_with_the_way_to_mend_it(doctor):
    report = doctor("cryptomus", env={**ACCOUNT, "WSFEEDS_CRYPTOMUS_PING_INTERVAL": "soon"})
    assert failed(report)["name"] == "settings"
    assert "ping_interval" in failed(report)["detail"].lower()
    assert "wsfeeds feeds cryptomus" in failed(report)["mend"]


def test_settings_come_from_a_file_too(doctor, tmp_path):
    settings = tmp_path / "settings.toml"
    settings.write_text('[feeds.igratech]\nurl = "wss://venue.invalid/"\n')
    report = doctor("--config", str(settings))
    assert (failed(report)["name"], report["exit_code"]) == ("dns", 4)


def test_options_of_one_feed_need_a_feed(wsfeeds_command):
    done = wsfeeds_command("doctor", "--url", "wss://venue.invalid/")
    assert (done.code, done.stdout) == (2, b"")
    assert "FEED" in done.stderr


def test_a_name_that_does_not_resolve_ends_the_way_there(doctor):
    report = doctor("igratech", "--url", "wss://venue.invalid/")
    assert failed(report)["name"] == "dns"
    assert failed(report)["code"] == report["exit_code"] == 4
    assert "venue.invalid" in failed(report)["detail"]
    assert failed(report)["mend"]
    after = list(statuses(report).values())[2:]
    assert after == ["skipped"] * len(after)


def test_a_port_that_refuses_is_told(doctor):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        report = doctor("igratech", "--url", f"ws://127.0.0.1:{port}/")
    assert (failed(report)["name"], report["exit_code"]) == ("connect", 4)
    assert "refused" in failed(report)["detail"]


def test_the_way_leads_through_the_proxy_where_one_is_set(doctor):
    env = {"WSFEEDS_IGRATECH_PROXY": "socks5://somebody:sesame-open@proxy.invalid:1080"}
    report = doctor("igratech", "--url", "wss://venue.invalid/", env=env)
    assert (failed(report)["name"], report["exit_code"]) == ("dns", 4)
    assert failed(report)["detail"].startswith("proxy.invalid: ")
    assert "sesame" not in json.dumps(report)


def test_credentials_never_travel_unencrypted(doctor):
    report = doctor("cryptomus", "--url", "ws://192.0.2.1/ws", env=ACCOUNT)
    assert (failed(report)["name"], report["exit_code"]) == ("settings", 2)
    assert "unencrypted" in failed(report)["detail"]


# --- servers that are wrong in one place


@contextlib.asynccontextmanager
async def web_server(
    answer: Callable[[str], tuple[int, dict[str, str], str]], context: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Answer every request by its path, on the port that is yielded."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError):
            head = await reader.readuntil(b"\r\n\r\n")
            status, headers, body = answer(head.split()[1].decode())
            lines = [f"HTTP/1.1 {status} As The Test Has It", f"Content-Length: {len(body)}"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*lines, "Connection: close", "", body]).encode())
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(handle, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def examine(*arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
    """Run the command beside a server of this process and return its document."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "wsfeeds", "doctor", *arguments, "--json"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
    )
    stdout, stderr = await asyncio.wait_for(process.communicate(), 30)
    assert stderr == b""
    assert KEY.encode() not in stdout
    report: dict[str, Any] = json.loads(stdout)
    assert report["exit_code"] == process.returncode
    return report


def at(port: int, scheme: str = "") -> list[str]:
    place = f"://127.0.0.1:{port}"
    return ["cryptomus", "--url", f"ws{scheme}{place}/ws", "--api-url", f"http{scheme}{place}"]


def refuse(path: str) -> tuple[int, dict[str, str], str]:
    return 401, {}, '{"state":1,"message":"Unauthorized"}'


async def test_a_wrong_signature_fails_at_the_token():
    async with web_server(refuse) as port:
        report = await examine(*at(port), env=ACCOUNT)
    check = failed(report)
    assert (check["name"], check["code"], report["exit_code"]) == ("token", 3, 3)
    assert "WSFEEDS_CRYPTOMUS_API_KEY" in check["mend"]
    assert (statuses(report)["upgrade"], statuses(report)["first_event"]) == ("skipped", "skipped")


async def test_a_token_endpoint_in_trouble_is_no_fault_of_the_credentials():
    async with web_server(lambda _: (503, {}, "")) as port:
        report = await examine(*at(port), env=ACCOUNT)
    assert (failed(report)["name"], report["exit_code"]) == ("token", 4)


async def test_an_upgrade_that_is_refused_is_told():
    def answer(path: str) -> tuple[int, dict[str, str], str]:
        if path.startswith("/ws"):
            return 503, {}, ""
        if "markets" in path:
            return 200, {}, '{"result":[{"symbol":"AAA_BBB"}]}'
        return 200, {}, '{"token":"a-token-of-the-test"}'

    async with web_server(answer) as port:
        report = await examine(*at(port), env=ACCOUNT)
    assert (failed(report)["name"], report["exit_code"]) == ("upgrade", 4)
    assert "503" in failed(report)["detail"]
    assert statuses(report)["token"] == "ok"
    assert "a-token-of-the-test" not in json.dumps(report)


def jwt(ends: datetime) -> str:
    """Return a token that says when it ends; nobody here looks at its signature."""
    parts = {"alg": "HS256", "typ": "JWT"}, {"expires_at": ends.isoformat()}
    coded = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in parts]
    return ".".join(part.decode().rstrip("=") for part in coded) + ".c2lnbmVk"


@pytest.mark.parametrize(
    ("minutes", "status", "code"), [(-60, "failed", 3), (2, "warning", 3), (600, "ok", 3)]
)
async def test_the_end_of_a_token_is_told_before_it_is_used(minutes, status, code):
    token = jwt(datetime.now(UTC) + timedelta(minutes=minutes))
    async with web_server(refuse) as port:
        url = f"ws://127.0.0.1:{port}/"
        report = await examine(
            "interact_quote", "--url", url, env={"WSFEEDS_INTERACT_QUOTE_TOKEN": token}
        )
    assert (statuses(report)["token"], report["exit_code"]) == (status, code)
    assert failed(report)["name"] == ("token" if status == "failed" else "upgrade")
    assert token not in json.dumps(report)


async def test_a_market_list_that_fails_is_no_fault_of_the_upgrade():
    async with simulators.create("cryptomus").serve() as listening:

        def answer(path: str) -> tuple[int, dict[str, str], str]:
            return (200, {}, '{"token":"nobody-knows-it"}') if "token" in path else (500, {}, "")

        async with web_server(answer) as port:
            place = ["--url", listening.url, "--api-url", f"http://127.0.0.1:{port}"]
            report = await examine("cryptomus", *place, env=ACCOUNT)
    check = failed(report)
    assert (check["name"], check["code"]) == ("upgrade", 3)
    assert "401" in check["detail"]


@pytest.mark.parametrize(
    ("off", "status", "code"), [(0, "ok", 3), (20, "warning", 3), (-90, "failed", 2)]
)
async def test_the_clock_is_compared_with_the_servers(off, status, code):
    def answer(path: str) -> tuple[int, dict[str, str], str]:
        theirs = datetime.now(UTC) + timedelta(seconds=off)
        return 401, {"Date": format_datetime(theirs, usegmt=True)}, "{}"

    async with web_server(answer) as port:
        report = await examine(*at(port), env=ACCOUNT)
    (clock,) = [c for c in report["feeds"][0]["checks"] if c["name"] == "clock"]
    assert (clock["status"], report["exit_code"]) == (status, code)
    assert bool(clock["mend"]) == (status != "ok")
    assert statuses(report)["token"] == "failed"  # it does not depend on the clock


async def test_a_certificate_of_an_unknown_authority_fails_at_tls_until_it_is_known(tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    known = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(known))
    async with web_server(refuse, context) as port:
        stranger = await examine(*at(port, "s"), env=ACCOUNT)
        friend = await examine(*at(port, "s"), "--set", f"ca_file={known}", env=ACCOUNT)
    assert (failed(stranger)["name"], stranger["exit_code"]) == ("tls", 4)
    assert "certificate" in failed(stranger)["detail"]
    assert "ca_file" in failed(stranger)["mend"]
    assert statuses(stranger)["token"] == "skipped"
    assert (statuses(friend)["tls"], failed(friend)["name"]) == ("ok", "token")


async def test_a_certificate_of_another_server_fails_at_tls(tmp_path):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.test").configure_cert(context)
    known = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(known))
    async with web_server(refuse, context) as port:
        report = await examine(*at(port, "s"), "--set", f"ca_file={known}", env=ACCOUNT)
    assert (failed(report)["name"], report["exit_code"]) == ("tls", 4)


async def test_a_silent_market_is_a_warning():
    async with simulators.create("igratech", rate=0.001).serve() as listening:
        report = await examine("igratech", "--url", listening.url, "--wait", "300ms")
    assert statuses(report)["upgrade"] == "ok"
    assert statuses(report)["first_event"] == "warning"
    assert report["exit_code"] == 0


async def test_a_token_that_the_venue_refuses_by_frame_is_a_matter_of_credentials():
    async with simulators.create("img_fastpath").serve() as listening:
        env = {"WSFEEDS_IMG_FASTPATH_TOKEN": "not-the-token-of-anybody"}
        report = await examine("img_fastpath", "--url", listening.url, env=env)
    assert (failed(report)["code"], report["exit_code"]) == (3, 3)
    assert "not-the-token" not in json.dumps(report)


def test_the_shape_is_shown_by_schema(wsfeeds_command):
    shape = json.loads(wsfeeds_command("schema", "doctor").stdout)
    assert set(shape["$defs"]["DoctorReport"]["properties"]) == {
        "ok",
        "exit_code",
        "feeds",
        "left_out",
    }
    assert shape["$defs"]["Check"]["properties"]["name"]["enum"] == sorted(NAMES)
