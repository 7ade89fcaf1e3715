"""The settings of executions in the units that the stages compute with: nanoseconds, integers, parts per million.

`qts.engine.settings.execution_settings` fills it in from `execution.yaml` (and the ages of quotes from `cache.yaml`);
the defaults here are those of the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from qts.execution.contracts import EscapeMode

PPM: Final = 1_000_000
MS_NS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class ExecutionConfig:
    """Everything that an execution is configured by. `_ns` are durations, `_ppm` parts per million."""

    precheck_timeout_ns: int = 5_000 * MS_NS
    splitting_timeout_ns: int = 1_000 * MS_NS
    sending_timeout_ns: int = 10_000 * MS_NS
    monitoring_timeout_ns: int = 60_000 * MS_NS
    """Cumulative over all visits of the state, as for the next one."""
    adjusting_timeout_ns: int = 30_000 * MS_NS
    escaping_timeout_ns: int = 30_000 * MS_NS

    reconnect_ns: int = 1_000 * MS_NS
    price_max_age_ns: int = 100 * MS_NS
    """Age above which a quote lets no entry through."""
    book_max_age_ns: int = 50 * MS_NS
    """Age above which best prices are not adjusted to."""
    quote_silence_ns: int = 3_000 * MS_NS
    """Time without a quote that counts as the time limit."""

    min_split_qty: int = 100
    """Whole units, as `display_qty`."""
    max_splits: int = 20
    vwap_min_adv_ppm: int = 1_000
    iceberg_depth_ppm: int = 500_000
    display_qty: int = 100
    max_participation_ppm: int = 100_000
    max_horizon_ns: int = 55_000 * MS_NS
    max_wait_ms: int = 5_000

    max_attempts: int = 3
    """Attempts to send a child, the first included."""
    backoff_ns: int = 100 * MS_NS
    ack_timeout_ns: int = 5_000 * MS_NS
    unknown_resolve_ns: int = 3_000 * MS_NS

    fill_mode: Literal["PUSH", "POLL"] = "PUSH"
    callback_timeout_ns: int = 100 * MS_NS
    poll_interval_ns: int = 100 * MS_NS
    max_poll_duration_ns: int = 60_000 * MS_NS
    stream_silence_ns: int = 1_000 * MS_NS

    max_slippage_ppm: int = 5_000
    price_improve_step_ppm: int = 1_000
    max_adjustment_rounds: int = 3
    adjust_interval_ns: int = 1_000 * MS_NS
    slippage_warning_ppm: int = 3_000

    loss_threshold_ppm: int = 20_000
    cancel_confirm_ns: int = 2_000 * MS_NS
    escape_retry_ns: int = 1_000 * MS_NS
    escape_max_attempts: int = 3
    time_limit_mode_entry: EscapeMode = EscapeMode.CANCEL_ONLY
    flatten_on_fail_codes: frozenset[str] = frozenset()

    failover_enabled: bool = False
    broker_budget_ns: int = 20 * MS_NS
    """What a call to the broker is expected to take there and back."""
    fill_budget_ns: int = 50 * MS_NS
    modify_budget_ns: int = 30 * MS_NS
    total_budget_ns: int = 100 * MS_NS
    """Stages one to three (and five) without the wait for fills."""
    max_inflight_executions: int = 20

    @property
    def total_timeout_ns(self) -> int:
        """Longest life of an execution that does not escape: the six limits together."""
        return (
            self.precheck_timeout_ns
            + self.splitting_timeout_ns
            + self.sending_timeout_ns
            + self.monitoring_timeout_ns
            + self.adjusting_timeout_ns
            + self.escaping_timeout_ns
        )
