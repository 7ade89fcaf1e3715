//! The account's one way out: nothing reaches a broker that has not been through here.
//!
//! A [`Gateway`] owns what has to be looked at and changed together: orders, positions, cash, pools, holds, blocks of
//! symbols, the rate budget, the exit ledger and permits. One lock is around all of it ([`SharedGateway`]), so that two
//! threads cannot both spend the same cash, sell the same shares or use the same token.
//!
//! A message leaves in two steps. [`Gateway::request`] asks every gate, reserves, and gives a [`Ticket`];
//! [`Gateway::redeem`] turns it into the [`Outgoing`] message right before the write, once, if what stood at its issue
//! still does. There is no other way to an `Outgoing`.

mod answers;
mod blocks;
mod exits;
mod funds;
mod holds;
mod permits;
mod precheck;
mod rate;
mod request;
mod resolve;
mod restart;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use thiserror::Error;

pub use answers::{Answer, BrokerFill, FillOutcome, FillState};
pub use exits::Holder;
pub use permits::{Action, Outgoing, Permit, Ticket};
pub use precheck::{Check, Decision, Surroundings};
pub use request::Wish;
pub use resolve::{Listed, Match};
pub use restart::Restored;

use blocks::Blocks;
use exits::ExitLedger;
use holds::Holds;
use permits::Permits;
use rate::RateBudget;

use super::{Holdings, OrderTable, PoolFunds};
use crate::event::Track;
use crate::fixed::{Money, Qty};
use crate::instrument::{Instrument, InstrumentId, InstrumentTable};
use crate::safety::{ActionClass, SafetyWord};
use crate::shadow::PositionBook;
use crate::sync::{Mutex, MutexGuard, lock};

const NS_PER_MS: i64 = 1_000_000;

/// Limits of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatewayConfig {
    /// Messages that the broker takes in a second, and at once after a pause; 0 = as many as one likes.
    pub orders_per_s: u32,
    /// Of these, what entries leave for exits.
    pub exit_reserve: u32,
    /// Of these, what entries and exits leave for cancels.
    pub cancel_reserve: u32,
    /// How long a permit may be used, in milliseconds.
    pub permit_ttl_ms: u32,
    /// Oldest quote that an entry may be decided on where the question names no age, in milliseconds.
    pub price_age_ms: u32,
    /// Positions that can be watched at once.
    pub shadow_capacity: u32,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            orders_per_s: 8,
            exit_reserve: 2,
            cancel_reserve: 2,
            permit_ttl_ms: 1_000,
            price_age_ms: 100,
            shadow_capacity: 100,
        }
    }
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("reserves of {reserves} messages a second, expected less than the {orders_per_s} there are")]
pub struct GatewayConfigError {
    /// Both reserves together.
    pub reserves: u32,
    /// The whole budget.
    pub orders_per_s: u32,
}

impl GatewayConfig {
    /// Without a rate limit: for a venue that takes everything.
    pub fn unlimited() -> Self {
        Self { orders_per_s: 0, exit_reserve: 0, cancel_reserve: 0, ..Self::default() }
    }

    fn check(&self) -> Result<(), GatewayConfigError> {
        let reserves = self.exit_reserve.saturating_add(self.cancel_reserve);
        if self.orders_per_s != 0 && reserves >= self.orders_per_s {
            return Err(GatewayConfigError { reserves, orders_per_s: self.orders_per_s });
        }
        Ok(())
    }
}

/// Orders, positions, cash and everything that decides whether a message may leave.
pub struct Gateway {
    instruments: Arc<InstrumentTable>,
    config: GatewayConfig,
    safety: Option<Arc<SafetyWord>>,
    table: OrderTable,
    book: PositionBook,
    holds: Holds,
    blocks: Blocks,
    rate: RateBudget,
    exits: ExitLedger,
    permits: Permits,
    /// Sold beyond what was held and not explained yet, by instrument and track, in quantity units.
    oversold: BTreeMap<(u32, Track), Qty>,
    exec_seq: u64,
    /// Latest time that anybody has named.
    now_ns: i64,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Gateway")
            .field("now_ns", &self.now_ns)
            .field("orders", &self.table.submitted())
            .field("reserved", &self.table.reserved())
            .finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway with `cash` and nothing else.
    ///
    /// # Errors
    /// [`GatewayConfigError`] if the reserves leave nothing for entries.
    pub fn new(
        instruments: Arc<InstrumentTable>,
        cash: Money,
        config: GatewayConfig,
    ) -> Result<Self, GatewayConfigError> {
        config.check()?;
        Ok(Self {
            book: PositionBook::new(instruments.len(), cash),
            blocks: Blocks::new(instruments.len()),
            rate: RateBudget::new(&config),
            instruments,
            config,
            safety: None,
            table: OrderTable::default(),
            holds: Holds::default(),
            exits: ExitLedger::default(),
            permits: Permits::default(),
            oversold: BTreeMap::new(),
            exec_seq: 0,
            now_ns: 0,
        })
    }

    /// Holds every message against `word` from now on.
    pub fn attach_safety(&mut self, word: Arc<SafetyWord>) {
        self.safety = Some(word);
    }

    /// Sets the limits from now on; the rate budget starts full.
    ///
    /// # Errors
    /// [`GatewayConfigError`] if the reserves leave nothing for entries; nothing changes.
    pub fn configure(&mut self, config: GatewayConfig) -> Result<(), GatewayConfigError> {
        config.check()?;
        self.rate = RateBudget::new(&config);
        self.config = config;
        Ok(())
    }

    /// The limits.
    pub const fn config(&self) -> &GatewayConfig {
        &self.config
    }

    fn permits_action(&self, action: ActionClass) -> bool {
        self.safety.as_ref().is_none_or(|word| word.permits(action))
    }

    fn saw(&mut self, now_ns: i64) {
        self.now_ns = self.now_ns.max(now_ns);
    }

    fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(id)
    }

    fn holdings(&self, instrument: InstrumentId, track: Track) -> Holdings {
        Holdings {
            cash: self.book.account().cash,
            position: self.book.position(instrument, track).qty,
            pool: self
                .book
                .pool(track)
                .map(|pool| PoolFunds { spendable: pool.spendable(), is_blocked: pool.is_blocked }),
        }
    }

    /// Working and ended orders.
    pub const fn orders(&self) -> &OrderTable {
        &self.table
    }

    /// Positions, cash and pools.
    pub const fn book(&self) -> &PositionBook {
        &self.book
    }

    /// The instruments.
    pub const fn instruments(&self) -> &Arc<InstrumentTable> {
        &self.instruments
    }

    /// Most and least that may come to be held once every order that may be live has been answered.
    pub fn exposure(&self, instrument: InstrumentId, track: Track) -> (i64, i64) {
        let held = self.book.position(instrument, track).qty.0;
        let (buying, selling) = self.table.working_qty(instrument, track);
        (held.saturating_add(buying.0), held.saturating_sub(selling.0))
    }

    /// Refuses entries of an instrument, or takes them again; each reason has to be taken back by itself.
    pub fn freeze(&mut self, instrument: InstrumentId, reason: &str, is_frozen: bool) {
        self.blocks.freeze(instrument, reason, is_frozen);
    }

    /// Why entries of an instrument are refused; empty if they are not.
    pub fn freezes(&self, instrument: InstrumentId) -> impl Iterator<Item = &str> {
        self.blocks.reasons(instrument)
    }

    /// What was sold beyond what was held and has not been explained, in quantity units.
    pub fn oversold(&self) -> impl Iterator<Item = (InstrumentId, Track, Qty)> {
        self.oversold.iter().map(|(&(instrument, track), &qty)| (InstrumentId(instrument), track, qty))
    }

    /// Forgets what was sold beyond a holding: it has been reconciled.
    pub fn explain_oversold(&mut self, instrument: InstrumentId, track: Track) {
        self.oversold.remove(&(instrument.0, track));
    }
}

/// A [`Gateway`] with the lock around it.
#[derive(Debug, Clone)]
pub struct SharedGateway(Arc<Mutex<Gateway>>);

/// A gateway that is locked; nobody else sees it meanwhile.
#[derive(Debug)]
pub struct Locked<'a>(MutexGuard<'a, Gateway>);

impl SharedGateway {
    /// Puts the lock around `gateway`.
    pub fn new(gateway: Gateway) -> Self {
        Self(Arc::new(Mutex::new(gateway)))
    }

    /// Waits for the gateway; for as long as the longest call of it takes, which is microseconds. Not to be asked for twice
    /// by one thread, nor held while a permit is dropped.
    pub fn lock(&self) -> Locked<'_> {
        Locked(lock(&self.0))
    }

    /// Whether both are the same gateway.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Takes a new order through the gates; VALIDATED.
    ///
    /// # Errors
    /// [`Refused`](super::Refused); nothing is reserved.
    pub fn request(&self, wish: &Wish, now_ns: i64) -> Result<Permit, super::Refused> {
        let ticket = self.lock().request(wish, now_ns).map_err(|(_, refused)| refused)?;
        Ok(Permit::new(self.clone(), ticket))
    }

    /// The right to amend an order.
    ///
    /// # Errors
    /// [`Refused`](super::Refused); the order stays as it is.
    pub fn request_amend(
        &self,
        order: crate::event::OrderId,
        to: (crate::fixed::Price, Qty),
        action: ActionClass,
        now_ns: i64,
    ) -> Result<Permit, super::Refused> {
        let ticket = self.lock().request_amend(order, to, action, now_ns)?;
        Ok(Permit::new(self.clone(), ticket))
    }

    /// The right to cancel an order.
    ///
    /// # Errors
    /// [`Refused`](super::Refused).
    pub fn request_cancel(
        &self,
        order: crate::event::OrderId,
        now_ns: i64,
    ) -> Result<Permit, super::Refused> {
        let ticket = self.lock().request_cancel(order, now_ns)?;
        Ok(Permit::new(self.clone(), ticket))
    }
}

impl Deref for Locked<'_> {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.0
    }
}

impl DerefMut for Locked<'_> {
    fn deref_mut(&mut self) -> &mut Gateway {
        &mut self.0
    }
}

#[cfg(test)]
mod tests;
