"""How carefully each key is to be changed, and when a change takes effect.

The program goes by this table, not by the tag that stands in a local file: a file cannot talk a key harmless.
"""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

Tag: TypeAlias = Literal["DANGER", "STABLE", "TUNABLE"]
Reload: TypeAlias = Literal["HOT", "SESSION", "RESTART", "TIGHTEN_NOW"]
"""When a change holds. HOT: next cycle. SESSION: next session. RESTART: next start.
TIGHTEN_NOW: next cycle if it is stricter, else next session."""
Stricter: TypeAlias = Literal["", "lower", "false", "true"]


class KeyClass(NamedTuple):
    """What holds for a key, or for all keys below it."""

    tag: Tag
    reload: Reload
    stricter: Stricter = ""
    """Which way is the safe one, where there is one."""
    reader: str = ""
    """File below the package that reads the key; empty if the key is read in any case."""

    @property
    def is_built(self) -> bool:
        """Whether anything reads the key in this version."""
        return not self.reader or (_PACKAGE / self.reader).exists()


_PACKAGE: Final = Path(__file__).parents[1]
_SAFETY: Final = "engine/safety.py"
"""Where the composition root hands the keys of the safety room over."""
_ANOMALIES: Final = "safety/anomaly.py"
_EXECUTION: Final = "engine/execution.py"
"""Where the composition root hands the keys of the execution room over."""
_LIVE_BROKER: Final = "engine/live_broker.py"
"""Where it would connect a broker whose answers take time."""
_FAILOVER: Final = "engine/failover.py"
"""Where it would choose between two brokers."""
_FAIL_CODES: Final = "engine/fail_codes.py"
"""Where it would tell executions for which code safety has failed."""

_RULES: Final[Mapping[str, KeyClass]] = {
    "mode": KeyClass("DANGER", "RESTART"),
    "live_enabled": KeyClass("DANGER", "TIGHTEN_NOW", "false"),
    "trading_enabled": KeyClass("DANGER", "TIGHTEN_NOW", "false"),
    "pipeline_paused": KeyClass("TUNABLE", "HOT"),
    "safe_mode": KeyClass("TUNABLE", "HOT"),
    "halt_all": KeyClass("DANGER", "HOT", reader=_SAFETY),
    "failsafe_enabled": KeyClass("DANGER", "RESTART", reader=_SAFETY),
    "kill_switch": KeyClass("DANGER", "RESTART", reader=_SAFETY),
    "base_equity": KeyClass("STABLE", "RESTART"),
    "loop": KeyClass("TUNABLE", "RESTART"),  # the core takes its timer at construction
    "risk": KeyClass("DANGER", "TIGHTEN_NOW", "lower"),
    "risk.require_stop": KeyClass("DANGER", "TIGHTEN_NOW", "true"),
    "risk.limit_by_depth": KeyClass("DANGER", "TIGHTEN_NOW", "true"),
    "broker": KeyClass("DANGER", "RESTART"),
    "market.source": KeyClass("STABLE", "RESTART"),
    "market.max_quote_age_ms": KeyClass("STABLE", "HOT"),
    "vol_index": KeyClass("STABLE", "SESSION"),
    "event": KeyClass("STABLE", "RESTART"),
    "operating_state": KeyClass("STABLE", "RESTART"),
    "cache": KeyClass("STABLE", "RESTART"),
    "exec": KeyClass("STABLE", "RESTART", reader=_EXECUTION),
    "exec.timeout_ms": KeyClass("DANGER", "RESTART", reader=_EXECUTION),
    "exec.split.min_split_qty": KeyClass("DANGER", "RESTART", reader=_EXECUTION),
    "exec.split.max_splits": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "exec.split.max_participation_rate": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "exec.split.max_horizon_ms": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "exec.send.max_retries": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "exec.send.ack_timeout_ms": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "exec.send.unknown_resolve_ms": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "exec.adjust.max_slippage_pct": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "exec.adjust.max_adjustment_rounds": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "exec.fill": KeyClass("STABLE", "RESTART", reader=_LIVE_BROKER),
    "exec.fill.poll_interval_ms": KeyClass("STABLE", "RESTART", reader=_EXECUTION),
    "exec.network_ms": KeyClass("STABLE", "RESTART", reader=_LIVE_BROKER),
    "exec.escape": KeyClass("DANGER", "RESTART", reader=_EXECUTION),
    "exec.escape.flatten_on_fail_codes": KeyClass("DANGER", "RESTART", reader=_FAIL_CODES),
    "exec.escape.loss_threshold_pct": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "exec.failover": KeyClass("DANGER", "RESTART", "false", reader=_FAILOVER),
    "exec.max_inflight_executions": KeyClass("DANGER", "RESTART", "lower", reader=_EXECUTION),
    "capital": KeyClass("STABLE", "SESSION"),
    "capital.mode": KeyClass("STABLE", "RESTART"),
    "capital.currency": KeyClass("STABLE", "RESTART"),
    "capital.initial": KeyClass("STABLE", "RESTART"),
    "capital.lock": KeyClass("DANGER", "SESSION", "lower"),
    "lockdown": KeyClass("DANGER", "RESTART", reader=_SAFETY),
    "guardrail": KeyClass("STABLE", "SESSION", reader=_SAFETY),
    "warning": KeyClass("STABLE", "SESSION", reader=_SAFETY),
    "warning.size_factor": KeyClass("DANGER", "TIGHTEN_NOW", "lower", reader=_SAFETY),
    "recovery": KeyClass("STABLE", "SESSION", reader=_SAFETY),
    "anomaly": KeyClass("STABLE", "SESSION", reader=_ANOMALIES),
    "data": KeyClass("DANGER", "RESTART"),
    "strategy": KeyClass("TUNABLE", "SESSION"),
    "sim": KeyClass("STABLE", "RESTART"),
    "scalp": KeyClass("TUNABLE", "SESSION"),
    "scalp.max_quote_age_ms": KeyClass("TUNABLE", "HOT"),
    "swing": KeyClass("TUNABLE", "SESSION"),
    "portfolio": KeyClass("TUNABLE", "SESSION"),
}


def class_of(key: str) -> KeyClass:
    """Return what holds for a dotted key; KeyError for one that no row covers."""
    name = key
    while name not in _RULES:
        name, dot, _ = name.rpartition(".")
        if not dot:
            raise KeyError(key)
    return _RULES[name]


def is_stricter(key: str, old: object, new: object) -> bool:
    """Return whether `new` is on the safe side of `old`; False for equal values and keys without a safe side."""
    side = class_of(key).stricter
    if side == "false":
        return old is True and new is False
    if side == "true":
        return old is False and new is True
    if side == "lower" and isinstance(old, int | Decimal) and isinstance(new, int | Decimal):
        return new < old
    return False
