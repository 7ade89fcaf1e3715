//! One side of a small limit order book.

use crate::event::Side;

/// Levels kept; what lies behind them does not matter to the top.
const DEPTH: usize = 10;

/// A price and the size that waits there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) price: i64,
    pub(super) qty: i64,
}

/// Levels of one side, best first, none of them empty.
#[derive(Debug, Clone)]
pub(super) struct HalfBook {
    side: Side,
    levels: Vec<Level>,
}

impl HalfBook {
    pub(super) fn new(side: Side) -> Self {
        // One more than is kept: a new level comes in before the worst one goes.
        Self { side, levels: Vec::with_capacity(DEPTH.saturating_add(1)) }
    }

    #[inline]
    pub(super) fn best(&self) -> Option<Level> {
        self.levels.first().copied()
    }

    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.levels.len()
    }

    pub(super) fn clear(&mut self) {
        self.levels.clear();
    }

    /// Whether `price` stands before `other` in this side's queue.
    #[inline]
    const fn is_better(&self, price: i64, other: i64) -> bool {
        match self.side {
            Side::Buy => price > other,
            Side::Sell => price < other,
        }
    }

    /// Adds `qty` at `price`; a level beyond the depth is dropped.
    #[inline]
    pub(super) fn add(&mut self, price: i64, qty: i64) {
        let behind = self.levels.iter().position(|level| !self.is_better(level.price, price));
        match behind.and_then(|at| self.levels.get_mut(at)) {
            Some(level) if level.price == price => level.qty = level.qty.saturating_add(qty),
            _ => {
                let at = behind.unwrap_or(self.levels.len());
                self.levels.insert(at, Level { price, qty });
                self.levels.truncate(DEPTH);
            }
        }
    }

    /// Removes up to `qty` from the level at `at` (0 = best) and returns how much went; an emptied level goes too.
    #[inline]
    pub(super) fn remove(&mut self, at: usize, qty: i64) -> i64 {
        let Some(level) = self.levels.get_mut(at) else { return 0 };
        let removed = qty.min(level.qty);
        level.qty = level.qty.saturating_sub(removed);
        if level.qty == 0 {
            self.levels.remove(at);
        }
        removed
    }

    /// Size at level `at` (0 = best), 0 if there is none.
    #[inline]
    pub(super) fn qty_at(&self, at: usize) -> i64 {
        self.levels.get(at).map_or(0, |level| level.qty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(side: Side, orders: &[(i64, i64)]) -> HalfBook {
        let mut half = HalfBook::new(side);
        for &(price, qty) in orders {
            half.add(price, qty);
        }
        half
    }

    fn levels(half: &HalfBook) -> Vec<(i64, i64)> {
        half.levels.iter().map(|level| (level.price, level.qty)).collect()
    }

    #[test]
    fn levels_stand_best_first_and_sizes_add_up() {
        let bids = side(Side::Buy, &[(100, 1), (102, 2), (101, 3), (102, 4), (99, 5)]);
        assert_eq!(levels(&bids), [(102, 6), (101, 3), (100, 1), (99, 5)]);
        let asks = side(Side::Sell, &[(100, 1), (102, 2), (101, 3), (100, 4)]);
        assert_eq!(levels(&asks), [(100, 5), (101, 3), (102, 2)]);
        assert_eq!((asks.best(), asks.len()), (Some(Level { price: 100, qty: 5 }), 3));
    }

    #[test]
    fn the_worst_level_falls_off_the_end() {
        let mut asks = side(Side::Sell, &(1..=12).map(|price| (price, 1)).collect::<Vec<_>>());
        assert_eq!((asks.len(), asks.levels.last().map(|level| level.price)), (DEPTH, Some(10)));
        asks.add(0, 1);
        assert_eq!((asks.len(), asks.best().map(|level| level.price)), (DEPTH, Some(0)));
    }

    #[test]
    fn a_level_that_is_used_up_goes() {
        let mut bids = side(Side::Buy, &[(100, 5), (99, 7)]);
        assert_eq!((bids.remove(0, 2), bids.qty_at(0)), (2, 3));
        assert_eq!((bids.remove(0, 9), bids.qty_at(0)), (3, 7));
        assert_eq!((bids.remove(4, 9), bids.qty_at(4)), (0, 0));
        bids.clear();
        assert_eq!(bids.best(), None);
    }
}
