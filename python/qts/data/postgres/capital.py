"""Capital and decisions on a server: writes inside an open transaction, and what is read back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from qts.clock.instants import from_ns, to_ns
from qts.codes import UsageError
from qts.data.capital import (
    decision_values,
    hold_of,
    hold_values,
    newest_holds,
    pool_of,
    pool_values,
    transfer_of,
    transfer_values,
)
from qts.data.contracts import (
    CapitalEntryRow,
    CapitalHoldRow,
    CapitalPoolRow,
    CapitalTransferRow,
    DecisionRow,
)
from qts.data.postgres.ledger import Ledger
from qts.data.scales import from_units
from qts.data.tables import table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qts.data.contracts import CapitalRow, SessionRow
    from qts.data.postgres.link import Link

Refused = tuple[str, str, str]
"""Key, cause and content of a row for the quarantine."""

_ENTRIES: Final = (
    "INSERT INTO capital_ledger (time, account_id, pool_id, bucket, amount, cause, ref_id, entry_no)"
    " SELECT time, account_id, pool_id, bucket, amount, cause, ref_id, no"
    " FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::numeric[], $6::text[],"
    " $7::text[], $8::bigint[]) WITH ORDINALITY AS t(time, account_id, pool_id, bucket, amount, cause, ref_id, no, at)"
    " ORDER BY at ON CONFLICT (account_id, cause, ref_id, pool_id, bucket) DO NOTHING RETURNING 1"
)
_AMOUNT_OF: Final = (
    "SELECT amount FROM capital_ledger"
    " WHERE account_id = $1 AND cause = $2 AND ref_id = $3 AND pool_id = $4 AND bucket = $5"
)
_ENTRIES_OF: Final = (
    "SELECT coalesce(entry_no, entry_id) AS no, time, pool_id, bucket, amount, cause, ref_id FROM capital_ledger"
    " WHERE account_id = $1 AND ($2::text IS NULL OR pool_id = $2) AND ($3::timestamptz IS NULL OR time >= $3)"
    " AND ($4::text IS NULL OR cause = $4) ORDER BY entry_id DESC LIMIT $5"
)
_SAME_KEY: Final = (
    "SELECT * FROM capital_transfers WHERE account_id = $1 AND (transfer_id = $2 OR transfer_key = $3) FOR UPDATE"
)
_DECISIONS_OF: Final = (
    "SELECT decision_id, created_at, coalesce(line, '') AS line FROM decisions WHERE run_id = $1"
    ' ORDER BY created_at, decision_id COLLATE "C"'
)
_SCALE: Final = "SELECT c.scale FROM sessions s JOIN currencies c ON c.code = s.currency WHERE s.session_id = $1"


async def put_capital(link: Link, account: str, scale: int, rows: Sequence[CapitalRow]) -> list[Refused]:
    """Write rows of capital; return those that contradict one which stands."""
    refused = await _put_entries(link, account, scale, [row for row in rows if isinstance(row, CapitalEntryRow)])
    for row in rows:
        if isinstance(row, CapitalTransferRow):
            refused += await _put_transfer(link, account, scale, row)
    holds = [hold_values(row, made_ns, account, scale) for row, made_ns in newest_holds(rows)]
    await upsert(link, "capital_holds", holds, "version")
    pools = {row.pool_id: row for row in rows if isinstance(row, CapitalPoolRow)}
    await upsert(link, "capital_pools", [pool_values(row, account, scale) for row in pools.values()], "revision")
    return refused


async def put_decisions(link: Link, run_id: str, rows: Sequence[DecisionRow]) -> None:
    """Write decisions of a run; one that is there already stays as it is."""
    if not rows:
        return
    names = [column.name for column in table("decisions").columns]
    marks = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    values = [decision_values(row, run_id) for row in rows]
    await link.executemany(
        f"INSERT INTO decisions ({', '.join(names)}) VALUES ({marks}) ON CONFLICT DO NOTHING",  # noqa: S608
        [[one[name] for name in names] for one in values],
    )


class CapitalBooks(Ledger):
    """What `RunBooks` reads of capital and decisions."""

    _numbers: dict[str, int]

    async def run_entries(
        self,
        session: SessionRow,
        *,
        pool_id: str | None = None,
        cause: str | None = None,
        since_ns: int | None = None,
        newest: int | None = None,
    ) -> list[CapitalEntryRow]:
        """Return lines of the capital ledger of the run's account in the order of booking."""
        scale = await self._scale_of(session)
        since = None if since_ns is None else from_ns(since_ns)
        rows = await self._fetch("analytics", _ENTRIES_OF, session.account_id, pool_id, since, cause, newest)
        return [
            CapitalEntryRow(
                row["no"],
                to_ns(row["time"]),
                row["pool_id"],
                row["bucket"],
                int(row["amount"].scaleb(scale)),
                row["cause"],
                row["ref_id"],
            )
            for row in reversed(rows)
        ]

    async def run_transfers(self, session: SessionRow) -> list[CapitalTransferRow]:
        """Return the transfers of the run's account in the order in which they were asked for."""
        return await self._of_account(
            session, "capital_transfers", 'requested_at, transfer_id COLLATE "C"', transfer_of
        )

    async def run_holds(self, session: SessionRow) -> list[CapitalHoldRow]:
        """Return the holds of the run's account by id."""
        return await self._of_account(session, "capital_holds", 'hold_id COLLATE "C"', hold_of)

    async def run_pools(self, session: SessionRow) -> list[CapitalPoolRow]:
        """Return the pools of the run's account by name."""
        return await self._of_account(session, "capital_pools", 'pool_id COLLATE "C"', pool_of)

    async def run_decisions(self, session: SessionRow) -> list[DecisionRow]:
        """Return the decisions of a run in order of time."""
        await self._number_of(session)
        rows = await self._fetch("analytics", _DECISIONS_OF, session.session_id)
        return [DecisionRow(row["decision_id"], to_ns(row["created_at"]), row["line"]) for row in rows]

    async def _number_of(self, session: SessionRow) -> int:
        """Return the number of a run.

        Raises:
            UsageError: it was never begun here.
        """
        self._pools.check_open()
        number = self._numbers.get(session.session_id)
        if number is None:
            rows = await self._fetch("trading", "SELECT no FROM sessions WHERE session_id = $1", session.session_id)
            if not rows:
                raise UsageError(
                    found=f"run {session.session_id!r}, which was never begun",
                    expected="begin_run first",
                    hint="open the books of the run before writing to them",
                )
            number = self._numbers[session.session_id] = int(rows[0]["no"])
        return number

    async def _scale_of(self, session: SessionRow) -> int:
        await self._number_of(session)
        rows = await self._fetch("trading", _SCALE, session.session_id)
        return int(rows[0]["scale"])

    async def _of_account(
        self, session: SessionRow, name: str, order: str, make: Callable[[dict[str, Any], int], Any]
    ) -> list[Any]:
        scale = await self._scale_of(session)
        query = f"SELECT * FROM {name} WHERE account_id = $1 ORDER BY {order}"  # noqa: S608 - names of the schema
        return [make(dict(row), scale) for row in await self._fetch("analytics", query, session.account_id)]


async def _put_entries(link: Link, account: str, scale: int, rows: Sequence[CapitalEntryRow]) -> list[Refused]:
    """Write ledger lines; return those whose key stands with another amount."""
    if not rows:
        return []
    columns: list[list[Any]] = [
        [from_ns(row.ts_ns) for row in rows],
        [account] * len(rows),
        [row.pool_id for row in rows],
        [row.bucket for row in rows],
        [from_units(row.amount, scale) for row in rows],
        [row.cause for row in rows],
        [row.ref_id for row in rows],
        [row.entry_id for row in rows],
    ]
    if len(await link.fetch(_ENTRIES, *columns)) == len(rows):
        return []
    refused = []
    for row in rows:
        key = (account, row.cause, row.ref_id, row.pool_id, row.bucket)
        stands = await link.fetchval(_AMOUNT_OF, *key)
        if stands != from_units(row.amount, scale):
            refused.append((_key(*key), f"the capital ledger has {stands} under this key", repr(tuple(row))))
    return refused


async def _put_transfer(link: Link, account: str, scale: int, row: CapitalTransferRow) -> list[Refused]:
    """Write a transfer as it stands; one that is committed stays as it is."""
    known = await link.fetch(_SAME_KEY, account, row.transfer_id, row.transfer_key)
    values = transfer_values(row, account, scale)
    key = _key(account, row.transfer_key, row.transfer_id)
    if len(known) > 1 or (known and known[0]["transfer_key"] != row.transfer_key):
        return [(key, f"the transfer {known[0]['transfer_id']} has one of these names", repr(tuple(row)))]
    if known and known[0]["status"] == "COMMITTED":
        if row.status != "COMMITTED" or dict(known[0]) == values:
            return []
        return [(key, "it was committed before, in other words", repr(tuple(row)))]
    names = list(values)
    marks = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name not in ("account_id", "transfer_key"))
    await link.execute(
        f"INSERT INTO capital_transfers ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names of the schema
        f" ON CONFLICT (account_id, transfer_key) DO UPDATE SET {changes}",
        *values.values(),
    )
    return []


async def upsert(link: Link, name: str, rows: Sequence[dict[str, Any]], newer: str) -> None:
    """Write rows of a table; one that stands is replaced by a row that is not older by the column `newer`."""
    if not rows:
        return
    names = list(rows[0])
    key = table(name).key
    marks = ", ".join(f"${number}" for number in range(1, len(names) + 1))
    changes = ", ".join(f"{one} = excluded.{one}" for one in names if one not in (*key, "created_at"))
    await link.executemany(
        f"INSERT INTO {name} AS t ({', '.join(names)}) VALUES ({marks})"  # noqa: S608 - names of the schema
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes} WHERE excluded.{newer} >= t.{newer}",
        [list(row.values()) for row in rows],
    )


def _key(*parts: str) -> str:
    return ":".join(parts)[:160]
