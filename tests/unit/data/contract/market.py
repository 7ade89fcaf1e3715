"""Contract of bars, ticks and the lines about executions."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from qts.data.exceptions import NotSupported, RowInvalid, SourceUnavailable
from qts.data.records import ExecutionLog, Tick

from .samples import FROM, NINE_NS, TO, bar, minute
from .subject import Known

WRONG_RANGES = [
    (None, TO),
    (FROM, None),
    (FROM.replace(tzinfo=None), TO),
    (TO, FROM),
    (datetime.min.replace(tzinfo=FROM.tzinfo), TO),
    (FROM, datetime.max.replace(tzinfo=FROM.tzinfo)),
]


class TestBars(Known):
    @pytest.fixture(autouse=True)
    def _able(self, subject):
        subject.need("daily_bars")

    def _fetch(self, subject, symbol="005930", start=FROM, end=TO, interval="1d"):
        return subject.run(subject.adapter.fetch_ohlcv(symbol, start, end, interval))

    def test_no_bars_are_none(self, subject):
        assert self._fetch(subject) == []
        assert subject.run(subject.adapter.store_ohlcv([])) == 0

    def test_bars_come_back_in_order_as_they_were_given(self, subject):
        given = [bar(3), bar(1, 69_000), bar(2), bar(2, 120_000, "000660")]
        assert subject.run(subject.adapter.store_ohlcv(given)) == 4
        assert self._fetch(subject) == [bar(1, 69_000), bar(2), bar(3)]
        assert self._fetch(subject, "000660") == [bar(2, 120_000, "000660")]
        assert self._fetch(subject, "5930") == []

    def test_a_range_takes_its_start_and_leaves_its_end(self, subject):
        subject.run(subject.adapter.store_ohlcv([bar(day) for day in range(1, 6)]))
        found = self._fetch(subject, start=bar(2).time, end=bar(4).time)
        assert [one.trade_date.day for one in found] == [2, 3]

    def test_the_same_bar_again_is_nothing_new_and_a_changed_one_is_a_revision(self, subject):
        subject.run(subject.adapter.store_ohlcv([bar(1), bar(2)]))
        assert subject.run(subject.adapter.store_ohlcv([bar(1), bar(2)])) == 0
        assert subject.run(subject.adapter.store_ohlcv([bar(1), bar(2, 70_500), bar(3)])) == 2
        assert self._fetch(subject) == [bar(1), bar(2, 70_500), bar(3)]
        if subject.tables:
            assert [self._revision(subject, day) - self._revision(subject, 1) for day in (1, 2, 3)] == [0, 1, 0]

    def _revision(self, subject, day):
        (row,) = subject.run(subject.adapter.read("ohlcv_1d", {"symbol": "005930", "time": bar(day).time}))
        return row["revision"]

    def test_eight_decimals_are_kept(self, subject):
        fine = bar(1, Decimal("70000.12345678"))
        subject.run(subject.adapter.store_ohlcv([fine]))
        assert self._fetch(subject) == [fine]

    def test_the_last_of_two_bars_of_a_day_in_one_batch_wins(self, subject):
        subject.run(subject.adapter.store_ohlcv([bar(1), bar(1, 71_000)]))
        assert self._fetch(subject) == [bar(1, 71_000)]

    @pytest.mark.parametrize(("start", "end"), WRONG_RANGES)
    def test_a_range_without_ends_is_refused(self, subject, start, end):
        with pytest.raises(RowInvalid):
            self._fetch(subject, start=start, end=end)

    def test_another_interval_is_not_supported(self, subject):
        with pytest.raises(NotSupported):
            self._fetch(subject, interval="5m")
        with pytest.raises(NotSupported):
            subject.run(subject.adapter.store_ohlcv([bar(1)], "5m"))

    def test_a_daily_bar_that_is_not_of_midnight_is_refused_with_its_batch(self, subject):
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.store_ohlcv([bar(1), bar(2, time=bar(2).time + timedelta(hours=1))]))
        assert self._fetch(subject) == []

    @pytest.mark.parametrize(
        "changes",
        [{"high": Decimal(1)}, {"low": Decimal("NaN")}, {"close": Decimal(0)}, {"volume": -1}, {"volume": 1.5}],
        ids=str,
    )
    def test_a_bar_that_cannot_be_one_is_none(self, subject, changes):
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.store_ohlcv([bar(1), bar(2, **changes)]))
        assert self._fetch(subject) == []

    def test_average_volume_is_that_of_the_last_days_or_unknown(self, subject):
        average = subject.adapter.get_avg_daily_volume
        assert subject.run(average("005930", 3)) is None
        subject.run(subject.adapter.store_ohlcv([bar(day, volume=volume) for day, volume in ((2, 10), (1, 900))]))
        assert subject.run(average("005930", 3)) is None
        subject.run(subject.adapter.store_ohlcv([bar(4, volume=20), bar(3, volume=15), bar(4, 1_000, "000660")]))
        assert subject.run(average("005930", 3)) == 15
        assert subject.run(average("005930", 2)) == Decimal("17.5")
        with pytest.raises(RowInvalid):
            subject.run(average("005930", 0))

    def test_bars_of_a_minute_are_kept_apart(self, subject):
        subject.need("minute_bars")
        given = [minute(2), minute(0), minute(1)]
        assert subject.run(subject.adapter.store_ohlcv(given, "1m")) == 3
        assert subject.run(subject.adapter.store_ohlcv([minute(0)], "1m")) == 0
        found = self._fetch(subject, interval="1m")
        assert [(one.time, one.close, one.volume) for one in found] == [
            (minute(n).time, minute(n).close, 1_000) for n in range(3)
        ]
        assert self._fetch(subject) == []


class TestTicks(Known):
    def _fetch(self, subject, start=FROM, end=TO, limit=None):
        async def collect():
            return [tick async for tick in subject.adapter.fetch_tick_data("005930", start, end, limit)]

        return subject.run(collect())

    def test_without_ticks_a_request_for_them_is_not_supported_not_empty(self, subject):
        if subject.adapter.capabilities.ticks:
            pytest.skip("this source has ticks")
        with pytest.raises(NotSupported):
            self._fetch(subject)

    @pytest.mark.parametrize(("start", "end"), WRONG_RANGES)
    def test_a_range_without_ends_is_refused(self, subject, start, end):
        subject.need("ticks")
        with pytest.raises(RowInvalid):
            self._fetch(subject, start, end)

    def test_ticks_come_in_order_of_time_and_sequence(self, subject):
        subject.need("ticks", "tick_writer")
        ticks = [tick(2, 5), tick(1, 2), tick(1, 1), tick(3, 1)]
        subject.run(subject.tick_writer(ticks))
        assert self._fetch(subject) == [tick(1, 1), tick(1, 2), tick(2, 5), tick(3, 1)]
        assert self._fetch(subject, limit=2) == [tick(1, 1), tick(1, 2)]
        assert self._fetch(subject, tick(2, 0).time, tick(3, 0).time) == [tick(2, 5)]


def tick(second: int, seq: int) -> Tick:
    event_ns = NINE_NS + second * 1_000_000_000
    return Tick(
        time=FROM + timedelta(days=1, seconds=second, microseconds=123_456),
        symbol="005930",
        kind="T",
        price=Decimal(70_000 + seq),
        volume=seq,
        side="BUY",
        bid=None,
        bid_qty=None,
        ask=None,
        ask_qty=None,
        source="krx",
        seq=seq,
        event_ns=event_ns,
        recv_ns=event_ns + 5,
    )


class TestExecutionLogs(Known):
    @pytest.fixture(autouse=True)
    def _able(self, subject):
        subject.need("logs")

    def _line(self, number, **changes):
        line = ExecutionLog(
            FROM + timedelta(microseconds=number), "0001", "005930", "PRECHECK", Decimal("0.125"), True, None, "t-1"
        )
        return line._replace(**changes)

    def test_lines_come_back_in_order(self, subject):
        lines = [
            self._line(2, stage="SENDING", success=False, error_code="EGW00201", latency_ms=None),
            self._line(1),
            self._line(3, order_id="1"),
        ]
        subject.run(subject.adapter.store_execution_log(lines))
        assert subject.run(subject.adapter.fetch_execution_logs("0001", FROM, TO)) == [lines[1], lines[0]]
        assert subject.run(subject.adapter.fetch_execution_logs("2", FROM, TO)) == []
        later = FROM + timedelta(microseconds=2)
        assert subject.run(subject.adapter.fetch_execution_logs("0001", FROM, later)) == [lines[1]]

    def test_a_line_that_cannot_be_written_never_raises(self, subject):
        lines = [self._line(1), self._line(2, latency_ms="fast"), self._line(3, stage=None)]
        subject.run(subject.adapter.store_execution_log(lines))
        subject.run(subject.adapter.close())
        subject.run(subject.adapter.store_execution_log([self._line(4)]))
        with pytest.raises(SourceUnavailable):
            subject.run(subject.adapter.fetch_execution_logs("0001", FROM, TO))

    @pytest.mark.parametrize(("start", "end"), WRONG_RANGES)
    def test_a_range_without_ends_is_refused(self, subject, start, end):
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.fetch_execution_logs("0001", start, end))
