//! The exit ledger: who may sell a position.
//!
//! One exit of a position is outstanding at a time. A stronger holder takes it from a weaker one; what the weaker one
//! has in flight stays counted, so that the same shares are never sold twice. Sales of strategies need no lease as long
//! as nobody from [`Holder::Execution`] up holds the exit.

use std::collections::BTreeMap;

use super::super::{Refusal, WorkingOrder};
use super::Gateway;
use crate::event::{OrderId, Side, Track};
use crate::fixed::Qty;
use crate::instrument::InstrumentId;

/// Who may hold an exit, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    /// A strategy of a track.
    Strategy,
    /// An execution.
    Execution,
    /// An operator.
    Operator,
    /// The micro risk loop.
    Loop,
}

impl Holder {
    /// Every holder, weakest first.
    pub const ALL: [Self; 4] = [Self::Strategy, Self::Execution, Self::Operator, Self::Loop];

    /// Name in contracts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strategy => "STRATEGY",
            Self::Execution => "EXECUTION",
            Self::Operator => "OPERATOR",
            Self::Loop => "LOOP",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Lease {
    pub(super) id: u64,
    pub(super) holder: Holder,
    /// Quantity that was asked for.
    wanted: Qty,
    /// Filled by its orders.
    filled: Qty,
    /// The venue takes no orders of it now.
    is_blocked: bool,
}

#[derive(Debug, Default)]
pub(super) struct ExitLedger {
    last: u64,
    rows: BTreeMap<(u32, Track), Lease>,
}

impl Gateway {
    /// Quantity of a position that is held and that no order sells yet.
    pub(super) fn unsold(&self, instrument: InstrumentId, track: Track) -> i64 {
        let (_, selling) = self.table.working_qty(instrument, track);
        self.book.position(instrument, track).qty.0.saturating_sub(selling.0)
    }

    /// Takes the exit of a position: (lease, quantity it may sell now).
    ///
    /// Whoever takes it from a weaker holder gets it even while everything is in flight: with 0 now, and with what comes
    /// back once the orders of the weaker one have ended.
    ///
    /// # Errors
    /// [`Refusal::ExitTaken`] if an equal or stronger one has it, [`Refusal::NothingToSell`].
    pub fn claim_exit(
        &mut self,
        instrument: InstrumentId,
        track: Track,
        holder: Holder,
        qty: Qty,
        now_ns: i64,
    ) -> Result<(u64, Qty), Refusal> {
        self.saw(now_ns);
        if qty.0 <= 0 {
            return Err(Refusal::QtyInvalid);
        }
        let key = (instrument.0, track);
        let taken = self.exits.rows.get(&key).copied();
        if taken.is_some_and(|lease| lease.holder >= holder) {
            return Err(Refusal::ExitTaken);
        }
        let free = self.unsold(instrument, track);
        let is_held = self.book.position(instrument, track).qty.0 > 0;
        if free <= 0 && !(taken.is_some() && is_held) {
            return Err(Refusal::NothingToSell);
        }
        self.exits.last = self.exits.last.saturating_add(1);
        let id = self.exits.last;
        self.exits.rows.insert(key, Lease { id, holder, wanted: qty, filled: Qty(0), is_blocked: false });
        Ok((id, Qty(qty.0.min(free).max(0))))
    }

    /// Gives a lease back; one that has been taken away or given back already is none.
    pub fn release_exit(&mut self, lease: u64) {
        self.exits.rows.retain(|_, row| row.id != lease);
    }

    /// Notes whether the venue takes no orders of an exit now (halt, price limit); the lease stays.
    pub fn block_exit(&mut self, lease: u64, is_blocked: bool) {
        if let Some(row) = self.exits.rows.values_mut().find(|row| row.id == lease) {
            row.is_blocked = is_blocked;
        }
    }

    /// (holder, lease, quantity in flight, whether it is blocked) of the exit of a position, if one is outstanding.
    pub fn exit_of(&self, instrument: InstrumentId, track: Track) -> Option<(Holder, u64, Qty, bool)> {
        let lease = self.exits.rows.get(&(instrument.0, track))?;
        let (_, selling) = self.table.working_qty(instrument, track);
        Some((lease.holder, lease.id, selling, lease.is_blocked))
    }

    /// Whether a sale, or `more` of one, may go under `lease`, or under none.
    pub(super) fn check_exit(&self, at: (InstrumentId, Track), lease: u64, more: i64) -> Result<(), Refusal> {
        let row = self.exits.rows.get(&(at.0.0, at.1));
        if lease == 0 {
            let is_taken = row.is_some_and(|row| row.holder >= Holder::Execution);
            return if is_taken { Err(Refusal::ExitTaken) } else { Ok(()) };
        }
        let row = row.filter(|row| row.id == lease).ok_or(Refusal::LeaseLost)?;
        let live = self.table.iter().filter(|order| order.terms.lease == lease);
        let used = live.fold(row.filled.0, |sum, order| sum.saturating_add(order.remaining().0));
        if more > row.wanted.0.saturating_sub(used) { Err(Refusal::InsufficientPosition) } else { Ok(()) }
    }

    /// Counts a fill of an order against its lease.
    pub(super) fn count_exit(&mut self, order: &WorkingOrder, filled: Qty) {
        let request = &order.request;
        if order.terms.lease != 0
            && request.side == Side::Sell
            && let Some(row) = self.exits.rows.get_mut(&(request.instrument.0, request.track))
            && row.id == order.terms.lease
        {
            row.filled = row.filled.saturating_add(filled);
        }
    }

    /// The lease that an order sells under, as long as it stands.
    pub fn lease_of(&self, id: OrderId) -> Option<u64> {
        let order = self.table.known(id)?;
        let row = self.exits.rows.get(&(order.request.instrument.0, order.request.track))?;
        (order.terms.lease != 0 && row.id == order.terms.lease).then_some(row.id)
    }
}
