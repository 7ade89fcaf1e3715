"""The order journal: what is durable when, how many syncs that takes, and what happens when it fails."""

import asyncio
import json

import pytest

from qts._core import SAFETY_FLAGS, JournalWriter, SafetyWord, journal_records
from qts.execution.journal import OrderJournal

FLAG = dict(SAFETY_FLAGS)["JOURNAL_FAILED"]


class Codes:
    def __init__(self):
        self.told = []

    def report(self, code, message, *, effect=""):
        self.told.append((code, message))


class Opened:
    def __init__(self, path, **given):
        self.writer = JournalWriter(path, sync=given.pop("sync", True))
        self.codes, self.word = Codes(), SafetyWord()
        self.journal = OrderJournal(self.writer, codes=self.codes, word=self.word, **given)


@pytest.fixture(params=[False, True], ids=["threaded", "inline"])
def inline(request):
    return request.param


def records(path):
    rows = ((kind, version, payload) for _, _, kind, version, payload in journal_records(path))
    return [(kind, version, json.loads(payload)) for kind, version, payload in rows if kind != "COMMIT"]


def test_a_record_is_durable_when_the_wait_is_over(tmp_path, inline):
    async def scene():
        opened = Opened(tmp_path, inline=inline, sync=not inline)
        seq = opened.journal.append("ORDER_INTENT", {"order_id": 7, "symbol": "삼성"})
        assert await opened.journal.durable(seq)
        assert opened.writer.durable_seq >= seq == opened.journal.last_seq
        await opened.journal.close()
        return opened

    opened = asyncio.run(scene())
    assert opened.codes.told == []
    found = [row for row in records(tmp_path) if row[0] == "ORDER_INTENT"]
    assert found == [("ORDER_INTENT", 2, {"order_id": 7, "symbol": "삼성"})]


def test_what_was_appended_together_waits_for_one_sync(tmp_path):
    waits = []

    class Counted:
        """The journal, and how often somebody waits for its disk."""

        def __init__(self, writer):
            self._writer = writer

        def __getattr__(self, name):
            return getattr(self._writer, name)

        def wait_durable(self, seq, timeout_s):
            waits.append(seq)
            self._writer.wait_durable(seq, timeout_s)

    async def scene():
        opened = Opened(tmp_path)
        opened.journal._writer = Counted(opened.writer)
        seqs = [opened.journal.append("ORDER_INTENT", {"order_id": n}) for n in range(20)]
        assert all(await asyncio.gather(*map(opened.journal.durable, seqs)))
        await opened.journal.close()

    asyncio.run(scene())
    assert len(waits) <= 2, "twenty sends in one instant take one group, two if its end fell between them"


def test_those_who_wait_are_let_go_in_the_order_of_their_records(tmp_path):
    gone = []

    async def scene():
        opened = Opened(tmp_path)
        seqs = [opened.journal.append("FILL", {"n": n}) for n in range(5)]

        async def wait(seq):
            await opened.journal.durable(seq)
            gone.append(seq)

        await asyncio.gather(*(wait(seq) for seq in reversed(seqs)))
        await opened.journal.close()
        return seqs

    assert gone == asyncio.run(scene())


def test_who_waits_no_longer_holds_nobody_up(tmp_path):
    async def scene():
        opened = Opened(tmp_path)
        seq = opened.journal.append("FILL", {"n": 1})
        first = asyncio.ensure_future(opened.journal.durable(seq))
        second = asyncio.ensure_future(opened.journal.durable(seq))
        await asyncio.sleep(0)
        first.cancel()
        assert await second
        assert first.cancelled()
        await opened.journal.close()

    asyncio.run(scene())


def test_a_journal_that_takes_no_record_stops_entries_and_holds_nobody_up(tmp_path, inline):
    async def scene():
        opened = Opened(tmp_path, inline=inline, sync=not inline)
        opened.writer.close()
        seq = opened.journal.append("ORDER_INTENT", {"order_id": 7})
        assert not await opened.journal.durable(seq)
        assert opened.journal.append("FILL", {"order_id": 7}) == 0
        return opened

    opened = asyncio.run(scene())
    assert [code for code, _ in opened.codes.told] == ["FS063"], "told once"
    assert opened.word.flags & FLAG
    assert opened.journal.failure
    assert opened.journal.dropped == 2


class Stalled:
    """A journal on a disk that stands still: what is appended is not durable in time."""

    def __init__(self, writer):
        self._writer = writer

    def __getattr__(self, name):
        return getattr(self._writer, name)

    @property
    def durable_seq(self):
        return 0

    def wait_durable(self, seq, timeout_s):
        raise TimeoutError(f"record {seq} is not durable after {timeout_s} s")


def test_a_sync_that_takes_too_long_is_a_failure_and_lets_everybody_go(tmp_path):
    async def scene():
        opened = Opened(tmp_path, timeout_s=0.0)
        opened.journal._writer = Stalled(opened.writer)
        seqs = [opened.journal.append("ORDER_INTENT", {"order_id": n}) for n in range(3)]
        answers = await asyncio.gather(*map(opened.journal.durable, seqs))
        assert answers == [False] * 3
        await opened.journal.close()
        return opened

    opened = asyncio.run(scene())
    assert [code for code, _ in opened.codes.told] == ["FS063"]
    assert "0.0 s" in opened.codes.told[0][1]
    assert opened.word.flags & FLAG


def test_the_end_makes_everything_durable_that_was_appended(tmp_path):
    async def scene():
        opened = Opened(tmp_path)
        for n in range(200):
            opened.journal.append("EXECUTION_STATE", {"n": n})
        await opened.journal.close()

    asyncio.run(scene())
    assert [row[2]["n"] for row in records(tmp_path) if row[0] == "EXECUTION_STATE"] == list(range(200))
