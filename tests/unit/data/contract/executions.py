"""Contract of executions of runs: one row each, replaced by what is newer, told apart by account."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from qts.clock.instants import from_ns
from qts.data.contracts import ChildRow, ExecutionRow, IntentRow, StageRow
from qts.data.executions import log_of

from .samples import session
from .subject import Known

RUN = session()
AGAIN = session("run-2")
T0 = 1_704_153_600_123_456_000
MS = 1_000_000


def intent(number=1, **changes):
    row = IntentRow(
        execution_id=f"x{number}",
        decision_id=f"d{number}",
        symbol="005930",
        market="KRX",
        track="SCALP",
        side="BUY",
        intent="ENTRY",
        qty=300,
        kind="LIMIT",
        limit_price=75_100,
        decision_price=75_000,
        decided_ns=T0,
        deadline_ns=T0 + 60_000 * MS,
        allowed_qty=320,
        approved_ns=T0,
        strategy="ema_cross",
        hold_id=7,
        state="MONITORING",
        disposition="",
        reason="",
        filled_qty=0,
        unsent_qty=0,
        cancelled_qty=0,
        amount=0,
        avg_price_e6=None,
        fee=0,
        tax=0,
        slippage_e3=None,
        rounds=0,
        codes=(),
        start_ns=T0 + MS,
        end_ns=None,
        updated_ns=T0 + MS,
        version=1,
        detail='{"stance":{"safety":"NORMAL"}}',
    )
    return row._replace(**changes)


DONE = {
    "state": "COMPLETE",
    "disposition": "PARTIAL",
    "reason": "TIME_LIMIT_EXCEEDED",
    "filled_qty": 200,
    "unsent_qty": 40,
    "cancelled_qty": 60,
    "amount": 15_010_001,
    "avg_price_e6": 75_050_005_000,
    "fee": 2_251,
    "slippage_e3": 6_667,
    "rounds": 2,
    "codes": ("FS093", "GR064"),
    "end_ns": T0 + 60_001 * MS,
    "updated_ns": T0 + 60_001 * MS,
    "version": 5,
}


def child(number=1, sequence=1, **changes):
    row = ChildRow(
        client_order_id=f"x{number}-{sequence}-1",
        execution_id=f"x{number}",
        sequence=sequence,
        generation=1,
        order_id=40 + sequence,
        symbol="005930",
        track="SCALP",
        side="BUY",
        intent="ENTRY",
        kind="LIMIT",
        qty=150,
        price=75_100,
        scheduled_ns=T0 + MS,
        max_wait_ms=5_000,
        state="SUBMITTED",
        filled_qty=0,
        avg_price_e6=None,
        sent_ns=T0 + 2 * MS,
        ack_ns=None,
        updated_ns=T0 + 2 * MS,
        version=1,
    )
    return row._replace(**changes)


class TestExecutions(Known):
    @pytest.fixture(autouse=True)
    def _begun(self, subject, _known):
        subject.need("runs")
        for run in (RUN, AGAIN):
            subject.run(subject.adapter.begin_run(run))

    def _write(self, subject, *rows, run=RUN):
        subject.run(subject.adapter.write_run(run, [], [], [], executions=rows))

    def _read(self, subject, table, run=RUN):
        return subject.run(subject.adapter.read(table, {"account_id": run.account_id}))

    def test_an_execution_is_read_with_what_was_decided(self, subject):
        self._write(subject, ExecutionRow(intent(), (child(),)))
        (row,) = self._read(subject, "intents")
        assert (row["execution_id"], row["decision_id"], row["parent_order_id"]) == ("x1", "d1", "d1")
        assert (row["qty"], row["price"], row["decision_price"], row["risk_allowed_qty"]) == (300, 75_100, 75_000, 320)
        assert (row["state"], row["disposition"], row["reason"], row["avg_fill_price"]) == (
            ("MONITORING", None, None, None)
        )
        assert (row["decision_ts"], row["execution_start"]) == (from_ns(T0), from_ns(T0 + MS))
        assert (row["hold_id"], row["codes"], row["detail"]) == ("7", [], {"stance": {"safety": "NORMAL"}})
        (order,) = self._read(subject, "orders")
        assert (order["client_order_id"], order["execution_id"]) == ("x1-1-1", "x1")
        assert (order["sequence"], order["generation"], order["broker_order_id"]) == (1, 1, "41")
        assert (order["status"], order["sent_at"], order["ack_at"]) == ("SUBMITTED", from_ns(T0 + 2 * MS), None)
        assert order["broker"] == RUN.broker

    def test_what_is_newer_replaces_what_stands_and_what_is_older_does_not(self, subject):
        done = intent(**DONE)
        over = child(state="FILLED", filled_qty=150, avg_price_e6=75_050_000_000, ack_ns=T0 + 3 * MS, version=3)
        self._write(subject, ExecutionRow(intent(), (child(),)))
        self._write(subject, ExecutionRow(done, (over, child(sequence=2))))
        self._write(subject, ExecutionRow(intent(version=4), (child(version=2),)))
        (row,) = self._read(subject, "intents")
        assert (row["state"], row["disposition"], row["reason"]) == ("COMPLETE", "PARTIAL", "TIME_LIMIT_EXCEEDED")
        assert (row["filled_qty"], row["unsent_qty"], row["cancelled_qty"]) == (200, 40, 60)
        assert (row["amount"], row["fee"], row["tax"]) == (15_010_001, 2_251, 0)
        assert (row["avg_fill_price"], row["slippage_bps"]) == (Decimal("75050.005"), Decimal("6.667"))
        assert (row["codes"], row["rounds_used"]) == (["FS093", "GR064"], 2)
        orders = {order["client_order_id"]: order for order in self._read(subject, "orders")}
        assert orders.keys() == {"x1-1-1", "x1-2-1"}
        assert (orders["x1-1-1"]["status"], orders["x1-1-1"]["avg_fill_price"]) == ("FILLED", 75_050)
        assert orders["x1-1-1"]["ack_at"] == from_ns(T0 + 3 * MS)

    def test_rows_of_one_batch_count_by_their_last(self, subject):
        self._write(subject, ExecutionRow(intent(), (child(),)), ExecutionRow(intent(**DONE), ()))
        assert [row["state"] for row in self._read(subject, "intents")] == ["COMPLETE"]
        assert len(self._read(subject, "orders")) == 1

    def test_two_runs_over_the_same_data_have_the_same_ids_and_rows_of_their_own(self, subject):
        self._write(subject, ExecutionRow(intent(), (child(),)))
        self._write(subject, ExecutionRow(intent(**DONE), (child(state="FILLED"),)), run=AGAIN)
        assert [row["state"] for row in self._read(subject, "intents")] == ["MONITORING"]
        assert [row["state"] for row in self._read(subject, "intents", AGAIN)] == ["COMPLETE"]
        assert [row["status"] for row in self._read(subject, "orders", AGAIN)] == ["FILLED"]

    def test_values_beyond_their_columns_are_cut_and_stop_nothing(self, subject):
        long = intent(reason="r" * 90, slippage_e3=10**14, market="x" * 30, kind="MARKET", limit_price=None)
        self._write(subject, ExecutionRow(long, (child(kind="MARKET", price=None),)))
        (row,) = self._read(subject, "intents")
        assert (row["reason"], row["slippage_bps"], row["price"]) == ("r" * 40, Decimal("9999999.999"), None)

    def test_what_a_stage_took_is_read_by_its_execution(self, subject):
        subject.need("logs")
        line = log_of(StageRow(T0, "x1", "005930", "precheck", 41_500, success=False, error_code="PRICE_STALE"))
        subject.run(subject.adapter.store_execution_log([line]))
        moment = datetime.fromtimestamp(T0 // 10**9, UTC)
        (read,) = subject.run(subject.adapter.fetch_execution_logs("x1", moment - timedelta(1), moment + timedelta(1)))
        assert read[3:6] == ("PRECHECK", Decimal("0.042"), False)
        assert (read.error_code, read.trace_id) == ("PRICE_STALE", "x1")
