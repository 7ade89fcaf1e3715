"""What a start makes of what the last process left behind. A restart is not a release (spec 01 §7)."""

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from qts.clock import Clock
from qts.safety.audit import Head
from qts.safety.record import Found, KillRecord, StateRecord, Vault
from qts.safety.states import KillLevel, SafetyState

ENGAGED_WORDS: Final = frozenset({"on", "active", "true", "1", "y", "yes", "engaged"})
RELEASED_WORDS: Final = frozenset({"off", "inactive", "false", "0", "n", "no", "released"})
KILL_VARIABLE: Final = "KILLSWITCH_STATUS"


Engaged: TypeAlias = tuple[KillLevel, str, str]


class Restart(NamedTuple):
    """How to begin.

    Attributes:
        record: the recorded state, or a new one.
        state: the state to begin in.
        reason: why, if not because it was recorded.
        detail: what is wrong with the record.
        is_first: nothing has ever been recorded here.
        engaged: the kill switch as it was left, or as it must be taken to have been: level, by whom, why.
        asked: kill levels that the sentinel file or the environment asks for.
    """

    record: StateRecord
    state: SafetyState
    reason: str
    detail: str
    is_first: bool
    engaged: Engaged | None
    asked: tuple[Engaged, ...]


def look(vault: Vault, head: Head, environ: Mapping[str, str]) -> Restart:
    """Read what is there. What cannot be read, or is missing where something must be, is never taken for NORMAL.

    Args:
        vault: the records.
        head: last line of the audit trail.
        environ: `KILLSWITCH_STATUS` of it engages the kill switch; a word that is neither on nor off does too.
    """
    found, kill = vault.load_state(), vault.load_kill()
    is_empty = found.record is None and not found.fault and kill.record is None and not kill.fault
    is_first = is_empty and head.seq == 0
    record = found.record or StateRecord()
    state, reason, detail = record.state, "restored", ""
    if found.record is None and not is_first:
        reason = "state_unreadable" if found.fault else "state_missing"
        state, detail = SafetyState.FAIL, found.fault
    elif head.seq < record.audit_seq:
        reason, detail = "audit_lines_missing", f"last line {head.seq}, recorded {record.audit_seq}"
        state = max(state, SafetyState.FAIL)
    engaged = _engaged(kill, is_first=is_first)
    return Restart(record, state, reason, detail, is_first, engaged, tuple(_asked(vault, environ)))


def _engaged(kill: Found[KillRecord], *, is_first: bool) -> Engaged | None:
    if kill.record is not None:
        return (kill.record.level, kill.record.by, kill.record.reason) if kill.record.is_engaged else None
    return None if is_first else (KillLevel.K1, "engine", f"flag unreadable: {kill.fault or 'missing'}")


def _asked(vault: Vault, environ: Mapping[str, str]) -> Iterator[Engaged]:
    sentinel = vault.sentinel()
    if sentinel is not None:
        yield sentinel, "sentinel file", "present at start"
    word = environ.get(KILL_VARIABLE, "").strip().casefold()
    if word and word not in RELEASED_WORDS:
        reason = f"{KILL_VARIABLE}={word}" if word in ENGAGED_WORDS else f"{KILL_VARIABLE} is neither on nor off"
        yield KillLevel.K1, "environment", reason


def last_fail_monotonic(record: StateRecord, clock: Clock) -> int | None:
    """Return the last fail-safe on this process's monotonic clock; one that lies in the future counts as just now."""
    if record.last_fail_ns is None:
        return None
    return clock.monotonic_ns() - max(0, clock.now_ns() - record.last_fail_ns)
