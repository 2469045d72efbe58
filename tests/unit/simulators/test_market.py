from __future__ import annotations

from collections import Counter
from decimal import Decimal
from random import Random

import pytest

from wsfeeds.simulators.cryptomus_account import Account
from wsfeeds.simulators.cryptomus_listings import LISTINGS
from wsfeeds.simulators.cryptomus_messages import decimal, exponent, text, trimmed, ulid
from wsfeeds.simulators.market import Market, Trade

NOW = 1_750_953_000.0


def market(symbol: str = "BTC_USDT", seed: int = 1) -> Market:
    return Market(LISTINGS[symbol], Random(f"{seed}/{symbol}"), NOW)


def bucketed(side: dict[int, int], width: int, *, up: bool) -> dict[int, int]:
    total: Counter[int] = Counter()
    for price, quantity in side.items():
        total[(-(-price // width) if up else price // width) * width] += quantity
    return dict(total)


@pytest.mark.parametrize("symbol", list(LISTINGS))
def test_the_book_never_crosses_and_its_scales_agree(symbol):
    simulated = market(symbol)
    for step in range(400):
        simulated.trade(NOW + step)
        simulated.shuffle()
        assert simulated.best_bid < simulated.best_ask
        assert all(quantity > 0 for quantity in simulated.bids.values())
        assert all(quantity > 0 for quantity in simulated.asks.values())
        assert 10 <= len(simulated.bids) <= 33
        assert 10 <= len(simulated.asks) <= 33
    for width, depth in zip(simulated.listing.scales, simulated.depths, strict=True):
        assert depth.bids.levels == bucketed(simulated.bids, width, up=False)
        assert depth.asks.levels == bucketed(simulated.asks, width, up=True)
        assert max(depth.bids.levels) < min(depth.asks.levels)


def test_changes_turn_the_old_side_into_the_new_one():
    simulated = market()
    side = simulated.depths[2].asks
    known = dict(side.levels)
    for step in range(300):
        simulated.trade(NOW + step)
        simulated.shuffle()
        if step % 7 == 0:
            for bucket, quantity in side.take_changes():
                assert known.get(bucket, 0) != quantity
                known[bucket] = quantity
            known = {bucket: quantity for bucket, quantity in known.items() if quantity}
            assert known == side.levels
            assert side.sorted() == sorted(known.items())


def test_trades_take_the_best_price_and_their_quantity_leaves_the_book():
    simulated, seen = market(), 0
    for step in range(300):
        asks, bids = dict(simulated.asks), dict(simulated.bids)
        for trade in simulated.trade(NOW + step):
            side, best = (asks, min(asks)) if trade.buy else (bids, max(bids))
            assert trade.price == best
            side[best] -= trade.quantity
            if not side[best]:
                del side[best]
            seen += 1
        assert (simulated.asks, simulated.bids) == (asks, bids)
        simulated.shuffle()
    assert seen > 100


def test_taking_stops_at_the_limit():
    simulated = market()
    best, below = sorted(simulated.bids, reverse=True)[:2]
    everything = sum(simulated.bids.values())
    trades = simulated.take(buy=False, quantity=everything, now=NOW, limit=below)
    assert [trade.price for trade in trades] == [best, below]


def test_the_day_agrees_with_the_trades():
    simulated = market("TRX_USDT")
    opened, high, low, volume, value = simulated.window.day
    for step in range(200):
        trades = simulated.trade(NOW + step * 0.1)
        for trade in trades:
            high, low = max(high, trade.price), min(low, trade.price)
            volume, value = volume + trade.quantity, value + trade.price * trade.quantity
        if trades:
            assert simulated.window.last == trades[-1].price
        simulated.shuffle()
        assert simulated.window.day == (opened, high, low, volume, value)


def test_after_a_day_without_trades_the_window_is_empty_and_flat():
    window = market().window
    window.roll(NOW + 86_400 + 900)
    assert window.day == (window.last, window.last, window.last, 0, 0)


def test_history_ends_at_the_last_price():
    simulated = market()
    assert simulated.trades[-1].price == simulated.window.last
    assert simulated.trades[-1].ts < NOW


def test_the_same_seed_gives_the_same_market():
    def walk(seed: int) -> tuple[object, ...]:
        simulated = market(seed=seed)
        trades: list[Trade] = []
        for step in range(100):
            trades += simulated.trade(NOW + step)
            simulated.shuffle()
        return trades, simulated.bids, simulated.asks, simulated.window.day

    assert walk(1) == walk(1)
    assert walk(1) != walk(2)


def test_the_account_never_crosses_the_book_nor_loses_its_place():
    simulated, account = market(), Account(Random("account"))
    for step in range(1_500):
        now = NOW + step
        account.match(simulated, simulated.trade(now), now)
        account.act(simulated, now)
        simulated.shuffle()
        assert simulated.best_bid < simulated.best_ask
        resting: Counter[int] = Counter()
        for order in account.orders:
            assert order.left > 0
            assert order.price is not None
            side = simulated.bids if order.buy else simulated.asks
            resting[order.price] += order.left
            assert side[order.price] >= resting[order.price]
        assert simulated.reserved == dict(resting)
    kinds = Counter(data.get("type", channel) for channel, _, data in account.take_notices())
    assert min(kinds[kind] for kind in ("created", "updated", "finished", "deal", "balance")) > 20


def test_a_value_never_has_more_digits_than_a_balance():
    for listing in LISTINGS.values():
        assert listing.price_digits + listing.quantity_digits <= 8


@pytest.mark.parametrize(
    ("amount", "digits", "plain", "short", "scientific"),
    [
        (254, 6, "0.000254", "0.000254", "2.54e-4"),
        (10710001, 2, "107100.01", "107100.01", "1.0710001e5"),
        (10710000, 2, "107100.00", "107100", "1.071e5"),
        (5, 0, "5", "5", "5e0"),
        (1180, 8, "0.00001180", "0.0000118", "1.18e-5"),
        (0, 2, "0.00", "0", "0e-2"),
    ],
)
def test_amounts_are_written_digit_by_digit(amount, digits, plain, short, scientific):
    assert text(amount, digits) == plain
    assert trimmed(amount, digits) == short
    assert exponent(amount, digits) == scientific
    assert Decimal(scientific) == Decimal(plain)
    assert decimal(amount, digits, 16) == f"{Decimal(plain):.16f}"


def test_negative_amounts_keep_their_sign():
    assert text(-4, 2) == "-0.04"


def test_an_id_begins_with_its_time():
    made = ulid(1_750_696_376_039, Random(1))
    assert len(made) == 26
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    moment = 0
    for letter in made[:10]:
        moment = moment * 32 + digits.index(letter)
    assert moment == 1_750_696_376_039
