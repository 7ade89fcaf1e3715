"""What `status` answers: everything that is known, and null for what is not."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from qts._core import __version__
from qts.clock import from_ns
from qts.money import plain
from qts.ops.operator.contracts import EngineStatus, OperatingStatus, SafetyStatus

if TYPE_CHECKING:
    from qts.clock import Clock
    from qts.ops.operator.interfaces import OperatorPort

_View = TypeVar("_View")


def report(port: "OperatorPort", clock: "Clock") -> dict[str, object]:
    """Return the status as JSON knows it. A part that cannot tell is unknown, and does not hide the others."""
    now_ns = clock.monotonic_ns()
    engine, engine_error = _asked(port.engine.status)
    safety, safety_error = (None, "") if port.safety is None else _asked(port.safety.safety)
    state, state_error = (None, "") if port.state is None else _asked(port.state.operating)
    errors = {"engine": engine_error, "safety": safety_error, "operating": state_error}
    return {
        "pid": os.getpid(),
        "version": __version__,
        **_engine(engine, now_ns),
        "safety": None if safety is None else _safety(safety),
        "operating": None if state is None else _operating(state),
        "errors": {part: error for part, error in errors.items() if error},
    }


def _asked(view: Callable[[], _View]) -> tuple[_View | None, str]:
    try:
        return view(), ""
    except Exception as error:  # unknown is an answer; the reason goes with it
        return None, f"{type(error).__name__}: {error}"


def _engine(engine: EngineStatus | None, now_ns: int) -> dict[str, object]:
    if engine is None:
        return {"mode": None, "uptime_s": None, "session": None, "account": None, "queues": None}
    return {
        "mode": engine.mode,
        "uptime_s": round((now_ns - engine.started_ns) / 1e9, 3),
        "as_of_s": round((now_ns - engine.taken_ns) / 1e9, 3),
        "stopping": engine.stopping,
        "config_version": engine.config_version,
        "live_gate": {"is_open": not engine.live_gate_refusals, "refusals": list(engine.live_gate_refusals)},
        "session": {
            "date": engine.session_date,
            "strategy": engine.strategy,
            "phase": engine.phase,
            "time": None if engine.engine_time_ns is None else time_text(engine.engine_time_ns),
            "progress": engine.progress,
        },
        "account": {
            "currency": engine.currency,
            "equity": None if engine.equity is None else plain(engine.equity),
            "cash": None if engine.cash is None else plain(engine.cash),
            "positions": None
            if engine.positions is None
            else [row._asdict() | {"qty": plain(row.qty)} for row in engine.positions],
            "working_orders": engine.working_orders,
            "fills": engine.fills,
        },
        "queues": None if engine.queues is None else {level: dict(row) for level, row in engine.queues.items()},
    }


def _safety(safety: SafetyStatus) -> dict[str, object]:
    return {
        "state": safety.state,
        "since": None if safety.since_ns is None else time_text(safety.since_ns),
        "cause": safety.cause,
        "consecutive": safety.consecutive,
        "kill_level": safety.kill_level,
        "safe_mode": safety.safe_mode,
        "pending_ack": safety.pending_ack,
        "flags": None if safety.flags is None else list(safety.flags),
        "probation_left": safety.probation_left,
        "size_factor": None if safety.size_factor is None else plain(safety.size_factor),
    }


def _operating(state: OperatingStatus) -> dict[str, object]:
    return {
        "state": state.state,
        "since": None if state.since_ns is None else time_text(state.since_ns),
        "cause": state.cause,
        "override": override_row(state),
        "tightened": state.tightened,
        "pending": state.pending,
        "policy": state.policy,
        "version": state.version,
    }


def override_row(state: OperatingStatus) -> dict[str, object] | None:
    """Return the override that holds, None if none does."""
    override = state.override
    if override is None:
        return None
    return {
        "state": override.state,
        "by": override.by,
        "reason": override.reason,
        "expires": time_text(override.expires_ns),
        "revert_to": override.revert_to,
    }


def time_text(ts_ns: int) -> str:
    """Return UTC nanoseconds as RFC 3339, to the second."""
    return f"{from_ns(ts_ns - ts_ns % 1_000_000_000):%Y-%m-%dT%H:%M:%S}Z"
