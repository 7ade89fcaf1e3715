//! Prints between the open and the close of a recorded day, made up from what its bar says.
//!
//! A daily bar tells four prices and a volume; what trades by the minute needs a path. The bridge draws one: a random
//! walk tied to open and close (mirrored at an extreme that is one of them), drawn again until its reach above and
//! below both is near that of the bar, at most 64 times, then the nearest. It is stretched there, the higher of two
//! points staying the higher one, until its highest and lowest points *are* the high and the low. Which of them comes
//! first, and when, is the walk's chance and no rule. Up and down are treated alike, and no step depends on those
//! before it except through the bar. Following or fading the path earns less than a thirtieth of its moves, before
//! costs, with 39 prints a day, and less with more (a test holds that); with fewer than some twenty the extremes, which
//! are always among the prints, come back noticeably.
//!
//! What it can stand for: that entries, exits, stops, holds and limits meet a market that moves inside the day, between
//! the day's own prices, at its open, high, low and close exactly and with its volume exactly. What it cannot stand
//! for: how the day went. The order of its prices, its busy hours, spreads, gaps, news and the depth of its book are
//! not in a bar: each spread is one tick, each size a share of the volume drawn by chance, and the close is the last
//! print of continuous trading. A profit of minutes on a bridge says nothing of one in that market: it shows what the
//! engine does and what trading costs. The path is drawn when the whole bar is known. An earlier print tells no more of
//! a later one than that the day stays between its low and high and reaches both.
//!
//! Everything is integers, and the random stream (xoshiro256++) follows from the seed, the symbol and the date alone: a
//! day of a symbol is the same whatever other days and symbols there are.

use thiserror::Error;

use super::synth::random::Random;
use crate::event::Side;
use crate::fixed::{Price, Qty};
use crate::instrument::Instrument;
use crate::wire::csv::{BarRow, BarTime};

/// Height of a bar while its walk is drawn: the low is 0, the high is this.
const HEIGHT: i64 = 1 << 20;

/// Walks drawn for a day at most.
const TRIES: u32 = 64;

/// How far the reach of a walk may be from that of the bar, above and below together.
const NEAR: i64 = HEIGHT / 16;

/// A print shows this part of its size on each side of the book.
const SHOWN_PART: i64 = 8;

/// What is wrong with a bridge.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BridgeError {
    /// Too few prints to show a bar, or more than one a second.
    #[error("a bridge of {found} prints a day, expected {} to {}", Bridge::FEWEST, Bridge::MOST)]
    Prints {
        /// The number given.
        found: u32,
    },
}

/// How days are bridged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bridge {
    seed: u64,
    prints: u32,
}

/// One trade of a bridged day, with the quotes that stand after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BridgedPrint {
    /// Place among the prints of the day, from 0.
    pub number: u32,
    /// Price traded at.
    pub price: Price,
    /// Size traded, in quantity units, above 0.
    pub qty: Qty,
    /// Who traded, if the price is on the ladder.
    pub aggressor: Option<Side>,
    /// Best bid, at most the price; 0 = none fits.
    pub bid: Price,
    /// Best ask, at least the price and above the bid.
    pub ask: Price,
    /// Size at each of them, in quantity units.
    pub shown: Qty,
}

/// A bridged day.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgedDay {
    /// Size of the opening auction, in quantity units; its price is the open. 0 = none.
    pub opening: Qty,
    /// Trades in order of time; one without size is left out.
    pub prints: Vec<BridgedPrint>,
}

impl Bridge {
    /// Fewest prints of a day: open, high, low and close.
    pub const FEWEST: u32 = 4;
    /// Most prints of a day: one a second in six and a half hours.
    pub const MOST: u32 = 23_400;

    /// Bridges of `prints` trades a day that follow from `seed`.
    ///
    /// # Errors
    /// [`BridgeError::Prints`] outside [`Bridge::FEWEST`] to [`Bridge::MOST`].
    pub const fn new(seed: u64, prints: u32) -> Result<Self, BridgeError> {
        if prints < Self::FEWEST || prints > Self::MOST {
            return Err(BridgeError::Prints { found: prints });
        }
        Ok(Self { seed, prints })
    }

    /// Trades of a day.
    pub const fn prints(&self) -> u32 {
        self.prints
    }

    /// Draws the day of `row`. `base` is the close before it, if known: quotes stay within the limits it sets, which
    /// is all that it changes.
    pub fn day(&self, instrument: &Instrument, row: &BarRow, base: Option<Price>, ts_ns: i64) -> BridgedDay {
        let day = match row.time {
            BarTime::Day(day) => i64::from(day),
            BarTime::Minute(start_ns) => start_ns,
        };
        if row.volume.0 <= 0 {
            return BridgedDay::default();
        }
        let mut random = Random::new(self.seed, &format!("bridge {} {day}", instrument.symbol()));
        let path = path(&mut random, row, self.prints);
        let sizes = sizes(&mut random, row, instrument.lot(), &path);
        let limits = base.and_then(|base| instrument.price_limits(base, ts_ns));
        // A day outside them has another base: a split, or a gap in the record.
        let limits = limits.filter(|(lower, upper)| lower <= &row.low && &row.high <= upper);
        let market = Market { instrument, row, path: &path, limits, ts_ns };
        let mut opening = Qty(0);
        let mut prints = Vec::with_capacity(path.heights.len());
        for (slot, &qty) in sizes.iter().enumerate() {
            let Some(at) = slot.checked_sub(1) else {
                opening = qty;
                continue;
            };
            // Drawn for a print without size too: what follows does not depend on sizes.
            let buys = random.bits() & 1 == 0;
            if let (Ok(number), true) = (u32::try_from(at), qty.0 > 0) {
                prints.push(market.print(number, at, qty, buys));
            }
        }
        BridgedDay { opening, prints }
    }
}

/// Heights of the prints over the low, out of [`HEIGHT`], and where the extremes are.
#[derive(Debug)]
struct Path {
    heights: Vec<i64>,
    highest: usize,
    lowest: usize,
}

/// A bar between 0 and [`HEIGHT`].
#[derive(Debug, Clone, Copy)]
struct Shape {
    open: i64,
    close: i64,
}

impl Shape {
    fn of(row: &BarRow) -> Self {
        let span = i128::from(row.high.0).saturating_sub(i128::from(row.low.0));
        let height = |price: Price| {
            let above = i128::from(price.0).saturating_sub(i128::from(row.low.0));
            let scaled = above.saturating_mul(i128::from(HEIGHT)).checked_div(span).unwrap_or(0);
            i64::try_from(scaled).unwrap_or(0).clamp(0, HEIGHT)
        };
        Self { open: height(row.open), close: height(row.close) }
    }

    fn upper(self) -> i64 {
        self.open.max(self.close)
    }

    fn lower(self) -> i64 {
        self.open.min(self.close)
    }

    /// Mirrors a height at an extreme that is the open or the close: a walk that may not pass it comes back.
    fn fold(self, height: i64) -> i64 {
        match (self.lower() == 0, self.upper() == HEIGHT) {
            (true, true) => {
                let round = height.checked_rem_euclid(HEIGHT.saturating_mul(2)).unwrap_or(0);
                HEIGHT.saturating_sub(HEIGHT.saturating_sub(round).saturating_abs())
            }
            (true, false) => height.saturating_abs(),
            (false, true) => HEIGHT.saturating_sub(HEIGHT.saturating_sub(height).saturating_abs()),
            (false, false) => height,
        }
    }
}

/// The heights of `prints` trades from the open to the close of a bar.
fn path(random: &mut Random, row: &BarRow, prints: u32) -> Path {
    let shape = Shape::of(row);
    let mut best = Vec::new();
    let mut walk = Vec::with_capacity(usize::try_from(prints).unwrap_or(0));
    let mut least = i64::MAX;
    if row.high > row.low {
        for _ in 0..TRIES {
            draw(random, shape, prints, &mut walk);
            let (above, below) = reach(&walk, shape);
            let wanted = (HEIGHT.saturating_sub(shape.upper()), shape.lower());
            let off = above.abs_diff(wanted.0).saturating_add(below.abs_diff(wanted.1));
            let off = i64::try_from(off).unwrap_or(i64::MAX);
            if off < least {
                least = off;
                std::mem::swap(&mut best, &mut walk);
            }
            if least <= NEAR {
                break;
            }
        }
    } else {
        best.resize(usize::try_from(prints).unwrap_or(0), 0);
    }
    stretch(&mut best, shape);
    touch(best, row)
}

/// A random walk from open to close, of the spread at which its range is about the bar's.
fn draw(random: &mut Random, shape: Shape, prints: u32, walk: &mut Vec<i64>) {
    let steps = i64::from(prints.saturating_sub(1)).max(1);
    // Mean range of a walk of n steps: about 1.5 times the spread of a step and the root of n. A bell has a spread of 4.
    let root = steps.saturating_mul(1_000_000).isqrt();
    let scale = HEIGHT.saturating_mul(10_000).checked_div(root.saturating_mul(60)).unwrap_or(0);
    walk.clear();
    let mut sum = 0_i64;
    walk.push(0);
    for _ in 0..steps {
        sum = sum.saturating_add(random.bell());
        walk.push(sum);
    }
    let fall = shape.close.saturating_sub(shape.open);
    for (step, at) in (0..).zip(walk.iter_mut()) {
        let tied = at.saturating_mul(steps).saturating_sub(sum.saturating_mul(step));
        let drift = fall.saturating_mul(step);
        let moved = tied.saturating_mul(scale).saturating_add(drift).checked_div(steps).unwrap_or(0);
        *at = shape.fold(shape.open.saturating_add(moved));
    }
}

/// How far a walk goes above and below open and close.
fn reach(walk: &[i64], shape: Shape) -> (i64, i64) {
    let highest = walk.iter().copied().max().unwrap_or(0).max(shape.upper());
    let lowest = walk.iter().copied().min().unwrap_or(0).min(shape.lower());
    (highest.saturating_sub(shape.upper()), shape.lower().saturating_sub(lowest))
}

/// Makes the reach of a walk that of its bar. Of two points the higher one stays
/// the higher one.
fn stretch(walk: &mut [i64], shape: Shape) {
    let (above, below) = reach(walk, shape);
    let (upper, lower) = (shape.upper(), shape.lower());
    let scaled =
        |past: i64, wanted: i64, found: i64| past.saturating_mul(wanted).checked_div(found).unwrap_or(0);
    for at in walk {
        if *at > upper {
            let past = scaled(at.saturating_sub(upper), HEIGHT.saturating_sub(upper), above);
            *at = upper.saturating_add(past);
        } else if *at < lower {
            *at = lower.saturating_sub(scaled(lower.saturating_sub(*at), lower, below));
        }
    }
}

/// Where a bar's high and low are on its path. One that the walk never went to is put beside the nearer end: a small
/// step, because nothing nearer was drawn.
fn touch(mut heights: Vec<i64>, row: &BarRow) -> Path {
    let last = heights.len().saturating_sub(1);
    let inner = 1..last;
    let find = |wanted: Price, height: i64| {
        let at_end = if wanted == row.open { Some(0) } else { (wanted == row.close).then_some(last) };
        at_end.or_else(|| inner.clone().find(|&at| heights.get(at) == Some(&height)))
    };
    let found = (find(row.high, HEIGHT), find(row.low, 0));
    let beside = |wanted: Price, taken: Option<usize>| {
        let to_open = wanted.0.abs_diff(row.open.0);
        let mut ends = [1, last.saturating_sub(1)];
        if to_open > wanted.0.abs_diff(row.close.0) {
            ends.reverse();
        }
        ends.into_iter().find(|&at| taken != Some(at)).unwrap_or(0)
    };
    let highest = found.0.unwrap_or_else(|| beside(row.high, found.1));
    let lowest = found.1.unwrap_or_else(|| beside(row.low, Some(highest)));
    for (at, height) in [(highest, HEIGHT), (lowest, 0)] {
        if let Some(place) = heights.get_mut(at) {
            *place = height;
        }
    }
    Path { heights, highest, lowest }
}

/// Sizes of the opening auction and of each print: shares of the volume in whole lots, drawn with an exponential
/// weight, what is no whole lot on the last. Of few lots, close, open, high and low come first.
fn sizes(random: &mut Random, row: &BarRow, lot: Qty, path: &Path) -> Vec<Qty> {
    let lot = lot.0.max(1);
    let prints = path.heights.len();
    let lots = row.volume.0.checked_div(lot).unwrap_or(0);
    let mut shares = vec![0_i64; prints.saturating_add(1)];
    let mut left = lots;
    let first = [prints, 0, path.highest.saturating_add(1), path.lowest.saturating_add(1)];
    for slot in first {
        if let Some(share) = shares.get_mut(slot)
            && *share == 0
            && left > 0
        {
            *share = 1;
            left = left.saturating_sub(1);
        }
    }
    let weights: Vec<u64> = shares.iter().map(|_| random.exponential()).collect();
    let total: u128 = weights.iter().map(|&weight| u128::from(weight)).sum();
    let (mut sum, mut given) = (0_u128, 0_i64);
    for (share, weight) in shares.iter_mut().zip(weights) {
        sum = sum.saturating_add(u128::from(weight));
        // The share of all up to here, less what those before have: the shares of all are what is left, exactly.
        let due = u128::from(left.unsigned_abs()).saturating_mul(sum).checked_div(total).unwrap_or(0);
        let due = i64::try_from(due).unwrap_or(left);
        *share = share.saturating_add(due.saturating_sub(given));
        given = due;
    }
    let mut sizes: Vec<Qty> = shares.into_iter().map(|share| Qty(share.saturating_mul(lot))).collect();
    if let Some(last) = sizes.last_mut() {
        last.0 = last.0.saturating_add(row.volume.0.saturating_sub(lots.saturating_mul(lot)));
    }
    sizes
}

/// What turns a height into a trade with quotes.
struct Market<'a> {
    instrument: &'a Instrument,
    row: &'a BarRow,
    path: &'a Path,
    /// Lowest and highest price of the day.
    limits: Option<(Price, Price)>,
    ts_ns: i64,
}

impl Market<'_> {
    fn print(&self, number: u32, at: usize, qty: Qty, buys: bool) -> BridgedPrint {
        let price = self.price(at);
        let (bid, ask, aggressor) = self.quotes(price, buys);
        let lot = self.instrument.lot().0.max(1);
        let part = qty.0.checked_div(SHOWN_PART).unwrap_or(0);
        let shown = part.saturating_sub(part.checked_rem(lot).unwrap_or(0)).max(lot);
        BridgedPrint { number, price, qty, aggressor, bid, ask, shown: Qty(shown) }
    }

    /// The bar's own prices exactly; others on the ladder where it has one between low and high.
    fn price(&self, at: usize) -> Price {
        let row = self.row;
        match at {
            0 => return row.open,
            at if at.saturating_add(1) == self.path.heights.len() => return row.close,
            at if at == self.path.highest => return row.high,
            at if at == self.path.lowest => return row.low,
            _ => {}
        }
        let height = self.path.heights.get(at).copied().unwrap_or(0).clamp(0, HEIGHT);
        let span = i128::from(row.high.0).saturating_sub(i128::from(row.low.0));
        let above = span.saturating_mul(i128::from(height)).checked_div(i128::from(HEIGHT)).unwrap_or(0);
        let exact = Price(row.low.0.saturating_add(i64::try_from(above).unwrap_or(0)));
        let floor = self.instrument.floor_to_tick(exact, self.ts_ns);
        let ceil = self.instrument.ceil_to_tick(exact, self.ts_ns);
        let mut ticks = [floor, ceil];
        if exact.0.abs_diff(floor.0) > exact.0.abs_diff(ceil.0) {
            ticks.reverse();
        }
        let within = |price: &Price| (row.low..=row.high).contains(price);
        ticks.into_iter().find(within).unwrap_or_else(|| {
            if exact.0.abs_diff(row.low.0) <= exact.0.abs_diff(row.high.0) { row.low } else { row.high }
        })
    }

    /// Bid and ask a tick apart with the price at one of them, and who traded then; around it if it is off the ladder.
    fn quotes(&self, price: Price, buys: bool) -> (Price, Price, Option<Side>) {
        let step =
            |ticks| self.instrument.step(price, ticks, self.ts_ns).ok().filter(|at| self.is_allowed(*at));
        let (below, above) = (step(-1), step(1));
        if !self.instrument.is_on_tick(price, self.ts_ns) {
            return (below.unwrap_or(Price(0)), above.unwrap_or(Price(0)), None);
        }
        match (below, above) {
            (Some(bid), above) if buys || above.is_none() => (bid, price, Some(Side::Buy)),
            (_, Some(ask)) => (price, ask, Some(Side::Sell)),
            (_, None) => (price, Price(0), None),
        }
    }

    fn is_allowed(&self, price: Price) -> bool {
        self.limits.is_none_or(|(lower, upper)| (lower..=upper).contains(&price))
    }
}

#[cfg(test)]
mod tests;
