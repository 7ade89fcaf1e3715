//! What the dispatcher gets from this process: its clock, a list of alerts, and priorities for its threads.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use qts_core::clock::Clock;
use qts_core::dispatch::live::{Alert, Grade, HeapEvent, Outside, Role, SlotEvent};
use qts_core::event::EventPriority;
use qts_io::clock::HostClock;
use qts_io::p0log::P0Log;
use qts_io::threads::{Shortfall, Threads};

use super::lock;
use super::outbox::Outboxes;

/// Alerts that wait for Python to fetch them; the oldest give way.
const ALERTS_MAX: usize = 1_024;

/// Name and numbers of an alert.
pub(super) type AlertRow = (&'static str, Vec<(&'static str, u64)>);

/// Alerts, newest last.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    waiting: Mutex<VecDeque<AlertRow>>,
    lost: AtomicU64,
}

impl Alerts {
    pub(super) fn push(&self, row: AlertRow) {
        let mut waiting = lock(&self.waiting);
        if waiting.len() >= ALERTS_MAX {
            waiting.pop_front();
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        waiting.push_back(row);
    }

    /// Takes all of them; the last one tells how many were lost, if any were.
    pub(super) fn take(&self) -> Vec<AlertRow> {
        let mut rows: Vec<AlertRow> = std::mem::take(&mut *lock(&self.waiting)).into();
        match self.lost.swap(0, Ordering::Relaxed) {
            0 => {}
            lost => rows.push(("alerts_lost", vec![("times", lost)])),
        }
        rows
    }
}

/// Where protected events of P3 go for which there is no room.
#[derive(Debug)]
pub(super) struct Keeper {
    log: Option<P0Log>,
    alerts: Arc<Alerts>,
    lost: AtomicU64,
}

impl Keeper {
    pub(super) fn new(log: Option<P0Log>, alerts: &Arc<Alerts>) -> Self {
        Self { log, alerts: Arc::clone(alerts), lost: AtomicU64::new(0) }
    }

    /// Writes the event to the journal; false without one. What is lost is told at the 1st, 2nd, 4th and so on.
    pub(super) fn keep(&self, event: &HeapEvent) -> Result<bool, String> {
        let kept = self.log.as_ref().map_or(Ok(false), |log| log.keep(event).map(|_| true));
        if !matches!(kept, Ok(true)) {
            let lost = self.lost.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
            if lost.is_power_of_two() {
                self.alerts.push(("p3_protected_lost", vec![("times", lost)]));
            }
        }
        kept.map_err(|error| error.to_string())
    }
}

/// This process as the dispatcher's surroundings.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) alerts: Arc<Alerts>,
    pub(super) outboxes: Arc<Outboxes>,
    pub(super) threads: Arc<Threads>,
    pub(super) log: Option<P0Log>,
    pub(super) keeper: Arc<Keeper>,
    /// Python listens to P0: an event is done when Python says so.
    pub(super) hears_p0: Arc<AtomicBool>,
}

impl Clock for Host {
    fn monotonic_ns(&self) -> u64 {
        HostClock.monotonic_ns()
    }
}

impl Outside for Host {
    fn journal(&self, event: &SlotEvent) -> Result<Option<u64>, String> {
        let Some(log) = &self.log else { return Ok(None) };
        let seq = log.admit(event).map_err(|error| error.to_string())?;
        if let Some(usage) = log.take_quota_warning() {
            self.alerts.push(("journal_quota", vec![("used", usage.used), ("quota", usage.quota)]));
        }
        Ok(Some(seq))
    }

    fn keep(&self, event: &HeapEvent) -> Result<bool, String> {
        self.keeper.keep(event)
    }

    fn journal_done(&self, seq: u64) -> Result<(), String> {
        if self.hears_p0.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(log) = &self.log else { return Ok(()) };
        log.done(seq).map_err(|error| error.to_string())
    }

    fn alert(&self, alert: Alert) {
        if let Alert::Level { level } = alert {
            self.outboxes.level_changed(level);
        }
        self.alerts.push(row(alert));
    }

    fn waiting(&self, level: EventPriority) -> usize {
        self.outboxes.of(level).len()
    }

    fn thread_started(&self, role: Role) {
        for shortfall in self.threads.started(role) {
            self.alerts.push(match shortfall {
                Shortfall::Priority => ("priority_not_permitted", Vec::new()),
                Shortfall::Core(core) => ("core_not_available", vec![("core", wide(core))]),
            });
        }
    }
}

fn wide(value: usize) -> u64 {
    u64::try_from(value).unwrap_or(u64::MAX)
}

const fn grade_number(grade: Grade) -> u64 {
    match grade {
        Grade::Warning => 0,
        Grade::Critical => 1,
    }
}

/// 0 the P0 thread, 1 one of P1, 2 a worker of P2 and P3, 3 the monitor.
const fn role_number(role: Role) -> u64 {
    match role {
        Role::P0 => 0,
        Role::P1 { .. } => 1,
        Role::Worker => 2,
        Role::Monitor => 3,
    }
}

fn row(alert: Alert) -> AlertRow {
    match alert {
        Alert::Depth { level, grade, depth } => (
            "depth",
            vec![("level", level as u64), ("critical", grade_number(grade)), ("depth", wide(depth))],
        ),
        Alert::Latency { grade, latency_ns } => {
            ("latency", vec![("critical", grade_number(grade)), ("latency_ns", latency_ns)])
        }
        Alert::P0Full { times, lasting } => {
            ("p0_full", vec![("times", times), ("lasting", u64::from(lasting))])
        }
        Alert::P0Relieved => ("p0_relieved", Vec::new()),
        Alert::P0Failed { again } => ("p0_failed", vec![("again", u64::from(again))]),
        Alert::P0DeadLetter { seq } => ("p0_dead_letter", vec![("seq", seq)]),
        Alert::Level { level } => ("level", vec![("level", level as u64)]),
        Alert::P1Failed => ("p1_failed", Vec::new()),
        Alert::Rebuilt { level, lost } => {
            ("queue_rebuilt", vec![("level", level as u64), ("lost", wide(lost))])
        }
        Alert::ThreadFailed { role } => ("thread_failed", vec![("role", role_number(role))]),
        Alert::Isolation { level, grade, events, slow } => (
            "isolation",
            vec![
                ("level", level as u64),
                ("critical", grade_number(grade)),
                ("events", events),
                ("slow", slow),
            ],
        ),
        Alert::JournalFailed => ("journal_failed", Vec::new()),
        Alert::P3Stuck { stuck } => ("p3_stuck", vec![("stuck", wide(stuck))]),
        Alert::Silent { level, age_ns } => ("silent", vec![("level", level as u64), ("age_ns", age_ns)]),
    }
}
