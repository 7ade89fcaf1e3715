"""The simulated broker as adapters meet it: its answers, lists and stream, and what a fault plan can do to it."""

from itertools import accumulate

import pytest

from qts._core import Instruments, SimExchange
from qts.broker.asynchronous import BrokerCash, BrokerOrder, BrokerPosition, FillEvent, OrderNotice

CASH = 10_000_000
US = 1_000
TAKEN = ("APBK0013", "주문 전송 완료 되었습니다.")


def instruments():
    table = Instruments()
    for symbol in ("005930", "000660"):
        table.add({
            "symbol": symbol,
            "currency": "KRW",
            "price_scale": 0,
            "qty_scale": 0,
            "money_scale": 0,
            "lot": 1,
            "price_increment": 1,
            "ladder": [(0, [(0, 1), (2_000, 5), (5_000, 10), (20_000, 50), (50_000, 100)])],
            "costs": [(0, 15_000, 15_000, 200_000)],
            "limit_rate": [(0, 30_000_000)],
        })  # fmt: skip
    return table


@pytest.fixture
def broker():
    """The market shows 69,900 x 30 against 70,000 x 40."""
    broker = SimExchange(instruments(), cash=CASH, base_prices={0: 70_000})
    broker.on_quote("005930", 69_900, 30, 70_000, 40, US)
    return broker


def buy(broker, limit, qty, now_ns):
    ok, number, *_ = broker.place(0, "BUY", "LIMIT", "DAY", limit, qty, now_ns)
    assert ok
    return number


def stream(broker):
    return [(FillEvent if kind == "FILL" else OrderNotice)(*fields) for kind, *fields in broker.notices()]


def test_answers_lists_and_stream_have_the_fields_of_the_contracts(broker):
    assert broker.place(0, "BUY", "LIMIT", "DAY", 70_000, 50, 2 * US) == (True, "0000000001", *TAKEN)
    fill = FillEvent("0000000001", "0000000001", "005930", "BUY", 40, 70_000, 40, 420, 0, 2 * US)
    assert stream(broker) == [OrderNotice("0000000001", "ACCEPTED", "", 50, 2 * US), fill]
    assert broker.notices() == []
    assert [FillEvent(*row) for row in broker.fills()] == [fill]
    row = BrokerOrder("0000000001", "", "005930", "BUY", "LIMIT", 50, 70_000, 40, 10, True, 2 * US)
    assert [BrokerOrder(*row) for row in broker.orders()] == [row]
    assert BrokerPosition(*broker.positions()[0]) == ("005930", 40, 40, 2_800_000)
    cash = CASH - 2_800_420
    assert BrokerCash(*broker.cash()) == (cash, cash - 700_000 - 105)


def test_the_rest_of_an_amended_order_goes_by_the_new_number(broker):
    number = buy(broker, 70_000, 50, 2 * US)
    assert broker.amend(number, 69_800, 45, 3 * US) == (True, "0000000002", *TAKEN)
    assert stream(broker)[-1] == OrderNotice("0000000002", "AMENDED", number, 5, 3 * US)
    rows = [BrokerOrder(*row) for row in broker.orders()]
    assert [(row.broker_no, row.original_no, row.filled_qty, row.remaining_qty) for row in rows] == [
        ("0000000001", "", 40, 0),
        ("0000000002", "0000000001", 0, 5),
    ]
    assert [broker.status(row.broker_no) for row in rows] == ["AMENDED", "LIVE"]
    assert [row[0] for row in broker.orders(open_only=True)] == ["0000000002"]
    assert broker.cancel(number, 4 * US)[:2] == (False, "ALREADY_DONE")
    assert broker.cancel("0000000002", 4 * US)[:2] == (True, "0000000003")
    assert broker.status("0000000002") == "CANCELLED"
    assert broker.status("0000000003") is None


@pytest.mark.parametrize(
    ("order", "kind", "code"),
    [
        (("999999", "BUY", "LIMIT", "DAY", 70_000, 1), "SYMBOL_NOT_FOUND", "APBK0656"),
        ((7, "BUY", "LIMIT", "DAY", 70_000, 1), "SYMBOL_NOT_FOUND", "APBK0656"),
        ((0, "BUY", "LIMIT", "DAY", 70_000, 1_000), "INSUFFICIENT_BALANCE", "APBK0952"),
        ((0, "SELL", "LIMIT", "DAY", 70_000, 1), "INSUFFICIENT_BALANCE", "APBK0400"),
        ((0, "BUY", "LIMIT", "DAY", 70_050, 1), "PERMANENT", "RC4003"),
        ((0, "BUY", "LIMIT", "DAY", 91_100, 1), "PERMANENT", "RC4027"),
        (("000660", "BUY", "MARKET", "DAY", 0, 1), "PERMANENT", "SIM00003"),
    ],
)
def test_what_the_broker_cannot_take_is_refused_with_its_code(broker, order, kind, code):
    ok, refused, said, text = broker.place(*order, 2 * US)
    assert (ok, refused, said) == (False, kind, code)
    assert text
    assert broker.orders() == []
    assert broker.notices() == []


def test_queries_and_orders_share_the_allowance_of_a_second():
    broker = SimExchange(instruments(), cash=CASH, config={"requests_per_s": 2})
    number = buy(broker, 1_000, 1, 0)
    assert broker.charge(US)[0]
    assert broker.cancel(number, 2 * US)[:3] == (False, "TRANSIENT", "EGW00201")
    assert broker.charge(2 * US)[:2] == (False, "TRANSIENT")
    assert broker.cancel(number, 1_000_000_000)[0]


def test_a_fill_may_overtake_a_cancel_that_was_taken():
    broker = SimExchange(instruments(), cash=CASH, config={"exchange_delay_ns": 5 * US})
    number = buy(broker, 1_000, 10, 0)
    broker.advance(10 * US)
    assert broker.cancel(number, 10 * US)[0]
    assert broker.next_due_ns() == 15 * US
    assert broker.fill_now(number, 10, 1_000)
    broker.notices()
    broker.advance(15 * US)
    assert stream(broker) == [OrderNotice("0000000002", "REJECTED", number, 0, 15 * US)]
    assert broker.status(number) == "FILLED"


def test_a_fault_plan_halts_refuses_and_rejects(broker):
    broker.halt("005930", halted=True)
    assert broker.place(0, "BUY", "LIMIT", "DAY", 70_000, 1, 2 * US)[:2] == (False, "PERMANENT")
    broker.halt("005930", halted=False)
    broker.reject_next("TRANSIENT", "CANCEL")
    number = buy(broker, 69_000, 1, 3 * US)
    assert broker.cancel(number, 4 * US)[:2] == (False, "TRANSIENT")
    broker.reject_next_at_exchange()
    rejected = buy(broker, 70_000, 1, 5 * US)
    assert broker.status(rejected) == "REJECTED"
    assert broker.positions() == []
    with pytest.raises(ValueError, match="expected one of TRANSIENT"):
        broker.reject_next("SOMETIMES")


def test_fills_are_asked_for_from_a_time_on_and_add_up(broker):
    buy(broker, 69_900, 60, 2 * US)
    for at in range(3, 9):
        broker.on_quote(0, 0, 0, 69_900 - 100 * at, 10, at * US)
    events = [FillEvent(*row) for row in broker.fills()]
    assert [event.cumulative_qty for event in events] == list(accumulate(event.qty for event in events))
    assert [event.ts_ns for event in map(FillEvent._make, broker.fills(8 * US))] == [8 * US]
    assert broker.cash()[0] == CASH - sum(event.qty * event.price + event.fee + event.tax for event in events)


def test_an_auction_fills_whom_it_reaches_at_its_price(broker):
    buy(broker, 69_900, 5, 2 * US)
    broker.on_trade(0, 69_700, 100, 3 * US, auction=True)
    assert [row[5] for row in broker.fills()] == [69_700]


def test_a_day_ends_with_its_orders_and_the_next_begins_anew(broker):
    number = buy(broker, 69_000, 1, 2 * US)
    assert not broker.start_day({0: 50_000})
    broker.end_session(3 * US)
    assert broker.status(number) == "EXPIRED"
    assert broker.start_day({0: 50_000})
    assert broker.orders() == []
    assert broker.place(0, "BUY", "LIMIT", "DAY", 69_000, 1, 4 * US)[2] == "RC4027"


def test_what_comes_from_elsewhere_is_in_the_account(broker):
    broker.deposit(500)
    broker.transfer_in("005930", 3, 180_000)
    assert broker.cash() == (CASH + 500, CASH + 500)
    assert broker.positions() == [("005930", 3, 3, 180_000)]


@pytest.mark.parametrize(
    ("config", "words"),
    [({"speed": 3}, "no setting"), ({"sessions": [(5, 9), (8, 10)]}, "overlap"), ({"sessions": [(5, 5)]}, "overlap")],
)
def test_settings_that_cannot_be_are_refused(config, words):
    with pytest.raises(ValueError, match=words):
        SimExchange(instruments(), cash=CASH, config=config)


def test_an_instrument_that_there_is_not_has_no_market(broker):
    with pytest.raises(ValueError, match="no instrument has the symbol"):
        broker.on_quote("999999", 1, 1, 2, 1, US)
