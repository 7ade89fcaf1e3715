//! P3: display, logs, reports.

use super::{Envelope, EventType};
use crate::queue::Sample;

/// Which figure a `METRIC_RECORD` carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricId(pub u16);

/// Severity of a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

/// Payload of a P3 event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum P3Payload {
    /// `METRIC_RECORD`.
    Metric {
        /// Which figure.
        id: MetricId,
        /// Its value, in nanoseconds.
        value_ns: u64,
    },
    /// `DASHBOARD_UPDATE`.
    Dashboard {
        /// Which view.
        view: u16,
    },
    /// `LOG_WRITE`.
    Log {
        /// Audit lines are never dropped.
        audit: bool,
        /// Number of the line in its store.
        line: u64,
    },
    /// `REPORT_GENERATE`.
    Report {
        /// Reports on a timer may be dropped, one that was asked for may not.
        periodic: bool,
    },
    /// `NOTIFICATION_SEND`.
    Notification {
        /// From WARNING on never dropped.
        severity: Severity,
        /// Number of the message in its store.
        message: u64,
    },
}

/// A P3 event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct P3Event {
    /// Type, always of level P3.
    pub kind: EventType,
    /// Data.
    pub payload: P3Payload,
    /// Delivery data.
    pub envelope: Envelope,
}

impl P3Event {
    /// An event of the payload's type.
    pub const fn new(payload: P3Payload) -> Self {
        let kind = match payload {
            P3Payload::Metric { .. } => EventType::MetricRecord,
            P3Payload::Dashboard { .. } => EventType::DashboardUpdate,
            P3Payload::Log { .. } => EventType::LogWrite,
            P3Payload::Report { .. } => EventType::ReportGenerate,
            P3Payload::Notification { .. } => EventType::NotificationSend,
        };
        Self { kind, payload, envelope: Envelope::NEW }
    }

    /// Whether sampling may discard the event.
    pub const fn can_drop(&self) -> bool {
        match self.payload {
            P3Payload::Metric { .. } | P3Payload::Dashboard { .. } => true,
            P3Payload::Log { audit, .. } => !audit,
            P3Payload::Report { periodic } => periodic,
            P3Payload::Notification { severity, .. } => matches!(severity, Severity::Info),
        }
    }
}

impl Sample for P3Event {
    fn kind(&self) -> EventType {
        self.kind
    }

    fn can_drop(&self) -> bool {
        P3Event::can_drop(self)
    }

    fn set_weight(&mut self, weight: u32) {
        self.envelope.sampled_weight = weight;
    }
}
