"""Every code that can be raised: one number, one meaning, one effect.

A view of the table in the compiled core, which is the only copy. Published meanings never change.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias, cast

from qts._core import code_table, lockdown_table
from qts._shapes import CodeRow
from qts.codes.messages import Lang, language

Effect: TypeAlias = Literal["NOTE", "WARN", "FAIL", "LOCKDOWN"]
Level: TypeAlias = Literal["INFO", "WARNING", "LOW", "MEDIUM", "HIGH"]


class Told(NamedTuple):
    """A text in both languages."""

    en: str
    ko: str

    def text(self, lang: Lang | None = None) -> str:
        """Return the text in `lang` (default: the user's language)."""
        return self.ko if (lang or language()) == "ko" else self.en


class Escalation(NamedTuple):
    """A stronger effect, and when it comes."""

    effect: Effect
    when: Told


class Code(NamedTuple):
    """One row of the table. `effect` is on the safety state; guardrails (GR) act on the order itself, see `action`."""

    code: str
    title: Told
    owner: str
    """Number of the design document that owns it."""
    emitter: str
    """The only component that raises it."""
    stage: str
    effect: Effect
    escalations: tuple[Escalation, ...]
    level: Level | None
    """INFO or WARNING of a guardrail; LOW, MEDIUM or HIGH of an anomaly."""
    counted: bool
    """An FS counts towards LOCKDOWN (with effect FAIL); a GR towards WARNING if it blocked or cut an order."""
    trigger: Told
    action: Told
    """What the engine does; of a guardrail, what becomes of the order."""
    release: Told
    """What has to hold before a release."""
    next: Told
    """What the operator does next."""
    origin: str
    """Numbers of design documents; S a seed, E an earlier build, R a choice of this project."""

    def as_dict(self) -> dict[str, object]:
        """Return the row as JSON knows it; a text is an object of both languages."""
        row: dict[str, object] = {
            key: value._asdict() if isinstance(value, Told) else value for key, value in self._asdict().items()
        }
        row["escalations"] = [{"effect": step.effect, "when": step.when._asdict()} for step in self.escalations]
        return row

    @property
    def name(self) -> str:
        """What the code is called, in English."""
        return self.title.en

    @property
    def name_ko(self) -> str:
        """What the code is called, in Korean."""
        return self.title.ko

    @property
    def meaning(self) -> str:
        """When it is raised, in English."""
        return self.trigger.en


class Lockdown(NamedTuple):
    """What one room does in LOCKDOWN, and the code by which it tells so."""

    room: Told
    owner: str
    code: str | None
    does: Told


def _row(row: CodeRow) -> Code:
    return Code(
        code=row["code"],
        title=Told(*row["name"]),
        owner=row["owner"],
        emitter=row["emitter"],
        stage=row["stage"],
        effect=cast("Effect", row["effect"]),
        escalations=tuple(Escalation(cast("Effect", effect), Told(*when)) for effect, when in row["escalations"]),
        level=cast("Level | None", row["level"]),
        counted=row["counted"],
        trigger=Told(*row["trigger"]),
        action=Told(*row["action"]),
        release=Told(*row["release"]),
        next=Told(*row["next"]),
        origin=row["origin"],
    )


TABLE: Final[Mapping[str, Code]] = MappingProxyType({row["code"]: _row(row) for row in code_table()})
LOCKDOWN: Final[tuple[Lockdown, ...]] = tuple(
    Lockdown(Told(*row["room"]), row["owner"], row["code"], Told(*row["does"])) for row in lockdown_table()
)


def lookup(code: str) -> Code:
    """Return the row of `code`; ValueError for a code that is not in the table, which may not be raised."""
    row = TABLE.get(code)
    if row is None:
        raise ValueError(f"code {code!r} is not in the table of codes")
    return row
