"""What the capital room asks of others: the live table of money, a place to write to, and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from qts.capital.contracts import CapitalHold, CapitalLedgerEntry, CapitalPoolContract, CapitalTransfer
    from qts.state.rebalance import Pool


class PoolMoney(NamedTuple):
    """What the live table says of a pool, in money units."""

    cash: int
    """Everything that is not invested: free, set aside and held for working purchases."""
    held: int
    """Held for working purchases."""
    set_aside: int
    """Kept from orders: reserved for a transfer, or in quarantine."""
    is_blocked: bool
    """Whether entries are refused."""

    @property
    def available(self) -> int:
        """Free for orders and transfers."""
        return self.cash - self.held - self.set_aside


class LiveAccount(Protocol):
    """The live truth of available money: the reservation table in the core. Calls are atomic and do not block."""

    def pool_money(self, pool: Pool) -> PoolMoney:
        """Return what the table says of a pool."""
        ...

    def unallocated(self) -> int:
        """Return cash that belongs to no pool; may be negative."""
        ...

    def move(self, from_pool: Pool | None, to_pool: Pool | None, amount: int) -> None:
        """Move free cash; None stands for what is unallocated. ValueError if it is not there, nothing moves then."""
        ...

    def set_aside(self, pool: Pool, amount: int) -> None:
        """Keep `amount` of a pool from orders from now on, in place of what was kept so far.

        ValueError if that much is not free.
        """
        ...

    def block_entries(self, pool: Pool, *, blocked: bool) -> None:
        """Refuse, or take again, orders that buy for a pool. At once, on the gate itself."""
        ...

    def credit(self, pool: Pool | None, amount: int) -> None:
        """Add external cash (negative: take away) to a pool, or to what is unallocated."""
        ...


class CapitalSink(Protocol):
    """Where the books write. A call returns once the record is durable or on its way there in order.

    Raises `EngineFault` FS086 if it cannot be kept; what was to be written has not happened then.
    """

    def entries(self, lines: tuple[CapitalLedgerEntry, ...]) -> None:
        """Keep the lines of one posting, all or none."""
        ...

    def transfer(self, transfer: CapitalTransfer) -> None:
        """Keep a transfer as it is now."""
        ...

    def hold(self, hold: CapitalHold) -> None:
        """Keep a hold as it is now."""
        ...

    def pools(self, pools: tuple[CapitalPoolContract, ...]) -> None:
        """Keep the state of the pools after a change that is not a mere fill: close, transfer, lock, release."""
        ...
