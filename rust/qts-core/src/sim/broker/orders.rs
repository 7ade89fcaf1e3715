//! The orders of the day: rows by number, and the chains that amendments make of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::event::Side;
use crate::fixed::{FixedError, Money, Price, Qty};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::matcher::{OrderKind, TimeInForce};

/// A broker's number of an order, an amendment or a cancel: ten digits, ascending within a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderNo(pub u64);

impl OrderNo {
    /// The number of that text; `None` if it is no number.
    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok().map(Self)
    }
}

impl fmt::Display for OrderNo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:010}", self.0)
    }
}

/// An order as it is handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOrder {
    /// What to trade.
    pub instrument: InstrumentId,
    /// Direction.
    pub side: Side,
    /// Limit or market.
    pub kind: OrderKind,
    /// How long it works.
    pub tif: TimeInForce,
    /// Limit, in price units; 0 = none (market orders only).
    pub limit: Price,
    /// Quantity, in quantity units.
    pub qty: Qty,
}

/// What has become of the order under one of its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RowState {
    /// It works, or is on its way to the exchange.
    Live,
    /// All of it traded.
    Filled,
    /// The rest went over to a new number.
    Amended,
    /// The rest was taken off.
    Cancelled,
    /// The exchange refused it.
    Rejected,
    /// The session ended with it.
    Expired,
}

impl RowState {
    /// Name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "LIVE",
            Self::Filled => "FILLED",
            Self::Amended => "AMENDED",
            Self::Cancelled => "CANCELLED",
            Self::Rejected => "REJECTED",
            Self::Expired => "EXPIRED",
        }
    }
}

/// A row of the list of the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderRow {
    /// The number.
    pub order_no: OrderNo,
    /// The number whose rest this one took over, if it is an amendment.
    pub original_no: Option<OrderNo>,
    /// What to trade, as handed in; of an amendment, quantity and limit are those that this number began with.
    pub order: NewOrder,
    /// Filled under this number.
    pub filled: Qty,
    /// What works on under this number; 0 unless it is live.
    pub remaining: Qty,
    /// What has become of it.
    pub state: RowState,
    /// When it was accepted, UTC nanoseconds.
    pub ts_ns: i64,
}

/// An amendment that the exchange has not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct PendingAmend {
    pub number: OrderNo,
    pub limit: Price,
}

/// An order under all its numbers. The first of them is its identity at the exchange.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chain {
    /// The number that it goes by now.
    pub newest: OrderNo,
    /// As it stands now: limit and quantity with everything filled.
    pub order: NewOrder,
    /// The worst price it may trade at, a market order too; 0 = none (sales only).
    pub bound: Price,
    pub filled: Qty,
    pub pending: Option<PendingAmend>,
    pub is_live: bool,
}

impl Chain {
    pub(super) fn remaining(&self) -> Qty {
        self.order.qty.saturating_sub(self.filled)
    }

    /// What the rest of a purchase may still cost, also if its pending amendment goes through.
    pub(super) fn hold(&self, instrument: &Instrument, ts_ns: i64) -> Result<Money, FixedError> {
        if self.order.side == Side::Sell {
            return Ok(Money(0));
        }
        let pending = self.pending.map_or(Price(0), |pending| pending.limit);
        cost(instrument, self.bound.max(pending), self.remaining(), ts_ns)
    }
}

/// What buying `qty` at `price` takes at most, with the commission.
pub(super) fn cost(instrument: &Instrument, price: Price, qty: Qty, ts_ns: i64) -> Result<Money, FixedError> {
    let amount = instrument.amount(price, qty)?;
    amount.checked_add(instrument.fee_ceil(Side::Buy, amount, ts_ns)?)
}

/// Every order of the day.
#[derive(Debug, Default)]
pub(super) struct DayOrders {
    rows: BTreeMap<OrderNo, OrderRow>,
    /// By first number.
    chains: BTreeMap<OrderNo, Chain>,
    /// First number of each number, amendments not answered yet among them.
    roots: BTreeMap<OrderNo, OrderNo>,
    live: BTreeSet<OrderNo>,
}

impl DayOrders {
    pub(super) fn open(&mut self, number: OrderNo, order: NewOrder, bound: Price, ts_ns: i64) {
        self.insert_row(number, None, order, ts_ns);
        let chain = Chain { newest: number, order, bound, filled: Qty(0), pending: None, is_live: true };
        self.chains.insert(number, chain);
        self.roots.insert(number, number);
        self.live.insert(number);
    }

    fn insert_row(&mut self, number: OrderNo, original: Option<OrderNo>, order: NewOrder, ts_ns: i64) {
        let row = OrderRow {
            order_no: number,
            original_no: original,
            order,
            filled: Qty(0),
            remaining: order.qty,
            state: RowState::Live,
            ts_ns,
        };
        self.rows.insert(number, row);
    }

    /// The order that goes or went by `number`, with its first number.
    pub(super) fn find(&self, number: OrderNo) -> Option<(OrderNo, &Chain)> {
        let root = *self.roots.get(&number)?;
        Some((root, self.chains.get(&root)?))
    }

    pub(super) fn chain(&self, root: OrderNo) -> Option<&Chain> {
        self.chains.get(&root)
    }

    pub(super) fn row(&self, number: OrderNo) -> Option<&OrderRow> {
        self.rows.get(&number)
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &OrderRow> {
        self.rows.values()
    }

    /// Live orders, by first number.
    pub(super) fn live(&self) -> impl Iterator<Item = (OrderNo, &Chain)> {
        self.live.iter().filter_map(|root| Some((*root, self.chains.get(root)?)))
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.live.is_empty()
    }

    pub(super) fn begin_amend(&mut self, root: OrderNo, pending: PendingAmend) {
        if let Some(chain) = self.chains.get_mut(&root) {
            chain.pending = Some(pending);
            self.roots.insert(pending.number, root);
        }
    }

    pub(super) fn drop_amend(&mut self, root: OrderNo) {
        if let Some(chain) = self.chains.get_mut(&root) {
            chain.pending = None;
        }
    }

    /// Lets the pending amendment of an order take over what is left of it; returns the new row.
    pub(super) fn amend(&mut self, root: OrderNo, limit: Price, qty: Qty, ts_ns: i64) -> Option<OrderRow> {
        let chain = self.chains.get_mut(&root)?;
        let (old, new) = (chain.newest, chain.pending.take()?.number);
        chain.order = NewOrder { limit, qty, ..chain.order };
        (chain.newest, chain.bound) = (new, limit);
        let taken_over = NewOrder { qty: chain.remaining(), ..chain.order };
        self.close_row(old, RowState::Amended);
        self.insert_row(new, Some(old), taken_over, ts_ns);
        self.rows.get(&new).copied()
    }

    /// Counts a fill; returns the row and what has been filled under all numbers.
    pub(super) fn fill(&mut self, root: OrderNo, qty: Qty) -> Option<(OrderRow, Qty)> {
        let chain = self.chains.get_mut(&root)?;
        chain.filled = chain.filled.saturating_add(qty);
        let (newest, filled, is_full) = (chain.newest, chain.filled, chain.remaining().0 == 0);
        let row = self.rows.get_mut(&newest)?;
        row.filled = row.filled.saturating_add(qty);
        row.remaining = row.remaining.saturating_sub(qty);
        let row = *row;
        if is_full {
            self.end(root, RowState::Filled);
        }
        Some((row, filled))
    }

    /// Ends an order; returns the row that it ended under.
    pub(super) fn end(&mut self, root: OrderNo, state: RowState) -> Option<OrderRow> {
        let chain = self.chains.get_mut(&root)?;
        chain.is_live = false;
        let newest = chain.newest;
        self.live.remove(&root);
        self.close_row(newest, state);
        self.rows.get(&newest).copied()
    }

    fn close_row(&mut self, number: OrderNo, state: RowState) {
        if let Some(row) = self.rows.get_mut(&number) {
            row.state = state;
            row.remaining = Qty(0);
        }
    }
}
