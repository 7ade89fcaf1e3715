"""The transfer service day by day: what moves, when, how often, and what keeps it from moving."""

import json
from datetime import date
from decimal import Decimal

import pytest
from service_samples import EVEN, GOOD, Firm

from qts.capital.contracts import POOLS, CapitalAlert, PauseCause, PoolState, TransferKind, TransferReason
from qts.capital.flow import PromotionState, rebalance_limits
from qts.capital.rebalancing import pair_up
from qts.codes import DataError, UsageError
from qts.engine.build import load_config
from qts.instruments import load_calendars
from qts.safety import SafetyState
from qts.state import OperatingState, StateConfig
from qts.state.rebalance import Move

A, B, D = OperatingState.AGGRESSIVE, OperatingState.BALANCED, OperatingState.DEFENSIVE


@pytest.fixture(scope="module")
def krx():
    return load_calendars(load_config(None).reference)["XKRX"]


@pytest.fixture
def firm(krx):
    return Firm(krx)


def codes(result):
    return [one.code for one in result.alerts]


def told(result, name="transfers"):
    return [(one.proposal.transfer_key, one.proposal.amount) for one in getattr(result, name)]


def test_the_settings_of_the_room_fit_the_states(firm):
    rebalance_limits(firm.config).check(StateConfig().properties)


# Promotions


def test_a_week_of_profit_is_promoted_on_the_first_session_of_the_next(firm):  # T6, T15
    firm.run(1, **GOOD)
    firm.earn("SCALP", 1_500_000)
    for _ in range(4):
        assert firm.run()[0].transfers == ()
    assert firm.service.promotions["S>W"] is PromotionState.PROMOTION_READY
    assert firm.service.progress["SCALP"] == Decimal("1.5000")
    assert firm.day == date(2026, 1, 12)
    assert told(firm.open()) == [("S>W:2026-W03", 250_000)]
    assert firm.totals()["SCALP"] == EVEN["SCALP"] + 1_500_000 - 250_000
    assert firm.service.promotions["S>W"] is PromotionState.ACCUMULATING
    assert firm.open().transfers == ()
    assert firm.books.snapshot(firm.at(9))["SCALP"].accumulated_profit == 0
    assert not [one for one in firm.close().transfers if one.proposal.kind is TransferKind.PROMOTION]


def test_a_closed_monday_moves_the_promotion_to_tuesday(krx):  # T15
    firm = Firm(krx, date(2022, 10, 4))
    firm.run(1, **GOOD)
    firm.earn("SCALP", 2_000_000)
    firm.run(3)
    assert firm.day == date(2022, 10, 11)
    assert told(firm.open()) == [("S>W:2022-W41", 500_000)]


def test_a_missed_review_is_made_up_for_in_the_same_week_outside_trading_hours(firm):  # T15
    firm.run(3, **GOOD)
    firm.earn("SCALP", 2_000_000)
    firm.run(2)
    firm.next()  # the engine was down on Monday
    firm.next()
    assert firm.day == date(2026, 1, 14)
    assert firm.open(10).transfers == ()  # in trading hours
    assert firm.open(8).transfers == ()  # a measure of Friday is too old on Wednesday
    firm.close()
    firm.next()
    assert told(firm.open()) == []  # that was the week's review


def test_a_review_missed_on_monday_alone_runs_on_tuesday(firm):
    firm.run(5, **GOOD)
    firm.earn("SCALP", 2_000_000)
    firm.close()  # Monday's close was run, its opening was not
    firm.next()
    assert told(firm.open()) == [("S>W:2026-W03", 500_000)]


def quarter(krx, **more):
    firm = Firm(krx, date(2024, 3, 25), amounts={pool: 5 * amount for pool, amount in EVEN.items()}, **more)
    firm.metrics.fixed.update(GOOD)
    firm.run(1)
    firm.earn("SWING", 8_000_000)
    return firm


def test_swing_is_promoted_after_the_last_session_of_a_quarter_that_ends_on_a_weekend(krx):  # T15
    firm = quarter(krx)
    results = firm.run(4)
    assert [told(one) for one in results[:3]] == [[], [], []]
    assert ("W>P:2024-Q1", 900_000) in told(results[3])


def test_a_quarter_end_that_was_missed_is_made_up_for_before_the_next_open(krx):  # T15
    firm = quarter(krx)
    firm.run(3)
    firm.open()
    taken = firm.service._memory.periods.copy()
    firm.metrics.close(firm.day, firm.books.snapshot(firm.at(16)))  # the close was valued, then the process ended
    firm.next()
    assert firm.day == date(2024, 4, 1)
    assert firm.service._memory.periods == taken
    result = firm.open()
    assert told(result) == [("W>P:2024-Q1", 900_000)]
    assert result.transfers[0].session_date == firm.day
    assert firm.open().transfers == ()


def test_a_promotion_that_cannot_be_recorded_is_tried_again_and_three_times_at_most(firm):
    firm.run(1, **GOOD)
    firm.earn("SCALP", 2_000_000)
    firm.run(4)
    for _ in range(3):
        firm.sink.at(1, "fail")
        result = firm.open()
        assert result.transfers == ()
        assert "FS086" in codes(result)
        assert {PauseCause.STORE} <= firm.books.causes("SCALP")
        assert firm.service.promotions["S>W"] is PromotionState.PROMOTION_READY
        firm.sink.fails = {}
    assert firm.open().transfers == ()
    assert PauseCause.STORE not in firm.books.causes("SCALP")
    firm.run(1)
    assert firm.open().transfers == ()


def test_a_second_try_moves_the_money_once(firm):
    firm.run(1, **GOOD)
    firm.earn("SCALP", 2_000_000)
    firm.run(4)
    firm.sink.at(3, "fail")
    assert firm.open().transfers == ()
    assert told(firm.open()) == [("S>W:2026-W03", 500_000)]
    assert firm.totals()["SWING"] == EVEN["SWING"] + 500_000


@pytest.mark.parametrize("safety", [SafetyState.WARNING, SafetyState.FAIL, SafetyState.LOCKDOWN])
def test_nothing_moves_unless_safety_is_normal(krx, safety):  # T16
    firm = Firm(krx)
    firm.run(1, **GOOD, swing_mdd=Decimal("0.14"))
    firm.earn("SCALP", 2_000_000)
    firm.run(3)
    firm.metrics.fixed["swing_mdd"] = Decimal("0.18")
    firm.safety = safety
    firm.open()
    firm.close()
    firm.next()
    assert firm.open().transfers == ()
    assert firm.books.transfers == ()
    paused = {PoolState.LOCKED} if safety is SafetyState.LOCKDOWN else {PoolState.PAUSED}
    assert {firm.books.state(pool) for pool in POOLS} == (
        {PoolState.ACTIVE} if safety is SafetyState.WARNING else paused
    )


# Demotions


def test_a_drawdown_of_swing_demotes_once_however_long_it_lasts(firm):  # T11
    firm.run(1)
    first = firm.run(1, swing_mdd=Decimal("0.18"))[0]
    assert told(first)[0] == ("W>S:MDD:1", 2_400_000)  # 30 % is 5,040,000; the day's limit of 5 % binds
    results = firm.run(3)
    assert [told(one)[:1] for one in results] == [[("W>S:MDD:1/2", 2_400_000)], [("W>S:MDD:1/3", 240_000)], []]
    assert firm.books.snapshot(firm.at(8))["SCALP"].reserved_capital > 0
    for _ in range(1_000):
        firm.service._evaluated(firm.view(firm.at(9)), firm.schedule.info(firm.day))
    assert sum(one.proposal.kind is TransferKind.DEMOTION for one in firm.books.transfers) == 3


def test_a_restart_keeps_the_episode_and_the_quarantine(firm):  # T11
    firm.run(1)
    firm.run(1, swing_mdd=Decimal("0.18"))
    for with_state in (True, False):
        firm.restart(with_state=with_state)
        assert firm.service.episodes["W>S:MDD"].number == 1
        assert not firm.service.episodes["W>S:MDD"].is_armed
        assert firm.books.snapshot(firm.at(8))["SCALP"].reserved_capital == 2_400_000
    assert told(firm.run(1)[0])[0] == ("W>S:MDD:1/2", 2_400_000)


def test_quarantine_ends_after_five_sessions_when_all_is_well(firm):
    firm.run(1)
    firm.run(1, swing_mdd=Decimal("0.18"), swing_consecutive_losses=Decimal(0))
    firm.metrics.fixed["swing_mdd"] = Decimal(0)
    firm.run(4)
    firm.safety = SafetyState.WARNING
    assert firm.open().released == ()
    firm.safety = SafetyState.NORMAL
    firm.become(D)
    assert firm.open().released == ()
    firm.become(B)
    assert [rest.amount for rest in firm.open().released] == [2_400_000]
    assert firm.books.snapshot(firm.at(9))["SCALP"].reserved_capital == 0
    assert firm.open().released == ()


def test_six_losses_in_a_row_demote_and_are_counted_anew(firm):
    from qts.capital.metrics import ClosedTrade

    firm.run(1)
    firm.open()
    lost = [ClosedTrade("SWING", firm.day, firm.day, -1)] * 6
    result = firm.close(lost[:5])
    assert result.transfers == ()
    assert firm.metrics.metrics().swing_consecutive_losses.value == 5
    firm.next()
    firm.open()
    result = firm.close(lost[:1])
    assert told(result)[0] == ("W>S:LOSSES:1", 2_400_000)
    assert result.transfers[0].proposal.reason is TransferReason.CONSECUTIVE_LOSSES_EXCEEDED
    assert firm.metrics.metrics().swing_consecutive_losses.value == 6, "a fifth is 3,360,000: the limit has left a rest"
    firm.next()
    firm.open()
    assert told(firm.close([]))[0] == ("W>S:LOSSES:1/2", 960_000)
    assert firm.metrics.metrics().swing_consecutive_losses.value == 0
    firm.next()
    firm.open()
    assert firm.close([]).transfers == ()


def test_a_drawdown_beyond_a_fifth_locks_instead(firm):
    firm.run(1)
    firm.lose("SWING", 4_000_000)
    result = firm.run(1)[0]
    assert {"FS082", "FS083"} & set(codes(result))
    assert firm.books.state("SWING") is PoolState.LOCKED
    assert firm.live.blocked["SWING"]
    assert result.transfers == ()


def test_aggressive_brings_portfolio_down_to_its_target_day_by_day(firm):
    firm.run(1)
    firm.become(A)
    results = firm.run(5)
    assert [told(one) for one in results[:4]] == [
        [("P>W:STATE:2026-01-06", 2_400_000)],
        [("P>W:STATE:2026-01-07", 2_400_000)],
        [("P>W:STATE:2026-01-08", 2_400_000)],
        [],
    ]
    assert firm.totals()["PORTFOLIO"] == 4_800_000
    assert results[0].transfers[0].proposal.reason is TransferReason.STATE_TARGET_CHANGE


# Rebalancing


def test_entering_defensive_moves_five_percent_a_day_and_pauses_scalp(firm):
    firm.run(1)
    firm.become(D)
    result = firm.run(1)[0]
    moved = sum(amount for _, amount in told(result))
    assert moved == 2_400_000
    assert {one.proposal.reason for one in result.transfers} == {TransferReason.STATE_TARGET_CHANGE}
    assert firm.pause_causes("SCALP") == {PauseCause.DEFENSIVE}
    days = 1
    while firm.run(1)[0].transfers:
        days += 1
    assert days in (8, 9)
    assert sum(firm.totals().values()) == 48_000_000
    firm.become(B)
    firm.open()
    assert firm.pause_causes("SCALP") == set()


def test_drift_alone_is_rebalanced_and_a_pool_that_cannot_pay_stops_its_entries(krx):
    firm = Firm(krx, amounts={"SCALP": 28_000_000, "SWING": 10_000_000, "PORTFOLIO": 10_000_000})
    firm.lose("SCALP", 13_500_000)
    firm.values["SCALP"] = 27_000_000
    result = firm.run(1)[0]
    assert sum(amount for _, amount in told(result)) == 1_000_000  # all that is free
    assert [one.pool_id for one in result.alerts if one.code == "GR056"] == ["SCALP"]
    assert firm.live.blocked["SCALP"]
    assert firm.books.state("SCALP") is PoolState.ACTIVE


def test_nothing_goes_back_where_a_demotion_has_just_come_from(firm):
    firm.run(1)
    firm.run(1, swing_mdd=Decimal("0.18"))
    firm.metrics.fixed["swing_mdd"] = Decimal(0)
    results = firm.run(6)
    back = [one for result in results[:5] for one in result.transfers if one.proposal.to_pool == "SWING"]
    assert [one for one in back if one.proposal.from_pool == "SCALP"] == []


def test_one_kind_a_pair_a_day(firm):
    firm.run(1)
    result = firm.run(1, swing_mdd=Decimal("0.18"))[0]
    pairs = [frozenset((one.proposal.from_pool, one.proposal.to_pool)) for one in result.transfers]
    assert len(pairs) == len(set(pairs))
    assert sum(one.proposal.amount for one in result.transfers) <= 48_000_000 * 5 // 100


def test_after_a_release_capital_rests_for_a_session(krx):
    firm = Firm(krx, amounts={"SCALP": 28_000_000, "SWING": 10_000_000, "PORTFOLIO": 10_000_000})
    firm.since_release = 0
    assert firm.run(1)[0].transfers == ()
    firm.since_release = 1
    assert firm.run(1)[0].transfers != ()


def test_moves_become_transfers_between_pairs():
    moves = [Move("SCALP", -70), Move("SWING", -50), Move("PORTFOLIO", 120)]
    assert pair_up(moves) == [("SCALP", "PORTFOLIO", 70), ("SWING", "PORTFOLIO", 50)]
    moves = [Move("SCALP", -70), Move("PORTFOLIO", 30), Move("SWING", 40)]
    assert pair_up(moves) == [("SCALP", "PORTFOLIO", 30), ("SCALP", "SWING", 40)]
    assert pair_up([]) == []


# Pool states, locks, findings


def test_a_pool_below_its_minimum_takes_no_entries_until_it_has_grown(krx):
    firm = Firm(krx, amounts={"SCALP": 900_000, "SWING": 16_800_000, "PORTFOLIO": 0})
    firm.open()
    assert firm.pause_causes("SCALP") == {PauseCause.BELOW_MIN}
    assert firm.pause_causes("PORTFOLIO") == set()  # unfunded: no minimum
    firm.earn("SCALP", 100_000)
    firm.open()
    assert firm.pause_causes("SCALP") == set()


def test_fail_pauses_and_lockdown_locks_until_it_is_released(firm):
    firm.service.on_safety(SafetyState.FAIL, firm.at(10))
    assert {firm.books.state(pool) for pool in POOLS} == {PoolState.PAUSED}
    firm.service.on_safety(SafetyState.NORMAL, firm.at(10))
    assert {firm.books.state(pool) for pool in POOLS} == {PoolState.ACTIVE}
    firm.books.lock("SWING", "FS082", "drawdown", firm.at(10))
    firm.service.on_safety(SafetyState.LOCKDOWN, firm.at(10))
    firm.service.on_safety(SafetyState.LOCKDOWN, firm.at(11))
    assert {firm.books.state(pool) for pool in POOLS} == {PoolState.LOCKED}
    with pytest.raises(UsageError):
        firm.service.release_lockdown("", "checked", firm.at(12))
    assert firm.service.release_lockdown("kim", "checked", firm.at(12)) == ("SCALP", "PORTFOLIO")
    assert firm.books.state("SCALP") is PoolState.PAUSED
    assert firm.books.state("SWING") is PoolState.LOCKED
    assert firm.service.reconciled(())
    assert firm.books.state("SCALP") is PoolState.ACTIVE


def test_money_that_nothing_explains_stops_every_transfer_until_a_person_says_so(firm):
    firm.run(1)
    firm.extra = 500_000
    result = firm.run(1, swing_mdd=Decimal("0.18"))[0]
    assert codes(result).count("FS083") == 1
    assert result.transfers == ()
    assert firm.service.open_codes == {"FS083"}
    firm.restart()
    assert firm.service.open_codes == {"FS083"}
    assert firm.run(1)[0].transfers == ()
    with pytest.raises(UsageError):
        firm.service.resolve("FS083", "kim", "")
    assert firm.service.resolve("FS083", "kim", "a correction by the broker")
    assert not firm.service.resolve("FS083", "kim", "again")
    assert firm.run(1)[0].transfers != ()


def test_a_mismatch_locks_whom_it_concerns_and_is_not_told_twice(firm):
    firm.run(1)
    firm.extra = 500_000
    mismatch = CapitalAlert("FS084", "SWING", "WARNING", "differs")
    firm.open()
    result = firm.close(findings=(mismatch,))
    assert "FS083" not in codes(result)
    assert firm.books.state("SWING") is PoolState.LOCKED
    assert firm.books.state("SCALP") is PoolState.ACTIVE
    assert firm.service.open_codes == {"FS084"}
    assert not firm.service.reconciled((mismatch,))
    assert firm.service.reconciled(())
    assert firm.service.open_codes == frozenset()


def test_a_deposit_is_shared_at_the_close_by_target(firm):
    firm.run(1)
    firm.books.external(1_000_000, "bank", firm.at(11))
    result = firm.run(1)[0]
    assert firm.books.unallocated == 0
    assert firm.totals() == {"SCALP": 19_600_000, "SWING": 17_150_000, "PORTFOLIO": 12_250_000}
    assert "FS083" not in codes(result)


def test_the_same_close_again_takes_nothing_in_twice(firm):
    from qts.capital.metrics import ClosedTrade

    firm.run(1)
    firm.open()
    trade = ClosedTrade("SWING", firm.day, firm.day, -1)
    firm.close([trade])
    before = firm.service.state()
    firm.close([trade])
    assert firm.service.state() == before
    assert firm.metrics.metrics().swing_consecutive_losses.value == 1


def test_what_is_remembered_is_plain_data_and_comes_back(firm):
    firm.run(2, **GOOD)
    firm.run(1, swing_mdd=Decimal("0.18"))
    kept = json.loads(json.dumps(firm.service.state()))
    firm.make()
    firm.service.restore(kept)
    assert firm.service.state() == kept
    with pytest.raises(DataError) as refusal:
        firm.service.restore({**kept, "metrics": {}})
    assert refusal.value.hint
    with pytest.raises(DataError):
        firm.service.restore({})
    assert firm.service.state() == kept


def test_entries_stop_while_the_store_is_away_and_go_on_when_it_is_back(firm):
    firm.run(1)
    firm.open()
    firm.sink.at(1, "fail")
    assert "FS086" in codes(firm.close())
    assert all(firm.live.blocked.values())
    firm.sink.fails = {}
    firm.next()
    firm.open()
    assert not any(firm.live.blocked.values())
