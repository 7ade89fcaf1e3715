"""The ledger only grows, knows each fill once, and positions follow from it."""

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qts.data import LedgerConflict, LedgerMismatch
from qts.data.ledger import fill_key

from .conftest import begun, fill, order


def rows(path, query):
    with sqlite3.connect(path) as db:
        found = db.execute(query).fetchall()
    db.close()
    return found


def test_vector_of_the_performance_engine(store):
    store.record_fill(fill(1, "BUY", 100, 70_000))
    store.record_fill(fill(2, "BUY", 50, 71_000))
    store.record_fill(fill(3, "SELL", 60, 72_000))
    assert [(row.fee, row.tax) for row in store.iter_fills()] == [(1_050, 0), (532, 0), (648, 8_640)]
    (position,) = store.positions()
    assert (position.qty, position.cost_total, position.realized_pnl) == (90, 6_330_000, 90_712)
    assert (position.opened_ns, position.version) == (1_001, 3)
    assert store.verify() == []


def test_what_is_left_after_a_partial_sale_never_costs_less_than_before(store):
    store.record_fill(fill(1, "BUY", 3, 10_001, amount=30_004))
    store.record_fill(fill(2, "SELL", 1, 10_001))
    (position,) = store.positions()
    assert position.cost_total == 30_004 - 10_001  # 30,004 / 3 rounded down left with the share


def test_a_closed_position_keeps_its_row_and_its_result(store):
    store.record_fill(fill(1, "BUY", 10, 70_000, fee=0))
    store.record_fill(fill(2, "SELL", 10, 71_000, fee=0, tax=0))
    (position,) = store.positions()
    assert (position.qty, position.cost_total, position.opened_ns) == (0, 0, None)
    assert position.realized_pnl == 10_000
    store.record_fill(fill(3, "BUY", 1, 70_000, ts_ns=5_000))
    assert store.positions()[0].opened_ns == 5_000


def test_tracks_hold_the_same_symbol_apart(store):
    store.record_fill(fill(1, qty=1))
    store.record_fill(fill(2, qty=2, track="SWING"))
    assert {row.track: row.qty for row in store.positions()} == {"SCALP": 1, "SWING": 2}


def test_key_names_broker_account_date_order_and_execution():
    assert fill_key("sim", "paper-run-1", fill(7)) == "sim:paper-run-1:2024-01-02:7:7"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE t_ledger SET qty = 1",
        "DELETE FROM t_ledger",
        "INSERT OR REPLACE INTO t_ledger SELECT * FROM t_ledger",
    ],
)
def test_ledger_rows_cannot_be_changed(store, statement):
    store.record_fill(fill(1))
    store.flush()
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        store._db.execute(statement)
    assert list(store.iter_fills()) == [fill(1)]


@pytest.mark.parametrize("statement", ["UPDATE t_ledger SET qty = 1", "DELETE FROM t_ledger"])
def test_other_programs_cannot_change_ledger_rows_either(path, statement):
    with begun(path) as store:
        store.record_fill(fill(1))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        rows(path, statement)


def test_same_fill_again_changes_nothing(store):
    for _ in range(2):
        store.record_fill(fill(1))
        store.record_fill(fill(2))
        result = store.flush()
    assert (result.fills, result.duplicates, store.duplicates) == (0, 2, 2)
    assert list(store.iter_fills()) == [fill(1), fill(2)]
    assert store.positions()[0].qty == 20
    assert store.verify() == []


def test_same_fill_twice_in_one_batch_counts_once(store):
    for row in (fill(1), fill(1), fill(2)):
        store.record_fill(row)
    result = store.flush()
    assert (result.fills, result.duplicates) == (2, 1)
    assert store.positions()[0].qty == 20


def test_same_key_with_other_content_is_refused_and_kept_for_a_person(store, path):
    store.record_fill(fill(1))
    store.flush()
    store.record_fill(fill(2))
    store.record_fill(fill(1, price=69_900))
    store.record_fill(fill(3))
    with pytest.raises(LedgerConflict) as caught:
        store.flush()
    assert caught.value.code == "FS122"
    assert caught.value.exit_code == 1
    assert "sim:paper-run-1:2024-01-02:1:1" in str(caught.value)
    assert list(store.iter_fills()) == [fill(1), fill(2), fill(3)]
    assert store.positions()[0].qty == 30
    assert store.verify() == []
    ((key, content),) = rows(path, "SELECT fill_key, content FROM fill_quarantine")
    assert key.endswith(":1:1")
    assert "69900" in content


@pytest.mark.parametrize(
    "changes", [{"qty": 0}, {"price": -1}, {"side": "HOLD"}, {"track": "X"}, {"amount": 2**63}, {"fee": "free"}]
)
def test_a_fill_that_cannot_be_one_is_refused_alone(store, changes):
    store.record_fill(fill(1))
    store.record_fill(fill(2, **changes))
    store.record_fill(fill(3))
    with pytest.raises(LedgerConflict):
        store.flush()
    assert [row.order_id for row in store.iter_fills()] == [1, 3]
    assert store.positions()[0].qty == 20
    assert store.verify() == []


def test_selling_more_than_is_held_is_booked_and_told(store):
    store.record_fill(fill(1, "BUY", 10))
    store.record_fill(fill(2, "SELL", 15))
    with pytest.raises(LedgerMismatch) as caught:
        store.flush()
    assert caught.value.code == "FS070"
    assert "005930" in str(caught.value)
    assert len(list(store.iter_fills())) == 2
    (position,) = store.positions()
    assert (position.qty, position.cost_total, position.oversold) == (0, 0, True)


def test_verify_names_a_position_that_was_tampered_with(path):
    with begun(path) as store:
        store.record_fill(fill(1))
        store.record_order(order(1))
    rows(path, "UPDATE positions SET qty = 11, cost_total = 5")
    rows(path, "UPDATE run_orders SET filled_qty = 9")
    with begun(path, "run-2") as store:
        found = {str(difference) for difference in store.verify()}
    assert found == {
        "qty of 005930 (paper-run-1, SCALP): 10 by the ledger, 11 stored",
        "cost_total of 005930 (paper-run-1, SCALP): 700000 by the ledger, 5 stored",
        "filled quantity of order 1 of 005930 (paper-run-1, SCALP): 10 by the ledger, 9 stored",
    }


def test_verify_names_an_order_that_claims_fills_it_never_had(store):
    store.record_order(order(1, "FILLED", 10))
    (found,) = store.verify()
    assert found.what == "filled quantity of order 1"
    assert (found.from_ledger, found.stored) == (0, 10)


def test_verify_names_a_ledger_row_whose_amount_is_not_its_price_times_its_quantity(store):
    store.record_fill(fill(1, amount=700_001))
    (found,) = store.verify()
    assert found.what == "amount of sim:paper-run-1:2024-01-02:1:1"
    assert (found.from_ledger, found.stored) == (700_000, 700_001)


@given(
    st.lists(
        st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 50), st.integers(1, 10**6), st.booleans()),
        max_size=40,
    ),
    st.integers(1, 7),
)
def test_positions_follow_from_the_ledger_whatever_the_batches_are(trades, batch):
    held = 0
    cost = 0
    with begun(None, batch=batch) as store:
        for number, (side, qty, price, repeat) in enumerate(trades, start=1):
            if side == "SELL":
                qty = min(qty, held)
                if qty == 0:
                    continue
                cost -= cost * qty // held
                held -= qty
            else:
                held += qty
                cost += qty * price
            for _ in range(1 + repeat):
                store.record_fill(fill(number, side, qty, price))
        assert store.verify() == []
        positions = store.positions()
        assert [(row.qty, row.cost_total) for row in positions] == ([(held, cost)] if positions else [])
        assert not positions or positions[0].version == len(list(store.iter_fills()))
