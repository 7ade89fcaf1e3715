"""The capital engine as a whole: checks that lock, bands and drift, what Safety and states let happen, equal bytes."""

from dataclasses import replace
from datetime import timedelta, timezone
from decimal import Decimal, localcontext

import pytest
from engine_samples import (
    NOW,
    alerts,
    codes,
    evaluate,
    fallen,
    locked,
    metric,
    metrics,
    moved,
    pool,
    pools,
    profit,
    sample,
)

from qts.capital.alerts import fresh_alerts
from qts.capital.allocation import initial_amounts, split
from qts.capital.config import CapitalFlowConfig
from qts.capital.contracts import POOLS, Episode, FlowGates, LockOrder, PauseCause, PoolState
from qts.capital.digest import canonical
from qts.capital.engine import CapitalEngine, EvaluationGuard
from qts.codes import TABLE, UsageError
from qts.safety import SafetyState
from qts.state import OperatingState

CONFIG = CapitalFlowConfig()
OPEN = FlowGates(promotion_allowed=True, rebalancing_enabled=True, is_state_defensive=False)
DRIFTED = pools(
    scalp=pool("SCALP", 24_048_000), swing=pool("SWING", 12_000_000), portfolio=pool("PORTFOLIO", 11_952_000)
)


def state_of(name):
    """Settings that fit an operating state: its shares on target."""
    shares = CONFIG.targets[name]
    whole = 48_000_000
    amounts = split(whole, shares)
    return {
        "operating_state": name,
        "pool_states": {each: pool(each, amounts[each], target_allocation_pct=shares[each]) for each in POOLS},
    }


def test_an_account_in_order_needs_nothing():
    output = evaluate()
    assert codes(output) == []
    assert output.pending_promotions == output.pending_demotions == output.locks == ()
    assert not output.rebalancing_required
    assert all(limit.entries_allowed and not limit.reason for limit in output.pool_limits.values())
    assert output.pool_limits["SWING"].available == 16_800_000


# -- fail-safe


@pytest.mark.parametrize(
    ("changes", "component"),
    [
        ({"available_capital": -1, "invested_capital": 1}, "available_capital"),
        ({"available_capital": 16_800_001, "invested_capital": -1}, "invested_capital"),
        ({"available_capital": 16_800_001, "reserved_capital": -1}, "reserved_capital"),
        ({"available_capital": 16_800_001, "held_for_orders": -1}, "held_for_orders"),
        ({"total_capital": -5, "available_capital": -5}, "total_capital"),
    ],
)
def test_a_negative_amount_locks_its_pool(changes, component):
    output = evaluate(pool_states=pools(swing=pool("SWING", **changes)))
    found = alerts(output, "FS081")
    assert dict(found[0].values)["component"] == component
    assert (found[0].severity, found[0].pool_id) == ("FAIL", "SWING")
    assert [(order.pool_id, order.code) for order in output.locks] == [("SWING", "FS081")]
    assert output.pool_limits["SWING"].reason == "FS081"
    assert output.pool_limits["SCALP"].entries_allowed


def test_more_invested_than_there_is_is_invalid():
    swing = pool("SWING", 10_000_000, invested_capital=15_000_000)
    assert swing.available_capital == -5_000_000
    output = evaluate(pool_states=pools(swing=swing))
    assert [alert.values[0][0] for alert in alerts(output, "FS081")] == ["amount", "invested"]
    assert len(output.locks) == 1


def test_a_broken_amount_is_found_before_the_shape_of_anything_else_is_trusted():
    output = evaluate(pool_states=pools(swing=pool("SWING", -60_000_000)))
    assert codes(output)[:2] == ["FS081", "FS081"]
    assert "FS080" in codes(output)


@pytest.mark.parametrize("changes", [{"total_equity": 0}, {"total_equity": -1}, {"pool_states": None}])
def test_no_capital_asks_for_lockdown_and_locks_all(changes):
    if "pool_states" in changes:
        changes = {"pool_states": {name: pool(name, 0) for name in POOLS}}
    output = evaluate(**changes)
    assert (alerts(output, "FS080")[0].severity, alerts(output, "FS080")[0].pool_id) == ("LOCKDOWN", None)
    assert {order.pool_id for order in output.locks if order.code == "FS080"} == set(POOLS)
    assert not any(limit.entries_allowed for limit in output.pool_limits.values())
    assert sum(output.targets.values()) == 1


def test_a_drawdown_beyond_the_limit_locks_its_pool_with_a_warning():
    assert evaluate(pool_states=pools(swing=fallen("SWING", "0.200000"))).locks == ()
    output = evaluate(pool_states=pools(swing=fallen("SWING", "0.200001")))
    (alert,) = alerts(output, "FS082")
    assert (alert.severity, alert.pool_id) == ("WARNING", "SWING")
    assert dict(alert.values) == {"drawdown": "0.200001", "limit": "0.2"}
    assert output.locks == (LockOrder("SWING", "FS082", alert.message),)
    assert output.pool_limits["SWING"] == (16_800_000, False, "FS082")


def test_a_second_locked_pool_makes_a_drawdown_a_fault():
    output = evaluate(pool_states=pools(swing=fallen("SWING", "0.25"), portfolio=locked("PORTFOLIO", "FS081")))
    assert alerts(output, "FS082")[0].severity == "FAIL"
    both = evaluate(pool_states=pools(swing=fallen("SWING", "0.25"), scalp=fallen("SCALP", "0.21")))
    assert [alert.severity for alert in alerts(both, "FS082")] == ["FAIL", "FAIL"]


def test_a_second_locked_pool_is_enough_however_little_it_holds():
    states = pools(
        scalp=pool("SCALP", 40_000_000),
        swing=fallen("SWING", "0.25", total=10_000_000),
        portfolio=locked("PORTFOLIO", total=3_000_000),
    )
    assert alerts(evaluate(pool_states=states), "FS082")[0].severity == "FAIL"
    states["PORTFOLIO"] = pool("PORTFOLIO", 3_000_000)
    assert alerts(evaluate(pool_states=states), "FS082")[0].severity == "WARNING"


@pytest.mark.parametrize(("total", "severity"), [(28_800_000, "FAIL"), (28_799_999, "WARNING")])
def test_half_of_the_capital_locked_makes_a_drawdown_a_fault(total, severity):
    assert 2 * 28_800_000 == 28_800_000 + 16_800_000 + 12_000_000
    output = evaluate(pool_states=pools(scalp=fallen("SCALP", "0.25", total=total)))
    assert alerts(output, "FS082")[0].severity == severity


def test_a_pool_that_is_locked_for_a_cause_is_not_locked_for_it_again():
    held = fallen("SWING", "0.25", pool_state=PoolState.LOCKED, lock_code="FS082", lock_reason="r", lock_timestamp=NOW)
    output = evaluate(pool_states=pools(swing=held))
    assert output.locks == ()
    assert codes(output) == ["FS082"]
    other = held._replace(lock_code="FS081")
    assert [order.code for order in evaluate(pool_states=pools(swing=other)).locks] == ["FS082"]


def test_a_pool_without_capital_so_far_has_no_drawdown_and_no_minimum():
    swing = fallen("SWING", "0.9", total=0, is_funded=False)
    output = evaluate(pool_states=pools(swing=swing))
    assert "FS082" not in codes(output)
    assert "GR051" not in codes(output)


def test_parts_that_do_not_add_up_lock_their_pool_and_stop_transfers():
    crooked = pool("PORTFOLIO")._replace(available_capital=11_999_999)
    output = evaluate(pool_states=pools(portfolio=crooked, scalp=profit("SCALP", 2_000_000)))
    (alert,) = alerts(output, "FS084")
    assert (alert.severity, alert.pool_id) == ("WARNING", "PORTFOLIO")
    assert output.locks[0].code == "FS084"
    assert output.pending_promotions == ()
    assert "GR056" in codes(output)


def test_nothing_moves_in_an_evaluation_that_finds_a_fault():
    states = pools(scalp=profit("SCALP", 2_000_000), portfolio=pool("PORTFOLIO", invested_capital=13_000_000))
    output = evaluate(pool_states=states, performance_metrics=metrics(swing_mdd=metric("0.18")))
    assert alerts(output, "FS081")
    assert output.pending_promotions == output.pending_demotions == ()
    assert not output.rebalancing_required
    assert "GR056" not in codes(output)
    torn = {**DRIFTED, "PORTFOLIO": pool("PORTFOLIO", 11_952_000, invested_capital=13_000_000)}
    assert codes(evaluate(pool_states=torn)) == ["FS081", "FS081", "GR055"]


def test_a_pool_with_a_negative_amount_is_not_told_to_be_uneven_too():
    output = evaluate(pool_states=pools(swing=pool("SWING", available_capital=-7)))
    assert codes(output) == ["FS081"]


@pytest.mark.parametrize(
    "states",
    [
        {"SCALP": pool("SCALP"), "SWING": pool("SWING")},
        {**pools(), "GOLD": pool("SCALP")},
        {**pools(), "SCALP": pool("SWING")},
        {},
    ],
)
def test_anything_but_one_snapshot_of_each_pool_is_refused(states, monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")
    with pytest.raises(UsageError) as refused:
        evaluate(pool_states=states)
    assert refused.value.expected == "exactly SCALP, SWING and PORTFOLIO"


# -- targets


@pytest.mark.parametrize("state", OperatingState)
def test_targets_are_those_of_the_operating_state(state):
    output = evaluate(**state_of(state))
    assert output.targets == CONFIG.targets[state]
    assert codes(output) == []


def with_targets(scalp, swing, portfolio):
    shares = dict(zip(POOLS, map(Decimal, (scalp, swing, portfolio)), strict=True))
    return replace(CONFIG, targets={**CONFIG.targets, OperatingState.BALANCED: shares})


@pytest.mark.parametrize("shares", [("0.405", "0.35", "0.25"), ("0.395", "0.35", "0.25"), ("0.4001", "0.35", "0.25")])
def test_targets_that_are_off_by_little_are_put_right_in_proportion(shares):
    output = evaluate(config=with_targets(*shares))
    assert codes(output) == ["GR050"]
    assert sum(output.targets.values()) == 1
    whole = sum(map(Decimal, shares))
    for name, share in zip(POOLS, shares, strict=True):
        assert abs(output.targets[name] - Decimal(share) / whole) < Decimal("0.0002")


@pytest.mark.parametrize(
    "shares", [("0.4051", "0.35", "0.25"), ("0.30", "0.35", "0.25"), ("-0.10", "0.60", "0.50"), ("1.5", "-0.3", "-0.2")]
)
def test_targets_that_are_off_by_more_make_way_for_the_last_good_ones(shares):
    last = dict(zip(POOLS, map(Decimal, ("0.45", "0.30", "0.25")), strict=True))
    output = evaluate(config=with_targets(*shares), last_targets=last)
    assert codes(output) == ["GR050"]
    assert output.targets == last


def test_the_last_good_targets_are_those_of_the_pools_or_the_shipped_ones():
    bad = with_targets("0.9", "0.9", "0.9")
    crooked = {"SCALP": Decimal(1), "SWING": Decimal(1), "PORTFOLIO": Decimal(0)}
    assert evaluate(config=bad, last_targets=crooked).targets == CONFIG.targets[OperatingState.BALANCED]
    odd = {name: pool(name, target_allocation_pct=Decimal("0.5")) for name in POOLS}
    assert evaluate(config=bad, pool_states=odd).targets == CONFIG.targets[OperatingState.BALANCED]


def test_new_capital_is_split_by_targets_and_scalp_takes_the_remainder():
    assert split(1_000_001, CONFIG.targets[OperatingState.BALANCED]) == {
        "SCALP": 400_001,
        "SWING": 350_000,
        "PORTFOLIO": 250_000,
    }
    assert initial_amounts(CONFIG, OperatingState.AGGRESSIVE, 30_000_000) == {
        "SCALP": 21_000_000,
        "SWING": 6_000_000,
        "PORTFOLIO": 3_000_000,
    }
    first = replace(CONFIG, initial_mode="SCALP_FIRST")
    assert initial_amounts(first, OperatingState.BALANCED, 7) == {"SCALP": 7, "SWING": 0, "PORTFOLIO": 0}


def test_a_negative_amount_is_not_split():
    with pytest.raises(UsageError):
        split(-1, CONFIG.targets[OperatingState.BALANCED])


# -- bands and drift


def test_ten_points_of_drift_are_not_yet_too_many():
    exact = pools(
        scalp=pool("SCALP", 24_000_000), swing=pool("SWING", 12_000_000), portfolio=pool("PORTFOLIO", 12_000_000)
    )
    assert codes(evaluate(pool_states=exact)) == []
    output = evaluate(pool_states=DRIFTED)
    assert [(alert.code, alert.pool_id) for alert in output.capital_alerts] == [("GR055", "SCALP")]
    assert dict(alerts(output, "GR055")[0].values) == {"drift": "0.101", "target": "0.4"}
    assert output.rebalancing_required


def test_one_won_beyond_ten_points_is_drift():
    states = pools(
        scalp=pool("SCALP", 24_000_001), swing=pool("SWING", 12_000_000), portfolio=pool("PORTFOLIO", 11_999_999)
    )
    output = evaluate(pool_states=states)
    assert dict(alerts(output, "GR055")[0].values)["drift"] == "0.1001"


def test_in_aggressive_drift_is_only_told():
    gates = OPEN._replace(rebalancing_enabled=False)
    output = evaluate(pool_states=DRIFTED, gates=gates)
    assert codes(output) == ["GR055"]
    assert not output.rebalancing_required


@pytest.mark.parametrize(("since", "required"), [(None, True), (0, False), (1, True)])
def test_a_rebalance_rests_for_a_session_after_a_release(since, required):
    output = evaluate(pool_states=DRIFTED, gates=OPEN._replace(sessions_since_release=since))
    assert output.rebalancing_required is required


@pytest.mark.parametrize(
    "changes",
    [
        {"safety_state": SafetyState.WARNING},
        {"gates": OPEN._replace(open_codes=frozenset({"FS084"}))},
        {"pool_states": {**DRIFTED, "PORTFOLIO": locked("PORTFOLIO", total=11_952_000)}},
    ],
)
def test_a_rebalance_that_has_to_wait_is_told(changes):
    output = evaluate(**{"pool_states": DRIFTED, **changes})
    assert not output.rebalancing_required
    assert "GR055" in codes(output)
    assert "GR056" in codes(output)


def test_a_share_below_its_minimum_is_told_and_asks_for_a_rebalance():
    states = pools(
        scalp=pool("SCALP", 2_399_999), swing=pool("SWING", 21_600_001), portfolio=pool("PORTFOLIO", 24_000_000)
    )
    targets = with_targets("0.05", "0.45", "0.50")
    output = evaluate(pool_states=states, config=targets)
    assert [(alert.code, alert.pool_id) for alert in output.capital_alerts] == [("GR051", "SCALP")]
    assert not output.rebalancing_required  # a won short of its target: nothing that a rebalance would move
    above = evaluate(pool_states=states, config=with_targets("0.12", "0.40", "0.48"))
    assert codes(above) == ["GR051"]
    assert above.rebalancing_required


def test_an_amount_below_its_minimum_pauses_entries_only_there():
    states = pools(
        scalp=pool("SCALP", 4_000_000), swing=pool("SWING", 3_500_000), portfolio=pool("PORTFOLIO", 2_999_999)
    )
    output = evaluate(pool_states=states)
    (alert,) = alerts(output, "GR051")
    assert dict(alert.values) == {"limit": "3000000", "total": "2999999"}
    assert output.pool_limits["PORTFOLIO"] == (2_999_999, False, "BELOW_MIN")
    assert output.pool_limits["SCALP"].entries_allowed
    assert output.pool_limits["SWING"].entries_allowed
    assert not output.rebalancing_required  # it is above its target: a small account is not lent to


@pytest.mark.parametrize(("name", "least"), [("SCALP", 1_000_000), ("SWING", 2_000_000), ("PORTFOLIO", 3_000_000)])
def test_the_least_amount_of_a_pool_is_enough(name, least):
    for total, reason in ((least, ""), (least - 1, "BELOW_MIN")):
        output = evaluate(pool_states={each: pool(each, total if each == name else 4_000_000) for each in POOLS})
        assert output.pool_limits[name].reason == reason
        assert ("GR051" in codes(output)) is bool(reason)


def test_a_share_above_its_maximum_is_told():
    edge = pools(
        scalp=pool("SCALP", 13_800_000), swing=pool("SWING", 24_000_000), portfolio=pool("PORTFOLIO", 10_200_000)
    )
    assert "GR052" not in codes(evaluate(pool_states=edge))
    edge["SWING"] = pool("SWING", 24_000_002)
    assert [alert.pool_id for alert in alerts(evaluate(pool_states=edge), "GR052")] == ["SWING"]


BANDS = {
    "SCALP": (2_400_000, 38_400_000),
    "SWING": (4_800_000, 24_000_000),
    "PORTFOLIO": (2_400_000, 38_400_000),
}


@pytest.mark.parametrize("name", POOLS)
def test_the_outer_bands_end_where_the_design_says(name):
    least, most = BANDS[name]
    other, third = (each for each in POOLS if each != name)
    small = replace(CONFIG.constraints[name], min_amount=0)
    config = replace(CONFIG, constraints={**CONFIG.constraints, name: small})
    for total, code in ((least, ""), (least - 1, "GR051"), (most, ""), (most + 1, "GR052")):
        rest = 48_000_000 - total
        states = {name: pool(name, total), other: pool(other, rest // 2), third: pool(third, rest - rest // 2)}
        output = evaluate(pool_states=states, config=config)
        found = {alert.code for alert in output.capital_alerts if alert.pool_id == name} & {"GR051", "GR052"}
        assert found == ({code} if code else set()), total


def test_an_account_that_starts_with_scalp_is_let_be_until_another_pool_has_capital():
    alone = {
        "SCALP": pool("SCALP", 48_000_000),
        "SWING": pool("SWING", 0, is_funded=False),
        "PORTFOLIO": pool("PORTFOLIO", 0, is_funded=False),
    }
    first = replace(CONFIG, initial_mode="SCALP_FIRST")
    output = evaluate(pool_states=alone, config=first)
    assert set(codes(output)) == {"GR055"}
    assert not output.rebalancing_required
    by_state = evaluate(pool_states=alone)
    assert {"GR052", "GR055"} == set(codes(by_state))
    assert by_state.rebalancing_required
    funded = {**alone, "SWING": pool("SWING", 500_000)}
    assert {"GR051", "GR052", "GR055"} == set(codes(evaluate(pool_states=funded, config=first)))


# -- Safety and operating state

RIPE = {
    "pool_states": pools(
        scalp=profit("SCALP", 2_000_000, total=24_048_000),
        swing=pool("SWING", 12_000_000),
        portfolio=pool("PORTFOLIO", 11_952_000),
    ),
    "performance_metrics": metrics(portfolio_mdd=metric("0.12")),
    "total_equity": 100_000_000,
}


def test_in_normal_everything_is_done():
    output = evaluate(**RIPE)
    assert len(output.pending_demotions) == len(output.pending_promotions) == 1
    assert output.rebalancing_required
    assert "GR056" not in codes(output)
    assert all(limit.entries_allowed for limit in output.pool_limits.values())


def test_in_warning_all_is_told_entries_go_on_and_everything_that_moves_waits():
    output = evaluate(**RIPE, safety_state=SafetyState.WARNING)
    assert output.pending_demotions == output.pending_promotions == ()
    assert not output.rebalancing_required
    assert codes(output) == ["GR056", "GR056", "GR055", "GR056"]
    assert output.promotion_eligible["SCALP"]
    assert all(limit.entries_allowed for limit in output.pool_limits.values())


def test_in_fail_only_locks_are_looked_at_and_nothing_is_entered():
    output = evaluate(**RIPE, safety_state=SafetyState.FAIL)
    assert output.pending_demotions == output.pending_promotions == output.locks == ()
    assert not output.rebalancing_required
    assert codes(output) == []
    assert not output.promotion_eligible["SCALP"]
    assert {limit[1:] for limit in output.pool_limits.values()} == {(False, "SAFETY")}
    broken = {**RIPE, "pool_states": pools(swing=fallen("SWING", "0.3"))}
    assert [order.code for order in evaluate(**broken, safety_state=SafetyState.FAIL).locks] == ["FS082"]


def test_in_lockdown_all_pools_are_locked_as_a_consequence():
    output = evaluate(**RIPE, safety_state=SafetyState.LOCKDOWN)
    assert [(order.pool_id, order.code) for order in output.locks] == [(name, "FS085") for name in POOLS]
    (alert,) = output.capital_alerts
    assert (alert.code, alert.severity, alert.pool_id) == ("FS085", "INFO", None)
    assert {limit[1:] for limit in output.pool_limits.values()} == {(False, "FS085")}
    assert output.pending_demotions == output.pending_promotions == ()
    assert output.targets == CONFIG.targets[OperatingState.BALANCED]
    held = {name: locked(name, "FS085") for name in POOLS}
    assert evaluate(pool_states=held, safety_state=SafetyState.LOCKDOWN).locks == ()


@pytest.mark.parametrize("state", [SafetyState.FAIL, SafetyState.LOCKDOWN])
def test_targets_follow_a_forced_defensive_and_no_money_does(state):
    output = evaluate(operating_state=OperatingState.DEFENSIVE, safety_state=state)
    assert output.targets == CONFIG.targets[OperatingState.DEFENSIVE]
    assert not output.rebalancing_required


@pytest.mark.parametrize(
    "changes",
    [
        {"operating_state": OperatingState.DEFENSIVE},
        {"gates": OPEN._replace(is_state_defensive=True)},
    ],
)
def test_in_defensive_scalp_opens_nothing(changes):
    output = evaluate(**changes)
    assert output.pool_limits["SCALP"] == (19_200_000, False, "DEFENSIVE")
    assert output.pool_limits["SWING"].entries_allowed
    assert output.pool_limits["PORTFOLIO"].entries_allowed


@pytest.mark.parametrize("cause", PauseCause)
def test_a_paused_pool_opens_nothing_and_says_why(cause):
    paused = pool("SWING", pool_state=PoolState.PAUSED, pause_causes=(cause,))
    assert evaluate(pool_states=pools(swing=paused)).pool_limits["SWING"] == (16_800_000, False, cause.value)


def test_a_pause_without_a_cause_is_an_operators():
    paused = pool("SWING", pool_state=PoolState.PAUSED)
    assert evaluate(pool_states=pools(swing=paused)).pool_limits["SWING"].reason == "OPERATOR"


def test_a_locked_pool_opens_nothing_and_says_why():
    output = evaluate(pool_states=pools(swing=locked("SWING", "FS083")))
    assert output.pool_limits["SWING"] == (16_800_000, False, "FS083")


# -- equal bytes


def spelt_otherwise(inp):
    """The same input with other spellings of its numbers, other orders of its sets and mappings, another zone."""
    kst = timezone(timedelta(hours=9))
    states = {
        name: inp.pool_states[name]._replace(
            timestamp=NOW.astimezone(kst), unit_price=Decimal("1.0"), allocation_pct=Decimal("0.40")
        )
        for name in reversed(POOLS)
    }
    return inp._replace(
        as_of=inp.as_of.astimezone(kst),
        pool_states=states,
        used_keys=frozenset(sorted(inp.used_keys, reverse=True)),
        episodes=dict(reversed(inp.episodes.items())),
        config=replace(inp.config, lock_mdd=Decimal("0.2000")),
    )


def rich():
    return sample(
        **RIPE,
        used_keys=frozenset({"S>W:2026-W01", "P>W:MDD:1", "W>P:2025-Q4"}),
        episodes={
            "P>W:MDD": Episode(1, is_armed=True, fired_on=None),
            "W>S:MDD": Episode(2, is_armed=False, fired_on=NOW.date(), sessions_since=3),
        },
        transfers_today=(moved("SWING", "PORTFOLIO", 10_000),),
    )


def test_equal_input_gives_equal_bytes_in_any_engine_and_any_language_of_the_environment(monkeypatch):
    first = repr(CapitalEngine("en").evaluate(rich())).encode()
    monkeypatch.setenv("QTS_LANG", "ko")
    engine = CapitalEngine("en")
    engine.evaluate(sample())
    with localcontext() as context:
        context.prec = 4
        assert repr(engine.evaluate(rich())).encode() == first
    assert repr(engine.evaluate(spelt_otherwise(rich()))).encode() == first


def test_messages_are_told_in_the_language_of_the_engine(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "ko")
    (alert,) = CapitalEngine().evaluate(sample(pool_states=DRIFTED)).capital_alerts
    assert "비중" in alert.message


def test_every_field_of_the_input_is_in_its_digest():
    base = rich()
    known = CapitalEngine("en").evaluate(base).input_digest
    assert len(known) == 64
    others = {
        "as_of": NOW + timedelta(seconds=1),
        "session": base.session._replace(number=101),
        "total_equity": 100_000_001,
        "operating_state": OperatingState.AGGRESSIVE,
        "safety_state": SafetyState.WARNING,
        "pool_states": {**base.pool_states, "SWING": base.pool_states["SWING"]._replace(revision=2)},
        "performance_metrics": base.performance_metrics._replace(scalp_mdd=metric("0.000001")),
        "transfers_today": (),
        "used_keys": frozenset(),
        "episodes": {},
        "gates": base.gates._replace(open_codes=frozenset({"FS083"})),
        "config": replace(CONFIG, pair_cooldown_days=6),
        "last_targets": CONFIG.targets[OperatingState.BALANCED],
    }
    assert set(others) == set(base._fields)
    engine = CapitalEngine("en")
    engine.evaluate(base)
    for name, value in others.items():
        assert engine.evaluate(base._replace(**{name: value})).input_digest != known, name
    assert engine.evaluate(base).input_digest == known


def test_a_float_has_no_place_in_an_input():
    with pytest.raises(TypeError, match="float"):
        canonical((1, 0.5))


# -- what others make of it


def test_a_finding_is_new_once_and_again_when_it_is_worse():
    mild = evaluate(pool_states=pools(swing=fallen("SWING", "0.25"))).capital_alerts
    worse = evaluate(pool_states=pools(swing=fallen("SWING", "0.25"), scalp=locked("SCALP"))).capital_alerts
    new, known = fresh_alerts(frozenset(), mild)
    assert [alert.code for alert in new] == ["FS082"]
    new, known = fresh_alerts(known, mild)
    assert new == ()
    new, known = fresh_alerts(known, worse)
    assert [alert.severity for alert in new] == ["FAIL"]
    _, known = fresh_alerts(known, ())
    assert fresh_alerts(known, mild)[0] == mild


def test_an_evaluation_that_raises_lets_nobody_enter_and_is_reported_at_the_third():
    guard = EvaluationGuard(CapitalEngine("en"), "en")
    bad, good = sample(pool_states={}), sample()
    assert guard.evaluate(good).pool_limits["SCALP"].entries_allowed
    for count in range(1, 5):
        output = guard.evaluate(bad)
        assert guard.failures == count
        assert not any(limit.entries_allowed for limit in output.pool_limits.values())
        assert output.pending_promotions == output.pending_demotions == ()
        assert codes(output) == (["AN081"] if count >= 3 else [])
        assert output.targets == CONFIG.targets[OperatingState.BALANCED]
    assert codes(guard.evaluate(good)) == []
    assert guard.failures == 0


def test_every_alert_has_the_level_that_the_table_gives_its_code():
    seen = {}
    for output in (
        evaluate(**RIPE, safety_state=SafetyState.WARNING),
        evaluate(pool_states=pools(scalp=profit("SCALP", 2_000_000, invested_capital=19_100_000)), total_equity=10**6),
        evaluate(pool_states=DRIFTED, performance_metrics=metrics(swing_mdd=None)),
        evaluate(config=with_targets("0.4001", "0.35", "0.25")),
        evaluate(
            pool_states=pools(
                scalp=pool("SCALP", 40_000_000), swing=pool("SWING", 500_000), portfolio=pool("PORTFOLIO", 7_500_000)
            )
        ),
    ):
        seen |= {alert.code: alert.severity for alert in output.capital_alerts if alert.code.startswith("GR")}
    assert set(seen) == {f"GR05{digit}" for digit in range(8)}
    assert {code: TABLE[code].level for code in seen} == seen
