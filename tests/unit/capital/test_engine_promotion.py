"""Profit goes up: criteria, amounts and caps, schedule and keys."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from engine_samples import (
    FRIDAY,
    MONDAY,
    QUARTER_END,
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

from qts.capital.config import CapitalFlowConfig, ScalpPromotion
from qts.capital.contracts import (
    FlowGates,
    PauseCause,
    PoolState,
    TransferKind,
    TransferReason,
    TransferStatus,
)
from qts.safety import SafetyState
from qts.state import OperatingState

OPEN = FlowGates(promotion_allowed=True, rebalancing_enabled=True, is_state_defensive=False)


def scalp_up(amount=2_000_000, **changes):
    return evaluate(pool_states=pools(scalp=profit("SCALP", amount)), **changes)


def quarter(**changes):
    """The last session of a quarter, with measures of the session before it."""
    given = metrics(**changes.pop("measures", {}))._asdict()
    fresh = {name: value and value._replace(as_of=date(2026, 3, 30)) for name, value in given.items()}
    values = {"session": session(QUARTER_END), "performance_metrics": metrics(**fresh)}
    return evaluate(**{**values, **changes})


# -- amounts


@pytest.mark.parametrize(
    ("earned", "amount"),
    [(2_000_000, 500_000), (1_500_000, 250_000), (1_200_001, 100_000), (1_300_001, 150_000)],
)
def test_half_of_the_profit_above_the_threshold_goes_to_swing_rounded_down(earned, amount):
    (proposal,) = scalp_up(earned).pending_promotions
    assert (proposal.from_pool, proposal.to_pool, proposal.amount) == ("SCALP", "SWING", amount)
    assert (proposal.kind, proposal.reason) == (TransferKind.PROMOTION, TransferReason.PROFIT_THRESHOLD_EXCEEDED)
    assert dict(proposal.criteria)["profit"] == str(earned)


def test_pools_of_ten_and_five_millions_promote_a_quarter_million():
    states = pools(scalp=profit("SCALP", 1_500_000, total=10_000_000), swing=pool("SWING", 5_000_000))
    (proposal,) = evaluate(pool_states=states, total_equity=27_000_000).pending_promotions
    assert proposal.amount == 250_000


def test_three_tenths_of_the_profit_above_the_threshold_goes_to_portfolio():
    (proposal,) = quarter(pool_states=pools(swing=profit("SWING", 9_000_000))).pending_promotions
    assert (proposal.from_pool, proposal.to_pool, proposal.amount) == ("SWING", "PORTFOLIO", 1_200_000)
    assert proposal.transfer_key == "W>P:2026-Q1"


@pytest.mark.parametrize("name", ["SCALP", "SWING"])
def test_exactly_the_threshold_passes_the_gate_and_moves_nothing(name):
    threshold = 1_000_000 if name == "SCALP" else 5_000_000
    states = pools(**{name.lower(): profit(name, threshold)})
    output = evaluate(pool_states=states) if name == "SCALP" else quarter(pool_states=states)
    assert output.promotion_eligible[name]
    assert output.promotion_progress[name] == Decimal("1.0000")
    assert output.pending_promotions == ()


def test_one_won_below_the_threshold_is_not_enough():
    output = scalp_up(999_999)
    assert not output.promotion_eligible["SCALP"]
    assert output.promotion_progress["SCALP"] == Decimal("0.9999")


def test_an_amount_below_the_least_carries_over_and_is_not_rounded_up():
    assert scalp_up(1_199_998).promotion_eligible["SCALP"]
    assert scalp_up(1_199_998).pending_promotions == ()
    assert scalp_up(1_200_000).pending_promotions[0].amount == 100_000


@pytest.mark.parametrize(("realised", "gained"), [(2_000_000, 1_500_000), (1_500_000, 2_000_000)])
def test_an_unrealised_loss_counts_and_an_unrealised_gain_does_not(realised, gained):
    scalp = pool("SCALP", accumulated_profit=realised, nav_gain=gained)
    (proposal,) = evaluate(pool_states=pools(scalp=scalp)).pending_promotions
    assert proposal.amount == 250_000


def test_progress_is_profit_by_threshold_never_below_zero_and_not_capped():
    assert scalp_up(750_000).promotion_progress["SCALP"] == Decimal("0.7500")
    assert scalp_up(2_500_000).promotion_progress["SCALP"] == Decimal("2.5000")
    assert scalp_up(-300_000).promotion_progress["SCALP"] == 0


# -- caps


def test_more_than_is_available_is_cut_and_told():
    scalp = profit("SCALP", 2_000_000, invested_capital=18_900_000)
    output = evaluate(pool_states=pools(scalp=scalp))
    assert output.pending_promotions[0].amount == 300_000
    assert alerts(output, "GR053")[0].values == (("amount", "500000"), ("available", "300000"))
    assert alerts(output, "GR053")[0].severity == "INFO"


def test_too_little_available_moves_nothing_and_is_told():
    scalp = profit("SCALP", 2_000_000, invested_capital=19_100_001)
    output = evaluate(pool_states=pools(scalp=scalp))
    assert output.pending_promotions == ()
    assert "GR053" in codes(output)


def test_the_source_keeps_its_minimum_share():
    # 5 % of 35,000,000 must stay: 1,750,000 of 2,000,000
    states = pools(scalp=profit("SCALP", 2_000_000, total=2_000_000), swing=pool("SWING", 15_000_000))
    states["PORTFOLIO"] = pool("PORTFOLIO", 18_000_000)
    (proposal,) = evaluate(pool_states=states).pending_promotions
    assert proposal.amount == 250_000


def test_a_minimum_share_that_is_no_whole_amount_is_rounded_up():
    states = pools(scalp=profit("SCALP", 2_000_000, total=2_000_000), swing=pool("SWING", 15_000_000))
    states["PORTFOLIO"] = pool("PORTFOLIO", 18_000_001)
    (proposal,) = evaluate(pool_states=states).pending_promotions
    assert proposal.amount == 249_999


def test_the_source_keeps_its_minimum_amount():
    states = pools(
        scalp=profit("SCALP", 2_000_000, total=1_300_000),
        swing=pool("SWING", 3_000_000),
        portfolio=pool("PORTFOLIO", 5_000_000),
    )
    (proposal,) = evaluate(pool_states=states).pending_promotions
    assert proposal.amount == 300_000


def test_the_destination_stays_at_or_below_its_maximum_share():
    states = pools(
        scalp=profit("SCALP", 2_000_000, total=20_000_000),
        swing=pool("SWING", 23_800_000),
        portfolio=pool("PORTFOLIO", 4_200_000),
    )
    output = evaluate(pool_states=states)
    assert output.pending_promotions[0].amount == 200_000
    assert alerts(output, "GR052")[0].pool_id == "SWING"


def test_a_destination_above_its_maximum_share_takes_nothing():
    states = pools(
        scalp=profit("SCALP", 2_000_000, total=19_000_000),
        swing=pool("SWING", 24_500_000),
        portfolio=pool("PORTFOLIO", 4_500_000),
    )
    output = evaluate(pool_states=states)
    assert output.pending_promotions == ()
    assert {alert.pool_id for alert in alerts(output, "GR052")} == {"SWING"}


def test_a_pool_above_its_maximum_share_still_promotes():
    states = pools(
        scalp=profit("SCALP", 2_000_000, total=40_000_000),
        swing=pool("SWING", 5_000_000),
        portfolio=pool("PORTFOLIO", 3_000_000),
    )
    output = evaluate(pool_states=states)
    assert output.pending_promotions[0].amount == 500_000
    assert alerts(output, "GR052")[0].pool_id == "SCALP"


def test_the_daily_limit_delays_the_excess():
    output = scalp_up(2_000_000, total_equity=8_000_000)
    assert output.pending_promotions[0].amount == 400_000
    assert dict(alerts(output, "GR054")[0].values) == {"amount": "500000", "left": "400000", "limit": "400000"}


def test_what_has_moved_today_counts_against_the_limit_if_it_was_committed():
    done = (
        moved("SCALP", "PORTFOLIO", 2_100_000),
        moved("SCALP", "PORTFOLIO", 900_000, TransferStatus.REJECTED),
        moved("SCALP", "PORTFOLIO", 900_000, TransferStatus.PENDING),
    )
    assert scalp_up(transfers_today=done).pending_promotions[0].amount == 300_000


def test_both_promotions_share_the_limit_of_a_day_that_is_due_for_both():
    info = session(is_last_of_quarter=True)
    states = pools(scalp=profit("SCALP", 2_000_000), swing=profit("SWING", 9_000_000))
    output = evaluate(pool_states=states, session=info, total_equity=30_000_000)
    assert [proposal.amount for proposal in output.pending_promotions] == [500_000, 1_000_000]
    assert dict(alerts(output, "GR054")[0].values) == {"amount": "1200000", "left": "1000000", "limit": "1500000"}


def test_a_configured_most_bounds_the_amount_without_a_code():
    output = scalp_up(config=replace(CapitalFlowConfig(), max_transfer_amount=120_000))
    assert output.pending_promotions[0].amount == 120_000
    assert codes(output) == []


# -- criteria

SCALP_EDGES = {
    "scalp_sharpe": ("1.500000", "1.500001"),
    "scalp_win_rate": ("0.550000", "0.550001"),
    "scalp_trades_30d": ("49", "50"),
    "scalp_mdd_30d": ("0.100001", "0.100000"),
}
SWING_EDGES = {
    "swing_sharpe": ("1.200000", "1.200001"),
    "swing_mdd_recovery_days": ("31", "30"),
    "swing_avg_holding_days": ("4.999999", "5.000000"),
    "swing_mdd_90d": ("0.150001", "0.150000"),
}


@pytest.mark.parametrize("name", SCALP_EDGES)
def test_each_criterion_of_scalp_fails_alone_just_off_its_edge(name):
    bad, good = SCALP_EDGES[name]
    for value, passes in ((bad, False), (good, True)):
        output = scalp_up(performance_metrics=metrics(**{name: metric(value)}))
        assert output.promotion_eligible["SCALP"] is passes
        assert bool(output.pending_promotions) is passes
        assert codes(output) == []


@pytest.mark.parametrize("name", SWING_EDGES)
def test_each_criterion_of_swing_fails_alone_just_off_its_edge(name):
    bad, good = SWING_EDGES[name]
    for value, passes in ((bad, False), (good, True)):
        output = quarter(pool_states=pools(swing=profit("SWING", 9_000_000)), measures={name: metric(value)})
        assert output.promotion_eligible["SWING"] is passes
        assert bool(output.pending_promotions) is passes


def test_a_measure_is_compared_with_six_places():
    assert not scalp_up(performance_metrics=metrics(scalp_sharpe=metric("1.5000004"))).promotion_eligible["SCALP"]
    assert scalp_up(performance_metrics=metrics(scalp_sharpe=metric("1.5000006"))).promotion_eligible["SCALP"]


LACKING = {
    "missing": lambda good: None,
    "without a value": lambda good: good._replace(value=None),
    "two sessions old": lambda good: good._replace(as_of=date(2026, 1, 29)),
    "of a later session": lambda good: good._replace(as_of=date(2026, 2, 3)),
}


@pytest.mark.parametrize("lack", LACKING)
@pytest.mark.parametrize("name", SCALP_EDGES)
def test_each_measure_of_scalp_that_is_lacking_fails_its_criterion_and_is_named(name, lack):
    given = metrics()
    output = scalp_up(performance_metrics=given._replace(**{name: LACKING[lack](getattr(given, name))}))
    assert not output.promotion_eligible["SCALP"]
    assert output.pending_promotions == ()
    (alert,) = alerts(output, "GR057")
    assert dict(alert.values)["metric"] == name
    assert alert.severity == "WARNING"


@pytest.mark.parametrize("name", SWING_EDGES)
def test_each_measure_of_swing_that_is_missing_fails_its_criterion_and_is_named(name):
    output = quarter(pool_states=pools(swing=profit("SWING", 9_000_000)), measures={name: None})
    assert not output.promotion_eligible["SWING"]
    assert [dict(alert.values)["metric"] for alert in alerts(output, "GR057")] == [name]


def test_a_drawdown_that_has_not_recovered_is_known_and_fails():
    late = {"swing_mdd_recovery_days": metric(None)}
    output = quarter(pool_states=pools(swing=profit("SWING", 9_000_000)), measures=late)
    assert not output.promotion_eligible["SWING"]
    assert codes(output) == []


@pytest.mark.parametrize(("name", "least"), [("scalp_sharpe", 20), ("swing_sharpe", 60)])
def test_a_sharpe_ratio_of_too_few_samples_does_not_count(name, least):
    for count, passes in ((least - 1, False), (least, True)):
        if name == "scalp_sharpe":
            output = scalp_up(performance_metrics=metrics(scalp_sharpe=metric("1.8", count)))
        else:
            few = {"swing_sharpe": metric("1.4", count)}
            output = quarter(pool_states=pools(swing=profit("SWING", 9_000_000)), measures=few)
        assert bool(output.pending_promotions) is passes
        assert bool(alerts(output, "GR057")) is not passes


def test_measures_say_nothing_while_the_profit_is_not_there():
    output = evaluate(performance_metrics=metrics(scalp_sharpe=None, scalp_win_rate=None))
    assert codes(output) == []


def test_without_known_sessions_weekdays_make_a_measure_old():
    known, unknown = session(), session(recent=())
    for info, day, is_fresh in (
        (unknown, FRIDAY, True),
        (unknown, date(2026, 1, 29), False),
        (unknown, date(2016, 1, 29), False),
        (known._replace(recent=(date(2026, 1, 27),)), date(2026, 1, 27), True),
        (known._replace(recent=(date(2026, 1, 28), date(2026, 1, 27))), date(2026, 1, 27), False),
        (known, MONDAY, True),
    ):
        given = metrics(
            scalp_sharpe=metric("1.8", as_of=day),
            **{
                name: metric(value, as_of=info.date)
                for name, value in (("scalp_win_rate", "0.6"), ("scalp_trades_30d", 50), ("scalp_mdd_30d", 0))
            },
        )
        assert scalp_up(session=info, performance_metrics=given).promotion_eligible["SCALP"] is is_fresh, day


# -- schedule and keys


def test_scalp_is_promoted_on_the_first_session_of_the_week_only():
    assert scalp_up().pending_promotions[0].transfer_key == "S>W:2026-W06"
    later = scalp_up(session=session(is_first_of_week=False))
    assert later.pending_promotions == ()
    assert later.promotion_eligible["SCALP"]


def test_a_week_keeps_its_number_over_the_turn_of_the_year():
    day = date(2025, 12, 29)
    fresh = metrics(**{name: value._replace(as_of=day) for name, value in metrics()._asdict().items()})
    info = session(day, is_first_of_week=True)
    assert scalp_up(session=info, performance_metrics=fresh).pending_promotions[0].transfer_key == "S>W:2026-W01"


def test_a_monthly_review_goes_by_months():
    monthly = replace(CapitalFlowConfig(), s2w=ScalpPromotion(frequency="monthly"))
    assert scalp_up(config=monthly).pending_promotions[0].transfer_key == "S>W:2026-02"
    assert scalp_up(config=monthly, session=session(is_first_of_month=False)).pending_promotions == ()


def test_swing_is_promoted_on_the_last_session_of_the_quarter_only():
    states = pools(swing=profit("SWING", 9_000_000))
    assert quarter(pool_states=states).pending_promotions
    early = quarter(pool_states=states, session=session(QUARTER_END, is_last_of_quarter=False))
    assert early.pending_promotions == ()
    assert early.promotion_eligible["SWING"]


@pytest.mark.parametrize(
    ("day", "key"), [(date(2026, 6, 30), "Q2"), (date(2026, 9, 30), "Q3"), (date(2026, 12, 30), "Q4")]
)
def test_quarters_are_numbered(day, key):
    fresh = metrics(**{name: value._replace(as_of=day) for name, value in metrics()._asdict().items()})
    info = session(day, is_last_of_quarter=True)
    states = pools(swing=profit("SWING", 9_000_000))
    output = evaluate(session=info, performance_metrics=fresh, pool_states=states)
    assert output.pending_promotions[0].transfer_key == f"W>P:2026-{key}"


def test_a_key_that_is_used_does_not_come_up_again():
    output = scalp_up(used_keys=frozenset({"S>W:2026-W06"}))
    assert output.pending_promotions == ()
    assert codes(output) == []


# -- gates


DEFERRED = {
    "safety": {"safety_state": SafetyState.WARNING},
    "plan or young state": {"gates": OPEN._replace(promotion_allowed=False)},
    "FS083": {"gates": OPEN._replace(open_codes=frozenset({"FS083"}))},
    "FS084": {"gates": OPEN._replace(open_codes=frozenset({"FS084"}))},
    "same pair": {"transfers_today": (moved("SWING", "SCALP", 100_000),)},
    "source paused": {
        "pool_states": pools(
            scalp=profit("SCALP", 2_000_000, pool_state=PoolState.PAUSED, pause_causes=(PauseCause.OPERATOR,))
        )
    },
    "source paused twice": {
        "pool_states": pools(
            scalp=profit(
                "SCALP",
                2_000_000,
                pool_state=PoolState.PAUSED,
                pause_causes=(PauseCause.DEFENSIVE, PauseCause.STORE),
            )
        )
    },
    "destination locked": {"pool_states": pools(scalp=profit("SCALP", 2_000_000), swing=locked("SWING"))},
}


@pytest.mark.parametrize("gate", DEFERRED)
def test_a_closed_gate_defers_the_promotion_and_says_so(gate):
    output = evaluate(**{"pool_states": pools(scalp=profit("SCALP", 2_000_000)), **DEFERRED[gate]})
    assert output.promotion_eligible["SCALP"]
    assert output.pending_promotions == ()
    (alert,) = [alert for alert in alerts(output, "GR056") if alert.pool_id == "SCALP"]
    assert alert.severity == "INFO"


def test_a_pool_that_only_defensive_pauses_still_promotes():
    scalp = profit("SCALP", 2_000_000, pool_state=PoolState.PAUSED, pause_causes=(PauseCause.DEFENSIVE,))
    output = evaluate(
        pool_states=pools(scalp=scalp),
        operating_state=OperatingState.DEFENSIVE,
        gates=OPEN._replace(is_state_defensive=True),
    )
    assert output.pending_promotions[0].amount == 500_000


def test_a_paused_destination_still_receives():
    swing = pool("SWING", pool_state=PoolState.PAUSED, pause_causes=(PauseCause.OPERATOR,))
    states = pools(scalp=profit("SCALP", 2_000_000), swing=swing)
    assert evaluate(pool_states=states).pending_promotions[0].amount == 500_000
