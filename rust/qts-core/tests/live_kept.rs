//! Spec 17, §5.5: protected events of P3 for which there is no room are kept elsewhere, and every one is accounted for.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]
#![allow(clippy::unwrap_used, reason = "a value that is not there fails the test")]
#![allow(clippy::disallowed_methods, reason = "real threads in real time")]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use qts_core::clock::Clock;
use qts_core::dispatch::live::{
    Alert, Cause, Delivery, Handler, Header, HeapEvent, LiveConfig, LiveDispatcher, Outside, SlotEvent,
};
use qts_core::event::{EventPriority, EventType, PutResult, Source};
use qts_core::queue::QueueCounters;

const PATIENCE: Duration = Duration::from_secs(20);
/// Events that the side queue of P3 holds.
const ROOM: u64 = 4_096;
const P3: EventPriority = EventPriority::P3Low;

/// What stands around the dispatcher: with a journal, without one, or with one that fails.
#[derive(Clone)]
struct World {
    begin: Instant,
    journal: Result<bool, String>,
    kept: Arc<Mutex<Vec<u64>>>,
}

impl Clock for World {
    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_nanos()).unwrap() + 1
    }
}

impl Outside for World {
    fn alert(&self, _: Alert) {}

    fn keep(&self, event: &HeapEvent) -> Result<bool, String> {
        if self.journal == Ok(true) {
            self.kept.lock().unwrap().push(number(&event.payload));
        }
        self.journal.clone()
    }
}

impl World {
    fn new(journal: Result<bool, String>) -> Self {
        Self { begin: Instant::now(), journal, kept: Arc::default() }
    }
}

/// Handles nothing until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
    entered: AtomicUsize,
    handled: Mutex<Vec<u64>>,
}

impl Gate {
    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl Handler for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn handle(&self, event: &Delivery<'_>) -> Result<(), String> {
        if event.header.kind.priority() != P3 {
            return Ok(());
        }
        self.entered.fetch_add(1, Ordering::SeqCst);
        let guard = self.is_open.lock().unwrap();
        drop(self.opened.wait_timeout_while(guard, PATIENCE, |is_open| !*is_open).unwrap());
        self.handled.lock().unwrap().push(number(event.payload));
        Ok(())
    }
}

fn number(payload: &[u8]) -> u64 {
    u64::from_le_bytes(payload.try_into().unwrap())
}

fn protected(number: u64) -> HeapEvent {
    let header = Header::new(EventType::NotificationSend, Source::System);
    HeapEvent::new(header, "", &number.to_le_bytes(), false).unwrap()
}

fn until(is_so: impl Fn() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < PATIENCE, "it does not come about");
        std::thread::yield_now();
    }
}

fn start(world: &World, gate: &Arc<Gate>, config: LiveConfig) -> LiveDispatcher {
    let live = LiveDispatcher::new(config, Box::new(world.clone()));
    for level in [EventPriority::P0Critical, P3] {
        live.register(level, Arc::clone(gate) as _).unwrap();
    }
    live.start(Vec::<SlotEvent>::new()).unwrap();
    live
}

/// Events one by one, so that each of the two workers holds one; then all the room there is, and `more`.
fn flood(live: &LiveDispatcher, gate: &Gate, more: u64) -> Vec<PutResult> {
    for at in 0..2 {
        assert_eq!(live.put(protected(at)), PutResult::Accepted);
        until(|| gate.entered.load(Ordering::SeqCst) == usize::try_from(at + 1).unwrap());
    }
    (2..2 + ROOM + more).map(|at| live.put(protected(at))).collect()
}

fn balance(counters: &QueueCounters, live: &LiveDispatcher) {
    let [.., waiting] = live.depths();
    let waiting = u64::try_from(waiting).unwrap();
    assert_eq!(counters.admitted, counters.handled + counters.dropped + waiting, "{counters:?}");
}

#[test]
fn what_has_no_room_is_kept_and_the_rest_is_handled() {
    let (world, gate) = (World::new(Ok(true)), Arc::<Gate>::default());
    let live = start(&world, &gate, LiveConfig::default());
    let results = flood(&live, &gate, 10);
    let (accepted, spilled) = results.split_at(usize::try_from(ROOM).unwrap());
    assert!(accepted.iter().all(|result| *result == PutResult::Accepted));
    assert_eq!(spilled, [PutResult::Spilled; 10]);
    let [.., counters] = live.counters();
    assert_eq!((counters.admitted, counters.spilled, counters.refused), (ROOM + 2, 10, 0));
    balance(&counters, &live);
    gate.open();
    until(|| gate.handled.lock().unwrap().len() == usize::try_from(ROOM + 2).unwrap());
    assert_eq!(*world.kept.lock().unwrap(), (ROOM + 2..ROOM + 12).collect::<Vec<_>>());
    assert!(!live.holds().has(Cause::Journal));
    assert_eq!(live.stop().p3_discarded, 0);
}

#[test]
fn without_a_journal_or_with_one_that_fails_the_producer_is_told() {
    for journal in [Ok(false), Err("disk".to_owned())] {
        let (world, gate) = (World::new(journal.clone()), Arc::<Gate>::default());
        let live = start(&world, &gate, LiveConfig::default());
        let results = flood(&live, &gate, 3);
        assert_eq!(results.iter().filter(|result| **result == PutResult::RefusedFull).count(), 3);
        let [.., counters] = live.counters();
        assert_eq!((counters.spilled, counters.refused), (0, 3));
        balance(&counters, &live);
        assert_eq!(live.holds().has(Cause::Journal), journal.is_err(), "a journal that fails blocks entries");
        gate.open();
        live.stop();
    }
}

#[test]
fn what_a_stop_leaves_is_kept() {
    for is_kept in [true, false] {
        let (world, gate) = (World::new(Ok(is_kept)), Arc::<Gate>::default());
        let live = start(&world, &gate, LiveConfig { p3_drain_ms: 20, ..LiveConfig::default() });
        flood(&live, &gate, 0);
        let report = live.stop();
        let [.., counters] = live.counters();
        let kept = world.kept.lock().unwrap().len();
        let room = usize::try_from(ROOM).unwrap();
        assert_eq!((kept, report.p3_discarded), if is_kept { (room, 0) } else { (0, room) });
        assert_eq!(counters.spilled, u64::try_from(kept).unwrap());
        balance(&counters, &live);
        gate.open();
    }
}

/// A handler that does not come back is given up and its batch put back; by then others have taken the room.
#[test]
fn what_a_stuck_worker_held_is_kept_if_its_room_is_taken() {
    let (world, gate) = (World::new(Ok(true)), Arc::<Gate>::default());
    let config = LiveConfig {
        p3_handler_timeout_ms: 100,
        check_interval_ms: 5,
        p3_max_workers: 1,
        ..LiveConfig::default()
    };
    let live = start(&world, &gate, config);
    let is_over = AtomicBool::new(false);
    let total = std::thread::scope(|scope| {
        let producer = scope.spawn(|| {
            let mut total = 0;
            while !is_over.load(Ordering::SeqCst) {
                live.put(protected(total));
                total += 1;
                std::thread::yield_now();
            }
            total
        });
        // Each of the first three that are given up has a batch behind it.
        until(|| gate.entered.load(Ordering::SeqCst) >= 3);
        is_over.store(true, Ordering::SeqCst);
        producer.join().unwrap()
    });
    gate.open();
    let accounted = || gate.handled.lock().unwrap().len() + world.kept.lock().unwrap().len();
    until(|| accounted() == usize::try_from(total).unwrap());
    let [.., counters] = live.counters();
    balance(&counters, &live);
    live.stop();
    let mut all = gate.handled.lock().unwrap().clone();
    all.extend(world.kept.lock().unwrap().iter());
    all.sort_unstable();
    assert_eq!(all, (0..total).collect::<Vec<_>>(), "each once");
}
