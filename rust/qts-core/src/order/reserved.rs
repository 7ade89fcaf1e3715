//! What working purchases may still cost, by the track that pays.

use crate::event::Track;
use crate::fixed::Money;

/// Cash held for working purchases, in money units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Reserved {
    scalp: Money,
    swing: Money,
    portfolio: Money,
}

impl Reserved {
    /// Nothing held.
    pub const NONE: Self = Self { scalp: Money(0), swing: Money(0), portfolio: Money(0) };

    /// Held for a track.
    pub const fn of(&self, track: Track) -> Money {
        match track {
            Track::Scalp => self.scalp,
            Track::Swing => self.swing,
            Track::Portfolio => self.portfolio,
        }
    }

    /// Held for all of them.
    pub const fn total(&self) -> Money {
        self.scalp.saturating_add(self.swing).saturating_add(self.portfolio)
    }

    const fn row(&mut self, track: Track) -> &mut Money {
        match track {
            Track::Scalp => &mut self.scalp,
            Track::Swing => &mut self.swing,
            Track::Portfolio => &mut self.portfolio,
        }
    }

    pub(crate) const fn hold(&mut self, track: Track, amount: Money) {
        let row = self.row(track);
        *row = row.saturating_add(amount);
    }

    pub(super) const fn release(&mut self, track: Track, amount: Money) {
        let row = self.row(track);
        *row = row.saturating_sub(amount);
    }
}
