//! P1: market data.

use super::{Envelope, EventType, Side};
use crate::fixed::{Price, Qty};
use crate::instrument::InstrumentId;

/// Kind of a market-data record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum TickKind {
    /// Best bid and ask changed.
    #[default]
    Quote = 0,
    /// A trade.
    Trade = 1,
    /// A call auction cleared at one price.
    Auction = 2,
    /// A recorded bar closed; its price is the close.
    BarClose = 3,
}

impl TickKind {
    /// Every member, in the order of its number.
    pub(crate) const ALL: [Self; 4] = [Self::Quote, Self::Trade, Self::Auction, Self::BarClose];
}

/// One record of a market-data source, in the instrument's units; 0 = absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MarketRecord {
    /// Exchange time, UTC nanoseconds; may run backwards.
    pub ts_event_ns: i64,
    /// Engine (receive) time, UTC nanoseconds; never runs backwards.
    pub ts_recv_ns: i64,
    /// Instrument.
    pub instrument: InstrumentId,
    /// Kind.
    pub kind: TickKind,
    /// Aggressor of a trade, if told.
    pub aggressor: Option<Side>,
    /// Price of a trade, an auction, or a bar's close.
    pub price: Price,
    /// Size of a trade or auction, or a bar's volume.
    pub qty: Qty,
    /// Best bid.
    pub bid: Price,
    /// Size at the best bid.
    pub bid_qty: Qty,
    /// Best ask.
    pub ask: Price,
    /// Size at the best ask.
    pub ask_qty: Qty,
    /// Open of a bar.
    pub open: Price,
    /// High of a bar.
    pub high: Price,
    /// Low of a bar.
    pub low: Price,
}

impl MarketRecord {
    /// Bars longer than this, in nanoseconds, are bars of a whole session.
    const LONGEST_INTRADAY_BAR_NS: i64 = 3_600_000_000_000;

    /// Length of the bar that a [`TickKind::BarClose`] record closes, in nanoseconds: its event time is the start.
    pub const fn bar_span_ns(&self) -> i64 {
        self.ts_recv_ns.saturating_sub(self.ts_event_ns)
    }

    /// Whether the record closes the bar of a whole session, and the session of its instrument with it.
    #[inline]
    pub const fn closes_session(&self) -> bool {
        matches!(self.kind, TickKind::BarClose) && self.bar_span_ns() > Self::LONGEST_INTRADAY_BAR_NS
    }
}

/// Payload of every P1 event of this build: a record with the quotes that hold at its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TickPayload {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Kind.
    pub kind: TickKind,
    /// Aggressor of a trade, if told.
    pub aggressor: Option<Side>,
    /// Price of a print; 0 for a quote.
    pub price: Price,
    /// Size of a print; 0 for a quote.
    pub qty: Qty,
    /// Best bid, 0 = none.
    pub bid: Price,
    /// Size at the best bid.
    pub bid_qty: Qty,
    /// Best ask, 0 = none.
    pub ask: Price,
    /// Size at the best ask.
    pub ask_qty: Qty,
    /// Exchange time, UTC nanoseconds.
    pub ts_event_ns: i64,
    /// Engine time, UTC nanoseconds.
    pub ts_recv_ns: i64,
}

/// A P1 event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct P1Event {
    /// Type, always of level P1.
    pub kind: EventType,
    /// Data.
    pub payload: TickPayload,
    /// Delivery data.
    pub envelope: Envelope,
}

impl P1Event {
    /// A `PRICE_TICK` event.
    #[inline]
    pub const fn tick(payload: TickPayload) -> Self {
        Self { kind: EventType::PriceTick, payload, envelope: Envelope::NEW }
    }
}
