"""The simulated market and account of Cryptomus, seen through the socket alone."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from decimal import Decimal
from typing import Any

import orjson
import pytest

PLAIN = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
ULID = re.compile("[0-7][0-9A-HJKMNP-TV-Z]{25}")


def moment(ulid: str) -> int:
    """Read the milliseconds of an id."""
    value = 0
    for letter in ulid[:10]:
        value = value * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    return value


async def subscribe(peer: Any, *symbols: str, channels: tuple[str, ...] = ()) -> None:
    """Subscribe to everything public of some markets at once."""
    for channel in channels or ("trade", "lastprice", "ticker"):
        await peer.send(f"{channel}_subscribe", *symbols)


async def frames(peer: Any, count: int) -> list[dict[str, Any]]:
    """Read frames until so many updates came."""
    while sum(str(frame.get("method")).endswith("_update") for frame in peer.frames) < count:
        await peer.next()
    return [f for f in peer.frames if str(f.get("method")).endswith("_update")][:count]


async def test_partials_applied_to_a_full_book_give_the_next_full_book(serve, new_book):
    async with serve(rate=10_000.0, reload_interval="100ms") as venue, venue.open() as peer:
        await peer.ask("depth_subscribe", "BTC_USDT:0", "BTC_USDT:2", "SHIB_USDT:1")
        books: dict[tuple[str, int], Any] = {}
        reloads = partials = 0
        while reloads < 6:
            data = await peer.update("depth")
            key = data["symbol"], data["scale_index"]
            full = new_book()
            if key not in books:
                assert data["full_reload"]
                books[key] = full
            elif data["full_reload"]:
                full.apply(data)
                assert books[key].sides == full.sides
                reloads += 1
            else:
                partials += 1
            books[key].apply(data)
            assert books[key].best_bid < books[key].best_ask
        assert partials > 50


async def test_a_full_book_in_between_changes_nothing(serve, new_book):
    async with serve(rate=10_000.0) as venue, venue.open() as first, venue.open() as second:
        await first.ask("depth_subscribe", "BTC_USDT:0")
        book = new_book()
        for _ in range(100):
            book.apply(await first.update("depth"))
        await second.ask("depth_subscribe", "BTC_USDT:0")
        joined = new_book()
        joined.apply(await second.update("depth"))
        for _ in range(2_000):  # the first reader meets the book with which the second began
            if book.sides == joined.sides:
                break
            book.apply(await first.update("depth"))
        assert book.sides == joined.sides
        for _ in range(50):
            update = await first.update("depth")
            assert update == await second.update("depth")


async def test_scales_of_one_market_agree(serve, new_book):
    async with serve(rate=10_000.0) as venue, venue.open() as peer:
        await peer.ask("depth_subscribe", *(f"BTC_USDT:{index}" for index in range(4)))
        books = [new_book() for _ in range(4)]
        for _ in range(400):
            data = await peer.update("depth")
            books[data["scale_index"]].apply(data)
            assert all(PLAIN.fullmatch(text) for row in data["bids"] for text in row)
        await peer.send("depth_unsubscribe", "all")
        while (frame := await peer.next()).get("method") == "depth_update":
            books[frame["data"]["scale_index"]].apply(frame["data"])
        for side in ("bids", "asks"):
            totals = {sum(book.sides[side].values()) for book in books}
            assert len(totals) == 1
        for book, width in zip(books, ("0.01", "0.1", "1", "10"), strict=True):
            assert all(price % Decimal(width) == 0 for price in book.sides["bids"])
            assert book.best_bid <= books[0].best_bid
            assert book.best_ask >= books[0].best_ask


@pytest.mark.parametrize("private", [False, True])
async def test_trades_take_the_best_of_the_published_book(serve, new_book, private):
    async with serve(rate=10_000.0) as venue, venue.open() as peer:
        if private:
            await peer.send("order_subscribe", "TRX_USDT")
        await peer.send("trade_subscribe", "TRX_USDT")
        await peer.send("depth_subscribe", "TRX_USDT:0")
        book, traded = new_book(), 0
        while traded < 150:
            frame = await peer.next()
            if frame.get("method") == "depth_update":
                book.apply(frame["data"])
            elif frame.get("method") == "trade_update" and book.sides["bids"]:
                for trade in frame["data"]["trades"]:
                    buy = trade["direction"] == "buy"
                    side = book.sides["asks" if buy else "bids"]
                    left = [price for price, quantity in side.items() if quantity]
                    best = min(left) if buy else max(left)
                    assert Decimal(str(trade["price"])) == best
                    side[best] -= Decimal(str(trade["quantity"]))
                    assert side[best] >= 0
                    traded += 1


async def test_prices_and_tickers_follow_the_trades(serve):
    async with serve(rate=10_000.0) as venue, venue.open() as peer:
        await subscribe(peer, "ETH_USDT")
        last, volume, change = None, None, Decimal(0)
        seen: Counter[str] = Counter()
        for frame in await frames(peer, 400):
            data, channel = frame["data"], frame["method"].removesuffix("_update")
            seen[channel] += 1
            if channel == "trade":
                last = Decimal(str(data["trades"][-1]["price"]))
                change += sum(Decimal(str(trade["quantity"])) for trade in data["trades"])
            elif channel == "lastprice":
                assert last in (None, Decimal(data["price"]))
            else:
                assert last in (None, Decimal(data["price"]))
                values = {key: Decimal(data[key]) for key in ("open", "high", "low", "price")}
                assert values["low"] <= values["price"] <= values["high"]
                moved = (values["price"] - values["open"]) / values["open"] * 100
                assert abs(Decimal(data["price_change"]) - moved) < Decimal("0.01")
                mean = Decimal(data["quote_volume"]) / Decimal(data["volume"])
                assert values["low"] <= mean <= values["high"]
                if volume is not None:
                    assert Decimal(data["volume"]) - volume == change
                volume, change = Decimal(data["volume"]), Decimal(0)
        assert min(seen[channel] for channel in ("trade", "lastprice", "ticker")) > 20


async def test_at_its_own_pace_a_market_lives_ten_moments_a_second(serve):
    async with serve(depth_interval="20ms") as venue, venue.open() as peer:
        await peer.ask("depth_subscribe", "BTC_USDT:0")
        await peer.update("depth")
        await peer.update("depth")
        started = asyncio.get_running_loop().time()
        for _ in range(10):
            await peer.update("depth")
        assert asyncio.get_running_loop().time() - started > 0.15


@pytest.mark.parametrize("form", ["number", "string", "exponent"])
async def test_trades_write_numbers_in_the_chosen_form(serve, form):
    async with serve(rate=10_000.0, trade_numbers=form) as venue, venue.open() as peer:
        await peer.ask("trade_subscribe", "BTC_USDT", "SHIB_USDT")
        texts: list[str] = []
        while len(texts) < 60:
            async with asyncio.timeout(20):
                frame = await peer.socket.recv()
            texts += re.findall(r'"(?:price|quantity)":([^,}]*)', frame)
        forms = {
            "number": PLAIN,
            "string": re.compile(f'"{PLAIN.pattern}"'),
            "exponent": re.compile(r"\d(\.\d+)?e-?\d+"),
        }
        assert all(forms[form].fullmatch(text) for text in texts)


async def test_silence_can_bring_a_full_book(serve):
    async with (
        serve(rate=0.001, full_reload="silence", reload_interval="1ms") as venue,
        venue.open() as peer,
    ):
        await peer.ask("depth_subscribe", "BTC_USDT:0")
        assert (await peer.update("depth"))["full_reload"]
    async with (
        serve(rate=500.0, full_reload="never", reload_interval="1ms") as venue,
        venue.open() as peer,
    ):
        await peer.ask("depth_subscribe", "BTC_USDT:0")
        assert [(await peer.update("depth"))["full_reload"] for _ in range(4)] == [True] + [
            False
        ] * 3


async def test_the_same_seed_gives_the_same_frames_but_for_times(serve):
    async def take(seed: int) -> list[str]:
        async with serve(rate=10_000.0, seed=seed) as venue, venue.open() as peer:
            await peer.send("depth_subscribe", "BTC_USDT:0", "ETH_USDT:1")
            await subscribe(peer, "BTC_USDT", "ETH_USDT")
            await subscribe(peer, "BTC_USDT", channels=("order", "deal"))
            taken = [orjson.dumps(frame).decode() for frame in await frames(peer, 300)]
        return [re.sub(r"\b1[78]\d{8}\b|\b01[0-9A-HJKMNP-TV-Z]{8}", "T", text) for text in taken]

    first = await take(7)
    assert first == await take(7)
    assert first != await take(8)


async def test_orders_deals_and_balances_fit_each_other(serve):
    async with serve(rate=10_000.0) as venue, venue.open() as peer:
        await subscribe(peer, "all", channels=("order", "deal", "balance"))
        orders: dict[str, dict[str, Any]] = {}
        wallets: dict[str, Decimal] = {}
        kinds: Counter[str] = Counter()
        deals: list[dict[str, Any]] = []
        updates = await frames(peer, 900)
        assert [frame["id"] for frame in updates] == [str(n + 1) for n in range(len(updates))]
        for frame in updates:
            info, channel = frame["data"]["info"], frame["method"].removesuffix("_update")
            if channel == "order":
                kinds[frame["data"]["type"]] += 1
                check_order(frame["data"]["type"], info, orders, deals)
            elif channel == "deal":
                check_deal(info)
                deals.append(info)
            else:
                old, new = Decimal(info["oldBalance"]), Decimal(info["newBalance"])
                assert abs(new - old) == Decimal(info["amount"]) != 0
                assert wallets.setdefault(info["currencyCode"], old) == old
                assert re.fullmatch(r"\d+\.\d{16}", info["oldBalance"])
                assert re.fullmatch(r"\d+\.\d{8}", info["newBalance"])
                wallets[info["currencyCode"]] = new
                kinds["balance"] += 1
        assert min(kinds[kind] for kind in ("created", "updated", "finished", "balance")) > 20
        assert {order["state"] for order in orders.values() if "state" in order} == {
            "completed",
            "cancelled",
        }


def check_order(
    kind: str, info: dict[str, Any], orders: dict[str, dict[str, Any]], deals: list[dict[str, Any]]
) -> None:
    """Check an order event against the life of its order, and use up the deals before it."""
    extra = {"created": [], "updated": ["updateTs"]}.get(
        kind, ["finishTs", "state", "internalState"]
    )
    assert list(info) == [
        *("id", "symbol", "orderType", "direction", "price", "quantity", "value"),
        *("filledQuantity", "filledValue", "clientOid", "createTs"),
        *extra,
    ]
    filled, value = Decimal(info["filledQuantity"]), Decimal(info["filledValue"])
    quantity = Decimal(info["quantity"])
    assert ULID.fullmatch(info["id"])
    assert moment(info["id"]) // 1000 == info["createTs"]
    if info["price"] is not None:
        assert Decimal(info["price"]) * quantity == Decimal(info["value"])
    if kind == "created":
        assert info["id"] not in orders
        assert filled == value == 0
    else:
        before = orders[info["id"]]
        assert "state" not in before
        assert {k: before[k] for k in list(info)[:7]} == {k: info[k] for k in list(info)[:7]}
        new = sum(Decimal(deal["filledQuantity"]) for deal in deals)
        paid = sum(Decimal(deal["filledValue"]) for deal in deals)
        assert all(deal["symbol"] == info["symbol"] for deal in deals)
        assert Decimal(before["filledQuantity"]) + new == filled
        assert Decimal(before["filledValue"]) + paid == value
        deals.clear()
    if kind == "updated":
        assert 0 < filled < quantity
    if kind == "finished":
        assert (info["state"] == "completed") is (filled == quantity)
        internal = {"completed": "filled", "cancelled": "cancelled"}[info["state"]]
        assert info["internalState"] == internal
    orders[info["id"]] = info


def check_deal(info: dict[str, Any]) -> None:
    """Check the arithmetic and the ids of a deal."""
    assert list(info) == [
        *("dealId", "symbol", "dealState", "transactionId", "filledPrice", "filledQuantity"),
        *("filledValue", "fee", "feeCurrency", "tradeRole", "committedAt"),
    ]
    value = Decimal(info["filledPrice"]) * Decimal(info["filledQuantity"])
    assert Decimal(info["filledValue"]) == value
    assert 0 <= Decimal(info["fee"]) < value / 100
    assert info["feeCurrency"] == info["symbol"].partition("_")[2]
    assert info["tradeRole"] in ("taker", "maker")
    for key in ("dealId", "transactionId"):
        assert moment(info[key]) // 1000 == info["committedAt"]
    for key in ("filledPrice", "filledQuantity", "filledValue", "fee"):
        assert re.fullmatch(r"\d+\.\d{16}", info[key])


async def test_private_events_go_to_their_subscribers_alone(serve):
    async with serve(rate=10_000.0) as venue, venue.open() as one, venue.open() as other:
        await one.ask("order_subscribe", "ETH_USDT")
        await other.ask("trade_subscribe", "ETH_USDT")
        for _ in range(20):
            assert (await one.update("order"))["info"]["symbol"] == "ETH_USDT"
        await frames(other, 30)
        assert {frame["method"] for frame in other.frames} == {"trade_subscribe", "trade_update"}


async def test_a_quote_currency_has_balance_events(serve):
    async with serve(rate=500.0) as venue, venue.open() as peer:
        await peer.ask("balance_subscribe", "USDT")
        assert (await peer.update("balance"))["info"]["currencyCode"] == "USDT"


async def test_rest_balances_follow_the_account(serve):
    path = "/v2/user-api/exchange/account/balance"
    async with serve(rate=10_000.0) as venue, venue.open() as peer:
        assert (await venue.http.get(path, headers=venue.signed(sign="x"))).status_code == 401
        await peer.ask("balance_subscribe", "BTC")
        for _ in range(5):
            await peer.update("balance")
        await peer.send("balance_unsubscribe", "all")
        info = None
        while (frame := await peer.next()).get("method") == "balance_update":
            info = frame["data"]["info"]
        info = (
            info
            or [f for f in peer.frames if f.get("method") == "balance_update"][-1]["data"]["info"]
        )
        rows = (await venue.http.get(path, headers=venue.signed())).json()["result"]
        row = next(row for row in rows if row["ticker"] == "BTC")
        assert Decimal(row["available"]) + Decimal(row["held"]) == Decimal(info["newBalance"])


async def test_a_crossed_book_is_seen_and_healed_by_subscribing_again(serve, new_book):
    async with serve("crossed-book=0.2", rate=1_000.0) as venue, venue.open() as peer:
        await peer.ask("depth_subscribe", "BTC_USDT:0")
        book = new_book()
        book.apply(await peer.update("depth"))
        while book.best_bid < book.best_ask:
            book.apply(await peer.update("depth"))
        await peer.ask("depth_subscribe", "BTC_USDT:0")
        data = await peer.update("depth")
        while not data["full_reload"]:
            data = await peer.update("depth")
        book.apply(data)
        assert book.best_bid < book.best_ask


async def received(serve: Any, *faults: str, count: int = 60) -> list[str | bytes]:
    """Read raw data frames of a market under faults."""
    raw: list[str | bytes] = []
    async with serve(*faults, rate=5_000.0) as venue, venue.open() as peer:
        await peer.ask("depth_subscribe", "BTC_USDT:0")
        async with asyncio.timeout(20):
            while len(raw) < count:
                raw.append(await peer.socket.recv())
    return raw


async def test_frame_faults_reach_the_client_the_same_way_each_time(serve):
    def stripped(raw: list[str | bytes]) -> list[str]:
        return [re.sub(r"\b1[78]\d{8}\b", "T", str(frame)) for frame in raw]

    clean = stripped(await received(serve, count=90))
    dropped = stripped(await received(serve, "drop=0.3"))
    assert [frame for frame in clean if frame in set(dropped)][:30] == dropped[:30]
    assert set(clean[:60]) - set(dropped)
    doubled = stripped(await received(serve, "duplicate=1"))
    assert doubled[::2] == doubled[1::2] == clean[:30]
    swapped = stripped(await received(serve, "reorder=1"))
    assert swapped[0:2] == [clean[1], clean[0]]
    cut = stripped(await received(serve, "truncate=1"))
    for part in cut:
        assert clean[0].startswith(part[:20])
        with pytest.raises(orjson.JSONDecodeError):
            orjson.loads(part)
    junk = await received(serve, "garbage=1")
    assert stripped(junk[::2]) == clean[:30]
    assert stripped(junk) == stripped(await received(serve, "garbage=1"))


async def test_a_market_waits_for_a_reader_that_reads_nothing(serve):
    async with (
        serve(rate=20_000.0, reload_interval="0s") as venue,
        venue.open(compression=None, max_queue=1) as slow,
        venue.open() as other,
    ):
        await slow.ask("depth_subscribe", "BTC_USDT:0")
        await other.ask("ticker_subscribe", "BTC_USDT")
        with contextlib.suppress(TimeoutError):
            while True:  # until the market stands still
                async with asyncio.timeout(0.3):
                    await other.socket.recv()
        slow.socket.transport.abort()
        await other.update("ticker")
