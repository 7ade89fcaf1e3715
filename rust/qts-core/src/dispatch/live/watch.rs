//! The monitor's thread: looks at the queues and the other threads, and does what follows from it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::handlers::Registry;
use super::holds::Cause;
use super::monitor::{Alert, Monitor};
use super::threads::{NS_PER_MS, start_worker};
use super::workers::{self, Post};
use super::{Role, Shared, State, millis};
use crate::dispatch::Slot;
use crate::event::{DegradationLevel, EventPriority};
use crate::sync::{Ordering, lock};

/// A thread not heard of for longer than this is reported.
const SILENT_NS: u64 = 1_000_000_000;
/// Stuck P3 handlers whose threads are replaced; one more pauses P3.
const MAX_STUCK: usize = 2;

pub(super) fn run(shared: &Arc<Shared>, handlers: &Arc<[Registry; 2]>) {
    let mut watch = Watch {
        monitor: Monitor::new(shared.config.clone()),
        stuck: 0,
        silent: vec![false; shared.heartbeats.len()],
    };
    while shared.state() != State::Closed {
        let faults = shared.faults.load(Ordering::Acquire);
        if catch_unwind(AssertUnwindSafe(|| watch.look(shared, handlers))).is_err() {
            shared.outside.alert(Alert::ThreadFailed { role: Role::Monitor });
        }
        shared.gone.wait(millis(shared.config.check_interval_ms.max(1)), || {
            shared.state() == State::Closed || shared.faults.load(Ordering::Acquire) != faults
        });
    }
}

struct Watch {
    monitor: Monitor,
    stuck: usize,
    silent: Vec<bool>,
}

impl Watch {
    fn look(&mut self, shared: &Arc<Shared>, handlers: &Arc<[Registry; 2]>) {
        let now_ns = shared.now_ns();
        suspend_decisions(shared);
        workers::mend(shared);
        let seen = shared.seen();
        let measures = self.monitor.look(&seen, now_ns);
        for alert in measures.alerts {
            shared.outside.alert(alert);
        }
        if !measures.p0_is_full {
            shared.holds.release(Cause::P0Full);
        }
        // A producer counts first and blocks then: what it blocked meanwhile must not have been released.
        if measures.p0_is_full || shared.p0.full_count() != seen.p0_full {
            shared.block(Cause::P0Full);
        }
        for (total, is_violated) in shared.isolation_violations.iter().zip(measures.violations) {
            total.fetch_add(u64::from(is_violated), Ordering::Relaxed);
        }
        for (cell, factor) in shared.batch_factor.iter().zip(measures.batch_factor) {
            cell.store(factor, Ordering::Relaxed);
        }
        let newly_stuck = give_up_stuck(shared, handlers, now_ns, self.stuck);
        self.stuck = self.stuck.saturating_add(newly_stuck);
        let wish = if self.stuck > MAX_STUCK {
            measures.backpressure.max(DegradationLevel::P3Paused)
        } else {
            measures.backpressure
        };
        shared.set_slot(Slot::Backpressure, wish);
        self.report_silent(shared, now_ns);
    }

    fn report_silent(&mut self, shared: &Shared, now_ns: u64) {
        for (row, (heartbeat, was_silent)) in shared.heartbeats.iter().zip(&mut self.silent).enumerate() {
            let age_ns = now_ns.saturating_sub(heartbeat.load(Ordering::Relaxed));
            let is_silent = age_ns > SILENT_NS;
            if is_silent && !*was_silent {
                let level = if row == 0 { EventPriority::P0Critical } else { EventPriority::P1High };
                shared.outside.alert(Alert::Silent { level, age_ns });
            }
            *was_silent = is_silent;
        }
    }
}

/// The words stop decisions at once; here the queues follow.
fn suspend_decisions(shared: &Shared) {
    let level = if shared.holds.decisions_suspended() {
        DegradationLevel::P2P3Paused
    } else {
        DegradationLevel::Normal
    };
    shared.set_slot(Slot::Fault, level);
}

/// Replaces the threads of P3 handlers that do not come back; returns how many have been given up now.
fn give_up_stuck(shared: &Arc<Shared>, handlers: &Arc<[Registry; 2]>, now_ns: u64, stuck: usize) -> usize {
    let limit_ns = u64::from(shared.config.p3_handler_timeout_ms).saturating_mul(NS_PER_MS);
    let is_late = |post: &Arc<Post>| {
        let since_ns = post.p3_since_ns.load(Ordering::SeqCst);
        since_ns != 0 && now_ns.saturating_sub(since_ns) > limit_ns
    };
    let late: Vec<Arc<Post>> = lock(&shared.threads.posts).extract_if(.., |post| is_late(post)).collect();
    for (at, post) in late.iter().enumerate() {
        post.given_up.store(1, Ordering::SeqCst);
        let left = std::mem::take(&mut *lock(&post.batch));
        let stuck = stuck.saturating_add(at).saturating_add(1);
        let is_replaced = stuck <= MAX_STUCK;
        let unplaced = {
            let mut low = lock(&shared.low);
            if is_replaced {
                low.p3_done();
            }
            low.put_back(left)
        };
        for event in unplaced {
            shared.keep(&event);
        }
        if is_replaced {
            // If the system refuses a thread, the workers that are left go on.
            drop(start_worker(shared, handlers));
        }
        shared.low_wake.notify_all();
        shared.outside.alert(Alert::P3Stuck { stuck });
    }
    late.len()
}
