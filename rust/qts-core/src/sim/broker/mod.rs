//! A broker as Korean ones are, with an exchange behind it: the world that adapters and fault plans are tried on.
//!
//! It keeps its own books and trusts nobody's: cash, holdings by symbol (it knows of no tracks), the orders and the
//! executions of the day. There is no client order id and nothing is recognised as a repetition: two equal requests
//! are two orders. What a request is answered with:
//!
//! * **A number** says that the broker has taken it, and no more. Order, amendment and cancel each get a new one. What
//!   became of it is told by the stream of notices and by the list of the day, which never contradict each other.
//! * **A refusal** says that it was not carried out, with kind, code and words ([`Refusal`]).
//!
//! An amendment names the number that the order goes by now. When it goes through, what is left of the order goes over
//! to the amendment's number, with the old number as its original; the old number keeps what was filled under it. The
//! quantity of an amendment is that of the whole order with everything filled; it may fall and never grow. After a
//! cancel has been taken the order may still fill: the exchange has the last word
//! ([`BrokerConfig::exchange_delay_ns`]).
//!
//! Market orders hold cash for the upper limit of the day. Money of sales can be used at once.
//!
//! No wall clock: each call says when it happens; time that goes back stands still. Errors ([`FixedError`]) are figures
//! that left their range; nothing else can go wrong.

mod account;
mod config;
mod exchange;
mod hooks;
mod lists;
mod orders;
mod refusal;
mod requests;
mod stream;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::event::MarketRecord;
use crate::fixed::{Money, Price, Qty};
use crate::instrument::{Instrument, InstrumentId, InstrumentTable};
use crate::sim::matcher::{BookReport, Matcher};

pub use account::Holding;
pub use config::BrokerConfig;
pub use hooks::Action;
pub use lists::PositionRow;
pub use orders::{NewOrder, OrderNo, OrderRow, RowState};
pub use refusal::{Refusal, RefusalKind, TAKEN};
pub use requests::Answer;
pub use stream::{Execution, Notice, NoticeKind, OrderNotice};

use account::Account;
use config::Throttle;
use hooks::Armed;
use orders::DayOrders;
use stream::Stream;

/// What the broker has taken and the exchange has not got yet.
#[derive(Debug, Clone, Copy)]
enum Request {
    Place { root: OrderNo },
    Amend { root: OrderNo, number: OrderNo, named: OrderNo, limit: Price, qty: Qty },
    Cancel { root: OrderNo, number: OrderNo, named: OrderNo },
}

/// The state of trading in an instrument.
#[derive(Debug, Clone, Copy, Default)]
struct Trading {
    is_halted: bool,
    /// Base price of the day's limits; 0 = no limits.
    base: Price,
    /// What was shown last.
    shown: Option<MarketRecord>,
    /// Whether it was shown while nothing traded, so that the book has not seen it.
    is_unseen: bool,
}

/// A broker with an exchange behind it; see the module.
#[derive(Debug)]
pub struct SimExchange {
    instruments: Arc<InstrumentTable>,
    config: BrokerConfig,
    matcher: Matcher,
    /// Dense by instrument number.
    trading: Vec<Trading>,
    account: Account,
    orders: DayOrders,
    executions: Vec<Execution>,
    stream: Stream,
    throttle: Throttle,
    in_transit: VecDeque<(i64, Request)>,
    armed: Armed,
    next_order_no: u64,
    next_exec_no: u64,
    now_ns: i64,
    /// Reports of one call to the matcher, on their way into the books.
    reports: Vec<BookReport>,
}

impl SimExchange {
    /// A broker with one account of `cash`. `base_prices` are the bases of the day's limits; an instrument without one
    /// has none.
    pub fn new(
        instruments: Arc<InstrumentTable>,
        cash: Money,
        base_prices: &BTreeMap<InstrumentId, Price>,
        config: BrokerConfig,
    ) -> Self {
        let mut exchange = Self {
            matcher: Matcher::new(Arc::clone(&instruments)),
            trading: vec![Trading::default(); instruments.len()],
            account: Account::new(instruments.len(), cash),
            orders: DayOrders::default(),
            executions: Vec::new(),
            stream: Stream::new(config.notices_max),
            throttle: Throttle::new(config.requests_per_s),
            in_transit: VecDeque::new(),
            armed: Armed::default(),
            next_order_no: config.first_order_no,
            next_exec_no: 1,
            now_ns: 0,
            reports: Vec::new(),
            config,
            instruments,
        };
        exchange.set_bases(base_prices);
        exchange
    }

    /// Begins a new day: the lists are empty and order numbers start again. Returns whether it could: not while an
    /// order is live.
    pub fn start_day(&mut self, base_prices: &BTreeMap<InstrumentId, Price>) -> bool {
        let can = self.orders.is_quiet() && self.in_transit.is_empty();
        if can {
            self.orders = DayOrders::default();
            self.executions.clear();
            self.next_order_no = self.config.first_order_no;
            self.set_bases(base_prices);
        }
        can
    }

    fn set_bases(&mut self, base_prices: &BTreeMap<InstrumentId, Price>) {
        for (id, trading) in (0..).map(InstrumentId).zip(&mut self.trading) {
            trading.base = base_prices.get(&id).copied().unwrap_or_default();
        }
    }

    fn trading(&self, instrument: InstrumentId) -> Trading {
        let slot = usize::try_from(instrument.0).ok();
        slot.and_then(|slot| self.trading.get(slot)).copied().unwrap_or_default()
    }

    fn trading_mut(&mut self, instrument: InstrumentId) -> Option<&mut Trading> {
        self.trading.get_mut(usize::try_from(instrument.0).ok()?)
    }

    /// Whether orders in the instrument can be executed at `ts_ns`.
    fn trades(&self, instrument: InstrumentId, ts_ns: i64) -> bool {
        self.config.is_open(ts_ns) && !self.trading(instrument).is_halted
    }

    /// Lowest and highest price of the day.
    fn limits(&self, instrument: &Instrument, id: InstrumentId, ts_ns: i64) -> Option<(Price, Price)> {
        instrument.price_limits(self.trading(id).base, ts_ns)
    }

    fn take_number(&mut self) -> OrderNo {
        let number = OrderNo(self.next_order_no);
        self.next_order_no = self.next_order_no.saturating_add(1);
        number
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
