"""The spreadsheet behind the contract: what is on it is read exactly or not at all, and written as text, once."""

import asyncio
import json
import sys
from decimal import Decimal

import pytest

from qts.clock import SimClock, SystemClock
from qts.codes import UsageError
from qts.data.exceptions import (
    DeadlineExceeded,
    NotSupported,
    RowInvalid,
    SchemaMismatch,
    SourceUnavailable,
)
from qts.data.mirror import ledger_payload
from qts.data.records import JournalAck, LedgerEntry, OutboxRow
from qts.data.sheets import SchemaKeeper, SheetsMirror, read_cycle
from qts.data.sheets.layout import SHEETS, match_header

from ...sheets_samples import CONFIG_HEADER, LEDGER_HEADER, POSITION_HEADER, START_NS, make_book, sheets
from ...sheets_server import OPERATOR, SheetsServer
from .contract.samples import FROM, HYNIX, KRW, SAMSUNG, TO, fill


@pytest.fixture
def server():
    with SheetsServer() as running:
        make_book(running)
        yield running


@pytest.fixture
def runner():
    with asyncio.Runner() as running:
        yield running


@pytest.fixture
def codes():
    return []


@pytest.fixture
def adapter(server, runner, tmp_path, codes):
    made = sheets(server, tmp_path, report=lambda code, message: codes.append((code, message)))
    runner.run(made.open())
    runner.run(made.register([KRW], [SAMSUNG, HYNIX]))
    yield made
    runner.run(made.close())


def pauses(adapter):
    return adapter._client._pause.pauses


def positions(runner, adapter):
    return runner.run(adapter.fetch_positions())


# What is on the sheet


def test_a_sheet_of_the_documents_is_read_as_it_is(server, runner, adapter):
    server.fill("Position", [POSITION_HEADER, ["005930", "10", "70000.5"], ["000660", 3, 120000.25]])
    found = [(row.symbol, row.pool_id, row.qty, row.avg_price) for row in positions(runner, adapter)]
    assert found == [
        ("000660", "UNASSIGNED", 3, Decimal("120000.25")),
        ("005930", "UNASSIGNED", 10, Decimal("70000.5")),
    ]


def test_the_headers_of_existing_sheets_are_understood(server, runner, adapter, codes):
    header = [
        "Symbol",
        "Name",
        "Market",
        "Qty",
        "Avg_Price(Current_Currency)",
        "Current_Price(Current_Currency)",
        "Strategy",
    ]
    server.fill("Position", [header, ["005930", "Samsung", "KS", "10", "70,000", "71000", "EMA"]])
    (row,) = positions(runner, adapter)
    assert (row.symbol, row.qty, row.avg_price) == ("005930", 10, 70_000)
    assert [code for code, _ in codes] == ["GR106"]
    assert "Avg_Price(Current_Currency)" in codes[0][1]


def test_a_column_that_moved_is_found_and_told_once(server, runner, adapter, codes):
    rows = [["", "avg_price", "symbol", "note", "qty"], ["x", "70000", "005930", "", "10"]]
    server.fill("Position", rows)
    for _ in range(2):
        (row,) = positions(runner, adapter)
        assert (row.symbol, row.qty, row.avg_price) == ("005930", 10, 70_000)
    assert [code for code, _ in codes] == ["GR106"]
    assert "'symbol' moved from column A to C" in codes[0][1]


def test_a_blank_header_keeps_its_place(server, runner, adapter):
    server.fill("Position", [["symbol", "", "qty", "avg_price"], ["005930", "aside", "10", "70000"]])
    assert positions(runner, adapter)[0].qty == 10


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (["symbol", "quantity_x", "avg_price"], "'qty'"),
        (["symbol", "qty", "price"], "'avg_price'"),
        (["symbol", "qty", "my avg_price"], "'avg_price'"),
        (["symbol", "Symbol_", "qty"], "'avg_price'"),
        ([], "(empty)"),
    ],
)
def test_a_required_column_that_is_gone_stops_the_read(server, runner, adapter, header, told):
    server.fill("Position", [header, ["005930", "10", "70000"]])
    with pytest.raises(SchemaMismatch) as caught:
        positions(runner, adapter)
    assert caught.value.code == "FS001"
    assert "RC003" in str(caught.value)
    assert told in str(caught.value)
    assert caught.value.hint


def test_price_is_never_taken_for_avg_price_nor_the_other_way_round():
    with pytest.raises(SchemaMismatch):
        match_header(SHEETS["T_Ledger"], ["timestamp", "symbol", "side", "qty", "avg_price"])
    with pytest.raises(SchemaMismatch):
        match_header(SHEETS["Position"], ["symbol", "qty", "price"])


def test_two_headers_for_one_column_are_refused(server, runner, adapter):
    server.fill("Position", [["Symbol", "Ticker", "qty", "avg_price"], ["005930", "x", "10", "70000"]])
    with pytest.raises(SchemaMismatch, match="Ticker"):
        positions(runner, adapter)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ([5930, "10", "70000"], "plain text"),
        (["", "10", "70000"], "symbol"),
        (["005930", "", "70000"], "qty"),
        (["005930", "-10", "70000"], "qty"),
        (["005930", -10, "70000"], "qty"),
        (["005930", "10", "NaN"], "avg_price"),
        (["005930", "10", "#N/A"], "avg_price"),
        (["005930", "10", "-1"], "avg_price"),
        (["005930", "ten", "70000"], "qty"),
        (["005930", True, "70000"], "qty"),
        (["005930", "1,00", "70000"], "qty"),
        (["005930", "Infinity", "70000"], "qty"),
    ],
)
def test_one_bad_position_fails_the_read_and_says_where(server, runner, adapter, row, told):
    server.fill("Position", [POSITION_HEADER, ["000660", "3", "120000"], row])
    with pytest.raises(RowInvalid) as caught:
        positions(runner, adapter)
    assert caught.value.code == "FS010"
    assert "Position row 3" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (["2024-01-02T09:00:00+09:00", 5930, "BUY", "10", "70000"], "plain text"),
        (["2024-01-02T09:00:00+09:00", "005930", "BUY", "-10", "70000"], "qty"),
        (["2024-01-02T09:00:00+09:00", "005930", "BUY", "10", "nan"], "price"),
        (["2024-01-02T09:00:00+09:00", "005930", "BUY", "10", "0"], "price"),
        (["2024-01-02T09:00:00+09:00", "005930", "HOLD", "10", "70000"], "side"),
        (["2024-01-02T09:00:00+09:00", "005930", "", "10", "70000"], "side"),
        (["yesterday", "005930", "BUY", "10", "70000"], "timestamp"),
        ([45_293.5, "005930", "BUY", "10", "70000"], "timestamp"),
    ],
)
def test_one_bad_ledger_row_fails_the_read(server, runner, adapter, row, told):
    good = ["2024-01-02T09:00:00+09:00", "005930", "BUY", "10", "70000"]
    server.fill("T_Ledger", [LEDGER_HEADER, good, row])
    with pytest.raises(RowInvalid) as caught:
        runner.run(adapter.fetch_ledger(FROM, TO))
    assert caught.value.code == "FS010"
    assert "T_Ledger row 3" in str(caught.value)
    assert told in str(caught.value)


def test_the_same_position_or_fill_twice_fails_the_read(server, runner, adapter):
    server.fill("Position", [POSITION_HEADER, ["005930", "3", "1"], ["005930", "4", "1"]])
    with pytest.raises(RowInvalid, match="second time"):
        positions(runner, adapter)
    runner.run(adapter.ledger())
    server.fill("Position", [POSITION_HEADER])
    runner.run(adapter.apply_fill(fill(1)))
    cells = server.cells("T_Ledger")
    server.fill("T_Ledger", [*cells, cells[1]])
    with pytest.raises(RowInvalid, match="second time"):
        runner.run(adapter.fetch_ledger(FROM, TO))


def test_rows_that_nobody_gave_a_key_have_one_that_stays(server, runner, adapter):
    row = ["2024-01-02 09:00:00", "005930", "buy", "10", "70000", "700000", "105", "EMA"]
    server.fill("T_Ledger", [LEDGER_HEADER, row, row, [*row[:3], "5", *row[4:]]])
    first = list(runner.run(adapter.ledger()))
    assert len(set(first)) == 3
    server.fill("T_Ledger", [LEDGER_HEADER, row, [""], row, [*row[:3], "5", *row[4:]]])  # a blank row is none
    assert list(runner.run(adapter.ledger())) == first
    entry = next(iter(runner.run(adapter.ledger()).values()))
    assert entry.fill.timestamp.isoformat() == "2024-01-02T00:00:00+00:00"  # nine in Seoul
    assert (entry.fill.broker, entry.fill.side, entry.fill.fee) == ("SHEETS", "BUY", 105)


# Writing


def test_what_is_written_is_text_and_stays_text(server, runner, adapter):
    tricky = fill(1, reason="=1+1", strategy_tag="+5", client_order_id="'00")
    runner.run(adapter.apply_fill(tricky))
    header, row = server.cells("T_Ledger")
    cells = dict(zip(header, row, strict=False))
    assert (cells["symbol"], cells["order_id"], cells["reason"]) == ("005930", "0000000001", "=1+1")
    assert all(isinstance(cell, str) for cell in row)
    assert runner.run(adapter.fetch_ledger(FROM, TO))[0].fill == tricky
    assert server.cells("Position")[1][:3] == ["005930", "10", "70000"]


def test_the_server_would_have_spoiled_it(server):
    """The stand-in does what the real one does with typed input; otherwise the test above proves nothing."""
    book = server.book()
    assert book.prepare([["005930", "=1+1", "TRUE", "'005930"]], "USER_ENTERED") == [[5930, 2, True, "005930"]]
    assert book.prepare([["005930", "=1+1"]], "RAW") == [["005930", "=1+1"]]


def test_a_cell_that_is_too_long_is_refused_before_anything_is_written(server, runner, adapter):
    before = server.cells("T_Ledger")
    with pytest.raises(RowInvalid, match="50000 characters"):
        runner.run(adapter.apply_fill(fill(1, reason="x" * 50_001)))
    assert [row for row in server.cells("T_Ledger") if "005930" in row] == []
    assert server.cells("T_Ledger")[0][: len(before[0])] == before[0]
    assert positions(runner, adapter) == []


def test_columns_of_others_are_left_alone(server, runner, adapter):
    server.fill("Position", [["symbol", "note", "qty", "avg_price", "SECTOR"], ["005930", "mine", "0", "0", "IT"]])
    runner.run(adapter.apply_fill(fill(1, pool_id="UNASSIGNED")))
    row = server.cells("Position")[1]
    assert row[:5] == ["005930", "mine", "10", "70000", "IT"]


def test_a_blank_first_column_does_not_shift_what_is_appended(server, runner, adapter):
    server.fill("T_Ledger", [["", *LEDGER_HEADER]])
    runner.run(adapter.apply_fills([fill(1), fill(2)]))
    assert [row[2] for row in server.cells("T_Ledger")[1:]] == ["005930", "005930"]
    assert len(runner.run(adapter.fetch_ledger(FROM, TO))) == 2


def test_what_a_crash_left_between_ledger_and_position_is_made_up_for(server, runner, adapter):
    runner.run(adapter.apply_fill(fill(1)))
    before = server.cells("Position")
    runner.run(adapter.apply_fill(fill(2)))
    server.fill("Position", before)  # the second write of a fill never arrived
    result = runner.run(adapter.apply_fill(fill(2)))
    assert (result.status, result.position.qty) == ("DUPLICATE", 20)
    assert positions(runner, adapter)[0].qty == 20


def test_a_journal_position_is_kept_on_a_sheet_of_its_own(server, runner, adapter):
    assert runner.run(adapter.journal_ack("engine")) == 0
    runner.run(adapter.apply_fills([fill(1)], ack=JournalAck("engine", 7)))
    runner.run(adapter.apply_fills([], ack=JournalAck("engine", 3)))
    assert runner.run(adapter.journal_ack("engine")) == 7
    assert runner.run(adapter.journal_ack("other")) == 0


# When the server does not play along


@pytest.mark.parametrize("match", ["batchUpdate$", ":batchUpdate"])
@pytest.mark.parametrize("fault", ["lose_answer", "cut"])
def test_a_lost_answer_to_an_append_is_looked_up_not_repeated(server, runner, adapter, fault, match):
    runner.run(adapter.apply_fill(fill(1)))
    getattr(server, fault)(1, r"POST /v4/spreadsheets/book:batchUpdate")
    assert runner.run(adapter.apply_fill(fill(2))).status == "INSERTED"
    keys = [entry.fill.fill_key for entry in runner.run(adapter.fetch_ledger(FROM, TO))]
    assert keys == [fill(1).fill_key, fill(2).fill_key]


def test_an_append_that_never_gets_an_answer_is_unknown_and_found_later(server, runner, adapter):
    runner.run(adapter.apply_fill(fill(1)))
    server.lose_answer(1, r"POST /v4/spreadsheets/book:batchUpdate")
    server.fail(500, 9, "GET", after=1)
    with pytest.raises(SourceUnavailable):
        runner.run(adapter.apply_fill(fill(2)))
    server.heal()
    assert runner.run(adapter.apply_fill(fill(2))).status == "DUPLICATE"
    assert positions(runner, adapter)[0].qty == 20


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_read_is_repeated_three_times_with_growing_pauses(server, runner, adapter, status):
    server.fail(status, 3)
    assert positions(runner, adapter) == []
    assert pauses(adapter) == [1, 2, 4]
    server.fail(status, 4)
    with pytest.raises(SourceUnavailable) as caught:
        positions(runner, adapter)
    assert caught.value.code == "FS126"
    assert str(status) in str(caught.value)


def test_the_pause_that_the_server_asks_for_is_kept(server, runner, adapter):
    server.fail(429, 1, retry_after=17)
    assert positions(runner, adapter) == []
    assert pauses(adapter) == [17]


def test_a_pause_beyond_the_deadline_is_not_waited_for(server, runner, tmp_path):
    adapter = sheets(server, tmp_path, settings={"deadline_s": 10})
    runner.run(adapter.open())
    server.fail(429, 1, retry_after=30)
    with pytest.raises(DeadlineExceeded):
        positions(runner, adapter)
    assert pauses(adapter) == []
    runner.run(adapter.close())


@pytest.mark.parametrize(
    ("status", "told"), [(401, "GOOGLE_CREDENTIALS_FILE"), (403, "engine@"), (404, "GOOGLE_SHEET_KEY")]
)
def test_a_refusal_is_told_with_what_to_do_and_not_repeated(server, runner, adapter, status, told):
    server.fail(status, 4, "GET")  # tokens are renewed on 401
    before = len(server.requests)
    with pytest.raises(SourceUnavailable) as caught:
        positions(runner, adapter)
    assert told in caught.value.hint
    assert pauses(adapter) == []
    assert len(server.requests) - before <= 3


def test_a_failed_read_raises_and_is_never_an_empty_list(server, runner, adapter):
    for fault in (lambda: server.cut(99), lambda: server.fail(500, 99), lambda: server.fail(404, 99)):
        fault()
        for call in (adapter.fetch_positions, adapter.ledger, lambda: adapter.fetch_raw_data("Config_Scalp")):
            with pytest.raises(SourceUnavailable):
                runner.run(call())
        server.heal()


def test_a_spreadsheet_that_is_not_there_cannot_be_opened(server, runner, tmp_path):
    with pytest.raises(SourceUnavailable, match="404"):
        runner.run(sheets(server, tmp_path, key="other").open())


def test_a_sheet_that_is_missing_is_named(server, runner, tmp_path):
    del server.book().sheets["T_Ledger"]
    with pytest.raises(SchemaMismatch, match="T_Ledger"):
        runner.run(sheets(server, tmp_path).open())


def test_a_key_file_that_is_none_is_refused(server, runner, tmp_path):
    adapter = sheets(server, tmp_path)
    (tmp_path / "engine.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UsageError, match="service account"):
        runner.run(adapter.open())


def test_requests_stay_within_the_quota(server, runner, tmp_path):
    server.quota_per_min = 1_000  # the stand-in lives in another time: only the number is looked at
    adapter = sheets(server, tmp_path, settings={"quota_per_min": 5})
    runner.run(adapter.open())
    for _ in range(8):
        positions(runner, adapter)
    assert sum(pauses(adapter)) >= 60
    assert len(pauses(adapter)) == 1
    runner.run(adapter.close())


# Other sheets


def test_every_sheet_has_its_raw_contract(server, runner, adapter, tmp_path):
    local = tmp_path / "config_local.json"
    limits = {
        "max_exposure_pct": 0.8,
        "max_symbol_exposure_pct": "0.2",
        "daily_loss_limit_pct": 0.05,
        "max_trade_qty": 100,
    }
    rows = [{"category": "RISK", "subcategory": "", "key": key, "value": value} for key, value in limits.items()]
    local.write_text(json.dumps(rows), encoding="utf-8")
    adapter._config_local = local
    server.fill("Config_Scalp", [CONFIG_HEADER, ["A", "B", "ema_fast", "012", "fast", "TUNABLE"]])
    server.fill("Portfolio", [["KPI"], ["a", "b"], [1, 2]])
    for name in [*SHEETS, "Config_Local"]:
        contract = runner.run(adapter.fetch_raw_data(name))
        assert (contract.sheet, contract.schema_version) == (name, "1.0")
    config = runner.run(adapter.fetch_raw_data("Config_Scalp"))
    assert config.rows == [
        {
            "category": "A",
            "sub_category": "B",
            "key": "ema_fast",
            "value": "012",
            "description": "fast",
            "tag": "TUNABLE",
        }
    ]
    limits = runner.run(adapter.get_risk_limits())
    assert limits == (Decimal("0.8"), Decimal("0.2"), Decimal("0.05"), Decimal(100))
    with pytest.raises(SchemaMismatch):
        runner.run(adapter.fetch_raw_data("Nowhere"))


def test_a_key_that_stands_twice_on_a_configuration_sheet_is_refused(server, runner, adapter):
    server.fill("Config_Scalp", [CONFIG_HEADER, ["A", "B", "k", "1"], ["A", "B", "K", "2"]])
    with pytest.raises(RowInvalid, match="second time"):
        runner.run(adapter.read("config"))


@pytest.mark.parametrize(
    "content", ["", "{}", '[{"key": "a"}]', '[{"key": "a", "value": 1}, {"key": "A", "value": 2}]']
)
def test_a_broken_local_configuration_is_refused(runner, adapter, tmp_path, content):
    adapter._config_local = tmp_path / "config_local.json"
    with pytest.raises(SourceUnavailable):
        runner.run(adapter.get_risk_limits())
    adapter._config_local.write_text(content, encoding="utf-8")
    with pytest.raises(RowInvalid):
        runner.run(adapter.get_risk_limits())


def test_parameters_are_written_and_read_as_text(server, runner, adapter):
    row = {"strategy_id": "ema", "param_name": "fast", "value": "=1+1"}
    assert runner.run(adapter.write("strategies", row)) is True
    assert runner.run(adapter.write("strategies", row)) is False
    assert runner.run(adapter.read("strategies"))[0]["value"] == "=1+1"
    with pytest.raises(NotSupported):
        runner.run(adapter.write("positions", {}))
    with pytest.raises(NotSupported):
        runner.run(adapter.read("orders"))


def test_a_dashboard_is_shown_as_text_and_what_was_there_before_goes(server, runner, adapter):
    runner.run(
        adapter.write_block("Portfolio", "kpi_overview", [["equity", "mdd", "old"], [Decimal("1e3"), "=1+1", 1]])
    )
    runner.run(adapter.write_block("Portfolio", "kpi_overview", [["equity", "mdd"], [Decimal("1e3"), "=1+1"]]))
    shown = {row["block"]: row["cells"] for row in runner.run(adapter.fetch_raw_data("Portfolio")).rows}
    assert shown["kpi_overview"] == [["equity", "mdd"], ["1000", "=1+1"]]
    with pytest.raises(RowInvalid, match="2 rows of 18 cells"):
        runner.run(adapter.write_block("Portfolio", "kpi_overview", [["x"]] * 3))
    for wrong in (("Portfolio", "nowhere"), ("Position", "kpi")):
        with pytest.raises(SchemaMismatch):
            runner.run(adapter.write_block(*wrong, []))


# Structure on record


def test_a_structure_is_recorded_bumped_and_backed_up(server, runner, tmp_path):
    path = tmp_path / "schema" / "schema.json"

    def opened():
        adapter = sheets(server, tmp_path, schema=SchemaKeeper(path, SimClock(START_NS)))
        try:
            runner.run(adapter.open())
            return adapter._schema.version
        finally:
            runner.run(adapter.close())

    assert opened() == "1.0"
    first = path.read_bytes()
    assert opened() == "1.0"
    assert path.read_bytes() == first
    server.fill("Position", [["qty", "symbol", "avg_price", *POSITION_HEADER[3:], "pool_id"]])
    assert opened() == "1.1"
    (backup,) = path.parent.glob("schema.1.0.*.json")
    assert backup.read_bytes() == first
    log = path.with_suffix(".log").read_text(encoding="utf-8").splitlines()
    assert len(log) == 2
    assert "FIELD_MOVED Position.symbol" in log[1]
    assert "FIELD_ADDED Position.pool_id" in log[1]
    second = path.read_bytes()
    server.fill("Position", [["Qty", "symbol", "avg_price"]])
    with pytest.raises(SchemaMismatch, match=r"FIELD_REMOVED Position\.market"):
        opened()
    assert path.read_bytes() == second
    adapter = sheets(server, tmp_path)
    runner.run(adapter.open())
    keeper = SchemaKeeper(path, SimClock(START_NS))
    kinds = {diff.kind for diff in keeper.accept(adapter.book.layouts)}
    runner.run(adapter.close())
    assert keeper.version == "2.0"
    assert kinds == {"FIELD_REMOVED", "STRUCT_CHANGED"}


def test_a_damaged_record_of_the_structure_is_refused(tmp_path):
    path = tmp_path / "schema.json"
    for content in ("", "{}", '{"schema_version": "1.0", "fingerprint": "0", "sheets": {}}'):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(SchemaMismatch, match="backup"):
            SchemaKeeper(path, SimClock(START_NS))


# The mirror


def outbox_row(seq, data_set, payload, key="k"):
    return OutboxRow(seq, data_set, key, "UPSERT", payload, FROM, 0)


def position_payload(version, qty, **changes):
    row = {"account_id": "main", "pool_id": "SCALP", "symbol": "005930", "qty": qty, "avg_price": "1"}
    return {**row, "version": version, "last_fill_key": "x", **changes}


def test_an_older_position_never_replaces_a_newer_one(server, runner, adapter):
    mirror = SheetsMirror(adapter)
    for batch in ([(3, "30"), (2, "20")], [(1, "10")]):
        rows = [outbox_row(seq, "Position", position_payload(version, qty)) for seq, (version, qty) in enumerate(batch)]
        assert runner.run(mirror.apply(rows)) == {}
        assert positions(runner, adapter)[0].qty == 30


def test_a_row_that_no_sheet_takes_is_named_and_the_others_go_in(server, runner, adapter):
    mirror = SheetsMirror(adapter)
    rows = [
        outbox_row(1, "Position", position_payload(1, "10", currency="x" * 50_001)),
        outbox_row(2, "Position", position_payload(1, "10", symbol="000660")),
        outbox_row(3, "Nowhere", {}),
        outbox_row(4, "T_Ledger", {"fill_key": "k"}),
    ]
    refused = runner.run(mirror.apply(rows))
    assert set(refused) == {1, 3, 4}
    assert [row.symbol for row in positions(runner, adapter)] == ["000660"]


def test_a_protected_sheet_takes_writes_of_the_engine_only(server, runner, adapter, tmp_path):
    runner.run(adapter.book.protect(["Position", "T_Ledger"], "view"))
    runner.run(adapter.book.protect(["Position", "T_Ledger"], "view"))
    assert len(server.book().sheets["Position"].protected) == 1
    assert runner.run(adapter.apply_fill(fill(1))).status == "INSERTED"
    person = sheets(server, tmp_path)
    person._client._settings = person._client._settings._replace(
        credentials_file=server.credentials(tmp_path, OPERATOR)
    )
    runner.run(person.open())
    runner.run(person.register([KRW], [SAMSUNG]))
    with pytest.raises(SourceUnavailable, match="protected"):
        runner.run(person.apply_fill(fill(2)))
    runner.run(adapter.book.unprotect(["Position", "T_Ledger"], "view"))
    assert runner.run(person.apply_fill(fill(2))).status == "INSERTED"
    runner.run(person.close())


# A cycle


def test_a_cycle_reads_everything_at_once(server, runner, adapter):
    server.fill("Position", [POSITION_HEADER, ["005930", "10", "70000"]])
    server.fill("Strategy", [["param_name", "value", "description"], ["fast", "12", ""]])
    before = len(server.requests)
    cycle = runner.run(read_cycle(adapter))
    assert len(server.requests) - before == 1
    assert [row.symbol for row in cycle.positions] == ["005930"]
    assert cycle.strategies[0]["value"] == "12"
    assert set(cycle.raw) == {"Position", "Strategy", "Config_Scalp", "Config_Swing"}


@pytest.mark.slow
def test_a_cycle_with_a_fill_takes_less_than_three_seconds_on_average(runner, tmp_path, capsys):
    with SheetsServer(seed=5) as server:
        make_book(server)
        clock = SystemClock()
        adapter = sheets(server, tmp_path, clock=clock)
        runner.run(adapter.open())
        runner.run(adapter.register([KRW], [SAMSUNG, HYNIX]))
        runner.run(adapter.apply_fill(fill(1)))
        server.latency_ms = (100, 500)
        times = []
        for number in range(2, 8):
            start = clock.monotonic_ns()
            runner.run(read_cycle(adapter))
            runner.run(adapter.apply_fill(fill(number)))
            times.append((clock.monotonic_ns() - start) / 1e9)
        runner.run(adapter.close())
    mean = sum(times) / len(times)
    with capsys.disabled():
        sys.stdout.write(
            f"\nETEDA cycle on the stand-in, 100-500 ms a request: mean {mean:.2f} s, longest {max(times):.2f} s\n"
        )
    assert mean < 3


def ledger_row(number):
    entry = LedgerEntry(entry_type="FILL", fill=fill(number))
    return outbox_row(number, "T_Ledger", ledger_payload(entry), entry.fill.fill_key)


def test_a_sheet_that_was_put_back_from_a_copy_takes_rows_again(server, runner, adapter):
    """A copy under the old name is another sheet to the server; no row may count as refused for that."""
    mirror = SheetsMirror(adapter)
    assert runner.run(mirror.apply([ledger_row(1)])) == {}
    book = server.book()
    with server.lock:
        copied = book.sheets.pop("T_Ledger").cells
    server.fill("T_Ledger", copied)
    assert runner.run(mirror.apply([ledger_row(2)])) == {}
    keys = [row[copied[0].index("fill_key")] for row in server.cells("T_Ledger")[1:]]
    assert len(keys) == len(set(keys)) == 2


def test_protection_that_others_put_on_a_sheet_neither_stands_for_the_engines_nor_goes_with_it(server, runner, adapter):
    own = {"description": "mine", "warningOnly": True, "range": {"sheetId": server.book().sheets["Position"].sheet_id}}
    server.book().change([{"addProtectedRange": {"protectedRange": own}}], OPERATOR)
    runner.run(adapter.book.protect(["Position"], "view"))
    sheet = server.book().sheets["Position"]
    assert sorted(one["description"] for one in sheet.protected.values()) == ["mine", "view"]
    runner.run(adapter.book.unprotect(["Position"], "view"))
    assert [one["description"] for one in sheet.protected.values()] == ["mine"]
