"""What goes wrong with the operating state."""

from __future__ import annotations

from qts.codes import EngineFault, UsageError
from qts.state.messages import say


class OverrideRejected(UsageError):
    """An override is refused; nothing was changed."""

    def __init__(self, *, found: str, expected: str) -> None:
        super().__init__(found=found, expected=expected, hint=say("override_hint"), code="GR084")


class NotActive(UsageError):
    """There is no override to cancel."""

    def __init__(self) -> None:
        super().__init__(found=say("no_override"), expected=say("no_override_expected"), hint=say("no_override_hint"))


class NotInLockdown(UsageError):
    """There is no LOCKDOWN to be released."""

    def __init__(self, safety: str) -> None:
        super().__init__(found=say("no_lockdown", safety=safety), expected=say("no_lockdown_expected"))


class RejectedRiskOn(UsageError):
    """A forced move may only lower the risk."""

    def __init__(self, current: str, target: str) -> None:
        super().__init__(
            found=say("forced_up", current=current, target=target),
            expected=say("forced_up_expected"),
            hint=say("forced_up_hint"),
        )


class StorePersistFailed(EngineFault):
    """The state cannot be made durable (FS110)."""

    def __init__(self, *, where: str, reason: str) -> None:
        super().__init__(
            "FS110",
            found=say("not_persisted", reason=reason),
            expected=say("not_persisted_expected"),
            hint=say("not_persisted_hint"),
            where=where,
        )


class StateCorrupt(EngineFault):
    """What was stored cannot be trusted (FS111)."""

    def __init__(self, *, where: str, reason: str) -> None:
        super().__init__(
            "FS111",
            found=say("corrupt", reason=reason),
            expected=say("corrupt_expected"),
            hint=say("corrupt_hint"),
            where=where,
        )


class SecondWriter(EngineFault):
    """Another process writes the same state (FS112)."""

    def __init__(self, *, where: str) -> None:
        super().__init__(
            "FS112",
            found=say("second_writer"),
            expected=say("second_writer_expected"),
            hint=say("second_writer_hint"),
            where=where,
        )
