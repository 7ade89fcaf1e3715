"""Every number of the design that capital goes by: its key, its shipped value, and the test that shows its edge."""

import ast
from decimal import Decimal
from pathlib import Path

import pytest

from qts.capital.allocation import RELEASE_REST_SESSIONS
from qts.capital.config import CapitalFlowConfig
from qts.capital.engine import FAILURES_IN_A_ROW
from qts.capital.measures import MIN_SAMPLES
from qts.config import ConfigManager, show
from qts.config.files import keys
from qts.state import OperatingState

UP, DOWN, ALL, CONFIG = (
    "test_engine_promotion.py",
    "test_engine_demotion.py",
    "test_engine.py",
    "test_config.py",
)
SERVICE, BOOKS, RUNS = "test_service.py", "test_books.py", "../../integration/test_three_tracks.py"

SEEDS = [
    ("capital.mode", "AUTO", RUNS, "test_who_gets_pools"),
    ("capital.currency", "KRW", CONFIG, "test_amounts_are_taken_in_units_of_the_currency"),
    ("capital.initial.mode", "STATE_BASED", ALL, "test_new_capital_is_split_by_targets_and_scalp_takes_the_remainder"),
    ("capital.targets.AGGRESSIVE.scalp", "0.7", ALL, "test_targets_are_those_of_the_operating_state"),
    ("capital.targets.AGGRESSIVE.swing", "0.2", ALL, "test_targets_are_those_of_the_operating_state"),
    ("capital.targets.AGGRESSIVE.portfolio", "0.1", ALL, "test_targets_are_those_of_the_operating_state"),
    ("capital.targets.BALANCED.scalp", "0.4", ALL, "test_targets_are_those_of_the_operating_state"),
    ("capital.targets.BALANCED.swing", "0.35", ALL, "test_targets_are_those_of_the_operating_state"),
    ("capital.targets.BALANCED.portfolio", "0.25", ALL, "test_targets_are_those_of_the_operating_state"),
    ("capital.targets.DEFENSIVE.scalp", "0.1", ALL, "test_targets_are_those_of_the_operating_state"),
    ("capital.targets.DEFENSIVE.swing", "0.2", ALL, "test_targets_are_those_of_the_operating_state"),
    ("capital.targets.DEFENSIVE.portfolio", "0.7", ALL, "test_targets_are_those_of_the_operating_state"),
    (
        "capital.constraints.scalp.min_pct",
        "0.05",
        ALL,
        "test_a_share_below_its_minimum_is_told_and_asks_for_a_rebalance",
    ),
    ("capital.constraints.scalp.max_pct", "0.8", ALL, "test_the_outer_bands_end_where_the_design_says"),
    ("capital.constraints.scalp.min_amount", "1000000", UP, "test_the_source_keeps_its_minimum_amount"),
    ("capital.constraints.swing.min_pct", "0.1", DOWN, "test_the_source_keeps_its_minimum"),
    ("capital.constraints.swing.max_pct", "0.5", ALL, "test_a_share_above_its_maximum_is_told"),
    ("capital.constraints.swing.min_amount", "2000000", DOWN, "test_the_source_keeps_its_minimum"),
    ("capital.constraints.portfolio.min_pct", "0.05", ALL, "test_the_outer_bands_end_where_the_design_says"),
    ("capital.constraints.portfolio.max_pct", "0.8", ALL, "test_the_outer_bands_end_where_the_design_says"),
    (
        "capital.constraints.portfolio.min_amount",
        "3000000",
        ALL,
        "test_an_amount_below_its_minimum_pauses_entries_only_there",
    ),
    ("capital.drift_threshold", "0.1", ALL, "test_ten_points_of_drift_are_not_yet_too_many"),
    ("capital.daily_move_limit_pct", "0.05", UP, "test_the_daily_limit_delays_the_excess"),
    ("capital.rebalance.min_amount", "100000", CONFIG, "test_what_a_rebalance_goes_by_is_taken_over"),
    (
        "capital.rebalance.at",
        "market_close",
        SERVICE,
        "test_entering_defensive_moves_five_percent_a_day_and_pauses_scalp",
    ),
    (
        "capital.rebalance.priority",
        ["PORTFOLIO", "SWING", "SCALP"],
        CONFIG,
        "test_what_a_rebalance_goes_by_is_taken_over",
    ),
    ("capital.rebalance.pair_cooldown_days", 5, SERVICE, "test_nothing_goes_back_where_a_demotion_has_just_come_from"),
    (
        "capital.promotion.s2w.min_accumulated_profit",
        "1000000",
        UP,
        "test_exactly_the_threshold_passes_the_gate_and_moves_nothing",
    ),
    ("capital.promotion.s2w.min_sharpe", "1.5", UP, "test_each_criterion_of_scalp_fails_alone_just_off_its_edge"),
    (
        "capital.promotion.s2w.min_win_rate_30d",
        "0.55",
        UP,
        "test_each_criterion_of_scalp_fails_alone_just_off_its_edge",
    ),
    ("capital.promotion.s2w.min_trades_30d", 50, UP, "test_each_criterion_of_scalp_fails_alone_just_off_its_edge"),
    ("capital.promotion.s2w.max_mdd_30d", "0.1", UP, "test_each_criterion_of_scalp_fails_alone_just_off_its_edge"),
    (
        "capital.promotion.s2w.transfer_ratio",
        "0.5",
        UP,
        "test_half_of_the_profit_above_the_threshold_goes_to_swing_rounded_down",
    ),
    (
        "capital.promotion.s2w.schedule.frequency",
        "weekly",
        UP,
        "test_scalp_is_promoted_on_the_first_session_of_the_week_only",
    ),
    ("capital.promotion.s2w.schedule.at", "08:30", SERVICE, "test_a_closed_monday_moves_the_promotion_to_tuesday"),
    (
        "capital.promotion.w2p.min_accumulated_profit",
        "5000000",
        UP,
        "test_exactly_the_threshold_passes_the_gate_and_moves_nothing",
    ),
    ("capital.promotion.w2p.min_sharpe", "1.2", UP, "test_each_criterion_of_swing_fails_alone_just_off_its_edge"),
    (
        "capital.promotion.w2p.max_mdd_recovery_days",
        30,
        UP,
        "test_each_criterion_of_swing_fails_alone_just_off_its_edge",
    ),
    (
        "capital.promotion.w2p.min_holding_period_avg",
        "5",
        UP,
        "test_each_criterion_of_swing_fails_alone_just_off_its_edge",
    ),
    ("capital.promotion.w2p.max_mdd_90d", "0.15", UP, "test_each_criterion_of_swing_fails_alone_just_off_its_edge"),
    (
        "capital.promotion.w2p.transfer_ratio",
        "0.3",
        UP,
        "test_three_tenths_of_the_profit_above_the_threshold_goes_to_portfolio",
    ),
    (
        "capital.promotion.w2p.schedule.frequency",
        "quarterly",
        UP,
        "test_swing_is_promoted_on_the_last_session_of_the_quarter_only",
    ),
    (
        "capital.promotion.w2p.schedule.at",
        "16:00",
        SERVICE,
        "test_swing_is_promoted_after_the_last_session_of_a_quarter_that_ends_on_a_weekend",
    ),
    (
        "capital.promotion.min_transfer_amount",
        "100000",
        UP,
        "test_an_amount_below_the_least_carries_over_and_is_not_rounded_up",
    ),
    (
        "capital.promotion.max_transfer_amount",
        None,
        UP,
        "test_a_configured_most_bounds_the_amount_without_a_code",
    ),
    (
        "capital.promotion.max_retries_per_period",
        3,
        SERVICE,
        "test_a_promotion_that_cannot_be_recorded_is_tried_again_and_three_times_at_most",
    ),
    ("capital.demotion.enabled", True, DOWN, "test_demotion_can_be_switched_off"),
    ("capital.demotion.p2w.trigger_mdd", "0.1", DOWN, "test_a_drawdown_must_exceed_its_trigger"),
    ("capital.demotion.p2w.transfer_ratio", "0.2", DOWN, "test_portfolio_gives_a_fifth_to_swing"),
    ("capital.demotion.w2s.trigger_mdd", "0.15", DOWN, "test_a_drawdown_must_exceed_its_trigger"),
    (
        "capital.demotion.w2s.transfer_ratio",
        "0.3",
        DOWN,
        "test_swing_of_eight_millions_at_eighteen_percent_gives_three_tenths_to_scalp",
    ),
    (
        "capital.demotion.w2s.trigger_consecutive_losses",
        5,
        DOWN,
        "test_the_sixth_loss_in_a_row_takes_a_fifth_of_swing",
    ),
    (
        "capital.demotion.w2s.loss_transfer_ratio",
        "0.2",
        DOWN,
        "test_the_sixth_loss_in_a_row_takes_a_fifth_of_swing",
    ),
    ("capital.demotion.quarantine_days", 5, SERVICE, "test_quarantine_ends_after_five_sessions_when_all_is_well"),
    (
        "capital.demotion.rearm_days",
        20,
        DOWN,
        "test_a_trigger_is_armed_again_twenty_sessions_after_its_transfer",
    ),
    ("capital.lock.mdd", "0.2", ALL, "test_a_drawdown_beyond_the_limit_locks_its_pool_with_a_warning"),
    ("capital.fs083.abs", "1000", BOOKS, "test_a_change_that_nothing_explains_is_told_once"),
    ("capital.fs083.pct", "0.0001", BOOKS, "test_a_change_that_nothing_explains_is_told_once"),
    ("capital.fs083.pool_drop", "0.1", BOOKS, "test_a_pool_that_falls_by_a_tenth_in_a_day_is_abnormal"),
    ("capital.fs084.recheck_ms", 1000, BOOKS, "test_a_mismatch_counts_after_one_re_read_and_becomes_a_failure_in_time"),
    ("capital.fs084.max_attempts", 3, BOOKS, "test_a_mismatch_counts_after_one_re_read_and_becomes_a_failure_in_time"),
    ("capital.fs084.deadline_s", 60, BOOKS, "test_a_mismatch_counts_after_one_re_read_and_becomes_a_failure_in_time"),
    (
        "capital.target_sum_tolerance_bps",
        50,
        ALL,
        "test_targets_that_are_off_by_little_are_put_right_in_proportion",
    ),
    (
        "capital.metrics.max_age_days",
        1,
        UP,
        "test_each_measure_of_scalp_that_is_lacking_fails_its_criterion_and_is_named",
    ),
]


@pytest.fixture(scope="module")
def shipped():
    return show(ConfigManager().load())


def functions_of(file):
    tree = ast.parse((Path(__file__).parent / file).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize(("key", "value", "file", "test"), SEEDS, ids=[row[0] for row in SEEDS])
def test_seed_threshold(shipped, key, value, file, test):
    assert shipped[key]["value"] == value
    assert test in functions_of(file)


def test_no_key_of_capital_is_without_its_row():
    assert [row[0] for row in SEEDS] == [key.name for key in keys() if key.name.startswith("capital.")]


def test_numbers_of_the_design_that_are_no_keys():
    assert (MIN_SAMPLES["scalp_sharpe"], MIN_SAMPLES["swing_sharpe"]) == (20, 60)
    assert RELEASE_REST_SESSIONS == 1
    assert FAILURES_IN_A_ROW == 3


def test_the_defaults_of_the_room_are_those_of_the_file():
    config = CapitalFlowConfig()
    assert config == CapitalFlowConfig.from_config(ConfigManager().load())
    assert config.targets[OperatingState.BALANCED]["SWING"] == Decimal("0.35")
