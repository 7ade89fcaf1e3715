"""Contract of the books of runs: rows of integers in, the same rows out, the same ledger behind them."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from qts.codes import UsageError
from qts.data.contracts import PositionRow
from qts.data.exceptions import DataConsistencyError, FillConflict
from qts.data.records import JournalAck

from .samples import FROM, TO, equity_row, fill_row, key_of, order_row, session
from .subject import Known

RUN = session()


class TestRuns(Known):
    @pytest.fixture(autouse=True)
    def _begun(self, subject, _known):
        subject.need("runs")
        subject.run(subject.adapter.begin_run(RUN))

    def _write(self, subject, fills=(), orders=(), equity=(), run=RUN, **options):
        return subject.run(subject.adapter.write_run(run, list(fills), list(orders), list(equity), **options))

    def _fills(self, subject, run=RUN):
        return subject.run(subject.adapter.run_fills(run))

    def test_a_run_without_anything_is_empty(self, subject):
        adapter = subject.adapter
        for read in (adapter.run_fills, adapter.run_orders, adapter.run_equity, adapter.run_positions):
            assert subject.run(read(RUN)) == []
        assert self._write(subject) == 0
        assert subject.run(adapter.verify()) == []

    def test_rows_come_back_as_they_were_written(self, subject):
        fills = [fill_row(2), fill_row(1, reason="", strategy=""), fill_row(3, "SELL", 5, 71_000)]
        orders = [order_row(2), order_row(1), order_row(3, "CANCELLED", 5, side="SELL", end_reason="USER_CANCEL")]
        equity = [equity_row(2), equity_row(1)]
        assert self._write(subject, fills, orders, equity) == 0
        assert self._fills(subject) == fills
        assert subject.run(subject.adapter.run_orders(RUN)) == [orders[1], orders[0], orders[2]]
        assert subject.run(subject.adapter.run_equity(RUN)) == [equity[1], equity[0]]
        (position,) = subject.run(subject.adapter.run_positions(RUN))
        realized = 5 * 71_000 - 350_000 - fills[2].fee - fills[2].tax
        assert position == PositionRow(
            RUN.account_id, "SCALP", "005930", 15, 1_050_000, realized, fills[0].ts_ns, key_of(fills[2], RUN), 3, False
        )
        assert type(position.oversold) is bool
        assert subject.run(subject.adapter.verify(RUN.account_id)) == []

    def test_the_latest_state_of_an_order_replaces_the_earlier(self, subject):
        for state, filled in (("ACCEPTED", 0), ("PARTIALLY_FILLED", 4)):
            self._write(subject, orders=[order_row(1, state, filled)])
        (row,) = subject.run(subject.adapter.run_orders(RUN))
        assert (row.state, row.filled_qty) == ("PARTIALLY_FILLED", 4)

    def test_fills_that_are_in_the_ledger_are_counted(self, subject):
        self._write(subject, [fill_row(1), fill_row(2)])
        assert self._write(subject, [fill_row(2), fill_row(3), fill_row(1)]) == 2
        assert self._fills(subject) == [fill_row(1), fill_row(2), fill_row(3)]
        assert subject.run(subject.adapter.run_positions(RUN))[0].qty == 30

    def test_the_ledger_of_a_run_is_the_ledger(self, subject):
        self._write(subject, [fill_row(1)])
        (entry,) = subject.run(subject.adapter.fetch_ledger(FROM, TO, account_id=RUN.account_id))
        assert (entry.fill.qty, entry.fill.price, entry.fill.currency) == (10, 70_000, "KRW")
        assert (entry.fill.order_id, entry.fill.exec_ref, entry.fill.pool_id) == ("1", "1", "SCALP")
        assert (entry.fill.ts_exec_ns, entry.fill.ts_recv_ns) == (fill_row(1).ts_exec_ns, fill_row(1).ts_ns)
        assert (entry.fill.broker, entry.fill.run_id, entry.fill.strategy_tag) == ("sim", "run-1", "ema_cross")
        position = subject.run(subject.adapter.get_position("005930", "SCALP", RUN.account_id))
        assert position.qty == Decimal(10)
        assert position.opened_at > datetime(2024, 1, 2, tzinfo=UTC)

    def test_runs_are_kept_apart_and_accounts_carry_on(self, subject):
        second = session("run-2", account_id=RUN.account_id)
        third = session("run-3")
        self._write(subject, [fill_row(1)], [order_row(1)], [equity_row(1)])
        for run in (second, third):
            subject.run(subject.adapter.begin_run(run))
        assert self._write(subject, [fill_row(1), fill_row(2)], [order_row(1)], run=second) == 1
        assert self._write(subject, [fill_row(1)], run=third) == 0  # another account: another fill
        assert self._fills(subject) == [fill_row(1)]
        assert self._fills(subject, second) == [fill_row(2)]
        assert subject.run(subject.adapter.run_positions(second))[0].qty == 20
        assert subject.run(subject.adapter.run_positions(third))[0].qty == 10
        assert len(subject.run(subject.adapter.run_orders(RUN))) == 1

    def test_everything_is_written_with_the_position_of_the_journal(self, subject):
        self._write(subject, [fill_row(1)], [order_row(1)], [equity_row(1)], ack=JournalAck("orders", 12))
        assert subject.run(subject.adapter.journal_ack("orders")) == 12

    def test_a_conflict_is_told_when_everything_else_is_written(self, subject):
        self._write(subject, [fill_row(1)])
        with pytest.raises(FillConflict) as caught:
            self._write(
                subject,
                [fill_row(2), fill_row(1, price=69_000), fill_row(3)],
                [order_row(2)],
                [equity_row(1)],
                ack=JournalAck("orders", 7),
            )
        assert caught.value.code == "FS122"
        assert self._fills(subject) == [fill_row(1), fill_row(2), fill_row(3)]
        assert len(subject.run(subject.adapter.run_orders(RUN))) == 1
        assert len(subject.run(subject.adapter.run_equity(RUN))) == 1
        assert subject.run(subject.adapter.journal_ack("orders")) == 7
        assert subject.run(subject.quarantined()) == [key_of(fill_row(1), RUN)]

    def test_a_sale_of_too_much_is_told_when_everything_is_written(self, subject):
        with pytest.raises(DataConsistencyError) as caught:
            self._write(subject, [fill_row(1, "SELL", 15)], equity=[equity_row(1)])
        assert caught.value.code == "FS070"
        assert self._fills(subject) == [fill_row(1, "SELL", 15)]
        assert subject.run(subject.adapter.run_positions(RUN))[0].oversold is True
        assert len(subject.run(subject.adapter.run_equity(RUN))) == 1

    @pytest.mark.parametrize("changes", [{"session_id": "run-1"}, {"account_id": "a:b"}, {"broker": ""}])
    def test_a_run_that_cannot_be_told_apart_is_refused(self, subject, changes):
        with pytest.raises(UsageError):
            subject.run(subject.adapter.begin_run(session("run-2")._replace(**changes)))

    def test_a_run_that_was_never_begun_takes_and_tells_nothing(self, subject):
        with pytest.raises(UsageError):
            self._write(subject, [fill_row(1)], run=session("run-9"))
        with pytest.raises(UsageError):
            self._fills(subject, session("run-9"))

    def test_a_run_ends(self, subject):
        self._write(subject, [fill_row(1)])
        subject.run(subject.adapter.end_run(RUN, "DONE", ended_ns=9, cash_end=42, decision_hash="beef"))
        assert self._fills(subject) == [fill_row(1)]
