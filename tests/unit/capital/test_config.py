"""`capital.yaml`: what is refused and how it is told, and the settings that the room takes from it."""

from decimal import Decimal

import pytest

from qts.capital.config import CapitalFlowConfig, PoolConstraint
from qts.codes import ConfigError
from qts.config import ConfigManager, check, class_of
from qts.state import OperatingState


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")


def write(tmp_path, text, name="capital.yaml", root="capital"):
    (tmp_path / name).write_text(f"{root}:\n{text}")
    return tmp_path


def test_the_shipped_file_holds_the_defaults_of_the_room():
    assert CapitalFlowConfig.from_config(ConfigManager().load()) == CapitalFlowConfig()


def test_amounts_are_taken_in_units_of_the_currency(tmp_path):
    text = "  currency: USD\n  constraints: {scalp: {min_pct: 0.05, max_pct: 0.8, min_amount: 1000.25}}\n"
    text += "  promotion: {max_transfer_amount: 5000}\n"
    config = CapitalFlowConfig.from_config(ConfigManager(write(tmp_path, text)).load(), 2)
    assert (config.currency, config.constraints["SCALP"].min_amount) == ("USD", 100_025)
    assert (config.max_transfer_amount, config.fs083_abs, config.s2w.min_accumulated_profit) == (
        500_000,
        100_000,
        100_000_000,
    )
    assert config.s2w.min_trades_30d == 50


def test_an_amount_finer_than_the_currency_is_refused(tmp_path):
    settings = ConfigManager(write(tmp_path, "  rebalance: {min_amount: 100.5}\n")).load()
    with pytest.raises(ConfigError) as refused:
        CapitalFlowConfig.from_config(settings, 0)
    assert refused.value.code == "FS003"
    assert refused.value.found == "capital.rebalance.min_amount is 100.5, which is no whole number of units of KRW"


TARGET_SUM = "capital.targets.BALANCED: scalp + swing + portfolio = 1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  targets: {BALANCED: {scalp: 0.4, swing: 0.35, portfolio: 0.2}}\n", TARGET_SUM),
        ("  targets: {BALANCED: {scalp: 0.4, swing: 0.35, portfolio: 0.2501}}\n", TARGET_SUM),
        (
            "  constraints: {swing: {min_pct: 0.6, max_pct: 0.5, min_amount: 1}}\n",
            "capital.constraints: min_pct <= max_pct of each pool",
        ),
        (
            "  constraints: {swing: {min_pct: 0.1, max_pct: 0.1, min_amount: 1},"
            " scalp: {min_pct: 0.05, max_pct: 0.09, min_amount: 1}}\n",
            "capital.constraints: sum of min_pct <= 1 <= sum of max_pct",
        ),
        (
            "  constraints: {swing: {min_pct: 0.2001, max_pct: 0.5, min_amount: 1}}\n",
            "capital: constraints.swing.min_pct <= targets.AGGRESSIVE.swing <= constraints.swing.max_pct",
        ),
        (
            "  constraints: {portfolio: {min_pct: 0.05, max_pct: 0.69, min_amount: 1}}\n",
            "capital: constraints.portfolio.min_pct <= targets.DEFENSIVE.portfolio <= constraints.portfolio.max_pct",
        ),
        ("  demotion: {p2w: {trigger_mdd: 0.2}}\n", "capital: demotion.p2w.trigger_mdd < lock.mdd"),
        ("  demotion: {w2s: {trigger_mdd: 0.25}}\n", "capital: demotion.w2s.trigger_mdd < lock.mdd"),
        ("  lock: {mdd: 0.15}\n", "capital: demotion.w2s.trigger_mdd < lock.mdd"),
        ("  rebalance: {priority: [SWING, SWING, SCALP]}\n", "capital.rebalance: priority names each pool once"),
    ],
)
def test_values_that_contradict_each_other_are_refused(tmp_path, text, expected):
    (finding,) = check(write(tmp_path, text))
    assert (finding.file, finding.expected) == ("capital.yaml", expected)
    with pytest.raises(ConfigError) as refused:
        ConfigManager(tmp_path).load()
    assert refused.value.code == "FS003"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("  mode: MAYBE\n", "capital.mode"),
        ("  initial: {mode: RANDOM}\n", "capital.initial.mode"),
        ("  targets: {BALANCED: {scalp: 40, swing: 35, portfolio: 25}}\n", "capital.targets.BALANCED.scalp"),
        (
            "  targets: {BALANCED: {scalp: 0.40005, swing: 0.34995, portfolio: 0.25}}\n",
            "capital.targets.BALANCED.scalp",
        ),
        ("  targets: {BALANCED: {scalp: 0.75, swing: 0.25}}\n", "capital.targets.BALANCED"),
        ("  targets: {BALANCED: 3}\n", "capital.targets.BALANCED"),
        ("  targets: 3\n", "capital.targets"),
        ("  targets: {balanced: {}}\n", "capital.targets.balanced"),
        ("  constraints: {gold: {}}\n", "capital.constraints.gold"),
        ("  constraints: {scalp: {min_pct: 0.05, max_pct: 0.8, min_amount: -1}}\n", "capital.constraints.scalp"),
        ("  drift_threshold: 0\n", "capital.drift_threshold"),
        ("  drift_threshold: 1\n", "capital.drift_threshold"),
        ("  daily_move_limit_pct: 0\n", "capital.daily_move_limit_pct"),
        ("  daily_move_limit_pct: 5\n", "capital.daily_move_limit_pct"),
        ("  rebalance: {at: noon}\n", "capital.rebalance.at"),
        ("  rebalance: {priority: [SWING, SCALP]}\n", "capital.rebalance.priority"),
        ("  rebalance: {pair_cooldown_days: -1}\n", "capital.rebalance.pair_cooldown_days"),
        ("  promotion: {s2w: {transfer_ratio: 0}}\n", "capital.promotion.s2w.transfer_ratio"),
        ("  promotion: {w2p: {transfer_ratio: 1.01}}\n", "capital.promotion.w2p.transfer_ratio"),
        ("  promotion: {s2w: {min_sharp: 2}}\n", "capital.promotion.s2w.min_sharp"),
        ("  promotion: {s2w: {schedule: {at: 830}}}\n", "capital.promotion.s2w.schedule.at"),
        ("  promotion: {s2w: {schedule: {frequency: daily}}}\n", "capital.promotion.s2w.schedule.frequency"),
        ("  promotion: {w2p: {schedule: {frequency: weekly}}}\n", "capital.promotion.w2p.schedule.frequency"),
        ("  promotion: {max_transfer_amount: 0}\n", "capital.promotion.max_transfer_amount"),
        ("  promotion: {max_retries_per_period: 11}\n", "capital.promotion.max_retries_per_period"),
        ("  demotion: {p2w: {transfer_ratio: 0}}\n", "capital.demotion.p2w.transfer_ratio"),
        ("  demotion: {w2s: {loss_transfer_ratio: 0}}\n", "capital.demotion.w2s.loss_transfer_ratio"),
        ("  demotion: {rearm_days: 0}\n", "capital.demotion.rearm_days"),
        ("  lock: {mdd: 0}\n", "capital.lock.mdd"),
        ("  fs084: {max_attempts: 0}\n", "capital.fs084.max_attempts"),
        ("  target_sum_tolerance_bps: -1\n", "capital.target_sum_tolerance_bps"),
        ("  metrics: {max_age_days: 0}\n", "capital.metrics.max_age_days"),
        ("  drift_treshold: 0.1\n", "capital.drift_treshold"),
    ],
)
def test_values_out_of_range_and_unknown_keys_are_refused_with_their_place(tmp_path, text, key):
    findings = check(write(tmp_path, text))
    assert findings
    assert all(finding.file == "capital.yaml" and finding.line == 2 for finding in findings), findings
    assert any(finding.key.startswith(key) for finding in findings), findings


def test_a_target_outside_the_range_of_its_state_is_refused(tmp_path):
    text = "  targets: {BALANCED: {scalp: 0.51, swing: 0.30, portfolio: 0.19}}\n"
    findings = check(write(tmp_path, text))
    assert [finding.key for finding in findings] == [
        "capital.targets.BALANCED.scalp",
        "capital.targets.BALANCED.portfolio",
    ]
    assert findings[0].found == "capital.targets.BALANCED.scalp is 0.51, outside the range of BALANCED"
    assert findings[0].expected == (
        "0.3 to 0.5, as operating_state.properties.balanced.scalp_allocation_range in state.yaml has it"
    )


def test_a_range_that_leaves_a_target_behind_is_refused(tmp_path):
    text = "  properties: {defensive: {portfolio_allocation_range: [0.71, 0.8]}}\n"
    (finding,) = check(write(tmp_path, text, "state.yaml", "operating_state"))
    assert (finding.file, finding.key) == ("capital.yaml", "capital.targets.DEFENSIVE.portfolio")


def test_a_key_that_is_left_out_of_a_row_keeps_the_value_of_that_row(tmp_path):
    text = "  constraints: {swing: {min_amount: 5}}\n  targets: {BALANCED: {scalp: 0.45, swing: 0.30}}\n"
    config = CapitalFlowConfig.from_config(ConfigManager(write(tmp_path, text)).load())
    assert config.constraints["SWING"] == PoolConstraint(Decimal("0.1"), Decimal("0.5"), 5)
    assert config.constraints["SCALP"].min_amount == 1_000_000
    assert config.targets[OperatingState.BALANCED]["PORTFOLIO"] == Decimal("0.25")


def test_one_key_can_be_overridden():
    config = CapitalFlowConfig.from_config(ConfigManager(None, {"capital.constraints.scalp.min_amount": "0"}).load())
    assert config.constraints["SCALP"] == PoolConstraint(Decimal("0.05"), Decimal("0.8"), 0)


def test_the_edges_of_a_range_belong_to_it(tmp_path):
    text = "  targets: {BALANCED: {scalp: 0.50, swing: 0.30, portfolio: 0.20}}\n"
    config = CapitalFlowConfig.from_config(ConfigManager(write(tmp_path, text)).load())
    assert config.targets[OperatingState.BALANCED]["SCALP"] == Decimal("0.5")
    assert config.targets[OperatingState.AGGRESSIVE]["SCALP"] == Decimal("0.7")


def test_a_drift_that_ends_where_it_begins_is_refused(tmp_path):
    (finding,) = check(write(tmp_path, "  drift_threshold: 0.02\n"))
    assert (finding.key, finding.expected) == (
        "capital.drift_threshold",
        "more than operating_state.rebalance.stop_band_pct (0.02) of state.yaml",
    )


def test_what_cannot_change_in_a_run_waits_for_a_restart_and_the_rest_for_a_session():
    restart = {name for name in ("mode", "currency", "initial.mode") if class_of(f"capital.{name}").reload == "RESTART"}
    assert restart == {"mode", "currency", "initial.mode"}
    assert class_of("capital.targets.BALANCED.scalp").reload == "SESSION"
    assert (class_of("capital.lock.mdd").tag, class_of("capital.lock.mdd").reload) == ("DANGER", "SESSION")


@pytest.mark.parametrize("name", ["scalp", "swing", "portfolio"])
def test_a_strategy_sheet_has_no_say_in_capital(tmp_path, name):
    (tmp_path / "strategies").mkdir()
    (tmp_path / "strategies" / f"{name}.yaml").write_text("capital: {lock: {mdd: 0.9}}\n")
    (finding,) = check(tmp_path)
    assert (finding.key, finding.hint) == ("capital", "`qts-engine config show` lists every key")
    (tmp_path / "strategies" / f"{name}.yaml").write_text(f"{name}: {{lock: {{mdd: 0.9}}}}\n")
    assert [finding.key for finding in check(tmp_path)] == [f"{name}.lock"]


def test_what_a_rebalance_goes_by_is_taken_over(tmp_path):
    text = "  daily_move_limit_pct: 0.04\n  drift_threshold: 0.12\n"
    text += "  rebalance: {min_amount: 7, priority: [SCALP, SWING, PORTFOLIO], pair_cooldown_days: 3}\n"
    config = CapitalFlowConfig.from_config(ConfigManager(write(tmp_path, text)).load())
    assert (config.daily_move_limit_pct, config.drift_threshold) == (Decimal("0.04"), Decimal("0.12"))
    assert (config.rebalance_min_amount, config.rebalance_priority) == (7, ("SCALP", "SWING", "PORTFOLIO"))
    assert (config.pair_cooldown_days, config.rebalance_at) == (3, "market_close")
