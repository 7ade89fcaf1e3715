//! A synthetic order-driven market: sessions as the KRX holds them, for paper trading, sample data and tests.
//!
//! Each symbol has a small limit order book on its own tick ladder. Limit orders, cancels and market orders arrive
//! like a Poisson process around a latent fair price, busy at the open, slow at lunch and busy again towards the
//! close; the fair price moves with every arrival, so that its variance follows the same curve. A session opens with
//! one auction print, trades until the continuous session ends, shows an empty book during the closing auction and
//! ends with one print at the close. The next session starts from that close and a gap.
//!
//! The market depends on its configuration alone. Every decision is made in integers, with a random stream
//! (xoshiro256++) per symbol that is derived from the seed and the symbol's name: the same seed gives the same
//! records on every machine, and a symbol trades the same whatever other symbols there are. Memory does not grow with
//! time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

use thiserror::Error;

use crate::event::MarketRecord;
use crate::fixed::{Price, Qty};
use crate::instrument::{Instrument, InstrumentId, InstrumentTable};
use crate::market::source::{MarketSource, SourceError};

mod book;
mod curve;
mod daily;
mod flow;
pub(super) mod random;

pub use daily::SynthDaily;

use flow::SymbolFlow;

/// A synthetic market.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SynthConfig {
    /// Everything random follows from this.
    pub seed: u64,
    /// Sessions in order of time, at least one.
    pub sessions: Vec<SynthSession>,
    /// Symbols, at least one, each once. At one time their records come in this order.
    pub symbols: Vec<SynthSymbol>,
}

/// One trading session, UTC nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynthSession {
    /// Opening auction and start of continuous trading (KRX: 09:00).
    pub open_ns: i64,
    /// End of continuous trading, at least ten minutes later (KRX: 15:20).
    pub continuous_end_ns: i64,
    /// Closing auction (KRX: 15:30), not before the end of continuous trading.
    pub close_ns: i64,
}

/// How one symbol trades.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynthSymbol {
    /// The instrument: its ladder, lot and price limits bind the market.
    pub instrument: InstrumentId,
    /// Base price of the first session (previous close), in price units: on the tick ladder, at least 100 ticks above
    /// zero, below 2^40.
    pub base_price: Price,
    /// Size to be traded per session, in quantity units: at least one lot per arrival, below 2^50.
    pub daily_volume: Qty,
    /// Arrivals per session, 100 to 5,000,000. Four arrivals lead to about three records.
    pub daily_events: u32,
    /// Volatility of a year of 252 sessions, in millionths (300,000 = 30 %), 10,000 to 2,000,000.
    pub annual_vol_ppm: u32,
}

/// Why a market cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SynthError {
    /// Nothing to generate.
    #[error("synthetic market without {what}, expected at least one")]
    Empty {
        /// What is missing: sessions or symbols.
        what: &'static str,
    },
    /// A session is too short or its times are out of order.
    #[error(
        "session {number}: open {open_ns}, end of continuous trading {continuous_end_ns}, close {close_ns}; expected \
         ascending times after the session before, with at least ten minutes of continuous trading"
    )]
    Session {
        /// Place in the list, from 1.
        number: usize,
        /// Open, UTC nanoseconds.
        open_ns: i64,
        /// End of continuous trading, UTC nanoseconds.
        continuous_end_ns: i64,
        /// Close, UTC nanoseconds.
        close_ns: i64,
    },
    /// The instrument is not in the table.
    #[error("instrument number {} is not in the table", .0.0)]
    UnknownInstrument(InstrumentId),
    /// A symbol is listed twice.
    #[error("{symbol} is listed twice")]
    Duplicate {
        /// The symbol.
        symbol: String,
    },
    /// A value out of its range.
    #[error("{symbol}: {field} is {found}, expected {expected}")]
    Value {
        /// The symbol.
        symbol: String,
        /// Field of [`SynthSymbol`].
        field: &'static str,
        /// The value given, in its unit.
        found: i64,
        /// The range.
        expected: &'static str,
    },
}

const MINUTE_NS: i64 = 60_000_000_000;
const CONTINUOUS_NS_MIN: i64 = 10 * MINUTE_NS;

/// The market as a source of records. It never fails and ends after the last session.
///
/// Event and receive time of a record are the same: the engine hears of everything as it happens.
#[derive(Debug)]
pub struct SynthMarket {
    sessions: Vec<SynthSession>,
    symbols: Vec<SymbolFlow>,
    /// Time and number of every symbol that has something to come.
    order: BinaryHeap<Reverse<(i64, usize)>>,
    /// Records of the present arrival and how many of them are handed out.
    out: Vec<MarketRecord>,
    taken: usize,
}

impl SynthMarket {
    /// A market that stands before its first record.
    ///
    /// # Errors
    /// [`SynthError`] names the first value that is out of its range.
    pub fn new(instruments: &InstrumentTable, config: &SynthConfig) -> Result<Self, SynthError> {
        let first = check_sessions(&config.sessions)?;
        if config.symbols.is_empty() {
            return Err(SynthError::Empty { what: "symbols" });
        }
        let mut symbols = Vec::with_capacity(config.symbols.len());
        for (at, symbol) in config.symbols.iter().enumerate() {
            let Some(instrument) = instruments.get(symbol.instrument) else {
                return Err(SynthError::UnknownInstrument(symbol.instrument));
            };
            if config.symbols.iter().take(at).any(|other| other.instrument == symbol.instrument) {
                return Err(SynthError::Duplicate { symbol: instrument.symbol().to_owned() });
            }
            check_symbol(instrument, symbol, first.open_ns)?;
            symbols.push(SymbolFlow::new(instrument, symbol, config.seed, first));
        }
        let order = (0..symbols.len()).map(|number| Reverse((first.open_ns, number))).collect();
        Ok(Self { sessions: config.sessions.clone(), symbols, order, out: Vec::with_capacity(32), taken: 0 })
    }

    /// The next record, or `None` after the last session.
    #[inline]
    pub fn next_record(&mut self) -> Option<MarketRecord> {
        loop {
            if let Some(record) = self.out.get(self.taken) {
                self.taken = self.taken.saturating_add(1);
                return Some(*record);
            }
            self.out.clear();
            self.taken = 0;
            self.arrive()?;
        }
    }

    /// Runs the next arrival of all symbols; it may leave no record.
    fn arrive(&mut self) -> Option<()> {
        let mut top = self.order.peek_mut()?;
        let symbol = self.symbols.get_mut(top.0.1)?;
        symbol.run(&mut self.out);
        // Changing the top in place costs one sift instead of a pop and a push.
        match symbol.next_ns(&self.sessions) {
            Some(next_ns) => top.0.0 = next_ns,
            None => drop(PeekMut::pop(top)),
        }
        Some(())
    }
}

impl MarketSource for SynthMarket {
    #[inline]
    fn next(&mut self) -> Result<Option<MarketRecord>, SourceError> {
        Ok(self.next_record())
    }
}

/// Checks the sessions and returns the first.
fn check_sessions(sessions: &[SynthSession]) -> Result<SynthSession, SynthError> {
    let Some(&first) = sessions.first() else { return Err(SynthError::Empty { what: "sessions" }) };
    let mut previous_ns = i64::MIN;
    for (number, &session) in (1..).zip(sessions) {
        let SynthSession { open_ns, continuous_end_ns, close_ns } = session;
        let continuous_ns = continuous_end_ns.checked_sub(open_ns).unwrap_or(0);
        let is_sound = open_ns > previous_ns
            && close_ns >= continuous_end_ns
            && (CONTINUOUS_NS_MIN..=24 * 60 * MINUTE_NS).contains(&continuous_ns);
        if !is_sound {
            return Err(SynthError::Session { number, open_ns, continuous_end_ns, close_ns });
        }
        previous_ns = close_ns;
    }
    Ok(first)
}

fn check_symbol(instrument: &Instrument, symbol: &SynthSymbol, open_ns: i64) -> Result<(), SynthError> {
    let fault = |field, found, expected| {
        Err(SynthError::Value { symbol: instrument.symbol().to_owned(), field, found, expected })
    };
    let base = symbol.base_price;
    let tick = instrument.tick_at(base, open_ns).0;
    if !instrument.is_on_tick(base, open_ns) || base.0 >= 1 << 40 || base.0 < tick.saturating_mul(100) {
        return fault(
            "base_price",
            base.0,
            "a price on the tick ladder, at least 100 ticks and below 2^40 units",
        );
    }
    if let Some((lower, upper)) = instrument.price_limits(base, open_ns)
        && upper.0.saturating_sub(lower.0) < tick.saturating_mul(20)
    {
        return fault("base_price", base.0, "daily price limits at least 20 ticks apart");
    }
    if !(100..=5_000_000).contains(&symbol.daily_events) {
        return fault("daily_events", i64::from(symbol.daily_events), "100 to 5,000,000");
    }
    let lots = symbol.daily_volume.0.checked_div(instrument.lot().0).unwrap_or(0);
    if lots < i64::from(symbol.daily_events) || symbol.daily_volume.0 >= 1 << 50 {
        return fault(
            "daily_volume",
            symbol.daily_volume.0,
            "at least one lot per daily event and below 2^50 units",
        );
    }
    if !(10_000..=2_000_000).contains(&symbol.annual_vol_ppm) {
        return fault(
            "annual_vol_ppm",
            i64::from(symbol.annual_vol_ppm),
            "10,000 to 2,000,000 (1 % to 200 %)",
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests;
