"""`execution.yaml`: limits, waits and steps of the execution of scalp orders."""

from decimal import Decimal
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from qts.codes import TABLE
from qts.config.fields import Flag, Fraction, Whole, Word, refuse, split_words
from qts.config.models.base import Section

NEVER_FLATTEN: Final = frozenset({"FS070", "FS071", "FS081", "FS084", "FS099"})
"""Codes that say that the engine's own figures may be wrong: nothing is ever sold because of them."""


def _flattening(codes: tuple[str, ...]) -> tuple[str, ...]:
    for code in codes:
        if code not in TABLE or not code.startswith("FS") or code in NEVER_FLATTEN:
            raise refuse("flatten_code")
    return codes


FlattenCodes = Annotated[tuple[Word, ...], BeforeValidator(split_words), AfterValidator(_flattening)]


class ExecTimeouts(Section):
    """How long a state may last, waits for broker and market included."""

    precheck: Annotated[Whole, Field(ge=100, le=30_000)] = Field(
        default=5_000, description="Milliseconds that PreCheck may take; then the decision is refused."
    )
    splitting: Annotated[Whole, Field(ge=10, le=10_000)] = Field(
        default=1_000, description="Milliseconds that OrderSplit may take; then the decision is refused."
    )
    sending: Annotated[Whole, Field(ge=1_000, le=60_000)] = Field(
        default=10_000, description="Milliseconds for sending what is due; then nothing more is sent."
    )
    monitoring: Annotated[Whole, Field(ge=1_000, le=600_000)] = Field(
        default=60_000, description="Milliseconds of waiting for fills, over all visits; then the rest is cancelled."
    )
    adjusting: Annotated[Whole, Field(ge=1_000, le=120_000)] = Field(
        default=30_000, description="Milliseconds of adjusting, over all visits; then the execution escapes."
    )
    escaping: Annotated[Whole, Field(ge=1_000, le=120_000)] = Field(
        default=30_000, description="Milliseconds until an escape that has not reached its goal raises FAIL (FS092)."
    )


class ExecPreCheck(Section):
    """Before an order."""

    reconnect_ms: Annotated[Whole, Field(ge=0, le=5_000)] = Field(
        default=1_000, description="Milliseconds that one attempt to reconnect may hold a decision up."
    )


class ExecSplit(Section):
    """How an order is cut into children."""

    min_split_qty: Annotated[Whole, Field(ge=1)] = Field(
        default=100, description="Quantity, in whole units, up to which an order goes out in one piece."
    )
    max_splits: Annotated[Whole, Field(ge=1, le=100)] = Field(
        default=20, description="Most children of an order; more are merged (GR060)."
    )
    vwap_min_adv_ratio: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.001"),
        description="Share of the average daily volume from which an order follows the volume profile.",
    )
    iceberg_depth_ratio: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.5"), description="Share of the best quote's size above which an order shows parts only."
    )
    display_qty: Annotated[Whole, Field(ge=1)] = Field(
        default=100, description="Quantity, in whole units, that such an order shows at a time."
    )
    max_participation_rate: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.10"), description="Largest share of the volume that is expected while a child trades."
    )
    max_horizon_ms: Annotated[Whole, Field(ge=0, le=600_000)] = Field(
        default=55_000, description="Milliseconds after which no child may be scheduled any more."
    )
    max_wait_ms: Annotated[Whole, Field(ge=100, le=60_000)] = Field(
        default=5_000, description="Milliseconds that a child waits for a fill before it is adjusted (GR064)."
    )


class ExecSend(Section):
    """Sending."""

    max_retries: Annotated[Whole, Field(ge=1, le=10)] = Field(
        default=3, description="Attempts to send a child, the first included; none after an answer that was lost."
    )
    backoff_ms: Annotated[Whole, Field(ge=0, le=5_000)] = Field(
        default=100, description="Milliseconds between two attempts."
    )
    ack_timeout_ms: Annotated[Whole, Field(ge=100, le=30_000)] = Field(
        default=5_000, description="Milliseconds without an answer after which a child is UNKNOWN."
    )
    unknown_resolve_ms: Annotated[Whole, Field(ge=100, le=30_000)] = Field(
        default=3_000, description="Milliseconds UNKNOWN after which the symbol is closed to entries (GR067)."
    )


class ExecFill(Section):
    """How fills are heard of."""

    mode: Literal["PUSH", "POLL"] = Field(
        default="PUSH", description="PUSH: the broker's stream, polled while it is silent. POLL: always polled."
    )
    callback_timeout_ms: Annotated[Whole, Field(ge=1, le=1_000)] = Field(
        default=100, description="Milliseconds that taking in a message of the stream may take."
    )
    poll_interval_ms: Annotated[Whole, Field(ge=10, le=60_000)] = Field(
        default=100, description="Milliseconds between two polls; more where the broker's rate budget leaves less."
    )
    max_poll_duration_ms: Annotated[Whole, Field(ge=1_000, le=600_000)] = Field(
        default=60_000, description="Milliseconds that an execution is polled for."
    )
    stream_silence_ms: Annotated[Whole, Field(ge=100, le=60_000)] = Field(
        default=1_000, description="Milliseconds of silence after which the stream is not relied on: poll."
    )


class ExecAdjust(Section):
    """How the price of a child that waits is improved."""

    max_slippage_pct: Annotated[Fraction, Field(gt=0, le=Decimal("0.005"))] = Field(
        default=Decimal("0.005"), description="Farthest from the decision's price that an entry may go (FS094)."
    )
    price_improve_step_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.001"), description="Step of one improvement, as a share of the price; at least one tick."
    )
    max_adjustment_rounds: Annotated[Whole, Field(ge=0, le=20)] = Field(
        default=3, description="Most improvements of an execution."
    )
    adjust_interval_ms: Annotated[Whole, Field(ge=100, le=30_000)] = Field(
        default=1_000, description="Milliseconds between two improvements."
    )
    slippage_warning_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.003"), description="Adverse slippage above which prices are improved no further (GR063)."
    )


class ExecEscape(Section):
    """Getting out."""

    loss_threshold_pct: Annotated[Fraction, Field(gt=0)] = Field(
        default=Decimal("0.02"), description="Loss, as a share of the entry's cost, above which it is sold again."
    )
    cancel_confirm_ms: Annotated[Whole, Field(ge=100, le=30_000)] = Field(
        default=2_000, description="Milliseconds that final statuses of cancelled children are waited for."
    )
    retry_ms: Annotated[Whole, Field(ge=100, le=30_000)] = Field(
        default=1_000, description="Milliseconds between two attempts to liquidate."
    )
    max_attempts: Annotated[Whole, Field(ge=1, le=10)] = Field(
        default=3, description="Attempts to liquidate before an operator is called."
    )
    time_limit_mode_entry: Literal["CANCEL_ONLY", "FLATTEN_EXECUTION"] = Field(
        default="CANCEL_ONLY",
        description="What a spent time limit does to an entry. CANCEL_ONLY: fills are kept, the risk loop watches them."
        " FLATTEN_EXECUTION: they are sold.",
    )
    flatten_on_fail_codes: FlattenCodes = Field(
        default=(), description="FS codes that also sell what entries have bought; none: they cancel only."
    )


class ExecFailover(Section):
    """A second broker."""

    enabled: Flag = Field(
        default=False, description="Whether new entries go to a second broker while the first is proven down."
    )


class ExecNetwork(Section):
    """What the network is expected to take; longer is reported, not forbidden."""

    broker: Annotated[Whole, Field(ge=1, le=10_000)] = Field(
        default=20, description="Milliseconds of a call to the broker, there and back."
    )
    fill: Annotated[Whole, Field(ge=1, le=10_000)] = Field(
        default=50, description="Milliseconds until a fill is heard of."
    )
    modify: Annotated[Whole, Field(ge=1, le=10_000)] = Field(default=30, description="Milliseconds of an amendment.")
    total: Annotated[Whole, Field(ge=1, le=60_000)] = Field(
        default=100, description="Milliseconds of an execution without the wait for fills."
    )


class ExecSettings(Section):
    """Execution of scalp orders."""

    timeout_ms: ExecTimeouts = Field(default_factory=ExecTimeouts, description="How long each state may last.")
    precheck: ExecPreCheck = Field(default_factory=ExecPreCheck, description="Before an order.")
    split: ExecSplit = Field(default_factory=ExecSplit, description="How an order is cut into children.")
    send: ExecSend = Field(default_factory=ExecSend, description="Sending.")
    fill: ExecFill = Field(default_factory=ExecFill, description="How fills are heard of.")
    adjust: ExecAdjust = Field(default_factory=ExecAdjust, description="How prices of waiting children improve.")
    escape: ExecEscape = Field(default_factory=ExecEscape, description="Getting out.")
    failover: ExecFailover = Field(default_factory=ExecFailover, description="A second broker.")
    network_ms: ExecNetwork = Field(default_factory=ExecNetwork, description="What the network is expected to take.")
    max_inflight_executions: Annotated[Whole, Field(ge=1, le=100)] = Field(
        default=20, description="Most executions at a time."
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        limits, split, send, escape, network = self.timeout_ms, self.split, self.send, self.escape, self.network_ms
        rules = (
            (self.precheck.reconnect_ms < limits.precheck, "precheck.reconnect_ms < timeout_ms.precheck"),
            (
                split.max_horizon_ms + split.max_wait_ms <= limits.monitoring,
                "split.max_horizon_ms + split.max_wait_ms <= timeout_ms.monitoring",
            ),
            (send.ack_timeout_ms < limits.sending, "send.ack_timeout_ms < timeout_ms.sending"),
            (
                self.fill.poll_interval_ms < self.fill.max_poll_duration_ms,
                "fill.poll_interval_ms < fill.max_poll_duration_ms",
            ),
            (
                self.adjust.slippage_warning_pct <= self.adjust.max_slippage_pct,
                "adjust.slippage_warning_pct <= adjust.max_slippage_pct",
            ),
            (
                self.adjust.price_improve_step_pct <= self.adjust.max_slippage_pct,
                "adjust.price_improve_step_pct <= adjust.max_slippage_pct",
            ),
            (
                escape.cancel_confirm_ms + escape.max_attempts * escape.retry_ms < limits.escaping,
                "escape.cancel_confirm_ms + escape.max_attempts * escape.retry_ms < timeout_ms.escaping",
            ),
            (
                max(network.broker, network.fill, network.modify) <= network.total,
                "network_ms.broker, fill, modify <= network_ms.total",
            ),
        )
        for holds, order in rules:
            if not holds:
                raise refuse("ordered", order=order)
        return self


class ExecutionFile(Section):
    """`execution.yaml`."""

    exec: ExecSettings = Field(default_factory=ExecSettings, description="Execution of scalp orders.")
