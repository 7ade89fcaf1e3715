"""The journal of the engine as the books see it: fills go in, and come out again after a restart."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

from qts._core import JournalDamageError, journal_records
from qts.data.exceptions import DataConsistencyError, NotDurable
from qts.data.hybrid.codec import VERSION, decode, encode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from qts.data.records import LedgerEntry

_KIND: Final = "FILL"
_WRITE_LIMIT_S: Final = 1.0
_CHUNK: Final = 2_000


class JournalPort(Protocol):
    """What is asked of the writer of the core."""

    def append(self, kind: str, payload: bytes, *, version: int = 1) -> int:
        """Append a record and return its number."""
        ...

    def wait_durable(self, seq: int, timeout_s: float = 1.0) -> None:
        """Wait until a record is durable."""
        ...


class FillJournal:
    """Fills in a journal that others write to as well.

    Args:
        writer: the open journal.
        path: its directory.
        name: under which the database keeps how far it has come.
    """

    def __init__(self, writer: JournalPort, path: Path, name: str = "engine") -> None:
        self._writer = writer
        self.path = path
        self.name = name

    def append(self, entry: LedgerEntry) -> int:
        """Append an entry and return its number; NotDurable FS063 if the journal takes none."""
        try:
            return self._writer.append(_KIND, encode(entry), version=VERSION)
        except (OSError, ValueError) as error:
            raise _not_durable(str(error)) from None

    async def wait_durable(self, seq: int) -> None:
        """Wait until a record is durable; NotDurable FS063 if that fails or takes longer than a second."""
        try:
            await asyncio.to_thread(self._writer.wait_durable, seq, _WRITE_LIMIT_S)
        except (OSError, ValueError) as error:
            raise _not_durable(str(error) or f"not synced within {_WRITE_LIMIT_S} s") from None

    async def entries(self, after: int, before: int | None) -> AsyncIterator[list[tuple[int, LedgerEntry]]]:
        """Read the fills with numbers in between, in their order, in chunks.

        Raises:
            DataConsistencyError: FS125, the journal is damaged or holds what this program cannot read.
        """
        records = await asyncio.to_thread(journal_records, self.path)
        found: list[tuple[int, LedgerEntry]] = []
        while chunk := await asyncio.to_thread(self._chunk, records):
            for seq, _, kind, version, payload in chunk:
                if kind == _KIND and seq > after and (before is None or seq < before):
                    found.append((seq, decode(payload, version, seq)))
            if found:
                yield found
                found = []

    @staticmethod
    def _chunk(records: Iterator[tuple[int, int, str, int, bytes]]) -> list[tuple[int, int, str, int, bytes]]:
        try:
            return list(islice(records, _CHUNK))
        except (JournalDamageError, OSError) as error:
            raise DataConsistencyError(
                found=f"the journal cannot be read: {', '.join(map(str, error.args))}",
                expected="a whole journal",
                hint="`qts-engine journal verify` names the place; reconcile with the broker before trading",
                code="FS125",
            ) from None


def _not_durable(cause: str) -> NotDurable:
    return NotDurable(
        found=f"the journal does not take a fill: {cause}",
        expected="a journal that syncs within a second",
        hint="free disk space or check the disk; entries stay blocked until the engine is started again",
        code="FS063",
    )
