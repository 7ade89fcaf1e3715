//! P0: execution, fills, stops.

use super::{Envelope, EventType, OrderId, Side, Source, Track};
use crate::fixed::{Money, Price, Qty};
use crate::instrument::InstrumentId;

/// `FILL_CONFIRMED` and `FILL_PARTIAL`. Prices, quantities and money in the instrument's units, times in UTC
/// nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FillPayload {
    /// The order.
    pub order: OrderId,
    /// Number of the execution; with `order` the idempotency key.
    pub exec_seq: u64,
    /// Instrument.
    pub instrument: InstrumentId,
    /// Track of the order.
    pub track: Track,
    /// Direction.
    pub side: Side,
    /// Quantity of this execution.
    pub qty: Qty,
    /// Price of this execution.
    pub price: Price,
    /// Filled so far, this execution included.
    pub cumulative: Qty,
    /// Left to fill.
    pub remaining: Qty,
    /// Price times quantity.
    pub amount: Money,
    /// Commission.
    pub fee: Money,
    /// Transaction tax.
    pub tax: Money,
    /// When the venue traded.
    pub ts_exec_ns: i64,
    /// When the engine knew.
    pub ts_recv_ns: i64,
}

/// Why an order ended without its last fill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each name says it")]
#[repr(u8)]
pub enum EndReason {
    UserCancel,
    ImmediateOrCancel,
    SessionEnd,
    InsufficientCash,
    InsufficientPosition,
    OffTick,
    PriceLimit,
    QtyInvalid,
    UnknownOrder,
    NoReferencePrice,
    PoolBlocked,
    SafetyBlocked,
    SymbolFrozen,
    ExitTaken,
    RateLimit,
}

impl EndReason {
    /// Every member, in the order of its number.
    pub(crate) const ALL: [Self; 15] = [
        Self::UserCancel,
        Self::ImmediateOrCancel,
        Self::SessionEnd,
        Self::InsufficientCash,
        Self::InsufficientPosition,
        Self::OffTick,
        Self::PriceLimit,
        Self::QtyInvalid,
        Self::UnknownOrder,
        Self::NoReferencePrice,
        Self::PoolBlocked,
        Self::SafetyBlocked,
        Self::SymbolFrozen,
        Self::ExitTaken,
        Self::RateLimit,
    ];
}

impl EndReason {
    /// Name in events and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UserCancel => "USER_CANCEL",
            Self::ImmediateOrCancel => "IMMEDIATE_OR_CANCEL",
            Self::SessionEnd => "SESSION_END",
            Self::InsufficientCash => "INSUFFICIENT_CASH",
            Self::InsufficientPosition => "INSUFFICIENT_POSITION",
            Self::OffTick => "OFF_TICK",
            Self::PriceLimit => "PRICE_LIMIT",
            Self::QtyInvalid => "QTY_INVALID",
            Self::UnknownOrder => "UNKNOWN_ORDER",
            Self::NoReferencePrice => "NO_REFERENCE_PRICE",
            Self::PoolBlocked => "POOL_BLOCKED",
            Self::SafetyBlocked => "SAFETY_BLOCKED",
            Self::SymbolFrozen => "SYMBOL_FROZEN",
            Self::ExitTaken => "EXIT_TAKEN",
            Self::RateLimit => "RATE_LIMIT",
        }
    }

    /// Whether the order was refused, as opposed to taken off the book.
    pub const fn is_rejection(self) -> bool {
        !matches!(self, Self::UserCancel | Self::ImmediateOrCancel | Self::SessionEnd)
    }
}

/// `ORDER_REJECTED` and `ORDER_CANCELLED`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderEndPayload {
    /// The order.
    pub order: OrderId,
    /// Instrument.
    pub instrument: InstrumentId,
    /// Track of the order.
    pub track: Track,
    /// Direction.
    pub side: Side,
    /// Why it ended.
    pub reason: EndReason,
    /// Quantity that did not fill, in quantity units.
    pub remaining: Qty,
    /// When the venue (or the gate) ended it, UTC nanoseconds.
    pub ts_exec_ns: i64,
    /// When the engine knew, UTC nanoseconds.
    pub ts_recv_ns: i64,
}

/// What happened to a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's")]
#[repr(u8)]
pub enum PositionKind {
    FillApplied,
    ExitRequested,
    Freeze,
    Unfreeze,
    Reconciled,
}

impl PositionKind {
    /// Every member, in the order of its number.
    pub(crate) const ALL: [Self; 5] =
        [Self::FillApplied, Self::ExitRequested, Self::Freeze, Self::Unfreeze, Self::Reconciled];
}

/// `POSITION_UPDATE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionPayload {
    /// Instrument.
    pub instrument: InstrumentId,
    /// Track.
    pub track: Track,
    /// Quantity held, in quantity units.
    pub qty: Qty,
    /// Its cost without fees, in money units.
    pub cost_total: Money,
    /// What happened.
    pub kind: PositionKind,
    /// Engine time, UTC nanoseconds.
    pub ts_ns: i64,
}

/// What an emergency stop stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the names are the specification's")]
#[repr(u8)]
pub enum StopScope {
    Eteda,
    Entries,
    All,
}

impl StopScope {
    /// Every member, in the order of its number.
    pub(crate) const ALL: [Self; 3] = [Self::Eteda, Self::Entries, Self::All];
}

/// `EMERGENCY_STOP`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StopPayload {
    /// What stops.
    pub scope: StopScope,
    /// Number of the safety code.
    pub code: u16,
    /// Who stopped it.
    pub origin: Source,
    /// For how long, in milliseconds; `None` = until released.
    pub duration_ms: Option<u32>,
}

/// Which connection to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each name says it")]
#[repr(u8)]
pub enum Channel {
    Order,
    Fill,
    Quote,
}

impl Channel {
    /// Every member, in the order of its number.
    pub(crate) const ALL: [Self; 3] = [Self::Order, Self::Fill, Self::Quote];
}

/// `BROKER_DISCONNECT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisconnectPayload {
    /// Which broker.
    pub broker: Source,
    /// Which connection.
    pub channel: Channel,
    /// When it last spoke, UTC nanoseconds.
    pub last_seen_ns: i64,
}

/// Payload of a P0 event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum P0Payload {
    /// A fill.
    Fill(FillPayload),
    /// The end of an order.
    OrderEnd(OrderEndPayload),
    /// A change of a position.
    Position(PositionPayload),
    /// An emergency stop.
    Stop(StopPayload),
    /// A lost connection.
    Disconnect(DisconnectPayload),
}

/// A P0 event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct P0Event {
    /// Type, always of level P0.
    pub kind: EventType,
    /// Producer.
    pub source: Source,
    /// Data.
    pub payload: P0Payload,
    /// Delivery data.
    pub envelope: Envelope,
}

impl P0Event {
    /// An event of `kind`, or `None` if the payload is not one of that type.
    pub const fn new(kind: EventType, source: Source, payload: P0Payload) -> Option<Self> {
        let fits = match payload {
            P0Payload::Fill(_) => matches!(kind, EventType::FillConfirmed | EventType::FillPartial),
            P0Payload::OrderEnd(_) => matches!(kind, EventType::OrderRejected | EventType::OrderCancelled),
            P0Payload::Position(_) => matches!(kind, EventType::PositionUpdate),
            P0Payload::Stop(_) => matches!(kind, EventType::EmergencyStop),
            P0Payload::Disconnect(_) => matches!(kind, EventType::BrokerDisconnect),
        };
        if fits { Some(Self { kind, source, payload, envelope: Envelope::NEW }) } else { None }
    }

    /// Whether the event overtakes ordinary P0 events.
    #[inline]
    pub const fn is_express(&self) -> bool {
        matches!(self.kind, EventType::EmergencyStop | EventType::BrokerDisconnect)
    }
}
