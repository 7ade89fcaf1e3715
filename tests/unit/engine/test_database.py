"""The database of a home beside an engine that goes on booking."""

import sqlite3
from contextlib import closing

from qts.clock import SystemClock
from qts.config import load_secrets
from qts.data import CapitalEntryRow, FillRow, OrderRow
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.engine.books import open_books
from qts.engine.build import catalog_in, load_config
from qts.engine.database import DatabaseDesk
from qts.engine.storage import run_store


def fill(number):
    return FillRow(
        *("2024-01-02", number, str(number), 1_000 + number, 900 + number, f"d{number}", "005930", "SCALP", "BUY"),
        *(10, 70_000, 700_000, 105, 0, 10, "cross", "ema"),
    )


def order(number):
    return OrderRow(
        *(number, 1_000 + number, f"d{number}", "005930", "SCALP", "BUY", "LIMIT", "DAY", 10, 70_100, "FILLED"),
        *(10, 700_000, "", "ema", 2_000 + number),
    )


def test_what_is_booked_while_the_ledger_is_compared_with_the_journal_is_no_difference(tmp_path, monkeypatch):
    config, clock = load_config(None, {}), SystemClock()
    ask = SQLiteAdapter.journal_ack

    async def and_go_on(adapter, journal):
        acked = await ask(adapter, journal)
        for number in (2, 3):
            store.record_fill(fill(number))
            store.record_order(order(number))
        store.flush()
        return acked

    with run_store(config, tmp_path, clock, load_secrets(tmp_path)) as store:
        store.open()
        catalog = catalog_in(config, "KRW")
        open_books(store, catalog, mode="SIM", strategy="ema", cash=1, config_hash="cafe", clock=clock)
        store.record_fill(fill(1))
        store.record_order(order(1))
        store.flush()
        monkeypatch.setattr(SQLiteAdapter, "journal_ack", and_go_on)
        assert DatabaseDesk(None, tmp_path).verify() == []


def test_capital_and_decisions_that_the_database_has_lost_are_told(tmp_path):
    config, clock = load_config(None, {}), SystemClock()
    with run_store(config, tmp_path, clock, load_secrets(tmp_path)) as store:
        store.open()
        catalog = catalog_in(config, "KRW")
        open_books(store, catalog, mode="SIM", strategy="ema", cash=1, config_hash="cafe", clock=clock)
        for number in (1, 2, 3):
            store.record_decision(f"d{number}", number, b"{}")
            ref = f"fill:{number}:1"
            store.record_capital([CapitalEntryRow(number, number, "SCALP", "HELD", -5, "FILL", ref)])
        store.record_capital([CapitalEntryRow(4, 4, "SCALP", "HELD", -6, "FILL", "fill:1:1")])  # refused: 1 stands
        store.record_fill(fill(1))
        store.record_order(order(1))
    desk = DatabaseDesk(None, tmp_path)
    assert desk.verify() == []
    with closing(sqlite3.connect(tmp_path / "db" / "paper.sqlite")) as db, db:
        db.execute("DROP TRIGGER capital_ledger_no_delete")
        db.execute("DELETE FROM capital_ledger WHERE ref_id = 'fill:2:1'")
        db.execute("DELETE FROM decisions WHERE decision_id = 'd3'")
    line, decision = desk.verify()
    assert "fill:2:1" in line
    assert "journal only" in line
    assert decision.startswith("decision d3 of run ")
