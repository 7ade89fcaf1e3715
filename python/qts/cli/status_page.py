"""The status of an engine as a page of labels and values, in the user's language."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from qts.codes import TABLE, aligned
from qts.ops.operator.messages import say

Rows: TypeAlias = Iterator[tuple[str, str]]


def page(result: Mapping[str, Any]) -> str:
    """Return the answer of `status` as lines. What is not known is said to be unknown."""
    rows = [
        *_engine(result),
        *_safety(result["safety"]),
        *_operating(result["operating"]),
        *_session(result),
        *_account(result.get("account") or {}),
        *_queues(result.get("queues")),
    ]
    parts = {"engine": "page_engine", "safety": "page_safety", "operating": "page_operating"}
    rows += [(say("page_error", part=say(parts[part])), error) for part, error in result["errors"].items()]
    return "".join(f"{line}\n" for line in aligned(rows))


def known(value: object) -> str:
    """Return a value as text, None as unknown."""
    if value is None:
        return say("unknown")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _engine(result: Mapping[str, Any]) -> Rows:
    uptime = result["uptime_s"]
    yield say("page_engine"), say("page_process", version=result["version"], pid=result["pid"])
    yield say("page_mode"), known(result["mode"]) + (f" ({say('stopping')})" if result.get("stopping") else "")
    yield say("page_uptime"), known(None if uptime is None else _duration(uptime))
    yield say("page_as_of"), known(None if uptime is None else say("page_ago", seconds=f"{result['as_of_s']:.1f}"))


def _duration(seconds: float) -> str:
    days, rest = divmod(int(seconds), 86_400)
    clock = f"{rest // 3_600}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return say("page_days", days=days, clock=clock) if days else clock


def _machine(label: str, machine: Mapping[str, Any] | None) -> Rows:
    if machine is None:
        yield label, known(None)
        return
    yield label, say("page_since", state=machine["state"], since=known(machine["since"]))
    cause = machine["cause"]
    told = f" {TABLE[cause].title.text()}" if cause in TABLE else ""
    yield _below("page_cause"), f"{cause}{told}" if cause else say("page_none")


def _safety(machine: Mapping[str, Any] | None) -> Rows:
    yield from _machine(say("page_safety"), machine)
    if machine is None:
        return
    level, flags, left = machine.get("kill_level"), machine.get("flags"), machine.get("probation_left")
    yield _below("page_kill"), known(level if level is None else f"K{level}" if level else say("page_kill_off"))
    yield _below("page_safe_mode"), _switch(machine.get("safe_mode"), "page_on", "page_off")
    yield _below("page_flags"), known(flags if flags is None else ", ".join(flags) or say("page_none"))
    yield (
        _below("page_probation"),
        known(left if left is None else say("page_cycles", count=left) if left else say("page_none")),
    )
    factor = machine.get("size_factor")
    yield _below("page_size_factor"), known(factor if factor is None else say("page_times", factor=factor))
    if machine.get("pending_ack"):
        yield _below("page_waits"), say("page_ack")


def _operating(machine: Mapping[str, Any] | None) -> Rows:
    yield from _machine(say("page_operating"), machine)
    if machine is None:
        return
    held, pending = machine.get("override"), machine.get("pending")
    if held:
        yield _below("page_override"), say("page_override_text", **{**held, "by": known(held["by"])})
    else:
        yield _below("page_override"), say("page_none")
    yield _below("page_pending"), known(pending if pending is None else pending or say("page_none"))
    yield _below("page_limits"), _switch(machine.get("tightened"), "page_tightened", "page_as_state")
    yield _below("page_policy"), known(machine.get("policy"))
    yield _below("page_version"), known(machine.get("version"))


def _session(result: Mapping[str, Any]) -> Rows:
    gate, session = result.get("live_gate"), result.get("session") or {}
    if gate:
        reasons = ", ".join(gate["refusals"])
        gate = say("page_gate_open") if gate["is_open"] else say("page_gate_closed", reasons=reasons)
    yield say("page_gate"), known(gate)
    yield say("page_session"), " ".join(known(session.get(part)) for part in ("date", "phase", "time"))
    yield say("page_strategy"), known(session.get("strategy"))


def _account(account: Mapping[str, Any]) -> Rows:
    currency = account.get("currency") or ""
    for name in ("equity", "cash"):
        yield say(f"page_{name}"), f"{known(account.get(name))} {currency}".rstrip()
    working, fills = known(account.get("working_orders")), known(account.get("fills"))
    yield say("page_orders"), say("page_orders_text", working=working, fills=fills)
    positions = account.get("positions")
    yield say("page_positions"), known(None if positions is None else str(len(positions)))
    for row in positions or ():
        yield f"  {row['symbol']}", f"{row['qty']} {row['track']}"


def _queues(queues: Mapping[str, Mapping[str, int]] | None) -> Rows:
    if not queues:
        yield say("page_queues"), known(None)
        return
    for level, row in queues.items():
        yield level, ", ".join(f"{_counter(name)} {count:,}" for name, count in row.items())


def _counter(name: str) -> str:
    return say(f"page_{name}") if f"page_{name}" in say else name


def _below(key: str) -> str:
    return f"  {say(key)}"


def _switch(value: bool | None, on: str, off: str) -> str:  # noqa: FBT001 - a value that is shown
    return known(None) if value is None else say(on if value else off)
