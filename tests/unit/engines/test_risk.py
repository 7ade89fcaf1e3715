"""Risk gates, one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.engines import GATES, PortfolioEngine, RiskEngine, RiskLimits, RiskQuestion, StrategyPolicy, buying_power
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
        "track_equity": 100_000_000,
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
    limits = RiskLimits(1_000_000, 1_000_000, max_trade_qty=2, max_order_money=None, sector_limit_ppm=1_000_000)
    wish = {
        "terms": COIN,
        "price": 2_500 * 10**8,
        "equity": 10**15,
        "start_equity": 10**15,
        "orderable": 10**15,
    }
    assert ask(limits, **wish, desired_qty=3 * 10**8).allowed_qty == 2 * 10**8


def test_concentration_is_scored_after_the_caps():
    limits = RiskLimits(1_000_000, 1_000_000, max_trade_qty=None, max_order_money=None, sector_limit_ppm=1_000_000)
    assert (
        ask(limits, orderable=1_000_000, equity=1_000_000, start_equity=1_000_000, desired_qty=9).score_ppm == 630_900
    )
    refused = ask(limits, orderable=1_000_000, equity=1_000_000, start_equity=1_000_000, desired_qty=10)
    assert (refused.allowed_qty, refused.reason, refused.score_ppm) == (0, "risk_score_exceeded", 701_000)


def test_exit_passes_everything_but_sanity_session_and_holding():
    nothing_allowed = RiskLimits(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, require_stop=True)
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
        "pool_cash": 0,
        "pool_closed": "LOCKED",
        "sector_value": 10**9,
        "adv_qty": 0,
        "depth_qty": 0,
        "policy": StrategyPolicy(1, "BLOCK"),
        "track_equity": 0,
        "stop_price": 10**9,
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


def test_gates_stand_in_the_order_of_the_specification():
    assert [gate for gate in GATES if not gate.startswith("max_")] == [
        "sanity",
        "permission",
        "session",
        "daily_loss",
        "drawdown",
        "position_count",
        "trade_count",
        "symbol_weight",
        "sector_weight",
        "gross_exposure",
        "pool",
        "buying_power",
        "holding",
        "liquidity",
        "strategy_policy",
        "concentration",
        "stop_distance",
    ]


def test_sector_counts_what_all_its_symbols_hold():
    decision = ask(sector_value=29_500_000)
    assert (decision.allowed_qty, decision.reason, decision.gate) == (7, "GR011", "sector_weight")
    assert ask(sector_value=30_000_000).reason == "GR011"
    assert ask(sector_value=30_000_000).stage == "BLOCK"
    assert ask(sector_value=29_299_000).stage == "PASS"
    assert ask(sector_value=29_500_000, multiplier_ppm=1_200_000).stage == "PASS"


@pytest.mark.parametrize(
    ("parts", "allowed", "reason"),
    [
        ({"pool_cash": 70_111 * 3}, 3, "pool_available"),
        ({"pool_cash": 70_110 * 3}, 2, "pool_available"),
        ({"pool_cash": 0}, 0, "pool_available"),
        ({"pool_cash": -1}, 0, "pool_available"),
        ({"pool_cash": 10**9, "pool_closed": "GR051"}, 0, "GR051"),
        ({"pool_cash": 10**9, "orderable": 70_111 * 3}, 3, "GR042"),
    ],
)
def test_pool_and_account_both_bind(parts, allowed, reason):
    decision = ask(**parts)
    assert (decision.allowed_qty, decision.reason) == (allowed, reason)


def test_entry_is_at_most_one_percent_of_a_days_volume():
    assert ask(adv_qty=1_000).stage == "PASS"
    decision = ask(adv_qty=999)
    assert (decision.allowed_qty, decision.reason, decision.silent) == (9, "GR043", ("stop_distance",))
    assert ask(adv_qty=99).stage == "BLOCK"


def test_depth_binds_where_it_is_asked_for():
    limits = UNLIMITED.__class__(
        **{**{f: getattr(UNLIMITED, f) for f in UNLIMITED.__slots__}, "max_depth_ppm": 200_000}
    )
    assert ask(depth_qty=1).stage == "PASS"
    assert ask(limits, adv_qty=10**6, depth_qty=50).stage == "PASS"
    assert (ask(limits, adv_qty=10**6, depth_qty=49).allowed_qty, ask(limits, depth_qty=49).reason) == (9, "GR043")


def test_gate_that_knows_nothing_leaves_everything_and_is_named():
    decision = ask()
    assert (decision.stage, decision.silent) == ("PASS", ("liquidity", "stop_distance"))
    assert dict(zip(GATES, decision.checks, strict=True))["liquidity"] == 10
    assert ask(adv_qty=10**6, stop_price=70_000).silent == ()


@pytest.mark.parametrize(
    ("policy", "allowed", "stage"),
    [
        (StrategyPolicy(10), 10, "PASS"),
        (StrategyPolicy(9), 9, "WARN"),
        (StrategyPolicy(9, "REDUCE", 4), 4, "REDUCE"),
        (StrategyPolicy(9, "REDUCE", 0), 0, "BLOCK"),
        (StrategyPolicy(9, "BLOCK"), 0, "BLOCK"),
        (StrategyPolicy(10, "BLOCK"), 10, "PASS"),
    ],
)
def test_policy_of_a_strategy_speaks_only_of_orders_above_its_limit(policy, allowed, stage):
    decision = ask(policy=policy)
    assert (decision.allowed_qty, decision.stage) == (allowed, stage)
    assert decision.reason == ("" if stage == "PASS" else "strategy_policy")


def test_policy_counts_whole_coins():
    wish = {"terms": COIN, "price": 2_500 * 10**8, "equity": 10**15, "start_equity": 10**15, "orderable": 10**15}
    assert ask(**wish, desired_qty=3 * 10**8, policy=StrategyPolicy(2)).allowed_qty == 2 * 10**8


def test_stop_bounds_what_one_trade_may_lose():
    assert ask(desired_qty=100, stop_price=65_100).stage == "PASS"
    decision = ask(desired_qty=101, stop_price=65_100)
    assert (decision.allowed_qty, decision.reason) == (100, "risk_per_trade")
    assert ask(desired_qty=100, stop_price=65_100, track_equity=50_000_000).allowed_qty == 50
    assert ask(desired_qty=120, stop_price=65_100, multiplier_ppm=1_200_000).stage == "PASS"


@pytest.mark.parametrize("stop_price", [70_100, 70_101, 0, -1])
def test_stop_that_is_no_stop_is_refused(stop_price):
    assert ask(stop_price=stop_price).reason == "invalid_stop"


def test_stop_is_required_where_the_owner_says_so():
    limits = RiskLimits(max_trade_qty=None, max_order_money=None, require_stop=True)
    assert ask().stage == "PASS"
    assert ask(limits).reason == "stop_missing"
    assert ask(limits, needs_stop=False).stage == "PASS"
    assert ask(limits, stop_price=70_000).stage == "PASS"


POLICIES = st.builds(
    StrategyPolicy, st.integers(1, 5_000), st.sampled_from(["WARN", "REDUCE", "BLOCK"]), st.integers(0, 1)
)
AMOUNTS = st.integers(-1, 10**9)


@given(
    desired=st.integers(1, 10_000),
    price=st.integers(1, 500_000),
    symbol_value=AMOUNTS,
    sector_value=AMOUNTS,
    gross_value=AMOUNTS,
    orderable=AMOUNTS,
    pool_cash=st.none() | AMOUNTS,
    adv_qty=st.none() | st.integers(0, 10**6),
    drawdown_ppm=st.integers(0, 200_000),
    stop=st.none() | st.integers(0, 500_000),
    policy=st.none() | POLICIES,
)
def test_final_quantity_is_the_tightest_cap_and_names_it(desired, price, stop, drawdown_ppm, policy, **amounts):
    decision = RiskEngine(RiskLimits()).evaluate(
        question(desired_qty=desired, price=price, stop_price=stop, drawdown_ppm=drawdown_ppm, policy=policy, **amounts)
    )
    sized = PortfolioEngine().size(desired, None, "ENTRY", decision, 1, side="BUY")
    assert sized.final_qty == max(0, min(decision.checks)) == decision.allowed_qty
    if sized.final_qty < desired:
        assert dict(zip(GATES, decision.checks, strict=True))[sized.binding_constraint] == decision.allowed_qty
        assert decision.reason
    else:
        assert (sized.binding_constraint, decision.reason) == ("desired", "")
