"""Findings of an evaluation, and which of them are new."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from qts.capital.contracts import CapitalAlert
from qts.capital.messages import say
from qts.money import plain

if TYPE_CHECKING:
    from collections.abc import Iterable

    from qts.capital.contracts import Pool, Severity
    from qts.codes import Lang

AlertKey: TypeAlias = "tuple[str, Pool | None, Severity]"


class Findings:
    """Collects the alerts of one evaluation.

    Args:
        lang: language of their messages; fixed, so that equal input gives equal output whatever the environment says.
    """

    def __init__(self, lang: Lang) -> None:
        self.lang = lang
        self.alerts: list[CapitalAlert] = []

    def add(self, code: str, severity: Severity, pool: Pool | None, phrase: str, /, **values: object) -> str:
        """Add an alert whose message is `phrase`, filled with the pool and the values, and return the message."""
        told = {name: plain(value) if isinstance(value, Decimal) else str(value) for name, value in values.items()}
        message = self.say(phrase, pool=pool, **told)
        self.alerts.append(CapitalAlert(code, pool, severity, message, tuple(sorted(told.items()))))
        return message

    def say(self, phrase: str, /, **values: object) -> str:
        """Return a text in the language of the findings."""
        return say(phrase, self.lang, **values)

    @property
    def is_fault(self) -> bool:
        """Whether a finding asks for FAIL or LOCKDOWN: no capital moves then."""
        return any(alert.severity in ("FAIL", "LOCKDOWN") for alert in self.alerts)


def fresh_alerts(
    known: frozenset[AlertKey], alerts: Iterable[CapitalAlert]
) -> tuple[tuple[CapitalAlert, ...], frozenset[AlertKey]]:
    """Return the alerts that were not there last time, and what is there now, for the next time.

    An alert stands in every evaluation for as long as its condition holds. Safety is to be told once when it begins,
    and again when it has become more severe.
    """
    now = {(alert.code, alert.pool_id, alert.severity): alert for alert in reversed(tuple(alerts))}
    return tuple(alert for key, alert in reversed(now.items()) if key not in known), frozenset(now)
