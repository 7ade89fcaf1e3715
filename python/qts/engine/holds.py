"""Who holds entries back, beside the safety state: the flag of the safety word stands while anybody does."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qts.safety import SafetyStateManager

_ENTRIES: Final = "ENTRIES_BLOCKED"
_BEFORE: Final = "the session before"


class EntryHolds:
    """Keeps the reasons of several holders and lets the flag follow them.

    Args:
        safety: the safety state. A flag that a session before has left behind falls with the first look of a holder
            that has no reason, once no other has one.
    """

    def __init__(self, safety: "SafetyStateManager") -> None:
        self._safety = safety
        self._reasons: dict[str, str] = {}
        self._told = {_BEFORE: _BEFORE} if _ENTRIES in safety.snapshot().flags else {}

    def hold(self, holder: str, reason: str) -> None:
        """Set why `holder` holds entries back; empty if it does not. Cheap if nothing changes."""
        if reason:
            self._reasons[holder] = reason
        else:
            self._reasons.pop(holder, None)
        if self._reasons == self._told:
            return
        change = self._safety.set_flag if self._reasons else self._safety.clear_flag
        change(_ENTRIES, by=holder, reason=", ".join(self._reasons.values()))
        self._told = dict(self._reasons)
