//! Watching the queues: what to report, and what load to take off. Decides from numbers alone, so that every threshold
//! can be tried without a thread.

use super::Role;
use super::config::{LiveConfig, Thresholds};
use crate::event::{DegradationLevel, EventPriority};

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;
/// The same alert is not given again within this time unless it gets worse.
const REPEAT_NS: u64 = 10_000_000_000;
/// Measures are taken back once a ratio is this far below its warning.
const RECOVERY_MARGIN: f64 = 0.10;
/// A full P0 queue is over once its depth has been below this for [`LiveConfig::recover_ms`].
const P0_RELIEVED_DEPTH: usize = 50;
/// A P1 that stays critical for this long pauses P2 too.
const P1_CRITICAL_HOLD_NS: u64 = NS_PER_S;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each name says it")]
pub enum Grade {
    Warning,
    Critical,
}

/// What the operator should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    /// A queue is deeper than it should be.
    Depth {
        /// Which one.
        level: EventPriority,
        /// How bad.
        grade: Grade,
        /// Events waiting.
        depth: usize,
    },
    /// A P0 event took too long, in nanoseconds from admission to the end of handling.
    Latency {
        /// How bad.
        grade: Grade,
        /// How long.
        latency_ns: u64,
    },
    /// P0 was found full (FS095); entries are to be paused until [`Alert::P0Relieved`].
    P0Full {
        /// How often since the last report.
        times: u64,
        /// It has lasted for more than a second.
        lasting: bool,
    },
    /// P0 has room again.
    P0Relieved,
    /// A thread of P0 has failed (FS096); for the second time within a minute if `again`.
    P0Failed {
        /// Lockdown is asked for.
        again: bool,
    },
    /// The P1 thread failed again soon after its queue had been rebuilt, or there was no memory for a new one (FS097).
    P1Failed,
    /// A queue has been replaced by an empty one after a fault in its thread or in itself.
    Rebuilt {
        /// Of which level.
        level: EventPriority,
        /// Events lost with the old one.
        lost: usize,
    },
    /// A thread broke off and goes on: it has lost at most the event that it was handling.
    ThreadFailed {
        /// Which one.
        role: Role,
    },
    /// More than one in a hundred events took longer than the isolation of the levels allows: lower levels have got
    /// into the way of this one.
    Isolation {
        /// Which level.
        level: EventPriority,
        /// Critical for P0.
        grade: Grade,
        /// Events of the window that were measured.
        events: u64,
        /// Those that took too long.
        slow: u64,
    },
    /// A P0 event, or the mark that it is done, could not be written to the journal (FS063). It is handled all the same;
    /// told once until it is released.
    JournalFailed,
    /// A P0 event has exhausted its attempts (FS098).
    P0DeadLetter {
        /// Its number.
        seq: u64,
    },
    /// The level in force has changed (GR090 when it is critical only).
    Level {
        /// The level.
        level: DegradationLevel,
    },
    /// A handler of P3 has not come back in time; its thread has been replaced, unless too many are stuck.
    P3Stuck {
        /// How many now.
        stuck: usize,
    },
    /// A thread has not been heard of for more than a second.
    Silent {
        /// Of which level.
        level: EventPriority,
        /// Since when, in nanoseconds.
        age_ns: u64,
    },
}

/// What the queues look like at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depths {
    /// Events waiting, by level.
    pub depth: [usize; 4],
    /// How often a put has found P0 full so far.
    pub p0_full: u64,
    /// Events of P0 and P1 that were measured so far.
    pub measured: [u64; 2],
    /// Those of them that took longer than [`LiveConfig::isolation_p99_ms`].
    pub slow: [u64; 2],
}

/// What follows from one look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measures {
    /// What to report.
    pub alerts: Vec<Alert>,
    /// The level to ask for.
    pub backpressure: DegradationLevel,
    /// Entries have to wait for room on P0.
    pub p0_is_full: bool,
    /// Windows that ended with a violation now, of P0 and of P1.
    pub violations: [bool; 2],
    /// By how much batches of P1 and P2 are larger now.
    pub batch_factor: [usize; 2],
}

#[derive(Debug, Clone, Copy, Default)]
struct Given {
    grade: Option<Grade>,
    at_ns: u64,
}

/// One queue under pressure.
#[derive(Debug, Clone, Copy)]
struct Pressure {
    factor: usize,
    /// Since when it has been critical.
    critical_since_ns: Option<u64>,
    /// When its ratio was last above the warning.
    above_warning_ns: Option<u64>,
    /// When its ratio was last near the warning or above it.
    near_warning_ns: Option<u64>,
}

/// Remembers what has been reported and since when things are as they are.
#[derive(Debug)]
pub struct Monitor {
    config: LiveConfig,
    given: [Given; 4],
    pressure: [Pressure; 2],
    backpressure: DegradationLevel,
    p0_full_last: u64,
    p0_full_reported: u64,
    p0_full_reported_ns: Option<u64>,
    p0_full_since_ns: Option<u64>,
    p0_deep_ns: u64,
    /// What had been measured, and was too slow, when the window began; None before the first look.
    window: Option<Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    begin_ns: u64,
    measured: [u64; 2],
    slow: [u64; 2],
}

impl Monitor {
    /// A monitor that has seen nothing yet.
    pub fn new(config: LiveConfig) -> Self {
        let calm =
            Pressure { factor: 1, critical_since_ns: None, above_warning_ns: None, near_warning_ns: None };
        Self {
            config,
            given: [Given::default(); 4],
            pressure: [calm; 2],
            backpressure: DegradationLevel::Normal,
            p0_full_last: 0,
            p0_full_reported: 0,
            p0_full_reported_ns: None,
            p0_full_since_ns: None,
            p0_deep_ns: 0,
            window: None,
        }
    }

    /// Looks at the queues at monotonic time `now_ns`.
    pub fn look(&mut self, depths: &Depths, now_ns: u64) -> Measures {
        let mut alerts = Vec::new();
        self.depth_alerts(depths, now_ns, &mut alerts);
        self.p0_full(depths, now_ns, &mut alerts);
        let violations = self.isolation(depths, now_ns, &mut alerts);
        let wish = self.p1_pressure(depths, now_ns).max(self.p2_pressure(depths, now_ns));
        // Up at once; down only when both queues have been well for a while.
        if wish > self.backpressure || self.has_recovered(now_ns) {
            self.backpressure = wish;
        }
        Measures {
            alerts,
            backpressure: self.backpressure,
            p0_is_full: self.p0_full_since_ns.is_some(),
            violations,
            batch_factor: self.pressure.map(|pressure| pressure.factor),
        }
    }

    fn depth_alerts(&mut self, depths: &Depths, now_ns: u64, alerts: &mut Vec<Alert>) {
        let rows = EventPriority::ALL.into_iter().zip(&depths.depth);
        for ((level, &depth), (limits, given)) in
            rows.zip(self.config.depth_alerts.iter().zip(&mut self.given))
        {
            let grade = grade(depth, limits);
            let worse = grade > given.grade;
            let again = grade.is_some() && now_ns.saturating_sub(given.at_ns) >= REPEAT_NS;
            if let Some(grade) = grade
                && (worse || again)
            {
                alerts.push(Alert::Depth { level, grade, depth });
                given.at_ns = now_ns;
            }
            if worse || again || now_ns.saturating_sub(given.at_ns) >= REPEAT_NS {
                given.grade = grade;
            }
        }
    }

    fn p0_full(&mut self, depths: &Depths, now_ns: u64, alerts: &mut Vec<Alert>) {
        let [depth, ..] = depths.depth;
        let is_fresh = depths.p0_full != self.p0_full_last;
        self.p0_full_last = depths.p0_full;
        if is_fresh || depth >= P0_RELIEVED_DEPTH {
            self.p0_deep_ns = now_ns;
        }
        if is_fresh {
            self.p0_full_since_ns.get_or_insert(now_ns);
        }
        let Some(since_ns) = self.p0_full_since_ns else { return };
        let times = depths.p0_full.saturating_sub(self.p0_full_reported);
        let is_due = self.p0_full_reported_ns.is_none_or(|at_ns| now_ns.saturating_sub(at_ns) >= NS_PER_S);
        if times > 0 && is_due {
            alerts.push(Alert::P0Full { times, lasting: now_ns.saturating_sub(since_ns) > NS_PER_S });
            self.p0_full_reported = depths.p0_full;
            self.p0_full_reported_ns = Some(now_ns);
        }
        if now_ns.saturating_sub(self.p0_deep_ns) >= self.recover_ns() {
            self.p0_full_since_ns = None;
            alerts.push(Alert::P0Relieved);
        }
    }

    /// At the end of a window: the 99th percentile is above its limit exactly if more than one in a hundred are.
    fn isolation(&mut self, depths: &Depths, now_ns: u64, alerts: &mut Vec<Alert>) -> [bool; 2] {
        let next = Window { begin_ns: now_ns, measured: depths.measured, slow: depths.slow };
        let window = *self.window.get_or_insert(next);
        let window_ns = u64::from(self.config.isolation_window_s).saturating_mul(NS_PER_S);
        let mut violations = [false; 2];
        if now_ns.saturating_sub(window.begin_ns) < window_ns {
            return violations;
        }
        let rows = [(EventPriority::P0Critical, Grade::Critical), (EventPriority::P1High, Grade::Warning)];
        let measured = next.measured.iter().zip(window.measured);
        let slow = next.slow.iter().zip(window.slow);
        for (((level, grade), is_violated), (measured, slow)) in
            rows.into_iter().zip(&mut violations).zip(measured.zip(slow))
        {
            let events = measured.0.saturating_sub(measured.1);
            let slow = slow.0.saturating_sub(slow.1);
            if slow.saturating_mul(100) > events {
                *is_violated = true;
                alerts.push(Alert::Isolation { level, grade, events, slow });
            }
        }
        self.window = Some(next);
        violations
    }

    fn recover_ns(&self) -> u64 {
        u64::from(self.config.recover_ms).saturating_mul(NS_PER_MS)
    }

    fn p1_pressure(&mut self, depths: &Depths, now_ns: u64) -> DegradationLevel {
        let [_, depth, ..] = depths.depth;
        let critical = self.press(0, depth, self.config.p1_capacity, now_ns);
        match critical {
            None => DegradationLevel::Normal,
            Some(since_ns) if now_ns.saturating_sub(since_ns) >= P1_CRITICAL_HOLD_NS => {
                DegradationLevel::P2P3Paused
            }
            Some(_) => DegradationLevel::P3Paused,
        }
    }

    fn p2_pressure(&mut self, depths: &Depths, now_ns: u64) -> DegradationLevel {
        let [_, _, depth, _] = depths.depth;
        // Pausing P2 itself would only make it deeper.
        match self.press(1, depth, self.config.p2_capacity, now_ns) {
            None => DegradationLevel::Normal,
            Some(_) => DegradationLevel::P3Paused,
        }
    }

    /// Notes the fill ratio of a queue and sizes its batches; returns since when it is critical.
    fn press(&mut self, at: usize, depth: usize, capacity: usize, now_ns: u64) -> Option<u64> {
        let hold_ns = self.recover_ns();
        let limits = self.config.backpressure.get(at)?;
        let pressure = self.pressure.get_mut(at)?;
        let ratio = ratio(depth, capacity);
        if ratio > limits.warning {
            pressure.above_warning_ns = Some(now_ns);
            pressure.factor = pressure.factor.saturating_mul(2).min(self.config.batch_max_factor.max(1));
        }
        if ratio >= limits.warning - RECOVERY_MARGIN {
            pressure.near_warning_ns = Some(now_ns);
        }
        if pressure.near_warning_ns.is_none_or(|at_ns| now_ns.saturating_sub(at_ns) >= hold_ns) {
            pressure.factor = 1;
        }
        if ratio > limits.critical {
            pressure.critical_since_ns.get_or_insert(now_ns);
        } else {
            pressure.critical_since_ns = None;
        }
        pressure.critical_since_ns
    }

    fn has_recovered(&self, now_ns: u64) -> bool {
        let hold_ns = self.recover_ns();
        self.pressure.iter().all(|pressure| {
            pressure.above_warning_ns.is_none_or(|at_ns| now_ns.saturating_sub(at_ns) >= hold_ns)
        })
    }
}

fn grade(depth: usize, limits: &Thresholds<usize>) -> Option<Grade> {
    if depth > limits.critical {
        Some(Grade::Critical)
    } else if depth > limits.warning {
        Some(Grade::Warning)
    } else {
        None
    }
}

#[allow(clippy::cast_precision_loss, reason = "depths are far below 2^52")]
fn ratio(depth: usize, capacity: usize) -> f64 {
    depth as f64 / capacity.max(1) as f64
}

#[cfg(test)]
mod tests;
