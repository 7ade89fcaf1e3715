//! The price tap: the latest state of every instrument, one slot each.

use crate::event::{MarketRecord, TickKind, TickPayload};
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentId;

/// Latest known prices of one instrument, in its own units; 0 = not known, or an empty side of the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quote {
    /// Price of the last trade, auction or recorded bar close.
    pub last: Price,
    /// Size of the last trade or auction.
    pub last_qty: Qty,
    /// Traded since the tap was made, trades and auctions; bars are not counted.
    pub volume: Qty,
    /// Best bid.
    pub bid: Price,
    /// Size shown at the best bid.
    pub bid_qty: Qty,
    /// Best ask.
    pub ask: Price,
    /// Size shown at the best ask.
    pub ask_qty: Qty,
    /// Exchange time of the last record, UTC nanoseconds; may run backwards.
    pub ts_event_ns: i64,
    /// Engine (receive) time of the last record, UTC nanoseconds.
    pub ts_recv_ns: i64,
}

/// Highest and lowest trade price since a mark was set, in price units, the mark's own price included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extremes {
    /// Highest price.
    pub high: Price,
    /// Lowest price.
    pub low: Price,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    quote: Quote,
    extremes: Option<Extremes>,
}

/// Latest prices of every instrument, in a dense table.
#[derive(Debug)]
pub struct PriceTap {
    slots: Vec<Slot>,
}

impl PriceTap {
    /// An empty tap for `instruments` instruments, numbered from 0.
    pub fn new(instruments: usize) -> Self {
        Self { slots: vec![Slot::default(); instruments] }
    }

    /// Takes in `record` and returns it as a tick with the quotes that hold at that moment.
    ///
    /// A quote replaces both sides, an absent side being an empty one. A print that carries no quotes leaves them as
    /// they are. An exchange time that runs backwards is accepted: engine time is the receive time. A record of an
    /// instrument outside the table changes nothing and comes back with only what it says itself.
    #[inline]
    pub fn apply(&mut self, record: &MarketRecord) -> TickPayload {
        let mut tick = TickPayload {
            instrument: record.instrument,
            kind: record.kind,
            aggressor: record.aggressor,
            price: record.price,
            qty: record.qty,
            bid: record.bid,
            bid_qty: record.bid_qty,
            ask: record.ask,
            ask_qty: record.ask_qty,
            ts_event_ns: record.ts_event_ns,
            ts_recv_ns: record.ts_recv_ns,
        };
        let slot = usize::try_from(record.instrument.0).ok().and_then(|slot| self.slots.get_mut(slot));
        if let Some(slot) = slot {
            slot.apply(record);
            tick.bid = slot.quote.bid;
            tick.bid_qty = slot.quote.bid_qty;
            tick.ask = slot.quote.ask;
            tick.ask_qty = slot.quote.ask_qty;
        }
        tick
    }

    /// Latest prices of `instrument`; all 0 before its first record.
    #[inline]
    pub fn quote(&self, instrument: InstrumentId) -> Quote {
        self.slot(instrument).map_or_else(Quote::default, |slot| slot.quote)
    }

    /// Last trade price of `instrument`, in price units; `None` before the first trade.
    #[inline]
    pub fn last(&self, instrument: InstrumentId) -> Option<Price> {
        self.slot(instrument).map(|slot| slot.quote.last).filter(|last| last.0 > 0)
    }

    /// Starts following the extremes of `instrument` from `price`, normally the first fill of a position.
    pub fn mark(&mut self, instrument: InstrumentId, price: Price) {
        if let Some(slot) = self.slot_mut(instrument) {
            slot.extremes = Some(Extremes { high: price, low: price });
        }
    }

    /// Stops following the extremes of `instrument`.
    pub fn unmark(&mut self, instrument: InstrumentId) {
        if let Some(slot) = self.slot_mut(instrument) {
            slot.extremes = None;
        }
    }

    /// Extremes of `instrument` since its mark; `None` without one.
    pub fn extremes(&self, instrument: InstrumentId) -> Option<Extremes> {
        self.slot(instrument)?.extremes
    }

    fn slot(&self, instrument: InstrumentId) -> Option<&Slot> {
        self.slots.get(usize::try_from(instrument.0).ok()?)
    }

    fn slot_mut(&mut self, instrument: InstrumentId) -> Option<&mut Slot> {
        self.slots.get_mut(usize::try_from(instrument.0).ok()?)
    }
}

impl Slot {
    #[inline]
    fn apply(&mut self, record: &MarketRecord) {
        let quote = &mut self.quote;
        quote.ts_event_ns = record.ts_event_ns;
        quote.ts_recv_ns = record.ts_recv_ns;
        if record.kind == TickKind::Quote || record.bid.0 > 0 || record.ask.0 > 0 {
            quote.bid = record.bid;
            quote.bid_qty = record.bid_qty;
            quote.ask = record.ask;
            quote.ask_qty = record.ask_qty;
        }
        if record.kind == TickKind::Quote || record.price.0 <= 0 {
            return;
        }
        quote.last = record.price;
        if record.kind != TickKind::BarClose {
            // A closed bar carries the volume of the whole bar, which is no trade size. Its high and low are not
            // looked at either: they reach back before a mark set inside the bar.
            quote.last_qty = record.qty;
            quote.volume = Qty(quote.volume.0.saturating_add(record.qty.0));
        }
        if let Some(extremes) = &mut self.extremes {
            extremes.high = extremes.high.max(record.price);
            extremes.low = extremes.low.min(record.price);
        }
    }
}

#[cfg(test)]
#[path = "tap_tests.rs"]
mod tests;
