"""A track spends what its pool has, and nothing of what is another's; exits need no pool."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from qts.capital.contracts import POOLS, CapitalEngineOutput, CapitalPoolContract, PoolLimit, PoolState
from qts.codes import EngineFault
from qts.engines import RiskLimits
from qts.pipeline.contracts import Stance
from qts.pipeline.ports import DAY_NS
from qts.strategy import Intent
from qts.strategy.examples import TargetWeights

LOOSE = RiskLimits(1_000_000, 1_000_000, max_risk_score_ppm=1_000_000, max_trade_qty=None, max_order_money=None)
NOW = datetime(2024, 6, 3, 2, tzinfo=UTC)
NONE = Decimal(0)


def pool(name, available, invested=0):
    total = available + invested
    return CapitalPoolContract(
        pool_id=name,
        version="1.0.0",
        timestamp=NOW,
        total_capital=total,
        available_capital=available,
        invested_capital=invested,
        reserved_capital=0,
        held_for_orders=0,
        realized_pnl=0,
        unrealized_pnl=0,
        accumulated_profit=0,
        nav_gain=0,
        allocation_pct=NONE,
        target_allocation_pct=NONE,
        last_promotion_time=None,
        promotion_eligible=False,
        pool_state=PoolState.ACTIVE,
        pause_causes=(),
        lock_reason=None,
        lock_code=None,
        lock_timestamp=None,
        units=0,
        unit_price=Decimal(1),
        peak_unit_price=Decimal(1),
        is_funded=True,
        revision=0,
    )


class Capital:
    """Pools that a test fills by hand, and an engine that passes on what they have."""

    def __init__(self, scalp=50_000_000, swing=30_000_000, portfolio=20_000_000):
        self.pools = {"SCALP": pool("SCALP", scalp), "SWING": pool("SWING", swing)}
        self.pools["PORTFOLIO"] = pool("PORTFOLIO", portfolio)
        self.closed = {}
        self.look_error = None
        self.decide_error = None
        self.asked = []

    def look(self, ts_ns):
        if self.look_error is not None:
            raise self.look_error
        return self.pools

    def decide(self, raw, equity, track_values):
        self.asked.append((raw.capital_pools, equity, dict(track_values)))
        if self.decide_error is not None:
            raise self.decide_error
        limits = {
            name: PoolLimit(self.pools[name].available_capital, name not in self.closed, self.closed.get(name, ""))
            for name in POOLS
        }
        return CapitalEngineOutput(
            dict.fromkeys(POOLS, NONE), (), (), False, (), limits, (), dict.fromkeys(POOLS, False), {}, ""
        )


@pytest.fixture
def capital(world, scripted):
    world.capital = Capital()
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100, last=70_000)
    world.pipeline(
        scripted("scalp"), scripted("swing", track="SWING"), scripted("keep", track="PORTFOLIO"), limits=LOOSE
    )
    return world.capital


def buy(symbol="A", **parts):
    return Intent.entry(symbol, "in", **{"qty": 10, **parts})


def run(world, *wishes):
    return world.p.on_cycle("EVENT", world.now_ns, list(wishes))


def quantities(world):
    return {(request.track, request.symbol): request.qty for request in world.placed}


def cost(qty, price=70_200):
    return qty * price + -(-qty * price * 15_000 // 100_000_000)


def test_entry_is_bounded_by_its_pool_commission_included(world, capital):
    capital.pools["SCALP"] = pool("SCALP", cost(7) - 1)
    capital.pools["SWING"] = pool("SWING", cost(7))
    result = run(world, (0, buy()), (1, buy("B")))
    assert quantities(world) == {("SCALP", "A"): 6, ("SWING", "B"): 7}
    decision = next(row for row in result.decisions if row.track == "SCALP")
    assert (decision.evaluation.portfolio.binding_constraint, decision.codes) == ("pool", ("pool_available",))


def test_account_binds_as_well_as_the_pool(world, capital):
    world.reserved_ = 100_000_000 - cost(4)
    run(world, (0, buy()))
    assert quantities(world) == {("SCALP", "A"): 4}


def test_purchases_of_one_cycle_share_their_pool_and_leave_the_others_alone(world, scripted):
    world.capital = Capital(scalp=cost(10) + cost(5), swing=cost(10))
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100)
    world.pipeline(scripted("one"), scripted("two"), scripted("swing", track="SWING"), limits=LOOSE)
    run(world, (0, buy()), (1, buy("B")), (2, buy("B")))
    assert quantities(world) == {("SCALP", "A"): 10, ("SCALP", "B"): 5, ("SWING", "B"): 10}


def test_weights_are_shares_of_the_pool_at_this_cycles_prices(world, capital):
    world.hold(1, "SWING", 100, 6_000_000)
    capital.pools["SWING"] = pool("SWING", 14_000_000, invested=6_000_000)
    run(world, (0, buy(qty=None, weight_ppm=100_000)), (1, buy(qty=None, weight_ppm=100_000)))
    worth = 14_000_000 + 100 * 70_000
    assert quantities(world) == {("SCALP", "A"): 5_000_000 // 70_200, ("SWING", "A"): worth // 10 // 70_200}


def test_weights_of_a_track_may_add_up_to_one_whatever_the_others_do(world, capital):
    run(world, (0, buy(qty=None, weight_ppm=900_000)), (1, buy("B", qty=None, weight_ppm=900_000)))
    assert len(world.placed) == 2


def test_weights_of_one_track_beyond_its_pool_are_refused_there_alone(world, scripted):
    world.capital = Capital()
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100)
    world.pipeline(scripted("one"), scripted("two"), scripted("swing", track="SWING"), limits=LOOSE)
    heavy = {"qty": None, "weight_ppm": 600_000}
    result = run(world, (0, buy(**heavy)), (1, buy("B", **heavy)), (2, buy("B", **heavy)))
    assert {(row.track, row.reason) for row in result.decisions} == {("SCALP", "PE020"), ("SWING", "in")}


def test_concentration_is_a_share_of_the_pools_cash(world, scripted):
    world.capital = Capital(scalp=1_000_000)
    world.set_quote(0, bid=70_000, ask=70_100)
    limits = RiskLimits(1_000_000, 1_000_000, max_trade_qty=None, max_order_money=None)
    world.pipeline(scripted(), limits=limits)
    assert world.wish(buy(qty=10)).reason == "risk_score_exceeded"
    assert world.wish(buy(qty=9)).status == "executed"


@pytest.mark.parametrize(("why", "reason"), [("GR051", "GR051"), ("LOCKED", "LOCKED"), ("", "pool_closed")])
def test_closed_pool_lets_nothing_in_and_everything_out(world, capital, why, reason):
    capital.closed["SCALP"] = why
    result = run(world, (0, buy()), (1, buy("B")))
    assert {(row.track, row.reason) for row in result.decisions} == {("SCALP", reason), ("SWING", "in")}
    refused = next(row for row in result.decisions if row.track == "SCALP")
    assert refused.evaluation.risk.gate == "pool"
    world.hold(0, "SCALP", 10, 700_000)
    assert run(world, (0, Intent.exit("A", "out"))).status == "executed"


def test_closed_pool_is_closed_to_rebalancing_purchases_too(world, capital):
    capital.closed["PORTFOLIO"] = "LOCKED"
    rebalance = Intent("A", "BUY", "REBALANCE", "to target", target_weight_ppm=300_000)
    assert run(world, (2, rebalance)).reason == "LOCKED"
    capital.closed.clear()
    assert run(world, (2, rebalance)).status == "executed"


def test_strategy_sees_the_cash_of_its_pool(world, scripted):
    world.capital = Capital(swing=1_234_567)
    strategy = scripted(track="SWING", bar_interval_ns=1_000_000_000)
    world.set_quote(0, bid=70_000, ask=70_100)
    world.pipeline(strategy)
    world.close_bar(0, 70_000)
    world.cycle()
    assert [execution.cash for _, execution in strategy.seen] == [1_234_567]


def test_capital_engine_is_told_what_it_decides_on(world, capital):
    world.hold(1, "SWING", 100, 6_000_000)
    world.cycle()
    [(pools, equity, values)] = capital.asked
    assert pools is capital.pools
    assert (equity, values) == (107_000_000, {"SCALP": 0, "SWING": 7_000_000, "PORTFOLIO": 0})


@pytest.mark.parametrize(("call", "code"), [("look_error", "KE001"), ("decide_error", "KE002")])
def test_failure_of_the_capital_room_closes_the_cycle_to_entries_alone(world, capital, call, code):
    setattr(capital, call, ValueError("lost"))
    world.hold(1, "SWING", 10, 700_000)
    result = run(world, (0, buy()), (1, Intent.exit("B", "out")))
    assert [(row.side, row.action, row.reason) for row in result.decisions] == [
        ("SELL", "SELL", "out"),
        ("BUY", "NONE", code),
    ]
    assert [(fault.code, fault.message) for fault in world.p.faults()] == [(code, "ValueError: lost")]
    setattr(capital, call, None)
    assert run(world, (0, buy())).status == "executed"


def test_weight_has_no_meaning_while_the_pools_are_unknown(world, capital):
    capital.look_error = OSError("gone")
    world.hold(0, "PORTFOLIO", 100, 7_000_000)
    trim = Intent("A", "SELL", "REBALANCE", "trim", target_weight_ppm=10_000)
    assert run(world, (2, trim)).reason == "KE001"


@pytest.mark.parametrize("call", ["look_error", "decide_error"])
def test_third_cycle_without_an_answer_is_reported(world, capital, call):
    setattr(capital, call, ValueError("lost"))
    results = [world.cycle() for _ in range(4)]
    assert [[report.code for report in result.reports] for result in results] == [[], [], ["AN081"], ["AN081"]]
    assert {result.status for result in results} == {"skipped"}, "a report is no error of the cycle"
    assert [(fault.code, fault.count) for fault in world.p.faults()][1:] == [("AN081", 1)]
    setattr(capital, call, None)
    world.cycle()
    setattr(capital, call, ValueError("lost"))
    assert world.cycle().reports == (), "an answer ends the row"


@pytest.mark.parametrize("call", ["look_error", "decide_error"])
def test_fault_of_the_capital_room_itself_ends_the_run_with_its_code(world, capital, call):
    setattr(capital, call, EngineFault("FS080", found="pools are empty", expected="capital", hint="deposit"))
    with pytest.raises(EngineFault) as raised:
        world.cycle()
    assert raised.value.code == "FS080"


def test_one_pool_is_decided_as_without_any(world, scripted):
    def lines(capital):
        fresh = type(world)()
        fresh.capital = capital
        for instrument in (0, 1):
            fresh.set_quote(instrument, bid=70_000, ask=70_100)
        fresh.pipeline(scripted("one"), scripted("two"))
        fresh.wish(buy(qty=None, weight_ppm=50_000), buy("B", qty=20_000))
        fresh.stance = Stance(max_positions=0)
        fresh.wait(1)
        fresh.wish(buy())
        assert fresh.lines
        assert json.loads(fresh.lines[0])["action"] == "BUY"
        return fresh.lines, fresh.p.decision_hash

    whole = Capital()
    whole.pools = None
    assert lines(whole) == lines(None)
    assert whole.asked == []


def test_target_weights_are_put_right_both_ways_at_the_turn_of_a_month(world):
    world.capital = Capital()
    world.capital.pools["PORTFOLIO"] = pool("PORTFOLIO", 13_000_000, invested=7_000_000)
    world.hold(1, "PORTFOLIO", 100, 7_000_000)
    for instrument in (0, 1):
        world.set_quote(instrument, bid=70_000, ask=70_100, last=70_000)
    world.pipeline(TargetWeights(weights="A=0.30,B=0.10", sessions=1), limits=LOOSE)
    for instrument in (0, 1):
        world.close_bar(instrument, 70_000, interval_ns=DAY_NS)
    world.cycle()
    assert [(request.side, request.symbol, request.qty) for request in world.placed] == [
        ("SELL", "B", 100 - 2_000_000 // 69_800),
        ("BUY", "A", 6_000_000 // 70_200),
    ]
