"""The capital room's records in the books: written through its port, read back as they were."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qts._core import journal_records
from qts.capital.contracts import (
    Bucket,
    CapitalHold,
    CapitalLedgerEntry,
    CapitalPoolContract,
    CapitalTransfer,
    Cause,
    HoldState,
    PauseCause,
    PoolState,
    TransferKind,
    TransferProposal,
    TransferReason,
    TransferStatus,
)
from qts.clock import SystemClock
from qts.codes import EngineFault
from qts.data import CurrencyRow, JournaledStore, SessionRow, SQLiteStore
from qts.data.sqlite.adapter import SQLiteAdapter
from qts.engine.capital_sink import CapitalRecords, RunCapitalSink
from qts.safety import SafetyState
from qts.state import OperatingState

NOW = datetime(2026, 1, 5, 6, 30, 0, 123456, tzinfo=UTC)
POOLS = ("SCALP", "SWING", "PORTFOLIO")


def begun(store):
    store.register([CurrencyRow("KRW", 0)], [])
    store.begin_session(SessionRow("run-1", "PAPER", "s", "sim", "paper-run-1", "KRW", 30_000_000, 1, "cafe"))
    return store


@pytest.fixture
def store():
    with SQLiteStore(None) as opened:
        yield begun(opened)


def entry(number=1, **changes):
    line = CapitalLedgerEntry(number, NOW, "SCALP", Bucket.AVAILABLE, 5, Cause.FILL, f"fill:{number}:1")
    return line._replace(**changes)


def transfer(status=TransferStatus.COMMITTED, **changes):
    proposal = TransferProposal(
        "SCALP",
        "SWING",
        250_000,
        TransferKind.PROMOTION,
        TransferReason.PROFIT_THRESHOLD_EXCEEDED,
        "S>W:2026-W02",
        (("profit", "1500000"), ("sharpe", "1.800000")),
    )
    row = CapitalTransfer(
        "T1",
        proposal,
        status,
        NOW,
        NOW + timedelta(microseconds=1) if status is TransferStatus.COMMITTED else None,
        (("SCALP", 10_000_000), ("SWING", 5_000_000)),
        (("SCALP", 9_750_000), ("SWING", 5_250_000)),
        OperatingState.BALANCED,
        SafetyState.NORMAL,
        "kim",
        date(2026, 1, 5),
    )
    return row._replace(**changes)


def hold(state=HoldState.PLACED, remaining=100):
    return CapitalHold("hold:1:0", "1", "SWING", 100, remaining, state, "entry")


def pool(pool_id="SCALP", revision=1, **changes):
    row = CapitalPoolContract(
        pool_id,
        "1.0.0",
        NOW,
        10_000_000,
        7_500_000,
        2_500_000,
        0,
        0,
        500_000,
        50_000,
        550_000,
        -1,
        Decimal("0.4"),
        Decimal("0.3500"),
        None,
        False,
        PoolState.PAUSED,
        (PauseCause.BELOW_MIN, PauseCause.SAFETY),
        None,
        None,
        None,
        10_000_000 * 10**8,
        Decimal("1.050000"),
        Decimal("1.1"),
        True,
        revision,
    )
    return row._replace(**changes)


LOCKED = pool(
    "SWING",
    pool_state=PoolState.LOCKED,
    pause_causes=(),
    lock_reason="drawdown",
    lock_code="FS082",
    lock_timestamp=NOW,
    last_promotion_time=NOW - timedelta(days=7),
)


def test_everything_comes_back_as_it_was_written(store):
    sink = RunCapitalSink(store, lambda: 1)
    lines = (
        entry(1),
        entry(2, amount=-5, bucket=Bucket.INVESTED),
        entry(3, pool_id="UNALLOCATED", bucket=Bucket.UNALLOCATED),
    )
    sink.entries(lines)
    sink.transfer(transfer(TransferStatus.PENDING))
    sink.transfer(transfer())
    sink.hold(hold())
    sink.hold(hold(HoldState.CLOSED, 0))
    sink.pools((pool(), LOCKED))
    records = CapitalRecords(store)
    assert records.entries() == list(lines)
    assert records.transfers() == [transfer()]
    assert records.holds() == [hold(HoldState.CLOSED, 0)]
    assert records.pools() == [pool(), LOCKED]


money = st.integers(-(10**16), 10**16)


@settings(max_examples=60, deadline=None)
@given(
    amounts=st.tuples(money, money, money, money),
    bps=st.integers(0, 10_000),
    units=st.integers(0, 10**20),
    price=st.integers(0, 10**10),
    causes=st.sets(st.sampled_from(PauseCause)),
    state=st.sampled_from(PoolState),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
)
def test_any_pool_comes_back_exactly(amounts, bps, units, price, causes, state, at):
    row = pool(
        total_capital=amounts[0],
        realized_pnl=amounts[1],
        unrealized_pnl=amounts[2],
        nav_gain=amounts[3],
        allocation_pct=Decimal(bps).scaleb(-4),
        units=units,
        unit_price=Decimal(price).scaleb(-6),
        pause_causes=tuple(sorted(causes)),
        pool_state=state,
        timestamp=at,
    )
    with SQLiteStore(None) as store:
        RunCapitalSink(begun(store), lambda: 1).pools((row,))
        assert CapitalRecords(store).pools() == [row]


def test_holds_keep_their_order_although_time_stands_still_or_starts_again(store):
    for moment in (10, 10, 10_000):
        sink = RunCapitalSink(store, lambda now=moment: now)
        sink.hold(hold(HoldState.PLACED, 100))
        sink.hold(hold(HoldState.PARTLY_USED, 40))
        assert CapitalRecords(store).holds() == [hold(HoldState.PARTLY_USED, 40)]


def post(sink, line, moved, divisor):
    with sink.together():
        sink.entries((line,))
        assert 1 / divisor
        sink.transfer(moved)


def test_what_is_written_together_is_one_record_or_none(tmp_path):
    with JournaledStore(SystemClock(), tmp_path / "journal", name=lambda: "home") as store:
        store.behind(SQLiteAdapter(tmp_path / "books.sqlite", SystemClock())).open()
        sink = RunCapitalSink(begun(store), lambda: 1)
        with sink.together():
            sink.entries((entry(1), entry(2)))
            with sink.together():
                sink.pools((pool(),))
            sink.transfer(transfer())
        with pytest.raises(ZeroDivisionError):
            post(sink, entry(3), transfer(), 0)
        with pytest.raises(EngineFault) as caught:
            post(sink, entry(4), transfer(transfer_id="x" * 65), 1)
        assert caught.value.code == "FS086"
        sink.entries((entry(5),))
        assert [line.entry_id for line in CapitalRecords(store).entries()] == [1, 2, 5]
        store.end_session("DONE", ended_ns=1, cash_end=1, decision_hash="")
    kinds = [kind for _, _, kind, _, _ in journal_records(tmp_path / "journal") if kind.startswith("CAPITAL")]
    assert kinds == ["CAPITAL_TRANSFER", "CAPITAL_ENTRY"]
