"""The configuration in the units of the rooms: fractions as parts per million, money and quantities as integers."""

from decimal import Decimal
from typing import TYPE_CHECKING, Final

from qts.engines.contracts import RiskLimits, StrategyPolicy
from qts.execution.config import ExecutionConfig
from qts.execution.contracts import EscapeMode
from qts.pipeline.config import PipelineConfig

if TYPE_CHECKING:
    from qts.config import QtsConfig
    from qts.money import Currency

_PPM: Final = 1_000_000
_MS_NS: Final = 1_000_000


def _ppm(fraction: Decimal) -> int:
    return int(fraction * _PPM)


def pipeline_settings(config: "QtsConfig", currency: "Currency", *, is_live_market: bool = False) -> PipelineConfig:
    """Return the pipeline's settings for an account in `currency`.

    The time that a strategy takes counts on a live market alone: what a machine is busy with must not change what a
    recorded or simulated market gives.
    """
    risk, local, strategies = config.local.risk, config.local, config.strategies
    cooldown = config.strategy.reentry_cooldown_s
    return PipelineConfig(
        limits=RiskLimits(
            max_exposure_ppm=_ppm(risk.max_exposure_pct),
            max_symbol_exposure_ppm=_ppm(risk.max_symbol_exposure_pct),
            daily_loss_warning_ppm=_ppm(risk.daily_loss_warning_pct),
            dd_warning_ppm=_ppm(risk.dd_warning_pct),
            dd_danger_ppm=_ppm(risk.dd_danger_pct),
            max_risk_score_ppm=_ppm(risk.max_risk_score),
            max_trade_qty=risk.max_trade_qty,
            max_order_money=risk.max_order_krw * 10**currency.scale,
            sector_limit_ppm=_ppm(risk.sector_limit_pct),
            max_adv_ppm=_ppm(risk.max_adv_pct),
            max_depth_ppm=_ppm(risk.max_depth_pct) if risk.limit_by_depth else None,
            per_trade_ppm=_ppm(risk.per_trade_pct),
            require_stop=risk.require_stop,
        ),
        max_quote_age_ms={
            "SCALP": strategies.scalp.max_quote_age_ms,
            "SWING": local.market.max_quote_age_ms,
            "PORTFOLIO": local.market.max_quote_age_ms,
        },
        entry_phases={
            "SCALP": frozenset(strategies.scalp.session.allowed_phases),
            "SWING": frozenset(strategies.swing.session.allowed_phases),
            "PORTFOLIO": frozenset(strategies.portfolio.session.allowed_phases),
        },
        max_intents_per_cycle=config.strategy.max_intents_per_cycle,
        reentry_cooldown={
            "SCALP": cooldown.scalp,
            "SWING": cooldown.swing,
            "PORTFOLIO": cooldown.portfolio,
        },
        scalp_flat_at_close=strategies.scalp.flat_at_close,
        sectors={symbol: row.sector for symbol, row in config.reference.instruments.items()},
        policies={
            name: StrategyPolicy(policy.max_order_qty, policy.stage, policy.reduce_to_qty)
            for name, policy in config.strategy.policies.items()
        },
        strategy_timeout_ms=config.strategy.timeout_ms if is_live_market else None,
    )


def queue_settings(config: "QtsConfig") -> dict[str, int]:
    """Return the queue capacities as the core names them."""
    queues = config.event.queues
    return {
        "p0_capacity": queues.p0.capacity,
        "p0_spill_capacity": queues.p0.spill_capacity,
        "p1_capacity": queues.p1.capacity,
        "p1_batch_size": queues.p1.batch_size,
        "p2_capacity": queues.p2.capacity,
        "p2_batch_size": queues.p2.batch_size,
        "p3_capacity": queues.p3.capacity,
        "p3_batch_size": queues.p3.batch_size,
        "p3_sample_period": round(1 / queues.p3.sample_rate),
    }


def latency_ns(config: "QtsConfig") -> dict[str, int]:
    """Return latencies and their seed as the core names them."""
    sim = config.sim
    return {
        "latency_out_ns": sim.latency_out_ms * _MS_NS,
        "latency_in_ns": sim.latency_in_ms * _MS_NS,
        "latency_jitter_ns": sim.latency_jitter_ms * _MS_NS,
        "seed": sim.seed,
        "cycle_interval_ns": config.local.loop.interval_ms * _MS_NS,
    }


def execution_settings(config: "QtsConfig") -> ExecutionConfig:
    """Return the settings of executions, the ages of quotes among them."""
    settings, ages = config.exec, config.cache.stale_threshold_ms
    limits, split, send, fill = settings.timeout_ms, settings.split, settings.send, settings.fill
    adjust, escape, network = settings.adjust, settings.escape, settings.network_ms
    return ExecutionConfig(
        precheck_timeout_ns=limits.precheck * _MS_NS,
        splitting_timeout_ns=limits.splitting * _MS_NS,
        sending_timeout_ns=limits.sending * _MS_NS,
        monitoring_timeout_ns=limits.monitoring * _MS_NS,
        adjusting_timeout_ns=limits.adjusting * _MS_NS,
        escaping_timeout_ns=limits.escaping * _MS_NS,
        reconnect_ns=settings.precheck.reconnect_ms * _MS_NS,
        price_max_age_ns=ages.price * _MS_NS,
        book_max_age_ns=ages.orderbook * _MS_NS,
        min_split_qty=split.min_split_qty,
        max_splits=split.max_splits,
        vwap_min_adv_ppm=_ppm(split.vwap_min_adv_ratio),
        iceberg_depth_ppm=_ppm(split.iceberg_depth_ratio),
        display_qty=split.display_qty,
        max_participation_ppm=_ppm(split.max_participation_rate),
        max_horizon_ns=split.max_horizon_ms * _MS_NS,
        max_wait_ms=split.max_wait_ms,
        max_attempts=send.max_retries,
        backoff_ns=send.backoff_ms * _MS_NS,
        ack_timeout_ns=send.ack_timeout_ms * _MS_NS,
        unknown_resolve_ns=send.unknown_resolve_ms * _MS_NS,
        fill_mode=fill.mode,
        callback_timeout_ns=fill.callback_timeout_ms * _MS_NS,
        poll_interval_ns=fill.poll_interval_ms * _MS_NS,
        max_poll_duration_ns=fill.max_poll_duration_ms * _MS_NS,
        stream_silence_ns=fill.stream_silence_ms * _MS_NS,
        max_slippage_ppm=_ppm(adjust.max_slippage_pct),
        price_improve_step_ppm=_ppm(adjust.price_improve_step_pct),
        max_adjustment_rounds=adjust.max_adjustment_rounds,
        adjust_interval_ns=adjust.adjust_interval_ms * _MS_NS,
        slippage_warning_ppm=_ppm(adjust.slippage_warning_pct),
        loss_threshold_ppm=_ppm(escape.loss_threshold_pct),
        cancel_confirm_ns=escape.cancel_confirm_ms * _MS_NS,
        escape_retry_ns=escape.retry_ms * _MS_NS,
        escape_max_attempts=escape.max_attempts,
        time_limit_mode_entry=EscapeMode(escape.time_limit_mode_entry),
        flatten_on_fail_codes=frozenset(escape.flatten_on_fail_codes),
        failover_enabled=settings.failover.enabled,
        broker_budget_ns=network.broker * _MS_NS,
        fill_budget_ns=network.fill * _MS_NS,
        modify_budget_ns=network.modify * _MS_NS,
        total_budget_ns=network.total * _MS_NS,
        max_inflight_executions=settings.max_inflight_executions,
    )
