//! The dispatcher: four queues, one function that handles a batch of a level, and the degradation level.
//!
//! [`Dispatcher::step`] is all there is to run: a backtest calls it from one thread on simulated time, a live engine
//! from loops around it. While a level works, everything above it is emptied before each of its events.

mod latency;
mod level;
#[cfg(not(any(loom, shuttle)))]
pub mod live;

use crate::clock::Clock;
use crate::event::{
    DegradationLevel, EventPriority, EventType, P0Event, P1Event, P2Event, P3Event, PutResult,
};
use crate::queue::{
    BoundedConsumer, BoundedProducer, BoundedQueue, CollapsingQueue, LocalRing, ProducerKind, QueueCounters,
    SamplingQueue,
};

pub use latency::{Latencies, LatencySummary};
pub use level::{Slot, Slots};

/// One in so many P1 events has its latency measured: two clock reads cost as much as handling the event.
const P1_LATENCY_SAMPLE: u64 = 64;
/// The same for P3.
const P3_LATENCY_SAMPLE: u64 = 16;

/// Capacities, batch sizes and ages; the defaults are those of spec 17 §13.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchConfig {
    /// Slots of the P0 queue.
    pub p0_capacity: usize,
    /// Slots of the P0 spill.
    pub p0_spill_capacity: usize,
    /// Slots of the P1 ring.
    pub p1_capacity: usize,
    /// Events of P1 per step, at least one (as for P2 and P3).
    pub p1_batch_size: usize,
    /// Slots of the P2 queue.
    pub p2_capacity: usize,
    /// Events of P2 per step.
    pub p2_batch_size: usize,
    /// A signal older than this at dequeue is expired, in milliseconds.
    pub p2_max_event_age_ms: u32,
    /// Slots of the P3 queue.
    pub p3_capacity: usize,
    /// Events of P3 per step.
    pub p3_batch_size: usize,
    /// When P3 is full, one in so many is kept.
    pub p3_sample_period: u32,
}

impl Default for DispatchConfig {
    fn default() -> Self {
        Self {
            p0_capacity: 100,
            p0_spill_capacity: 8_192,
            p1_capacity: 10_000,
            p1_batch_size: 100,
            p2_capacity: 1_000,
            p2_batch_size: 50,
            p2_max_event_age_ms: 1_000,
            p3_capacity: 50_000,
            p3_batch_size: 100,
            p3_sample_period: 10,
        }
    }
}

/// What handles the events of each level. An error ends the step and goes to its caller.
pub trait Handlers {
    /// Why handling failed.
    type Error;

    /// Handles a P0 event.
    ///
    /// # Errors
    /// Whatever the handler cannot deal with.
    fn on_p0(&mut self, event: &P0Event) -> Result<(), Self::Error>;

    /// Handles a P1 event.
    ///
    /// # Errors
    /// Whatever the handler cannot deal with.
    fn on_p1(&mut self, event: &P1Event) -> Result<(), Self::Error>;

    /// Handles a P2 event.
    ///
    /// # Errors
    /// Whatever the handler cannot deal with.
    fn on_p2(&mut self, event: &P2Event) -> Result<(), Self::Error>;

    /// Handles a P3 event.
    ///
    /// # Errors
    /// Whatever the handler cannot deal with.
    fn on_p3(&mut self, event: &P3Event) -> Result<(), Self::Error>;
}

/// Queues, degradation and latencies of one engine.
#[derive(Debug)]
pub struct Dispatcher<C: Clock> {
    clock: C,
    config: DispatchConfig,
    p0: BoundedQueue<P0Event>,
    p0_in: BoundedProducer<P0Event>,
    p0_out: BoundedConsumer<P0Event>,
    p1: LocalRing<P1Event>,
    p2: CollapsingQueue<P2Event>,
    p3: SamplingQueue<P3Event>,
    slots: Slots,
    effective: DegradationLevel,
    next_seq: [u64; 4],
    latencies: [Latencies; 4],
}

impl<C: Clock> Dispatcher<C> {
    /// A dispatcher with empty queues that measures latencies with `clock`.
    #[allow(
        clippy::expect_used,
        clippy::missing_panics_doc,
        reason = "a new queue has its first ends to give"
    )]
    pub fn new(mut config: DispatchConfig, clock: C) -> Self {
        // A batch of none would never empty its queue.
        for batch_size in [&mut config.p1_batch_size, &mut config.p2_batch_size, &mut config.p3_batch_size] {
            *batch_size = (*batch_size).max(1);
        }
        // Everything happens on one thread: the producer may not wait for itself.
        let p0 = BoundedQueue::new(config.p0_capacity, config.p0_spill_capacity, 1, 0);
        Self {
            clock,
            p0_in: p0.producer(ProducerKind::Protected).expect("a new queue"),
            p0_out: p0.consumer(),
            p0,
            p1: LocalRing::new(config.p1_capacity),
            p2: CollapsingQueue::new(config.p2_capacity),
            p3: SamplingQueue::new(config.p3_capacity, config.p3_sample_period),
            config,
            slots: Slots::default(),
            effective: DegradationLevel::Normal,
            next_seq: [0; 4],
            latencies: std::array::from_fn(|_| Latencies::default()),
        }
    }

    /// Number and enqueue stamp of the next event of `level`; the stamp is 0 unless this one is measured.
    #[inline]
    fn stamp(&mut self, level: EventPriority, sample: u64) -> (u64, u64) {
        let Some(seq) = self.next_seq.get_mut(level as usize) else { return (0, 0) };
        *seq = seq.wrapping_add(1);
        let seq = *seq;
        (seq, if seq.is_multiple_of(sample) { self.clock.monotonic_ns().max(1) } else { 0 })
    }

    /// Admits a P0 event; `RefusedFull` only if even the spill is full, and then the engine has to stop.
    pub fn put_p0(&mut self, mut event: P0Event) -> PutResult {
        (event.envelope.seq, event.envelope.t_enqueue_ns) = self.stamp(EventPriority::P0Critical, 1);
        self.p0_in.try_put(&event)
    }

    /// Admits a P1 event; the oldest one gives way if there is no room.
    #[inline]
    pub fn put_p1(&mut self, mut event: P1Event) -> PutResult {
        (event.envelope.seq, event.envelope.t_enqueue_ns) =
            self.stamp(EventPriority::P1High, P1_LATENCY_SAMPLE);
        self.p1.put(&event)
    }

    /// Admits a P2 event unless the level is paused.
    pub fn put_p2(&mut self, mut event: P2Event) -> PutResult {
        if self.effective >= DegradationLevel::P2P3Paused {
            self.p2.count_refused();
            return PutResult::RefusedPaused;
        }
        (event.envelope.seq, event.envelope.t_enqueue_ns) = self.stamp(EventPriority::P2Medium, 1);
        self.p2.put(event)
    }

    /// Admits a P3 event; while the level is paused the queue fills, then samples.
    pub fn put_p3(&mut self, mut event: P3Event) -> PutResult {
        (event.envelope.seq, event.envelope.t_enqueue_ns) =
            self.stamp(EventPriority::P3Low, P3_LATENCY_SAMPLE);
        self.p3.put(event)
    }

    /// Handles up to one batch of `level` at engine time `now_ns` (UTC nanoseconds); returns how many events of that
    /// level were handled.
    ///
    /// Before each of them, whatever waits on higher levels is handled. A paused level handles nothing, except that
    /// protected P3 events always flow.
    ///
    /// # Errors
    /// The first error of a handler; the events handled so far stay handled.
    #[inline]
    pub fn step<H: Handlers>(
        &mut self,
        level: EventPriority,
        now_ns: i64,
        handlers: &mut H,
    ) -> Result<usize, H::Error> {
        match level {
            EventPriority::P0Critical => self.step_p0(handlers),
            EventPriority::P1High => self.step_p1(handlers),
            EventPriority::P2Medium => self.step_p2(now_ns, handlers),
            EventPriority::P3Low => self.step_p3(now_ns, handlers),
        }
    }

    fn step_p0<H: Handlers>(&mut self, handlers: &mut H) -> Result<usize, H::Error> {
        let mut handled: usize = 0;
        while let Some(event) = self.p0_out.pop() {
            handlers.on_p0(&event)?;
            self.measure(EventPriority::P0Critical, event.envelope.t_enqueue_ns);
            handled = handled.saturating_add(1);
        }
        Ok(handled)
    }

    #[inline]
    fn step_p1<H: Handlers>(&mut self, handlers: &mut H) -> Result<usize, H::Error> {
        let mut handled: usize = 0;
        while handled < self.config.p1_batch_size && self.effective < DegradationLevel::CriticalOnly {
            if !self.p0_out.is_empty() {
                self.step_p0(handlers)?;
            }
            let Some(event) = self.p1.pop() else { break };
            handlers.on_p1(&event)?;
            self.measure(EventPriority::P1High, event.envelope.t_enqueue_ns);
            handled = handled.saturating_add(1);
        }
        Ok(handled)
    }

    fn step_p2<H: Handlers>(&mut self, now_ns: i64, handlers: &mut H) -> Result<usize, H::Error> {
        let max_age_ns = i64::from(self.config.p2_max_event_age_ms).saturating_mul(1_000_000);
        let expired = |event: &P2Event| {
            event.kind == EventType::SignalGenerated && now_ns.saturating_sub(event.ts_ns) > max_age_ns
        };
        let mut handled: usize = 0;
        while handled < self.config.p2_batch_size && self.effective < DegradationLevel::P2P3Paused {
            while self.step_p1(handlers)? > 0 {}
            self.step_p0(handlers)?;
            if self.p2.expire_oldest(expired).is_some() {
                continue;
            }
            let Some(event) = self.p2.pop() else { break };
            handlers.on_p2(&event)?;
            self.measure(EventPriority::P2Medium, event.envelope.t_enqueue_ns);
            handled = handled.saturating_add(1);
        }
        Ok(handled)
    }

    fn step_p3<H: Handlers>(&mut self, now_ns: i64, handlers: &mut H) -> Result<usize, H::Error> {
        let mut handled: usize = 0;
        while handled < self.config.p3_batch_size {
            while self.step_p2(now_ns, handlers)? > 0 {}
            while self.step_p1(handlers)? > 0 {}
            self.step_p0(handlers)?;
            let paused = self.effective >= DegradationLevel::P3Paused;
            let Some(event) = (if paused { self.p3.pop_protected() } else { self.p3.pop() }) else { break };
            handlers.on_p3(&event)?;
            self.measure(EventPriority::P3Low, event.envelope.t_enqueue_ns);
            handled = handled.saturating_add(1);
        }
        Ok(handled)
    }

    #[inline]
    fn measure(&mut self, level: EventPriority, t_enqueue_ns: u64) {
        if t_enqueue_ns != 0
            && let Some(latencies) = self.latencies.get_mut(level as usize)
        {
            latencies.record(self.clock.monotonic_ns().saturating_sub(t_enqueue_ns));
        }
    }

    /// Sets the level that `slot` asks for; the highest of all slots counts at once.
    ///
    /// Entering a pause of P2 gives up what waits there: a decision made on it later would be made on old data. Leaving
    /// a pause of P1 keeps only the newest event of each instrument.
    pub fn set_slot(&mut self, slot: Slot, level: DegradationLevel) {
        let before = self.effective;
        self.effective = self.slots.set(slot, level);
        if before < DegradationLevel::P2P3Paused && self.effective >= DegradationLevel::P2P3Paused {
            self.p2.purge();
        }
        if before == DegradationLevel::CriticalOnly && self.effective < DegradationLevel::CriticalOnly {
            self.p1.keep_newest(|event| (event.kind, event.payload.instrument));
        }
    }

    /// The level in force: the highest of all slots.
    pub const fn effective_level(&self) -> DegradationLevel {
        self.effective
    }

    /// Events waiting on `level`.
    #[inline]
    pub fn depth(&self, level: EventPriority) -> usize {
        match level {
            EventPriority::P0Critical => self.p0.len(),
            EventPriority::P1High => self.p1.len(),
            EventPriority::P2Medium => self.p2.len(),
            EventPriority::P3Low => self.p3.len(),
        }
    }

    /// What became of the events of `level`.
    pub fn counters(&self, level: EventPriority) -> QueueCounters {
        match level {
            EventPriority::P0Critical => self.p0.counters(),
            EventPriority::P1High => self.p1.counters(),
            EventPriority::P2Medium => *self.p2.counters(),
            EventPriority::P3Low => *self.p3.counters(),
        }
    }

    /// Time from admission to the end of handling on `level`. P1 and P3 are sampled (one in 64, one in 16).
    pub fn latency(&self, level: EventPriority) -> LatencySummary {
        self.latencies.get(level as usize).map(Latencies::summary).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
