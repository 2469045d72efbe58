"""Readers that are slow or gone, disks that are full, signals: the command as a subprocess."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
from pathlib import Path

import pytest

BURST = 30_000


def flood(count: int):
    """Send so many trades as fast as the client takes them, answering its pings meanwhile."""

    async def script(peer):
        await peer.ack(await peer.until("trade_subscribe"))
        serving = asyncio.create_task(peer.serve())
        for price in range(1, count + 1):
            await peer.trade(str(price))
        await serving

    return script


async def one_trade(peer):
    await peer.ack(await peer.until("trade_subscribe"))
    await peer.trade("1")
    await peer.serve()


def resident(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
async def test_a_slow_reader_loses_nothing_and_memory_stays_bounded(venue, command):
    venue.script = flood(BURST)
    client = await command("--set", "ping_interval=100ms", "--set", "idle_timeout=1s")
    pid = client.process.pid
    await venue.until(lambda: venue.pings >= 3)
    before = resident(pid)
    await venue.until(lambda: venue.pings >= 15)  # pings go on while nothing is read
    assert resident(pid) - before < 8_000_000
    assert len(venue.peers) == 1
    prices: list[int] = []
    seqs: list[int] = []
    reader = client.process.stdout
    while len(prices) < BURST:
        event = json.loads(await asyncio.wait_for(reader.readline(), 20))
        seqs.append(event["seq"])
        assert event["type"] != "gap"
        if event["type"] == "trade":
            prices.append(int(event["price"]))
    assert prices == list(range(1, BURST + 1))
    assert seqs == list(range(1, len(seqs) + 1))
    assert len(venue.peers) == 1


async def test_a_reader_that_leaves_a_busy_market_ends_the_run_quietly(venue, command):
    venue.script = flood(BURST)
    client = await command("-q")
    await client.line("trade")
    client.process._transport.get_pipe_transport(1).close()
    stderr = await asyncio.wait_for(client.process.stderr.read(), 10)
    assert (await client.exit_code(), stderr.decode()) == (0, "")


async def test_a_reader_that_leaves_a_quiet_market_ends_the_run_quietly(venue, command):
    venue.script = one_trade
    client = await command("-q")
    await client.line("trade")
    client.process._transport.get_pipe_transport(1).close()
    stderr = await asyncio.wait_for(client.process.stderr.read(), 10)
    assert (await client.exit_code(), stderr.decode()) == (0, "")


async def test_a_full_disk_ends_the_run_with_6_and_whole_lines_before(venue, command, tmp_path):
    venue.script = flood(BURST)
    limit = 100_000
    target = tmp_path / "events.jsonl"

    def small_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    client = await command(
        "-o", str(target), stdout=asyncio.subprocess.DEVNULL, preexec_fn=small_files
    )
    code, _, stderr = await client.end()
    assert code == 6
    assert str(target) in stderr
    assert "Traceback" not in stderr
    lines = target.read_bytes().split(b"\n")
    assert [json.loads(line)["seq"] for line in lines[:-1]] == list(range(1, len(lines)))
    assert target.stat().st_size <= limit


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
async def test_a_stdout_that_cannot_be_written_ends_the_run_with_6(venue, command):
    venue.script = one_trade
    full = os.open("/dev/full", os.O_WRONLY)
    client = await command(stdout=full)
    os.close(full)
    code, _, stderr = await client.end()
    assert code == 6
    assert stderr.strip().count("\n") == 0
    assert "No space left" in stderr


async def test_a_file_that_cannot_be_opened_is_named(venue, command, tmp_path):
    code, lines, stderr = await (await command("-o", str(tmp_path / "no" / "such"))).end()
    assert (code, lines) == (6, [])
    assert "no/such" in stderr
    assert venue.token_requests == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
async def test_a_signal_flushes_what_was_received_and_ends_the_run(venue, command, number, code):
    venue.script = one_trade
    client = await command()
    await client.line("trade")
    client.process.send_signal(number)
    ended, lines, stderr = await client.end()
    assert ended == code
    assert lines[-1]["type"] == "session"
    assert lines[-1]["state"] == "stopped"
    assert "Traceback" not in stderr


async def test_a_signal_while_connecting_ends_the_run(venue, command, bare_server):
    accepted = asyncio.Event()

    async def hold(reader, writer):
        accepted.set()
        await asyncio.Event().wait()

    async with bare_server(hold) as port:
        client = await command("--url", f"ws://127.0.0.1:{port}/ws")
        await asyncio.wait_for(accepted.wait(), 10)
        client.process.send_signal(signal.SIGTERM)
        code, lines, _ = await client.end()
    assert code == 0
    assert lines[-1]["state"] == "stopped"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_second_signal_ends_a_blocked_run_at_once(venue, command, number, code):
    venue.script = flood(BURST)
    client = await command("--set", "ping_interval=50ms", "--set", "idle_timeout=30s")
    await venue.until(lambda: venue.pings >= 5)  # by now the pipe is full
    client.process.send_signal(number)
    await asyncio.wait_for(venue.peers[0].socket.wait_closed(), 10)
    assert client.process.returncode is None
    client.process.send_signal(number)
    assert await client.exit_code() == code


@pytest.mark.slow
async def test_sigterm_waits_some_seconds_for_a_blocked_reader_and_no_more(venue, command):
    venue.script = flood(BURST)
    client = await command("--set", "ping_interval=50ms", "--set", "idle_timeout=30s")
    await venue.until(lambda: venue.pings >= 5)
    client.process.send_signal(signal.SIGTERM)
    assert await client.exit_code() == 0


async def test_sigint_waits_for_a_slow_reader(venue, command):
    venue.script = flood(3_000)
    client = await command("--set", "ping_interval=50ms", "--set", "idle_timeout=30s")
    await venue.until(lambda: venue.pings >= 5)
    client.process.send_signal(signal.SIGINT)
    code, lines, _ = await client.end()
    assert code == 130
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert lines[-1]["state"] == "stopped"


async def test_commands_from_stdin_steer_the_run(venue, command):
    client = await command("--control", stdin=asyncio.subprocess.PIPE)
    stdin = client.process.stdin
    await client.line("session", state="subscribed")
    stdin.write(b"subscribe ETH_USDT\n")
    assert (await client.line("session", state="subscribed"))["symbols"] == ["ETH_USDT"]
    for bad in (b"jump", b"subscribe", b"pause now", b"unsubscribe TRX_USDT", b"subscribe A-B"):
        stdin.write(bad + b"\n")
        error = await client.line("error")
        assert bad.decode() in error["message"]
        assert not error["fatal"]
    stdin.write(b"\xff\xfe\n")
    await client.line("error")
    stdin.write(b"pause\n")
    await client.line("session", state="paused")
    stdin.write(b"resume\n")
    await client.line("session", state="resumed")
    await client.line("gap", reason="paused")
    stdin.write(b"unsubscribe BTC_USDT\nquit\n")
    code, lines, stderr = await client.end()
    assert code == 0
    assert lines[-1]["reason"] == "quit"
    assert "Fatal" not in stderr


async def test_a_symbol_that_is_subscribed_already_is_told_on_stderr(command):
    client = await command("--control", stdin=asyncio.subprocess.PIPE)
    await client.line("session", state="subscribed")
    client.process.stdin.write(b"subscribe BTC_USDT ETH_USDT\n")
    assert (await client.line("session", state="subscribed"))["symbols"] == ["ETH_USDT"]
    client.process.stdin.write(b"quit\n")
    code, _, stderr = await client.end()
    assert code == 0
    assert "already subscribed: BTC_USDT" in stderr.splitlines()[0]


async def test_an_end_of_the_commands_is_no_end_of_the_run(venue, command):
    venue.script = one_trade
    client = await command("--control")  # stdin is at its end from the start
    await client.line("trade")
    client.process.send_signal(signal.SIGTERM)
    assert (await client.end())[0] == 0


async def test_a_blocked_stdin_does_not_disturb_the_end(venue, command):
    venue.script = one_trade
    client = await command("--control", "-n", "1", stdin=asyncio.subprocess.PIPE)
    assert await client.exit_code() == 0
    assert b"Fatal" not in await client.process.stderr.read()
