//! Pools: virtual sub-accounts of the one cash account, one for each track.
//!
//! Money of a pool is a claim on cash of the account. What no pool claims is unallocated: the account's cash minus the
//! cash of all pools, so that the two always add up. A pool's cash is free as far as it is neither set aside nor held
//! for working purchases. Fills move it whatever its state; everything else is refused as a whole or done as a whole.

use thiserror::Error;

use super::PositionBook;
use crate::event::{FillPayload, Side, Track};
use crate::fixed::{FixedError, Money};
use crate::order::Reserved;

/// Why money of pools stays where it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PoolError {
    /// There are no pools.
    #[error("the pools are not funded, expected them to be funded before the first order")]
    Unfunded,
    /// They cannot be funded again.
    #[error("the pools are funded already, expected to fund them once")]
    Funded,
    /// Orders have been sent before.
    #[error("{orders} orders have been sent, expected the pools to be funded before the first")]
    TooLate {
        /// Orders so far.
        orders: u64,
    },
    /// Pools do not add up to the account.
    #[error("the pools hold {found} together, expected the account's cash of {expected}")]
    Sum {
        /// Money units of all pools.
        found: i128,
        /// Cash of the account, in money units.
        expected: i64,
    },
    /// An amount that cannot be.
    #[error("the amount is {found}, expected {expected} or more")]
    Amount {
        /// In money units.
        found: i64,
        /// Least amount, in money units.
        expected: i64,
    },
    /// From and to are the same.
    #[error("money is to move from {0} to {0}, expected two different places")]
    SamePlace(&'static str),
    /// The money is not there.
    #[error("{place} has {found} free, expected at least {expected}")]
    Short {
        /// Where it was looked for.
        place: &'static str,
        /// Free money units.
        found: i64,
        /// Money units asked for.
        expected: i64,
    },
    /// A figure left its range.
    #[error(transparent)]
    Fixed(#[from] FixedError),
}

/// One pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pool {
    /// Everything that is not invested, in money units: free, set aside and held for working purchases.
    pub cash: Money,
    /// Kept from orders and transfers, in money units.
    pub set_aside: Money,
    /// Whether purchases are refused.
    pub is_blocked: bool,
}

impl Pool {
    /// What purchases may hold all together, in money units.
    pub const fn spendable(&self) -> Money {
        self.cash.saturating_sub(self.set_aside)
    }

    const fn free(&self, reserved: Money) -> Money {
        self.spendable().saturating_sub(reserved)
    }
}

/// The pool of each track, in the order of [`Track::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pools([Pool; Track::COUNT]);

impl Pools {
    fn get(&self, track: Track) -> &Pool {
        let [scalp, swing, portfolio] = &self.0;
        match track {
            Track::Scalp => scalp,
            Track::Swing => swing,
            Track::Portfolio => portfolio,
        }
    }

    fn get_mut(&mut self, track: Track) -> &mut Pool {
        let [scalp, swing, portfolio] = &mut self.0;
        match track {
            Track::Scalp => scalp,
            Track::Swing => swing,
            Track::Portfolio => portfolio,
        }
    }

    /// Adds `amount`, which may be negative, to the cash of a pool.
    fn add(&mut self, track: Track, amount: Money) -> Result<(), FixedError> {
        let pool = self.get_mut(track);
        pool.cash = pool.cash.checked_add(amount)?;
        Ok(())
    }

    /// The pools after `fill`.
    pub(super) fn after(&self, fill: &FillPayload) -> Result<Self, FixedError> {
        let mut pools = *self;
        let pool = pools.get_mut(fill.track);
        pool.cash = cash_after(pool.cash, fill)?;
        Ok(pools)
    }

    fn total(&self) -> i128 {
        self.0.iter().map(|pool| i128::from(pool.cash.0)).sum()
    }
}

/// Cash after `fill`: the same for the account and for the pool that pays or is paid.
pub(super) fn cash_after(cash: Money, fill: &FillPayload) -> Result<Money, FixedError> {
    let moved = match fill.side {
        Side::Buy => cash.checked_sub(fill.amount)?,
        Side::Sell => cash.checked_add(fill.amount)?,
    };
    moved.checked_sub(fill.fee)?.checked_sub(fill.tax)
}

const fn place(track: Option<Track>) -> &'static str {
    match track {
        Some(track) => track.name(),
        None => "UNALLOCATED",
    }
}

const fn at_least(found: Money, expected: i64) -> Result<(), PoolError> {
    if found.0 < expected { Err(PoolError::Amount { found: found.0, expected }) } else { Ok(()) }
}

const fn enough(track: Option<Track>, found: Money, expected: Money) -> Result<(), PoolError> {
    if found.0 < expected.0 {
        return Err(PoolError::Short { place: place(track), found: found.0, expected: expected.0 });
    }
    Ok(())
}

const fn negative(amount: Money) -> Money {
    Money(0).saturating_sub(amount)
}

/// Pools. Whatever is refused has changed nothing.
impl PositionBook {
    /// Splits the cash of the account among the pools. `orders` is the number of orders so far.
    ///
    /// # Errors
    /// [`PoolError`] if they are funded, orders have been sent, an amount is negative, or they do not add up.
    pub fn fund_pools(&mut self, cash: [Money; Track::COUNT], orders: u64) -> Result<(), PoolError> {
        if self.pools.is_some() {
            return Err(PoolError::Funded);
        }
        if orders > 0 {
            return Err(PoolError::TooLate { orders });
        }
        cash.iter().try_for_each(|&amount| at_least(amount, 0))?;
        let pools = Pools(cash.map(|cash| Pool { cash, ..Pool::default() }));
        let (found, expected) = (pools.total(), self.account.cash.0);
        if found != i128::from(expected) {
            return Err(PoolError::Sum { found, expected });
        }
        self.pools = Some(pools);
        Ok(())
    }

    /// Whether there are pools.
    pub const fn is_funded(&self) -> bool {
        self.pools.is_some()
    }

    /// The pool of `track`; `None` without pools.
    pub fn pool(&self, track: Track) -> Option<&Pool> {
        self.pools.as_ref().map(|pools| pools.get(track))
    }

    /// Cash of the account that belongs to no pool, in money units; all of it without pools.
    pub fn unallocated(&self) -> Money {
        let claimed = self.pools.as_ref().map_or(0, Pools::total);
        let rest = i128::from(self.account.cash.0).saturating_sub(claimed);
        Money(i64::try_from(rest).unwrap_or(if rest < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Refuses unless `amount` of `track`, or of what is unallocated, is free.
    fn check_free(&self, track: Option<Track>, amount: Money, reserved: &Reserved) -> Result<(), PoolError> {
        let claimed = match track {
            Some(track) => self.pool(track).ok_or(PoolError::Unfunded)?.free(reserved.of(track)),
            None => self.unallocated(),
        };
        // Cash that working purchases may still cost does not leave the account, whoever claims it.
        let found = claimed.min(self.account.cash.saturating_sub(reserved.total()));
        enough(track, found, amount)
    }

    /// Moves free cash; `None` stands for what is unallocated.
    ///
    /// # Errors
    /// [`PoolError`] if `amount` is not positive or not there, or both places are one.
    pub fn move_cash(
        &mut self,
        from: Option<Track>,
        to: Option<Track>,
        amount: Money,
        reserved: &Reserved,
    ) -> Result<(), PoolError> {
        let mut pools = self.pools.ok_or(PoolError::Unfunded)?;
        at_least(amount, 1)?;
        if from == to {
            return Err(PoolError::SamePlace(place(from)));
        }
        // The account's cash does not change: only what the source has counts.
        let found = from.map_or(self.unallocated(), |track| pools.get(track).free(reserved.of(track)));
        enough(from, found, amount)?;
        if let Some(from) = from {
            pools.add(from, negative(amount))?;
        }
        if let Some(to) = to {
            pools.add(to, amount)?;
        }
        self.pools = Some(pools);
        Ok(())
    }

    /// Keeps `amount` of a pool from orders and transfers, in place of what was kept so far.
    ///
    /// # Errors
    /// [`PoolError`] if `amount` is negative or exceeds what is not held for working purchases.
    pub fn set_aside(&mut self, track: Track, amount: Money, reserved: &Reserved) -> Result<(), PoolError> {
        let pools = self.pools.as_mut().ok_or(PoolError::Unfunded)?;
        at_least(amount, 0)?;
        let pool = pools.get_mut(track);
        // Nothing can always be set aside, even by a pool whose costs came out higher than it had.
        if amount.0 > 0 {
            enough(Some(track), pool.cash.saturating_sub(reserved.of(track)), amount)?;
        }
        pool.set_aside = amount;
        Ok(())
    }

    /// Refuses purchases of a track from now on, or takes them again.
    ///
    /// # Errors
    /// [`PoolError::Unfunded`].
    pub fn block_entries(&mut self, track: Track, is_blocked: bool) -> Result<(), PoolError> {
        self.pools.as_mut().ok_or(PoolError::Unfunded)?.get_mut(track).is_blocked = is_blocked;
        Ok(())
    }

    /// Books cash that comes from outside, or goes there if `amount` is negative: to a pool, or unallocated.
    ///
    /// # Errors
    /// [`PoolError`] if what goes is not free, or there is no such pool.
    pub fn credit(
        &mut self,
        track: Option<Track>,
        amount: Money,
        reserved: &Reserved,
    ) -> Result<(), PoolError> {
        if amount.0 < 0 {
            self.check_free(track, negative(amount), reserved)?;
        }
        let cash = self.account.cash.checked_add(amount)?;
        if let Some(track) = track {
            let mut pools = self.pools.ok_or(PoolError::Unfunded)?;
            pools.add(track, amount)?;
            self.pools = Some(pools);
        }
        self.account.cash = cash;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
