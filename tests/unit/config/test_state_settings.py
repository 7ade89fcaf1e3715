"""`state.yaml`: what is refused, and how that is told."""

from decimal import Decimal

import pytest

from qts.config import ConfigManager, check


def write(tmp_path, text):
    (tmp_path / "state.yaml").write_text(f"operating_state:\n{text}")
    return tmp_path


@pytest.mark.parametrize(
    ("text", "order"),
    [
        (
            "  transitions:\n    balanced_to_aggressive: {vix: 25}\n",
            "balanced_to_aggressive.vix < aggressive_to_balanced.vix",
        ),
        (
            "  transitions:\n    defensive_to_balanced: {vix: 30}\n",
            "defensive_to_balanced.vix < balanced_to_defensive.vix",
        ),
        (
            "  transitions:\n    defensive_to_balanced: {drawdown_pct: 0.10}\n",
            "defensive_to_balanced.drawdown_pct < balanced_to_defensive.drawdown_pct",
        ),
        (
            "  transitions:\n    aggressive_to_balanced: {vix: 30}\n",
            "aggressive_to_balanced.vix < balanced_to_defensive.vix",
        ),
        (
            "  transitions:\n    balanced_to_defensive: {drawdown_pct: 0.05}\n",
            "aggressive_to_balanced.drawdown_pct < balanced_to_defensive.drawdown_pct",
        ),
        (
            "  properties:\n    balanced: {scalp_allocation_range: [0.6, 0.5]}\n",
            "least <= most in each *_allocation_range",
        ),
        (
            "  properties:\n    balanced: {scalp_allocation_range: [0.1, 0.2]}\n",
            "sum of the least shares <= 1 <= sum of the most",
        ),
        (
            "  properties:\n    aggressive: {swing_allocation_range: [0.4, 0.5]}\n",
            "sum of the least shares <= 1 <= sum of the most",
        ),
    ],
)
def test_values_that_contradict_each_other_are_refused(tmp_path, text, order):
    (finding,) = check(write(tmp_path, text))
    assert (finding.file, finding.expected.split(": ")[-1]) == ("state.yaml", order)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("  gates: {policy: CAREFUL}\n", "operating_state.gates.policy"),
        ("  gates: {hard_confirm_samples: 0}\n", "operating_state.gates.hard_confirm_samples"),
        ("  default: BULLISH\n", "operating_state.default"),
        (
            "  hysteresis: {balanced: {min_duration_days: 91}}\n",
            "operating_state.hysteresis.balanced.min_duration_days",
        ),
        ("  cooldown_hours: 169\n", "operating_state.cooldown_hours"),
        ("  confirmation_cycles: 0\n", "operating_state.confirmation_cycles"),
        ("  confirmation_cycles: 25\n", "operating_state.confirmation_cycles"),
        ("  evaluation_interval_sec: 59\n", "operating_state.evaluation_interval_sec"),
        ("  metrics_interval_sec: 601\n", "operating_state.metrics_interval_sec"),
        ("  override: {max_duration_days: 8}\n", "operating_state.override.max_duration_days"),
        ("  override: {max_duration_days: 0}\n", "operating_state.override.max_duration_days"),
        ("  rebalance: {stop_band_pct: 0.10}\n", "operating_state.rebalance.stop_band_pct"),
        ("  rebalance: {schedule: daily}\n", "operating_state.rebalance.schedule"),
        (
            "  transitions:\n    balanced_to_defensive: {vix: 0}\n",
            "operating_state.transitions.balanced_to_defensive.vix",
        ),
        (
            "  transitions:\n    balanced_to_aggressive: {target_cagr: 6}\n",
            "operating_state.transitions.balanced_to_aggressive.target_cagr",
        ),
        (
            "  properties:\n    defensive: {risk_tolerance_multiplier: 2.1}\n",
            "operating_state.properties.defensive.risk_tolerance_multiplier",
        ),
        (
            "  properties:\n    defensive: {scalp_allocation_range: [0.05]}\n",
            "operating_state.properties.defensive.scalp_allocation_range",
        ),
        ("  properties:\n    defensive: 3\n", "operating_state.properties.defensive"),
        ("  properties: 3\n", "operating_state.properties"),
        ("  hysteresys: {}\n", "operating_state.hysteresys"),
    ],
)
def test_values_out_of_range_are_refused_with_their_key(tmp_path, text, key):
    findings = check(write(tmp_path, text))
    assert any(finding.key.startswith(key) for finding in findings), findings


def test_the_edges_are_accepted(tmp_path):
    text = (
        "  default: DEFENSIVE\n  gates: {policy: SAFE, hard_confirm_samples: 10}\n  cooldown_hours: 0\n"
        "  hysteresis: {aggressive: {min_duration_days: 0}, balanced: {min_duration_days: 90}}\n"
        "  evaluation_interval_sec: 60\n  metrics_interval_sec: 600\n  override: {max_duration_days: 1}\n"
        "  rebalance: {stop_band_pct: 0.0999}\n  transitions:\n    balanced_to_aggressive: {target_cagr: 5}\n"
    )
    state = ConfigManager(write(tmp_path, text)).load().operating_state
    assert (state.default, state.gates.policy, state.cooldown_hours) == ("DEFENSIVE", "SAFE", 0)
    assert state.hysteresis.defensive.min_duration_days == 3
    assert state.transitions.balanced_to_aggressive.target_cagr == Decimal(5)


def test_a_property_that_is_left_out_keeps_the_value_of_its_state(tmp_path):
    text = "  properties:\n    aggressive: {max_positions: 12}\n"
    shares = ConfigManager(write(tmp_path, text)).load().operating_state.properties
    assert (shares.aggressive.max_positions, shares.aggressive.max_daily_trades) == (12, 50)
    assert shares.balanced.max_positions == 15


def test_properties_and_the_index_can_be_overridden_by_key():
    config = ConfigManager(
        None,
        {
            "operating_state.properties.balanced.scalp_allocation_range": "0.35,0.45",
            "operating_state.transitions.balanced_to_aggressive.target_cagr": "0.25",
            "vol_index.source": "VKOSPI",
            "vol_index.scaling": "PERCENTILE",
        },
    ).load()
    balanced = config.operating_state.properties.balanced
    assert balanced.scalp_allocation_range == (Decimal("0.35"), Decimal("0.45"))
    assert balanced.max_positions == 15
    assert config.operating_state.transitions.balanced_to_aggressive.target_cagr == Decimal("0.25")
    assert (config.local.vol_index.source, config.local.vol_index.scaling) == ("VKOSPI", "PERCENTILE")
