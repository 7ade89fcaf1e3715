//! The closed set of 23 events: types, levels, flags and payloads (spec 17 §4).
//!
//! P0 and P1 events are fixed-size records without heap data. Orders, exits and suspends are commands, never events.

mod codec;
mod p0;
mod p1;
mod p2;
mod p3;

pub use p0::{
    Channel, DisconnectPayload, EndReason, FillPayload, OrderEndPayload, P0Event, P0Payload, PositionKind,
    PositionPayload, StopPayload, StopScope,
};
pub use p1::{MarketRecord, P1Event, TickKind, TickPayload};
pub use p2::{CycleCause, P2Event, P2Key, P2Payload};
pub use p3::{MetricId, P3Event, P3Payload, Severity};

/// Level of an event; a property of its type that no producer can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum EventPriority {
    /// Execution, fills, stops.
    P0Critical = 0,
    /// Market data.
    P1High = 1,
    /// Strategy and pipeline.
    P2Medium = 2,
    /// Display, logs, reports.
    P3Low = 3,
}

impl EventPriority {
    /// Every level, highest first.
    pub const ALL: [Self; 4] = [Self::P0Critical, Self::P1High, Self::P2Medium, Self::P3Low];
}

/// The 23 event types, in the order of spec 17 §4.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
#[allow(missing_docs, reason = "the names are the specification's; each is described there")]
pub enum EventType {
    FillConfirmed,
    FillPartial,
    OrderRejected,
    OrderCancelled,
    PositionUpdate,
    EmergencyStop,
    BrokerDisconnect,
    PriceTick,
    OrderbookUpdate,
    VolumeUpdate,
    IndexUpdate,
    VixUpdate,
    EtedaCycleStart,
    StrategyEvaluate,
    RiskEvaluate,
    PortfolioEvaluate,
    IndicatorUpdate,
    SignalGenerated,
    DashboardUpdate,
    LogWrite,
    ReportGenerate,
    NotificationSend,
    MetricRecord,
}

impl EventType {
    /// Every type, in the order of the specification.
    pub const ALL: [Self; 23] = [
        Self::FillConfirmed,
        Self::FillPartial,
        Self::OrderRejected,
        Self::OrderCancelled,
        Self::PositionUpdate,
        Self::EmergencyStop,
        Self::BrokerDisconnect,
        Self::PriceTick,
        Self::OrderbookUpdate,
        Self::VolumeUpdate,
        Self::IndexUpdate,
        Self::VixUpdate,
        Self::EtedaCycleStart,
        Self::StrategyEvaluate,
        Self::RiskEvaluate,
        Self::PortfolioEvaluate,
        Self::IndicatorUpdate,
        Self::SignalGenerated,
        Self::DashboardUpdate,
        Self::LogWrite,
        Self::ReportGenerate,
        Self::NotificationSend,
        Self::MetricRecord,
    ];

    /// Name on the wire and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::FillConfirmed => "FILL_CONFIRMED",
            Self::FillPartial => "FILL_PARTIAL",
            Self::OrderRejected => "ORDER_REJECTED",
            Self::OrderCancelled => "ORDER_CANCELLED",
            Self::PositionUpdate => "POSITION_UPDATE",
            Self::EmergencyStop => "EMERGENCY_STOP",
            Self::BrokerDisconnect => "BROKER_DISCONNECT",
            Self::PriceTick => "PRICE_TICK",
            Self::OrderbookUpdate => "ORDERBOOK_UPDATE",
            Self::VolumeUpdate => "VOLUME_UPDATE",
            Self::IndexUpdate => "INDEX_UPDATE",
            Self::VixUpdate => "VIX_UPDATE",
            Self::EtedaCycleStart => "ETEDA_CYCLE_START",
            Self::StrategyEvaluate => "STRATEGY_EVALUATE",
            Self::RiskEvaluate => "RISK_EVALUATE",
            Self::PortfolioEvaluate => "PORTFOLIO_EVALUATE",
            Self::IndicatorUpdate => "INDICATOR_UPDATE",
            Self::SignalGenerated => "SIGNAL_GENERATED",
            Self::DashboardUpdate => "DASHBOARD_UPDATE",
            Self::LogWrite => "LOG_WRITE",
            Self::ReportGenerate => "REPORT_GENERATE",
            Self::NotificationSend => "NOTIFICATION_SEND",
            Self::MetricRecord => "METRIC_RECORD",
        }
    }

    /// The type of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The level of the type.
    #[inline]
    pub const fn priority(self) -> EventPriority {
        match self as u8 {
            0..=6 => EventPriority::P0Critical,
            7..=11 => EventPriority::P1High,
            12..=17 => EventPriority::P2Medium,
            _ => EventPriority::P3Low,
        }
    }

    /// Default flags (spec 17 §4.2).
    pub const fn flags(self) -> EventFlags {
        let level = self.priority();
        EventFlags {
            requires_ack: matches!(level, EventPriority::P0Critical),
            max_process_time_ms: if matches!(level, EventPriority::P0Critical) { 10 } else { 0 },
            can_batch: !matches!(level, EventPriority::P0Critical),
            can_collapse: matches!(level, EventPriority::P2Medium) && !matches!(self, Self::SignalGenerated),
            can_drop: matches!(level, EventPriority::P3Low),
        }
    }
}

/// How an event may be treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "the specification's own flags")]
pub struct EventFlags {
    /// The consumer must confirm.
    pub requires_ack: bool,
    /// Budget of a handler in milliseconds; 0 = none.
    pub max_process_time_ms: u16,
    /// May be delivered in a batch.
    pub can_batch: bool,
    /// May be merged into an older event of its key.
    pub can_collapse: bool,
    /// May be discarded by sampling.
    pub can_drop: bool,
}

/// What a full queue does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverflowPolicy {
    /// The producer waits; nothing is lost (P0).
    Block,
    /// The oldest event makes room (P1).
    DropOldest,
    /// Events of one key merge (P2).
    Collapse,
    /// One in so many is kept (P3).
    Sample,
}

/// Which levels run; each step pauses one more level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum DegradationLevel {
    /// Everything runs.
    #[default]
    Normal = 0,
    /// P3 waits.
    P3Paused = 1,
    /// P2 and P3 wait.
    P2P3Paused = 2,
    /// Only P0 runs; the price tap stays on.
    CriticalOnly = 3,
}

/// What became of an event that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PutResult {
    /// Taken in.
    Accepted,
    /// Taken in; the oldest event had to go.
    AcceptedDroppedOldest,
    /// Merged into an older event.
    Merged,
    /// Left out by sampling.
    SampledOut,
    /// Its level is paused.
    RefusedPaused,
    /// No room.
    RefusedFull,
    /// Taken into the spill.
    Spilled,
    /// The queue is closed.
    Closed,
}

/// Direction of a trade.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Side {
    /// Buy.
    Buy = 0,
    /// Sell.
    Sell = 1,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Buy => Self::Sell,
            Self::Sell => Self::Buy,
        }
    }
}

/// The book a position belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Track {
    /// Minutes to hours.
    Scalp = 0,
    /// Days to weeks.
    Swing = 1,
    /// Months to years.
    Portfolio = 2,
}

impl Track {
    /// Number of tracks.
    pub const COUNT: usize = 3;
    /// Every track.
    pub const ALL: [Self; Self::COUNT] = [Self::Scalp, Self::Swing, Self::Portfolio];

    /// Name in contracts and storage.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalp => "SCALP",
            Self::Swing => "SWING",
            Self::Portfolio => "PORTFOLIO",
        }
    }
}

/// Who produced an event (spec 17 §4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[allow(missing_docs, reason = "the names are the specification's")]
pub enum Source {
    BrokerKis,
    BrokerKiwoom,
    MarketData,
    System,
    Safety,
    MicroRiskLoop,
    EtedaScheduler,
    Eteda,
    CalcEngine,
    Strategy,
    UiEngine,
    Logger,
    Reporter,
    Notifier,
    Monitor,
}

impl Source {
    /// Every member, in the order of its number.
    pub const ALL: [Self; 15] = [
        Self::BrokerKis,
        Self::BrokerKiwoom,
        Self::MarketData,
        Self::System,
        Self::Safety,
        Self::MicroRiskLoop,
        Self::EtedaScheduler,
        Self::Eteda,
        Self::CalcEngine,
        Self::Strategy,
        Self::UiEngine,
        Self::Logger,
        Self::Reporter,
        Self::Notifier,
        Self::Monitor,
    ];

    /// Name on the wire and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::BrokerKis => "BROKER_KIS",
            Self::BrokerKiwoom => "BROKER_KIWOOM",
            Self::MarketData => "MARKET_DATA",
            Self::System => "SYSTEM",
            Self::Safety => "SAFETY",
            Self::MicroRiskLoop => "MICRO_RISK_LOOP",
            Self::EtedaScheduler => "ETEDA_SCHEDULER",
            Self::Eteda => "ETEDA",
            Self::CalcEngine => "CALC_ENGINE",
            Self::Strategy => "STRATEGY",
            Self::UiEngine => "UI_ENGINE",
            Self::Logger => "LOGGER",
            Self::Reporter => "REPORTER",
            Self::Notifier => "NOTIFIER",
            Self::Monitor => "MONITOR",
        }
    }
}

/// Dense order number of one engine, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(pub u64);

/// What happens to an event on its way; producers never see it (spec 17 §4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Number of the put in its level, from 1. What was merged, sampled out or refused leaves a gap.
    pub seq: u64,
    /// Monotonic nanoseconds at admission; 0 where latency is not sampled.
    pub t_enqueue_ns: u64,
    /// Delivery attempts so far.
    pub attempt: u8,
    /// Events folded into this one (P2).
    pub merged_count: u32,
    /// Events this one stands for (P3).
    pub sampled_weight: u32,
}

impl Envelope {
    /// Before admission: an event that stands for itself.
    pub const NEW: Self = Self { seq: 0, t_enqueue_ns: 0, attempt: 0, merged_count: 0, sampled_weight: 1 };
}

#[cfg(test)]
mod tests;
