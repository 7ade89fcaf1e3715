"""The outbox of the embedded database."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from qts.clock.instants import from_ns
from qts.data.checks import check_count
from qts.data.records import OutboxRow
from qts.data.sqlite.codec import micros

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from qts.clock import Clock
    from qts.data.sqlite.pool import Pool

_PENDING: Final = (
    "SELECT seq, data_set, key, op, payload, created_at, attempts FROM sheet_outbox o"
    " WHERE status = 'PENDING' AND next_attempt_at <= :now AND NOT EXISTS (SELECT 1 FROM sheet_outbox e"
    " WHERE e.status = 'PENDING' AND e.data_set = o.data_set AND e.key = o.key AND e.seq < o.seq"
    " AND e.next_attempt_at > :now) ORDER BY seq LIMIT :limit"
)


class OutboxTable:
    """What `Outbox` asks for."""

    _pool: Pool
    _clock: Clock

    async def outbox_pending(self, limit: int = 1_000) -> list[OutboxRow]:
        """Return rows that are due, in the order of `seq`; nothing behind a row of the same key that is not due."""
        asked = {"now": self._clock.now_ns() // 1_000, "limit": check_count(limit, "limit")}
        rows = await self._pool.read(lambda db: db.execute(_PENDING, asked).fetchall())
        return [
            OutboxRow(seq, data_set, key, op, json.loads(payload), from_ns(created * 1_000), attempts)
            for seq, data_set, key, op, payload, created, attempts in rows
        ]

    async def outbox_done(self, seqs: Sequence[int]) -> None:
        """Mark rows as mirrored."""
        query = "UPDATE sheet_outbox SET status = 'DONE' WHERE seq = ? AND status = 'PENDING'"
        await self._pool.write(lambda db: db.executemany(query, [(seq,) for seq in seqs]).rowcount)

    async def outbox_failed(self, seqs: Sequence[int], error: str, *, retry_at: datetime | None) -> None:
        """Note a failed attempt; without `retry_at` the rows are DEAD, and others of their keys proceed."""
        query = (
            "UPDATE sheet_outbox SET attempts = attempts + 1, last_error = ?1, next_attempt_at = ifnull(?2,"
            " next_attempt_at), status = CASE WHEN ?2 IS NULL THEN 'DEAD' ELSE status END"
            " WHERE seq = ?3 AND status = 'PENDING'"
        )
        due = None if retry_at is None else micros(retry_at)
        await self._pool.write(lambda db: db.executemany(query, [(error, due, seq) for seq in seqs]).rowcount)

    async def outbox_waiting(self) -> tuple[int, datetime | None]:
        """Return how many rows wait, and since when the oldest does."""
        query = "SELECT count(*), min(created_at) FROM sheet_outbox WHERE status = 'PENDING'"
        count, oldest = await self._pool.read(lambda db: db.execute(query).fetchone())
        return count, None if oldest is None else from_ns(oldest * 1_000)
