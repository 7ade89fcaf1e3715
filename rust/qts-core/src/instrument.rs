//! Instruments: units, tick ladder, daily price limits and costs, each in force by date.
//!
//! Nothing about a market is built in: ladders, limits and rates arrive as data (spec 00 §7).

use std::collections::HashMap;

use thiserror::Error;

use crate::event::Side;
use crate::fixed::{FixedError, Money, Price, Qty, Rate, Scale, notional};

/// Dense number of an instrument in its table, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InstrumentId(pub u32);

/// A value that is in force from a date on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dated<T> {
    /// In force from this moment on, UTC nanoseconds.
    pub effective_from_ns: i64,
    /// The value.
    pub value: T,
}

/// One band of a tick ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickBand {
    /// Lowest price of the band, in price units.
    pub from: Price,
    /// Tick size in the band, in price units.
    pub tick: Price,
}

/// What trading costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CostRates {
    /// Commission on purchases.
    pub buy_fee: Rate,
    /// Commission on sales.
    pub sell_fee: Rate,
    /// Transaction tax on sales.
    pub sell_tax: Rate,
}

/// What an instrument is built from; see [`Instrument`].
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "the fields are those of Instrument")]
pub struct InstrumentSpec {
    pub symbol: String,
    pub currency: String,
    pub price_scale: Scale,
    pub qty_scale: Scale,
    pub money_scale: Scale,
    pub lot: Qty,
    pub price_increment: Price,
    pub ladder: Vec<Dated<Vec<TickBand>>>,
    pub costs: Vec<Dated<CostRates>>,
    pub limit_rate: Vec<Dated<Option<Rate>>>,
}

/// What is wrong with an instrument.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InstrumentError {
    /// A part of the specification is not usable.
    #[error("{symbol}: {what}")]
    Spec {
        /// The instrument.
        symbol: String,
        /// What is wrong.
        what: &'static str,
    },
    /// The symbol is in the table already.
    #[error("{0} is in the instrument table already")]
    Duplicate(String),
    /// A step on the ladder left the range of prices.
    #[error("a step of {ticks} ticks from {price} leaves the range of prices")]
    Step {
        /// Where from, in price units.
        price: i64,
        /// How many ticks.
        ticks: i32,
    },
}

/// One tradable instrument.
#[derive(Debug, Clone)]
pub struct Instrument {
    spec: InstrumentSpec,
}

/// The row in force at `ts_ns`; before the first row the first row counts. Rows are checked to exist when built.
fn in_force<T>(rows: &[Dated<T>], ts_ns: i64) -> Option<&T> {
    let after = rows.partition_point(|row| row.effective_from_ns <= ts_ns);
    rows.get(after.saturating_sub(1)).map(|row| &row.value)
}

impl Instrument {
    /// An instrument, after checking that its parts fit together.
    ///
    /// # Errors
    /// [`InstrumentError::Spec`] names the part: empty symbol, rows missing or not in order of date, a ladder that
    /// does not start at 0 or is not ascending, a tick off the price increment, a rate outside 0 to 1, or units in
    /// which price times quantity would not be exact in money.
    pub fn new(spec: InstrumentSpec) -> Result<Self, InstrumentError> {
        match problem(&spec) {
            None => Ok(Self { spec }),
            Some(what) => Err(InstrumentError::Spec { symbol: spec.symbol, what }),
        }
    }

    /// Symbol, never parsed as a number.
    pub fn symbol(&self) -> &str {
        &self.spec.symbol
    }

    /// Currency code of prices and money.
    pub fn currency(&self) -> &str {
        &self.spec.currency
    }

    /// Decimals of a price.
    pub const fn price_scale(&self) -> Scale {
        self.spec.price_scale
    }

    /// Decimals of a quantity.
    pub const fn qty_scale(&self) -> Scale {
        self.spec.qty_scale
    }

    /// Decimals of money.
    pub const fn money_scale(&self) -> Scale {
        self.spec.money_scale
    }

    /// Smallest tradable quantity, in quantity units.
    pub const fn lot(&self) -> Qty {
        self.spec.lot
    }

    /// Finest price that market data may carry, in price units. The ladder, not this, binds orders: recorded history
    /// that was adjusted for splits lies off the ladder.
    pub const fn price_increment(&self) -> Price {
        self.spec.price_increment
    }

    fn bands(&self, ts_ns: i64) -> &[TickBand] {
        in_force(&self.spec.ladder, ts_ns).map_or(&[], Vec::as_slice)
    }

    fn band_tick(bands: &[TickBand], price: Price) -> Price {
        let after = bands.partition_point(|band| band.from <= price);
        bands.get(after.saturating_sub(1)).map_or(Price(1), |band| band.tick)
    }

    /// Tick size that binds an order at `price` at that time, in price units.
    #[inline]
    pub fn tick_at(&self, price: Price, ts_ns: i64) -> Price {
        Self::band_tick(self.bands(ts_ns), price)
    }

    /// Whether an order may carry `price`.
    #[inline]
    pub fn is_on_tick(&self, price: Price, ts_ns: i64) -> bool {
        price.0.checked_rem(self.tick_at(price, ts_ns).0) == Some(0)
    }

    /// `price` rounded down to the ladder.
    pub fn floor_to_tick(&self, price: Price, ts_ns: i64) -> Price {
        let tick = self.tick_at(price, ts_ns).0;
        Price(price.0.saturating_sub(price.0.checked_rem_euclid(tick).unwrap_or(0)))
    }

    /// `price` rounded up to the ladder.
    pub fn ceil_to_tick(&self, price: Price, ts_ns: i64) -> Price {
        let floor = self.floor_to_tick(price, ts_ns);
        if floor == price { price } else { Price(floor.0.saturating_add(self.tick_at(price, ts_ns).0)) }
    }

    /// `price` moved by `ticks` steps. Each step uses the tick of the band it lands in: one up from 1,999 is 2,000,
    /// one down from 2,000 is 1,999. A price off the ladder first moves to its neighbour in the direction of travel.
    ///
    /// # Errors
    /// [`InstrumentError::Step`] at zero or below, or out of range.
    pub fn step(&self, price: Price, ticks: i32, ts_ns: i64) -> Result<Price, InstrumentError> {
        let bands = self.bands(ts_ns);
        let mut at = price.0;
        for _ in 0..ticks.unsigned_abs() {
            let moved = if ticks > 0 {
                let tick = Self::band_tick(bands, Price(at)).0;
                at.checked_rem_euclid(tick).and_then(|past| at.checked_add(tick.checked_sub(past)?))
            } else {
                let tick = Self::band_tick(bands, Price(at.saturating_sub(1))).0;
                at.checked_sub(1).and_then(|below| below.checked_sub(below.checked_rem_euclid(tick)?))
            };
            at = moved.filter(|&at| at > 0).ok_or(InstrumentError::Step { price: price.0, ticks })?;
        }
        Ok(Price(at))
    }

    /// Lower and upper limit of a day with this base price, or `None` where no limit binds (spec 00 §7.3).
    ///
    /// The width is the base times the rate, truncated to the base's tick; the upper limit is rounded down and the
    /// lower one up to the tick of its own band.
    pub fn price_limits(&self, base: Price, ts_ns: i64) -> Option<(Price, Price)> {
        let rate = in_force(&self.spec.limit_rate, ts_ns).copied().flatten()?;
        if base.0 <= 0 {
            return None;
        }
        let raw = i128::from(base.0).saturating_mul(i128::from(rate.0)).checked_div(i128::from(Rate::ONE))?;
        let raw = i64::try_from(raw).ok()?;
        let tick = self.tick_at(base, ts_ns).0;
        let width = raw.checked_sub(raw.checked_rem(tick)?)?;
        let upper = self.floor_to_tick(Price(base.0.checked_add(width)?), ts_ns);
        let lower = self.ceil_to_tick(Price(base.0.checked_sub(width)?), ts_ns);
        Some((lower, upper))
    }

    /// Price times quantity in money units, exact.
    ///
    /// # Errors
    /// [`FixedError::Overflow`], or [`FixedError::Inexact`] for a price finer than the price increment.
    #[inline]
    pub fn amount(&self, price: Price, qty: Qty) -> Result<Money, FixedError> {
        notional(price, self.spec.price_scale, qty, self.spec.qty_scale, self.spec.money_scale)
    }

    fn rates(&self, ts_ns: i64) -> CostRates {
        const FREE: CostRates = CostRates { buy_fee: Rate(0), sell_fee: Rate(0), sell_tax: Rate(0) };
        in_force(&self.spec.costs, ts_ns).copied().unwrap_or(FREE)
    }

    fn fee_rate(&self, side: Side, ts_ns: i64) -> Rate {
        let rates = self.rates(ts_ns);
        match side {
            Side::Buy => rates.buy_fee,
            Side::Sell => rates.sell_fee,
        }
    }

    /// Commission on `amount`, truncated as brokers book it.
    ///
    /// # Errors
    /// [`FixedError::Overflow`].
    pub fn fee(&self, side: Side, amount: Money, ts_ns: i64) -> Result<Money, FixedError> {
        amount.mul_rate_floor(self.fee_rate(side, ts_ns))
    }

    /// Commission on `amount` rounded against us, for reservations.
    ///
    /// # Errors
    /// [`FixedError::Overflow`].
    pub fn fee_ceil(&self, side: Side, amount: Money, ts_ns: i64) -> Result<Money, FixedError> {
        amount.mul_rate_ceil(self.fee_rate(side, ts_ns))
    }

    /// Transaction tax on `amount`, truncated; zero for purchases.
    ///
    /// # Errors
    /// [`FixedError::Overflow`].
    pub fn tax(&self, side: Side, amount: Money, ts_ns: i64) -> Result<Money, FixedError> {
        match side {
            Side::Buy => Ok(Money(0)),
            Side::Sell => amount.mul_rate_floor(self.rates(ts_ns).sell_tax),
        }
    }
}

const LADDER_RULE: &str = "a ladder starts at price 0, ascends, has positive ticks that are multiples of the price \
    increment, and each band starts on a tick of its own and of the band below";

fn problem(spec: &InstrumentSpec) -> Option<&'static str> {
    if spec.symbol.is_empty() {
        return Some("the symbol is empty");
    }
    if spec.lot.0 <= 0 || spec.price_increment.0 <= 0 {
        return Some("lot and price increment must be positive");
    }
    // Increment times lot exact in money makes every price times every quantity exact.
    let step = notional(spec.price_increment, spec.price_scale, spec.lot, spec.qty_scale, spec.money_scale);
    if step.is_err() {
        return Some("price increment times lot is finer than money: amounts would not be exact");
    }
    if spec.ladder.is_empty() || spec.costs.is_empty() || spec.limit_rate.is_empty() {
        return Some("ladder, costs and limit rate need at least one dated row each");
    }
    if !is_dated_ascending(&spec.ladder)
        || !is_dated_ascending(&spec.costs)
        || !is_dated_ascending(&spec.limit_rate)
    {
        return Some("dated rows must be in ascending order of date");
    }
    if !spec.ladder.iter().all(|row| is_ladder(&row.value, spec.price_increment)) {
        return Some(LADDER_RULE);
    }
    let rates = spec.costs.iter().flat_map(|row| [row.value.buy_fee, row.value.sell_fee, row.value.sell_tax]);
    let limits = spec.limit_rate.iter().filter_map(|row| row.value);
    if rates.chain(limits).any(|rate| !(0..=Rate::ONE).contains(&rate.0)) {
        return Some("rates lie between 0 and 1");
    }
    None
}

fn is_dated_ascending<T>(rows: &[Dated<T>]) -> bool {
    rows.is_sorted_by(|one, next| one.effective_from_ns < next.effective_from_ns)
}

/// Bands that meet on a tick of both make stepping up and down inverse, and rounding up never leave the ladder.
fn is_ladder(bands: &[TickBand], increment: Price) -> bool {
    let on = |price: Price, tick: Price| price.0.checked_rem(tick.0) == Some(0);
    bands.first().is_some_and(|band| band.from.0 == 0)
        && bands.is_sorted_by(|one, next| one.from < next.from)
        && bands.iter().all(|band| band.tick.0 > 0 && on(band.tick, increment) && on(band.from, band.tick))
        && bands.iter().zip(bands.iter().skip(1)).all(|(below, band)| on(band.from, below.tick))
}

/// Every instrument of a run, by dense number.
#[derive(Debug, Clone, Default)]
pub struct InstrumentTable {
    rows: Vec<Instrument>,
    by_symbol: HashMap<Box<[u8]>, InstrumentId>,
}

impl InstrumentTable {
    /// Adds an instrument and returns its number.
    ///
    /// # Errors
    /// [`InstrumentError::Duplicate`] if the symbol is there already.
    pub fn push(&mut self, instrument: Instrument) -> Result<InstrumentId, InstrumentError> {
        if self.find(instrument.symbol()).is_some() {
            return Err(InstrumentError::Duplicate(instrument.symbol().to_owned()));
        }
        let id = InstrumentId(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        self.by_symbol.insert(instrument.symbol().as_bytes().into(), id);
        self.rows.push(instrument);
        Ok(id)
    }

    /// The instrument with that number.
    #[inline]
    pub fn get(&self, id: InstrumentId) -> Option<&Instrument> {
        self.rows.get(usize::try_from(id.0).ok()?)
    }

    /// Number of a symbol.
    #[inline]
    pub fn find(&self, symbol: impl AsRef<[u8]>) -> Option<InstrumentId> {
        self.by_symbol.get(symbol.as_ref()).copied()
    }

    /// How many instruments there are.
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Every instrument with its number.
    pub fn iter(&self) -> impl Iterator<Item = (InstrumentId, &Instrument)> {
        (0..).map(InstrumentId).zip(&self.rows)
    }
}

#[cfg(test)]
mod tests;
