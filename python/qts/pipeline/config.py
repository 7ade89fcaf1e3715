"""Settings of the pipeline, as plain immutable values. Defaults are the shipped ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from qts.engines.contracts import RiskLimits

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qts.broker.contracts import Track
    from qts.config import SessionPhase as Phase
    from qts.engines.contracts import StrategyPolicy


def _quote_ages() -> Mapping[Track, int]:
    return {"SCALP": 300, "SWING": 3_000, "PORTFOLIO": 3_000}


def _entry_phases() -> Mapping[Track, frozenset[Phase]]:
    return {"SCALP": frozenset({"FULL"}), "SWING": frozenset({"FULL"}), "PORTFOLIO": frozenset({"FULL"})}


def _cooldowns() -> Mapping[Track, int | Literal["session"]]:
    return {"SCALP": 60, "SWING": "session", "PORTFOLIO": 0}


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """What the stages may be told."""

    limits: RiskLimits = field(default_factory=RiskLimits)
    max_quote_age_ms: Mapping[Track, int] = field(default_factory=_quote_ages)
    """Age of the last market-data event above which an entry is refused, by track."""
    entry_phases: Mapping[Track, frozenset[Phase]] = field(default_factory=_entry_phases)
    """Session phases in which a track may enter; a strategy may opt into more."""
    max_slippage_bps: int = 50
    """How far beyond the quote an entry may pay."""
    max_price_gap_bps: int = 100
    """Difference between the strategy's price and the quote above which an entry is refused."""
    entry_ticks: int = 1
    """Ticks beyond the quote that a marketable entry accepts."""
    exit_ticks: int = 2
    """Ticks beyond the quote that an exit accepts; doubled with each further attempt."""
    max_intents_per_cycle: int = 20
    reentry_cooldown: Mapping[Track, int | Literal["session"]] = field(default_factory=_cooldowns)
    """Pause between an exit and the next entry in a symbol, by track: seconds, or the rest of the session."""
    scalp_flat_at_close: bool = True
    duplicate_window_s: int = 60
    """How long an entry equal to an earlier one is refused."""
    rebalance_min_money: int = 100_000
    max_bars: int = 512
    """Closed bars kept per symbol and interval, unless a strategy needs more."""
    max_consecutive_errors: int = 3
    """Cycles in error after which the run ends with FS031."""
    market_order_strategies: frozenset[str] = frozenset()
    """Strategies that may send MARKET orders."""
    sectors: Mapping[str, str] = field(default_factory=dict)
    """Sector by symbol; a symbol without one is a sector of its own."""
    policies: Mapping[str, StrategyPolicy] = field(default_factory=dict)
    """How large an order may be, by strategy id."""
    strategy_timeout_ms: int | None = None
    """Time after which a strategy's answer counts as failed; None where the machine's time must not matter."""
