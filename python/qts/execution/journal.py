"""The journal of orders behind a port that never stands in the way of the event loop.

A record is appended at once, into memory that outlives the process; it outlives the machine once its group has been
synced. `durable` waits for that: whoever waits for the same group waits for one sync, however many they are.

An order journal has a directory of its own: records of the same kinds that hold rows for a database are others.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final

from qts._core import SAFETY_FLAGS
from qts.codes import Phrasebook

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from qts._core import JournalWriter, SafetyWord
    from qts.execution.interfaces import CodeSink

VERSION: Final = 2
"""Layout of the payloads: JSON objects, see `qts.execution.records`. Version 1 of these kinds are a database's rows."""

WRITE_TIMEOUT_S: Final = 1.0
"""A record that is not durable by then is a fault of the journal (FS063)."""

_JOURNAL_FAILED: Final = dict(SAFETY_FLAGS)["JOURNAL_FAILED"]

_TEXTS: Final = Phrasebook(
    {
        "failed": (
            "the order journal takes no records: {why}; entries are refused, protective exits go unrecorded",
            "주문 저널에 기록할 수 없습니다: {why}; 신규 진입은 거부되고 보호 청산은 기록 없이 나갑니다",
        ),
        "slow": (
            "record {seq} was not durable after {seconds} s",
            "레코드 {seq}이(가) {seconds}초 안에 저장되지 않았습니다",
        ),
    }
)


class OrderJournal:
    """Appends records of executions and tells when they are durable. Use it from one event loop.

    The first failure is final: FS063 is reported, the safety word gets JOURNAL_FAILED, and from then on records are
    dropped and nobody waits any more. Which orders may still leave is the gateway's to say, by the word.

    Args:
        writer: the journal, open; `close` closes it.
        codes: hears of FS063.
        word: the safety word that every order is held against.
        timeout_s: how long a sync may take.
        inline: wait on the loop itself, without a thread: for a journal that does not sync, and so never lets wait.
    """

    def __init__(
        self,
        writer: JournalWriter,
        *,
        codes: CodeSink,
        word: SafetyWord,
        timeout_s: float = WRITE_TIMEOUT_S,
        inline: bool = False,
    ) -> None:
        self._writer = writer
        self._codes = codes
        self._word = word
        self._timeout_s = timeout_s
        self._executor = None if inline else ThreadPoolExecutor(1, thread_name_prefix="qts-order-journal")
        self._ticket = count()
        self._waiting: list[tuple[int, int, asyncio.Future[bool]]] = []
        self._waiter: asyncio.Task[None] | None = None
        self._durable = 0
        self._last = 0
        self.failure = ""
        """What is wrong; empty while records are taken."""
        self.dropped = 0
        """Records that a failed journal did not take."""

    @property
    def last_seq(self) -> int:
        """Number of the last record that was appended here; 0 without one."""
        return self._last

    def append(self, kind: str, record: Mapping[str, object]) -> int:
        """Append a record and return its number; 0, for which nobody has to wait, once the journal has failed."""
        if self.failure:
            self.dropped += 1
            return 0
        payload = json.dumps(record, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        try:
            self._last = self._writer.append(kind, payload.encode("utf-8", "replace"), version=VERSION)
        except (OSError, ValueError) as error:
            self._fail(str(error))
            self.dropped += 1
            return 0
        return self._last

    async def durable(self, seq: int) -> bool:
        """Return once the record has been synced, or the journal has failed; say whether it is durable.

        Costs a look at a number if it is durable already, else at most the rest of its commit group.
        """
        if self.failure:
            return False
        if seq <= self._durable:
            return True
        self._durable = self._writer.durable_seq
        if seq <= self._durable:
            return True
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        heappush(self._waiting, (seq, next(self._ticket), future))
        if self._waiter is None:
            self._waiter = asyncio.create_task(self._wait(), name="qts-order-journal")
        return await future

    async def _wait(self) -> None:
        """Wait for one group after another until nobody waits."""
        try:
            while self._waiting and not self.failure:
                seq = self._waiting[0][0]
                await self._call(self._writer.wait_durable, seq, self._timeout_s)
                self._durable = max(seq, self._writer.durable_seq)
                self._release(self._durable)
        except TimeoutError:
            self._fail(_TEXTS("slow", seq=self._waiting[0][0], seconds=self._timeout_s))
        except (OSError, ValueError) as error:
            self._fail(str(error))
        finally:
            self._waiter = None

    async def _call(self, call: Callable[..., None], *given: object) -> None:
        if self._executor is None:
            call(*given)
        else:
            await asyncio.get_running_loop().run_in_executor(self._executor, call, *given)

    def _release(self, durable: int) -> None:
        while self._waiting and (self.failure or self._waiting[0][0] <= durable):
            future = heappop(self._waiting)[2]
            if not future.done():  # else who waited was cancelled
                future.set_result(not self.failure)

    def _fail(self, why: str) -> None:
        if self.failure:
            return
        self.failure = why
        self._word.set_flags(_JOURNAL_FAILED)  # first: whoever is let go now is asked by it
        self._release(0)
        self._codes.report("FS063", _TEXTS("failed", why=why))

    async def close(self) -> None:
        """Sync what has been appended and end the journal; a failure of that is reported as any other."""
        try:
            await self._call(self._writer.close)
        except (OSError, ValueError) as error:
            self._fail(str(error))
        self._release(self._last)
        if self._executor is not None:
            self._executor.shutdown(wait=False)
