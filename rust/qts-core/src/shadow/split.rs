//! Share splits and consolidations: the quantity changes, the cost stays.

use thiserror::Error;

use super::{Position, PositionBook};
use crate::event::Track;
use crate::fixed::{FixedError, Money, Qty};
use crate::instrument::InstrumentId;

/// Why a split was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SplitError {
    /// No ratio.
    #[error("the ratio is {numerator} for {denominator}, expected both above 0")]
    Ratio {
        /// New quantity for every `denominator` held.
        numerator: i64,
        /// See `numerator`.
        denominator: i64,
    },
    /// Orders of the instrument could still fill at the old price.
    #[error("{orders} orders of instrument {instrument} work, expected none")]
    Working {
        /// Working orders of the instrument.
        orders: usize,
        /// The instrument.
        instrument: u32,
    },
    /// The instrument is not in the book.
    #[error("instrument {0} is not known, expected one of the run")]
    UnknownInstrument(u32),
    /// A figure left its range.
    #[error(transparent)]
    Fixed(#[from] FixedError),
}

/// What a split made of one track's holding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SplitRow {
    /// Track that holds.
    pub track: Track,
    /// Quantity before, in quantity units.
    pub before: Qty,
    /// The holding after it.
    pub after: Position,
    /// Cost of a holding that vanished, in money units: what is to be written off. 0 if anything is left.
    pub written_off: Money,
    /// What did not make a whole lot, in `denominator`ths of a quantity unit.
    pub rest: i64,
}

impl PositionBook {
    /// Turns every `denominator` of the instrument held into `numerator`, rounded down to whole lots, at the same cost.
    ///
    /// # Errors
    /// [`SplitError`]; nothing changes then.
    pub fn split(
        &mut self,
        instrument: InstrumentId,
        (numerator, denominator): (i64, i64),
        lot: Qty,
    ) -> Result<Vec<SplitRow>, SplitError> {
        if numerator <= 0 || denominator <= 0 {
            return Err(SplitError::Ratio { numerator, denominator });
        }
        let unknown = SplitError::UnknownInstrument(instrument.0);
        let slot =
            usize::try_from(instrument.0).ok().and_then(|at| self.positions.get_mut(at)).ok_or(unknown)?;
        let mut after = *slot;
        let mut rows = Vec::new();
        for (track, position) in Track::ALL.into_iter().zip(&mut after) {
            if position.qty.0 > 0 {
                let row = split_one(track, *position, (numerator, denominator), lot)?;
                *position = row.after;
                rows.push(row);
            }
        }
        *slot = after;
        self.open = self.open.saturating_sub(rows.iter().filter(|row| row.after.qty.0 == 0).count());
        Ok(rows)
    }
}

fn split_one(
    track: Track,
    held: Position,
    (numerator, denominator): (i64, i64),
    lot: Qty,
) -> Result<SplitRow, FixedError> {
    const OVERFLOW: FixedError = FixedError::Overflow { op: "split of a quantity" };
    let lots_of = i128::from(denominator).saturating_mul(i128::from(lot.0.max(1)));
    let wanted = i128::from(held.qty.0).saturating_mul(i128::from(numerator));
    let lots = wanted.checked_div(lots_of).ok_or(OVERFLOW)?;
    let rest = wanted.checked_rem(lots_of).ok_or(OVERFLOW)?;
    let qty = lots.saturating_mul(i128::from(lot.0.max(1)));
    let qty = Qty(i64::try_from(qty).map_err(|_| OVERFLOW)?);
    let (cost_total, written_off) =
        if qty.0 == 0 { (Money(0), held.cost_total) } else { (held.cost_total, Money(0)) };
    Ok(SplitRow {
        track,
        before: held.qty,
        after: Position { qty, cost_total, ..held },
        written_off,
        rest: i64::try_from(rest).map_err(|_| OVERFLOW)?,
    })
}
