//! Working orders with their reservations.

use std::collections::BTreeMap;

use super::{OrderError, OrderEvent, OrderState, Reserved};
use crate::event::{EndReason, OrderId, Side, Track};
use crate::fixed::{Money, Price, Qty};
use crate::instrument::{Instrument, InstrumentId};
use crate::sim::matcher::{OrderKind, TimeInForce};

/// What somebody wants to trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderRequest {
    /// Instrument to trade.
    pub instrument: InstrumentId,
    /// Track that pays or holds.
    pub track: Track,
    /// Direction.
    pub side: Side,
    /// Limit or market.
    pub kind: OrderKind,
    /// How long the order may work.
    pub tif: TimeInForce,
    /// Worst price accepted, in price units. A market order needs one too: it bounds what the order can cost.
    pub limit: Price,
    /// Quantity, in quantity units, a positive multiple of the lot.
    pub qty: Qty,
}

/// What the gate needs to know of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Holdings {
    /// Cash in money units, reservations not yet deducted.
    pub cash: Money,
    /// Quantity held by the order's track, in quantity units.
    pub position: Qty,
    /// What the pool of the order's track lets purchases have; `None` if pools are not funded.
    pub pool: Option<PoolFunds>,
}

/// What the gate needs to know of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolFunds {
    /// Cash in money units that is not set aside, reservations not yet deducted.
    pub spendable: Money,
    /// Whether purchases are refused.
    pub is_blocked: bool,
}

/// An order that can still fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkingOrder {
    /// Identity.
    pub id: OrderId,
    /// What was asked for.
    pub request: OrderRequest,
    /// Where it stands.
    pub state: OrderState,
    /// Quantity filled so far, in quantity units.
    pub filled: Qty,
    /// Cash that the unfilled rest may still cost, in money units; zero for a sale.
    pub reserved: Money,
}

impl WorkingOrder {
    /// Quantity not yet filled, in quantity units.
    pub const fn remaining(&self) -> Qty {
        // `filled` never exceeds the quantity: `OrderTable::fill` refuses it.
        Qty(self.request.qty.0.saturating_sub(self.filled.0))
    }
}

/// An order's totals after a fill, both in quantity units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillTotals {
    /// Filled so far.
    pub cumulative: Qty,
    /// Left to fill.
    pub remaining: Qty,
}

/// Every order that can still fill, oldest first.
///
/// A terminal order leaves the table at once, so that memory does not grow with the length of a run.
#[derive(Debug, Default)]
pub struct OrderTable {
    last_id: u64,
    working: BTreeMap<u64, WorkingOrder>,
    reserved: Reserved,
    ended: [u64; OrderState::ALL.len()],
}

impl OrderTable {
    /// Passes `request` through the gate and, if it passes, holds a reservation and marks the order as sent.
    ///
    /// The id is used up in either case, so that a refusal can be reported under it.
    ///
    /// # Errors
    /// The reason of the refusal, with the id it was refused under; nothing is reserved.
    pub fn admit(
        &mut self,
        request: OrderRequest,
        instrument: &Instrument,
        holdings: Holdings,
        now_ns: i64,
    ) -> Result<WorkingOrder, (OrderId, EndReason)> {
        self.last_id = self.last_id.saturating_add(1);
        let id = OrderId(self.last_id);
        match self.reservation(&request, instrument, holdings, now_ns) {
            Ok(reserved) => {
                let order =
                    WorkingOrder { id, request, state: OrderState::Submitted, filled: Qty(0), reserved };
                self.reserved.hold(request.track, reserved);
                self.working.insert(id.0, order);
                Ok(order)
            }
            Err(reason) => {
                self.count(OrderState::Rejected);
                Err((id, reason))
            }
        }
    }

    /// Cash to hold for `request`, or why it may not leave.
    fn reservation(
        &self,
        request: &OrderRequest,
        instrument: &Instrument,
        holdings: Holdings,
        now_ns: i64,
    ) -> Result<Money, EndReason> {
        let lot = instrument.lot().0.max(1);
        if request.qty.0 <= 0 || request.qty.0.checked_rem(lot) != Some(0) {
            return Err(EndReason::QtyInvalid);
        }
        if request.limit.0 <= 0 || !instrument.is_on_tick(request.limit, now_ns) {
            return Err(EndReason::OffTick);
        }
        match request.side {
            Side::Sell => {
                let (_, selling) = self.working_qty(request.instrument, request.track);
                let free = holdings.position.0.saturating_sub(selling.0);
                if request.qty.0 > free { Err(EndReason::InsufficientPosition) } else { Ok(Money(0)) }
            }
            Side::Buy => {
                let free = self.free_for(request.track, holdings)?;
                // A cost beyond the range of money is certainly beyond the cash.
                let cost = worst_cost(instrument, request.limit, request.qty, now_ns)
                    .map_err(|_| EndReason::InsufficientCash)?;
                if cost.0 > free.0 { Err(EndReason::InsufficientCash) } else { Ok(cost) }
            }
        }
    }

    /// Cash that a purchase of `track` may take, in money units.
    fn free_for(&self, track: Track, holdings: Holdings) -> Result<Money, EndReason> {
        let free = holdings.cash.saturating_sub(self.reserved());
        match holdings.pool {
            Some(pool) if pool.is_blocked => Err(EndReason::PoolBlocked),
            Some(pool) => Ok(free.min(pool.spendable.saturating_sub(self.reserved.of(track)))),
            None => Ok(free),
        }
    }

    /// Applies `event`, which must not be a fill, and drops the order if that ends it.
    ///
    /// # Errors
    /// [`OrderError::NotWorking`] or [`OrderError::IllegalTransition`]; nothing changes.
    pub fn on(&mut self, id: OrderId, event: OrderEvent) -> Result<WorkingOrder, OrderError> {
        let order = self.working.get_mut(&id.0).ok_or(OrderError::NotWorking(id))?;
        order.state = order.state.on(event)?;
        let order = *order;
        if order.state.is_terminal() {
            self.drop_order(&order);
        }
        Ok(order)
    }

    /// Books a fill of `qty`, shrinks the reservation to what the rest may cost, and drops the order if it is full.
    ///
    /// # Errors
    /// [`OrderError::NotWorking`], [`OrderError::Overfilled`] or an overflow; nothing changes.
    pub fn fill(
        &mut self,
        id: OrderId,
        qty: Qty,
        instrument: &Instrument,
        now_ns: i64,
    ) -> Result<FillTotals, OrderError> {
        let order = self.working.get_mut(&id.0).ok_or(OrderError::NotWorking(id))?;
        let remaining = order.remaining();
        if qty.0 <= 0 || qty.0 > remaining.0 {
            return Err(OrderError::Overfilled { order: id, fill: qty.0, remaining: remaining.0 });
        }
        let filled = order.filled.checked_add(qty)?;
        let left = Qty(remaining.0.saturating_sub(qty.0));
        let event = if left.0 == 0 { OrderEvent::FullyFilled } else { OrderEvent::PartFilled };
        let state = order.state.on(event)?;
        let still_reserved = match order.request.side {
            Side::Sell => Money(0),
            Side::Buy if left.0 == 0 => Money(0),
            Side::Buy => worst_cost(instrument, order.request.limit, left, now_ns)?,
        };
        let released = order.reserved.saturating_sub(still_reserved);
        order.filled = filled;
        order.state = state;
        order.reserved = still_reserved;
        let order = *order;
        self.reserved.release(order.request.track, released);
        if order.state.is_terminal() {
            self.drop_order(&order);
        }
        Ok(FillTotals { cumulative: filled, remaining: left })
    }

    fn drop_order(&mut self, order: &WorkingOrder) {
        self.working.remove(&order.id.0);
        self.reserved.release(order.request.track, order.reserved);
        self.count(order.state);
    }

    fn count(&mut self, state: OrderState) {
        if let Some(count) = self.ended.get_mut(state as usize) {
            *count = count.saturating_add(1);
        }
    }

    /// The working order `id`, if it still works.
    pub fn get(&self, id: OrderId) -> Option<&WorkingOrder> {
        self.working.get(&id.0)
    }

    /// Working orders, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &WorkingOrder> {
        self.working.values()
    }

    /// Whether no order works.
    pub fn is_empty(&self) -> bool {
        self.working.is_empty()
    }

    /// Unfilled quantity of working buys and sells of `track` in `instrument`, in quantity units.
    pub fn working_qty(&self, instrument: InstrumentId, track: Track) -> (Qty, Qty) {
        let mut sides = (Qty(0), Qty(0));
        for order in self.working.values() {
            if order.request.instrument == instrument && order.request.track == track {
                let side = match order.request.side {
                    Side::Buy => &mut sides.0,
                    Side::Sell => &mut sides.1,
                };
                side.0 = side.0.saturating_add(order.remaining().0);
            }
        }
        sides
    }

    /// Cash held for working buys, in money units.
    pub const fn reserved(&self) -> Money {
        self.reserved.total()
    }

    /// The same by the track that pays.
    pub const fn reserved_by_track(&self) -> &Reserved {
        &self.reserved
    }

    /// Number of orders that ended in each state, in the order of [`OrderState::ALL`].
    pub const fn ended(&self) -> &[u64; OrderState::ALL.len()] {
        &self.ended
    }

    /// Number of ids given out so far.
    pub const fn submitted(&self) -> u64 {
        self.last_id
    }
}

/// The most that buying `qty` at `limit` or better can cost, fee included and rounded against us.
fn worst_cost(instrument: &Instrument, limit: Price, qty: Qty, now_ns: i64) -> Result<Money, OrderError> {
    let amount = instrument.amount(limit, qty)?;
    Ok(amount.checked_add(instrument.fee_ceil(Side::Buy, amount, now_ns)?)?)
}
