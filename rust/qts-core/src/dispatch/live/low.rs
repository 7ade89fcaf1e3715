//! P2 and P3: two queues behind one lock, because their workers wait for both at once and always look at P2 first.

use super::config::LiveConfig;
use super::event::HeapEvent;
use super::figures::Figures;
use super::lost::LostSignals;
use crate::event::{EventPriority, EventType, PutResult};
use crate::queue::{CollapsingQueue, QueueCounters, SamplingQueue};

/// What a worker takes away.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) level: EventPriority,
    pub(super) events: Vec<HeapEvent>,
}

/// What a worker may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) p2_runs: bool,
    pub(super) p3_runs: bool,
    pub(super) p3_max_workers: usize,
    pub(super) p2_batch: usize,
    pub(super) p3_batch: usize,
    /// Signals admitted before this monotonic time are too old to act on.
    pub(super) expired_before_ns: u64,
}

#[derive(Debug, Clone, Copy)]
struct Capacities {
    p2: usize,
    p3: usize,
    p3_period: u32,
}

#[derive(Debug)]
pub(super) struct Low {
    p2: CollapsingQueue<HeapEvent>,
    p3: SamplingQueue<HeapEvent>,
    /// Workers that hold P3 work.
    p3_workers: usize,
    next_seq: [u64; 2],
    pub(super) figures: Figures,
    /// Signals that were discarded or refused: the audit trail of what was not acted on.
    pub(super) signals_lost: LostSignals,
    /// Counters of queues that had to be replaced.
    past: [QueueCounters; 2],
    capacities: Capacities,
}

impl Low {
    pub(super) fn new(config: &LiveConfig) -> Self {
        let capacities =
            Capacities { p2: config.p2_capacity, p3: config.p3_capacity, p3_period: config.p3_sample_period };
        Self {
            p2: CollapsingQueue::new(capacities.p2),
            p3: SamplingQueue::new(capacities.p3, capacities.p3_period),
            p3_workers: 0,
            next_seq: [0; 2],
            figures: Figures::default(),
            signals_lost: LostSignals::new(config.dead_letters),
            past: [QueueCounters::default(); 2],
            capacities,
        }
    }

    /// Takes in an event; gives back what P3 protects and has no room for. See [`Self::count_left`].
    pub(super) fn put(&mut self, mut event: HeapEvent, p2_runs: bool) -> Result<PutResult, Box<HeapEvent>> {
        let is_p2 = event.header.kind.priority() == EventPriority::P2Medium;
        let [p2_seq, p3_seq] = &mut self.next_seq;
        let seq = if is_p2 { p2_seq } else { p3_seq };
        *seq = seq.wrapping_add(1);
        event.header.seq = *seq;
        if !is_p2 {
            if !event.can_drop && !self.p3.has_protected_room() {
                return Err(Box::new(event));
            }
            return Ok(self.p3.put(event));
        }
        if !p2_runs {
            self.p2.count_refused();
            if event.header.kind == EventType::SignalGenerated {
                self.signals_lost.push(event);
            }
            return Ok(PutResult::RefusedPaused);
        }
        Ok(self.p2.put(event))
    }

    /// Takes the next batch of P2, else of P3 if a worker may; None if there is nothing to do.
    pub(super) fn take(&mut self, limits: &Limits) -> Option<Taken> {
        if limits.p2_runs {
            let events = self.take_p2(limits);
            if !events.is_empty() {
                return Some(Taken { level: EventPriority::P2Medium, events });
            }
        }
        if self.p3_workers >= limits.p3_max_workers {
            return None;
        }
        let mut events = Vec::new();
        while events.len() < limits.p3_batch {
            let event = if limits.p3_runs { self.p3.pop() } else { self.p3.pop_protected() };
            let Some(event) = event else { break };
            events.push(event);
        }
        if events.is_empty() {
            return None;
        }
        events.sort_by_key(|event| event.header.kind); // stable: by type, each in its order
        self.p3_workers = self.p3_workers.saturating_add(1);
        Some(Taken { level: EventPriority::P3Low, events })
    }

    fn take_p2(&mut self, limits: &Limits) -> Vec<HeapEvent> {
        let is_expired = |event: &HeapEvent| {
            event.header.kind == EventType::SignalGenerated
                && event.header.t_enqueue_ns < limits.expired_before_ns
        };
        let mut events = Vec::new();
        while events.len() < limits.p2_batch {
            if let Some(signal) = self.p2.expire_oldest(is_expired) {
                self.signals_lost.push(signal);
                continue;
            }
            let Some(event) = self.p2.pop() else { break };
            events.push(event);
        }
        let mut places: Vec<Box<str>> = Vec::new();
        for event in &events {
            if !places.contains(&event.scope) {
                places.push(event.scope.clone());
            }
        }
        events.sort_by_key(|event| places.iter().position(|scope| *scope == event.scope));
        events
    }

    /// A worker has done its P3 work, or has been given up with it.
    pub(super) const fn p3_done(&mut self) {
        self.p3_workers = self.p3_workers.saturating_sub(1);
    }

    /// Gives up what waits on P2.
    pub(super) fn purge_p2(&mut self) {
        while let Some(event) = self.p2.drop_oldest() {
            if event.header.kind == EventType::SignalGenerated {
                self.signals_lost.push(event);
            }
        }
    }

    /// Whether protected events of P3 wait.
    pub(super) fn has_protected(&self) -> bool {
        self.p3.has_protected()
    }

    pub(super) fn depths(&self) -> [usize; 2] {
        [self.p2.len(), self.p3.len()]
    }

    pub(super) const fn counters(&self) -> [QueueCounters; 2] {
        let [p2, p3] = &self.past;
        [p2.plus(self.p2.counters()), p3.plus(self.p3.counters())]
    }

    /// Counts an event that [`Self::put`] gave back, by whether it is kept elsewhere.
    pub(super) const fn count_left(&mut self, is_kept: bool) -> PutResult {
        let [_, past] = &mut self.past;
        let (counter, result) = if is_kept {
            (&mut past.spilled, PutResult::Spilled)
        } else {
            (&mut past.refused, PutResult::RefusedFull)
        };
        *counter = counter.wrapping_add(1);
        result
    }

    /// Puts P3 events back that a worker had taken and will not handle; returns what P3 protects and has no room for.
    pub(super) fn put_back(&mut self, events: impl IntoIterator<Item = HeapEvent>) -> Vec<HeapEvent> {
        let mut left = Vec::new();
        for event in events {
            let [_, past] = &mut self.past;
            // Not handled yet.
            past.handled = past.handled.wrapping_sub(1);
            if !event.can_drop && !self.p3.has_protected_room() {
                past.dropped = past.dropped.wrapping_add(1);
                left.push(event);
                continue;
            }
            match self.p3.put(event) {
                // Admitted twice.
                PutResult::Accepted | PutResult::AcceptedDroppedOldest => {
                    past.admitted = past.admitted.wrapping_sub(1);
                }
                // Left out of what had been admitted.
                _ => past.dropped = past.dropped.wrapping_add(1),
            }
        }
        left
    }

    /// Takes out what P3 protects, not to handle it but to keep it elsewhere.
    pub(super) fn take_protected(&mut self) -> Vec<HeapEvent> {
        let events: Vec<HeapEvent> = std::iter::from_fn(|| self.p3.pop_protected()).collect();
        let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let [_, past] = &mut self.past;
        past.handled = past.handled.wrapping_sub(count);
        past.dropped = past.dropped.wrapping_add(count);
        events
    }

    /// New queues in place of ones that may be half changed. What waited is lost, except what P3 protects; returns how
    /// many events of each level that were.
    pub(super) fn rebuild(&mut self) -> [usize; 2] {
        let p2_lost = self.p2.len();
        self.purge_p2();
        let protected: Vec<HeapEvent> = std::iter::from_fn(|| self.p3.pop_protected()).collect();
        let p3_lost = self.p3.len();
        let [p2, p3] = self.counters();
        let p3 = QueueCounters {
            dropped: p3.dropped.wrapping_add(u64::try_from(p3_lost).unwrap_or(u64::MAX)),
            ..p3
        };
        self.past = [p2, p3];
        self.p2 = CollapsingQueue::new(self.capacities.p2);
        self.p3 = SamplingQueue::new(self.capacities.p3, self.capacities.p3_period);
        // There is room: as much as they had before.
        drop(self.put_back(protected));
        [p2_lost, p3_lost]
    }
}
