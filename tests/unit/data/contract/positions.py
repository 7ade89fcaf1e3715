"""Contract of positions: they follow from the ledger, to the last unit, whatever comes."""

from collections import defaultdict
from dataclasses import replace
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qts.data.exceptions import DataConsistencyError, FillConflict, RowInvalid

from .samples import FROM, TO, adjustment, coin, coin_fill, fee_adjustment, fill, reversal
from .subject import Known

_ACCOUNTS = count(1)

TRADES = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL"]),
        st.integers(1, 50),
        st.integers(1, 10**6),
        st.sampled_from(["005930", "000660"]),
        st.sampled_from(["SCALP", "SWING", "UNASSIGNED"]),
        st.booleans(),
    ),
    max_size=12,
)


class Model:
    """The arithmetic once more, in other words: lots are not kept, a sale takes its share of the cost, rounded down."""

    def __init__(self):
        self.held = defaultdict(lambda: [Decimal(0), Decimal(0), Decimal(0)])

    def sell_no_more_than(self, place):
        return self.held[place][0]

    def take(self, place, one):
        row = self.held[place]
        if one.side == "BUY":
            row[0] += one.qty
            row[1] += one.amount
            return None
        before = row[1]
        left = row[0] - one.qty
        row[1] = Decimal(-(-int(before * left) // int(row[0])))  # what stays is rounded up
        row[0] = left
        gain = one.amount - (before - row[1]) - one.fee - one.tax
        row[2] += gain
        return gain


class TestPositions(Known):
    def test_the_vector_of_the_performance_engine(self, subject):
        for number, side, qty, price in ((1, "BUY", 100, 70_000), (2, "BUY", 50, 71_000), (3, "SELL", 60, 72_000)):
            subject.run(subject.adapter.apply_fill(fill(number, side, qty, price)))
        entries = subject.run(subject.adapter.fetch_ledger(FROM, TO))
        assert [(entry.fill.fee, entry.fill.tax) for entry in entries] == [(1_050, 0), (532, 0), (648, 8_640)]
        assert [entry.realized_pnl for entry in entries] == [None, None, 90_712]
        position = subject.run(subject.adapter.get_position("005930", "SCALP"))
        assert (position.qty, position.cost_total, position.realized_pnl) == (90, 6_330_000, 90_712)
        assert position.avg_price == Decimal("70333.33333333")
        assert (position.version, position.last_fill_key) == (3, fill(3).fill_key)

    def test_what_is_left_never_costs_less_than_it_did(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1, qty=3, price=10_001, amount=Decimal(30_004))))
        position = subject.run(subject.adapter.apply_fill(fill(2, "SELL", 1, 10_001))).position
        assert position.cost_total == 30_004 - 10_001

    def test_rounding_is_down_to_the_smallest_unit_of_the_currency(self, subject):
        currency, instrument = coin(subject.money_decimals)
        subject.run(subject.adapter.register([currency], [instrument]))
        unit = Decimal(1).scaleb(-subject.money_decimals)
        bought = coin_fill(1, subject.money_decimals, "3", "0.01", amount=2 * unit)
        subject.run(subject.adapter.apply_fill(bought))
        sold = coin_fill(2, subject.money_decimals, "1", "0.01", side="SELL", amount=5 * unit)
        result = subject.run(subject.adapter.apply_fill(sold))
        assert (result.position.cost_total, result.position.realized_pnl) == (2 * unit, 5 * unit)

    def test_a_closed_position_keeps_its_result_and_opens_anew(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1)))
        subject.run(subject.adapter.apply_fill(fill(2, "SELL", 10, 71_000, fee=Decimal(0), tax=Decimal(0))))
        assert subject.run(subject.adapter.fetch_positions()) == []
        (closed,) = subject.run(subject.adapter.fetch_positions(include_closed=True))
        assert (closed.qty, closed.cost_total, closed.opened_at) == (0, 0, None)
        assert (closed.avg_price, closed.realized_pnl) == (0, 10_000)
        assert subject.run(subject.adapter.get_position("005930", "SCALP")) == closed
        again = subject.run(subject.adapter.apply_fill(fill(3))).position
        assert again.opened_at == fill(3).recorded_at

    def test_pools_hold_a_symbol_apart_and_are_summed_on_request(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1, qty=1, price=60_000)))
        subject.run(subject.adapter.apply_fill(fill(2, qty=3, price=80_000, pool_id="SWING")))
        subject.run(subject.adapter.apply_fill(fill(3, qty=5, symbol="000660", pool_id="PORTFOLIO")))
        found = [(row.symbol, row.pool_id, row.qty) for row in subject.run(subject.adapter.fetch_positions())]
        assert found == [("000660", "PORTFOLIO", 5), ("005930", "SCALP", 1), ("005930", "SWING", 3)]
        whole = subject.run(subject.adapter.get_position("005930"))
        assert (whole.pool_id, whole.qty, whole.cost_total) == ("ALL", 4, 300_000)
        assert whole.avg_price == 75_000
        assert whole.opened_at == fill(1).recorded_at
        assert subject.run(subject.adapter.get_position("005930", "PORTFOLIO")) is None
        assert subject.run(subject.adapter.get_position("005930", account_id="other")) is None

    def test_selling_more_than_is_held_is_booked_marked_and_told(self, subject):
        subject.run(subject.adapter.apply_fill(fill(1)))
        with pytest.raises(DataConsistencyError) as caught:
            subject.run(subject.adapter.apply_fill(fill(2, "SELL", 15)))
        assert caught.value.code == "FS070"
        assert "005930" in str(caught.value)
        entries = subject.run(subject.adapter.fetch_ledger(FROM, TO))
        assert [entry.fill.qty for entry in entries] == [10, 15]
        position = subject.run(subject.adapter.get_position("005930", "SCALP"))
        assert (position.qty, position.cost_total, position.oversold) == (0, 0, True)

    def test_the_sale_of_too_much_heard_again_is_a_duplicate_and_the_mark_stays(self, subject):
        with pytest.raises(DataConsistencyError):
            subject.run(subject.adapter.apply_fill(fill(1, "SELL", 15)))
        result = subject.run(subject.adapter.apply_fill(fill(1, "SELL", 15)))
        assert (result.status, result.position.oversold) == ("DUPLICATE", True)
        result = subject.run(subject.adapter.apply_fill(fill(2)))
        assert (result.status, result.position.oversold) == ("INSERTED", True)

    def test_a_reconciliation_sets_a_position(self, subject):
        with pytest.raises(DataConsistencyError):
            subject.run(subject.adapter.apply_fill(fill(1, "SELL", 15)))
        before = subject.run(subject.adapter.get_position("005930", "SCALP"))
        for _ in range(2):
            subject.run(subject.adapter.update_position("005930", Decimal(7), Decimal("70000.5"), pool_id="SCALP"))
        position = subject.run(subject.adapter.get_position("005930", "SCALP"))
        assert (position.qty, position.cost_total, position.oversold) == (7, 490_004, False)  # 490003.5, half up
        assert position.realized_pnl == before.realized_pnl
        assert position.version > before.version
        subject.run(subject.adapter.update_position("005930", Decimal(0), Decimal(0), pool_id="SCALP"))
        assert subject.run(subject.adapter.fetch_positions()) == []

    def test_a_reconciliation_can_bring_a_position_that_was_not_there(self, subject):
        subject.run(subject.adapter.update_position("000660", Decimal(3), Decimal(120_000), pool_id="UNASSIGNED"))
        (position,) = subject.run(subject.adapter.fetch_positions())
        assert (position.symbol, position.pool_id, position.qty, position.cost_total) == (
            "000660",
            "UNASSIGNED",
            3,
            360_000,
        )

    @pytest.mark.parametrize(
        ("symbol", "qty", "price", "pool"),
        [
            ("005930", Decimal(-1), Decimal(1), "SCALP"),
            ("005930", Decimal(1), Decimal("NaN"), "SCALP"),
            ("005930", Decimal("0.5"), Decimal(1), "SCALP"),
            ("005930", 1.0, Decimal(1), "SCALP"),
            ("035720", Decimal(1), Decimal(1), "SCALP"),
            ("005930", Decimal(1), Decimal(1), "ALL"),
        ],
    )
    def test_a_reconciliation_with_impossible_figures_is_refused(self, subject, symbol, qty, price, pool):
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.update_position(symbol, qty, price, pool_id=pool))
        assert subject.run(subject.adapter.fetch_positions(include_closed=True)) == []

    def test_positions_follow_from_the_fills_whatever_they_are(self, subject):
        @settings(
            max_examples=subject.examples, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
        )
        @given(TRADES)
        def holds(trades):
            account = f"h{next(_ACCOUNTS)}"
            model, realized, applied = Model(), [], 0
            for number, (side, qty, price, symbol, pool, repeat) in enumerate(trades, start=1):
                place = (symbol, pool)
                size = min(qty, int(model.sell_no_more_than(place))) if side == "SELL" else qty
                if size == 0:
                    continue
                one = fill(number, side, size, price, symbol=symbol, pool_id=pool, account_id=account)
                for _ in range(1 + repeat):
                    subject.run(subject.adapter.apply_fill(one))
                realized.append(model.take(place, one))
                applied += 1
            rows = subject.run(subject.adapter.fetch_positions(account, include_closed=True))
            found = {(row.symbol, row.pool_id): [row.qty, row.cost_total, row.realized_pnl] for row in rows}
            assert found == {place: row for place, row in model.held.items() if place in found}
            assert all(row == [0, 0, 0] for place, row in model.held.items() if place not in found)
            assert sum(row.version for row in rows) == applied
            entries = subject.run(subject.adapter.fetch_ledger(FROM, TO, account_id=account))
            assert [entry.realized_pnl for entry in entries] == realized
            if subject.verifies:
                assert subject.run(subject.adapter.verify(account)) == []

        holds()


class TestCorrections(Known):
    @pytest.fixture(autouse=True)
    def _able(self, subject):
        subject.need("corrections")

    def _book(self, subject, *entries):
        for entry in entries:
            if hasattr(entry, "entry_type"):
                assert subject.run(subject.adapter.append_ledger(entry)) is True
            else:
                subject.run(subject.adapter.apply_fill(entry))
        position = subject.run(subject.adapter.get_position("005930", "SCALP"))
        if subject.verifies:
            assert subject.run(subject.adapter.verify("main")) == []
        return position

    def test_a_purchase_is_taken_back(self, subject):
        one, other = fill(1), fill(2, qty=5, price=80_000)
        position = self._book(subject, one, other, reversal(one))
        assert (position.qty, position.cost_total, position.realized_pnl) == (5, 400_000, 0)
        assert position.version == 3
        entries = subject.run(subject.adapter.fetch_ledger(FROM, TO))
        assert [entry.entry_type for entry in entries] == ["FILL", "FILL", "REVERSAL"]
        assert entries[2] == reversal(one)
        assert entries[0].fill == one  # the row taken back stands

    def test_a_sale_is_taken_back_with_its_result(self, subject):
        sale = fill(2, "SELL", 4, 75_000)
        position = self._book(subject, fill(1), sale, reversal(sale))
        assert (position.qty, position.cost_total, position.realized_pnl) == (10, 700_000, 0)
        booked = [entry.realized_pnl for entry in subject.run(subject.adapter.fetch_ledger(FROM, TO))]
        assert booked[1] > 0
        assert booked[2] == -booked[1]

    def test_what_a_purchase_taken_back_leaves_of_its_cost_is_a_result(self, subject):
        cheap, dear = fill(1, price=10_000), fill(2, price=20_000)
        position = self._book(subject, cheap, dear, reversal(dear))
        assert (position.qty, position.cost_total) == (10, 100_000)
        # 20 at 15,000 on average; ten sold take 150,000; the rest of the cost is not that of `cheap`
        position = self._book(
            subject, fill(3, price=20_000), fill(4, "SELL", 10, 15_000, fee=Decimal(0), tax=Decimal(0))
        )
        assert (position.qty, position.cost_total, position.realized_pnl) == (10, 150_000, 0)
        position = self._book(subject, reversal(fill(3, price=20_000)))
        assert (position.qty, position.cost_total, position.realized_pnl) == (0, 0, 50_000)

    def test_taking_back_is_done_once(self, subject):
        one = fill(1)
        position = self._book(subject, one, reversal(one), reversal(one))
        assert (position.qty, position.version) == (0, 2)
        other_key = reversal(one, order_id="0000000099")
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.append_ledger(other_key))
        assert len(subject.run(subject.adapter.fetch_ledger(FROM, TO))) == 2

    @pytest.mark.parametrize(
        "wrong",
        [
            reversal(fill(9)),
            reversal(fill(1), qty=Decimal(9), amount=Decimal(630_000)),
            reversal(fill(1), side="SELL"),
            reversal(fill(1), pool_id="SWING"),
            reversal(fill(1), fee=Decimal(0)),
        ],
        ids=["of nothing", "qty", "side", "pool", "fee"],
    )
    def test_only_what_is_there_can_be_taken_back_and_only_whole(self, subject, wrong):
        self._book(subject, fill(1))
        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.append_ledger(wrong))
        assert len(subject.run(subject.adapter.fetch_ledger(FROM, TO))) == 1
        assert subject.run(subject.adapter.get_position("005930", "SCALP")).qty == 10

    def test_taking_back_a_purchase_that_was_sold_is_a_sale_of_too_much(self, subject):
        self._book(subject, fill(1), fill(2, "SELL", 5))
        with pytest.raises(DataConsistencyError):
            subject.run(subject.adapter.append_ledger(reversal(fill(1))))
        assert len(subject.run(subject.adapter.fetch_ledger(FROM, TO))) == 3
        position = subject.run(subject.adapter.get_position("005930", "SCALP"))
        assert (position.qty, position.cost_total, position.oversold) == (0, 0, True)

    def test_an_adjustment_books_as_a_fill_and_takes_the_mark_away(self, subject):
        with pytest.raises(DataConsistencyError):
            subject.run(subject.adapter.apply_fill(fill(1, "SELL", 15)))
        position = self._book(subject, adjustment(2, "BUY", 4))
        assert (position.qty, position.cost_total, position.oversold) == (4, 280_000, False)
        position = self._book(subject, adjustment(3, "SELL", 4, 60_000))
        assert position.qty == 0
        entries = subject.run(subject.adapter.fetch_ledger(FROM, TO))
        assert [entry.entry_type for entry in entries] == ["FILL", "RECON_ADJ", "RECON_ADJ"]
        assert entries[2].realized_pnl == -40_000

    def test_an_adjustment_that_sells_more_than_is_held_is_in_question_again(self, subject):
        self._book(subject, fill(1))
        with pytest.raises(DataConsistencyError):
            subject.run(subject.adapter.append_ledger(adjustment(2, "SELL", 11)))
        position = subject.run(subject.adapter.get_position("005930", "SCALP"))
        assert (position.qty, position.oversold) == (0, True)

    def test_a_fee_charged_later_moves_nothing_but_the_result_of_sales(self, subject):
        position = self._book(subject, fill(1), fee_adjustment(2, "BUY", 7))
        assert (position.qty, position.cost_total, position.realized_pnl) == (10, 700_000, 0)
        position = self._book(subject, fee_adjustment(3, "SELL", 11))
        assert (position.qty, position.cost_total, position.realized_pnl) == (10, 700_000, -11)
        booked = [entry.realized_pnl for entry in subject.run(subject.adapter.fetch_ledger(FROM, TO))]
        assert booked == [None, None, -11]

    def test_a_correction_keeps_to_its_key_as_a_fill_does(self, subject):
        self._book(subject, adjustment(1, "BUY", 4), adjustment(1, "BUY", 4))
        assert subject.run(subject.adapter.get_position("005930", "SCALP")).qty == 4
        with pytest.raises(FillConflict):
            subject.run(subject.adapter.append_ledger(adjustment(1, "BUY", 5)))
        with pytest.raises(FillConflict):  # the same figures, but another kind of entry
            subject.run(subject.adapter.apply_fill(adjustment(1, "BUY", 4).fill))

    def test_a_fee_adjustment_with_an_amount_is_refused(self, subject):
        wrong = fee_adjustment(2, "BUY", 7)

        with pytest.raises(RowInvalid):
            subject.run(subject.adapter.append_ledger(replace(wrong, fill=replace(wrong.fill, amount=Decimal(1)))))
        assert subject.run(subject.adapter.fetch_ledger(FROM, TO)) == []
