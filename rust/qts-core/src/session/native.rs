//! The native handlers: what every event does before anybody outside sees it.

use std::collections::{BTreeMap, VecDeque};

use super::{Interest, SessionError, Yield};
use crate::dispatch::{Handlers, Latencies, LatencySummary};
use crate::event::{
    FillPayload, MetricId, OrderEndPayload, P0Event, P0Payload, P1Event, P2Event, P2Payload, P3Event,
    P3Payload,
};
use crate::market::bars::BarBuilder;
use crate::market::tap::PriceTap;
use crate::order::OrderError;
use crate::order::gateway::{FillState, SharedGateway};

/// Durations of pipeline stages, fed by `METRIC_RECORD` events.
#[derive(Debug, Default)]
pub struct StageMetrics(BTreeMap<MetricId, Latencies>);

impl StageMetrics {
    fn record(&mut self, id: MetricId, value_ns: u64) {
        self.0.entry(id).or_default().record(value_ns);
    }

    /// Key figures of every stage that has reported.
    pub fn summaries(&self) -> impl Iterator<Item = (MetricId, LatencySummary)> {
        self.0.iter().map(|(&id, latencies)| (id, latencies.summary()))
    }
}

/// Market state and the account, with the items that wait for the host.
#[derive(Debug)]
pub(super) struct Native {
    pub(super) tap: PriceTap,
    pub(super) bars: BarBuilder,
    pub(super) gateway: SharedGateway,
    pub(super) interest: Interest,
    pub(super) outbox: VecDeque<Yield>,
    pub(super) metrics: StageMetrics,
}

impl Native {
    pub(super) fn new(instruments: usize, gateway: SharedGateway) -> Self {
        Self {
            tap: PriceTap::new(instruments),
            bars: BarBuilder::new(instruments),
            gateway,
            interest: Interest::default(),
            outbox: VecDeque::with_capacity(64),
            metrics: StageMetrics::default(),
        }
    }

    /// Books a fill. The venue never fills what does not work, nor more than was ordered: if it seems so, the two
    /// disagree.
    fn apply_fill(&mut self, fill: &FillPayload) -> Result<(), SessionError> {
        let outcome = self.gateway.lock().book_fill(fill)?;
        match outcome.state {
            FillState::Order(_) => Ok(()),
            FillState::Duplicate | FillState::Late => Err(OrderError::NotWorking(fill.order).into()),
            FillState::Overfill | FillState::Oversold => Err(OrderError::Overfilled {
                order: fill.order,
                fill: fill.qty.0,
                remaining: outcome.remaining.0,
            }
            .into()),
        }
    }

    fn apply_end(&mut self, end: &OrderEndPayload) -> Result<(), SessionError> {
        Ok(self.gateway.lock().on_order_end(end)?)
    }
}

impl Handlers for Native {
    type Error = SessionError;

    fn on_p0(&mut self, event: &P0Event) -> Result<(), SessionError> {
        match &event.payload {
            P0Payload::Fill(fill) => self.apply_fill(fill)?,
            P0Payload::OrderEnd(end) => self.apply_end(end)?,
            P0Payload::Position(_) | P0Payload::Stop(_) | P0Payload::Disconnect(_) => {}
        }
        if self.interest.p0 {
            self.outbox.push_back(Yield::P0(*event));
        }
        Ok(())
    }

    #[inline]
    fn on_p1(&mut self, event: &P1Event) -> Result<(), SessionError> {
        if self.interest.ticks {
            self.outbox.push_back(Yield::Tick(event.payload));
        }
        Ok(())
    }

    fn on_p2(&mut self, event: &P2Event) -> Result<(), SessionError> {
        if let P2Payload::CycleStart { cause, scheduled_ns, .. } = event.payload
            && self.interest.cycles
        {
            self.outbox.push_back(Yield::Cycle { cause, scheduled_ns });
        }
        Ok(())
    }

    fn on_p3(&mut self, event: &P3Event) -> Result<(), SessionError> {
        if let P3Payload::Metric { id, value_ns } = event.payload {
            self.metrics.record(id, value_ns);
        }
        Ok(())
    }
}
