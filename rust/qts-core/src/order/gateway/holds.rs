//! Holds: cash for a group of orders that are sent one by one.
//!
//! A hold is what a quantity may cost at its price. Its orders reserve nothing themselves. The quantity that it covers
//! is what they may still fill and what has not been sent yet; fills shrink it, and what ends unfilled comes back to it
//! until it is closed.

use std::collections::BTreeMap;

use super::super::table::worst_cost;
use super::super::{OrderState, Refusal, WorkingOrder};
use super::Gateway;
use crate::event::{OrderId, Side, Track};
use crate::fixed::{Money, Price, Qty};
use crate::instrument::{Instrument, InstrumentId};

#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    pub(super) instrument: InstrumentId,
    pub(super) track: Track,
    /// Worst price that its orders may have.
    pub(super) price: Price,
    /// Not filled: what its orders may still fill, and what has not been sent.
    open: Qty,
    /// What its orders may still fill.
    live: Qty,
    amount: Money,
    /// Nothing has been kept for what is not sent: what a venue ends unfilled is released. What it refused, or what never
    /// left, still comes back: it may be sent again.
    is_closed: bool,
}

#[derive(Debug, Default)]
pub(super) struct Holds {
    last: u64,
    rows: BTreeMap<u64, Hold>,
}

impl Holds {
    pub(super) fn rows(&self) -> impl Iterator<Item = &Hold> {
        self.rows.values()
    }
}

impl Hold {
    const fn unsent(&self) -> i64 {
        self.open.0.saturating_sub(self.live.0)
    }

    fn cost(&self, instrument: &Instrument, qty: Qty, now_ns: i64) -> Money {
        // Less than what has been held once: it cannot leave the range.
        worst_cost(instrument, self.price, qty, now_ns).unwrap_or(self.amount)
    }
}

impl Gateway {
    /// Holds what `qty` may cost at `price`; the caller has seen that it is there.
    pub(super) fn open_hold(
        &mut self,
        (instrument, track): (InstrumentId, Track),
        price: Price,
        qty: Qty,
        amount: Money,
    ) -> u64 {
        self.holds.last = self.holds.last.saturating_add(1);
        let hold = Hold { instrument, track, price, open: qty, live: Qty(0), amount, is_closed: false };
        self.holds.rows.insert(self.holds.last, hold);
        self.table.hold_money(track, amount);
        self.holds.last
    }

    /// Whether a new order, or `more` of an old one, may draw on a hold.
    pub(super) fn check_hold(
        &self,
        hold: u64,
        at: (InstrumentId, Track),
        limit: Price,
        more: i64,
    ) -> Result<(), Refusal> {
        let hold = self.holds.rows.get(&hold).ok_or(Refusal::HoldGone)?;
        if (hold.instrument, hold.track) != at {
            return Err(Refusal::HoldGone);
        }
        if limit > hold.price {
            return Err(Refusal::HoldPrice);
        }
        if more > hold.unsent() { Err(Refusal::HoldQty) } else { Ok(()) }
    }

    /// Lets the hold of an order follow what has become of it; `filled` of it has been paid for.
    pub(super) fn follow(&mut self, hold: u64, before: Qty, after: &WorkingOrder, filled: Qty) {
        if hold == 0 {
            return;
        }
        let Some(row) = self.holds.rows.get_mut(&hold) else { return };
        let live = after.remaining();
        row.live = Qty(row.live.0.saturating_sub(before.0).saturating_add(live.0).max(0));
        row.open = Qty(row.open.0.saturating_sub(filled.0).max(row.live.0));
        let is_refused = after.state == OrderState::Rejected && !after.is_not_received;
        if row.is_closed && after.state.is_terminal() && !is_refused {
            let ended = before.0.saturating_sub(filled.0).max(0);
            row.open = Qty(row.open.0.saturating_sub(ended).max(row.live.0));
        }
        self.settle_hold(hold);
    }

    /// Holds exactly what the quantity that is left may cost; a hold without any is gone.
    fn settle_hold(&mut self, id: u64) {
        let Some(row) = self.holds.rows.get_mut(&id) else { return };
        let Some(instrument) = self.instruments.get(row.instrument) else { return };
        let amount = row.cost(instrument, row.open, self.now_ns);
        let (track, released) = (row.track, row.amount.saturating_sub(amount));
        row.amount = amount;
        let is_gone = row.open.0 == 0;
        self.table.hold_money(track, Money(0).saturating_sub(released));
        if is_gone {
            self.holds.rows.remove(&id);
        }
    }

    /// Shrinks a hold to what its live orders may still fill and `keep` that has not been sent.
    ///
    /// With nothing kept it is closed: what of its orders is cancelled or expires is released, so that no hold outlives its
    /// execution. What is refused or never left comes back all the same, to be sent again or closed once more. A hold
    /// that is gone stays gone.
    pub fn close_hold(&mut self, id: u64, keep: Qty) {
        if let Some(row) = self.holds.rows.get_mut(&id) {
            row.open = Qty(row.live.0.saturating_add(row.unsent().min(keep.0).max(0)));
            row.is_closed = keep.0 <= 0;
            self.settle_hold(id);
        }
    }

    /// What is held for an order in money units: its own reservation, or its share of its hold. 0 once it has ended.
    pub fn hold_of(&self, id: OrderId) -> Money {
        let Some(order) = self.table.get(id) else { return Money(0) };
        let hold = self.holds.rows.get(&order.terms.hold);
        match (hold, self.instrument(order.request.instrument)) {
            (Some(hold), Some(instrument)) if order.request.side == Side::Buy => {
                hold.cost(instrument, order.remaining(), self.now_ns).min(hold.amount)
            }
            _ => order.reserved,
        }
    }

    /// (money held, quantity not filled, quantity of it that live orders may fill) of a hold; `None` if it is gone.
    pub fn hold(&self, id: u64) -> Option<(Money, Qty, Qty)> {
        self.holds.rows.get(&id).map(|hold| (hold.amount, hold.open, hold.live))
    }

    /// Cash held by all holds together, in money units.
    pub fn held(&self) -> Money {
        self.holds.rows.values().fold(Money(0), |sum, hold| sum.saturating_add(hold.amount))
    }
}
