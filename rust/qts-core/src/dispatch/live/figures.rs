//! What a thread counts and measures about the events it handles.

use std::collections::BTreeMap;
use std::sync::TryLockError;

use super::handlers::Failure;
use crate::dispatch::{Latencies, LatencySummary};
use crate::event::EventType;
use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering, Padded, lock};

/// Notes a thread keeps to itself while somebody reads its figures; one more makes it wait for the reader.
const BACKLOG_MAX: usize = 1_024;

/// What became of one event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Note {
    pub(super) kind: EventType,
    /// 0 = not measured.
    pub(super) t_enqueue_ns: u64,
    pub(super) t_start_ns: u64,
    pub(super) t_done_ns: u64,
    is_unhandled: bool,
    errors: u64,
}

impl Note {
    pub(super) fn new(kind: EventType, t_enqueue_ns: u64, wanted: usize, failures: &[Failure]) -> Self {
        let errors = failures.iter().map(|failure| u64::from(failure.attempts)).sum();
        Self { kind, t_enqueue_ns, t_start_ns: 0, t_done_ns: 0, is_unhandled: wanted == 0, errors }
    }

    pub(super) const fn at(self, t_start_ns: u64, t_done_ns: u64) -> Self {
        Self { t_start_ns, t_done_ns, ..self }
    }

    /// From admission to the end of handling.
    pub(super) const fn latency_ns(&self) -> u64 {
        self.t_done_ns.saturating_sub(self.t_enqueue_ns)
    }
}

/// The figures of one thread, which never waits for whoever reads them.
#[derive(Debug)]
pub(super) struct Desk {
    figures: Mutex<Figures>,
    /// Events measured, and those of them that took longer than the isolation of their level allows.
    counts: Padded<[AtomicU64; 2]>,
    limit_ns: u64,
}

impl Desk {
    pub(super) fn new(kinds: impl Iterator<Item = EventType>, limit_ms: u32) -> Self {
        let mut figures = Figures::default();
        figures.prepare(kinds);
        let limit_ns = u64::from(limit_ms).saturating_mul(1_000_000);
        Self { figures: Mutex::new(figures), counts: Padded::default(), limit_ns }
    }

    /// Adds a note of the thread whose `backlog` that is.
    pub(super) fn note(&self, backlog: &mut Vec<Note>, note: Note) {
        if note.t_enqueue_ns != 0 {
            let [measured, slow] = &*self.counts;
            measured.fetch_add(1, Ordering::Relaxed);
            if note.latency_ns() > self.limit_ns {
                slow.fetch_add(1, Ordering::Relaxed);
            }
        }
        match self.try_lock() {
            Some(mut figures) => {
                figures.add_notes(backlog);
                figures.add_note(&note);
            }
            None if backlog.len() < BACKLOG_MAX => backlog.push(note),
            None => lock(&self.figures).add_note(&note),
        }
    }

    /// Adds what the thread has kept to itself, unless somebody is reading again.
    pub(super) fn settle(&self, backlog: &mut Vec<Note>) {
        if !backlog.is_empty()
            && let Some(mut figures) = self.try_lock()
        {
            figures.add_notes(backlog);
        }
    }

    /// Adds it in any case: the thread ends.
    pub(super) fn close(&self, backlog: &mut Vec<Note>) {
        lock(&self.figures).add_notes(backlog);
    }

    fn try_lock(&self) -> Option<MutexGuard<'_, Figures>> {
        match self.figures.try_lock() {
            Ok(figures) => Some(figures),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Adds the figures to a sum.
    pub(super) fn add_to(&self, sum: &mut Figures) {
        sum.add(&lock(&self.figures));
    }

    /// Events measured so far, and those of them that were too slow.
    pub(super) fn counts(&self) -> (u64, u64) {
        let [measured, slow] = &*self.counts;
        // The slow ones first: they are never more than those measured.
        let slow = slow.load(Ordering::Relaxed);
        (measured.load(Ordering::Relaxed), slow)
    }
}

/// Room for the notes of one thread.
pub(super) fn backlog() -> Vec<Note> {
    Vec::with_capacity(BACKLOG_MAX)
}

/// Latencies of one type: waiting, handling, and both.
#[derive(Debug, Clone, Default)]
struct Row {
    wait: Latencies,
    handle: Latencies,
    total: Latencies,
}

/// Latencies of one type as figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TypeLatency {
    /// From admission to the start of handling.
    pub wait: LatencySummary,
    /// In the handlers.
    pub handle: LatencySummary,
    /// From admission to the end of handling.
    pub total: LatencySummary,
}

/// Counters and latencies of the events that one thread handles.
#[derive(Debug, Default)]
pub(super) struct Figures {
    rows: BTreeMap<EventType, Row>,
    /// Handlers that failed, retries included.
    pub(super) handler_errors: u64,
    /// Events that no handler wanted.
    pub(super) unhandled: u64,
}

impl Figures {
    /// Makes room for a type, so that measuring it later allocates nothing.
    pub(super) fn prepare(&mut self, kinds: impl Iterator<Item = EventType>) {
        for kind in kinds {
            self.rows.entry(kind).or_default();
        }
    }

    fn add_notes(&mut self, notes: &mut Vec<Note>) {
        for note in notes.drain(..) {
            self.add_note(&note);
        }
    }

    pub(super) fn add_note(&mut self, note: &Note) {
        if note.t_enqueue_ns != 0 {
            let row = self.rows.entry(note.kind).or_default();
            row.wait.record(note.t_start_ns.saturating_sub(note.t_enqueue_ns));
            row.handle.record(note.t_done_ns.saturating_sub(note.t_start_ns));
            row.total.record(note.latency_ns());
        }
        self.unhandled = self.unhandled.saturating_add(u64::from(note.is_unhandled));
        self.handler_errors = self.handler_errors.saturating_add(note.errors);
    }

    /// Adds the figures of another thread.
    pub(super) fn add(&mut self, other: &Self) {
        for (kind, row) in &other.rows {
            let sum = self.rows.entry(*kind).or_default();
            sum.wait.add(&row.wait);
            sum.handle.add(&row.handle);
            sum.total.add(&row.total);
        }
        self.handler_errors = self.handler_errors.saturating_add(other.handler_errors);
        self.unhandled = self.unhandled.saturating_add(other.unhandled);
    }

    /// Latencies by type, of those that have been measured.
    pub(super) fn latencies(&self) -> BTreeMap<EventType, TypeLatency> {
        self.rows
            .iter()
            .map(|(kind, row)| {
                let latency = TypeLatency {
                    wait: row.wait.summary(),
                    handle: row.handle.summary(),
                    total: row.total.summary(),
                };
                (*kind, latency)
            })
            .filter(|(_, latency)| latency.total.n > 0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(latency_ns: u64) -> Note {
        Note::new(EventType::FillPartial, 1, 1, &[]).at(1, latency_ns.saturating_add(1))
    }

    #[test]
    fn a_thread_does_not_wait_for_whoever_reads_its_figures() {
        let desk = Desk::new([EventType::FillPartial].into_iter(), 10);
        let mut backlog = backlog();
        let reader = lock(&desk.figures);
        desk.note(&mut backlog, note(10_000_000));
        desk.note(&mut backlog, note(10_000_001));
        assert_eq!((backlog.len(), desk.counts()), (2, (2, 1)), "what is counted is counted at once");
        desk.settle(&mut backlog);
        assert_eq!(backlog.len(), 2);
        drop(reader);
        let total = || {
            let mut sum = Figures::default();
            desk.add_to(&mut sum);
            sum.latencies()[&EventType::FillPartial].total.n
        };
        desk.settle(&mut backlog);
        assert_eq!((backlog.len(), total()), (0, 2), "also if nothing comes any more");
        desk.note(&mut backlog, note(5));
        backlog.push(note(5));
        desk.note(&mut backlog, note(5));
        assert_eq!((backlog.len(), total()), (0, 5));
        backlog.push(note(5));
        desk.close(&mut backlog);
        assert_eq!((backlog.len(), total()), (0, 6));
    }

    #[test]
    fn only_measured_events_are_judged() {
        let desk = Desk::new([EventType::PriceTick].into_iter(), 50);
        desk.note(&mut backlog(), Note::new(EventType::PriceTick, 0, 0, &[]).at(0, u64::MAX));
        let mut sum = Figures::default();
        desk.add_to(&mut sum);
        assert_eq!((desk.counts(), sum.unhandled), ((0, 0), 1));
    }
}
