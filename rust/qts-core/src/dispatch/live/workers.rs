//! The threads that share P2 and P3.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::event::HeapEvent;
use super::figures::Note;
use super::handlers::{Delivery, Failure, Registry};
use super::low::Taken;
use super::monitor::Alert;
use super::threads::bury;
use super::{Role, Shared, State, millis};
use crate::event::{EventPriority, EventType};
use crate::sync::{AtomicU64, Mutex, Ordering, lock, thread};

/// Pause of a worker that broke off, so that one that does so time and again does not take its core.
const PAUSE_MS: u32 = 10;
/// How often a worker may break off over one event that nobody may lose.
const MAX_BREAKS: u8 = 2;

/// One worker, as the monitor sees it.
#[derive(Debug, Default)]
pub(super) struct Post {
    /// Since when it has been handling a P3 event, monotonic nanoseconds; 0 = it has not.
    pub(super) p3_since_ns: AtomicU64,
    /// Set once the monitor has given it up: whoever comes back to it ends.
    pub(super) given_up: AtomicU64,
    /// What it has taken and not begun. Of P3 it goes back to the queue if the worker is given up.
    pub(super) batch: Mutex<VecDeque<HeapEvent>>,
}

impl Post {
    fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::SeqCst) != 0
    }
}

/// The batch that a worker is at.
#[derive(Default)]
struct Hand {
    level: Option<EventPriority>,
    event: Option<HeapEvent>,
    /// How often the worker broke off over this event.
    breaks: u8,
}

pub(super) fn run(shared: &Arc<Shared>, handlers: &[Registry; 2], post: &Post) {
    let mut hand = Hand::default();
    while catch_unwind(AssertUnwindSafe(|| work(shared, handlers, post, &mut hand))).is_err() {
        shared.outside.alert(Alert::ThreadFailed { role: Role::Worker });
        mend(shared);
        set_aside(shared, &mut hand);
        shared.gone.wait(millis(PAUSE_MS), || shared.state() == State::Closed);
    }
}

/// Replaces the queues of P2 and P3 if a thread has broken off in the midst of changing them.
pub(super) fn mend(shared: &Shared) {
    if !shared.low.is_poisoned() {
        return;
    }
    let lost = {
        let mut low = lock(&shared.low);
        shared.low.clear_poison();
        low.rebuild()
    };
    for (level, lost) in [EventPriority::P2Medium, EventPriority::P3Low].into_iter().zip(lost) {
        shared.outside.alert(Alert::Rebuilt { level, lost });
    }
}

/// What becomes of the event over which a worker broke off: what may not be lost is tried once more.
fn set_aside(shared: &Shared, hand: &mut Hand) {
    let Some(event) = &hand.event else { return };
    hand.breaks = hand.breaks.saturating_add(1);
    let kind = event.header.kind;
    let is_protected = kind.priority() == EventPriority::P3Low && !event.can_drop;
    if is_protected && hand.breaks < MAX_BREAKS {
        return;
    }
    if is_protected || kind == EventType::SignalGenerated {
        let error = "its thread broke off".to_owned();
        let failure = Failure { handler: "worker".to_owned(), error, attempts: hand.breaks };
        bury(shared, &event.header, &event.payload, failure);
    }
    hand.event = None;
    hand.breaks = 0;
}

fn work(shared: &Shared, [p2, p3]: &[Registry; 2], post: &Post, hand: &mut Hand) {
    loop {
        if hand.level.is_none() {
            let Some(taken) = take(shared, post) else { return };
            hand.level = Some(taken.level);
            *lock(&post.batch) = taken.events.into();
        }
        let is_p3 = hand.level == Some(EventPriority::P3Low);
        loop {
            if hand.event.is_none() {
                hand.event = lock(&post.batch).pop_front();
            }
            let Some(event) = &hand.event else { break };
            if !shared.p0.is_empty() {
                thread::yield_now();
            }
            if is_p3 {
                post.p3_since_ns.store(shared.now_ns().max(1), Ordering::SeqCst);
            }
            handle(shared, event, if is_p3 { p3 } else { p2 });
            *hand = Hand { level: hand.level, ..Hand::default() };
            if post.is_given_up() {
                return; // it has been replaced, and its place in P3 and its batch given back
            }
        }
        hand.level = None;
        if is_p3 {
            post.p3_since_ns.store(0, Ordering::SeqCst);
            lock(&shared.low).p3_done();
            shared.low_wake.notify_one();
        }
    }
}

/// Waits for the next batch; None once there will be none.
fn take(shared: &Shared, post: &Post) -> Option<Taken> {
    let mut low = lock(&shared.low);
    loop {
        if shared.state() == State::Closed || post.is_given_up() {
            return None;
        }
        if let Some(taken) = low.take(&shared.limits(shared.now_ns())) {
            return Some(taken);
        }
        // A level that changes or a worker that comes back wakes it too.
        let patience = millis(shared.config.p2_batch.timeout_ms.max(1));
        low = crate::sync::wait_timeout(&shared.low_wake, low, patience);
    }
}

fn handle(shared: &Shared, event: &HeapEvent, handlers: &Registry) {
    let header = &event.header;
    let t_start_ns = shared.now_ns();
    let delivery = Delivery {
        header,
        attempt: 1,
        merged_count: event.merged_count,
        sampled_weight: event.sampled_weight,
        scope: &event.scope,
        symbols: &event.symbols,
        can_drop: event.can_drop,
        payload: &event.payload,
    };
    let (wanted, failures) = handlers.handle(&delivery, 1);
    let note = Note::new(header.kind, header.t_enqueue_ns, wanted, &failures).at(t_start_ns, shared.now_ns());
    lock(&shared.low).figures.add_note(&note);
    if header.kind == EventType::SignalGenerated {
        for failure in failures {
            bury(shared, header, &event.payload, failure);
        }
    }
}
