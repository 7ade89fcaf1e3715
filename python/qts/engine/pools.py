"""Pools of a run at the core: its table of money as the capital room sees it, and the broker that tells of holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qts.capital.interfaces import PoolMoney

if TYPE_CHECKING:
    from collections.abc import Callable

    from qts._core import StepEngine
    from qts.broker.contracts import OrderRequest, SubmitAck, Track
    from qts.broker.interfaces import BrokerPort
    from qts.state.rebalance import Pool


class LiveTable:
    """`qts.capital.interfaces.LiveAccount` over the reservation table of a stepped engine."""

    def __init__(self, core: StepEngine) -> None:
        self._core = core

    def pool_money(self, pool: Pool) -> PoolMoney:
        """Return what the table says of a pool."""
        return PoolMoney(*self._core.pool_money(pool))

    def unallocated(self) -> int:
        """Return cash that belongs to no pool."""
        return self._core.unallocated()

    def move(self, from_pool: Pool | None, to_pool: Pool | None, amount: int) -> None:
        """Move free cash; ValueError if it is not there."""
        self._core.move_pool_cash(from_pool, to_pool, amount)

    def set_aside(self, pool: Pool, amount: int) -> None:
        """Keep an amount from orders; ValueError if it is not free."""
        self._core.set_aside(pool, amount)

    def block_entries(self, pool: Pool, *, blocked: bool) -> None:
        """Refuse, or take again, orders that buy for a pool."""
        self._core.block_entries(pool, blocked)

    def credit(self, pool: Pool | None, amount: int) -> None:
        """Book external cash; ValueError if what goes away is not free."""
        self._core.credit(pool, amount)


class PoolBroker:
    """A broker whose every purchase is told to the books with what the gate holds for it."""

    def __init__(
        self, broker: BrokerPort, hold_of: Callable[[int], int], on_hold: Callable[[int, Track, int], object]
    ) -> None:
        self._broker = broker
        self._hold_of = hold_of
        self._on_hold = on_hold

    def place(self, request: OrderRequest) -> SubmitAck:
        """Send an order."""
        ack = self._broker.place(request)
        if ack.broker_order_id is not None and request.side == "BUY":
            held = self._hold_of(ack.broker_order_id)
            if held:  # the gate has taken it
                self._on_hold(ack.broker_order_id, request.track, held)
        return ack

    def cancel(self, broker_order_id: int) -> bool:
        """Ask for the end of an order."""
        return self._broker.cancel(broker_order_id)
