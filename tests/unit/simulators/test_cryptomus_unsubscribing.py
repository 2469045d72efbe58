"""What a client of the simulated Cryptomus still hears after it unsubscribed."""

from __future__ import annotations

import pytest

SUCCESS = {"status": "success"}


async def test_unsubscribing_the_unknown_is_refused(serve):
    async with serve() as venue, venue.open() as peer:
        assert (await peer.ask("trade_unsubscribe", "NOPE"))["error"]["code"] == 2
        assert (await peer.ask("trade_unsubscribe", "BTC_USDT"))["data"] == SUCCESS


async def test_unsubscribing_takes_just_what_it_names(serve):
    async with serve(rate=5_000.0) as venue, venue.open() as peer:
        await peer.ask("trade_subscribe", "all")
        everything = {(await peer.update("trade"))["symbol"] for _ in range(200)}
        assert len(everything) == 11
        await peer.ask("trade_unsubscribe", *(everything - {"SHIB_USDT"}))
        assert {(await peer.update("trade"))["symbol"] for _ in range(30)} == {"SHIB_USDT"}
        await peer.ask("trade_unsubscribe", "all")
        await peer.ask("ping")
        count = len(peer.frames)
        await peer.ask("ping")
        assert len(peer.frames) == count + 1


async def test_unsubscribing_all_of_depth_takes_every_scale(serve):
    async with serve(rate=5_000.0) as venue, venue.open() as peer:
        await peer.ask("depth_subscribe", "BTC_USDT:0", "BTC_USDT:1")
        assert {(await peer.update("depth"))["scale_index"] for _ in range(30)} == {0, 1}
        await peer.ask("depth_unsubscribe", "all")
        count = len(peer.frames)
        await peer.ask("trade_subscribe", "BTC_USDT")
        for _ in range(30):
            await peer.update("trade")
        assert "depth_update" not in {frame.get("method") for frame in peer.frames[count:]}


@pytest.mark.parametrize("params", [[], ["all"]])
async def test_an_empty_list_unsubscribes_private_channels(serve, params):
    async with serve(rate=5_000.0) as venue, venue.open() as peer:
        await peer.ask("order_subscribe", "all")
        await peer.update("order")
        assert (await peer.ask("order_unsubscribe", *params))["data"] == SUCCESS
        await peer.ask("ping")
        assert peer.frames[-1]["method"] == "pong"
