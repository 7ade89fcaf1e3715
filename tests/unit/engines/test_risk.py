"""Risk gates, one by one."""

import pytest

from qts.engines import GATES, RiskEngine, RiskLimits, RiskQuestion, buying_power
from qts.strategy import Terms

SHARE = Terms.of(0, "A", 1, 0, 0, 0)
COIN = Terms.of(1, "ETHUSDT", 10_000, 8, 8, 8)
UNLIMITED = RiskLimits(max_trade_qty=None, max_order_money=None, max_risk_score_ppm=1_000_000)


def question(**parts):
    values = {
        "terms": SHARE,
        "side": "BUY",
        "is_exit": False,
        "desired_qty": 10,
        "price": 70_100,
        "permission": "",
        "session": "",
        "equity": 100_000_000,
        "start_equity": 100_000_000,
        "drawdown_ppm": 0,
        "open_symbols": 0,
        "symbol_is_open": False,
        "symbol_value": 0,
        "gross_value": 0,
        "orderable": 100_000_000,
        "buy_fee_rate": 15_000,
        "sellable_qty": 0,
    }
    return RiskQuestion(**{**values, **parts})


def ask(limits=UNLIMITED, **parts):
    return RiskEngine(limits).evaluate(question(**parts))


def test_wish_within_every_limit_passes_whole():
    decision = ask()
    assert (decision.approved, decision.allowed_qty, decision.reason, decision.stage) == (
        True,
        10,
        "",
        "PASS",
    )
    assert len(decision.checks) == len(GATES)
    assert dict(zip(GATES, decision.checks, strict=True))["symbol_weight"] == 10_000_000 // 70_100


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({"price": 0}, "invalid_price"),
        ({"desired_qty": 0}, "qty_non_positive"),
        ({"side": "HOLD"}, "unknown_side"),
        ({"permission": "strategy_suspended"}, "strategy_suspended"),
        ({"session": "GR034"}, "GR034"),
        ({"equity": 98_000_000}, "GR020"),
        ({"drawdown_ppm": 100_000}, "GR021"),
        ({"open_symbols": 15}, "GR002"),
        ({"symbol_value": 10_000_000}, "GR010"),
        ({"gross_value": 50_000_000}, "GR001"),
        ({"orderable": 70_109}, "GR042"),
    ],
)
def test_gate_refuses_with_its_code(parts, reason):
    decision = ask(**parts)
    assert (decision.approved, decision.allowed_qty, decision.reason, decision.stage) == (
        False,
        0,
        reason,
        "BLOCK",
    )


@pytest.mark.parametrize(
    ("parts", "allowed", "reason"),
    [
        ({"drawdown_ppm": 50_000}, 5, "GR021"),
        ({"symbol_value": 9_500_000}, 7, "GR010"),
        ({"gross_value": 49_800_000}, 2, "GR001"),
        ({"orderable": 70_111 * 3}, 3, "GR042"),
        ({"orderable": 70_110 * 3}, 2, "GR042"),
    ],
)
def test_gate_cuts_to_what_is_left(parts, allowed, reason):
    decision = ask(**parts)
    assert (decision.approved, decision.allowed_qty, decision.reason, decision.stage) == (
        True,
        allowed,
        reason,
        "REDUCE",
    )


def test_just_inside_the_limits_nothing_is_cut():
    assert ask(equity=98_000_001).stage == "PASS"
    assert ask(drawdown_ppm=49_999).stage == "PASS"
    assert ask(open_symbols=15, symbol_is_open=True).stage == "PASS"


def test_tightest_gate_wins_and_all_are_kept():
    decision = ask(symbol_value=9_500_000, gross_value=49_800_000, orderable=70_111 * 3)
    checks = dict(zip(GATES, decision.checks, strict=True))
    assert (decision.gate, decision.allowed_qty) == ("gross_exposure", 2)
    assert (checks["symbol_weight"], checks["gross_exposure"], checks["buying_power"]) == (7, 2, 3)


def test_order_size_limits_of_the_policy():
    assert ask(RiskLimits(max_trade_qty=4, max_order_money=None)).reason == "max_trade_qty"
    decision = ask(RiskLimits(max_order_money=600_000))
    assert (decision.allowed_qty, decision.gate) == (8, "max_order_value")


def test_trade_quantity_limit_counts_whole_coins():
    limits = RiskLimits(1_000_000, 1_000_000, max_trade_qty=2, max_order_money=None)
    wish = {
        "terms": COIN,
        "price": 2_500 * 10**8,
        "equity": 10**15,
        "start_equity": 10**15,
        "orderable": 10**15,
    }
    assert ask(limits, **wish, desired_qty=3 * 10**8).allowed_qty == 2 * 10**8


def test_concentration_is_scored_after_the_caps():
    limits = RiskLimits(1_000_000, 1_000_000, max_trade_qty=None, max_order_money=None)
    assert (
        ask(limits, orderable=1_000_000, equity=1_000_000, start_equity=1_000_000, desired_qty=9).score_ppm == 630_900
    )
    refused = ask(limits, orderable=1_000_000, equity=1_000_000, start_equity=1_000_000, desired_qty=10)
    assert (refused.allowed_qty, refused.reason, refused.score_ppm) == (0, "risk_score_exceeded", 701_000)


def test_exit_passes_everything_but_sanity_session_and_holding():
    nothing_allowed = RiskLimits(0, 0, 0, 0, 0, 0, 0, 0)
    parts = {
        "side": "SELL",
        "is_exit": True,
        "permission": "strategy_suspended",
        "equity": 1,
        "drawdown_ppm": 900_000,
        "open_symbols": 99,
        "max_positions": 0,
        "trades_left": 0,
        "multiplier_ppm": 1,
        "symbol_value": 10**9,
        "gross_value": 10**9,
        "orderable": 0,
        "sellable_qty": 10,
    }
    assert ask(nothing_allowed, **parts).stage == "PASS"
    assert ask(nothing_allowed, **{**parts, "sellable_qty": 7}).allowed_qty == 7
    assert ask(nothing_allowed, **{**parts, "sellable_qty": 0}).reason == "GR032"
    assert ask(nothing_allowed, **parts, session="GR034").reason == "GR034"
    assert ask(nothing_allowed, **parts, price=0).reason == "invalid_price"


def test_buying_power_leaves_room_for_the_commission_rounded_up():
    for orderable in range(70_000, 800_000, 997):
        qty = buying_power(SHARE, 70_100, orderable, 15_000)
        cost = qty * 70_100
        assert cost + -(-cost * 15_000 // 10**8) <= orderable
        more = (qty + 1) * 70_100
        assert more + more * 15_000 // 10**8 >= orderable or qty == 0 or more > orderable


def test_lots_of_a_coin_are_kept():
    qty = buying_power(COIN, 2_681_62000000, 1_000 * 10**8, 50_000)
    assert qty % COIN.lot == 0
    assert COIN.value(2_681_62000000, qty) <= 1_000 * 10**8


def test_no_money_buys_nothing():
    assert SHARE.quantity(-5, 100) == 0
    assert SHARE.quantity(99, 100) == 0
    assert Terms.of(0, "K", 1, 0, 0, 2).quantity(100_00, 100) == 1
    assert Terms.of(0, "K", 1, 0, 0, 2).value(100, 1) == 100_00
