"""What the command ends with, and what it never says: exit codes and secrets."""

from __future__ import annotations

import json

import pytest


async def echo_secrets(peer):
    """Say back to the client everything that it must not show."""
    request = await peer.until("trade_subscribe")
    token = peer.venue.issued[-1]
    await peer.send({"id": 5, "data": None, "error": {"code": 2, "message": f"bad {token}"}})
    await peer.send({"token": token, "method": "hello"})
    await peer.send(f"junk {token}")
    await peer.ack(request)
    await peer.trade()
    if peer.number == 1:
        await peer.socket.close(1011, f"{token[:60]}")
    await peer.serve()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("fault", ["none", "token", "upgrade", "close"])
async def test_secrets_are_nowhere(venue, command, credentials, fault, form):
    if fault == "token":
        venue.token_answers.extend([(503, {}, json.dumps({"message": credentials["sign"]}))] * 9)
    if fault == "upgrade":
        venue.upgrade_answers.extend([(503, {})] * 9)
    venue.script = echo_secrets
    more = ["-n", "2"] if fault in {"none", "close"} else ["--max-retries", "1"]
    client = await command("-v", "-v", "--log-format", form, *more)
    out, err = await client.process.communicate()
    text = (out + err).decode()
    for secret in (*credentials.values(), *venue.issued):
        assert secret not in text
    if fault in {"none", "close"}:
        assert client.process.returncode == 0
        assert len(venue.issued) == 2
        assert "token=***" in text
    else:
        assert client.process.returncode == 4
    if form == "json":
        assert all(json.loads(line)["level"] for line in err.splitlines())


async def test_refused_credentials_end_with_3_in_one_line(venue, command, credentials):
    environment = {"WSFEEDS_CRYPTOMUS_API_KEY": "WRONG-KEY-987654"}
    code, lines, stderr = await (await command(env=environment)).end()
    assert code == 3
    assert lines[-2]["type"] == "error"
    assert lines[-2]["fatal"]
    assert len(stderr.strip().splitlines()) <= 2
    assert "WRONG-KEY" not in stderr + json.dumps(lines)


async def test_an_unreachable_venue_ends_with_4(venue, command):
    venue.upgrade_answers.extend([(503, {})] * 9)
    code, _, stderr = await (await command("--max-retries", "2")).end()
    assert code == 4
    assert len(venue.upgrades) == 3
    assert "503" in stderr


async def test_no_reconnect_ends_with_4_after_the_first_loss(venue, command):
    async def close(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        await peer.socket.close()

    venue.script = close
    code, _, _ = await (await command("--no-reconnect")).end()
    assert code == 4
    assert len(venue.peers) == 1


async def test_a_subscription_refused_whole_ends_with_2(venue, command):
    venue.known = ("ETH_USDT",)
    code, _, stderr = await (await command()).end()
    assert code == 2
    assert "BTC_USDT" in stderr
    assert "wsfeeds markets cryptomus" in stderr


async def test_a_duration_is_a_normal_end_even_without_a_connection(venue, command):
    venue.upgrade_answers.extend([(503, {})] * 500)
    code, lines, _ = await (await command("-d", "300ms")).end()
    assert code == 0
    assert lines[-1]["reason"] == "duration"
