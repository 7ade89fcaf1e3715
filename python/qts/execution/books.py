"""What the live driver and a restart ask of the gateway beyond what executions do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qts.execution.interfaces import GatewayPort

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qts.broker.contracts import OrderType, Side, TimeInForce, Track
    from qts.execution.contracts import ActionClass


class LiveGateway(GatewayPort, Protocol):
    """The gateway with its cash, and with the way back in for orders of a process that has ended."""

    @property
    def cash(self) -> int:
        """Money of the account, in money units."""
        ...

    def order_doubts(self, order_id: int) -> tuple[bool, bool, bool, bool]:
        """(amend in flight, its answer lost, the cancel's answer lost, never received)."""
        ...

    def flows(self) -> tuple[int, int, int]:
        """(fees, taxes, realised profit) so far, in money units."""
        ...

    def restore_order(
        self,
        order_id: int,
        instrument: int,
        track: Track,
        side: Side,
        kind: OrderType,
        tif: TimeInForce,
        limit: int,
        qty: int,
        *,
        action: ActionClass,
        broker_nos: Sequence[str],
        submitted_ns: int,
        now_ns: int,
        amend: tuple[int, int] | None = None,
    ) -> str:
        """Take in an order as it was when the process before this one ended; no gate is asked. Return its state.

        `broker_nos` are its numbers, oldest first: with one it is ACCEPTED, without UNKNOWN. `amend` are price and
        quantity of an amendment without an answer. Its fills and its end follow as from a broker. ValueError: an order
        of that number is there.
        """
        ...
