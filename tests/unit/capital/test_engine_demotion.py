"""Capital goes down after losses: triggers, episodes, limits, and when it never does."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from engine_samples import (
    MONDAY,
    alerts,
    codes,
    evaluate,
    locked,
    metric,
    metrics,
    moved,
    pool,
    pools,
    profit,
    session,
)

from qts.capital.config import CapitalFlowConfig, DemotionRules
from qts.capital.contracts import Episode, FlowGates, PauseCause, PoolState, TransferKind, TransferReason
from qts.capital.demotion import after_close, after_transfer, is_complete
from qts.safety import SafetyState
from qts.state import OperatingState

CONFIG = CapitalFlowConfig()
OPEN = FlowGates(promotion_allowed=True, rebalancing_enabled=True, is_state_defensive=False)
EIGHT = pools(scalp=pool("SCALP", 20_000_000), swing=pool("SWING", 8_000_000), portfolio=pool("PORTFOLIO", 20_000_000))


def down(**changes):
    """Demotions of an account that has lost what the measures in `changes` say."""
    named = {name: metric(value) for name, value in changes.items() if name in metrics()._fields}
    others = {name: value for name, value in changes.items() if name not in named}
    return evaluate(**{"performance_metrics": metrics(**named), "total_equity": 200_000_000, **others})


def only(output):
    (proposal,) = output.pending_demotions
    return proposal


def test_swing_of_eight_millions_at_eighteen_percent_gives_three_tenths_to_scalp():
    proposal = only(down(swing_mdd="0.18", pool_states=EIGHT, total_equity=48_000_000))
    assert (proposal.from_pool, proposal.to_pool, proposal.amount) == ("SWING", "SCALP", 2_400_000)
    assert (proposal.kind, proposal.reason) == (TransferKind.DEMOTION, TransferReason.MDD_THRESHOLD_EXCEEDED)
    assert proposal.transfer_key == "W>S:MDD:1"
    assert is_complete(proposal)


def test_portfolio_gives_a_fifth_to_swing():
    proposal = only(down(portfolio_mdd="0.12"))
    assert (proposal.from_pool, proposal.to_pool, proposal.amount) == ("PORTFOLIO", "SWING", 2_400_000)
    assert proposal.transfer_key == "P>W:MDD:1"


def test_the_sixth_loss_in_a_row_takes_a_fifth_of_swing():
    assert down(swing_consecutive_losses=5).pending_demotions == ()
    proposal = only(down(swing_consecutive_losses=6))
    assert (proposal.amount, proposal.transfer_key) == (3_360_000, "W>S:LOSSES:1")
    assert proposal.reason is TransferReason.CONSECUTIVE_LOSSES_EXCEEDED


@pytest.mark.parametrize(("name", "edge"), [("portfolio_mdd", "0.10"), ("swing_mdd", "0.15")])
def test_a_drawdown_must_exceed_its_trigger(name, edge):
    assert down(**{name: edge}).pending_demotions == ()
    assert down(**{name: Decimal(edge) + Decimal("0.000001")}).pending_demotions


def test_both_triggers_of_swing_make_one_transfer_at_the_larger_ratio():
    proposal = only(down(swing_mdd="0.16", swing_consecutive_losses=9))
    assert (proposal.amount, proposal.transfer_key) == (5_040_000, "W>S:MDD:1")
    assert dict(proposal.criteria)["fired"] == "W>S:LOSSES,W>S:MDD"
    larger = replace(CONFIG, demotion=DemotionRules(w2s_loss_transfer_ratio=Decimal("0.40")))
    assert only(down(swing_mdd="0.16", swing_consecutive_losses=9, config=larger)).transfer_key == "W>S:LOSSES:1"


def test_both_pairs_may_go_down_on_one_day():
    output = down(portfolio_mdd="0.12", swing_mdd="0.16")
    assert [proposal.transfer_key for proposal in output.pending_demotions] == ["P>W:MDD:1", "W>S:MDD:1"]


# -- episodes


def test_a_trigger_that_has_fired_is_quiet_until_it_is_armed_again():
    fired = Episode(3, is_armed=False, fired_on=MONDAY, sessions_since=19)
    for cycle in range(3):
        assert down(swing_mdd="0.18", episodes={"W>S:MDD": fired}).pending_demotions == (), cycle
    rested = fired._replace(sessions_since=20)
    assert only(down(swing_mdd="0.18", episodes={"W>S:MDD": rested})).transfer_key == "W>S:MDD:4"
    armed = fired._replace(is_armed=True)
    assert only(down(swing_mdd="0.18", episodes={"W>S:MDD": armed})).transfer_key == "W>S:MDD:4"


def test_a_key_that_is_used_does_not_fire_again():
    assert down(swing_mdd="0.18", used_keys=frozenset({"W>S:MDD:1"})).pending_demotions == ()


def test_a_transfer_fires_every_trigger_that_it_stands_for():
    proposal = only(down(swing_mdd="0.16", swing_consecutive_losses=9))
    found = after_transfer({}, proposal, MONDAY)
    assert found == {
        "W>S:MDD": Episode(1, is_armed=False, fired_on=MONDAY, parts=1),
        "W>S:LOSSES": Episode(1, is_armed=False, fired_on=MONDAY),
    }
    assert down(swing_mdd="0.16", swing_consecutive_losses=9, episodes=found).pending_demotions == ()


def test_what_the_daily_limit_holds_back_follows_in_parts_and_never_more():
    states, episodes, keys, amounts = EIGHT, {}, frozenset(), []
    for day in range(10):
        output = down(swing_mdd="0.18", pool_states=states, total_equity=20_000_000, episodes=episodes, used_keys=keys)
        if not output.pending_demotions:
            break
        proposal = only(output)
        amounts.append((proposal.transfer_key, proposal.amount))
        keys |= {proposal.transfer_key}
        episodes = after_transfer(episodes, proposal, date(2026, 2, 2 + day))
        episodes = after_close(episodes, {"W>S:MDD": Decimal("0.18")}, CONFIG)
        swing = states["SWING"]
        states = {**states, "SWING": pool("SWING", swing.total_capital - proposal.amount)}
    assert amounts == [("W>S:MDD:1", 1_000_000), ("W>S:MDD:1/2", 1_000_000), ("W>S:MDD:1/3", 400_000)]
    assert episodes["W>S:MDD"].rest == 0
    assert episodes["W>S:MDD"].fired_on == MONDAY
    assert episodes["W>S:MDD"].sessions_since == 3


def test_a_part_is_incomplete_and_told_as_delayed():
    output = down(swing_mdd="0.18", pool_states=EIGHT, total_equity=20_000_000)
    assert not is_complete(only(output))
    assert dict(alerts(output, "GR054")[0].values) == {"amount": "2400000", "left": "1000000", "limit": "1000000"}


def test_a_rest_is_not_added_to_a_larger_claim_of_the_pair():
    episodes = {"W>S:LOSSES": Episode(1, is_armed=False, fired_on=MONDAY, rest=500_000, parts=1)}
    proposal = only(down(swing_mdd="0.18", episodes=episodes))
    assert proposal.transfer_key == "W>S:MDD:1"
    assert after_transfer(episodes, proposal, MONDAY)["W>S:LOSSES"].rest == 0


def test_a_rest_that_is_larger_goes_first_and_stands_for_the_new_trigger_too():
    episodes = {"W>S:MDD": Episode(1, is_armed=False, fired_on=MONDAY, rest=4_000_000, parts=1)}
    proposal = only(down(swing_mdd="0.14", swing_consecutive_losses=6, episodes=episodes))
    assert (proposal.transfer_key, proposal.amount) == ("W>S:MDD:1/2", 4_000_000)
    found = after_transfer(episodes, proposal, date(2026, 2, 3))
    assert found["W>S:LOSSES"] == Episode(1, is_armed=False, fired_on=date(2026, 2, 3))
    assert (found["W>S:MDD"].rest, found["W>S:MDD"].parts) == (0, 2)


@pytest.mark.parametrize(
    ("name", "value", "is_armed"),
    [
        ("W>S:MDD", "0.074999", True),
        ("W>S:MDD", "0.075", False),
        ("P>W:MDD", "0.049999", True),
        ("P>W:MDD", "0.05", False),
        ("W>S:LOSSES", "2", True),
        ("W>S:LOSSES", "3", False),
        ("W>S:LOSSES", None, False),
    ],
)
def test_a_trigger_is_armed_again_below_half_its_threshold(name, value, is_armed):
    fired = {name: Episode(2, is_armed=False, fired_on=MONDAY, rest=5, parts=1)}
    found = after_close(fired, {name: None if value is None else Decimal(value)}, CONFIG)[name]
    assert found.is_armed is is_armed
    assert found.sessions_since == 1
    assert found.rest == (0 if is_armed else 5)


def test_a_trigger_is_armed_again_twenty_sessions_after_its_transfer():
    episodes = {"W>S:MDD": Episode(1, is_armed=False, fired_on=MONDAY)}
    for number in range(1, 21):
        episodes = after_close(episodes, {"W>S:MDD": Decimal("0.18")}, CONFIG)
        assert episodes["W>S:MDD"].is_armed is (number == 20)
    assert after_close(episodes, {}, CONFIG) == episodes


# -- limits


def test_no_more_than_is_available_goes_down_and_nothing_is_sold_for_it():
    swing = pool("SWING", 8_000_000, invested_capital=7_000_000)
    proposal = only(down(swing_mdd="0.18", pool_states={**EIGHT, "SWING": swing}))
    assert proposal.amount == 1_000_000
    assert dict(proposal.criteria)["wanted"] == "2400000"


def test_a_trickle_waits_until_it_is_worth_a_transfer():
    nearly = pool("SWING", 8_000_000, invested_capital=7_900_001)
    assert down(swing_mdd="0.18", pool_states={**EIGHT, "SWING": nearly}).pending_demotions == ()
    rest = {"W>S:MDD": Episode(1, is_armed=False, fired_on=MONDAY, rest=7, parts=2)}
    assert only(down(episodes=rest)).amount == 7


def test_the_source_keeps_its_minimum():
    # 10 % of 48,000,000 must stay of 5,500,000
    states = pools(
        scalp=pool("SCALP", 20_000_000), swing=pool("SWING", 5_500_000), portfolio=pool("PORTFOLIO", 22_500_000)
    )
    assert only(down(swing_mdd="0.18", pool_states=states)).amount == 700_000
    small = pools(
        scalp=pool("SCALP", 2_000_000), swing=pool("SWING", 2_100_000), portfolio=pool("PORTFOLIO", 3_000_000)
    )
    assert only(down(swing_mdd="0.18", pool_states=small)).amount == 100_000


def test_the_receiver_stays_at_or_below_its_maximum_share():
    states = pools(
        scalp=pool("SCALP", 3_000_000), swing=pool("SWING", 23_800_000), portfolio=pool("PORTFOLIO", 21_200_000)
    )
    output = down(portfolio_mdd="0.12", pool_states=states)
    assert only(output).amount == 200_000
    assert alerts(output, "GR052")[0].pool_id == "SWING"


def test_a_demotion_comes_before_a_promotion_and_takes_its_part_of_the_limit():
    fresh = metrics(portfolio_mdd=metric("0.12"))
    states = pools(scalp=profit("SCALP", 2_000_000), portfolio=pool("PORTFOLIO", 10_000_000))
    output = evaluate(pool_states=states, performance_metrics=fresh, total_equity=46_000_000)
    assert [proposal.amount for proposal in output.pending_demotions] == [2_000_000]
    assert [proposal.amount for proposal in output.pending_promotions] == [300_000]


@pytest.mark.parametrize("equity", [48_000_000, 1_000_000])
def test_profit_does_not_go_up_across_a_pair_that_goes_down(equity):
    fresh = metrics(swing_mdd=metric("0.18"))
    output = evaluate(
        pool_states=pools(scalp=profit("SCALP", 2_000_000)), performance_metrics=fresh, total_equity=equity
    )
    assert output.pending_promotions == ()
    assert [alert.pool_id for alert in alerts(output, "GR056")] == ["SCALP"]


# -- never


WAITS = {
    "warning": {"safety_state": SafetyState.WARNING},
    "defensive": {"operating_state": OperatingState.DEFENSIVE},
    "limits of defensive": {"gates": OPEN._replace(is_state_defensive=True)},
    "unexplained change": {"gates": OPEN._replace(open_codes=frozenset({"FS083"}))},
    "locked source": {"pool_states": pools(swing=locked("SWING"))},
    "locked receiver": {"pool_states": pools(scalp=locked("SCALP"))},
    "paused source": {
        "pool_states": pools(swing=pool("SWING", pool_state=PoolState.PAUSED, pause_causes=(PauseCause.STORE,)))
    },
    "pair has moved": {"transfers_today": (moved("SCALP", "SWING", 1),)},
}


@pytest.mark.parametrize("why", WAITS)
def test_a_demotion_waits_and_says_so(why):
    output = down(swing_mdd="0.18", **WAITS[why])
    assert output.pending_demotions == ()
    assert [alert.pool_id for alert in alerts(output, "GR056")][:1] == ["SWING"]


def test_beyond_the_lock_nothing_goes_down():
    assert down(swing_mdd="0.200001").pending_demotions == ()
    assert only(down(swing_mdd="0.200000"))
    assert down(swing_mdd="0.25", swing_consecutive_losses=9).pending_demotions == ()


def test_demotion_can_be_switched_off():
    off = replace(CONFIG, demotion=DemotionRules(is_enabled=False))
    assert down(swing_mdd="0.18", portfolio_mdd="0.18", config=off).pending_demotions == ()


@pytest.mark.parametrize("name", ["swing_mdd", "portfolio_mdd", "swing_consecutive_losses"])
def test_a_measure_that_is_missing_fires_nothing_and_is_named(name):
    output = evaluate(performance_metrics=metrics(**{name: None}))
    assert output.pending_demotions == ()
    assert [dict(alert.values)["metric"] for alert in alerts(output, "GR057")] == [name]


def test_before_the_first_close_no_measure_is_missed():
    none = metrics(**dict.fromkeys(metrics()._fields))
    assert codes(evaluate(performance_metrics=none, session=session(number=0))) == []
    unfunded = pools(swing=pool("SWING", is_funded=False), portfolio=pool("PORTFOLIO", is_funded=False))
    assert alerts(evaluate(performance_metrics=none, pool_states=unfunded), "GR057") == []
