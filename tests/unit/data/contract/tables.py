"""Contract of parameters and tables: an allow-list, typed columns, all or nothing."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from qts.data.exceptions import AdapterError, RowInvalid

from .samples import DAY, bar, fill, parameter
from .subject import Known

LIMITS = {
    "max_exposure_pct": Decimal("0.8"),
    "max_symbol_exposure_pct": Decimal("0.2"),
    "daily_loss_limit": Decimal("0.05"),
    "max_trade_qty": Decimal("1000.00000001"),
}


def limit_rows(values=LIMITS):
    return [{"config_key": key, "value": value, "description": f"the {key}"} for key, value in values.items()]


def dividend(**changes):
    row = {
        "symbol": "005930",
        "ex_date": date(2024, 3, 27),
        "record_date": date(2024, 3, 28),
        "pay_date": date(2024, 4, 19),
        "amount": Decimal("361.00000001"),
        "currency": "KRW",
        "source": "file",
        "meta": {"회차": [1, 2], "note": None},
    }
    return {**row, **changes}


class TestTables(Known):
    @pytest.fixture(autouse=True)
    def _able(self, subject):
        subject.need("tables")

    def test_an_empty_table_is_empty(self, subject):
        assert subject.run(subject.adapter.read("strategies")) == []
        assert subject.run(subject.adapter.read("dividends", {"symbol": "005930"})) == []
        assert subject.run(subject.adapter.batch_write("strategies", [])) == 0

    def test_a_row_is_inserted_replaced_and_left_alone(self, subject):
        write = subject.adapter.write
        assert subject.run(write("strategies", parameter("fast", "12"))) is True
        assert subject.run(write("strategies", parameter("fast", "12"))) is False
        assert subject.run(write("strategies", parameter("fast", "0012", description="bars"))) is True
        (row,) = subject.run(subject.adapter.read("strategies"))
        assert (row["strategy_id"], row["param_name"], row["value"]) == ("ema_cross", "fast", "0012")
        assert row["description"] == "bars"
        assert isinstance(row["updated_at"], datetime)
        assert row["updated_at"].utcoffset() is not None

    def test_rows_come_by_primary_key_and_as_many_as_asked_for(self, subject):
        rows = [parameter("slow", "26"), parameter("fast", "12"), parameter("fast", "5", strategy_id="alpha")]
        assert subject.run(subject.adapter.batch_write("strategies", rows)) == 3
        found = subject.run(subject.adapter.read("strategies"))
        assert [(row["strategy_id"], row["param_name"]) for row in found] == [
            ("alpha", "fast"),
            ("ema_cross", "fast"),
            ("ema_cross", "slow"),
        ]
        found = subject.run(subject.adapter.read("strategies", {"param_name": "fast"}, limit=1))
        assert [row["strategy_id"] for row in found] == ["alpha"]
        assert subject.run(subject.adapter.read("strategies", {"strategy_id": "ema_cross", "value": "12"}))

    def test_every_type_comes_back_as_it_was_given(self, subject):
        assert subject.run(subject.adapter.write("dividends", dividend())) is True
        (row,) = subject.run(subject.adapter.read("dividends", {"symbol": "005930", "record_date": date(2024, 3, 28)}))
        assert {name: row[name] for name in dividend()} == dividend()
        assert [type(row[name]) for name in ("symbol", "record_date", "amount", "meta")] == [str, date, Decimal, dict]
        assert subject.run(subject.adapter.write("dividends", dividend())) is False

    def test_text_that_looks_like_something_else_stays_text(self, subject):
        for value in ("=1+1", "0005930", "1e5", "true", "'; DROP TABLE strategies; --", "한글", ""):
            subject.run(subject.adapter.write("strategies", parameter("p", value)))
            (row,) = subject.run(subject.adapter.read("strategies"))
            assert row["value"] == value

    @pytest.mark.parametrize("table", ["sqlite_master", "pg_class", "no_such_table", "strategies; --", "", 7])
    def test_a_table_that_is_not_on_the_list_is_refused(self, subject, table):
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.read(table))
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.write(table, parameter("fast", "12")))

    @pytest.mark.parametrize(
        ("table", "row"),
        [
            ("strategies", parameter("fast", "12", colour="red")),
            ("strategies", {"strategy_id": "ema_cross", "param_name": "fast"}),
            ("strategies", {"strategy_id": "ema_cross", "value": "12"}),
            ("strategies", parameter("fast", 12)),
            ("strategies", parameter("fast", None)),
            ("strategies", parameter("f" * 101, "12")),
            ("dividends", dividend(amount=361.0)),
            ("dividends", dividend(amount="361")),
            ("dividends", dividend(amount=Decimal("NaN"))),
            ("dividends", dividend(amount=Decimal("0.000000001"))),
            ("dividends", dividend(record_date="2024-03-28")),
            ("dividends", dividend(record_date=datetime(2024, 3, 28, tzinfo=UTC))),
            ("dividends", dividend(symbol=5930)),
            ("risk_configs", {"config_key": "max_trade_qty", "value": Decimal("Infinity")}),
            ("risk_configs", {"config_key": "max_trade_qty", "value": 5}),
        ],
        ids=str,
    )
    def test_a_row_that_breaks_the_rules_is_refused_with_its_batch(self, subject, table, row):
        good = {
            "strategies": parameter("a", "1"),
            "dividends": dividend(symbol="000660"),
            "risk_configs": limit_rows()[0],
        }
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.write(table, row))
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.batch_write(table, [good[table], row]))
        assert subject.run(subject.adapter.read(table)) == []

    def test_an_unknown_column_or_wrong_type_in_a_question_is_refused(self, subject):
        for where in ({"colour": "red"}, {"value": 12}, {"value; --": "12"}):
            with pytest.raises(RowInvalid):
                subject.run(subject.adapter.read("strategies", where))
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.read("strategies", limit=0))

    def test_a_null_can_be_asked_for(self, subject):
        subject.run(
            subject.adapter.batch_write("strategies", [parameter("a", "1"), parameter("b", "2", description="x")])
        )
        (row,) = subject.run(subject.adapter.read("strategies", {"description": None}))
        assert row["param_name"] == "a"

    @pytest.mark.parametrize("table", ["t_ledger", "positions", "capital_ledger", "audit_log", "schema_version"])
    def test_the_books_are_not_written_to_by_hand(self, subject, table):
        """Positions follow from fills; what is append-only is written by what knows its chain or its cause."""
        subject.run(subject.adapter.apply_fill(fill(1)))
        with pytest.raises(AdapterError):
            subject.run(subject.adapter.write(table, {"account_id": "main", "symbol": "005930", "qty": Decimal(99)}))
        assert subject.run(subject.adapter.get_position("005930", "SCALP")).qty == 10

    def test_what_is_append_only_takes_a_row_once_and_no_other_under_its_key(self, subject):
        given = {"decision_id": "D1", "created_at": bar(1).time, "pipeline_step": "Decide", "action": "BUY"}
        given |= {"strategy_name": "ema_cross", "risk_approved": True, "portfolio_adjusted": False}
        assert subject.run(subject.adapter.write("decisions", given)) is True
        assert subject.run(subject.adapter.write("decisions", given)) is False
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.write("decisions", {**given, "action": "SELL"}))
        (row,) = subject.run(subject.adapter.read("decisions"))
        assert (row["action"], row["risk_approved"]) == ("BUY", True)

    @pytest.mark.parametrize("table", ["execution_logs", "ohlcv_1d"])
    def test_a_table_that_grows_with_time_is_not_read_without_a_moment(self, subject, table):
        for where, limit in ((None, None), (None, 10), ({"symbol": "005930"}, 10)):
            with pytest.raises(AdapterError):
                subject.run(subject.adapter.read(table, where, limit=limit))
        assert subject.run(subject.adapter.read(table, {"symbol": "005930", "time": bar(1).time})) == []

    def test_books_can_be_read_as_tables(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1)))
        subject.run(subject.adapter.store_ohlcv([bar(1)]))
        (row,) = subject.run(subject.adapter.read("t_ledger", {"symbol": "005930"}))
        assert (row["fill_key"], row["qty"], row["trade_date"]) == (fill(1).fill_key, Decimal(10), DAY)
        assert (row["timestamp"], row["order_id"], row["pool_id"]) == (fill(1).timestamp, "0000000001", "SCALP")
        (row,) = subject.run(subject.adapter.read("positions"))
        assert (row["symbol"], row["qty"], row["avg_price"]) == ("005930", Decimal(10), Decimal(70_000))
        (row,) = subject.run(subject.adapter.read("ohlcv_1d", {"symbol": "005930", "time": bar(1).time}))
        assert (row["time"], row["close"], row["volume"]) == (bar(1).time, Decimal(70_000), 1_000)


class TestRiskLimits(Known):
    @pytest.fixture(autouse=True)
    def _able(self, subject):
        subject.need("tables")

    def test_limits_are_all_there_or_it_is_an_error(self, subject):
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.get_risk_limits())
        subject.run(subject.adapter.batch_write("risk_configs", limit_rows()[:3]))
        with pytest.raises(RowInvalid, match="max_trade_qty"):
            subject.run(subject.adapter.get_risk_limits())
        subject.run(subject.adapter.batch_write("risk_configs", limit_rows()))
        assert subject.run(subject.adapter.get_risk_limits())._asdict() == LIMITS


class TestRawData(Known):
    def test_positions_as_a_sheet(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1)))
        raw = subject.run(subject.adapter.fetch_raw_data("Position"))
        assert raw.sheet == "Position"
        assert raw.schema_version
        assert {"symbol", "qty", "avg_price"} <= set(raw.columns)
        (row,) = raw.rows
        assert set(row) == set(raw.columns)
        assert row["symbol"] == "005930"
        assert (Decimal(str(row["qty"])), Decimal(str(row["avg_price"]))) == (10, 70_000)

    def test_the_ledger_as_a_sheet(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1)))
        raw = subject.run(subject.adapter.fetch_raw_data("T_Ledger"))
        (row,) = raw.rows
        assert (row["symbol"], row["side"], row["fill_key"]) == ("005930", "BUY", fill(1).fill_key)
        assert Decimal(str(row["price"])) == 70_000

    def test_nothing_is_no_rows(self, subject):
        assert subject.run(subject.adapter.fetch_raw_data("Position")).rows == []

    def test_a_sheet_that_nobody_knows_is_an_error(self, subject):
        with pytest.raises(AdapterError):
            subject.run(subject.adapter.fetch_raw_data("Positoin"))
