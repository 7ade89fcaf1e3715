"""`execution.yaml`: its defaults are the design's, what is refused, and what reaches the stages."""

from decimal import Decimal

import pytest

from qts.config import ConfigManager, check, class_of
from qts.config.files import leaves
from qts.config.models.execution import NEVER_FLATTEN, ExecSettings, ExecutionFile
from qts.engine.settings import execution_settings
from qts.execution.config import ExecutionConfig
from qts.execution.contracts import EscapeMode

DESIGN = {
    "exec.timeout_ms.precheck": 5_000,
    "exec.timeout_ms.splitting": 1_000,
    "exec.timeout_ms.sending": 10_000,
    "exec.timeout_ms.monitoring": 60_000,
    "exec.timeout_ms.adjusting": 30_000,
    "exec.timeout_ms.escaping": 30_000,
    "exec.precheck.reconnect_ms": 1_000,
    "exec.split.min_split_qty": 100,
    "exec.split.max_splits": 20,
    "exec.split.vwap_min_adv_ratio": Decimal("0.001"),
    "exec.split.iceberg_depth_ratio": Decimal("0.5"),
    "exec.split.display_qty": 100,
    "exec.split.max_participation_rate": Decimal("0.10"),
    "exec.split.max_horizon_ms": 55_000,
    "exec.split.max_wait_ms": 5_000,
    "exec.send.max_retries": 3,
    "exec.send.backoff_ms": 100,
    "exec.send.ack_timeout_ms": 5_000,
    "exec.send.unknown_resolve_ms": 3_000,
    "exec.fill.mode": "PUSH",
    "exec.fill.callback_timeout_ms": 100,
    "exec.fill.poll_interval_ms": 100,
    "exec.fill.max_poll_duration_ms": 60_000,
    "exec.fill.stream_silence_ms": 1_000,
    "exec.adjust.max_slippage_pct": Decimal("0.005"),
    "exec.adjust.price_improve_step_pct": Decimal("0.001"),
    "exec.adjust.max_adjustment_rounds": 3,
    "exec.adjust.adjust_interval_ms": 1_000,
    "exec.adjust.slippage_warning_pct": Decimal("0.003"),
    "exec.escape.loss_threshold_pct": Decimal("0.02"),
    "exec.escape.cancel_confirm_ms": 2_000,
    "exec.escape.retry_ms": 1_000,
    "exec.escape.max_attempts": 3,
    "exec.escape.time_limit_mode_entry": "CANCEL_ONLY",
    "exec.escape.flatten_on_fail_codes": (),
    "exec.failover.enabled": False,
    "exec.network_ms.broker": 20,
    "exec.network_ms.fill": 50,
    "exec.network_ms.modify": 30,
    "exec.network_ms.total": 100,
    "exec.max_inflight_executions": 20,
}
PROTECTED = {
    *(key for key in DESIGN if key.startswith(("exec.timeout_ms.", "exec.escape."))),
    "exec.split.min_split_qty",
    "exec.split.max_splits",
    "exec.split.max_participation_rate",
    "exec.split.max_horizon_ms",
    "exec.send.max_retries",
    "exec.send.ack_timeout_ms",
    "exec.send.unknown_resolve_ms",
    "exec.adjust.max_slippage_pct",
    "exec.adjust.max_adjustment_rounds",
    "exec.failover.enabled",
    "exec.max_inflight_executions",
}


@pytest.fixture(autouse=True)
def _english(monkeypatch):
    monkeypatch.setenv("QTS_LANG", "en")


def findings_of(tmp_path, text):
    (tmp_path / "execution.yaml").write_text(f"exec:\n{text}")
    return check(tmp_path)


def test_the_keys_and_their_defaults_are_those_of_the_design():
    assert {name: info.get_default(call_default_factory=True) for name, info in leaves(ExecutionFile)} == DESIGN


def test_exactly_the_protected_keys_are_changed_with_care():
    assert {key for key in DESIGN if class_of(key).tag == "DANGER"} == PROTECTED


def test_what_needs_a_live_broker_is_not_read_yet_and_can_only_keep_its_default(tmp_path):
    unread = {key for key in DESIGN if not class_of(key).is_built}
    fills = {key for key in DESIGN if key.startswith("exec.fill.")} - {"exec.fill.poll_interval_ms"}
    budgets = {key for key in DESIGN if key.startswith("exec.network_ms.")}
    assert unread == fills | budgets | {"exec.failover.enabled", "exec.escape.flatten_on_fail_codes"}
    (finding,) = findings_of(tmp_path, "  failover: {enabled: true}\n")
    assert finding.key == "exec.failover.enabled"
    assert findings_of(tmp_path, "  failover: {enabled: false}\n") == []
    assert findings_of(tmp_path, "  split: {max_splits: 10}\n") == []


def test_the_shipped_file_gives_the_stages_their_defaults():
    assert execution_settings(ConfigManager(environ={}).load()) == ExecutionConfig()


def test_the_longest_life_of_an_execution_is_the_sum_of_its_states():
    assert ExecutionConfig().total_timeout_ns == 136_000_000_000


def test_every_key_reaches_the_stages_in_their_units():
    values = {
        "timeout_ms": {
            "precheck": 4_000,
            "splitting": 900,
            "sending": 9_000,
            "monitoring": 50_000,
            "adjusting": 20_000,
            "escaping": 25_000,
        },
        "precheck": {"reconnect_ms": 500},
        "split": {
            "min_split_qty": 50,
            "max_splits": 10,
            "vwap_min_adv_ratio": "0.002",
            "iceberg_depth_ratio": "0.25",
            "display_qty": 30,
            "max_participation_rate": "0.05",
            "max_horizon_ms": 40_000,
            "max_wait_ms": 4_000,
        },
        "send": {"max_retries": 2, "backoff_ms": 50, "ack_timeout_ms": 2_500, "unknown_resolve_ms": 2_000},
        "fill": {
            "mode": "POLL",
            "callback_timeout_ms": 90,
            "poll_interval_ms": 200,
            "max_poll_duration_ms": 50_001,
            "stream_silence_ms": 800,
        },
        "adjust": {
            "max_slippage_pct": "0.004",
            "price_improve_step_pct": "0.0005",
            "max_adjustment_rounds": 1,
            "adjust_interval_ms": 501,
            "slippage_warning_pct": "0.0021",
        },
        "escape": {
            "loss_threshold_pct": "0.01",
            "cancel_confirm_ms": 1_100,
            "retry_ms": 700,
            "max_attempts": 4,
            "time_limit_mode_entry": "FLATTEN_EXECUTION",
            "flatten_on_fail_codes": ["FS050", "FS082"],
        },
        "failover": {"enabled": True},
        "network_ms": {"broker": 10, "fill": 40, "modify": 25, "total": 95},
        "max_inflight_executions": 6,
    }
    config = ConfigManager(environ={}).load()
    config = config.model_copy(
        update={
            "exec": ExecSettings.model_validate(values),
            "cache": config.cache.model_copy(
                update={"stale_threshold_ms": config.cache.stale_threshold_ms.model_copy(update={"price": 90})}
            ),
        }
    )
    ms = 1_000_000
    assert execution_settings(config) == ExecutionConfig(
        precheck_timeout_ns=4_000 * ms,
        splitting_timeout_ns=900 * ms,
        sending_timeout_ns=9_000 * ms,
        monitoring_timeout_ns=50_000 * ms,
        adjusting_timeout_ns=20_000 * ms,
        escaping_timeout_ns=25_000 * ms,
        reconnect_ns=500 * ms,
        price_max_age_ns=90 * ms,
        min_split_qty=50,
        max_splits=10,
        vwap_min_adv_ppm=2_000,
        iceberg_depth_ppm=250_000,
        display_qty=30,
        max_participation_ppm=50_000,
        max_horizon_ns=40_000 * ms,
        max_wait_ms=4_000,
        max_attempts=2,
        backoff_ns=50 * ms,
        ack_timeout_ns=2_500 * ms,
        unknown_resolve_ns=2_000 * ms,
        fill_mode="POLL",
        callback_timeout_ns=90 * ms,
        poll_interval_ns=200 * ms,
        max_poll_duration_ns=50_001 * ms,
        stream_silence_ns=800 * ms,
        max_slippage_ppm=4_000,
        price_improve_step_ppm=500,
        max_adjustment_rounds=1,
        adjust_interval_ns=501 * ms,
        slippage_warning_ppm=2_100,
        loss_threshold_ppm=10_000,
        cancel_confirm_ns=1_100 * ms,
        escape_retry_ns=700 * ms,
        escape_max_attempts=4,
        time_limit_mode_entry=EscapeMode.FLATTEN_EXECUTION,
        flatten_on_fail_codes=frozenset({"FS050", "FS082"}),
        failover_enabled=True,
        broker_budget_ns=10 * ms,
        fill_budget_ns=40 * ms,
        modify_budget_ns=25 * ms,
        total_budget_ns=95 * ms,
        max_inflight_executions=6,
    )


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("  timeout_ms: {precheck: 99}\n", "exec.timeout_ms.precheck"),
        ("  timeout_ms: {escaping: 120001}\n", "exec.timeout_ms.escaping"),
        ("  split: {min_split_qty: 0}\n", "exec.split.min_split_qty"),
        ("  split: {max_splits: 101}\n", "exec.split.max_splits"),
        ("  split: {max_participation_rate: 0}\n", "exec.split.max_participation_rate"),
        ("  split: {iceberg_depth_ratio: 50}\n", "exec.split.iceberg_depth_ratio"),
        ("  send: {max_retries: 0}\n", "exec.send.max_retries"),
        ("  fill: {mode: GUESS}\n", "exec.fill.mode"),
        ("  adjust: {max_slippage_pct: 0.0051}\n", "exec.adjust.max_slippage_pct"),
        ("  adjust: {max_adjustment_rounds: -1}\n", "exec.adjust.max_adjustment_rounds"),
        ("  escape: {time_limit_mode_entry: FLATTEN_POOL}\n", "exec.escape.time_limit_mode_entry"),
        ("  escape: {flatten_on_fail_codes: [FS999]}\n", "exec.escape.flatten_on_fail_codes"),
        ("  escape: {flatten_on_fail_codes: [GR063]}\n", "exec.escape.flatten_on_fail_codes"),
        ("  network_ms: {broker: 0}\n", "exec.network_ms.broker"),
        ("  max_inflight_executions: 0\n", "exec.max_inflight_executions"),
        ("  max_inflight_execution: 3\n", "exec.max_inflight_execution"),
    ],
)
def test_values_out_of_range_are_refused_with_their_key(tmp_path, text, key):
    assert key in {finding.key for finding in findings_of(tmp_path, text)}


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("  precheck: {reconnect_ms: 5000}\n", "precheck.reconnect_ms < timeout_ms.precheck"),
        ("  split: {max_wait_ms: 5001}\n", "split.max_horizon_ms + split.max_wait_ms <= timeout_ms.monitoring"),
        ("  send: {ack_timeout_ms: 10000}\n", "send.ack_timeout_ms < timeout_ms.sending"),
        ("  fill: {poll_interval_ms: 60000}\n", "fill.poll_interval_ms < fill.max_poll_duration_ms"),
        ("  adjust: {max_slippage_pct: 0.002}\n", "adjust.slippage_warning_pct <= adjust.max_slippage_pct"),
        ("  adjust: {price_improve_step_pct: 0.006}\n", "adjust.price_improve_step_pct <= adjust.max_slippage_pct"),
        (
            "  escape: {max_attempts: 10, retry_ms: 2800}\n",
            "escape.cancel_confirm_ms + escape.max_attempts * escape.retry_ms < timeout_ms.escaping",
        ),
        ("  network_ms: {modify: 101}\n", "network_ms.broker, fill, modify <= network_ms.total"),
    ],
)
def test_values_that_contradict_each_other_are_refused(tmp_path, text, order):
    (finding,) = findings_of(tmp_path, text)
    assert (finding.file, finding.expected.split(": ")[-1]) == ("execution.yaml", order)


@pytest.mark.parametrize("code", sorted(NEVER_FLATTEN))
def test_nothing_is_sold_for_a_code_that_says_the_figures_may_be_wrong(tmp_path, code):
    (finding,) = findings_of(tmp_path, f"  escape: {{flatten_on_fail_codes: [{code}]}}\n")
    assert finding.key == "exec.escape.flatten_on_fail_codes"
    assert "figures may be wrong" in finding.expected
    assert code in finding.expected


def test_the_edges_are_accepted():
    settings = ExecSettings.model_validate(
        {
            "timeout_ms": {"monitoring": 60_000},
            "split": {"max_horizon_ms": 0, "max_wait_ms": 60_000, "max_participation_rate": 1, "max_splits": 1},
            "adjust": {"slippage_warning_pct": "0.005", "max_adjustment_rounds": 0},
            "escape": {"flatten_on_fail_codes": "FS050,FS082"},
        }
    )
    assert settings.escape.flatten_on_fail_codes == ("FS050", "FS082")
