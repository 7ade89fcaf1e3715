"""Contract of the ledger: each fill once, durable with its position, never changed."""

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from qts.clock.instants import from_ns
from qts.codes import UsageError
from qts.data.exceptions import DataConsistencyError, FillConflict, RowInvalid
from qts.data.records import JournalAck, LedgerEntry

from .samples import FROM, KRW, NINE_NS, SAMSUNG, TO, coin, coin_fill, fill, full_fill
from .subject import Known, Subject


def ledger(subject: Subject, account_id: str = "main") -> list[LedgerEntry]:
    return subject.run(subject.adapter.fetch_ledger(FROM, TO, account_id=account_id))


def keys(subject: Subject) -> list[str]:
    return [entry.fill.fill_key for entry in ledger(subject)]


class TestLedger(Known):
    def test_an_empty_ledger_is_empty_not_an_error(self, subject):
        assert ledger(subject) == []
        assert subject.run(subject.adapter.fetch_fills("1")) == []
        assert subject.run(subject.adapter.fetch_positions()) == []
        assert subject.run(subject.adapter.get_position("005930", "SCALP")) is None
        assert subject.run(subject.adapter.get_position("005930")) is None

    @pytest.mark.parametrize("make", [fill, full_fill])
    def test_a_fill_comes_back_as_it_was_given(self, subject, make):
        given = make(7)
        result = subject.run(subject.adapter.apply_fill(given))
        assert result.status == "INSERTED"
        (entry,) = ledger(subject)
        assert (entry.entry_type, entry.realized_pnl, entry.reverses_key) == ("FILL", None, None)
        assert replace(entry.fill, raw=None) == replace(given, raw=None)
        assert (entry.fill.raw is None) == (given.raw is None)
        assert entry.fill.raw is None or json.loads(entry.fill.raw) == json.loads(given.raw)

    def test_a_symbol_stays_text(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1)))
        subject.run(subject.adapter.apply_fill(fill(2, symbol="000660")))
        symbols = [position.symbol for position in subject.run(subject.adapter.fetch_positions())]
        assert symbols == ["000660", "005930"]
        assert [entry.fill.symbol for entry in ledger(subject)] == ["005930", "000660"]
        assert subject.run(subject.adapter.get_position("5930", "SCALP")) is None

    def test_nothing_of_eight_decimals_or_a_nanosecond_is_lost(self, subject):
        currency, instrument = coin(subject.money_decimals)
        subject.run(subject.adapter.register([currency], [instrument]))
        given = [
            coin_fill(1, subject.money_decimals, "12.34567891", "0.00000003"),
            coin_fill(2, subject.money_decimals, "0.00000001", "99999.99999999"),
            coin_fill(3, subject.money_decimals, "3.00000007", "43123.12345678", ts_exec_ns=NINE_NS + 1),
        ]
        results = [subject.run(subject.adapter.apply_fill(one)) for one in given]
        assert [entry.fill for entry in ledger(subject)] == given
        assert results[-1].position.qty == Decimal("15.34567899")
        assert results[-1].position.cost_total == sum(one.amount for one in given)
        assert results[-1].position.opened_at == from_ns(given[0].ts_recv_ns)

    def test_rows_come_in_the_order_of_booking_whatever_their_times(self, subject):
        numbers = [3, 1, 2]
        for number in numbers:
            subject.run(subject.adapter.apply_fill(fill(number)))
        assert keys(subject) == [fill(number).fill_key for number in numbers]

    def test_a_range_takes_its_start_and_leaves_its_end(self, subject):
        moments = [NINE_NS // 1_000 * 1_000 + second * 1_000_000_000 for second in range(3)]
        for number, moment in enumerate(moments, start=1):
            subject.run(subject.adapter.apply_fill(fill(number, ts_exec_ns=moment)))
        found = subject.run(subject.adapter.fetch_ledger(from_ns(moments[0]), from_ns(moments[2])))
        assert [entry.fill.order_id for entry in found] == ["0000000001", "0000000002"]
        nothing = subject.run(subject.adapter.fetch_ledger(from_ns(moments[1]), from_ns(moments[1])))
        assert nothing == []

    def test_symbol_and_account_select(self, subject):
        subject.run(
            subject.adapter.apply_fills([fill(1), fill(2, symbol="000660"), fill(3, account_id="other")])
            if subject.adapter.capabilities.transactions
            else _one_by_one(subject.adapter, [fill(1), fill(2, symbol="000660"), fill(3, account_id="other")])
        )
        found = subject.run(subject.adapter.fetch_ledger(FROM, TO, symbol="000660"))
        assert [entry.fill.order_id for entry in found] == ["0000000002"]
        assert [entry.fill.order_id for entry in ledger(subject, "other")] == ["0000000003"]
        assert [position.symbol for position in subject.run(subject.adapter.fetch_positions("other"))] == ["005930"]

    def test_fills_of_an_order(self, subject):
        parts = [fill(1, exec_ref="cum=4", qty=4), fill(1, exec_ref="cum=10", qty=6), fill(2)]
        for part in parts:
            subject.run(subject.adapter.apply_fill(part))
        found = subject.run(subject.adapter.fetch_fills("0000000001"))
        assert [entry.fill.qty for entry in found] == [4, 6]
        assert subject.run(subject.adapter.fetch_fills("1")) == []  # an order number is text as well

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (None, TO),
            (FROM, None),
            (FROM.replace(tzinfo=None), TO),
            (TO, FROM),
            (datetime.min.replace(tzinfo=FROM.tzinfo), TO),
            (FROM, datetime.max.replace(tzinfo=FROM.tzinfo)),
        ],
    )
    def test_a_range_without_ends_is_refused(self, subject, start, end):
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.fetch_ledger(start, end))


class TestOnce(Known):
    def test_the_same_fill_again_and_again_changes_nothing(self, subject):
        statuses = [subject.run(subject.adapter.apply_fill(fill(1))).status for _ in range(subject.repeats)]
        assert statuses == ["INSERTED"] + ["DUPLICATE"] * (subject.repeats - 1)
        assert keys(subject) == [fill(1).fill_key]
        position = subject.run(subject.adapter.get_position("005930", "SCALP"))
        assert (position.qty, position.version) == (10, 1)

    def test_when_and_by_whom_it_was_heard_of_makes_no_other_fill(self, subject):
        subject.run(subject.adapter.apply_fill(full_fill(1)))
        again = full_fill(1, ts_recv_ns=NINE_NS + 9, raw=None, reason="replay", run_id="r2", strategy_tag=None)
        result = subject.run(subject.adapter.apply_fill(again))
        assert (result.status, result.position.qty) == ("DUPLICATE", 10)
        (entry,) = ledger(subject)
        assert entry.fill.reason == full_fill(1).reason  # the first row stands as it was

    def test_two_writers_with_the_same_fills_write_each_once(self, subject):
        async def race() -> list[str]:
            other = await subject.another()
            both = [asyncio.gather(subject.adapter.apply_fill(fill(n)), other.apply_fill(fill(n))) for n in range(1, 6)]
            return [result.status for pair in both for result in await pair]

        subject.need("transactions")
        statuses = subject.run(race())
        assert sorted(statuses) == ["DUPLICATE"] * 5 + ["INSERTED"] * 5
        assert sorted(keys(subject)) == sorted(fill(number).fill_key for number in range(1, 6))
        position = subject.run(subject.adapter.get_position("005930", "SCALP"))
        assert (position.qty, position.version) == (50, 5)

    @pytest.mark.parametrize(
        "changes",
        [
            {"qty": Decimal(11), "amount": Decimal(770_000)},
            {"price": Decimal(69_999)},
            {"amount": Decimal(700_001)},
            {"fee": Decimal(1)},
            {"tax": Decimal(1)},
            {"side": "SELL"},
            {"pool_id": "SWING"},
            {"symbol": "000660"},
            {"ts_exec_ns": NINE_NS},
        ],
        ids=lambda changes: next(iter(changes)),
    )
    def test_the_same_key_with_other_content_is_refused_and_kept_for_a_person(self, subject, changes):
        subject.run(subject.adapter.apply_fill(fill(1)))
        with pytest.raises(FillConflict) as caught:
            subject.run(subject.adapter.apply_fill(replace(fill(1), **changes)))
        assert caught.value.code == "FS122"
        assert fill(1).fill_key in str(caught.value)
        assert [entry.fill for entry in ledger(subject)] == [fill(1)]
        (position,) = subject.run(subject.adapter.fetch_positions(include_closed=True))
        assert (position.pool_id, position.symbol, position.qty) == ("SCALP", "005930", 10)
        assert subject.run(subject.quarantined()) == [fill(1).fill_key]

    def test_append_ledger_books_a_fill_as_apply_fill_does(self, subject):
        entry = LedgerEntry(entry_type="FILL", fill=fill(1))
        assert subject.run(subject.adapter.append_ledger(entry)) is True
        assert subject.run(subject.adapter.append_ledger(entry)) is True
        assert subject.run(subject.adapter.get_position("005930", "SCALP")).qty == 10
        with pytest.raises(FillConflict):
            subject.run(subject.adapter.append_ledger(LedgerEntry(entry_type="FILL", fill=fill(1, price=69_000))))


class TestBatch(Known):
    @pytest.fixture(autouse=True)
    def _able(self, subject):
        subject.need("transactions")

    def test_results_come_in_order_with_the_position_after_each(self, subject):
        batch = [fill(1), fill(2, "SELL", 4), fill(1), fill(3, symbol="000660")]
        results = subject.run(subject.adapter.apply_fills(batch))
        assert [result.status for result in results] == ["INSERTED", "INSERTED", "DUPLICATE", "INSERTED"]
        assert [result.position.qty for result in results] == [10, 6, 6, 10]
        assert keys(subject) == [fill(1).fill_key, fill(2).fill_key, fill(3).fill_key]

    def test_an_empty_batch_is_nothing_but_moves_the_journal(self, subject):
        assert subject.run(subject.adapter.apply_fills([])) == []
        assert subject.run(subject.adapter.journal_ack("orders")) == 0
        assert subject.run(subject.adapter.apply_fills([], ack=JournalAck("orders", 4))) == []
        assert subject.run(subject.adapter.journal_ack("orders")) == 4

    def test_the_position_of_the_journal_is_written_with_the_fills(self, subject):
        subject.run(subject.adapter.apply_fills([fill(1), fill(2)], ack=JournalAck("orders", 17)))
        assert subject.run(subject.adapter.journal_ack("orders")) == 17
        assert subject.run(subject.adapter.journal_ack("other")) == 0
        subject.run(subject.adapter.apply_fills([fill(2), fill(3)], ack=JournalAck("orders", 19)))
        assert subject.run(subject.adapter.journal_ack("orders")) == 19

    def test_the_position_of_the_journal_never_goes_back(self, subject):
        subject.run(subject.adapter.apply_fills([fill(1)], ack=JournalAck("orders", 17)))
        subject.run(subject.adapter.apply_fills([fill(1)], ack=JournalAck("orders", 3)))
        assert subject.run(subject.adapter.journal_ack("orders")) == 17

    def test_a_fill_that_cannot_be_one_leaves_nothing_of_its_batch(self, subject):
        broken = fill(2, price=Decimal("70000.5"), amount=Decimal(700_005))
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.apply_fills([fill(1), broken, fill(3)], ack=JournalAck("orders", 17)))
        assert ledger(subject) == []
        assert subject.run(subject.adapter.fetch_positions(include_closed=True)) == []
        assert subject.run(subject.adapter.journal_ack("orders")) == 0

    def test_a_conflict_does_not_keep_the_others_out(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1)))
        batch = [fill(2), fill(1, price=69_000), fill(3)]
        with pytest.raises(FillConflict):
            subject.run(subject.adapter.apply_fills(batch, ack=JournalAck("orders", 5)))
        assert keys(subject) == [fill(number).fill_key for number in (1, 2, 3)]
        assert subject.run(subject.adapter.get_position("005930", "SCALP")).qty == 30
        assert subject.run(subject.adapter.journal_ack("orders")) == 5
        assert subject.run(subject.quarantined()) == [fill(1).fill_key]

    def test_a_sale_of_too_much_does_not_keep_the_others_out(self, subject):
        with pytest.raises(DataConsistencyError):
            subject.run(subject.adapter.apply_fills([fill(1, "SELL"), fill(2)], ack=JournalAck("orders", 5)))
        assert len(ledger(subject)) == 2
        position = subject.run(subject.adapter.get_position("005930", "SCALP"))
        assert (position.qty, position.oversold) == (10, True)
        assert subject.run(subject.adapter.journal_ack("orders")) == 5


class TestWrongFills(Known):
    @pytest.mark.parametrize(
        "changes",
        [
            {"qty": Decimal(-1)},
            {"qty": Decimal(0)},
            {"price": Decimal("NaN")},
            {"price": Decimal("Infinity")},
            {"fee": 0.5},
            {"amount": 700_000.0},
            {"amount": Decimal(-1)},
            {"fee": Decimal("sNaN")},
            {"symbol": 5930},
            {"side": "HOLD"},
            {"pool_id": "X"},
            {"trade_date": FROM},
            {"raw": "{"},
        ],
        ids=str,
    )
    def test_a_fill_that_cannot_be_one_is_none(self, subject, changes):
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.apply_fill(fill(1, **changes)))
        assert ledger(subject) == []

    @pytest.mark.parametrize(
        "changes",
        [
            {"symbol": "035720"},
            {"currency": "USD"},
            {"price": Decimal("70000.5")},
            {"qty": Decimal("0.5")},
            {"fee": Decimal("0.01")},
        ],
        ids=str,
    )
    def test_a_fill_that_does_not_fit_its_instrument_is_refused_whole(self, subject, changes):
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.apply_fill(fill(1, **changes)))
        assert ledger(subject) == []
        assert subject.run(subject.adapter.fetch_positions(include_closed=True)) == []
        subject.run(subject.adapter.apply_fill(fill(1)))  # and the next one is taken

    def test_scales_that_are_known_cannot_change(self, subject):
        for currencies, instruments in (([KRW._replace(scale=2)], []), ([], [SAMSUNG._replace(price_scale=2)])):
            with pytest.raises(UsageError, match="scale"):
                subject.run(subject.adapter.register(currencies, instruments))
        subject.run(subject.adapter.register([KRW], [SAMSUNG]))


async def _one_by_one(adapter, fills):
    for one in fills:
        await adapter.apply_fill(one)
