"""Names, values and invariants of the contracts."""

import dataclasses

import pytest
from state_samples import CALM, START, A, B, D, Desk

from qts.config import ConfigManager
from qts.config.models.state import OperatingStateSettings
from qts.safety import SafetyState
from qts.state import (
    CONFIRMATION_CYCLES,
    COOLDOWN_HOURS,
    HYSTERESIS_CONFIG,
    STATE_PROPERTIES,
    ManualOverride,
    MetricQuality,
    OperatingState,
    OperatingStateSnapshot,
    StateConfig,
    StateProperties,
    TransitionKind,
    TransitionMetrics,
    TransitionReason,
    TransitionResult,
)

TABLE = {
    "scalp_allocation_range": ((0.60, 0.80), (0.30, 0.50), (0.05, 0.15)),
    "swing_allocation_range": ((0.15, 0.30), (0.30, 0.40), (0.15, 0.25)),
    "portfolio_allocation_range": ((0.05, 0.10), (0.20, 0.30), (0.60, 0.80)),
    "risk_tolerance_multiplier": (1.2, 1.0, 0.5),
    "entry_signal_threshold": (0.6, 0.7, 0.9),
    "max_positions": (20, 15, 10),
    "max_daily_trades": (50, 30, 10),
    "rebalancing_enabled": (False, True, True),
    "new_entry_enabled": (True, True, False),
    "scalp_engine_active": (True, True, False),
    "swing_engine_active": (True, True, True),
}


def names(contract):
    return [field.name for field in dataclasses.fields(contract)]


def test_three_states_ordered_by_risk():
    assert [str(state) for state in OperatingState] == ["AGGRESSIVE", "BALANCED", "DEFENSIVE"]
    assert (A.rank, B.rank, D.rank) == (2, 1, 0)
    assert OperatingState("BALANCED") == "BALANCED"


def test_safety_has_its_four_states():
    assert [state.name for state in SafetyState] == ["NORMAL", "WARNING", "FAIL", "LOCKDOWN"]


def test_there_are_exactly_eleven_properties():
    assert names(StateProperties) == list(TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_properties_are_those_of_the_design(name):
    assert tuple(getattr(STATE_PROPERTIES[state], name) for state in (A, B, D)) == TABLE[name]


def test_the_shipped_configuration_is_the_design_and_the_defaults():
    assert StateConfig.from_config(ConfigManager().load()) == StateConfig()
    assert StateConfig.from_settings(OperatingStateSettings()) == StateConfig()
    assert dict(StateConfig().properties) == dict(STATE_PROPERTIES)
    assert StateConfig().policy == "LITERAL"


def test_hysteresis_is_that_of_the_design():
    assert {state: row["min_duration_days"] for state, row in HYSTERESIS_CONFIG.items()} == {A: 7, B: 5, D: 3}
    assert dict(StateConfig().min_duration_days) == {A: 7, B: 5, D: 3}
    assert (COOLDOWN_HOURS, CONFIRMATION_CYCLES) == (24, 2)


def test_the_metrics_are_exactly_the_ten_of_the_design():
    assert names(TransitionMetrics) == [
        "drawdown_pct",
        "vix",
        "consecutive_scalp_losses",
        "daily_loss_pct",
        "market_circuit_breaker",
        "consecutive_profitable_days",
        "cagr",
        "target_cagr",
        "capital_growth_pct",
        "win_rate_30d",
    ]
    with pytest.raises(TypeError):
        TransitionMetrics()  # none has a default: an absent one is not zero


def test_the_snapshot_begins_with_the_fields_of_the_design():
    assert names(OperatingStateSnapshot)[:8] == [
        "current_state",
        "previous_state",
        "transition_timestamp",
        "transition_reason",
        "manual_override",
        "override_expiry",
        "state_duration_days",
        "properties",
    ]
    assert names(ManualOverride) == [
        "override_state",
        "override_reason",
        "operator_id",
        "override_time",
        "expiry_time",
        "auto_revert_state",
    ]


@pytest.mark.parametrize(
    ("thing", "field"),
    [
        (STATE_PROPERTIES[B], "max_positions"),
        (CALM, "vix"),
        (MetricQuality(START, None), "asof"),
        (Desk().snapshot, "version"),
        (StateConfig(), "policy"),
    ],
)
def test_contracts_are_immutable(thing, field):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(thing, field, 1)
    with pytest.raises(TypeError):
        STATE_PROPERTIES[A] = STATE_PROPERTIES[B]


def test_kinds_and_reasons_are_those_of_the_specification():
    assert len(TransitionKind) == 8
    assert len(TransitionReason) == 17
    assert {"from_state", "to_state", "kind", "reason", "metrics", "version"} <= set(names(TransitionResult))


@pytest.mark.parametrize(
    "change",
    [
        {"scalp_allocation_range": (0.5, 0.3)},
        {"scalp_allocation_range": (-0.1, 0.5)},
        {"portfolio_allocation_range": (0.2, 1.1)},
        {"scalp_allocation_range": (0.6, 0.7)},  # the least shares exceed the whole
        {"scalp_allocation_range": (0.0, 0.2)},  # the most do not reach it
        {"risk_tolerance_multiplier": 0.0},
        {"risk_tolerance_multiplier": 2.01},
        {"entry_signal_threshold": 1.01},
        {"max_positions": -1},
        {"max_daily_trades": -1},
    ],
)
def test_properties_that_cannot_be_are_refused(change):
    with pytest.raises(ValueError, match=r"range|multiplier|count"):
        dataclasses.replace(STATE_PROPERTIES[B], **change)


def test_merging_keeps_every_tighter_limit_and_the_shares_of_the_label():
    merged = STATE_PROPERTIES[A].limited_by(STATE_PROPERTIES[D])
    expected = dataclasses.replace(
        STATE_PROPERTIES[D],
        scalp_allocation_range=(0.60, 0.80),
        swing_allocation_range=(0.15, 0.30),
        portfolio_allocation_range=(0.05, 0.10),
        rebalancing_enabled=False,
    )
    assert merged == expected
    assert STATE_PROPERTIES[D].limited_by(STATE_PROPERTIES[A]) == STATE_PROPERTIES[D]
