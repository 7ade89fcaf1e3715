"""Fills as a run books them, and returns as a market makes them."""

from hypothesis import strategies as st

from qts.data import FillRow

DAY_NS = 86_400 * 10**9


def fill(
    side, qty, price, *, day="2024-01-02", track="SCALP", symbol="A", strategy="s", fee=0, tax=0, ts_ns=0, ref="d"
):
    return FillRow(
        trade_date=day,
        order_id=1,
        exec_ref="1",
        ts_ns=ts_ns,
        ts_exec_ns=ts_ns,
        decision_id=ref,
        symbol=symbol,
        track=track,
        side=side,
        qty=qty,
        price=price,
        amount=qty * price,
        fee=fee,
        tax=tax,
        cum_qty=qty,
        reason="",
        strategy=strategy,
    )


def returns_of(min_size, max_size=400):
    """Daily returns from a fall of 30 % to a rise of 30 %, with days on which nothing happened."""
    moves = st.one_of(st.just(0.0), st.floats(-0.3, 0.3, allow_subnormal=False))
    return st.lists(moves, min_size=min_size, max_size=max_size)
