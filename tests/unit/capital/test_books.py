"""The books of the pools: what each event does, what is refused, and what a transfer leaves alone."""

from contextlib import suppress
from datetime import timedelta
from decimal import Decimal

import pytest
from books_samples import CONFIG, DAY, SAMPLE, START, Crash, MemoryLive, MemorySink, Room, proposal

from qts.capital.audit import DaySnapshot, MismatchWatch, abnormal, still_there
from qts.capital.books import CapitalBooks, SplitPart
from qts.capital.contracts import POOLS, Bucket, Cause, PauseCause, PoolState, TransferKind, TransferStatus
from qts.capital.exceptions import AmountRefused, BooksBroken, NotAvailable, NotKept, PoolClosed, UnknownPool
from qts.capital.messages_books import say
from qts.capital.recovery import FillRecord, recover
from qts.codes import EngineFault, UsageError

SHARES = {"SCALP": Decimal("0.40"), "SWING": Decimal("0.35"), "PORTFOLIO": Decimal("0.25")}


def prices_of(room):
    return {pool: (one.unit_price, one.peak_unit_price) for pool, one in room.books.snapshot(room.now).items()}


def test_available_is_what_is_neither_invested_nor_reserved():  # T1
    room = Room()
    room.invest("SCALP", 3_000_000)
    room.books.reserve("r", "SCALP", 500_000, room.now)
    pool = room.pool("SCALP")
    assert (pool.total_capital, pool.invested_capital, pool.reserved_capital) == (10_000_000, 3_000_000, 500_000)
    assert pool.available_capital == 6_500_000
    assert room.live.free("SCALP") == 6_500_000
    room.check()


def test_the_share_of_the_sample_account():
    room = Room({"SCALP": 10_000_000, "SWING": 8_750_000, "PORTFOLIO": 6_250_000})
    shown = room.books.snapshot(room.now, SHARES)
    assert [one.allocation_pct for one in shown.values()] == [Decimal("0.4000"), Decimal("0.3500"), Decimal("0.2500")]
    assert [one.target_allocation_pct for one in shown.values()] == list(SHARES.values())


def test_a_hold_beyond_what_is_free_is_refused_and_the_rest_is_offered():  # T5
    room = Room({"SCALP": 1_000_000})
    assert not room.order("1", "SCALP", 2_000_000)
    with pytest.raises(NotAvailable) as refusal:
        room.books.hold("1", "SCALP", 2_000_000, room.now)
    assert refusal.value.available == 1_000_000
    assert room.order("2", "SCALP", refusal.value.available)
    assert room.books.buckets("SCALP") == (0, 0, 0, 1_000_000)
    assert [line.ref_id for line in room.sink.lines] == ["fund:SCALP:1", "hold:2:1", "hold:2:1"]


def test_a_purchase_moves_its_cost_and_pays_its_fee_from_the_hold():
    room = Room({"SCALP": 10_000_000})
    room.order("7", "SCALP", 1_001_500)
    assert room.buy("7", "SCALP", 6, 100_000, fee=90, left=400_600)
    pool = room.pool("SCALP")
    assert pool.held_for_orders == 400_600
    assert pool.invested_capital == 600_000
    assert pool.realized_pnl == -90
    assert pool.total_capital == 9_999_910
    assert room.books.unhold("7", room.now) == 400_600
    assert room.live.finish("7") is None
    assert room.pool("SCALP").available_capital == 9_399_910
    assert room.sink.held["7:SCALP"].state == "CLOSED"
    room.check()


def test_a_sale_takes_its_share_of_the_cost_rounded_down():
    room = Room({"SWING": 1_000_000})
    room.order("1", "SWING", 100_000)
    room.buy("1", "SWING", 1, 10_000, left=90_000)
    room.buy("1", "SWING", 2, 10_001, exec_id=2)
    room.sell("2", "SWING", 1, 12_000, fee=2, tax=24)
    pool = room.pool("SWING")
    assert pool.invested_capital == 30_002 - 10_000  # a third is 10,000.67
    assert pool.realized_pnl == 12_000 - 10_000 - 26
    room.sell("3", "SWING", 2, 9_000)
    assert room.books.holdings == {}
    assert room.pool("SWING").total_capital == 1_000_000 + 1_974 + (18_000 - 20_002)
    room.check()


def test_the_lines_of_a_fill_are_those_of_the_specification():
    room = Room({"SWING": 1_000_000})
    room.order("1", "SWING", 50_100)
    room.buy("1", "SWING", 5, 10_000, fee=100)
    room.sell("2", "SWING", 5, 11_000, fee=10, tax=20)
    lines = [(line.bucket, line.amount, line.cause) for line in room.sink.lines if line.ref_id.startswith("fill:")]
    assert lines == [
        (Bucket.HELD, -50_000, Cause.FILL),
        (Bucket.INVESTED, 50_000, Cause.FILL),
        (Bucket.HELD, -100, Cause.FEE),
        (Bucket.INVESTED, -50_000, Cause.FILL),
        (Bucket.AVAILABLE, 55_000, Cause.FILL),
        (Bucket.AVAILABLE, -10, Cause.FEE),
        (Bucket.AVAILABLE, -20, Cause.TAX),
    ]


def test_the_same_fill_again_is_ignored_and_counted():
    room = Room({"SWING": 1_000_000})
    room.invest("SWING", 10_000, "1")
    before = room.books.buckets("SWING")
    assert room.books.on_fill(
        order_id=1, exec_id=1, pool="SWING", symbol="005930", side="BUY", qty=1, amount=10_000, fee=0, tax=0,
        hold_left=0, at=room.now,
    ) is False  # fmt: skip
    assert room.books.duplicates == 1
    assert room.books.buckets("SWING") == before


def test_a_fill_that_costs_more_than_there_is_is_booked_and_found():
    room = Room({"SWING": 10_000})
    assert room.buy("1", "SWING", 1, 10_000, fee=7)
    assert room.books.buckets("SWING")[0] == -7
    assert [one.code for one in room.books.verify()] == ["FS081"]


def test_more_than_is_held_cannot_be_sold():
    room = Room({"SWING": 100_000})
    room.invest("SWING", 10_000)
    with pytest.raises(BooksBroken) as fault:
        room.sell("2", "SWING", 2, 10_000)
    assert fault.value.code == "FS084"
    assert room.books.buckets("SWING") == (90_000, 10_000, 0, 0)


@pytest.mark.parametrize(
    ("do", "kind"),
    [
        (lambda books, at: books.fund({"SCALP": -1}, at), AmountRefused),
        (lambda books, at: books.fund({"SCALPER": 1}, at), UnknownPool),
        (lambda books, at: books.external(0, "d", at), AmountRefused),
        (lambda books, at: books.external(-1, "d", at), NotAvailable),
        (lambda books, at: books.external(True, "d", at), AmountRefused),
        (lambda books, at: books.withdraw("SCALP", 10_000_001, "w", at), NotAvailable),
        (lambda books, at: books.withdraw("SCALP", -5, "w", at), AmountRefused),
        (lambda books, at: books.dividend("SWING", "005930", 0, "2026", at), AmountRefused),
        (lambda books, at: books.dividend("GOLD", "005930", 5, "2026", at), UnknownPool),
        (lambda books, at: books.charge("SCALP", Cause.FEE, 10_000_001, "c", at), NotAvailable),
        (lambda books, at: books.allocate({**SHARES, "SCALP": Decimal("0.41")}, at), UsageError),
        (lambda books, at: books.allocate({"SCALP": Decimal(1)}, at), UsageError),
        (lambda books, at: books.external(5, "", at), UsageError),
        (lambda books, at: books.external(5, "d", at.replace(tzinfo=None)), UsageError),
        (lambda books, at: books.hold("a:b", "SCALP", 5, at), UsageError),
        (lambda books, at: books.hold("1", "SCALP", -5, at), AmountRefused),
        (lambda books, at: books.split("005930", [SplitPart("SCALP", 2)], "s", at), BooksBroken),
        (lambda books, at: books.unlock("SCALP", "kim", "why", at), UsageError),
        (lambda books, at: books.reserve("r", "SCALP", 10_000_001, at), NotAvailable),
        (lambda books, at: books.reserve("r", "SCALP", 0, at), AmountRefused),
        (lambda books, at: books.lock("GOLD", "FS081", "?", at), UnknownPool),
    ],
)
def test_bad_input_is_refused_in_words_and_nothing_is_touched(do, kind):
    room = Room()
    lines, live = list(room.sink.lines), dict(room.live.cash)
    with pytest.raises(kind) as refusal:
        do(room.books, room.now)
    assert refusal.value.found
    assert refusal.value.expected
    assert refusal.value.hint
    assert room.sink.lines == lines
    assert room.live.cash == live
    room.check()


def test_a_deposit_waits_unallocated_and_is_shared_exactly():
    room = Room()
    assert room.books.external(1_000_001, "bank-1", room.now)
    assert not room.books.external(1_000_001, "bank-1", room.now)
    assert room.books.unallocated == 1_000_001
    assert room.books.allocate(SHARES, room.now) == {"SCALP": 400_001, "SWING": 350_000, "PORTFOLIO": 250_000}
    assert room.books.unallocated == 0
    assert room.books.allocate(SHARES, room.now) == {}
    room.check()


def test_what_a_locked_pool_would_get_stays_unallocated():
    room = Room()
    room.books.lock("SWING", "FS082", "drawdown", room.now)
    room.books.external(1_000_000, "d", room.now)
    assert room.books.allocate(SHARES, room.now) == {"SCALP": 400_000, "PORTFOLIO": 250_000}
    assert room.books.unallocated == 350_000
    room.check()


def test_dividends_fees_and_corrections_are_profit_or_loss_of_their_pool_once():
    room = Room()
    for _ in range(2):
        room.books.dividend("SWING", "005930", 1_000, "2026-04", room.now)
        room.books.charge("SWING", Cause.TAX, 150, "2026-04", room.now)
        room.books.adjust("SWING", -3, "rounding", room.now)
        room.books.adjust(None, 40, "found", room.now)
    assert room.pool("SWING").realized_pnl == 847
    assert room.books.unallocated == 40
    assert room.books.duplicates == 4
    room.check()


def test_a_split_keeps_the_cost_and_pays_for_what_is_left_over():
    room = Room({"SWING": 1_000_000, "PORTFOLIO": 1_000_000})
    for pool, qty in (("SWING", 3), ("PORTFOLIO", 1)):
        room.order(pool, pool, 30_000)
        room.buy(pool, pool, qty, 10_000)
    assert room.books.split(
        "005930", [SplitPart("SWING", 1, 4_000), SplitPart("PORTFOLIO", 0, 4_500)], "2026-02-02", room.now
    )
    assert room.books.holdings == {("SWING", "005930"): (1, 30_000)}
    assert room.books.buckets("PORTFOLIO") == (994_500, 0, 0, 0)
    assert room.pool("PORTFOLIO").realized_pnl == -5_500
    assert room.pool("SWING").realized_pnl == 4_000
    room.check()


def test_a_promotion_moves_the_amount_and_not_the_sum():  # T6
    room = Room()
    done = room.commit("SCALP", "SWING", 500_000)
    assert done.status is TransferStatus.COMMITTED
    assert done.before == (("SCALP", 10_000_000), ("SWING", 5_000_000))
    assert done.after == (("SCALP", 9_500_000), ("SWING", 5_500_000))
    assert room.pool("SCALP").last_promotion_time == room.now
    assert room.live.free("SWING") == 5_500_000
    room.check()


def test_a_promotion_starts_the_profit_base_anew_and_keeps_the_lifetime_profit():
    room = Room({"SCALP": 10_000_000, "SWING": 5_000_000})
    room.invest("SCALP", 1_000_000, "1")
    room.sell("2", "SCALP", 1, 3_000_000)
    room.books.mark({}, room.now)
    pool = room.pool("SCALP")
    assert (pool.accumulated_profit, pool.nav_gain) == (2_000_000, 2_000_000)
    room.commit("SCALP", "SWING", 500_000)
    pool = room.pool("SCALP")
    assert (pool.accumulated_profit, pool.nav_gain, pool.realized_pnl) == (0, 0, 2_000_000)


def test_the_same_key_twice_returns_the_first_result():  # T10
    room = Room()
    first = room.commit("SCALP", "SWING", 500_000)
    room.later(hours=1)
    assert room.commit("SCALP", "SWING", 700_000) == first
    assert room.books.total("SCALP") == 9_500_000


@pytest.mark.parametrize("call", range(1, 8))
@pytest.mark.parametrize("what", ["before", "after", "fail"])
def test_a_crash_at_any_step_leaves_a_transfer_done_or_absent(call, what):  # T10
    room = Room()
    room.sink.at(call, what)
    with suppress(Crash, NotKept):
        room.commit("SCALP", "SWING", 500_000)
    live = MemoryLive()
    room.sink.fails = {}
    books = recover(live, room.sink, CONFIG, room.sink.records(), room.now)
    total = books.total("SCALP")
    assert total in (9_500_000, 10_000_000)
    (status,) = {one.status for one in books.transfers} or {None}
    assert (status is TransferStatus.COMMITTED) == (total == 9_500_000)
    assert status is not TransferStatus.PENDING
    assert books.buckets("SCALP")[2] == 0
    assert live.free("SCALP") == total
    for pool in POOLS:
        books.resume(pool, PauseCause.START)
    again = books.commit(proposal("SCALP", "SWING", 500_000), room.occasion())
    assert again.status is TransferStatus.COMMITTED
    assert books.total("SCALP") == 9_500_000
    assert books.total("SWING") == 5_500_000
    assert room.sink.moves[again.transfer_id] == again


@pytest.mark.parametrize("call", range(1, 6))
def test_a_transfer_whose_record_fails_can_be_tried_again_in_the_same_process(call):
    room = Room()
    room.sink.at(call, "fail")
    with pytest.raises(EngineFault) as fault:
        room.commit("SCALP", "SWING", 500_000)
    assert fault.value.code == "FS086"
    done = room.commit("SCALP", "SWING", 500_000)
    assert room.sink.moves[done.transfer_id].status is TransferStatus.COMMITTED
    assert room.books.total("SWING") == 5_500_000
    room.check()


def test_money_that_an_order_took_meanwhile_is_not_moved():
    room = Room()
    assert room.live.admit("9", "SCALP", 9_800_000)  # the books have not heard of it yet
    with pytest.raises(NotAvailable):
        room.commit("SCALP", "SWING", 500_000)
    assert room.books.transfers[0].status is TransferStatus.REJECTED
    room.books.hold("9", "SCALP", 9_800_000, room.now)
    room.check()


@pytest.mark.parametrize(
    ("prepare", "amount"),
    [
        (lambda books, at: books.lock("SCALP", "FS082", "x", at), 5),
        (lambda books, at: books.lock("SWING", "FS082", "x", at), 5),
        (lambda books, at: books.pause("SCALP", PauseCause.OPERATOR), 5),
        (lambda books, at: books.pause("SCALP", PauseCause.BELOW_MIN), 5),
        (lambda books, at: None, 10_000_001),
    ],
)
def test_a_transfer_that_is_not_allowed_leaves_no_record(prepare, amount):
    room = Room()
    prepare(room.books, room.now)
    with pytest.raises((PoolClosed, NotAvailable)):
        room.commit("SCALP", "SWING", amount)
    assert room.sink.moves == {}


def test_a_pool_paused_by_defensive_alone_still_gives():
    room = Room()
    room.books.pause("SCALP", PauseCause.DEFENSIVE)
    assert room.commit("SCALP", "SWING", 5).status is TransferStatus.COMMITTED


def test_a_pool_that_has_changed_since_is_asked_again():
    room = Room()
    revisions = {pool: one.revision for pool, one in room.books.snapshot(room.now).items()}
    room.books.dividend("SCALP", "005930", 5, "d", room.now)
    with pytest.raises(PoolClosed):
        room.books.commit(proposal("SCALP", "SWING", 5), room.occasion(), revisions)


def test_quarantine_is_kept_apart_from_reservations_and_survives_a_restart():  # T11
    room = Room()
    done = room.commit("SWING", "SCALP", 1_000_000, "W>S:MDD:1", TransferKind.DEMOTION)
    room.books.reserve("left:reserve:1", "SCALP", 200_000, room.now)
    assert room.pool("SCALP").reserved_capital == 1_200_000
    assert room.live.free("SCALP") == 9_800_000
    live = MemoryLive()
    books = recover(live, room.sink, CONFIG, room.sink.records(), room.now)
    assert [(rest.transfer_id, rest.pool, rest.amount, rest.since) for rest in books.quarantines] == [
        (done.transfer_id, "SCALP", 1_000_000, DAY)
    ]
    assert books.release_quarantine(done.transfer_id, room.now) == 1_000_000
    assert books.release_quarantine(done.transfer_id, room.now) == 0
    assert books.quarantines == ()


def test_a_transfer_of_a_third_moves_neither_unit_price_nor_drawdown():  # T12
    room = Room()
    room.invest("SWING", 2_000_000)
    room.books.mark({"SWING": 2_400_000}, room.now)
    room.books.mark({"SWING": 1_700_000}, room.now)
    before = prices_of(room)
    assert before["SWING"] == (Decimal("0.940000"), Decimal("1.080000"))
    room.commit("SWING", "SCALP", 1_500_000, "W>S:MDD:1", TransferKind.DEMOTION)
    assert prices_of(room) == before
    room.books.external(7_777_777, "d", room.now)
    room.books.allocate(SHARES, room.now)
    room.books.withdraw("SWING", 1_234_567, "w", room.now)
    room.books.mark({"SWING": 1_700_000}, room.now)
    assert prices_of(room) == before


def test_a_hundred_entries_never_take_more_than_is_free():  # T13
    room = Room({"SCALP": 10_000_000})
    passed = [order for order in map(str, range(100)) if room.order(order, "SCALP", 130_000)]
    assert len(passed) == 76
    assert room.books.buckets("SCALP") == (120_000, 0, 0, 9_880_000)
    room.check()


def test_entries_and_transfers_from_many_threads_of_orders_interleave_without_overspending():  # T13
    room = Room({"SCALP": 1_000_000, "SWING": 1_000_000})
    for number in range(100):
        room.order(str(number), "SCALP", 37_000)
        if room.books.available("SCALP") >= 11_000:
            room.commit("SCALP", "SWING", 11_000, f"k{number}")
        assert room.live.free("SCALP") == room.books.available("SCALP") >= 0
    room.check()


def test_a_lock_blocks_at_once_keeps_accounting_and_needs_a_person_to_go():
    room = Room()
    room.order("1", "SCALP", 1_000_000)
    room.books.lock("SCALP", "FS082", "drawdown 21 %", room.now)
    room.books.lock("SCALP", "FS083", "fell", room.now)
    room.books.lock("SCALP", "FS083", "fell", room.now)
    pool = room.pool("SCALP")
    assert pool.pool_state is PoolState.LOCKED
    assert (pool.lock_code, pool.lock_reason) == ("FS082", "FS082: drawdown 21 %; FS083: fell")
    assert not room.live.admit("2", "SCALP", 1)
    assert room.buy("1", "SCALP", 1, 900_000)
    assert room.sell("3", "SCALP", 1, 950_000)
    for who, why in (("", "x"), ("kim", "  ")):
        with pytest.raises(UsageError):
            room.books.unlock("SCALP", who, why, room.now)
    room.books.unlock("SCALP", "kim", "checked", room.now)
    assert room.pool("SCALP").pool_state is PoolState.PAUSED
    assert room.live.blocked["SCALP"]
    room.books.resume("SCALP", PauseCause.START)
    assert room.live.admit("2", "SCALP", 1)


def test_a_lock_holds_even_if_it_cannot_be_recorded():
    room = Room()
    room.sink.at(1, "fail")
    with pytest.raises(NotKept):
        room.books.lock("SCALP", "FS081", "x", room.now)
    assert room.live.blocked["SCALP"]
    assert room.books.state("SCALP") is PoolState.LOCKED


def test_books_out_of_balance_are_not_unlocked():
    room = Room({"SWING": 10_000})
    room.buy("1", "SWING", 1, 10_000, fee=7)
    room.books.lock("SWING", "FS081", "negative", room.now)
    with pytest.raises(BooksBroken) as fault:
        room.books.unlock("SWING", "kim", "hurry", room.now)
    assert fault.value.code == "FS081"
    assert room.books.state("SWING") is PoolState.LOCKED


def test_a_stop_keeps_entries_out_without_a_pause():
    room = Room()
    room.books.stop("SCALP", "SHORTFALL", on=True)
    assert room.books.state("SCALP") is PoolState.ACTIVE
    assert room.live.blocked["SCALP"]
    room.books.stop("SCALP", "SHORTFALL", on=False)
    assert not room.live.blocked["SCALP"]


def test_new_pools_wait_until_they_are_reconciled():
    live = MemoryLive()
    books = CapitalBooks(live, MemorySink(), CONFIG)
    books.fund(SAMPLE, START)
    assert {books.state(pool) for pool in POOLS} == {PoolState.PAUSED}
    assert books.snapshot(START)["SCALP"].pause_causes == (PauseCause.START,)


def test_a_snapshot_of_unchanged_books_costs_nothing_and_tells_the_time():
    room = Room()
    first = room.books.snapshot(room.now)
    assert room.books.snapshot(room.now) is first
    assert room.books.snapshot(room.later(seconds=1))["SWING"] == first["SWING"]._replace(timestamp=room.now)


def test_what_the_broker_says_differently_is_a_mismatch():  # I5, I6
    room = Room()
    room.invest("SWING", 1_000_000)
    cash = sum(room.live.cash.values())
    assert room.books.verify(cash + 3_000, {"005930": 1}) == ()
    assert [one.code for one in room.books.verify(cash + 3_001, {"005930": 1})] == ["FS084"]
    (alert,) = room.books.verify(cash, {"005930": 2, "000660": 0})
    assert (alert.code, alert.values[0]) == ("FS084", ("symbol", "005930"))
    room.live.cash["SWING"] -= 1
    assert [(one.code, one.pool_id) for one in room.books.verify()] == [("FS084", "SWING")]


def test_a_mismatch_counts_after_one_re_read_and_becomes_a_failure_in_time():
    room = Room()
    first = room.books.verify(0)
    assert still_there(first, room.books.verify(sum(room.live.cash.values()))) == ()
    watch = MismatchWatch(CONFIG, timedelta(seconds=60))
    both = still_there(first, room.books.verify(0))
    assert [watch.seen(both, room.now)[0].severity for _ in range(3)] == ["WARNING", "WARNING", "FAIL"]
    assert watch.seen((), room.now) == ()
    assert not watch.is_open
    assert watch.seen(both, room.now)[0].severity == "WARNING"
    assert watch.seen(both, room.later(seconds=60))[0].severity == "FAIL"


def test_a_change_that_nothing_explains_is_told_once():
    prices = dict.fromkeys(POOLS, Decimal(1))
    before = DaySnapshot(30_000_000, 30_000_000, prices)
    explained = DaySnapshot(29_000_000, 29_000_000, prices)
    strange = DaySnapshot(29_000_000, 29_003_001, prices)
    assert abnormal(before, explained, (), CONFIG) == ()
    assert abnormal(before, DaySnapshot(29_000_000, 29_002_900, prices), (), CONFIG) == ()
    assert [one.code for one in abnormal(before, strange, (), CONFIG)] == ["FS083"]
    mismatch = Room().books.verify(0)
    assert abnormal(before, strange, mismatch, CONFIG) == ()
    assert abnormal(None, strange, (), CONFIG) == ()


@pytest.mark.parametrize(("price", "count"), [("0.900001", 0), ("0.900000", 1), ("0.5", 1)])
def test_a_pool_that_falls_by_a_tenth_in_a_day_is_abnormal(price, count):
    before = DaySnapshot(1, 1, {"SCALP": Decimal(1)})
    now = DaySnapshot(1, 1, {"SCALP": Decimal(price), "SWING": Decimal("0.1")})
    assert [one.pool_id for one in abnormal(before, now, (), CONFIG)] == ["SCALP"] * count


def test_units_of_a_pool_that_empties_and_fills_again():
    room = Room({"SCALP": 1_000_000, "SWING": 1_000_000})
    room.invest("SCALP", 1_000_000)
    room.books.mark({"SCALP": 1_200_000}, room.now)
    room.sell("s", "SCALP", 1, 1_200_000)
    assert room.pool("SCALP").unit_price == Decimal("1.200000")
    room.commit("SCALP", "SWING", 1_200_000, "a")
    pool = room.pool("SCALP")
    assert (pool.units, pool.unit_price, pool.total_capital) == (0, Decimal("1.200000"), 0)
    room.commit("SWING", "SCALP", 600_000, "b")
    pool = room.pool("SCALP")
    assert (pool.units, pool.unit_price) == (500_000 * 10**8, Decimal("1.200000"))
    assert not room.pool("PORTFOLIO").is_funded
    room.commit("SWING", "PORTFOLIO", 100_000, "c")
    assert room.pool("PORTFOLIO").unit_price == Decimal("1.000000")


def test_a_record_before_the_books_begin_again_brings_everything_back():
    room = Room()
    room.order("1", "SCALP", 1_000_000)
    room.buy("1", "SCALP", 5, 100_000, fee=75, left=499_000)
    room.commit("SCALP", "SWING", 400_000)
    room.books.mark({"SCALP": 620_000}, room.now)
    room.books.lock("PORTFOLIO", "FS082", "x", room.now)
    room.books.external(1_000, "d", room.now)
    room.sell("2", "SCALP", 2, 130_000)
    history = [
        FillRecord("1", "1", "SCALP", "005930", "BUY", 5, 500_000),
        FillRecord("2", "1", "SCALP", "005930", "SELL", 2, 260_000),
        FillRecord("9", "1", "SCALP", "005930", "SELL", 3, 390_000),  # not in the books yet
    ]
    live = MemoryLive()
    books = recover(live, room.sink, CONFIG, room.sink.records(history), room.now)
    assert books.holdings == room.books.holdings
    assert {pool: books.buckets(pool) for pool in POOLS} == {pool: room.books.buckets(pool) for pool in POOLS}
    assert books.hold_of("1") == 499_000
    assert live.free("SCALP") == room.live.free("SCALP")
    old, new = room.pool("SCALP"), books.snapshot(room.now)["SCALP"]
    for name in ("units", "realized_pnl", "accumulated_profit", "nav_gain", "last_promotion_time", "peak_unit_price"):
        assert getattr(old, name) == getattr(new, name), name
    assert books.state("PORTFOLIO") is PoolState.LOCKED
    assert books.unhold("1", room.now) == 499_000
    assert books.verify(sum(live.cash.values()) + live.loose) == ()


def test_positions_that_cost_something_else_than_the_ledger_says_are_a_fault():
    room = Room()
    room.invest("SWING", 1_000)
    with pytest.raises(BooksBroken) as fault:
        recover(MemoryLive(), room.sink, CONFIG, room.sink.records(), room.now)
    assert fault.value.code == "FS084"


@pytest.mark.parametrize("posting", ["unbalanced", "undeclared", "flow", "below"])
def test_a_posting_that_would_break_the_books_is_refused(posting):
    room = Room()
    books = room.books
    from qts.capital.ledger import Change

    line = books._lines(START, "x", [("SCALP", Bucket.AVAILABLE, -5, Cause.FEE)])
    low = books._lines(START, "x", [("SCALP", Bucket.HELD, -5, Cause.FEE)])
    changes, lines, external = {
        "unbalanced": ((Change("SCALP", -4),), line, 0),
        "undeclared": ((), line, 0),
        "flow": ((Change("SCALP", flow=-5),), line, 0),
        "below": ((Change("SCALP", -5),), low, 0),
    }[posting]
    before = books.snapshot(START)
    with pytest.raises(BooksBroken):
        books._post("x", lines, changes, external=external)
    assert books.snapshot(START) is before


def test_what_an_attempt_left_reserved_is_free_before_anything_else_is_asked():
    room = Room({"SCALP": 1_000_000, "SWING": 1_000_000})
    room.sink.at(3, "down")  # the commit cannot be kept, and giving up neither
    with pytest.raises(NotKept):
        room.commit("SCALP", "SWING", 800_000)
    assert room.books.buckets("SCALP") == (200_000, 0, 800_000, 0)
    room.sink.fails = {}
    assert room.commit("SCALP", "SWING", 900_000, "another").status is TransferStatus.COMMITTED
    assert room.books.buckets("SCALP") == (100_000, 0, 0, 0)
    room.check()


def test_every_text_of_the_books_is_there_in_both_languages():
    assert say.problems() == []
