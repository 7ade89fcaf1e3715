"""Contract of opening and closing: what does not answer is an error, never nothing."""

import pytest

from qts.data.exceptions import SourceUnavailable
from qts.data.records import LedgerEntry

from .samples import FROM, TO, bar, fill, fill_row, parameter, session
from .subject import Known

CALLS = {
    "fetch_positions": lambda a: a.fetch_positions(),
    "get_position": lambda a: a.get_position("005930"),
    "update_position": lambda a: a.update_position("005930", fill(1).qty, fill(1).price, pool_id="SCALP"),
    "apply_fill": lambda a: a.apply_fill(fill(1)),
    "apply_fills": lambda a: a.apply_fills([fill(1)]),
    "append_ledger": lambda a: a.append_ledger(LedgerEntry(entry_type="FILL", fill=fill(1))),
    "fetch_ledger": lambda a: a.fetch_ledger(FROM, TO),
    "fetch_fills": lambda a: a.fetch_fills("1"),
    "journal_ack": lambda a: a.journal_ack("orders"),
    "fetch_ohlcv": lambda a: a.fetch_ohlcv("005930", FROM, TO),
    "store_ohlcv": lambda a: a.store_ohlcv([bar(1)]),
    "get_avg_daily_volume": lambda a: a.get_avg_daily_volume("005930"),
    "fetch_execution_logs": lambda a: a.fetch_execution_logs("1", FROM, TO),
    "get_risk_limits": lambda a: a.get_risk_limits(),
    "fetch_raw_data": lambda a: a.fetch_raw_data("Position"),
    "read": lambda a: a.read("strategies"),
    "write": lambda a: a.write("strategies", parameter("a", "1")),
    "batch_write": lambda a: a.batch_write("strategies", [parameter("a", "1")]),
    "register": lambda a: a.register([], []),
}
NEEDS = {
    "apply_fills": "transactions",
    "journal_ack": "transactions",
    "fetch_execution_logs": "logs",
    "store_ohlcv": "daily_bars",
    "fetch_ohlcv": "daily_bars",
    "get_avg_daily_volume": "daily_bars",
    "get_risk_limits": "tables",
    "read": "tables",
    "write": "tables",
    "batch_write": "tables",
}
OUTBOX_CALLS = {
    "outbox_pending": lambda a: a.outbox_pending(),
    "outbox_done": lambda a: a.outbox_done([1]),
    "outbox_failed": lambda a: a.outbox_failed([1], "no", retry_at=None),
    "outbox_waiting": lambda a: a.outbox_waiting(),
}
RUN_CALLS = {
    "begin_run": lambda a: a.begin_run(session()),
    "write_run": lambda a: a.write_run(session(), [fill_row(1)], [], []),
    "end_run": lambda a: a.end_run(session(), "DONE", ended_ns=1, cash_end=1, decision_hash=""),
    "run_fills": lambda a: a.run_fills(session()),
    "run_orders": lambda a: a.run_orders(session()),
    "run_equity": lambda a: a.run_equity(session()),
    "run_positions": lambda a: a.run_positions(session()),
    "run_entries": lambda a: a.run_entries(session()),
    "run_transfers": lambda a: a.run_transfers(session()),
    "run_holds": lambda a: a.run_holds(session()),
    "run_pools": lambda a: a.run_pools(session()),
    "run_decisions": lambda a: a.run_decisions(session()),
    "verify": lambda a: a.verify(),
}


class TestLifecycle(Known):
    def test_an_open_source_is_healthy_and_says_what_it_can_do(self, subject):
        health = subject.run(subject.adapter.health_check())
        assert health.healthy, health.detail
        assert health.latency_ms >= 0
        assert subject.adapter.capabilities.profile in {"sqlite", "postgres", "timescale", "sheets", "hybrid"}

    def test_a_closed_source_is_not_healthy_and_says_so(self, subject):
        for _ in range(2):
            subject.run(subject.adapter.close())
        health = subject.run(subject.adapter.health_check())
        assert not health.healthy
        assert health.latency_ms is None
        assert health.detail

    @pytest.mark.parametrize("name", CALLS)
    def test_a_closed_source_is_unavailable_not_empty(self, subject, name):
        if name in NEEDS:
            subject.need(NEEDS[name])
        subject.run(subject.adapter.close())
        with pytest.raises(SourceUnavailable):
            subject.run(CALLS[name](subject.adapter))

    @pytest.mark.parametrize("name", OUTBOX_CALLS)
    def test_a_closed_outbox_is_unavailable(self, subject, name):
        subject.need("outbox")
        subject.run(subject.adapter.close())
        with pytest.raises(SourceUnavailable):
            subject.run(OUTBOX_CALLS[name](subject.adapter))

    @pytest.mark.parametrize("name", RUN_CALLS)
    def test_closed_books_are_unavailable(self, subject, name):
        subject.need("runs")
        subject.run(subject.adapter.close())
        with pytest.raises(SourceUnavailable):
            subject.run(RUN_CALLS[name](subject.adapter))

    def test_what_one_has_written_another_reads(self, subject):
        async def through_another():
            other = await subject.another()
            return [position.qty for position in await other.fetch_positions()]

        subject.run(subject.adapter.apply_fill(fill(1)))
        assert subject.run(through_another()) == [10]

    def test_what_is_written_is_there_when_opened_again(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1)))
        subject.run(subject.adapter.close())
        subject.run(subject.adapter.open())
        (position,) = subject.run(subject.adapter.fetch_positions())
        assert (position.symbol, position.qty) == ("005930", 10)
        assert subject.run(subject.adapter.apply_fill(fill(1))).status == "DUPLICATE"
