//! P2: strategy and pipeline.

use super::{Envelope, EventType, Side};
use crate::instrument::InstrumentId;
use crate::queue::Collapse;

/// Why a pipeline cycle runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each name says it")]
pub enum CycleCause {
    Interval,
    Event,
    Replay,
    Manual,
}

impl CycleCause {
    /// Name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interval => "INTERVAL",
            Self::Event => "EVENT",
            Self::Replay => "REPLAY",
            Self::Manual => "MANUAL",
        }
    }
}

/// Payload of a P2 event. Scopes are numbers: 0 = no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum P2Payload {
    /// `ETEDA_CYCLE_START`.
    CycleStart {
        /// Pipeline to run.
        pipeline: u16,
        /// Why.
        cause: CycleCause,
        /// When it was due, UTC nanoseconds.
        scheduled_ns: i64,
    },
    /// `STRATEGY_EVALUATE`, `RISK_EVALUATE` and `PORTFOLIO_EVALUATE`.
    Evaluate {
        /// Strategy or account.
        subject: u32,
        /// Instrument, or `None` for all.
        instrument: Option<InstrumentId>,
        /// Version of the data to evaluate.
        data_version: u64,
    },
    /// `INDICATOR_UPDATE`.
    Indicator {
        /// Instrument.
        instrument: InstrumentId,
        /// Which indicator.
        indicator: u32,
        /// Timeframe in seconds.
        timeframe_s: u32,
    },
    /// `SIGNAL_GENERATED`. Never merged; an exact duplicate is dropped.
    Signal {
        /// Strategy.
        strategy: u32,
        /// Instrument.
        instrument: InstrumentId,
        /// Direction.
        side: Side,
        /// Confidence in millionths.
        confidence_ppm: u32,
        /// Pipeline cycle.
        cycle: u64,
        /// Not to be acted on after this engine time, UTC nanoseconds.
        expires_ns: i64,
    },
}

/// A P2 event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct P2Event {
    /// Type, always of level P2.
    pub kind: EventType,
    /// Data.
    pub payload: P2Payload,
    /// Engine time of creation, UTC nanoseconds.
    pub ts_ns: i64,
    /// Delivery data.
    pub envelope: Envelope,
}

impl P2Event {
    /// An event of `kind`, or `None` if the payload is not one of that type.
    pub const fn new(kind: EventType, payload: P2Payload, ts_ns: i64) -> Option<Self> {
        let fits = match payload {
            P2Payload::CycleStart { .. } => matches!(kind, EventType::EtedaCycleStart),
            P2Payload::Evaluate { .. } => matches!(
                kind,
                EventType::StrategyEvaluate | EventType::RiskEvaluate | EventType::PortfolioEvaluate
            ),
            P2Payload::Indicator { .. } => matches!(kind, EventType::IndicatorUpdate),
            P2Payload::Signal { .. } => matches!(kind, EventType::SignalGenerated),
        };
        if fits { Some(Self { kind, payload, ts_ns, envelope: Envelope::NEW }) } else { None }
    }

    /// An `ETEDA_CYCLE_START` event, due now.
    pub const fn cycle_start(cause: CycleCause, now_ns: i64) -> Self {
        let payload = P2Payload::CycleStart { pipeline: 0, cause, scheduled_ns: now_ns };
        Self { kind: EventType::EtedaCycleStart, payload, ts_ns: now_ns, envelope: Envelope::NEW }
    }
}

/// What makes two pending events the same wish; never the type alone where there is a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the fields are those of the payloads")]
pub enum P2Key {
    /// Of a cycle or an evaluation.
    Subject(EventType, u32, Option<InstrumentId>),
    /// Of an indicator: which one, and its timeframe.
    Indicator(InstrumentId, u32, u32),
    /// Of a signal: exact duplicates only.
    Signal(u32, InstrumentId, Side, u64),
}

impl Collapse for P2Event {
    type Key = P2Key;

    fn kind(&self) -> EventType {
        self.kind
    }

    fn key(&self) -> P2Key {
        match self.payload {
            P2Payload::CycleStart { pipeline, .. } => P2Key::Subject(self.kind, u32::from(pipeline), None),
            P2Payload::Evaluate { subject, instrument, .. } => {
                let scope = if self.kind == EventType::RiskEvaluate { instrument } else { None };
                P2Key::Subject(self.kind, subject, scope)
            }
            P2Payload::Indicator { instrument, indicator, timeframe_s } => {
                P2Key::Indicator(instrument, indicator, timeframe_s)
            }
            P2Payload::Signal { strategy, instrument, side, cycle, .. } => {
                P2Key::Signal(strategy, instrument, side, cycle)
            }
        }
    }

    /// Newest data at the older place.
    fn merge(&mut self, newer: Self) {
        self.payload = self.union_of_scopes(&newer).unwrap_or(newer.payload);
        self.ts_ns = newer.ts_ns;
        self.envelope.merged_count = self.envelope.merged_count.saturating_add(1);
    }
}

impl P2Event {
    /// The wish to evaluate a strategy for two different instruments, written as the wish for all; otherwise nothing.
    fn union_of_scopes(&self, newer: &Self) -> Option<P2Payload> {
        match (self.payload, newer.payload) {
            (
                P2Payload::Evaluate { instrument: one, .. },
                P2Payload::Evaluate { subject, instrument: other, data_version },
            ) if self.kind == EventType::StrategyEvaluate && one != other => {
                Some(P2Payload::Evaluate { subject, instrument: None, data_version })
            }
            _ => None,
        }
    }
}
