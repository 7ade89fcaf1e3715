//! What the broker does, one situation per test.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use super::*;
use crate::event::{Side, TickKind};
use crate::sim::matcher::testkit::record;
use crate::sim::matcher::{OrderKind, TimeInForce};
use crate::testing::krx_table;

const SEC: InstrumentId = InstrumentId(0);
const HYNIX: InstrumentId = InstrumentId(1);
const CASH: i64 = 10_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// A broker with 10 million won and a market of 69,900 x 30 against 70,000 x 40; each call is a microsecond later.
struct Scene {
    broker: SimExchange,
    now_ns: i64,
}

impl Scene {
    fn with(config: BrokerConfig) -> Self {
        let bases = BTreeMap::from([(SEC, Price(70_000))]);
        let instruments = Arc::new(krx_table(&["005930", "000660"]));
        let mut scene =
            Self { broker: SimExchange::new(instruments, Money(CASH), &bases, config), now_ns: 0 };
        scene.quote((69_900, 30), (70_000, 40));
        scene
    }

    fn new() -> Self {
        Self::with(BrokerConfig { requests_per_s: 0, ..BrokerConfig::default() })
    }

    /// The exchange has requests ten microseconds after the broker.
    fn slow() -> Self {
        let config = BrokerConfig { requests_per_s: 0, exchange_delay_ns: 10_000, ..BrokerConfig::default() };
        Self::with(config)
    }

    fn tick(&mut self) -> i64 {
        self.now_ns += 1_000;
        self.now_ns
    }

    fn quote(&mut self, bid: (i64, i64), ask: (i64, i64)) {
        let now_ns = self.tick();
        self.broker.on_quote(SEC, (Price(bid.0), Qty(bid.1)), (Price(ask.0), Qty(ask.1)), now_ns).unwrap();
    }

    fn trade(&mut self, price: i64, qty: i64) {
        let now_ns = self.tick();
        self.broker.on_trade(SEC, Price(price), Qty(qty), None, false, now_ns).unwrap();
    }

    fn send(&mut self, order: NewOrder) -> Answer {
        let now_ns = self.tick();
        self.broker.place(order, now_ns).unwrap()
    }

    fn buy(&mut self, limit: i64, qty: i64) -> OrderNo {
        taken(self.send(limit_order(Side::Buy, limit, qty)))
    }

    fn sell(&mut self, limit: i64, qty: i64) -> OrderNo {
        taken(self.send(limit_order(Side::Sell, limit, qty)))
    }

    fn amend(&mut self, number: OrderNo, limit: i64, qty: i64) -> Answer {
        let now_ns = self.tick();
        self.broker.amend(number, Price(limit), Qty(qty), now_ns).unwrap()
    }

    fn cancel(&mut self, number: OrderNo) -> Answer {
        let now_ns = self.tick();
        self.broker.cancel(number, now_ns).unwrap()
    }

    fn fill_now(&mut self, number: OrderNo, qty: i64, price: i64) -> bool {
        self.broker.fill_now(number, Qty(qty), Price(price)).unwrap()
    }

    /// The stream since the last call: (number, what, original, quantity that remains or was filled).
    fn said(&mut self) -> Vec<(u64, &'static str, u64, i64)> {
        let told = |notice| match notice {
            Notice::Fill(it) => (it.order_no.0, "FILL", 0, it.qty.0),
            Notice::Order(it) => (
                it.order_no.0,
                it.kind.name(),
                it.original_no.map_or(0, |original| original.0),
                it.remaining.0,
            ),
        };
        self.broker.take_notices().map(told).collect()
    }

    /// The list of the day: (number, original, quantity, filled, remaining, state).
    fn list(&self) -> Vec<(u64, u64, i64, i64, i64, &'static str)> {
        let row = |row: &OrderRow| {
            let original = row.original_no.map_or(0, |original| original.0);
            (row.order_no.0, original, row.order.qty.0, row.filled.0, row.remaining.0, row.state.name())
        };
        self.broker.orders(false).map(row).collect()
    }

    fn orderable(&self) -> i64 {
        self.broker.cash().unwrap().1.0
    }
}

fn limit_order(side: Side, limit: i64, qty: i64) -> NewOrder {
    NewOrder {
        instrument: SEC,
        side,
        kind: OrderKind::Limit,
        tif: TimeInForce::Day,
        limit: Price(limit),
        qty: Qty(qty),
    }
}

fn market_order(side: Side, qty: i64) -> NewOrder {
    NewOrder { kind: OrderKind::Market, ..limit_order(side, 0, qty) }
}

fn taken(answer: Answer) -> OrderNo {
    match answer {
        Answer::Taken(number) => number,
        Answer::Refused(refusal) => panic!("{refusal:?}"),
    }
}

/// What a purchase costs with 1.5 bps of commission, as booked.
fn paid(price: i64, qty: i64) -> i64 {
    price * qty + price * qty * 15 / 100_000
}

mod an_order {
    use super::*;

    #[test]
    fn gets_a_number_and_the_stream_tells_what_becomes_of_it() {
        let mut scene = Scene::new();
        let number = scene.buy(70_000, 50);
        assert_eq!(number.to_string(), "0000000001");
        assert_eq!(scene.said(), [(1, "ACCEPTED", 0, 50), (1, "FILL", 0, 40)]);
        assert_eq!(scene.list(), [(1, 0, 50, 40, 10, "LIVE")]);
        let cash = CASH - paid(70_000, 40);
        assert_eq!(scene.broker.cash().unwrap(), (Money(cash), Money(cash - 70_000 * 10 - 105)));
        let held =
            PositionRow { instrument: SEC, qty: Qty(40), sellable: Qty(40), cost_total: Money(70_000 * 40) };
        assert_eq!(scene.broker.positions().collect::<Vec<_>>(), [held]);
    }

    #[test]
    fn sent_twice_is_two_orders() {
        let mut scene = Scene::new();
        assert_ne!(scene.buy(69_000, 5), scene.buy(69_000, 5));
        assert_eq!(scene.broker.orders(true).count(), 2);
    }

    #[test]
    fn at_market_holds_cash_for_the_upper_limit_until_it_is_filled() {
        let mut scene = Scene::slow();
        taken(scene.send(market_order(Side::Buy, 60)));
        assert_eq!(scene.orderable(), CASH - 91_000 * 60 - 819);
        assert_eq!(scene.list(), [(1, 0, 60, 0, 60, "LIVE")]);
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        assert_eq!(scene.said(), [(1, "ACCEPTED", 0, 60), (1, "FILL", 0, 40), (1, "CANCELLED", 0, 0)]);
        assert_eq!(scene.list(), [(1, 0, 60, 40, 0, "CANCELLED")]);
        assert_eq!(scene.orderable(), CASH - paid(70_000, 40));
        let too_many = scene.send(market_order(Side::Buy, 90));
        assert_eq!(too_many, Answer::Refused(Refusal::NO_CASH), "at the offered price it could be paid");
    }

    #[test]
    fn of_an_instrument_without_limits_holds_cash_for_what_is_offered() {
        let mut scene = Scene::new();
        let order = NewOrder { instrument: HYNIX, ..market_order(Side::Buy, 10) };
        assert_eq!(scene.send(order), Answer::Refused(Refusal::NO_PRICE));
        let now_ns = scene.tick();
        scene.broker.on_quote(HYNIX, (Price(0), Qty(0)), (Price(1_000), Qty(30)), now_ns).unwrap();
        taken(scene.send(order));
        assert_eq!(scene.said(), [(1, "ACCEPTED", 0, 10), (1, "FILL", 0, 10)]);
    }

    #[test]
    fn that_is_immediate_ends_cancelled() {
        let mut scene = Scene::new();
        taken(scene.send(NewOrder { tif: TimeInForce::Ioc, ..limit_order(Side::Buy, 69_950 - 50, 5) }));
        assert_eq!(scene.said(), [(1, "ACCEPTED", 0, 5), (1, "CANCELLED", 0, 0)]);
    }

    #[test]
    fn that_sells_pays_fee_and_tax_and_takes_its_share_of_the_cost() {
        let mut scene = Scene::new();
        scene.buy(70_000, 40);
        scene.sell(69_900, 10);
        let proceeds = 699_000 - 104 - 1_398;
        assert_eq!(scene.broker.cash().unwrap().0, Money(CASH - paid(70_000, 40) + proceeds));
        let held = scene.broker.positions().next().unwrap();
        assert_eq!((held.qty, held.cost_total), (Qty(30), Money(70_000 * 30)));
        let sold = scene.broker.executions(0).last().unwrap();
        assert_eq!((sold.fee, sold.tax, sold.cumulative), (Money(104), Money(1_398), Qty(10)));
    }

    #[test]
    fn that_the_broker_cannot_take_is_refused_and_gets_no_number() {
        let mut scene = Scene::new();
        let limit = |limit, qty| limit_order(Side::Buy, limit, qty);
        let of = |order: NewOrder, instrument| NewOrder { instrument: InstrumentId(instrument), ..order };
        let cases = [
            (of(limit(70_000, 1), 9), Refusal::NO_SYMBOL),
            (limit(70_000, 0), Refusal::BAD_QTY),
            (limit(70_050, 1), Refusal::OFF_TICK),
            (limit(0, 1), Refusal::OFF_TICK),
            (limit(91_100, 1), Refusal::OUT_OF_BAND),
            (limit(48_900, 1), Refusal::OUT_OF_BAND),
            (limit(70_000, 143), Refusal::NO_CASH),
            (limit_order(Side::Sell, 70_000, 1), Refusal::NO_HOLDING),
        ];
        for (order, refusal) in cases {
            assert_eq!(scene.send(order), Answer::Refused(refusal), "{order:?}");
        }
        assert_eq!((scene.said(), scene.list()), (vec![], vec![]));
        assert_eq!(scene.buy(70_000, 142).0, 1);
    }

    #[test]
    fn cannot_offer_what_is_offered_already() {
        let mut scene = Scene::new();
        scene.broker.transfer_in(SEC, Qty(10), Money(650_000)).unwrap();
        let number = scene.sell(71_000, 7);
        assert_eq!(scene.broker.positions().next().unwrap().sellable, Qty(3));
        assert_eq!(scene.send(limit_order(Side::Sell, 71_000, 4)), Answer::Refused(Refusal::NO_HOLDING));
        scene.cancel(number);
        assert_eq!(scene.broker.positions().next().unwrap().sellable, Qty(10));
    }
}

mod an_amendment {
    use super::*;

    #[test]
    fn takes_over_what_is_left_under_its_own_number() {
        let mut scene = Scene::new();
        let number = scene.buy(70_000, 50);
        scene.said();
        let new = taken(scene.amend(number, 69_800, 50));
        assert_eq!(scene.said(), [(2, "AMENDED", 1, 10)]);
        assert_eq!(scene.list(), [(1, 0, 50, 40, 0, "AMENDED"), (2, 1, 10, 0, 10, "LIVE")]);
        assert_eq!(scene.orderable(), CASH - paid(70_000, 40) - 69_800 * 10 - 105);
        assert_eq!(scene.amend(number, 69_700, 50), Answer::Refused(Refusal::NOTHING_LEFT));
        scene.trade(69_700, 4);
        let last = scene.broker.executions(0).last().unwrap();
        assert_eq!((last.order_no, last.qty, last.cumulative), (new, Qty(4), Qty(44)));
        assert_eq!(scene.list()[1], (2, 1, 10, 4, 6, "LIVE"));
    }

    #[test]
    fn may_trade_at_once() {
        let mut scene = Scene::new();
        let number = scene.buy(69_000, 50);
        scene.said();
        scene.amend(number, 70_000, 30);
        assert_eq!(scene.said(), [(2, "AMENDED", 1, 30), (2, "FILL", 0, 30)]);
        assert_eq!(scene.list(), [(1, 0, 50, 0, 0, "AMENDED"), (2, 1, 30, 30, 0, "FILLED")]);
        assert_eq!(scene.orderable(), CASH - paid(70_000, 30));
    }

    #[test]
    fn that_only_takes_quantity_away_keeps_its_place_under_a_new_number() {
        let mut scene = Scene::new();
        let number = scene.buy(69_900, 20);
        scene.trade(69_900, 30);
        scene.amend(number, 69_900, 15);
        scene.said();
        scene.trade(69_900, 9);
        assert_eq!(scene.said(), [(2, "FILL", 0, 9)]);
    }

    #[test]
    fn cannot_ask_for_more_nor_for_no_more_than_is_filled() {
        let mut scene = Scene::new();
        let number = scene.buy(70_000, 50);
        for qty in [51, 40, 39] {
            assert_eq!(scene.amend(number, 70_000, qty), Answer::Refused(Refusal::BAD_AMEND_QTY), "{qty}");
        }
        assert_eq!(scene.amend(number, 70_000, 0), Answer::Refused(Refusal::BAD_QTY));
        assert_eq!(scene.amend(number, 70_050, 50), Answer::Refused(Refusal::OFF_TICK));
        assert_eq!(scene.amend(number, 91_100, 50), Answer::Refused(Refusal::OUT_OF_BAND));
        assert_eq!(scene.amend(OrderNo(7), 70_000, 50), Answer::Refused(Refusal::NO_ORDER));
        assert_eq!(scene.list(), [(1, 0, 50, 40, 10, "LIVE")]);
    }

    #[test]
    fn to_a_price_that_cannot_be_paid_is_refused() {
        let mut scene = Scene::new();
        let number = scene.buy(69_000, 140);
        assert_eq!(scene.amend(number, 71_500, 140), Answer::Refused(Refusal::NO_CASH));
        taken(scene.amend(number, 71_300, 140));
    }

    #[test]
    fn holds_the_dearer_price_until_it_is_answered_and_only_one_is_on_its_way() {
        let mut scene = Scene::slow();
        let number = scene.buy(69_000, 10);
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        scene.now_ns += 10_000;
        let new = taken(scene.amend(number, 69_500, 10));
        assert_eq!(scene.orderable(), CASH - 695_000 - 105);
        assert_eq!(scene.amend(number, 69_600, 10), Answer::Refused(Refusal::BUSY));
        assert_eq!(scene.amend(new, 69_600, 10), Answer::Refused(Refusal::BUSY));
        assert_eq!(scene.list(), [(1, 0, 10, 0, 10, "LIVE")]);
        scene.said();
        assert!(scene.fill_now(number, 10, 69_000), "a fill is faster");
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        assert_eq!(scene.said(), [(1, "FILL", 0, 10), (2, "REJECTED", 1, 0)]);
        assert_eq!(scene.list(), [(1, 0, 10, 10, 0, "FILLED")]);
        assert_eq!(scene.orderable(), CASH - paid(69_000, 10));
    }

    #[test]
    fn that_a_partial_fill_overtakes_is_refused_by_the_exchange_and_the_order_goes_on() {
        let mut scene = Scene::slow();
        let number = scene.buy(69_000, 10);
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        scene.now_ns += 10_000;
        taken(scene.amend(number, 69_000, 4));
        scene.fill_now(number, 5, 69_000);
        scene.said();
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        assert_eq!(scene.said(), [(2, "REJECTED", 1, 5)]);
        scene.now_ns += 10_000;
        taken(scene.amend(number, 69_100, 10));
    }
}

mod a_cancel {
    use super::*;

    #[test]
    fn has_a_number_of_its_own_and_ends_the_order_by_its_number() {
        let mut scene = Scene::new();
        let number = scene.buy(69_000, 10);
        scene.said();
        assert_eq!(scene.cancel(number), Answer::Taken(OrderNo(2)));
        assert_eq!(scene.said(), [(1, "CANCELLED", 0, 0)]);
        assert_eq!(scene.list(), [(1, 0, 10, 0, 0, "CANCELLED")]);
        assert_eq!(scene.cancel(number), Answer::Refused(Refusal::NOTHING_LEFT));
        assert_eq!(scene.cancel(OrderNo(2)), Answer::Refused(Refusal::NO_ORDER));
        assert_eq!(scene.orderable(), CASH);
    }

    #[test]
    fn that_was_taken_may_still_come_too_late() {
        let mut scene = Scene::slow();
        let number = scene.buy(69_900, 10);
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        scene.now_ns += 10_000;
        taken(scene.cancel(number));
        scene.trade(69_800, 10);
        scene.said();
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        assert_eq!(scene.said(), [(2, "REJECTED", 1, 0)]);
        assert_eq!(scene.list(), [(1, 0, 10, 10, 0, "FILLED")]);
    }

    #[test]
    fn of_a_number_that_an_amendment_has_replaced_names_nothing() {
        let mut scene = Scene::slow();
        let number = scene.buy(69_000, 10);
        taken(scene.amend(number, 69_100, 10));
        taken(scene.cancel(number));
        taken(scene.cancel(OrderNo(2)));
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        let said = scene.said();
        assert_eq!(
            said,
            [(1, "ACCEPTED", 0, 10), (2, "AMENDED", 1, 10), (3, "REJECTED", 1, 0), (2, "CANCELLED", 1, 0)]
        );
    }
}

mod the_day {
    use super::*;

    #[test]
    fn has_hours() {
        let config =
            BrokerConfig { sessions: vec![(5_000, 9_000), (20_000, 30_000)], ..BrokerConfig::default() };
        let mut scene = Scene::with(config);
        let closed = Answer::Refused(Refusal::CLOSED);
        assert_eq!(scene.send(limit_order(Side::Buy, 70_000, 5)), closed, "at 2,000");
        scene.now_ns = 4_000;
        let number = scene.buy(69_900, 5);
        assert_eq!(number.0, 1, "at 5,000");
        scene.now_ns = 8_000;
        assert_eq!(scene.cancel(number), closed, "at 9,000");
        scene.trade(69_000, 50);
        assert_eq!(scene.list(), [(1, 0, 5, 0, 5, "LIVE")], "nothing trades while it is closed");
        scene.now_ns = 19_000;
        scene.trade(69_000, 50);
        assert_eq!(scene.list(), [(1, 0, 5, 5, 0, "FILLED")]);
        scene.now_ns = 29_000;
        assert_eq!(scene.send(limit_order(Side::Buy, 70_000, 5)), closed, "at 30,000");
    }

    #[test]
    fn ends_with_what_works_and_with_what_is_on_its_way() {
        let mut scene = Scene::slow();
        let number = scene.buy(69_000, 10);
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        scene.now_ns += 10_000;
        scene.buy(69_000, 10);
        taken(scene.cancel(number));
        scene.said();
        let now_ns = scene.tick();
        scene.broker.end_session(now_ns).unwrap();
        assert_eq!(scene.said(), [(2, "REJECTED", 0, 0), (3, "REJECTED", 1, 10), (1, "EXPIRED", 0, 0)]);
        assert_eq!(scene.list(), [(1, 0, 10, 0, 0, "EXPIRED"), (2, 0, 10, 0, 0, "REJECTED")]);
        assert_eq!(scene.orderable(), CASH);
    }

    #[test]
    fn that_follows_begins_with_empty_lists_and_the_first_number() {
        let mut scene = Scene::new();
        scene.buy(70_000, 10);
        let number = scene.buy(69_000, 10);
        let bases = BTreeMap::from([(SEC, Price(50_000))]);
        assert!(!scene.broker.start_day(&bases), "an order works");
        scene.cancel(number);
        assert!(scene.broker.start_day(&bases));
        assert_eq!((scene.list().len(), scene.broker.executions(0).count()), (0, 0));
        assert_eq!(scene.broker.positions().next().unwrap().qty, Qty(10));
        assert_eq!(scene.send(limit_order(Side::Buy, 70_000, 1)), Answer::Refused(Refusal::OUT_OF_BAND));
        assert_eq!(scene.buy(65_000, 1).0, 1);
        scene.fill_now(OrderNo(1), 1, 65_000);
        assert_eq!(scene.broker.executions(0).next().unwrap().exec_no, 2, "never given twice");
    }

    #[test]
    fn takes_so_many_requests_a_second() {
        let mut scene = Scene::with(BrokerConfig { requests_per_s: 2, ..BrokerConfig::default() });
        let number = scene.buy(69_000, 1);
        let first_ns = scene.now_ns;
        scene.broker.charge(scene.now_ns + 1_000).unwrap();
        scene.now_ns += 1_000;
        assert_eq!(scene.cancel(number), Answer::Refused(Refusal::TOO_FAST));
        assert_eq!(scene.broker.charge(scene.now_ns), Err(Refusal::TOO_FAST));
        scene.now_ns = first_ns + SECOND_NS - 1_000;
        taken(scene.cancel(number));
        assert_eq!(scene.broker.charge(first_ns + SECOND_NS), Err(Refusal::TOO_FAST));
        assert_eq!(scene.broker.charge(first_ns + SECOND_NS + 1_000), Ok(()));
    }
}

mod a_fault_plan {
    use super::*;

    #[test]
    fn halts_an_instrument() {
        let mut scene = Scene::new();
        let number = scene.buy(69_900, 10);
        let other = scene.buy(69_800, 10);
        scene.broker.halt(SEC, true).unwrap();
        scene.trade(69_000, 50);
        scene.quote((68_000, 30), (69_900, 4));
        assert_eq!(scene.send(limit_order(Side::Buy, 70_000, 5)), Answer::Refused(Refusal::HALTED));
        assert_eq!(scene.amend(number, 69_800, 10), Answer::Refused(Refusal::HALTED));
        taken(scene.cancel(other));
        assert_eq!(scene.list()[0], (1, 0, 10, 0, 10, "LIVE"));
        scene.said();
        scene.broker.halt(SEC, false).unwrap();
        assert_eq!(scene.said(), [(1, "FILL", 0, 4)], "what the halt ends with is shown");
    }

    #[test]
    fn halts_an_instrument_while_an_order_is_on_its_way() {
        let mut scene = Scene::slow();
        scene.buy(70_000, 10);
        scene.broker.halt(SEC, true).unwrap();
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        assert_eq!(scene.said(), [(1, "REJECTED", 0, 0)]);
        assert_eq!(scene.list(), [(1, 0, 10, 0, 0, "REJECTED")]);
    }

    #[test]
    fn halts_an_instrument_while_an_amendment_is_on_its_way() {
        let mut scene = Scene::slow();
        let number = scene.buy(69_000, 10);
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        scene.now_ns += 10_000;
        taken(scene.amend(number, 69_500, 10));
        scene.broker.halt(SEC, true).unwrap();
        scene.said();
        scene.broker.advance(scene.now_ns + 10_000).unwrap();
        assert_eq!(scene.said(), [(2, "REJECTED", 1, 10)]);
        assert_eq!(scene.orderable(), CASH - 690_000 - 104);
        scene.broker.halt(SEC, false).unwrap();
        scene.now_ns += 10_000;
        taken(scene.amend(number, 69_500, 10));
    }

    #[test]
    fn fills_before_a_cancel() {
        let mut scene = Scene::new();
        let number = scene.buy(69_000, 10);
        let new = taken(scene.amend(number, 69_100, 10));
        assert!(scene.fill_now(number, 3, 69_000), "by any number of the order");
        assert!(!scene.fill_now(new, 8, 69_000));
        assert!(!scene.fill_now(new, 1, 69_200));
        assert!(!scene.fill_now(OrderNo(9), 1, 69_000));
        assert!(scene.fill_now(new, 7, 69_100));
        assert_eq!(scene.cancel(new), Answer::Refused(Refusal::NOTHING_LEFT));
        assert_eq!(scene.list()[1], (2, 1, 10, 10, 0, "FILLED"));
    }

    #[test]
    fn refuses_what_it_is_asked_to() {
        let mut scene = Scene::new();
        scene.broker.reject_next(RefusalKind::AlreadyDone, Some(Action::Cancel));
        scene.broker.reject_next(RefusalKind::Transient, None);
        scene.broker.reject_next(RefusalKind::Permanent, Some(Action::Place));
        let order = limit_order(Side::Buy, 69_000, 10);
        assert_eq!(scene.send(order), Answer::Refused(Refusal::TOO_FAST));
        assert_eq!(scene.send(order), Answer::Refused(Refusal::ON_DEMAND));
        let number = taken(scene.send(order));
        assert_eq!(scene.cancel(number), Answer::Refused(Refusal::NOTHING_LEFT));
        taken(scene.cancel(number));
    }

    #[test]
    fn refuses_at_the_exchange_what_the_broker_has_taken() {
        let mut scene = Scene::new();
        scene.broker.reject_next_at_exchange();
        scene.buy(70_000, 10);
        scene.buy(70_000, 10);
        assert_eq!(scene.said(), [(1, "REJECTED", 0, 0), (2, "ACCEPTED", 0, 10), (2, "FILL", 0, 10)]);
        assert_eq!(scene.list()[0], (1, 0, 10, 0, 0, "REJECTED"));
    }
}

#[test]
fn a_quote_that_comes_with_a_trade_counts_too() {
    let mut scene = Scene::new();
    scene.broker.halt(SEC, true).unwrap();
    let print = MarketRecord {
        ts_recv_ns: scene.tick(),
        price: Price(70_100),
        qty: Qty(5),
        ask: Price(70_200),
        ask_qty: Qty(9),
        ..record(SEC, TickKind::Trade)
    };
    scene.broker.on_record(&print).unwrap();
    scene.broker.halt(SEC, false).unwrap();
    scene.buy(70_200, 20);
    assert_eq!(scene.said(), [(1, "ACCEPTED", 0, 20), (1, "FILL", 0, 9)]);
}

#[test]
fn notices_that_nobody_fetches_are_lost_oldest_first() {
    let mut scene = Scene::with(BrokerConfig { notices_max: 2, ..BrokerConfig::default() });
    scene.buy(69_000, 1);
    scene.buy(69_000, 2);
    scene.buy(69_000, 3);
    assert_eq!(scene.broker.notices_lost(), 1);
    assert_eq!(scene.said(), [(2, "ACCEPTED", 0, 2), (3, "ACCEPTED", 0, 3)]);
}

#[test]
fn time_never_goes_back() {
    let mut scene = Scene::new();
    scene.now_ns = 50_000;
    scene.buy(69_000, 1);
    scene.now_ns = 10_000;
    scene.buy(69_000, 1);
    let times: Vec<i64> = scene.broker.orders(false).map(|row| row.ts_ns).collect();
    assert_eq!(times, [51_000, 51_000]);
}
