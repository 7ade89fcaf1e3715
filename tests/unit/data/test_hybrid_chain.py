"""Journal, database, sheets: whatever goes wrong in between, in the end all three hold each fill once."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from qts._core import JournalWriter, journal_records
from qts.clock import SimClock, SystemClock
from qts.data.exceptions import DataConsistencyError
from qts.data.hybrid import FillJournal, HybridAdapter
from qts.data.hybrid.codec import decode
from qts.data.hybrid.tasks import stop
from qts.data.sqlite.adapter import SQLiteAdapter

from ...faulty_books import FaultyBooks
from ...sheets_samples import START_NS, make_book, sheets
from ...sheets_server import SheetsServer
from .contract.samples import FROM, HYNIX, KRW, SAMSUNG, TO, fill

ROOT = Path(__file__).parents[3]


def journaled(path):
    """Fill keys in the journal, first mention first."""
    found = (
        decode(payload, version, seq) for seq, _, kind, version, payload in journal_records(path) if kind == "FILL"
    )
    return list(dict.fromkeys(entry.fill.fill_key for entry in found))


class Chain(RuleBasedStateMachine):
    """Fills, and everything that can go wrong with them."""

    def __init__(self):
        super().__init__()
        self.directory = tempfile.TemporaryDirectory()
        self.path = Path(self.directory.name)
        self.clock = SimClock(START_NS)
        self.runner = asyncio.Runner()
        self.server = SheetsServer()
        self.server.__enter__()
        make_book(self.server)
        self.codes = []
        self.accepted = {}
        self.numbers = 0
        self.hybrid = None

    @initialize()
    def begin(self):
        self._start()

    def _start(self):
        self.writer = JournalWriter(self.path / "journal", sync=False)
        self.books = FaultyBooks(SQLiteAdapter(self.path / "qts.sqlite", self.clock, mirror=True))
        self.hybrid = HybridAdapter(
            primary=self.books,
            sheets=sheets(self.server, self.path, clock=self.clock, settings={"max_retries": 1}),
            journal=FillJournal(self.writer, self.path / "journal"),
            clock=self.clock,
            report=lambda code, message: self.codes.append(code),
            free_disk=lambda: 0.5,
        )

        async def opened():
            await self.hybrid.open()
            tasks, self.hybrid._tasks = self.hybrid._tasks, []
            await stop(tasks)  # this machine says when something is tried again
            await self.hybrid.register([KRW], [SAMSUNG, HYNIX])

        self.runner.run(opened())

    def _apply(self, one):
        with suppress(DataConsistencyError):  # FS070, sold more than was held: booked all the same
            assert self.runner.run(self.hybrid.apply_fill(one)).status in {"INSERTED", "DUPLICATE", "SPOOLED"}
        self.accepted[one.fill_key] = one

    @rule(
        side=st.sampled_from(["BUY", "BUY", "SELL"]),
        qty=st.integers(1, 9),
        symbol=st.sampled_from(["005930", "000660"]),
    )
    def a_fill(self, side, qty, symbol):
        self.numbers += 1
        self._apply(fill(self.numbers, side, qty, symbol=symbol))

    @rule(back=st.integers(0, 5))
    def a_fill_that_is_heard_again(self, back):
        known = list(self.accepted.values())
        if known:
            self._apply(known[-1 - back % len(known)])

    @rule(count=st.integers(2, 4))
    def fills_at_once(self, count):
        first = self.numbers + 1
        self.numbers += count

        async def together():
            return await asyncio.gather(*(self.hybrid.apply_fill(fill(first + n, qty=1)) for n in range(count)))

        self.runner.run(together())
        for number in range(first, first + count):
            self.accepted[fill(number).fill_key] = fill(number, qty=1)

    @rule(plan=st.lists(st.sampled_from(["ok", "cut", "lost"]), max_size=3))
    def the_database_fails_in_between(self, plan):
        self.books.plan = plan

    @rule(down=st.booleans())
    def the_database_goes_or_comes(self, down):
        self.books.down = down

    @rule(
        what=st.sampled_from(["lose_answer", "cut", 429, 500]),
        times=st.integers(1, 3),
        match=st.sampled_from(["", "GET", r"book:batchUpdate", "values:batchUpdate"]),
    )
    def the_sheets_fail(self, what, times, match):
        if isinstance(what, int):
            self.server.fail(what, times, match)
        else:
            getattr(self.server, what)(times, match)

    @rule(seconds=st.integers(1, 90))
    def time_passes(self, seconds):
        self.clock.advance_to(self.clock.now_ns() + seconds * 1_000_000_000)
        self.runner.run(self.hybrid.watch())
        self.runner.run(self.hybrid.mirror.work())

    @rule()
    def a_restart(self):
        self._stop()
        self.books.plan = []
        down = self.books.down
        self._start()
        self.books.down = down

    @rule()
    def quiet(self):
        """Let everything settle, then look at all three."""
        self.server.heal()
        self.books.down = False
        self.books.plan = []
        self.clock.advance_to(self.clock.now_ns() + 120 * 1_000_000_000)
        self.hybrid.spool.retry_now()
        self.runner.run(self.hybrid.watch())
        assert self.hybrid.spool.settled
        self.runner.run(self.hybrid.mirror.drain())
        if not self.hybrid.sheets.opened:  # it did not answer at the start, and nothing had to be written since
            self.runner.run(self.hybrid.sheets.open())
        in_db = self.runner.run(self.books.fetch_ledger(FROM, TO))
        on_sheet = self.runner.run(self.hybrid.sheets.ledger())  # raises if a fill stands there twice
        keys = [entry.fill.fill_key for entry in in_db]
        assert len(set(keys)) == len(keys)
        assert sorted(keys) == sorted(self.accepted)
        assert keys == journaled(self.path / "journal")
        assert list(on_sheet) == keys
        for entry in in_db:
            mirrored = on_sheet[entry.fill.fill_key]
            assert (mirrored.fill, mirrored.realized_pnl) == (entry.fill, entry.realized_pnl)
        held, shown = (
            {
                (row.symbol, row.pool_id): (row.qty, row.cost_total, row.realized_pnl, row.version, row.oversold)
                for row in rows
            }
            for rows in (
                self.runner.run(self.books.fetch_positions(include_closed=True)),
                self.runner.run(self.hybrid.sheets.fetch_positions(include_closed=True)),
            )
        )
        assert held == shown
        assert self.runner.run(self.books.verify()) == []
        assert self.hybrid.entries_allowed

    def _stop(self):
        if self.hybrid is not None:
            self.runner.run(self.hybrid.close())
            self.writer.close()

    def teardown(self):
        try:
            if self.hybrid is not None:
                self.quiet()
        finally:
            self._stop()
            self.runner.close()
            self.server.__exit__()
            self.directory.cleanup()


TestChain = Chain.TestCase
TestChain.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)


# A real process, killed

ENGINE = """
import asyncio, sys
sys.path.insert(0, {root!r})
from pathlib import Path
from qts._core import JournalWriter
from qts.clock import SystemClock
from qts.data.hybrid import FillJournal, HybridAdapter, MirrorPace
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.data.sheets import GoogleSheetsAdapter, SheetsClient, SheetsSettings
from tests.unit.data.contract.samples import HYNIX, KRW, SAMSUNG, fill

async def main():
    home, clock = Path({home!r}), SystemClock()
    settings = SheetsSettings(Path({key!r}), "book", endpoint={endpoint!r}, quota_per_min=100_000)
    books = HybridAdapter(
        primary=SQLiteAdapter(home / "qts.sqlite", clock, mirror=True),
        sheets=GoogleSheetsAdapter(SheetsClient(settings, clock), clock),
        journal=FillJournal(JournalWriter(home / "journal"), home / "journal"),
        clock=clock, report=lambda code, message: None, pace=MirrorPace(interval_s=0.01, batch=5),
    )
    await books.open()
    await books.register([KRW], [SAMSUNG, HYNIX])
    for number in range({first}, {last}):
        side = "SELL" if number % 3 == 0 else "BUY"
        result = await books.apply_fill(fill(number, side, 1))
        print(number, result.status, flush=True)
    await books.mirror.drain()
    await books.close()
    print("done", flush=True)

asyncio.run(main())
"""


def test_a_killed_process_loses_nothing_and_repeats_nothing(tmp_path):
    """Killed again and again in the middle; what it had said was durable is there, each fill once, on every level."""
    home = tmp_path / "home"
    home.mkdir()
    told = set()
    with SheetsServer(latency_ms=(1, 15), seed=3) as server:
        make_book(server)
        key = server.credentials(tmp_path)
        for life, lines in enumerate((3, 11, 1, 24)):
            code = ENGINE.format(
                root=str(ROOT), home=str(home), key=str(key), endpoint=server.endpoint, first=1 + life * 5, last=1_000
            )
            with subprocess.Popen(
                [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, env={**os.environ}
            ) as process:
                for _ in range(lines):
                    number, status = process.stdout.readline().split()
                    assert status in {"INSERTED", "DUPLICATE", "SPOOLED"}
                    told.add(fill(int(number)).fill_key)
                process.send_signal(signal.SIGKILL)
        code = ENGINE.format(root=str(ROOT), home=str(home), key=str(key), endpoint=server.endpoint, first=1, last=2)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
        )
        assert done.stdout.splitlines()[-1:] == ["done"], done.stderr[-2_000:]

        async def look():
            books = SQLiteAdapter(home / "qts.sqlite", SystemClock())
            mirror = sheets(server, tmp_path)
            await books.open()
            await mirror.open()
            result = (
                await books.fetch_ledger(FROM, TO),
                await mirror.ledger(),
                await books.fetch_positions(),
                await mirror.fetch_positions(),
                await books.verify(),
            )
            await books.close()
            await mirror.close()
            return result

        ledger, on_sheet, held, shown, wrong = asyncio.run(look())
    keys = [entry.fill.fill_key for entry in ledger]
    assert told <= set(keys)
    assert len(set(keys)) == len(keys)
    assert keys == journaled(home / "journal")
    assert keys == list(on_sheet)
    assert [(row.symbol, row.qty, row.cost_total) for row in held] == [
        (row.symbol, row.qty, row.cost_total) for row in shown
    ]
    assert wrong == []


def test_decimals_survive_the_journal():
    from qts.data.hybrid.codec import encode
    from qts.data.records import LedgerEntry

    given = LedgerEntry(
        entry_type="REVERSAL",
        fill=fill(1, qty="0.00000001", price="99999.12345678", amount=Decimal("0.001"), slippage_bps=Decimal("-1.5")),
        realized_pnl=Decimal("-3.1"),
        reverses_key="k",
    )
    assert decode(encode(given), 1, 1) == given
    for payload, version in ((b"", 1), (b"{}", 1), (b'{"entry_type": "FILL", "fill": {}}', 1), (encode(given), 2)):
        with pytest.raises(DataConsistencyError) as caught:
            decode(payload, version, 7)
        assert caught.value.code == "FS125"
        assert "record 7" in str(caught.value)
