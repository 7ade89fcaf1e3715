"""What is read back from books behind a journal: everything that was recorded, once the database has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator

    from qts.data.contracts import (
        CapitalEntryRow,
        CapitalHoldRow,
        CapitalPoolRow,
        CapitalTransferRow,
        DecisionRow,
        Difference,
        EquityRow,
        FillRow,
        FlushResult,
        OrderRow,
        PositionRow,
        SessionRow,
    )
    from qts.data.interfaces import RunBooks

_T = TypeVar("_T")

_READ_S: Final = 60.0


class JournaledReads:
    """The reading half of `JournaledStore`."""

    if TYPE_CHECKING:

        @property
        def _database(self) -> RunBooks: ...
        def _open_session(self) -> SessionRow: ...
        def _call(self, coroutine: Coroutine[Any, Any, _T], timeout_s: float) -> _T: ...
        def flush(self) -> FlushResult: ...  # noqa: D102 - of the other half

    def iter_fills(self) -> Iterator[FillRow]:
        """Return the fills of the session in the order of booking."""
        return iter(self._read(self._database.run_fills(self._open_session())))

    def iter_orders(self) -> Iterator[OrderRow]:
        """Return the orders of the session by number."""
        return iter(self._read(self._database.run_orders(self._open_session())))

    def iter_equity(self) -> Iterator[EquityRow]:
        """Return the equity samples of the session in order of time."""
        return iter(self._read(self._database.run_equity(self._open_session())))

    def iter_capital_entries(self) -> Iterator[CapitalEntryRow]:
        """Return the lines of the capital ledger of the session's account in the order of booking."""
        return iter(self._read(self._database.run_entries(self._open_session())))

    def iter_capital_transfers(self) -> Iterator[CapitalTransferRow]:
        """Return the transfers of the session's account in the order in which they were asked for."""
        return iter(self._read(self._database.run_transfers(self._open_session())))

    def iter_capital_holds(self) -> Iterator[CapitalHoldRow]:
        """Return the holds of the session's account by id."""
        return iter(self._read(self._database.run_holds(self._open_session())))

    def iter_capital_pools(self) -> Iterator[CapitalPoolRow]:
        """Return the pools of the session's account by name."""
        return iter(self._read(self._database.run_pools(self._open_session())))

    def iter_decisions(self) -> Iterator[DecisionRow]:
        """Return the decisions of the session in order of time."""
        return iter(self._read(self._database.run_decisions(self._open_session())))

    def positions(self) -> list[PositionRow]:
        """Return every position of the session's account, closed ones included, by track and symbol."""
        return self._read(self._database.run_positions(self._open_session()))

    def verify(self, account_id: str | None = None) -> list[Difference]:
        """Derive an account's positions and orders from the ledger again; return what differs.

        Without `account_id` that of the session; with one, no session has to be open.
        """
        return self._read(self._database.verify(account_id or self._open_session().account_id))

    def _read(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        try:
            self.flush()
        except BaseException:
            coroutine.close()
            raise
        return self._call(coroutine, _READ_S)
