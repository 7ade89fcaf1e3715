"""Contract of the outbox: what changes the books puts in it, in the same transaction, and it is taken out by order."""

from datetime import timedelta
from decimal import Decimal

import pytest

from qts.clock.instants import from_ns
from qts.data.exceptions import DataConsistencyError, FillConflict, RowInvalid

from .samples import fill
from .subject import Known

FAR = timedelta(days=36_500)


class TestOutbox(Known):
    @pytest.fixture(autouse=True)
    def _able(self, subject):
        subject.need("outbox")

    def _pending(self, subject, limit=1_000):
        return subject.run(subject.adapter.outbox_pending(limit))

    def _apply(self, subject, *fills):
        for one in fills:
            subject.run(subject.adapter.apply_fill(one))

    def test_an_empty_outbox_is_empty(self, subject):
        assert self._pending(subject) == []
        assert subject.run(subject.adapter.outbox_waiting()) == (0, None)

    def test_a_fill_brings_its_ledger_row_and_its_position(self, subject):
        self._apply(subject, fill(1))
        ledger, position = self._pending(subject)
        assert (ledger.data_set, ledger.key, ledger.op) == ("T_Ledger", fill(1).fill_key, "APPEND")
        assert (position.data_set, position.key, position.op) == ("Position", "main:SCALP:005930", "UPSERT")
        assert ledger.seq < position.seq
        assert ledger.payload["symbol"] == position.payload["symbol"] == "005930"
        assert ledger.payload["fill_key"] == fill(1).fill_key
        assert (ledger.payload["order_id"], ledger.payload["side"]) == ("0000000001", "BUY")
        assert (ledger.payload["qty"], ledger.payload["price"], ledger.payload["amount"]) == ("10", "70000", "700000")
        assert ledger.payload["timestamp"] == fill(1).timestamp.isoformat()
        assert (position.payload["qty"], position.payload["avg_price"]) == ("10", "70000")
        assert position.payload["version"] == 1
        assert (ledger.attempts, ledger.created_at) == (0, position.created_at)
        assert subject.run(subject.adapter.outbox_waiting()) == (2, ledger.created_at)

    def test_what_changes_nothing_brings_nothing(self, subject):
        self._apply(subject, fill(1), fill(1))
        with pytest.raises(FillConflict):
            self._apply(subject, fill(1, price=69_000))
        assert len(self._pending(subject)) == 2

    def test_a_sale_of_too_much_is_mirrored_with_its_mark(self, subject):
        with pytest.raises(DataConsistencyError):
            self._apply(subject, fill(1, "SELL", 15))
        assert [row.payload.get("oversold") for row in self._pending(subject)] == [None, 1]

    def test_a_reconciled_position_is_mirrored(self, subject):
        subject.run(subject.adapter.update_position("005930", Decimal(7), Decimal(70_000), pool_id="SWING"))
        (row,) = self._pending(subject)
        assert (row.data_set, row.key, row.payload["qty"]) == ("Position", "main:SWING:005930", "7")

    def test_rows_come_in_order_and_as_many_as_asked_for(self, subject):
        self._apply(subject, fill(1), fill(2, symbol="000660"), fill(3))
        rows = self._pending(subject)
        assert [row.seq for row in rows] == sorted(row.seq for row in rows)
        assert len(rows) == 6
        assert self._pending(subject, 2) == rows[:2]
        assert self._pending(subject) == rows  # looking takes nothing out

    def test_what_is_done_does_not_come_again(self, subject):
        self._apply(subject, fill(1), fill(2))
        rows = self._pending(subject)
        subject.run(subject.adapter.outbox_done([row.seq for row in rows[:3]]))
        subject.run(subject.adapter.outbox_done([rows[0].seq]))
        subject.run(subject.adapter.outbox_done([]))
        assert self._pending(subject) == rows[3:]
        assert subject.run(subject.adapter.outbox_waiting()) == (1, rows[3].created_at)

    def test_a_failed_row_holds_back_what_is_behind_it_under_its_key_and_nothing_else(self, subject):
        self._apply(subject, fill(1), fill(2), fill(3, symbol="000660"))
        rows = self._pending(subject)
        first = next(row for row in rows if row.data_set == "Position")
        subject.run(subject.adapter.outbox_failed([first.seq], "429", retry_at=first.created_at + FAR))
        left = self._pending(subject)
        assert left == [row for row in rows if row.key != first.key]
        assert subject.run(subject.adapter.outbox_waiting())[0] == len(rows)  # it waits all the same

    def test_a_failed_row_comes_again_when_it_is_due(self, subject):
        self._apply(subject, fill(1))
        rows = self._pending(subject)
        subject.run(subject.adapter.outbox_failed([rows[0].seq], "503", retry_at=from_ns(0)))
        again = self._pending(subject)
        assert [row.seq for row in again] == [row.seq for row in rows]
        assert [row.attempts for row in again] == [1, 0]

    def test_a_dead_row_lets_others_of_its_key_proceed(self, subject):
        self._apply(subject, fill(1), fill(2))
        rows = self._pending(subject)
        first, second = (row for row in rows if row.data_set == "Position")
        subject.run(subject.adapter.outbox_failed([first.seq], "poison", retry_at=None))
        left = [row.seq for row in self._pending(subject)]
        assert first.seq not in left
        assert second.seq in left
        assert subject.run(subject.adapter.outbox_waiting())[0] == len(rows) - 1

    def test_a_limit_that_is_none_is_refused(self, subject):
        with pytest.raises(RowInvalid):
            self._pending(subject, 0)
