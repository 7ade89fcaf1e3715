//! What must hold for the broker whatever is asked of it and whatever the market does.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::event::Side;
use crate::sim::matcher::{OrderKind, TimeInForce};
use crate::testing::krx_table;

const ABC: InstrumentId = InstrumentId(0);
const CASH: i64 = 150_000;
const HELD: i64 = 40;

#[derive(Debug, Clone)]
enum Step {
    Place(NewOrder),
    /// Of the number given this many numbers ago.
    Amend {
        back: u64,
        limit: i64,
        qty: i64,
    },
    Cancel(u64),
    FillNow {
        back: u64,
        qty: i64,
        price: i64,
    },
    Quote {
        bid: i64,
        ask: i64,
        qty: (i64, i64),
    },
    Trade {
        price: i64,
        qty: i64,
        is_auction: bool,
    },
    Halt(bool),
    RejectNext(RefusalKind),
    RejectAtExchange,
    EndSession,
    StartDay,
}

/// Around the base of 1,000, and now and then beyond the limits of the day.
fn any_price() -> impl Strategy<Value = i64> {
    prop_oneof![20 => 996_i64..=1_004, 1 => Just(700_i64), 1 => Just(1_301_i64)]
}

fn any_order() -> impl Strategy<Value = NewOrder> {
    (any::<bool>(), any_price(), 0_i64..60, 0_u8..8).prop_map(|(buys, limit, qty, shape)| NewOrder {
        instrument: ABC,
        side: if buys { Side::Buy } else { Side::Sell },
        kind: if shape == 0 { OrderKind::Market } else { OrderKind::Limit },
        tif: if shape == 1 { TimeInForce::Ioc } else { TimeInForce::Day },
        limit: Price(if shape == 0 { 0 } else { limit }),
        qty: Qty(qty),
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let order = any_order().prop_map(Step::Place);
    let amend =
        (0_u64..5, any_price(), 0_i64..60).prop_map(|(back, limit, qty)| Step::Amend { back, limit, qty });
    let fill =
        (0_u64..5, 1_i64..20, any_price()).prop_map(|(back, qty, price)| Step::FillNow { back, qty, price });
    let quote = (996_i64..=1_004, 0_i64..4, (0_i64..30, 0_i64..30))
        .prop_map(|(bid, spread, qty)| Step::Quote { bid, ask: bid + spread, qty });
    let trade = (996_i64..=1_004, 0_i64..40, 0_u8..6).prop_map(|(price, qty, kind)| Step::Trade {
        price,
        qty,
        is_auction: kind == 0,
    });
    let kind = proptest::sample::select(RefusalKind::ALL.to_vec());
    prop_oneof![
        12 => order,
        6 => amend,
        4 => (0_u64..5).prop_map(Step::Cancel),
        3 => fill,
        8 => quote,
        8 => trade,
        1 => any::<bool>().prop_map(Step::Halt),
        1 => kind.prop_map(Step::RejectNext),
        1 => Just(Step::RejectAtExchange),
        1 => Just(Step::EndSession),
        1 => Just(Step::StartDay),
    ]
}

/// Follows answers and the stream, with none of the broker's own code, and holds the lists against them.
#[derive(Debug, Default)]
struct Auditor {
    /// Rows as the stream tells them.
    rows: BTreeMap<OrderNo, OrderRow>,
    /// Amendments and cancels taken and not answered: the number they name.
    open_requests: BTreeMap<OrderNo, OrderNo>,
    fills: Vec<Execution>,
    seen_fills: BTreeSet<u64>,
    /// Ordered under the first number of each order, and filled under all.
    totals: BTreeMap<OrderNo, (i64, i64)>,
    first_of: BTreeMap<OrderNo, OrderNo>,
    last_number: u64,
    cash: i64,
    held: i64,
}

impl Auditor {
    fn number_given(&mut self, number: OrderNo) {
        assert!(number.0 > self.last_number, "numbers ascend");
        self.last_number = number.0;
    }

    fn placed(&mut self, number: OrderNo, order: NewOrder, ts_ns: i64) {
        self.number_given(number);
        let row = OrderRow {
            order_no: number,
            original_no: None,
            order,
            filled: Qty(0),
            remaining: order.qty,
            state: RowState::Live,
            ts_ns,
        };
        self.rows.insert(number, row);
        self.totals.insert(number, (order.qty.0, 0));
        self.first_of.insert(number, number);
    }

    fn hear(&mut self, notice: &Notice, amended_limit: &BTreeMap<OrderNo, Price>) {
        match notice {
            Notice::Fill(it) => self.filled(it),
            Notice::Order(it) => match it.kind {
                NoticeKind::Accepted => assert_eq!(self.rows[&it.order_no].remaining, it.remaining),
                NoticeKind::Amended => self.amended(it, amended_limit[&it.order_no]),
                NoticeKind::Rejected if it.original_no.is_some() => {
                    let named = self.open_requests.remove(&it.order_no);
                    assert_eq!(named, it.original_no, "somebody asked for it");
                }
                NoticeKind::Cancelled => self.ended(it, RowState::Cancelled),
                NoticeKind::Rejected => self.ended(it, RowState::Rejected),
                NoticeKind::Expired => self.ended(it, RowState::Expired),
            },
        }
    }

    fn ended(&mut self, notice: &OrderNotice, state: RowState) {
        let row = self.rows.get_mut(&notice.order_no).unwrap();
        assert!(row.state == RowState::Live && notice.remaining == Qty(0), "{row:?}");
        (row.state, row.remaining) = (state, Qty(0));
    }

    fn amended(&mut self, notice: &OrderNotice, limit: Price) {
        let old = notice.original_no.unwrap();
        assert_eq!(self.open_requests.remove(&notice.order_no), Some(old));
        let row = self.rows.get_mut(&old).unwrap();
        assert!(row.state == RowState::Live && notice.remaining <= row.remaining && notice.remaining.0 > 0);
        let order = NewOrder { limit, qty: notice.remaining, ..row.order };
        let new = OrderRow {
            order_no: notice.order_no,
            original_no: Some(old),
            order,
            filled: Qty(0),
            remaining: notice.remaining,
            state: RowState::Live,
            ts_ns: notice.ts_ns,
        };
        (row.state, row.remaining) = (RowState::Amended, Qty(0));
        self.rows.insert(notice.order_no, new);
        let first = self.first_of[&old];
        self.first_of.insert(notice.order_no, first);
    }

    fn filled(&mut self, it: &Execution) {
        assert!(self.seen_fills.insert(it.exec_no), "an execution number is given once");
        let row = self.rows.get_mut(&it.order_no).unwrap();
        assert!(
            row.state == RowState::Live && it.qty.0 > 0 && it.qty <= row.remaining,
            "{row:?} is overfilled"
        );
        match row.order.side {
            Side::Buy => assert!(row.order.limit.0 == 0 || it.price <= row.order.limit),
            Side::Sell => assert!(it.price >= row.order.limit),
        }
        row.filled = Qty(row.filled.0 + it.qty.0);
        row.remaining = Qty(row.remaining.0 - it.qty.0);
        if row.remaining.0 == 0 {
            row.state = RowState::Filled;
        }
        let (ordered, filled) = self.totals.get_mut(&self.first_of[&it.order_no]).unwrap();
        *filled += it.qty.0;
        assert!(*filled <= *ordered && it.cumulative.0 == *filled);
        assert_eq!(it.amount.0, it.price.0 * it.qty.0);
        assert_eq!(it.fee.0, it.amount.0 * 15 / 100_000);
        match it.side {
            Side::Buy => {
                assert_eq!(it.tax.0, 0);
                self.cash -= it.amount.0 + it.fee.0;
                self.held += it.qty.0;
            }
            Side::Sell => {
                assert_eq!(it.tax.0, it.amount.0 * 20 / 10_000);
                self.cash += it.amount.0 - it.fee.0 - it.tax.0;
                self.held -= it.qty.0;
            }
        }
        self.fills.push(*it);
    }

    fn new_day(&mut self) {
        self.rows.clear();
        self.totals.clear();
        self.first_of.clear();
        self.fills.clear();
        self.last_number = 0;
        self.open_requests.clear();
    }

    /// Every request has been answered: an amendment by the stream, a cancel by it or by the end of its order.
    fn all_answered(&self) {
        for named in self.open_requests.values() {
            assert_eq!(self.rows[named].state, RowState::Cancelled, "{named}");
        }
    }

    /// What a live purchase may cost at most: at its limit or the one asked for, at market at the day's upper limit.
    fn hold(&self, row: &OrderRow, limits: &BTreeMap<OrderNo, Price>) -> i64 {
        let asked = self
            .open_requests
            .iter()
            .filter(|(_, named)| self.first_of.get(named) == self.first_of.get(&row.order_no));
        let dearest = asked.filter_map(|(number, _)| limits.get(number)).map(|limit| limit.0).max();
        let limit = if row.order.limit.0 == 0 { 1_300 } else { row.order.limit.0 };
        let amount = dearest.unwrap_or(0).max(limit) * row.remaining.0;
        amount + (amount * 15 + 99_999) / 100_000
    }

    /// The lists tell what the stream has told, and nobody is short of anything.
    fn compare(&self, broker: &SimExchange, limits: &BTreeMap<OrderNo, Price>) {
        assert_eq!(
            broker.orders(false).copied().collect::<Vec<_>>(),
            self.rows.values().copied().collect::<Vec<_>>()
        );
        assert!(broker.orders(true).all(|row| row.state == RowState::Live && row.remaining.0 > 0));
        assert_eq!(broker.executions(0).copied().collect::<Vec<_>>(), self.fills);
        let (cash, orderable) = broker.cash().unwrap();
        assert_eq!(cash.0, self.cash);
        assert!(0 <= orderable.0 && orderable <= cash, "{orderable:?} of {cash:?}");
        let live = |side| {
            self.rows.values().filter(move |row| row.state == RowState::Live && row.order.side == side)
        };
        let held: i64 = live(Side::Buy).map(|row| self.hold(row, limits)).sum();
        assert_eq!(orderable.0, cash.0 - held);
        let offered: i64 = live(Side::Sell).map(|row| row.remaining.0).sum();
        let (qty, sellable) = broker.positions().next().map_or((0, 0), |row| (row.qty.0, row.sellable.0));
        assert_eq!((qty, sellable), (self.held, self.held - offered));
        assert!(sellable >= 0);
    }
}

/// Plays `steps`, one a microsecond, and audits after each.
fn play(steps: &[Step], exchange_delay_ns: i64) {
    let bases = BTreeMap::from([(ABC, Price(1_000))]);
    let config = BrokerConfig { requests_per_s: 0, exchange_delay_ns, ..BrokerConfig::default() };
    let mut broker = SimExchange::new(Arc::new(krx_table(&["005930"])), Money(CASH), &bases, config);
    broker.transfer_in(ABC, Qty(HELD), Money(HELD * 900)).unwrap();
    let mut auditor = Auditor { cash: CASH, held: HELD, ..Auditor::default() };
    let mut limits = BTreeMap::new();
    for (now_ns, step) in (1..).map(|at: i64| at * 1_000).zip(steps) {
        // What is due by now comes first, as it does at the broker.
        broker.advance(now_ns).unwrap();
        broker.take_notices().for_each(|notice| auditor.hear(&notice, &limits));
        let given = |back: u64| OrderNo(auditor.last_number.saturating_sub(back));
        match *step {
            Step::Place(order) => {
                if let Answer::Taken(number) = broker.place(order, now_ns).unwrap() {
                    auditor.placed(number, order, now_ns);
                }
            }
            Step::Amend { back, limit, qty } => {
                let named = given(back);
                if let Answer::Taken(number) = broker.amend(named, Price(limit), Qty(qty), now_ns).unwrap() {
                    auditor.number_given(number);
                    auditor.open_requests.insert(number, named);
                    limits.insert(number, Price(limit));
                }
            }
            Step::Cancel(back) => {
                let named = given(back);
                if let Answer::Taken(number) = broker.cancel(named, now_ns).unwrap() {
                    auditor.number_given(number);
                    // Answered by the end of the order it names, or refused.
                    auditor.open_requests.insert(number, named);
                }
            }
            Step::FillNow { back, qty, price } => {
                broker.fill_now(given(back), Qty(qty), Price(price)).unwrap();
            }
            Step::Quote { bid, ask, qty } => {
                broker.on_quote(ABC, (Price(bid), Qty(qty.0)), (Price(ask), Qty(qty.1)), now_ns).unwrap();
            }
            Step::Trade { price, qty, is_auction } => {
                broker.on_trade(ABC, Price(price), Qty(qty), None, is_auction, now_ns).unwrap();
            }
            Step::Halt(is_halted) => broker.halt(ABC, is_halted).unwrap(),
            Step::RejectNext(kind) => broker.reject_next(kind, None),
            Step::RejectAtExchange => broker.reject_next_at_exchange(),
            Step::EndSession => broker.end_session(now_ns).unwrap(),
            Step::StartDay => {
                if broker.start_day(&bases) {
                    auditor.all_answered();
                    auditor.new_day();
                    limits.clear();
                }
            }
        }
        broker.take_notices().for_each(|notice| auditor.hear(&notice, &limits));
        auditor.compare(&broker, &limits);
    }
    broker.end_session(i64::MAX).unwrap();
    broker.take_notices().for_each(|notice| auditor.hear(&notice, &limits));
    auditor.compare(&broker, &limits);
    auditor.all_answered();
    assert_eq!(broker.orders(true).count(), 0);
    assert_eq!(broker.cash().unwrap().0, broker.cash().unwrap().1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn list_and_stream_and_account_tell_the_same(steps in proptest::collection::vec(any_step(), 1..80)) {
        play(&steps, 0);
    }

    #[test]
    fn they_do_where_the_exchange_is_slow(
        steps in proptest::collection::vec(any_step(), 1..80),
        delay_ns in 1_i64..6_000,
    ) {
        play(&steps, delay_ns);
    }
}
