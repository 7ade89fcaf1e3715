"""Rules of the Korean market by date, as the shipped reference data state them to the core."""

from datetime import date
from decimal import Decimal

import pytest

from qts.clock import midnight_ns


def kst(year, month, day):
    return midnight_ns(date(year, month, day), 9 * 3_600)


NOW = kst(2026, 11, 20)


@pytest.fixture
def share(catalog):
    return catalog["005930"].id


@pytest.fixture
def etf(catalog):
    return catalog["069500"].id


@pytest.mark.parametrize(
    ("price", "tick"),
    [
        (1, 1),
        (1_999, 1),
        (2_000, 5),
        (4_995, 5),
        (5_000, 10),
        (19_990, 10),
        (20_000, 50),
        (49_950, 50),
        (50_000, 100),
        (199_900, 100),
        (200_000, 500),
        (499_500, 500),
        (500_000, 1_000),
        (3_000_000, 1_000),
    ],
)
def test_share_ticks_since_2023(catalog, share, price, tick):
    assert catalog.core.tick_size(share, price, NOW) == tick


@pytest.mark.parametrize(
    ("price", "ticks", "result"),
    [
        (1_999, 1, 2_000),
        (2_000, -1, 1_999),
        (2_000, 1, 2_005),
        (200_000, -1, 199_900),
        (199_900, 1, 200_000),
        (500_000, 1, 501_000),
        (500_000, -1, 499_500),
    ],
)
def test_a_step_uses_the_tick_of_the_band_it_lands_in(catalog, share, price, ticks, result):
    assert catalog.core.step(share, price, ticks, NOW) == result


@pytest.mark.parametrize(
    ("when", "price", "tick"),
    [
        (kst(2023, 1, 24), 15_000, 50),
        (kst(2023, 1, 25), 15_000, 10),
        (kst(2023, 1, 24), 150_000, 500),
        (kst(2023, 1, 25), 150_000, 100),
        (kst(2010, 10, 3), 900, 5),
        (kst(2010, 10, 4), 900, 1),
        (kst(1995, 1, 1), 900, 5),  # before the first row the first row holds
    ],
)
def test_share_ticks_change_at_local_midnight_of_their_day(catalog, share, when, price, tick):
    assert catalog.core.tick_size(share, price, when) == tick


def test_fund_ticks(catalog, etf):
    assert catalog.core.tick_size(etf, 1_500, kst(2023, 12, 10)) == 5
    assert catalog.core.tick_size(etf, 1_500, kst(2023, 12, 11)) == 1
    assert catalog.core.tick_size(etf, 35_000, NOW) == 5


@pytest.mark.parametrize(
    ("base", "upper", "lower"),
    [
        (9_990, 12_980, 7_000),
        (49_950, 64_900, 35_000),
        (71_300, 92_600, 50_000),
        (199_900, 259_500, 140_000),
        (500_000, 650_000, 350_000),
    ],
)
def test_price_limits(catalog, share, base, upper, lower):
    assert catalog.core.price_limits(share, base, NOW) == (lower, upper)


def test_price_limits_by_date_and_kind(catalog, share):
    assert catalog.core.price_limits(share, 10_000, kst(2015, 6, 14)) == (8_500, 11_500)
    assert catalog.core.price_limits(share, 10_000, kst(1998, 12, 6)) == (8_800, 11_200)
    assert catalog.core.price_limits(catalog["122630"].id, 10_000, NOW) == (4_000, 16_000)
    assert catalog.core.price_limits(catalog["ETHUSDT"].id, 10**11, NOW) is None


@pytest.mark.parametrize(
    ("when", "tax"),
    [
        (kst(1990, 9, 11), 30_000),
        (kst(2019, 6, 2), 30_000),
        (kst(2019, 6, 3), 25_000),
        (kst(2021, 1, 1), 23_000),
        (kst(2023, 1, 1), 20_000),
        (kst(2024, 1, 1), 18_000),
        (kst(2025, 1, 1), 15_000),
        (kst(2025, 12, 31), 15_000),
        (kst(2026, 1, 1), 20_000),
    ],
)
def test_transaction_tax_by_date(catalog, share, when, tax):
    assert catalog.core.tax(share, "SELL", 10_000_000, when) == tax
    assert catalog.core.tax(share, "BUY", 10_000_000, when) == 0


def test_costs_of_a_round_trip_are_those_of_the_specification(catalog, share):
    # 0.20 % + 2 * 0.015 % of 70,000 won = 161 won a share: two ticks before the spread.
    amount = catalog.core.amount(share, 70_000, 1_000)
    costs = (
        catalog.core.fee(share, "BUY", amount, NOW)
        + catalog.core.fee(share, "SELL", amount, NOW)
        + catalog.core.tax(share, "SELL", amount, NOW)
    )
    assert costs == 161_000


def test_fees_are_truncated(catalog, share):
    assert catalog.core.fee(share, "BUY", 71_000 * 50, NOW) == 532
    assert catalog.core.tax(share, "SELL", 999, NOW) == 1


def test_funds_and_coins_pay_no_tax(catalog, etf):
    assert catalog.core.tax(etf, "SELL", 10_000_000, NOW) == 0
    coin = catalog["ETHUSDT"]
    amount = catalog.core.amount(coin.id, coin.price_units("2681.62"), coin.qty_units("1.165"))
    assert coin.money(amount) == Decimal("3124.08730000")
    assert coin.money(catalog.core.fee(coin.id, "SELL", amount, NOW)) == Decimal("1.56204365")
    assert catalog.core.tax(coin.id, "SELL", amount, NOW) == 0
    assert catalog.core.tick_size(coin.id, coin.price_units("2681.62"), NOW) == coin.price_units("0.01")
