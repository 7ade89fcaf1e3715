"""What waits to be mirrored, on a server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qts.data.checks import check_count
from qts.data.postgres.part import Part
from qts.data.records import OutboxRow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_PENDING: Final = (
    "SELECT o.seq, o.data_set, o.key, o.op, o.payload, o.created_at, o.attempts FROM sheet_outbox o"
    " WHERE o.status = 'PENDING' AND o.next_attempt_at <= $1 AND NOT EXISTS ("
    "SELECT FROM sheet_outbox b WHERE b.status = 'PENDING' AND b.next_attempt_at > $1 AND b.key = o.key"
    " AND b.data_set = o.data_set AND b.seq < o.seq) ORDER BY o.seq LIMIT $2"
)

_DONE: Final = "UPDATE sheet_outbox SET status = 'DONE' WHERE seq = ANY($1::bigint[]) AND status = 'PENDING'"

_FAILED: Final = (
    "UPDATE sheet_outbox SET attempts = attempts + 1, last_error = $2, status = CASE WHEN $3::timestamptz IS NULL"
    " THEN 'DEAD' ELSE status END, next_attempt_at = coalesce($3, next_attempt_at)"
    " WHERE seq = ANY($1::bigint[]) AND status = 'PENDING'"
)

_WAITING: Final = "SELECT count(*) AS number, min(created_at) AS oldest FROM sheet_outbox WHERE status = 'PENDING'"


class OutboxRows(Part):
    """What waits to be mirrored; see `Outbox`."""

    async def outbox_pending(self, limit: int = 1_000) -> list[OutboxRow]:
        """Return rows that are due, in the order of `seq`; nothing behind a row of the same key that is not due."""
        most = check_count(limit, "limit")
        rows = await self._fetch("ingest", _PENDING, self._clock.now_utc(), most)
        return [OutboxRow(*row) for row in rows]

    async def outbox_done(self, seqs: Sequence[int]) -> None:
        """Mark rows as mirrored."""
        await self._pools.run("ingest", lambda link: link.execute(_DONE, list(seqs)))

    async def outbox_failed(self, seqs: Sequence[int], error: str, *, retry_at: datetime | None) -> None:
        """Note a failed attempt; without `retry_at` the rows are DEAD, and others of their keys proceed."""
        await self._pools.run("ingest", lambda link: link.execute(_FAILED, list(seqs), error, retry_at), repeats=False)

    async def outbox_waiting(self) -> tuple[int, datetime | None]:
        """Return how many rows wait, and since when the oldest does."""
        (row,) = await self._fetch("ingest", _WAITING)
        return row["number"], row["oldest"]
