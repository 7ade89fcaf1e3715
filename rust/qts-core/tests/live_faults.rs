//! Spec 17, T16: what the live dispatcher does when its own threads, queues, memory or journal fail. The faults come in
//! through the ports: a clock that panics on a thread, an allocator that refuses, a journal that does not write.

#![allow(unsafe_code, reason = "an allocator that refuses")]
#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a value that is not there fails the test")]
#![allow(clippy::panic, reason = "the faults are panics")]
#![allow(clippy::disallowed_methods, reason = "real threads in real time")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use qts_core::clock::Clock;
use qts_core::dispatch::live::{
    Alert, Cause, Delivery, Grade, Handler, Header, HeapEvent, LiveConfig, LiveDispatcher, Outside, Role,
    SLOT_WORDS, SlotEvent,
};
use qts_core::event::{DegradationLevel, EventPriority, EventType, PutResult, Source};
use qts_core::queue::ProducerKind;

const PATIENCE: Duration = Duration::from_secs(20);
const MS: u64 = 1_000_000;
const P0: EventPriority = EventPriority::P0Critical;
const P1: EventPriority = EventPriority::P1High;
const P2: EventPriority = EventPriority::P2Medium;
const P3: EventPriority = EventPriority::P3Low;

/// Bytes of an allocation that is refused; no other has exactly this size.
static REFUSED: AtomicUsize = AtomicUsize::new(usize::MAX);

struct Refusing;

// SAFETY: it refuses, as an allocator may, or leaves the work to the system's allocator.
unsafe impl GlobalAlloc for Refusing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == REFUSED.load(Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static REFUSING: Refusing = Refusing;

/// Real time that can be moved on, alerts, and faults to come.
#[derive(Clone)]
struct World(Arc<Inner>);

struct Inner {
    begin: Instant,
    skipped_ns: AtomicU64,
    alerts: Mutex<Vec<Alert>>,
    /// Thread on which the clock breaks, and after how many more looks.
    trip: Mutex<Option<(&'static str, u32)>>,
    journal_breaks: AtomicBool,
    marks_break: AtomicBool,
    /// Its number breaks the thread that marks it as done.
    cursed_seq: AtomicU64,
    done: Mutex<Vec<u64>>,
    waiting: [AtomicUsize; 4],
    looks: AtomicU64,
}

impl Clock for World {
    fn monotonic_ns(&self) -> u64 {
        let mut trip = self.0.trip.lock().unwrap();
        if let Some((name, looks)) = *trip
            && thread::current().name() == Some(name)
        {
            *trip = looks.checked_sub(1).map(|looks| (name, looks));
            if looks == 0 {
                drop(trip);
                panic!("the clock of {name} breaks");
            }
        }
        let real_ns = u64::try_from(self.0.begin.elapsed().as_nanos()).unwrap();
        real_ns + self.0.skipped_ns.load(Ordering::SeqCst) + 1
    }
}

impl Outside for World {
    fn alert(&self, alert: Alert) {
        self.0.alerts.lock().unwrap().push(alert);
    }

    fn journal(&self, _: &SlotEvent) -> Result<Option<u64>, String> {
        if self.0.journal_breaks.load(Ordering::SeqCst) { Err("disk".to_owned()) } else { Ok(None) }
    }

    fn journal_done(&self, seq: u64) -> Result<(), String> {
        assert_ne!(seq, self.0.cursed_seq.load(Ordering::SeqCst), "the journal breaks");
        if self.0.marks_break.load(Ordering::SeqCst) {
            return Err("disk".to_owned());
        }
        self.0.done.lock().unwrap().push(seq);
        Ok(())
    }

    fn waiting(&self, level: EventPriority) -> usize {
        self.0.looks.fetch_add(1, Ordering::SeqCst);
        self.0.waiting[level as usize].load(Ordering::SeqCst)
    }
}

impl World {
    fn new() -> Self {
        Self(Arc::new(Inner {
            begin: Instant::now(),
            skipped_ns: AtomicU64::new(0),
            alerts: Mutex::default(),
            trip: Mutex::default(),
            journal_breaks: AtomicBool::new(false),
            marks_break: AtomicBool::new(false),
            cursed_seq: AtomicU64::new(u64::MAX),
            done: Mutex::default(),
            waiting: [0; 4].map(AtomicUsize::new),
            looks: AtomicU64::new(0),
        }))
    }

    fn break_clock(&self, thread: &'static str, after_looks: u32) {
        *self.0.trip.lock().unwrap() = Some((thread, after_looks));
    }

    fn skip(&self, ns: u64) {
        self.0.skipped_ns.fetch_add(ns, Ordering::SeqCst);
    }

    fn count(&self, is_it: impl Fn(&Alert) -> bool) -> usize {
        self.0.alerts.lock().unwrap().iter().filter(|alert| is_it(alert)).count()
    }

    /// Waits until there are so many alerts of that kind; the newest.
    fn hear(&self, times: usize, is_it: impl Fn(&Alert) -> bool) -> Alert {
        until(|| {
            let alerts = self.0.alerts.lock().unwrap();
            let found: Vec<_> = alerts.iter().copied().filter(|alert| is_it(alert)).collect();
            (found.len() >= times).then(|| *found.last().unwrap())
        })
    }

    /// Waits until the monitor has looked at everything twice more: what it saw before has been dealt with.
    fn let_it_look(&self) {
        let before = self.0.looks.load(Ordering::SeqCst);
        until(|| (self.0.looks.load(Ordering::SeqCst) >= before + 8).then_some(()));
    }
}

fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(begin.elapsed() < PATIENCE, "nothing came");
        thread::yield_now();
    }
}

type Act = Box<dyn Fn(&Delivery<'_>) -> Result<(), String> + Send + Sync>;
type Told = (EventType, u64, u64);

struct Does(Act);

impl Handler for Does {
    fn name(&self) -> &'static str {
        "test"
    }

    fn handle(&self, event: &Delivery<'_>) -> Result<(), String> {
        (self.0)(event)
    }
}

fn does(act: impl Fn(&Delivery<'_>) + Send + Sync + 'static) -> Arc<dyn Handler> {
    Arc::new(Does(Box::new(move |event| {
        act(event);
        Ok(())
    })))
}

fn number(event: &Delivery<'_>) -> u64 {
    event.payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// A handler that tells type, payload and number of what it handles, then does something.
fn tells(act: impl Fn(&Delivery<'_>) + Send + Sync + 'static) -> (Arc<dyn Handler>, Receiver<Told>) {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let handler = does(move |event| {
        sender.lock().unwrap().send((event.header.kind, number(event), event.header.seq)).unwrap();
        act(event);
    });
    (handler, receiver)
}

fn gate() -> (Receiver<()>, SyncSender<()>, Mutex<Receiver<()>>, SyncSender<()>) {
    let (began, has_begun) = sync_channel(100);
    let (go, may_go) = sync_channel(100);
    (has_begun, go, Mutex::new(may_go), began)
}

fn slot(kind: EventType, shard: u16, number: u64) -> SlotEvent {
    SlotEvent::new(Header::new(kind, Source::System), shard, &number.to_le_bytes()).unwrap()
}

fn heap(kind: EventType, scope: &str, number: u64) -> HeapEvent {
    let header = Header::new(kind, Source::System);
    HeapEvent::new(header, scope, &number.to_le_bytes(), kind.flags().can_drop).unwrap()
}

fn protected(number: u64) -> HeapEvent {
    HeapEvent { can_drop: false, ..heap(EventType::NotificationSend, "", number) }
}

fn start(
    mut config: LiveConfig,
    world: &World,
    handlers: Vec<(EventPriority, Arc<dyn Handler>)>,
) -> LiveDispatcher {
    config.check_interval_ms = 2;
    let live = LiveDispatcher::new(config, Box::new(world.clone()));
    for level in EventPriority::ALL {
        if handlers.iter().all(|(of, _)| *of != level) {
            live.register(level, does(|_| ())).unwrap();
        }
    }
    for (level, handler) in handlers {
        live.register(level, handler).unwrap();
    }
    live.start(Vec::new()).unwrap();
    live
}

fn heard(told: &Receiver<Told>) -> u64 {
    told.recv_timeout(PATIENCE).unwrap().1
}

/// FS096: the thread goes on with the event that it was at; the second time within a minute asks for lockdown.
#[test]
fn a_p0_thread_that_breaks_off_suspends_trading_and_loses_nothing() {
    let world = World::new();
    let breaks = world.clone();
    let tries = AtomicU64::new(0);
    let (tell, told) = tells(move |event| {
        if number(event) == 2 && tries.fetch_add(1, Ordering::SeqCst) < 2 {
            breaks.break_clock("qts-p0", 0); // its next look, right after this handler
        }
    });
    let live = start(LiveConfig::default(), &world, vec![(P0, tell)]);
    let holds = live.holds();
    let mut input = live.p0_input(ProducerKind::Protected).unwrap();
    assert!(!holds.entries_blocked());
    for at in 1..=4 {
        input.put(slot(EventType::FillPartial, 0, at), PATIENCE);
    }
    let seen: Vec<_> = (0..6).map(|_| heard(&told)).collect();
    assert_eq!(seen, [1, 2, 2, 2, 3, 4], "in its place and in order");
    let failed = |alert: &Alert| matches!(alert, Alert::P0Failed { .. });
    assert_eq!(world.hear(2, failed), Alert::P0Failed { again: true });
    assert_eq!(world.count(|alert| *alert == Alert::P0Failed { again: false }), 1);
    assert!(holds.has(Cause::P0Failed) && holds.entries_blocked() && holds.decisions_suspended());
    until(|| (live.effective_level() == DegradationLevel::P2P3Paused).then_some(()));
    assert_eq!(live.put(heap(EventType::EtedaCycleStart, "", 0)), PutResult::RefusedPaused);
    until(|| (world.0.done.lock().unwrap().len() == 4).then_some(()));

    assert!(live.release(Cause::P0Failed));
    assert!(!holds.entries_blocked());
    until(|| (live.effective_level() == DegradationLevel::Normal).then_some(()));
    world.skip(60_000 * MS);
    world.break_clock("qts-p0", 0);
    assert_eq!(world.hear(3, failed), Alert::P0Failed { again: false }, "a minute later it is a new failure");
    live.stop();
}

/// FS098 for an event over which the thread itself breaks off time and again.
#[test]
fn an_event_that_breaks_the_p0_thread_is_given_up_and_the_next_one_handled() {
    let world = World::new();
    world.0.cursed_seq.store(1, Ordering::SeqCst);
    let (tell, told) = tells(|_| ());
    let live = start(LiveConfig::default(), &world, vec![(P0, tell)]);
    let mut input = live.p0_input(ProducerKind::Protected).unwrap();
    for at in 1..=2 {
        input.put(slot(EventType::FillPartial, 0, at), PATIENCE);
    }
    let seen: Vec<_> = (0..4).map(|_| heard(&told)).collect();
    assert_eq!(seen, [1, 1, 1, 2], "three attempts");
    world.hear(1, |alert| *alert == Alert::P0DeadLetter { seq: 1 });
    let letters = live.dead_letters();
    let [letter] = &letters[..] else { panic!("{letters:?}") };
    assert_eq!((letter.header.seq, letter.attempts, letter.error.as_str()), (1, 3, "its thread broke off"));
    assert!(live.holds().has(Cause::P0DeadLetter));
    live.stop();
}

/// A failed P1 thread gets a new queue; when it fails again at once P1 is given up: FS097.
#[test]
fn p1_is_rebuilt_once_and_given_up_when_that_does_not_help() {
    let world = World::new();
    let (tell, told) = tells(|_| ());
    let live = start(LiveConfig::default(), &world, vec![(P1, tell)]);
    let (mut first, mut second) = (live.p1_input().unwrap(), live.p1_input().unwrap());
    first.put(slot(EventType::PriceTick, 0, 1));
    second.put(slot(EventType::PriceTick, 1, 1));
    let before: Vec<_> = (0..2).map(|_| told.recv_timeout(PATIENCE).unwrap()).collect();
    world.break_clock("qts-p1-0", 0);
    world.hear(1, |alert| matches!(alert, Alert::Rebuilt { level: P1, .. }));
    assert_eq!(world.count(|alert| *alert == Alert::ThreadFailed { role: Role::P1 { shard: 0 } }), 1);
    assert!(!live.holds().entries_blocked(), "a warning");
    for at in 2..=100 {
        assert_eq!(first.put(slot(EventType::PriceTick, 0, at)), PutResult::Accepted);
        assert_eq!(second.put(slot(EventType::VolumeUpdate, 1, at)), PutResult::Accepted);
    }
    let after: Vec<_> = (0..198).map(|_| told.recv_timeout(PATIENCE).unwrap()).collect();
    for kind in [EventType::PriceTick, EventType::VolumeUpdate] {
        let of_kind: Vec<_> = after.iter().filter(|told| told.0 == kind).map(|told| told.1).collect();
        assert_eq!(of_kind, (2..=100).collect::<Vec<_>>(), "both shards run, each in order");
    }
    assert!(after.iter().all(|new| before.iter().all(|old| new.2 > old.2)), "numbers go on rising");

    world.break_clock("qts-p1-1", 0);
    world.hear(1, |alert| *alert == Alert::P1Failed);
    let holds = live.holds();
    assert!(holds.has(Cause::P1Failed) && holds.decisions_suspended());
    until(|| (live.effective_level() == DegradationLevel::P2P3Paused).then_some(()));
    assert_eq!(first.put(slot(EventType::PriceTick, 0, 101)), PutResult::Closed);
    let [_, counters, ..] = live.counters();
    assert_eq!(counters.admitted, counters.handled + counters.dropped, "{counters:?}");

    assert!(live.release(Cause::P1Failed));
    assert_eq!(first.put(slot(EventType::PriceTick, 0, 102)), PutResult::Accepted);
    assert_eq!(heard(&told), 102);
    assert!(!live.holds().entries_blocked());
    assert!(
        live.p1_input().is_some() && live.p1_input().is_some() && live.p1_input().is_none(),
        "four in all"
    );
    live.stop();
}

/// FS097 for want of memory.
#[test]
fn p1_stays_down_while_there_is_no_memory_for_it() {
    let world = World::new();
    let (tell, told) = tells(|_| ());
    let config = LiveConfig { p1_capacity: 5_000, p1_shards: 1, ..LiveConfig::default() };
    let live = start(config, &world, vec![(P1, tell)]);
    let mut input = live.p1_input().unwrap();
    REFUSED.store(5_000 * (SLOT_WORDS * 8).next_multiple_of(64), Ordering::SeqCst);
    world.break_clock("qts-p1-0", 0);
    world.hear(1, |alert| *alert == Alert::P1Failed);
    assert_eq!(world.count(|alert| matches!(alert, Alert::Rebuilt { .. })), 0);
    assert!(!live.release(Cause::P1Failed), "the memory is still refused");
    assert!(live.holds().has(Cause::P1Failed));
    assert_eq!(input.put(slot(EventType::PriceTick, 0, 1)), PutResult::Closed);
    REFUSED.store(usize::MAX, Ordering::SeqCst);
    assert!(live.release(Cause::P1Failed));
    assert_eq!(input.put(slot(EventType::PriceTick, 0, 2)), PutResult::Accepted);
    assert_eq!(heard(&told), 2);
    live.stop();
}

/// A worker that breaks off in the midst of the queues: they are rebuilt, what P3 protects is kept.
#[test]
fn p2_and_p3_are_rebuilt_with_what_is_protected() {
    let world = World::new();
    let (has_begun, go, may_go, began) = gate();
    let breaks = world.clone();
    let blocks = does(move |event| {
        if event.scope == "first" {
            began.send(()).unwrap();
            may_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
            breaks.break_clock("qts-worker", 1); // not the look after this handler, but the next, with the queues locked
        }
    });
    let (tell, told) = tells(|_| ());
    let config = LiveConfig { workers: 1, ..LiveConfig::default() };
    let live = start(config, &world, vec![(P2, blocks), (P3, tell)]);
    live.put(heap(EventType::RiskEvaluate, "first", 0));
    has_begun.recv_timeout(PATIENCE).unwrap();
    for at in 0..3 {
        live.put(heap(EventType::MetricRecord, "", at));
        live.put(heap(EventType::RiskEvaluate, &format!("lost {at}"), at));
    }
    live.put(heap(EventType::SignalGenerated, "signal", 7));
    live.put(protected(8));
    live.put(protected(9));
    go.send(()).unwrap();
    assert_eq!((heard(&told), heard(&told)), (8, 9));
    let rebuilt = |alert: &Alert| matches!(alert, Alert::Rebuilt { .. });
    assert_eq!(world.hear(2, rebuilt), Alert::Rebuilt { level: P3, lost: 3 });
    assert_eq!(world.count(|alert| *alert == Alert::Rebuilt { level: P2, lost: 4 }), 1);
    assert_eq!(world.count(|alert| *alert == Alert::ThreadFailed { role: Role::Worker }), 1);
    assert_eq!(live.take_lost_signals().len(), 1, "the audit trail of what was not acted on");
    live.put(heap(EventType::MetricRecord, "", 10));
    assert_eq!(heard(&told), 10, "it goes on");
    let report = live.stop();
    assert_eq!((report.p2_discarded, report.p3_discarded, report.stuck_threads), (0, 0, 0));
    let [.., p2, p3] = live.counters();
    assert_eq!((p2.admitted, p2.handled, p2.dropped), (5, 1, 4));
    assert_eq!((p3.admitted, p3.handled, p3.dropped), (6, 3, 3));
}

/// A worker that breaks off over an event: the rest of its batch is handled, and what is protected is tried again.
#[test]
fn a_worker_that_breaks_off_goes_on_with_its_batch() {
    let world = World::new();
    let breaks = world.clone();
    let (has_begun, go, may_go, began) = gate();
    let (tell, told) = tells(move |event| match number(event) {
        0 => {
            began.send(()).unwrap();
            may_go.lock().unwrap().recv_timeout(PATIENCE).unwrap();
        }
        2 | 3 => breaks.break_clock("qts-worker", 0),
        _ => {}
    });
    let config = LiveConfig { workers: 1, ..LiveConfig::default() };
    let live = start(config, &world, vec![(P3, tell)]);
    live.put(heap(EventType::MetricRecord, "", 0));
    has_begun.recv_timeout(PATIENCE).unwrap();
    for at in [1, 2, 4] {
        live.put(heap(EventType::MetricRecord, "", at));
    }
    live.put(protected(3));
    go.send(()).unwrap();
    let mut seen: Vec<_> = (0..6).map(|_| heard(&told)).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 3, 4]);
    world.hear(3, |alert| *alert == Alert::ThreadFailed { role: Role::Worker });
    let letters = until(|| Some(live.dead_letters()).filter(|letters| !letters.is_empty()));
    assert_eq!(letters.iter().map(|letter| letter.attempts).collect::<Vec<_>>(), [2], "{letters:?}");
    assert_eq!(world.count(|alert| matches!(alert, Alert::Rebuilt { .. })), 0, "the queues were not in it");
    for at in 5..105 {
        live.put(heap(EventType::MetricRecord, "", at));
    }
    for at in 5..105 {
        assert_eq!(heard(&told), at, "its place in P3 is free again");
    }
    live.stop();
}

/// What stands behind a P3 handler that does not come back goes to another worker.
#[test]
fn the_batch_of_a_stuck_p3_handler_is_given_to_its_successor() {
    let world = World::new();
    let (has_begun, go, may_go, began) = gate();
    let (tell, told) = tells(move |event| {
        if event.header.kind == EventType::ReportGenerate {
            began.send(()).unwrap();
            let _ = may_go.lock().unwrap().recv_timeout(PATIENCE);
        }
    });
    let config =
        LiveConfig { workers: 2, p3_max_workers: 1, p3_handler_timeout_ms: 20, ..LiveConfig::default() };
    let live = LiveDispatcher::new(LiveConfig { check_interval_ms: 2, ..config }, Box::new(world.clone()));
    for level in [P0, P1, P2] {
        live.register(level, does(|_| ())).unwrap();
    }
    live.register(P3, tell).unwrap();
    live.start(Vec::new()).unwrap();
    live.set_slot(qts_core::dispatch::Slot::Operator, DegradationLevel::P3Paused);
    live.put(heap(EventType::ReportGenerate, "", 1));
    for at in 2..5 {
        live.put(heap(EventType::MetricRecord, "", at)); // behind the report: batches are grouped by type
    }
    live.set_slot(qts_core::dispatch::Slot::Operator, DegradationLevel::Normal);
    has_begun.recv_timeout(PATIENCE).unwrap();
    let seen: Vec<_> = (0..4).map(|_| heard(&told)).collect();
    assert_eq!(seen, [1, 2, 3, 4]);
    world.hear(1, |alert| *alert == Alert::P3Stuck { stuck: 1 });
    go.send(()).unwrap();
    until(|| (live.counters()[3].handled == 4).then_some(()));
    live.stop();
    let [.., p3] = live.counters();
    assert_eq!((p3.admitted, p3.handled, p3.dropped), (4, 4, 0), "counted once");
    assert_eq!(world.count(|alert| *alert == Alert::P3Stuck { stuck: 1 }), 1, "told once");
}

#[test]
fn a_monitor_that_breaks_off_goes_on_watching() {
    let world = World::new();
    let live = start(LiveConfig::default(), &world, vec![]);
    world.break_clock("qts-monitor", 0);
    world.hear(1, |alert| *alert == Alert::ThreadFailed { role: Role::Monitor });
    world.0.waiting[2].store(951, Ordering::SeqCst);
    world.hear(1, |alert| matches!(alert, Alert::Depth { level: P2, .. }));
    live.stop();
}

/// T15 and §8.1 for events that have left their queue and wait for Python.
#[test]
fn what_waits_for_python_counts_as_depth_and_as_pressure() {
    let world = World::new();
    let live = start(LiveConfig::default(), &world, vec![]);
    let limits = [(0, 50, 80), (1, 7_000, 9_000), (2, 800, 950), (3, 40_000, 47_500)];
    let depth_alerts = || world.count(|alert| matches!(alert, Alert::Depth { .. }));
    for (at, warning, critical) in limits {
        let level = EventPriority::ALL[at];
        let before = depth_alerts();
        let waits = |depth: usize| world.0.waiting[at].store(depth, Ordering::SeqCst);
        waits(warning);
        world.let_it_look();
        assert_eq!(depth_alerts(), before, "{level:?}: as deep as allowed");
        for (depth, grade) in [(warning + 1, Grade::Warning), (critical + 1, Grade::Critical)] {
            waits(depth);
            world.hear(1, |alert| *alert == Alert::Depth { level, grade, depth });
        }
        assert_eq!(depth_alerts(), before + 2, "{level:?}");
        waits(0);
    }
    assert_eq!(live.depths(), [0; 4], "nothing waits in the queues themselves");
    world.0.waiting[1].store(9_001, Ordering::SeqCst);
    until(|| (live.effective_level() == DegradationLevel::P3Paused).then_some(()));
    live.stop();
}

/// FS063: the fill is booked all the same, and no new position is opened.
#[test]
fn a_p0_event_that_the_journal_does_not_take_is_handled_and_blocks_entries() {
    let world = World::new();
    let (tell, told) = tells(|_| ());
    let live = start(LiveConfig::default(), &world, vec![(P0, tell)]);
    let mut input = live.p0_input(ProducerKind::Protected).unwrap();
    let mut put = |at| input.put(slot(EventType::FillPartial, 0, at), PATIENCE);
    put(1);
    assert_eq!(told.recv_timeout(PATIENCE).unwrap().2, 1);
    world.0.journal_breaks.store(true, Ordering::SeqCst);
    assert_eq!(put(2), PutResult::Accepted);
    assert!(live.holds().has(Cause::Journal), "before anybody has handled anything");
    assert_eq!(put(3), PutResult::Accepted);
    for at in 2..=3 {
        let (_, number, seq) = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!((number, seq), (at, 0), "it has no number in the journal");
    }
    assert!(!live.holds().decisions_suspended(), "protective exits go on");
    world.0.journal_breaks.store(false, Ordering::SeqCst);
    assert!(live.release(Cause::Journal) && !live.holds().entries_blocked());
    put(4);
    assert_eq!(heard(&told), 4);
    live.stop();
    assert_eq!(world.count(|alert| *alert == Alert::JournalFailed), 1, "told once until it is released");
    assert_eq!(live.journal_failures(), 2);
    assert_eq!(*world.0.done.lock().unwrap(), [1, 2], "only what the journal knows is marked");
    assert_eq!(put(5), PutResult::Closed);
}

/// FS095 blocks entries from the very put that finds P0 full, until there has been room for a while.
#[test]
fn a_full_p0_blocks_entries_until_it_has_room() {
    let world = World::new();
    let (has_begun, go, may_go, began) = gate();
    let blocks = does(move |_| {
        let _ = began.send(());
        let _ = may_go.lock().unwrap().recv_timeout(PATIENCE);
    });
    let config = LiveConfig { p0_capacity: 16, recover_ms: 1_000, ..LiveConfig::default() };
    let live = start(config, &world, vec![(P0, blocks)]);
    let holds = live.holds();
    let mut input = live.p0_input(ProducerKind::Protected).unwrap();
    let mut put = |at| input.put(slot(EventType::FillPartial, 0, at), PATIENCE);
    put(0);
    has_begun.recv_timeout(PATIENCE).unwrap();
    for at in 1..=16 {
        assert_eq!(put(at), PutResult::Accepted);
        assert!(!holds.entries_blocked());
    }
    assert_eq!(put(17), PutResult::Spilled);
    assert!(holds.has(Cause::P0Full), "at once");
    world.hear(1, |alert| matches!(alert, Alert::P0Full { .. }));
    drop(go);
    until(|| (live.depths()[0] == 0).then_some(()));
    world.let_it_look();
    assert!(holds.has(Cause::P0Full), "not before it has had room for a second");
    world.skip(1_000 * MS);
    world.hear(1, |alert| *alert == Alert::P0Relieved);
    until(|| (!holds.entries_blocked()).then_some(()));
    live.stop();
}

#[test]
fn a_mark_that_the_journal_does_not_take_blocks_entries_too() {
    let world = World::new();
    world.0.marks_break.store(true, Ordering::SeqCst);
    let live = start(LiveConfig::default(), &world, vec![]);
    live.p0_input(ProducerKind::Protected).unwrap().put(slot(EventType::FillPartial, 0, 1), PATIENCE);
    world.hear(1, |alert| *alert == Alert::JournalFailed);
    assert!(live.holds().has(Cause::Journal) && live.journal_failures() == 1);
    assert!(live.release(Cause::Journal));
    live.journal_failed(); // as whoever writes the mark later says it
    assert!(live.holds().has(Cause::Journal) && live.journal_failures() == 2);
    live.stop();
}

#[test]
fn lost_signals_are_kept_up_to_a_limit_and_counted_beyond_it() {
    let world = World::new();
    let live = start(LiveConfig { dead_letters: 4, ..LiveConfig::default() }, &world, vec![]);
    live.set_slot(qts_core::dispatch::Slot::Operator, DegradationLevel::P2P3Paused);
    for at in 0..10 {
        let result = live.put(heap(EventType::SignalGenerated, &at.to_string(), at));
        assert_eq!(result, PutResult::RefusedPaused);
    }
    assert_eq!(live.lost_signals_discarded(), 6);
    let kept: Vec<_> = live.take_lost_signals().iter().map(|signal| signal.scope.to_string()).collect();
    assert_eq!(kept, ["6", "7", "8", "9"], "the newest");
    live.put(heap(EventType::SignalGenerated, "10", 10));
    assert_eq!((live.take_lost_signals().len(), live.lost_signals_discarded()), (1, 6));
    live.stop();
}

/// §7: a P0 that is slower than its isolation allows, over a whole window.
#[test]
fn a_window_in_which_p0_was_too_slow_is_an_isolation_violation() {
    let world = World::new();
    let slow = world.clone();
    let handler = does(move |event| slow.skip(number(event)));
    let live = start(LiveConfig::default(), &world, vec![(P0, handler)]);
    world.let_it_look();
    let mut input = live.p0_input(ProducerKind::Protected).unwrap();
    input.put(slot(EventType::FillPartial, 0, 11 * MS), PATIENCE);
    until(|| (live.latencies().get(&EventType::FillPartial)?.total.n == 1).then_some(()));
    assert_eq!(live.isolation_violations(), [0, 0]);
    world.skip(60_000 * MS);
    let alert = world.hear(1, |alert| matches!(alert, Alert::Isolation { .. }));
    assert_eq!(alert, Alert::Isolation { level: P0, grade: Grade::Critical, events: 1, slow: 1 });
    until(|| (live.isolation_violations() == [1, 0]).then_some(()));
    live.stop();
}
