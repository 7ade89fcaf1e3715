//! What is held and what it cost: positions per track, and the cash account.
//!
//! Written only by the applier of P0 events, read by everybody. The cost basis is an exact total: a purchase adds its
//! amount, a sale of `q` out of `Q` removes `floor(cost × q / Q)` (spec 02 §5.6), so that average prices never drift.
//! Once pools are funded, the cash of each track is counted beside the account's, by the same fills.

mod pools;
mod split;

use thiserror::Error;

pub use pools::{Pool, PoolError};
pub use split::{SplitError, SplitRow};

use pools::{Pools, cash_after};

use crate::event::{FillPayload, Side, Track};
use crate::fixed::{FixedError, Money, Price, Qty};
use crate::instrument::InstrumentId;

/// Why a fill could not be booked.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BookError {
    /// More was sold than is held. Version 1 is long only.
    #[error("a sale of {sold} quantity units exceeds the {held} held")]
    Oversold {
        /// Quantity sold, in quantity units.
        sold: i64,
        /// Quantity held, in quantity units.
        held: i64,
    },
    /// The instrument is not in the book.
    #[error("instrument {0} is not in the position book")]
    UnknownInstrument(u32),
    /// A figure left its range.
    #[error(transparent)]
    Fixed(#[from] FixedError),
}

/// One track's holding of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Position {
    /// Quantity held, in quantity units, never negative.
    pub qty: Qty,
    /// Cost of that quantity without fees, in money units.
    pub cost_total: Money,
    /// Engine time of the first fill since flat, UTC nanoseconds; meaningless while flat.
    pub opened_ns: i64,
    /// Number of the current life of the position, from 1; grows each time a position opens from flat.
    pub life: u64,
    /// Price of the last fill, in price units.
    pub last_fill: Price,
}

/// What one fill did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Booking {
    /// The position after the fill.
    pub position: Position,
    /// Profit of a sale after its own fee and tax, in money units; zero for a purchase.
    pub realized: Money,
}

/// Cash and its flows, all in money units of the account currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Cash now.
    pub cash: Money,
    /// Fees paid so far.
    pub fees: Money,
    /// Taxes paid so far.
    pub taxes: Money,
    /// Profit of sales after their own fees and taxes; fees of purchases are in `fees` only.
    pub realized: Money,
}

/// Positions of every track and the cash account behind them.
#[derive(Debug)]
pub struct PositionBook {
    positions: Vec<[Position; Track::COUNT]>,
    account: Account,
    /// None until they are funded.
    pools: Option<Pools>,
    /// How many positions are not flat.
    open: usize,
}

impl PositionBook {
    /// An empty book for `instruments` instruments with `cash` to start from.
    pub fn new(instruments: usize, cash: Money) -> Self {
        Self {
            positions: vec![[Position::default(); Track::COUNT]; instruments],
            account: Account { cash, ..Account::default() },
            pools: None,
            open: 0,
        }
    }

    /// Books `fill` on its position and on the cash account.
    ///
    /// # Errors
    /// [`BookError::Oversold`], an unknown instrument or an overflow; nothing is changed.
    pub fn apply(&mut self, fill: &FillPayload) -> Result<Booking, BookError> {
        let before = *self.slot(fill.instrument, fill.track)?;
        let (position, realized) = match fill.side {
            Side::Buy => (bought(before, fill)?, Money(0)),
            Side::Sell => sold(before, fill)?,
        };
        self.put(fill, position, realized)
    }

    /// Books a sale of more than is held: the money has moved, so cash does; the position goes flat and never below. What
    /// the excess brought in is in the cash, but no profit before somebody knows what it was. Returns the excess.
    ///
    /// # Errors
    /// An unknown instrument or an overflow; nothing is changed.
    pub fn apply_beyond(&mut self, fill: &FillPayload) -> Result<Qty, BookError> {
        let before = *self.slot(fill.instrument, fill.track)?;
        let owned = fill.amount.share_floor(before.qty, fill.qty)?;
        let realized = owned.checked_sub(before.cost_total)?.checked_sub(fill.fee)?.checked_sub(fill.tax)?;
        let position = Position { qty: Qty(0), cost_total: Money(0), last_fill: fill.price, ..before };
        self.put(fill, position, realized)?;
        Ok(fill.qty.checked_sub(before.qty)?)
    }

    /// Books a fill as a whole, once everything that can fail has been computed.
    fn put(&mut self, fill: &FillPayload, position: Position, realized: Money) -> Result<Booking, BookError> {
        let account = self.account_after(fill, realized)?;
        let pools = self.pools.as_ref().map(|pools| pools.after(fill)).transpose()?;
        let slot = self.slot(fill.instrument, fill.track)?;
        let was_open = slot.qty.0 != 0;
        *slot = position;
        let is_open = position.qty.0 != 0;
        self.open = self.open.saturating_add(usize::from(is_open)).saturating_sub(usize::from(was_open));
        self.account = account;
        self.pools = pools;
        Ok(Booking { position, realized })
    }

    /// Takes over a holding from a run before this one; whatever the book had there is replaced. Cash does not move.
    ///
    /// # Errors
    /// [`BookError::UnknownInstrument`].
    pub fn restore(
        &mut self,
        instrument: InstrumentId,
        track: Track,
        position: Position,
    ) -> Result<(), BookError> {
        let slot = self.slot(instrument, track)?;
        let was_open = slot.qty.0 != 0;
        *slot = position;
        let is_open = position.qty.0 != 0;
        self.open = self.open.saturating_add(usize::from(is_open)).saturating_sub(usize::from(was_open));
        Ok(())
    }

    /// How many positions are not flat, those of each track by themselves.
    pub const fn open_count(&self) -> usize {
        self.open
    }

    fn slot(&mut self, instrument: InstrumentId, track: Track) -> Result<&mut Position, BookError> {
        usize::try_from(instrument.0)
            .ok()
            .and_then(|index| self.positions.get_mut(index))
            .and_then(|tracks| tracks.get_mut(track as usize))
            .ok_or(BookError::UnknownInstrument(instrument.0))
    }

    fn account_after(&self, fill: &FillPayload, realized: Money) -> Result<Account, FixedError> {
        let before = self.account;
        Ok(Account {
            cash: cash_after(before.cash, fill)?,
            fees: before.fees.checked_add(fill.fee)?,
            taxes: before.taxes.checked_add(fill.tax)?,
            realized: before.realized.checked_add(realized)?,
        })
    }

    /// The position of `track` in `instrument`; flat if the instrument is not in the book.
    pub fn position(&self, instrument: InstrumentId, track: Track) -> Position {
        usize::try_from(instrument.0)
            .ok()
            .and_then(|index| self.positions.get(index))
            .and_then(|tracks| tracks.get(track as usize))
            .copied()
            .unwrap_or_default()
    }

    /// Every position that is not flat, by instrument, then track.
    pub fn open(&self) -> impl Iterator<Item = (InstrumentId, Track, &Position)> {
        (0_u32..).zip(&self.positions).flat_map(|(id, tracks)| {
            Track::ALL
                .into_iter()
                .zip(tracks)
                .filter(|(_, position)| position.qty.0 != 0)
                .map(move |(track, position)| (InstrumentId(id), track, position))
        })
    }

    /// The cash account.
    pub const fn account(&self) -> &Account {
        &self.account
    }
}

fn bought(before: Position, fill: &FillPayload) -> Result<Position, BookError> {
    let opens = before.qty.0 == 0;
    Ok(Position {
        qty: before.qty.checked_add(fill.qty)?,
        cost_total: before.cost_total.checked_add(fill.amount)?,
        opened_ns: if opens { fill.ts_recv_ns } else { before.opened_ns },
        life: if opens { before.life.saturating_add(1) } else { before.life },
        last_fill: fill.price,
    })
}

fn sold(before: Position, fill: &FillPayload) -> Result<(Position, Money), BookError> {
    if fill.qty.0 > before.qty.0 {
        return Err(BookError::Oversold { sold: fill.qty.0, held: before.qty.0 });
    }
    let removed = before.cost_total.share_floor(fill.qty, before.qty)?;
    let realized = fill.amount.checked_sub(removed)?.checked_sub(fill.fee)?.checked_sub(fill.tax)?;
    let position = Position {
        qty: before.qty.checked_sub(fill.qty)?,
        cost_total: before.cost_total.checked_sub(removed)?,
        last_fill: fill.price,
        ..before
    };
    Ok((position, realized))
}

#[cfg(test)]
mod tests;
