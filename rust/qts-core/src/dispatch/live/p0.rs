//! The P0 thread: tries a failed event again in place, and goes on after a failure of its own.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::event::SlotEvent;
use super::figures::{Note, backlog};
use super::handlers::{Failure, Registry};
use super::holds::Cause;
use super::monitor::{Alert, Grade};
use super::threads::{FAILED_AGAIN_NS, NS_PER_MS, beat, bury, delivery};
use super::{SLOT_PAYLOAD_MAX, Shared, State, millis};
use crate::queue::BoundedConsumer;
use crate::sync::{Ordering, lock};

/// Longest pause before the thread begins again after failing time and again.
const PAUSE_MAX_MS: u32 = 1_000;

pub(super) fn run(
    shared: &Arc<Shared>,
    mut consumer: BoundedConsumer<SlotEvent>,
    handlers: &Registry,
    replay: Vec<SlotEvent>,
) {
    let mut line = Line {
        payload: Vec::with_capacity(SLOT_PAYLOAD_MAX),
        first: replay.into(),
        in_hand: None,
        backlog: backlog(),
    };
    let mut failed_ns: Option<u64> = None;
    let mut pause_ms: u32 = 0;
    while catch_unwind(AssertUnwindSafe(|| line.run(shared, &mut consumer, handlers))).is_err() {
        let now_ns = shared.now_ns();
        let again = failed_ns.is_some_and(|at_ns| now_ns.saturating_sub(at_ns) < FAILED_AGAIN_NS);
        failed_ns = Some(now_ns);
        shared.fail(Cause::P0Failed);
        shared.outside.alert(Alert::P0Failed { again });
        // Fills must go on being heard, also in a lockdown; a thread that cannot even begin must not take its core.
        pause_ms = if again { pause_ms.saturating_mul(2).clamp(1, PAUSE_MAX_MS) } else { 0 };
        if pause_ms > 0 {
            shared.gone.wait(millis(pause_ms), || shared.state() == State::Closed);
        }
    }
    if let Some(desk) = shared.desks.first() {
        desk.close(&mut line.backlog);
    }
}

struct Line {
    payload: Vec<u8>,
    /// What goes before the queue: the replay, then what found no room.
    first: VecDeque<SlotEvent>,
    /// The event that is being handled, and how often the thread has broken off over it.
    in_hand: Option<(SlotEvent, u8)>,
    backlog: Vec<Note>,
}

impl Line {
    fn run(&mut self, shared: &Shared, consumer: &mut BoundedConsumer<SlotEvent>, handlers: &Registry) {
        if let Some((event, breaks)) = self.in_hand.take() {
            self.again(shared, &event, breaks, handlers);
        }
        self.empty_first(shared, handlers);
        loop {
            beat(shared, 0);
            while let Some(event) = consumer.pop() {
                self.handle(shared, &event, 0, handlers);
            }
            self.take_overflow(shared);
            self.empty_first(shared, handlers);
            if let Some(desk) = shared.desks.first() {
                desk.settle(&mut self.backlog);
            }
            if shared.state() == State::Closed && consumer.is_empty() {
                return;
            }
            if !consumer.wait(millis(shared.config.p0_poll_ms)) && shared.state() == State::Closed {
                return;
            }
        }
    }

    fn empty_first(&mut self, shared: &Shared, handlers: &Registry) {
        while let Some(event) = self.first.pop_front() {
            self.handle(shared, &event, 0, handlers);
        }
    }

    /// The thread broke off over this event: once more, until its attempts are used up.
    fn again(&mut self, shared: &Shared, event: &SlotEvent, breaks: u8, handlers: &Registry) {
        let breaks = breaks.saturating_add(1);
        if breaks < shared.config.p0_max_attempts.max(1) {
            self.handle(shared, event, breaks, handlers);
            return;
        }
        self.payload.clear();
        event.payload_into(&mut self.payload);
        let error = "its thread broke off".to_owned();
        give_up(shared, event, &self.payload, Failure { handler: "p0".to_owned(), error, attempts: breaks });
        shared.done(event);
    }

    fn take_overflow(&mut self, shared: &Shared) {
        if shared.overflow_len.load(Ordering::Acquire) > 0 {
            let mut overflow = lock(&shared.overflow);
            self.first.extend(overflow.drain(..));
            shared.overflow_len.store(0, Ordering::Release);
        }
    }

    fn handle(&mut self, shared: &Shared, event: &SlotEvent, breaks: u8, handlers: &Registry) {
        let (event, _) = self.in_hand.insert((*event, breaks));
        let header = &event.header;
        self.payload.clear();
        event.payload_into(&mut self.payload);
        let t_start_ns = shared.now_ns();
        let delivery = delivery(header, &self.payload);
        let (wanted, failures) = handlers.handle(&delivery, shared.config.p0_max_attempts);
        let t_done_ns = shared.now_ns();
        let note = Note::new(header.kind, header.t_enqueue_ns, wanted, &failures).at(t_start_ns, t_done_ns);
        if let Some(desk) = shared.desks.first() {
            desk.note(&mut self.backlog, note);
        }
        for failure in failures {
            give_up(shared, event, &self.payload, failure);
        }
        shared.done(event);
        alert_if_late(shared, &note);
        self.in_hand = None;
    }
}

fn give_up(shared: &Shared, event: &SlotEvent, payload: &[u8], failure: Failure) {
    shared.fail(Cause::P0DeadLetter);
    bury(shared, &event.header, payload, failure);
    shared.outside.alert(Alert::P0DeadLetter { seq: event.header.seq });
}

fn alert_if_late(shared: &Shared, note: &Note) {
    let latency_ns = note.latency_ns();
    let limits = shared.config.p0_latency_ms;
    let above = |ms: u32| latency_ns > u64::from(ms).saturating_mul(NS_PER_MS);
    if note.t_enqueue_ns != 0 && above(limits.warning) {
        let grade = if above(limits.critical) { Grade::Critical } else { Grade::Warning };
        shared.outside.alert(Alert::Latency { grade, latency_ns });
    }
}
