//! Pools and corporate actions: the book's, with what orders and holds have reserved.

use super::Gateway;
use crate::event::Track;
use crate::fixed::Money;
use crate::instrument::InstrumentId;
use crate::shadow::{BookError, PoolError, Position, SplitError, SplitRow};

/// Pools. Whatever is refused has changed nothing.
impl Gateway {
    /// Splits the cash of the account among the pools, in the order of [`Track::ALL`]; purchases are bound to them from
    /// then on.
    ///
    /// # Errors
    /// [`PoolError`] if it has been done, orders have been sent, an amount is negative, or they do not add up.
    pub fn fund_pools(&mut self, cash: [Money; Track::COUNT]) -> Result<(), PoolError> {
        self.book.fund_pools(cash, self.table.submitted())
    }

    /// Moves free cash between pools; `None` stands for what is unallocated.
    ///
    /// # Errors
    /// [`PoolError`] if `amount` is not positive or not there.
    pub fn move_pool_cash(
        &mut self,
        from: Option<Track>,
        to: Option<Track>,
        amount: Money,
    ) -> Result<(), PoolError> {
        self.book.move_cash(from, to, amount, self.table.reserved_by_track())
    }

    /// Keeps `amount` of a pool from orders and transfers, in place of what was kept so far.
    ///
    /// # Errors
    /// [`PoolError`] if it is negative or not free.
    pub fn set_aside(&mut self, track: Track, amount: Money) -> Result<(), PoolError> {
        self.book.set_aside(track, amount, self.table.reserved_by_track())
    }

    /// Refuses purchases of a track from now on, or takes them again.
    ///
    /// # Errors
    /// [`PoolError::Unfunded`].
    pub fn block_entries(&mut self, track: Track, is_blocked: bool) -> Result<(), PoolError> {
        self.book.block_entries(track, is_blocked)
    }

    /// Books cash that comes from outside, or goes there if `amount` is negative: to a pool, or unallocated.
    ///
    /// # Errors
    /// [`PoolError`] if what goes is not free, or there is no such pool.
    pub fn credit(&mut self, track: Option<Track>, amount: Money) -> Result<(), PoolError> {
        self.book.credit(track, amount, self.table.reserved_by_track())
    }

    /// Turns every `denominator` of an instrument held into `numerator`, rounded down to whole lots, at the same cost.
    ///
    /// # Errors
    /// [`SplitError`] if orders of it work, or the ratio is none.
    pub fn split(
        &mut self,
        instrument: InstrumentId,
        numerator: i64,
        denominator: i64,
    ) -> Result<Vec<SplitRow>, SplitError> {
        let lot = self.instruments.get(instrument).ok_or(SplitError::UnknownInstrument(instrument.0))?.lot();
        let orders = self.table.iter().filter(|order| order.request.instrument == instrument).count();
        if orders > 0 {
            return Err(SplitError::Working { orders, instrument: instrument.0 });
        }
        self.book.split(instrument, (numerator, denominator), lot)
    }

    /// Takes over a holding from a run before this one, in place of what the book has there; no cash moves.
    ///
    /// # Errors
    /// [`BookError::UnknownInstrument`].
    pub fn restore_position(
        &mut self,
        instrument: InstrumentId,
        track: Track,
        position: Position,
    ) -> Result<(), BookError> {
        self.book.restore(instrument, track, position)
    }
}
