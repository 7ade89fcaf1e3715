//! The orders of one symbol: what arrives, what it does to the book, and what is told of it.

// Prices are below 2^41 (the base price doubled at most), sizes below 2^50 and the fair price has 16 binary places
// more than a price: sums and small multiples of them stay far inside 64 bits.
#![allow(clippy::arithmetic_side_effects, reason = "bounded by the checked configuration, as said above")]

use super::book::HalfBook;
use super::curve::Curve;
use super::random::Random;
use super::{SynthSession, SynthSymbol};
use crate::event::{MarketRecord, Side, TickKind};
use crate::fixed::{Price, Qty};
use crate::instrument::{Instrument, InstrumentId};

/// Binary places of the fair price.
const FAIR_BITS: u32 = 16;

/// Base prices stop growing here, whatever the sessions bring.
const PRICE_MAX: i64 = 1 << 40;

/// Chances of an arrival in 1,024: a limit order, a cancel; the rest are market orders.
const LIMIT_CHANCE: i64 = 530;
const CANCEL_CHANCE: i64 = 290;
const MARKET_CHANCE: i64 = 1_024 - LIMIT_CHANCE - CANCEL_CHANCE;

/// Shares of the day's volume in thousandths: opening auction, closing auction; the rest trades continuously.
const OPEN_SHARE: i64 = 30;
const CLOSE_SHARE: i64 = 60;
const CONTINUOUS_SHARE: i64 = 1_000 - OPEN_SHARE - CLOSE_SHARE;

/// Doublings of the smallest market order at most, and the mean size in smallest ones: 1/2·1 + 1/4·2 + … = (6+2)/2.
const DOUBLINGS_MAX: u32 = 6;
const MEAN_IN_SMALLEST: i64 = 4;

/// Levels that one market order may reach into.
const WALK_LEVELS_MAX: usize = 3;

/// Levels that a side is filled up to before anything else may happen to it.
const LEVELS_MIN: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Continuous,
    ContinuousEnd,
    Close,
    Ended,
}

/// One symbol's market.
#[derive(Debug)]
pub(super) struct SymbolFlow {
    id: InstrumentId,
    instrument: Instrument,
    config: SynthSymbol,
    random: Random,
    session: SynthSession,
    session_number: usize,
    phase: Phase,
    now_ns: i64,
    curve: Curve,
    /// Latent price with [`FAIR_BITS`] binary places, kept between its own bounds.
    fair: i64,
    fair_min: i64,
    fair_max: i64,
    /// A quarter of the standard deviation of the fair price per arrival: a bell has a deviation of 4.
    fair_step: i64,
    base: i64,
    lower: i64,
    upper: i64,
    bids: HalfBook,
    asks: HalfBook,
    /// Smallest market order when the volume is on its plan, in lots times 256.
    order_256: i64,
    /// Continuous volume aimed at and traded, in quantity units.
    planned: i64,
    traded: i64,
    /// What was told of the top of the book last: bid, size, ask, size.
    shown: [i64; 4],
}

impl SymbolFlow {
    pub(super) fn new(instrument: &Instrument, config: &SynthSymbol, seed: u64, first: SynthSession) -> Self {
        let mut flow = Self {
            id: config.instrument,
            instrument: instrument.clone(),
            config: *config,
            random: Random::new(seed, instrument.symbol()),
            session: first,
            session_number: 0,
            phase: Phase::Open,
            now_ns: first.open_ns,
            curve: Curve::new(first.continuous_end_ns - first.open_ns, config.daily_events),
            fair: 0,
            fair_min: 0,
            fair_max: 0,
            fair_step: 0,
            base: config.base_price.0,
            lower: 0,
            upper: 0,
            bids: HalfBook::new(Side::Buy),
            asks: HalfBook::new(Side::Sell),
            order_256: 0,
            planned: 0,
            traded: 0,
            shown: [0; 4],
        };
        flow.start_session();
        flow
    }

    /// Time of what happens next; `None` after the last of the `sessions`.
    pub(super) fn next_ns(&mut self, sessions: &[SynthSession]) -> Option<i64> {
        if self.phase == Phase::Ended {
            self.session_number += 1;
            self.session = *sessions.get(self.session_number)?;
            self.start_session();
        }
        Some(self.now_ns)
    }

    /// Sets up the session that `self.session` names, from the base price on.
    fn start_session(&mut self) {
        let (open_ns, base) = (self.session.open_ns, Price(self.base));
        let continuous_ns = self.session.continuous_end_ns - open_ns;
        self.now_ns = open_ns;
        self.phase = Phase::Open;
        self.curve = Curve::new(continuous_ns, self.config.daily_events);
        let unlimited = (self.instrument.tick_at(base, open_ns), Price(self.base * 2));
        let (lower, upper) = self.instrument.price_limits(base, open_ns).unwrap_or(unlimited);
        (self.lower, self.upper) = (lower.0, upper.0);
        // Three ticks of room at both ends, so that both sides of the book always find a price.
        let room = |price: Price| 3 * self.instrument.tick_at(price, open_ns).0;
        let (fair_min, fair_max) = (self.lower + room(lower), self.upper - room(upper));
        // A share that has fallen to a few ticks has no such room: it stays where it is.
        let (fair_min, fair_max) =
            if fair_min < fair_max { (fair_min, fair_max) } else { (self.base, self.base) };
        (self.fair_min, self.fair_max) = (fair_min << FAIR_BITS, fair_max << FAIR_BITS);
        // Deviation of a session: 1/√252 of the year's; 3/4 of its variance falls into the session, 1/4 on the gap.
        let session_ppm = i128::from(self.config.annual_vol_ppm) * 10_000 / 158_745;
        let fair = i128::from(self.base) << FAIR_BITS;
        let root_events_256 = i128::from((u64::from(self.config.daily_events) << 16).isqrt());
        let step = fair * session_ppm * 866 * 256 / (1_000_000_000 * 4 * root_events_256);
        self.fair_step = i64::try_from(step).unwrap_or(0).max(1);
        let gap_quarter = i64::try_from(fair * session_ppm / (1_000_000 * 2 * 4)).unwrap_or(0);
        self.fair = self.base << FAIR_BITS;
        self.move_fair(gap_quarter);
        let lots = self.config.daily_volume.0 / self.instrument.lot().0;
        let market_orders = (i64::from(self.config.daily_events) * MARKET_CHANCE / 1_024).max(1);
        // At least a 256th of a lot; below one lot the size is drawn so that its mean is right.
        let continuous_256 = i128::from(lots) * i128::from(CONTINUOUS_SHARE) * 256 / 1_000;
        let order_256 = continuous_256 / i128::from(market_orders * MEAN_IN_SMALLEST);
        self.order_256 = i64::try_from(order_256).unwrap_or(i64::MAX >> 16).max(1);
        self.planned = self.share(CONTINUOUS_SHARE);
        self.traded = 0;
        self.shown = [0; 4];
    }

    /// Thousandths of the day's volume in quantity units, whole lots.
    fn share(&self, thousandths: i64) -> i64 {
        let share = i128::from(self.config.daily_volume.0) * i128::from(thousandths) / 1_000;
        self.whole_lots(i64::try_from(share).unwrap_or(0))
    }

    /// Whole lots of `qty`, at least one.
    fn whole_lots(&self, qty: i64) -> i64 {
        let lot = self.instrument.lot().0;
        (qty / lot).max(1) * lot
    }

    /// Lets the present event happen and sets the time of the next one.
    pub(super) fn run(&mut self, out: &mut Vec<MarketRecord>) {
        match self.phase {
            Phase::Open => {
                self.print_auction(OPEN_SHARE, out);
                self.seed_book();
                self.show(out);
                self.phase = Phase::Continuous;
                self.schedule();
            }
            Phase::Continuous => {
                self.arrive(out);
                self.show(out);
                self.schedule();
            }
            Phase::ContinuousEnd => {
                self.bids.clear();
                self.asks.clear();
                self.show(out);
                self.phase = Phase::Close;
                self.now_ns = self.session.close_ns;
            }
            Phase::Close => {
                self.move_fair(self.fair_step * 8);
                self.print_auction(CLOSE_SHARE, out);
                self.phase = Phase::Ended;
            }
            Phase::Ended => {}
        }
    }

    fn schedule(&mut self) {
        let length_ns = self.session.continuous_end_ns - self.session.open_ns;
        let mut past_ns = self.now_ns - self.session.open_ns;
        loop {
            match self.curve.next_arrival(past_ns, self.random.exponential()) {
                Ok(at_ns) if at_ns < length_ns => {
                    self.now_ns = self.session.open_ns + at_ns;
                    return;
                }
                Err(step_end_ns) if step_end_ns < length_ns => past_ns = step_end_ns,
                Ok(_) | Err(_) => {
                    self.now_ns = self.session.continuous_end_ns;
                    self.phase = Phase::ContinuousEnd;
                    return;
                }
            }
        }
    }

    /// One price for everybody, nearest to the fair one; it is the base of the next session if it is the last.
    fn print_auction(&mut self, thousandths: i64, out: &mut Vec<MarketRecord>) {
        let price = self.floor(self.fair >> FAIR_BITS);
        let wanted = self.share(thousandths);
        // From 3/4 to 5/4 of the share.
        let drawn = self.random.below(wanted / 2 + 1);
        let qty = self.whole_lots(wanted / 4 * 3 + drawn);
        self.base = price.min(self.floor(PRICE_MAX));
        out.push(MarketRecord {
            kind: TickKind::Auction,
            price: Price(price),
            qty: Qty(qty),
            ..self.record()
        });
    }

    fn record(&self) -> MarketRecord {
        MarketRecord {
            ts_event_ns: self.now_ns,
            ts_recv_ns: self.now_ns,
            instrument: self.id,
            ..MarketRecord::default()
        }
    }

    /// Tells the top of the book if it is not what was told last.
    #[inline]
    fn show(&mut self, out: &mut Vec<MarketRecord>) {
        let (bid, ask) = (self.bids.best(), self.asks.best());
        let shown = [
            bid.map_or(0, |level| level.price),
            bid.map_or(0, |level| level.qty),
            ask.map_or(0, |level| level.price),
            ask.map_or(0, |level| level.qty),
        ];
        if shown == self.shown {
            return;
        }
        self.shown = shown;
        let [bid, bid_qty, ask, ask_qty] = shown;
        out.push(MarketRecord {
            kind: TickKind::Quote,
            bid: Price(bid),
            bid_qty: Qty(bid_qty),
            ask: Price(ask),
            ask_qty: Qty(ask_qty),
            ..self.record()
        });
    }

    #[inline]
    fn half(&mut self, side: Side) -> &mut HalfBook {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    #[inline]
    fn floor(&self, price: i64) -> i64 {
        self.instrument.floor_to_tick(Price(price), self.now_ns).0
    }

    /// `price` moved by `ticks`; past the end of the ladder it stays where it is.
    #[inline]
    fn stepped(&self, price: i64, ticks: i32) -> i64 {
        self.instrument.step(Price(price), ticks, self.now_ns).map_or(price, |price| price.0)
    }

    /// Moves the fair price by a bell-shaped number of `quarters`; it is reflected at its bounds.
    #[inline]
    fn move_fair(&mut self, quarter: i64) {
        let moved = self.fair + quarter * self.random.bell();
        let reflected = match moved {
            low if low < self.fair_min => 2 * self.fair_min - low,
            high if high > self.fair_max => 2 * self.fair_max - high,
            inside => inside,
        };
        self.fair = reflected.clamp(self.fair_min, self.fair_max);
    }

    fn seed_book(&mut self) {
        for side in [Side::Buy, Side::Sell] {
            for ticks in 0..5 {
                self.add_limit(side, ticks);
            }
        }
    }

    /// One arrival: the fair price moves, then somebody acts.
    #[inline]
    fn arrive(&mut self, out: &mut Vec<MarketRecord>) {
        self.move_fair(self.fair_step);
        if !self.take_stale(Side::Sell, out) && !self.take_stale(Side::Buy, out) {
            self.act(out);
        }
        for side in [Side::Buy, Side::Sell] {
            // Nobody leaves a side empty for long: it would be the only price.
            if self.half(side).len() == 0 {
                self.add_limit(side, 0);
            }
        }
    }

    #[inline]
    fn act(&mut self, out: &mut Vec<MarketRecord>) {
        let side = if self.random.chance(512) { Side::Buy } else { Side::Sell };
        let draw = self.random.below(1_024);
        if draw < LIMIT_CHANCE || self.half(side).len() < LEVELS_MIN {
            let ticks = self.random.halvings(8);
            // A gap between the sides draws orders to the front.
            let ticks = if self.is_wide() { ticks / 4 } else { ticks };
            self.add_limit(side, i32::try_from(ticks).unwrap_or(0));
        } else if draw < LIMIT_CHANCE + CANCEL_CHANCE {
            self.cancel(side);
        } else {
            self.market_order(out);
        }
    }

    /// Whether a price is free between bid and ask.
    #[inline]
    fn is_wide(&self) -> bool {
        let (bid, ask) = (self.bids.best(), self.asks.best());
        bid.zip(ask).is_some_and(|(bid, ask)| self.stepped(bid.price, 1) < ask.price)
    }

    /// Whoever sees the fair price more than half a tick through a quote acts on it: most of the size there is
    /// pulled, the rest is taken.
    #[inline]
    fn take_stale(&mut self, side: Side, out: &mut Vec<MarketRecord>) -> bool {
        let mut is_stale = false;
        while let Some(best) = self.half(side).best()
            && self.is_through(side, best.price)
        {
            is_stale = true;
            let rest = self.limit_size();
            let next = self.stepped(best.price, if side == Side::Sell { 1 } else { -1 });
            if self.is_through(side, next) {
                // Far through: nobody is left there.
                self.half(side).remove(0, best.qty);
            } else if best.qty > rest {
                self.half(side).remove(0, best.qty - rest);
                return true;
            } else {
                self.take_best(side, best.qty, out);
            }
        }
        is_stale
    }

    /// Whether the fair price is more than half a tick beyond a quote of `side`.
    #[inline]
    fn is_through(&self, side: Side, price: i64) -> bool {
        let half_tick = self.instrument.tick_at(Price(price), self.now_ns).0 << (FAIR_BITS - 1);
        match side {
            Side::Sell => self.fair > (price << FAIR_BITS) + half_tick,
            Side::Buy => self.fair < (price << FAIR_BITS) - half_tick,
        }
    }

    /// Adds a limit order `ticks` behind the best price that makes sense for its owner.
    fn add_limit(&mut self, side: Side, ticks: i32) {
        let fair = self.fair >> FAIR_BITS;
        let below = self.floor(fair);
        let price = match side {
            Side::Buy => {
                let free = self.asks.best().map_or(below, |ask| self.stepped(ask.price, -1));
                self.stepped(below.min(free), -ticks)
            }
            Side::Sell => {
                let above = self.stepped(below, 1);
                let free = self.bids.best().map_or(above, |bid| self.stepped(bid.price, 1));
                self.stepped(above.max(free), ticks)
            }
        };
        if (self.lower..=self.upper).contains(&price) {
            let qty = self.limit_size();
            self.half(side).add(price, qty);
        }
    }

    /// Size of a limit order: from a half to three halves of twice the mean market order.
    fn limit_size(&mut self) -> i64 {
        let mean_256 = 2 * MEAN_IN_SMALLEST * self.order_256;
        let lots = (mean_256 / 2 + self.random.below(mean_256)) >> 8;
        lots.max(1) * self.instrument.lot().0
    }

    /// Cancels part of a level, mostly near the top; never the last level.
    fn cancel(&mut self, side: Side) {
        let draw = self.random.bits();
        let levels = self.half(side).len();
        // Three levels on average from the top, within the book.
        let at = usize::try_from((draw & 7).min(draw >> 3 & 15)).unwrap_or(0).min(levels.saturating_sub(1));
        let qty = self.half(side).qty_at(at);
        let all = self.random.chance(256);
        let part = if all { qty } else { self.random.below(qty) + 1 };
        let qty = self.whole_lots(part).min(qty);
        self.half(side).remove(at, qty);
    }

    /// A market order, more often towards the side that the fair price is nearer to.
    fn market_order(&mut self, out: &mut Vec<MarketRecord>) {
        let (Some(bid), Some(ask)) = (self.bids.best(), self.asks.best()) else { return };
        let spread = (ask.price - bid.price) << FAIR_BITS;
        let above_bid = self.fair - (bid.price << FAIR_BITS);
        let is_buy = self.random.below(spread) < above_bid.clamp(spread / 4, spread / 4 * 3);
        let resting = if is_buy { Side::Sell } else { Side::Buy };
        let mut left = self.market_size();
        for _ in 0..WALK_LEVELS_MAX {
            let half = self.half(resting);
            if left == 0 || half.len() <= 1 {
                return;
            }
            let qty = half.qty_at(0).min(left);
            self.take_best(resting, qty, out);
            left -= qty;
        }
    }

    /// Size of a market order: many small ones, few large ones, scaled so that the day's volume comes out as planned.
    fn market_size(&mut self) -> i64 {
        let done_ppm = self.curve.done_ppm(self.now_ns - self.session.open_ns);
        let planned = i128::from(self.planned) * i128::from(done_ppm) / 1_000_000;
        let planned = i64::try_from(planned).unwrap_or(self.planned);
        // Behind by 1/32 of the day doubles the size, ahead by as much stops it.
        let behind_256 = (planned - self.traded) * 256 / (self.planned / 32 + 1);
        let scale_256 = (256 + behind_256).clamp(16, 1_024);
        let smallest_256 = (self.order_256 * scale_256) >> 8;
        let drawn_256 = smallest_256 << self.random.halvings(DOUBLINGS_MAX);
        // From a half to three halves; the fraction of a lot is drawn too, so that small sizes keep their mean.
        let size_256 = drawn_256 / 2 + self.random.below(drawn_256 + 1) + self.random.below(256);
        (size_256 >> 8).max(1) * self.instrument.lot().0
    }

    /// Trades `qty` at the best level of `resting`.
    fn take_best(&mut self, resting: Side, qty: i64, out: &mut Vec<MarketRecord>) {
        let Some(best) = self.half(resting).best() else { return };
        let taken = self.half(resting).remove(0, qty);
        self.traded += taken;
        out.push(MarketRecord {
            kind: TickKind::Trade,
            aggressor: Some(resting.opposite()),
            price: Price(best.price),
            qty: Qty(taken),
            ..self.record()
        });
    }
}
