"""What goes wrong with the capital of the pools."""

from __future__ import annotations

from qts.capital.messages_books import say
from qts.codes import EngineFault, UsageError


class AmountRefused(UsageError):
    """An amount that cannot be booked; nothing was."""

    def __init__(self, what: str, amount: object, *, is_signed: bool = False) -> None:
        super().__init__(
            found=say("amount", what=what, amount=amount),
            expected=say("whole_expected" if is_signed else "amount_expected"),
            hint=say("amount_hint"),
        )


class UnknownPool(UsageError):
    """A pool that does not exist."""

    def __init__(self, pool: object) -> None:
        super().__init__(found=say("pool", pool=pool), expected=say("pool_expected"), hint=say("pool_hint"))


class NotAvailable(UsageError):
    """More is asked for than is free; nothing was booked."""

    def __init__(self, what: str, amount: int, pool: str, available: int) -> None:
        super().__init__(
            found=say("short", what=what, amount=amount, pool=pool),
            expected=say("short_expected", available=available),
            hint=say("short_hint"),
        )
        self.available = available


class PoolClosed(UsageError):
    """The state of a pool forbids it."""

    def __init__(self, what: str, pool: str, state: str) -> None:
        super().__init__(
            found=say("locked", what=what, pool=pool, state=state),
            expected=say("locked_expected"),
            hint=say("locked_hint"),
        )


class BooksBroken(EngineFault):
    """A record would leave the books out of balance (FS084), or a pool below zero (FS081); nothing was booked."""

    def __init__(self, code: str, rule: str, detail: str) -> None:
        super().__init__(
            code,
            found=say("broken", rule=rule, detail=detail),
            expected=say("broken_expected"),
            hint=say("books_hint"),
        )


class NotKept(EngineFault):
    """A record cannot be made durable (FS086); nothing was booked."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            "FS086",
            found=say("not_kept", reason=reason),
            expected=say("not_kept_expected"),
            hint=say("not_kept_hint"),
        )
