//! Starting and stopping the threads, and what their loops share.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::event::SlotEvent;
use super::handlers::{DeadLetter, Delivery, Failure, Registry};
use super::holds::Cause;
use super::monitor::Alert;
use super::workers::{self, Post};
use super::{LiveError, Role, Shared, State, StopReport, millis, p0, p1, watch};
use crate::event::PutResult;
use crate::sync::{Mutex, Ordering, lock, thread};

pub(super) const NS_PER_MS: u64 = 1_000_000;
/// A second failure within this time counts as "again": of the P0 thread it asks for lockdown, of P1 it means that a
/// new queue does not help.
pub(super) const FAILED_AGAIN_NS: u64 = 60_000_000_000;

/// The running threads.
#[derive(Debug, Default)]
pub(super) struct Crew {
    pub(super) posts: Mutex<Vec<Arc<Post>>>,
}

/// Starts every thread.
pub(super) fn start(
    shared: &Arc<Shared>,
    handlers: [Registry; 4],
    replay: Vec<SlotEvent>,
) -> Result<(), LiveError> {
    let [p0_handlers, p1_handlers, p2, p3] = handlers;
    let low = Arc::new([p2, p3]);
    let now_ns = shared.now_ns();
    for heartbeat in &shared.heartbeats {
        heartbeat.store(now_ns, Ordering::Relaxed);
    }
    let consumer = shared.p0.consumer();
    spawn(shared, "qts-p0", Role::P0, move |shared| p0::run(shared, consumer, &p0_handlers, replay))?;
    for shard in 0..shared.config.p1_shards.max(1) {
        let handlers = p1_handlers.clone();
        let name = format!("qts-p1-{shard}");
        spawn(shared, &name, Role::P1 { shard }, move |shared| p1::run(shared, shard, &handlers))?;
    }
    for _ in 0..shared.config.workers.max(1) {
        start_worker(shared, &low)?;
    }
    spawn(shared, "qts-monitor", Role::Monitor, move |shared| watch::run(shared, &low))
}

fn spawn(
    shared: &Arc<Shared>,
    name: &str,
    role: Role,
    work: impl FnOnce(&Arc<Shared>) + Send + 'static,
) -> Result<(), LiveError> {
    let own = Arc::clone(shared);
    shared.alive.fetch_add(1, Ordering::SeqCst);
    let started = thread::Builder::new().name(name.to_owned()).spawn(move || {
        own.outside.thread_started(role);
        // The loops go on after a failure by themselves. Should even that fail, somebody has to know, and whoever stops
        // the dispatcher must not be left waiting.
        if catch_unwind(AssertUnwindSafe(|| work(&own))).is_err() {
            drop(catch_unwind(AssertUnwindSafe(|| lost(&own, role))));
        }
        own.alive.fetch_sub(1, Ordering::SeqCst);
        own.gone.notify();
    });
    started.map(drop).map_err(|error| {
        shared.alive.fetch_sub(1, Ordering::SeqCst);
        shared.state.store(State::Closed as usize, Ordering::SeqCst);
        LiveError::Thread(error.to_string())
    })
}

/// A thread is gone for good.
fn lost(shared: &Shared, role: Role) {
    match role {
        Role::P0 => {
            shared.fail(Cause::P0Failed);
            shared.outside.alert(Alert::P0Failed { again: true });
        }
        Role::P1 { .. } => {
            shared.fail(Cause::P1Failed);
            shared.outside.alert(Alert::P1Failed);
        }
        Role::Worker | Role::Monitor => shared.outside.alert(Alert::ThreadFailed { role }),
    }
}

pub(super) fn start_worker(shared: &Arc<Shared>, handlers: &Arc<[Registry; 2]>) -> Result<(), LiveError> {
    let post = Arc::new(Post::default());
    lock(&shared.threads.posts).push(Arc::clone(&post));
    let handlers = Arc::clone(handlers);
    spawn(shared, "qts-worker", Role::Worker, move |shared| workers::run(shared, &handlers, &post))
}

/// Stops everything; see [`super::LiveDispatcher::stop`].
pub(super) fn stop(shared: &Arc<Shared>) -> StopReport {
    let before = shared.state();
    if before == State::Closed {
        return StopReport::default();
    }
    shared.state.store(State::Draining as usize, Ordering::SeqCst);
    shared.low_wake.notify_all();
    let begin_ns = shared.now_ns();
    let waited = |limit_ms: u32| {
        shared.now_ns().saturating_sub(begin_ns) >= u64::from(limit_ms).saturating_mul(NS_PER_MS)
    };
    let is_running = before == State::Running;
    while is_running && shared.depths().first() != Some(&0) && !waited(shared.config.p0_drain_ms) {
        shared.gone.wait(millis(1), || false);
    }
    while is_running && lock(&shared.low).has_protected() && !waited(shared.config.p3_drain_ms) {
        shared.gone.wait(millis(1), || false);
    }
    shared.state.store(State::Closed as usize, Ordering::SeqCst);
    shared.p0.close();
    shared.p1.close();
    shared.low_wake.notify_all();
    let end_ns = shared.now_ns();
    while shared.alive.load(Ordering::SeqCst) > 0 {
        let patience_ns = u64::from(shared.config.p3_drain_ms).saturating_mul(NS_PER_MS);
        if shared.now_ns().saturating_sub(end_ns) >= patience_ns {
            break;
        }
        shared.low_wake.notify_all();
        shared.gone.wait(millis(10), || shared.alive.load(Ordering::SeqCst) == 0);
    }
    let protected = lock(&shared.low).take_protected();
    let lost = protected.iter().filter(|event| shared.keep(event) != PutResult::Spilled).count();
    let [p0_left, _, p2_discarded, p3_left] = shared.depths();
    let p3_discarded = p3_left.saturating_add(lost);
    lock(&shared.low).purge_p2();
    StopReport { p0_left, p2_discarded, p3_discarded, stuck_threads: shared.alive.load(Ordering::SeqCst) }
}

pub(super) fn beat(shared: &Shared, row: usize) {
    if let Some(heartbeat) = shared.heartbeats.get(row) {
        heartbeat.store(shared.now_ns(), Ordering::Relaxed);
    }
}

pub(super) fn delivery<'a>(header: &'a super::Header, payload: &'a [u8]) -> Delivery<'a> {
    Delivery {
        header,
        attempt: 1,
        merged_count: 0,
        sampled_weight: 1,
        scope: "",
        symbols: &[],
        can_drop: false,
        payload,
    }
}

pub(super) fn bury(shared: &Shared, header: &super::Header, payload: &[u8], failure: Failure) {
    lock(&shared.dead_letters).push(DeadLetter {
        header: *header,
        payload: payload.into(),
        handler: failure.handler,
        error: failure.error,
        attempts: failure.attempts,
    });
}
