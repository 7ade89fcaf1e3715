"""Executions behind the journal: on record before an order leaves, in the database once and for all."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from qts._core import journal_records
from qts.clock import SystemClock
from qts.codes import EngineFault
from qts.data import JournaledStore, SQLiteStore
from qts.data.contracts import StageRow
from qts.data.exceptions import SourceUnavailable
from qts.data.sqlite.adapter import SQLiteAdapter

from .conftest import HYNIX, KRW, SAMSUNG, session
from .contract.executions import DONE, T0, child, intent

END = {"ended_ns": 9, "cash_end": 5, "decision_hash": "beef"}


class Away(SQLiteAdapter):
    """Takes no rows."""

    async def write_run(self, *rows, **rest):
        raise SourceUnavailable(found="it is away", expected="an answer", hint="wait")


def store_in(home, kind=SQLiteAdapter, *, journal=True):
    store = JournaledStore(SystemClock(), home / "journal" if journal else None, name=lambda: "home", flush_s=0.2)
    store.behind(kind(home / "books.sqlite", SystemClock()), known=lambda: ([KRW], [SAMSUNG, HYNIX])).open()
    return store


def begin(store, run="run-1"):
    store.register([KRW], [SAMSUNG, HYNIX])
    store.begin_session(session(run, account_id=f"paper-{run}"))


def read(home, table, run="run-1"):
    async def rows():
        adapter = SQLiteAdapter(home / "books.sqlite", SystemClock())
        await adapter.open()
        try:
            return await adapter.read(table, {"account_id": f"paper-{run}"})
        finally:
            await adapter.close()

    return asyncio.run(rows())


def test_an_execution_is_in_the_database_as_it_ended(tmp_path):
    with store_in(tmp_path) as store:
        begin(store)
        store.record_intent(intent(), [child()])
        stage = StageRow(T0, "x1", "005930", "precheck", 40_000, success=True, error_code="")
        store.record_intent(intent(**DONE), [child(state="FILLED", version=2)], [stage])
        store.flush()
        moment = datetime.fromtimestamp(T0 // 10**9, UTC)
        range_ = (moment - timedelta(1), moment + timedelta(1))
        lines = store._call(store._database.fetch_execution_logs("x1", *range_), 5)
        store.end_session("DONE", **END)
    assert [(row["state"], row["disposition"]) for row in read(tmp_path, "intents")] == [("COMPLETE", "PARTIAL")]
    assert [row["status"] for row in read(tmp_path, "orders")] == ["FILLED"]
    assert [line.stage for line in lines] == ["PRECHECK"]


def test_what_a_process_left_the_next_one_brings_and_evidence_is_no_row(tmp_path):
    store = store_in(tmp_path, Away)
    begin(store)
    number = store.journal_execution("ORDER_INTENT", {"split": "x1-1-1", "qty": 150})
    store.journal_durable(number)
    store.journal_execution("EXECUTION_STATE", {"from": "SENDING", "to": "MONITORING"})
    store.record_intent(intent(), [child()])
    store.close()
    records = [row for row in journal_records(tmp_path / "journal") if row[2] in ("ORDER_INTENT", "EXECUTION_STATE")]
    kinds = [(kind, list(json.loads(payload))) for _, _, kind, _, payload in records]
    assert ("ORDER_INTENT", ["run", "execution"]) in kinds
    assert kinds.count(("EXECUTION_STATE", ["run", "execution"])) == 1
    assert read(tmp_path, "intents") == []
    with store_in(tmp_path) as again:
        assert again.replayed == 1
    (row,) = read(tmp_path, "intents")
    assert (row["state"], row["codes"]) == ("MONITORING", [])
    assert [order["client_order_id"] for order in read(tmp_path, "orders")] == ["x1-1-1"]


def test_a_run_without_a_journal_has_nothing_to_wait_for(tmp_path):
    with store_in(tmp_path, journal=False) as store:
        begin(store)
        assert store.journal_execution("ORDER_INTENT", {"split": "x1-1-1"}) == 0
        store.journal_durable(0)
        store.record_intent(intent(**DONE))
        store.flush()
    assert [row["state"] for row in read(tmp_path, "intents")] == ["COMPLETE"]


def test_a_journal_that_takes_nothing_more_lets_nothing_be_sent(tmp_path):
    with store_in(tmp_path) as store:
        begin(store)
        store._journal.close()
        with pytest.raises(EngineFault) as caught:
            store.journal_execution("ORDER_INTENT", {"split": "x1-1-1"})
        assert caught.value.code == "FS063"
        with pytest.raises(EngineFault, match="an order does not become durable"):
            store.journal_durable(10**6)


@pytest.mark.parametrize("keeps", [True, False])
def test_books_that_keep_decisions_keep_executions(tmp_path, keeps):
    with SQLiteStore(tmp_path / "books.sqlite", keep_decisions=keeps) as store:
        begin(store)
        assert store.journal_execution("ORDER_INTENT", {}) == 0
        stage = StageRow(T0, "x1", "005930", "precheck", 40_000, success=True, error_code="")
        store.record_intent(intent(**DONE), [child()], [stage])
        store.flush()
        found = store._db.execute("SELECT stage, latency_ms FROM execution_logs").fetchall()
        assert found == ([("PRECHECK", 40)] if keeps else [])
    assert [row["state"] for row in read(tmp_path, "intents")] == (["COMPLETE"] if keeps else [])
