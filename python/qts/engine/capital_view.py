"""The pools of an account and how they came about, as its operator reads them; nothing is changed."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from qts.capital.amounts import drawdown
from qts.capital.config import CapitalFlowConfig
from qts.capital.promotion import promotable
from qts.clock.instants import to_ns
from qts.codes import UsageError, nearest
from qts.data import CapitalEntryRow, CapitalTransferRow, SessionRow
from qts.engine.capital_messages import say
from qts.engine.capital_sink import pool_of
from qts.engine.database import DatabaseDesk
from qts.engine.storage import BACKTESTS, PAPER, adapter_of

if TYPE_CHECKING:
    from decimal import Decimal

    from qts.capital.contracts import CapitalPoolContract
    from qts.data.postgres import TimescaleDBAdapter
    from qts.data.sqlite.adapter import SQLiteAdapter

    Adapter = SQLiteAdapter | TimescaleDBAdapter

POOLS: Final = ("SCALP", "SWING", "PORTFOLIO")
UNALLOCATED: Final = "UNALLOCATED"
KINDS: Final = ("PROMOTION", "DEMOTION", "REBALANCE")
KST: Final = timezone(timedelta(hours=9))
_SHOWN: Final = 5
"""Accounts that a refusal names."""


class PoolLine(NamedTuple):
    """A pool with what follows from its figures."""

    pool: "CapitalPoolContract"
    drawdown: "Decimal"
    promotable: int
    threshold: int | None
    """Profit from which it may be promoted; None where nothing goes up from."""


class PoolsNow(NamedTuple):
    """The pools of an account as they were written last."""

    session: SessionRow
    status: str
    money_scale: int
    pools: Sequence[PoolLine]
    unallocated: int
    transfers: Sequence[CapitalTransferRow]
    """The last ones, oldest first."""


class Moved(NamedTuple):
    """A transfer with the lines of the ledger that it has left."""

    transfer: CapitalTransferRow
    lines: Sequence[CapitalEntryRow]


class CapitalHistory(NamedTuple):
    """How capital has moved on an account, oldest first."""

    session: SessionRow
    money_scale: int
    transfers: Sequence[Moved]
    entries: Sequence[CapitalEntryRow]
    names: dict[str, str]
    """Key of a transfer by its id, for lines that refer to it."""


class Wanted(NamedTuple):
    """What of the history is asked for, checked."""

    kind: str | None
    pool: str | None
    limit: int
    since_ns: int | None

    @classmethod
    def of(cls, kind: str | None, pool: str | None, limit: int, since: str | None) -> "Wanted":
        """Check what was typed.

        Raises:
            UsageError: there is no such kind or pool, or the date is none.
        """
        return cls(
            _named("--kind", kind, KINDS),
            _named("--pool", pool, (*POOLS, UNALLOCATED)),
            limit,
            None if since is None else to_ns(_midnight(since)),
        )

    def takes(self, one: CapitalTransferRow) -> bool:
        """Whether a transfer is asked for."""
        return (
            self.kind in (None, one.kind)
            and self.pool in (None, one.from_pool, one.to_pool)
            and (self.since_ns is None or one.requested_ns >= self.since_ns)
        )


class CapitalDesk:
    """Does the work of `qts-engine capital` for one home and configuration. An engine may run meanwhile.

    Raises:
        ConfigError: the configuration is wrong, or the file of secrets can be used by others.
    """

    def __init__(self, config: Path | None = None, home: Path | None = None) -> None:
        self._desk = DatabaseDesk(config, home)

    def show(self, account: str | None, run: str | None) -> PoolsNow | None:
        """Return the pools of an account, of a run, or of the newest run that has pools; None if there are none.

        Raises:
            UsageError: there is no such account or run.
            AdapterError: the database cannot be read.
        """
        return asyncio.run(self._show(account, run))

    def history(self, account: str | None, run: str | None, wanted: Wanted) -> CapitalHistory | None:
        """Return how capital has moved there; None if there are no pools. Raises as `show`."""
        return asyncio.run(self._history(account, run, wanted))

    async def _show(self, account: str | None, run: str | None) -> PoolsNow | None:
        async with _Databases(self._desk) as databases:
            found = await databases.find(account, run)
            if found is None:
                return None
            adapter, session, status = found
            scale = await _scale(adapter, session)
            config = CapitalFlowConfig.from_config(self._desk.config, scale)
            thresholds = {"SCALP": config.s2w.min_accumulated_profit, "SWING": config.w2p.min_accumulated_profit}
            pools = [pool_of(row) for row in await adapter.run_pools(session)]
            loose = await adapter.run_entries(session, pool_id=UNALLOCATED)
            transfers = await adapter.run_transfers(session)
        lines = [
            PoolLine(pool, drawdown(pool.unit_price, pool.peak_unit_price), promotable(pool), thresholds.get(name))
            for name in POOLS
            for pool in pools
            if pool.pool_id == name
        ]
        return PoolsNow(session, status, scale, lines, sum(row.amount for row in loose), transfers[-_SHOWN:])

    async def _history(self, account: str | None, run: str | None, wanted: Wanted) -> CapitalHistory | None:
        async with _Databases(self._desk) as databases:
            found = await databases.find(account, run)
            if found is None:
                return None
            adapter, session, _ = found
            every = await adapter.run_transfers(session)
            chosen = [one for one in every if wanted.takes(one)][-wanted.limit :]
            lines: list[CapitalEntryRow] = []
            if chosen:
                lines = await adapter.run_entries(session, cause="TRANSFER", since_ns=chosen[0].requested_ns)
            entries: list[CapitalEntryRow] = []
            if wanted.kind is None:
                entries = await adapter.run_entries(
                    session, pool_id=wanted.pool, since_ns=wanted.since_ns, newest=wanted.limit
                )
            scale = await _scale(adapter, session)
        moved = [Moved(one, [line for line in lines if _is_of(line.ref_id, one.transfer_id)]) for one in chosen]
        return CapitalHistory(session, scale, moved, entries, {one.transfer_id: one.transfer_key for one in every})


class _Databases:
    """The databases in which books of runs are, open while the block lasts."""

    def __init__(self, desk: DatabaseDesk) -> None:
        self._desk = desk
        self._open: list[Adapter] = []

    async def __aenter__(self) -> Self:
        desk = self._desk
        is_server = desk.config.data.profile == "server"  # which has one for both
        for file in (PAPER,) if is_server else (PAPER, BACKTESTS):
            if is_server or (desk.home / "db" / file).exists():
                adapter = adapter_of(desk.config, desk.home, desk.clock, desk.secrets, file=file)
                await adapter.open()
                self._open.append(adapter)
        return self

    async def __aexit__(self, *_: object) -> None:
        for adapter in self._open:
            await adapter.close()

    async def find(self, account: str | None, run: str | None) -> "tuple[Adapter, SessionRow, str] | None":
        """Return the newest run that is asked for and has pools, with its database and how it has ended.

        Raises:
            UsageError: there is no such account or run.
        """
        known: list[dict[str, Any]] = []
        asked = {name: text for name, text in (("account_id", account), ("session_id", run)) if text is not None}
        found: list[tuple[int, Adapter, dict[str, Any]]] = []
        for adapter in self._open:
            sessions = await adapter.read("sessions")
            known += sessions
            with_pools = {row["account_id"] for row in await adapter.read("capital_pools")}
            found += [
                (row["started_ns"], adapter, row)
                for row in sessions
                if row["account_id"] in with_pools and all(row[name] == text for name, text in asked.items())
            ]
        for name, text in asked.items():
            if text not in {row[name] for row in known}:
                raise _unknown(name, text, known)
        if not found:
            return None
        _, adapter, row = max(found, key=lambda one: one[0])
        return adapter, SessionRow(*(row[name] for name in SessionRow._fields)), row["status"]


def _is_of(ref: str, transfer_id: str) -> bool:
    """Whether a ledger line refers to a transfer: under its name, that of its reservation or of its release."""
    return ref in (transfer_id, f"release:{transfer_id}") or ref.startswith(f"{transfer_id}:")


async def _scale(adapter: "Adapter", session: SessionRow) -> int:
    (row,) = await adapter.read("currencies", {"code": session.currency})
    scale: int = row["scale"]
    return scale


def _named(option: str, text: str | None, known: tuple[str, ...]) -> str | None:
    if text is None:
        return None
    name = text.strip().upper()
    if name in known:
        return name
    raise UsageError(
        found=f"{option} {text!r}", expected=", ".join(known), hint=_meant(nearest(name, known), say("type_one"))
    )


def _midnight(text: str) -> datetime:
    try:
        return datetime.combine(date.fromisoformat(text), time(), KST)
    except ValueError:
        raise UsageError(found=f"--from {text!r}", expected=say("date"), hint="--from 2026-01-05") from None


def _unknown(name: str, text: str, known: Iterable[dict[str, Any]]) -> UsageError:
    names = [row[name] for row in sorted(known, key=lambda row: -row["started_ns"])]
    shown = ", ".join(dict.fromkeys(names[:_SHOWN])) or say("none")
    return UsageError(
        found=say(f"unknown_{name}", name=text),
        expected=say(f"known_{name}", names=shown),
        hint=_meant(nearest(text, names), say("leave_out")),
    )


def _meant(close: str | None, otherwise: str) -> str:
    return say("meant", name=close) if close else otherwise
