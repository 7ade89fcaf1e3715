//! Working orders with their reservations, and the orders that have ended.

use std::collections::BTreeMap;

use super::ids::BrokerIds;
use super::{OrderError, OrderEvent, OrderState, Refusal, Reserved};
use crate::event::{OrderId, Side, Track};
use crate::fixed::{Money, Price, Qty};
use crate::instrument::{Instrument, InstrumentId};
use crate::safety::ActionClass;
use crate::sim::matcher::{OrderKind, TimeInForce};

/// Ended orders that are remembered, so that their late and repeated fills are known for what they are. A day has far
/// fewer; the oldest go first.
pub const ENDED_KEPT: usize = 16_384;

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

/// Who is behind an order, and what it draws on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// What the safety word was asked for.
    pub action: ActionClass,
    /// Hold that pays for it; 0 = it has a reservation of its own.
    pub hold: u64,
    /// Exit lease that it sells under; 0 = none.
    pub lease: u64,
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

/// An amendment without an answer: until it comes, either side of it may be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amend {
    /// Price asked for, in price units.
    pub limit: Price,
    /// Quantity asked for, what is filled among it, in quantity units.
    pub qty: Qty,
    /// Whether it has left.
    pub is_sent: bool,
    /// Whether its answer is lost.
    pub is_in_doubt: bool,
}

/// An order that has passed the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkingOrder {
    /// Identity.
    pub id: OrderId,
    /// What was asked for, as the last amendment left it.
    pub request: OrderRequest,
    /// Who is behind it.
    pub terms: Terms,
    /// Where it stands.
    pub state: OrderState,
    /// Quantity filled so far, in quantity units; above the quantity only after an over-fill.
    pub filled: Qty,
    /// Cash that the unfilled rest may still cost beside its hold, in money units; zero for a sale.
    pub reserved: Money,
    /// When it was sent, UTC nanoseconds; 0 before.
    pub submitted_ns: i64,
    /// The amendment that has no answer yet.
    pub amend: Option<Amend>,
    /// Whether the answer to its cancel is lost.
    pub is_cancel_in_doubt: bool,
    /// Whether the venue has proven never to have had it.
    pub is_not_received: bool,
}

impl WorkingOrder {
    /// Quantity that the venue may still fill, in quantity units; none once it has ended.
    pub fn remaining(&self) -> Qty {
        if self.state.is_terminal() {
            return Qty(0);
        }
        let amended = self.amend.map_or(Qty(0), |amend| amend.qty);
        Qty(self.request.qty.max(amended).0.saturating_sub(self.filled.0).max(0))
    }

    /// The same without an amendment that has not left: more than this is an over-fill.
    pub(super) fn fillable(&self) -> Qty {
        if self.state.is_terminal() {
            return Qty(0);
        }
        let amended = self.amend.filter(|amend| amend.is_sent).map_or(Qty(0), |amend| amend.qty);
        Qty(self.request.qty.max(amended).0.saturating_sub(self.filled.0).max(0))
    }

    /// What the rest may cost at most, in money units, whichever side of an amendment is true.
    pub(super) fn worst_cost(&self, instrument: &Instrument, now_ns: i64) -> Result<Money, OrderError> {
        if self.request.side == Side::Sell || self.terms.hold != 0 || self.state.is_terminal() {
            return Ok(Money(0));
        }
        let rest = |qty: Qty| Qty(qty.0.saturating_sub(self.filled.0).max(0));
        let cost = worst_cost(instrument, self.request.limit, rest(self.request.qty), now_ns)?;
        match self.amend {
            None => Ok(cost),
            Some(amend) => Ok(cost.max(worst_cost(instrument, amend.limit, rest(amend.qty), now_ns)?)),
        }
    }

    /// Whether everything asked for is filled, so that nothing more can come.
    fn is_full(&self) -> bool {
        self.fillable().0 == 0
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

/// Every order that can still fill, oldest first, and the last [`ENDED_KEPT`] that have ended.
#[derive(Debug, Default)]
pub struct OrderTable {
    last_id: u64,
    working: BTreeMap<u64, WorkingOrder>,
    done: BTreeMap<u64, WorkingOrder>,
    reserved: Reserved,
    ended: [u64; OrderState::ALL.len()],
    pub(super) ids: BrokerIds,
}

impl OrderTable {
    /// Passes `request` through the gate and, if it passes, holds a reservation: it is VALIDATED.
    ///
    /// The id is used up in either case, so that a refusal can be reported under it.
    ///
    /// # Errors
    /// The reason of the refusal, with the id it was refused under; nothing is reserved.
    pub fn admit(
        &mut self,
        request: OrderRequest,
        terms: Terms,
        instrument: &Instrument,
        holdings: Holdings,
        now_ns: i64,
    ) -> Result<WorkingOrder, (OrderId, Refusal)> {
        let reserved = match self.reservation(&request, terms, instrument, holdings, now_ns) {
            Ok(reserved) => reserved,
            Err(reason) => return Err((self.refuse(), reason)),
        };
        let id = self.next_id();
        let order = WorkingOrder {
            id,
            request,
            terms,
            state: OrderState::Validated,
            filled: Qty(0),
            reserved,
            submitted_ns: 0,
            amend: None,
            is_cancel_in_doubt: false,
            is_not_received: false,
        };
        self.reserved.hold(request.track, reserved);
        self.working.insert(id.0, order);
        Ok(order)
    }

    /// Uses up an id for an order that a gate has refused.
    pub(super) fn refuse(&mut self) -> OrderId {
        self.count(OrderState::Rejected);
        self.next_id()
    }

    const fn next_id(&mut self) -> OrderId {
        self.last_id = self.last_id.saturating_add(1);
        OrderId(self.last_id)
    }

    /// Takes in an order of a run before this one, as it stood then.
    pub(super) fn restore(&mut self, order: WorkingOrder) {
        self.last_id = self.last_id.max(order.id.0);
        self.reserved.hold(order.request.track, order.reserved);
        self.working.insert(order.id.0, order);
    }

    /// Cash to hold for `request`, or why it may not leave.
    fn reservation(
        &self,
        request: &OrderRequest,
        terms: Terms,
        instrument: &Instrument,
        holdings: Holdings,
        now_ns: i64,
    ) -> Result<Money, Refusal> {
        check_qty(request.qty, instrument)?;
        check_price(request.limit, instrument, now_ns)?;
        match request.side {
            Side::Sell => {
                let (_, selling) = self.working_qty(request.instrument, request.track);
                let free = holdings.position.0.saturating_sub(selling.0);
                if request.qty.0 > free { Err(Refusal::InsufficientPosition) } else { Ok(Money(0)) }
            }
            Side::Buy if terms.hold != 0 => Ok(Money(0)),
            Side::Buy => {
                let free = self.free_for(request.track, holdings)?;
                // A cost beyond the range of money is certainly beyond the cash.
                let cost = worst_cost(instrument, request.limit, request.qty, now_ns)
                    .map_err(|_| Refusal::InsufficientCash)?;
                if cost > free { Err(Refusal::InsufficientCash) } else { Ok(cost) }
            }
        }
    }

    /// Cash that a purchase of `track` may take, in money units.
    pub(super) fn free_for(&self, track: Track, holdings: Holdings) -> Result<Money, Refusal> {
        let free = holdings.cash.saturating_sub(self.reserved());
        match holdings.pool {
            Some(pool) if pool.is_blocked => Err(Refusal::PoolBlocked),
            Some(pool) => Ok(free.min(pool.spendable.saturating_sub(self.reserved.of(track)))),
            None => Ok(free),
        }
    }

    /// Notes an amendment that is to be sent, and holds what the dearer of the two sides may cost.
    pub(super) fn begin_amend(
        &mut self,
        id: OrderId,
        (limit, qty): (Price, Qty),
        instrument: &Instrument,
        holdings: Holdings,
        now_ns: i64,
    ) -> Result<WorkingOrder, Refusal> {
        let order = *self.working.get(&id.0).ok_or(Refusal::NotWorking)?;
        check_qty(qty, instrument)?;
        check_price(limit, instrument, now_ns)?;
        if qty <= order.filled {
            return Err(Refusal::QtyInvalid);
        }
        let more = qty.0.saturating_sub(order.request.qty.0);
        let mut after = order;
        after.amend = Some(Amend { limit, qty, is_sent: false, is_in_doubt: false });
        match order.request.side {
            Side::Sell => {
                let (_, selling) = self.working_qty(order.request.instrument, order.request.track);
                if more > holdings.position.0.saturating_sub(selling.0) {
                    return Err(Refusal::InsufficientPosition);
                }
            }
            Side::Buy => {
                let cost = after.worst_cost(instrument, now_ns).map_err(|_| Refusal::InsufficientCash)?;
                let grown = cost.saturating_sub(order.reserved);
                if grown.0 > 0 && grown > self.free_for(order.request.track, holdings)? {
                    return Err(Refusal::InsufficientCash);
                }
                after.reserved = cost;
            }
        }
        self.put(&order, after);
        Ok(after)
    }

    /// Changes an order in place by what is known of it now; `None` if it does not work.
    ///
    /// The reservation follows; an order that has nothing left to fill ends.
    pub(super) fn change(
        &mut self,
        id: OrderId,
        instrument: &Instrument,
        now_ns: i64,
        change: impl FnOnce(&mut WorkingOrder),
    ) -> Option<WorkingOrder> {
        let order = *self.working.get(&id.0)?;
        let mut after = order;
        change(&mut after);
        if after.state != OrderState::Validated
            && after.is_full()
            && let Ok(state) = after.state.on(OrderEvent::FullyFilled)
        {
            after.state = state;
        }
        // What is left of an order that could be paid for can be: an overflow is not possible.
        after.reserved = after.worst_cost(instrument, now_ns).unwrap_or(order.reserved);
        self.put(&order, after);
        Some(after)
    }

    /// Applies `event`, which must not be a fill, and drops the order if that ends it.
    ///
    /// # Errors
    /// [`OrderError::NotWorking`] or [`OrderError::IllegalTransition`]; nothing changes.
    pub fn on(&mut self, id: OrderId, event: OrderEvent) -> Result<WorkingOrder, OrderError> {
        let before = *self.working.get(&id.0).ok_or(OrderError::NotWorking(id))?;
        let mut order = before;
        order.state = order.state.on(event)?;
        if order.state.is_terminal() {
            order.reserved = Money(0);
            order.amend = None;
        }
        self.put(&before, order);
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
        let order = self.working.get(&id.0).ok_or(OrderError::NotWorking(id))?;
        let remaining = order.fillable();
        if qty.0 <= 0 || qty > remaining {
            return Err(OrderError::Overfilled { order: id, fill: qty.0, remaining: remaining.0 });
        }
        let (before, mut after) = (*order, *order);
        after.filled = order.filled.checked_add(qty)?;
        let event = if after.is_full() { OrderEvent::FullyFilled } else { OrderEvent::PartFilled };
        after.state = order.state.on(event)?;
        if after.state.is_terminal() {
            after.amend = None;
        }
        after.reserved = after.worst_cost(instrument, now_ns)?;
        self.put(&before, after);
        Ok(FillTotals { cumulative: after.filled, remaining: after.remaining() })
    }

    /// Counts a fill that an order was not to have: more than it asked for, or after its end. A working order is full
    /// with it if nothing is left.
    pub(super) fn fill_beyond(&mut self, id: OrderId, qty: Qty) -> Result<FillTotals, OrderError> {
        if let Some(order) = self.done.get_mut(&id.0) {
            order.filled = order.filled.checked_add(qty)?;
            return Ok(FillTotals { cumulative: order.filled, remaining: Qty(0) });
        }
        let before = *self.working.get(&id.0).ok_or(OrderError::NotWorking(id))?;
        let mut after = before;
        after.filled = before.filled.checked_add(qty)?;
        after.state = before.state.on(OrderEvent::FullyFilled)?;
        after.reserved = Money(0);
        after.amend = None;
        self.put(&before, after);
        Ok(FillTotals { cumulative: after.filled, remaining: Qty(0) })
    }

    /// Replaces `before` by `after`, with what it holds; one that has ended leaves the working orders.
    fn put(&mut self, before: &WorkingOrder, after: WorkingOrder) {
        self.reserved.release(before.request.track, before.reserved);
        self.reserved.hold(after.request.track, after.reserved);
        if !after.state.is_terminal() {
            self.working.insert(after.id.0, after);
            return;
        }
        self.working.remove(&after.id.0);
        self.count(after.state);
        self.done.insert(after.id.0, after);
        if self.done.len() > ENDED_KEPT
            && let Some((oldest, _)) = self.done.pop_first()
        {
            self.ids.forget(oldest);
        }
    }

    /// Forgets the orders that have ended, with their numbers: a new day gives numbers anew.
    pub(super) fn forget_ended(&mut self) {
        for id in std::mem::take(&mut self.done).into_keys() {
            self.ids.forget(id);
        }
    }

    /// Holds more, or less if `amount` is negative, for a track beside its orders.
    pub(super) const fn hold_money(&mut self, track: Track, amount: Money) {
        self.reserved.hold(track, amount);
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

    /// The order `id`, working or ended, as long as it is remembered.
    pub fn known(&self, id: OrderId) -> Option<&WorkingOrder> {
        self.working.get(&id.0).or_else(|| self.done.get(&id.0))
    }

    /// Working orders, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &WorkingOrder> {
        self.working.values()
    }

    /// Whether no order works.
    pub fn is_empty(&self) -> bool {
        self.working.is_empty()
    }

    /// Unfilled quantity of working buys and sells of `track` in `instrument`, in quantity units; what is in doubt counts.
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

    /// Cash held for purchases, in money units.
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

fn check_qty(qty: Qty, instrument: &Instrument) -> Result<(), Refusal> {
    let is_lots = qty.0 > 0 && qty.0.checked_rem(instrument.lot().0.max(1)) == Some(0);
    if is_lots { Ok(()) } else { Err(Refusal::QtyInvalid) }
}

fn check_price(limit: Price, instrument: &Instrument, now_ns: i64) -> Result<(), Refusal> {
    if limit.0 > 0 && instrument.is_on_tick(limit, now_ns) { Ok(()) } else { Err(Refusal::OffTick) }
}

/// The most that buying `qty` at `limit` or better can cost, fee included and rounded against us.
pub(super) fn worst_cost(
    instrument: &Instrument,
    limit: Price,
    qty: Qty,
    now_ns: i64,
) -> Result<Money, OrderError> {
    let amount = instrument.amount(limit, qty)?;
    Ok(amount.checked_add(instrument.fee_ceil(Side::Buy, amount, now_ns)?)?)
}
