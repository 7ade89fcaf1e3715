"""What the safety room asks the one table of codes."""

from typing import Final

from qts.codes import Code, Effect
from qts.safety.states import AnomalyLevel, EventKind

STORAGE_FAILED: Final = "FS063"
"""An act or the state cannot be kept on disk, or what was kept there cannot be read."""
KILL: Final = "KS"
"""The kill switch is engaged."""
_MILDER: Final[dict[str, tuple[Effect, ...]]] = {"FS003": ("FAIL",)}
"""What a code asks for where less is lost: at a reload the configuration before stays in force (spec 01 §3.2)."""
_ORDER_GUARDRAILS: Final = range(1, 44)
"""Numbers of the guardrails that always stand between an order and its execution."""


def kind_of(code: str) -> EventKind:
    """Return what kind of event the prefix of a code stands for."""
    if code.startswith("AN"):
        return EventKind.ANOMALY
    if code == KILL:
        return EventKind.KILL
    return EventKind.GUARDRAIL if code.startswith("G") else EventKind.FAIL_SAFE  # G: GR, and G_EXE of the gate


def effects_of(row: Code) -> tuple[Effect, ...]:
    """Return what a code may ask for: its first effect, those that it escalates to, and a milder one elsewhere."""
    return (row.effect, *(step.effect for step in row.escalations), *_MILDER.get(row.code, ()))


def level_of(row: Code) -> AnomalyLevel:
    """Return how grave an anomaly is."""
    return AnomalyLevel.__members__.get(row.level or "", AnomalyLevel.MEDIUM)


def is_order_guardrail(code: str) -> bool:
    """Whether a guardrail acts on an order whenever it is raised: GR001 to GR043."""
    return code.startswith("GR") and int(code[2:]) in _ORDER_GUARDRAILS
