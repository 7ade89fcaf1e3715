"""Contract of capital and decisions of runs: written once, read back as they were, told apart by account and run."""

import pytest

from qts.codes import UsageError
from qts.data.contracts import (
    CapitalEntryRow,
    CapitalHoldRow,
    CapitalPoolRow,
    CapitalTransferRow,
    DecisionRow,
)
from qts.data.exceptions import CapitalConflict, FillConflict
from qts.data.records import JournalAck

from .samples import fill_row, key_of, session
from .subject import Known

RUN = session()
T0 = 1_704_153_600_123_456_000
US = 1_000


def entry(number, amount=1_000, **changes):
    row = CapitalEntryRow(number, T0 + number * US, "SCALP", "AVAILABLE", amount, "FILL", f"fill:{number}:1")
    return row._replace(**changes)


def transfer(number=1, status="COMMITTED", **changes):
    row = CapitalTransferRow(
        transfer_id=f"T{number}",
        transfer_key=f"S>W:2026-W{number:02}",
        from_pool="SCALP",
        to_pool="SWING",
        amount=250_000,
        kind="PROMOTION",
        reason="PROFIT_THRESHOLD_EXCEEDED",
        status=status,
        requested_ns=T0 + number * US,
        committed_ns=T0 + number * US + US if status == "COMMITTED" else None,
        before=(("SCALP", 10_000_000), ("SWING", 5_000_000)),
        after=(("SCALP", 9_750_000), ("SWING", 5_250_000)),
        criteria=(("profit", "1500000"), ("sharpe", "1.800000")),
        operating_state="BALANCED",
        safety_state="NORMAL",
        operator_id=None,
        session_date="2026-01-05",
    )
    return row._replace(**changes)


def hold(version=0, state="PLACED", remaining=70_150, **changes):
    row = CapitalHoldRow("hold:1:0", "1", "SWING", 70_150, remaining, state, "entry", T0 + version * US, version)
    return row._replace(**changes)


def pool(pool_id="SCALP", revision=1, **changes):
    row = CapitalPoolRow(
        pool_id=pool_id,
        version="1.0.0",
        ts_ns=T0,
        total_capital=10_000_000,
        available_capital=7_500_000,
        invested_capital=2_000_000,
        reserved_capital=200_000,
        held_for_orders=300_000,
        realized_pnl=-500_000,
        unrealized_pnl=50_001,
        accumulated_profit=550_000,
        nav_gain=-3,
        allocation_bps=4_000,
        target_bps=10_000,
        last_promotion_ns=None,
        promotion_eligible=True,
        pool_state="PAUSED",
        pause_causes=("BELOW_MIN", "SAFETY"),
        lock_reason=None,
        lock_code=None,
        lock_ns=None,
        units=10_000_000 * 10**8 + 1,
        unit_price=1_023_456,
        peak_unit_price=1_100_000,
        is_funded=True,
        revision=revision,
    )
    return row._replace(**changes)


LOCKED = pool(
    "SWING", 7, pool_state="LOCKED", lock_reason="drawdown 21 %", lock_code="FS082", lock_ns=T0 + US, pause_causes=()
)
LINE = (
    '{"action":"BUY","allowed_qty":"10","qty":"10","reason":"교차","strategy":"ema","symbol":"005930",'
    '"wanted_qty":"12"}'
)


def decision(number, line=LINE):
    return DecisionRow(f"d{number}", T0 + number * US, line)


class TestFunds(Known):
    @pytest.fixture(autouse=True)
    def _begun(self, subject, _known):
        subject.need("runs")
        subject.run(subject.adapter.begin_run(RUN))

    def _write(self, subject, *rows, decisions=(), run=RUN, fills=(), **options):
        call = subject.adapter.write_run(run, list(fills), [], [], funds=rows, decisions=decisions, **options)
        return subject.run(call)

    def _entries(self, subject, run=RUN, **options):
        return subject.run(subject.adapter.run_entries(run, **options))

    def test_a_run_without_capital_is_empty(self, subject):
        adapter = subject.adapter
        for read in (
            adapter.run_entries,
            adapter.run_transfers,
            adapter.run_holds,
            adapter.run_pools,
            adapter.run_decisions,
        ):
            assert subject.run(read(RUN)) == []
            with pytest.raises(UsageError):
                subject.run(read(session("run-9")))

    def test_rows_come_back_as_they_were_written(self, subject):
        entries = [
            entry(2, -(10**16)),
            entry(1),
            entry(3, bucket="UNALLOCATED", pool_id="UNALLOCATED", cause="EXTERNAL", ref_id="x" * 160),
        ]
        transfers = [transfer(2, "PENDING", operator_id="kim", session_date=None), transfer(1)]
        pools = [LOCKED, pool(), pool("PORTFOLIO", last_promotion_ns=T0, pause_causes=(), pool_state="ACTIVE")]
        self._write(subject, *entries, *transfers, hold(), *pools, decisions=[decision(2), decision(1)])
        adapter = subject.adapter
        assert self._entries(subject) == entries
        assert subject.run(adapter.run_transfers(RUN)) == [transfers[1], transfers[0]]
        assert subject.run(adapter.run_holds(RUN)) == [hold()]
        assert subject.run(adapter.run_pools(RUN)) == [pools[2], pools[1], pools[0]]
        assert subject.run(adapter.run_decisions(RUN)) == [decision(1), decision(2)]

    def test_the_same_again_changes_nothing(self, subject):
        rows = [entry(1), entry(1, bucket="HELD", amount=-1_000), transfer(1), hold(), pool()]
        for _ in range(3):
            self._write(subject, *rows, decisions=[decision(1)])
        adapter = subject.adapter
        assert self._entries(subject) == rows[:2]
        assert subject.run(adapter.run_transfers(RUN)) == [transfer(1)]
        assert subject.run(adapter.run_decisions(RUN)) == [decision(1)]
        assert subject.run(subject.quarantined()) == []

    def test_a_line_that_contradicts_one_is_told_when_everything_else_is_written(self, subject):
        self._write(subject, entry(1))
        with pytest.raises(CapitalConflict) as caught:
            self._write(subject, entry(2), entry(1, 1_001), pool(), decisions=[decision(1)], ack=JournalAck("funds", 9))
        assert caught.value.code == "FS086"
        assert self._entries(subject) == [entry(1), entry(2)]
        assert subject.run(subject.adapter.run_pools(RUN)) == [pool()]
        assert subject.run(subject.adapter.run_decisions(RUN)) == [decision(1)]
        assert subject.run(subject.adapter.journal_ack("funds")) == 9
        assert subject.run(subject.quarantined()) == [f"{RUN.account_id}:FILL:fill:1:1:SCALP:AVAILABLE"]

    def test_a_fill_that_contradicts_keeps_no_capital_back(self, subject):
        self._write(subject, fills=[fill_row(1)])
        with pytest.raises(FillConflict):
            self._write(subject, entry(1), fills=[fill_row(1, price=69_000)])
        assert self._entries(subject) == [entry(1)]
        assert subject.run(subject.quarantined()) == [key_of(fill_row(1), RUN)]

    def test_a_transfer_goes_on_until_it_is_committed(self, subject):
        adapter = subject.adapter
        for status in ("PENDING", "REJECTED", "PENDING"):
            self._write(subject, transfer(1, status))
            assert subject.run(adapter.run_transfers(RUN)) == [transfer(1, status)]
        retried = transfer(1, "PENDING", transfer_id="T1b", requested_ns=T0 + 9 * US)
        self._write(subject, retried)
        assert subject.run(adapter.run_transfers(RUN)) == [retried]
        done = retried._replace(status="COMMITTED", committed_ns=T0 + 10 * US)
        self._write(subject, done)
        self._write(subject, retried)  # a record that is brought a second time
        self._write(subject, done)
        assert subject.run(adapter.run_transfers(RUN)) == [done]

    def test_a_key_is_committed_once(self, subject):
        self._write(subject, transfer(1))
        for other in (transfer(1, amount=1), transfer(1, transfer_id="T9"), transfer(2, transfer_id="T1")):
            with pytest.raises(CapitalConflict):
                self._write(subject, other)
        assert subject.run(subject.adapter.run_transfers(RUN)) == [transfer(1)]

    def test_holds_and_pools_are_replaced_by_what_is_not_older(self, subject):
        adapter = subject.adapter
        used, closed = hold(1, "PARTLY_USED", 100), hold(2, "CLOSED", 0)
        self._write(subject, hold(), pool(revision=1))
        self._write(subject, used, closed, pool(revision=3, total_capital=1), LOCKED)
        for stale in (used, pool(revision=2)):
            self._write(subject, stale)
        assert subject.run(adapter.run_holds(RUN)) == [closed]
        assert subject.run(adapter.run_pools(RUN)) == [pool(revision=3, total_capital=1), LOCKED]

    def test_accounts_and_runs_are_told_apart(self, subject):
        """Every run numbers from the beginning, and decides the same over the same data under the same ids."""
        other, same = session("run-2"), session("run-3", account_id=RUN.account_id)
        for run in (other, same):
            subject.run(subject.adapter.begin_run(run))
        mine = (entry(1), transfer(1), hold(), pool())
        theirs = (
            entry(1, 7),
            transfer(1, amount=7),
            hold(remaining=7),
            pool(total_capital=7),
        )
        self._write(subject, *mine, decisions=[decision(1)])
        self._write(subject, *theirs, decisions=[decision(1, "{}")], run=other)
        adapter = subject.adapter
        for run, rows in ((RUN, mine), (same, mine), (other, theirs)):
            assert self._entries(subject, run) == [rows[0]]
            assert subject.run(adapter.run_transfers(run)) == [rows[1]]
            assert subject.run(adapter.run_holds(run)) == [rows[2]]
            assert subject.run(adapter.run_pools(run)) == [rows[3]]
        decisions = [subject.run(adapter.run_decisions(run)) for run in (RUN, other, same)]
        assert decisions == [[decision(1)], [decision(1, "{}")], []]

    def test_lines_are_chosen_by_pool_time_and_number(self, subject):
        entries = [entry(number, pool_id="SWING" if number % 2 else "SCALP") for number in range(1, 8)]
        self._write(subject, *entries)
        assert self._entries(subject, newest=2) == entries[-2:]
        assert self._entries(subject, pool_id="SCALP") == entries[1::2]
        assert self._entries(subject, since_ns=entries[4].ts_ns) == entries[4:]
        assert self._entries(subject, pool_id="SWING", since_ns=entries[1].ts_ns, newest=1) == [entries[6]]
        fee = entry(8, cause="FEE", ref_id="fill:7:1")
        self._write(subject, fee)
        assert self._entries(subject, cause="FEE") == [fee]
        assert self._entries(subject, cause="TAX") == []

    def test_a_decision_stands_in_its_table_by_what_its_line_says(self, subject):
        self._write(subject, decisions=[decision(1), decision(2, "not JSON"), decision(3, '{"qty":"0","action":"X"}')])
        first, second, third = subject.run(subject.adapter.read("decisions", {"run_id": RUN.session_id}))
        assert (first["action"], first["strategy_name"], first["symbol"], first["qty"]) == ("BUY", "ema", "005930", 10)
        assert (first["risk_approved"], first["portfolio_adjusted"], first["reason"]) == (True, True, "교차")
        assert (second["action"], second["line"], second["qty"]) == ("NONE", "not JSON", None)
        assert (third["action"], third["risk_approved"], third["qty"]) == ("NONE", False, None)
