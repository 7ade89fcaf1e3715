//! What this host can do: the hot path beside its floor, both under the same load at the same time.
//!
//! A thread that is parked and woken is the least that any queue with a sleeping consumer can cost. Every figure of P0
//! stands beside that floor, measured in the same run in turns, so that the ratio means something on a noisy machine.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use qts_core::clock::Clock;
use qts_core::dispatch::live::{
    Alert, Delivery, Handler, Header, HeapEvent, LiveConfig, LiveDispatcher, LiveError, Outside, Role,
    SlotEvent,
};
use qts_core::dispatch::{Latencies, LatencySummary};
use qts_core::event::{EventPriority, EventType, P1Event, PutResult, Source, TickPayload};
use qts_core::queue::{ProducerKind, RingBuffer};

use crate::clock::HostClock;
use crate::threads::{Scheduling, Threads};

/// Time between two probes: long enough for the other side to be asleep again.
const PERIOD_NS: u64 = 400_000;

/// Sleeps until a moment; returns the one at which it woke.
fn sleep_until(due_ns: u64) -> u64 {
    loop {
        let now_ns = HostClock.monotonic_ns();
        if now_ns >= due_ns {
            return now_ns;
        }
        thread::park_timeout(Duration::from_nanos(due_ns.saturating_sub(now_ns)));
    }
}

/// The surroundings of the dispatcher that is measured.
#[derive(Debug)]
struct Bench(Arc<Threads>);

impl Clock for Bench {
    fn monotonic_ns(&self) -> u64 {
        HostClock.monotonic_ns()
    }
}

impl Outside for Bench {
    fn alert(&self, _: Alert) {}

    fn thread_started(&self, role: Role) {
        self.0.started(role);
    }
}

/// P0 and its floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Beside {
    /// From the put to the handler.
    pub p0: LatencySummary,
    /// From the moment at which the put was due to the handler: a producer that was held up shows here.
    pub p0_due: LatencySummary,
    /// From waking a parked thread to its first act.
    pub bare: LatencySummary,
    /// The same from the moment at which it was due.
    pub bare_due: LatencySummary,
    /// How the threads of P0, with the one that is woken, and of P1 were scheduled.
    pub scheduling: [Scheduling; 2],
}

/// Two latencies of one side.
#[derive(Debug, Default)]
struct Side(Mutex<(Latencies, Latencies)>);

impl Side {
    fn note(&self, put_ns: u64, due_ns: u64, now_ns: u64) {
        let mut both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        both.0.record(now_ns.saturating_sub(put_ns));
        both.1.record(now_ns.saturating_sub(due_ns));
    }

    fn summaries(&self) -> (LatencySummary, LatencySummary) {
        let both = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (both.0.summary(), both.1.summary())
    }
}

/// The P0 handler of the measurement: reads when it was put and due from the payload.
struct Probe {
    side: Arc<Side>,
    handled: Arc<AtomicU64>,
}

impl Handler for Probe {
    fn name(&self) -> &'static str {
        "probe"
    }

    fn handle(&self, event: &Delivery<'_>) -> Result<(), String> {
        let now_ns = HostClock.monotonic_ns();
        let due_ns = event.payload.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        self.side.note(event.header.t_origin_ns, due_ns, now_ns);
        self.handled.fetch_add(1, Ordering::Release);
        Ok(())
    }
}

/// A handler that only passes.
struct Ignore;

impl Handler for Ignore {
    fn name(&self) -> &'static str {
        "ignore"
    }

    fn handle(&self, _: &Delivery<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// What the bare thread is told: when it was woken, and when that was due.
#[derive(Debug, Default)]
struct Word {
    put_ns: AtomicU64,
    due_ns: AtomicU64,
    told: AtomicU64,
    heard: AtomicU64,
    over: AtomicBool,
}

impl Word {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Sleeps until told, notes how long that took, and sleeps again.
    fn listen(&self, side: &Side) {
        let mut heard = 0;
        while !self.is_over() {
            let told = self.told.load(Ordering::Acquire);
            if told == heard {
                thread::park();
                continue;
            }
            let now_ns = HostClock.monotonic_ns();
            heard = told;
            side.note(self.put_ns.load(Ordering::Relaxed), self.due_ns.load(Ordering::Relaxed), now_ns);
            self.heard.store(heard, Ordering::Release);
        }
    }
}

/// Measures `probes` P0 events and as many bare wake-ups in turns, with P1 to P3 flooded by a thread of its own if
/// `flooded`. Takes about 0.8 ms for each.
///
/// # Errors
/// [`LiveError`] if the system refuses a thread.
pub fn p0_beside_bare_wake(probes: u32, flooded: bool) -> Result<Beside, LiveError> {
    let (p0, bare, word) = (Arc::new(Side::default()), Side::default(), Word::default());
    let handled = Arc::new(AtomicU64::new(0));
    let threads = Arc::<Threads>::default();
    let live = LiveDispatcher::new(LiveConfig::default(), Box::new(Bench(Arc::clone(&threads))));
    let probe = Probe { side: Arc::clone(&p0), handled: Arc::clone(&handled) };
    live.register(EventPriority::P0Critical, Arc::new(probe))?;
    for level in [EventPriority::P1High, EventPriority::P2Medium, EventPriority::P3Low] {
        live.register(level, Arc::new(Ignore))?;
    }
    live.start(Vec::new())?;
    thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            threads.started(Role::P0); // a floor that is scheduled otherwise would be none
            word.listen(&bare);
        });
        if flooded {
            scope.spawn(|| flood(&live, &word));
        }
        let wake = || sleeper.thread().unpark();
        send_probes(probes, &live, &word, &handled, wake);
        word.over.store(true, Ordering::SeqCst);
        wake();
    });
    live.stop();
    let ((p0, p0_due), (bare, bare_due)) = (p0.summaries(), bare.summaries());
    Ok(Beside { p0, p0_due, bare, bare_due, scheduling: threads.scheduling() })
}

/// Sends a P0 event and a bare wake-up in turns, each when it is due and only after the one before it has arrived.
fn send_probes(probes: u32, live: &LiveDispatcher, word: &Word, handled: &AtomicU64, wake: impl Fn()) {
    let Some(mut input) = live.p0_input(ProducerKind::Protected) else { return };
    let mut due_ns = HostClock.monotonic_ns();
    for sent in 1..=u64::from(probes) {
        due_ns = due_ns.saturating_add(PERIOD_NS);
        let put_ns = sleep_until(due_ns);
        let header = Header { t_origin_ns: put_ns, ..Header::new(EventType::FillConfirmed, Source::Monitor) };
        if let Ok(event) = SlotEvent::new(header, 0, &due_ns.to_le_bytes()) {
            let _ = input.put(event, Duration::ZERO);
        }
        arrived(handled, sent);
        due_ns = due_ns.max(HostClock.monotonic_ns()).saturating_add(PERIOD_NS);
        let put_ns = sleep_until(due_ns);
        word.put_ns.store(put_ns, Ordering::Relaxed);
        word.due_ns.store(due_ns, Ordering::Relaxed);
        word.told.fetch_add(1, Ordering::Release);
        wake();
        arrived(&word.heard, sent);
        due_ns = due_ns.max(HostClock.monotonic_ns());
    }
}

fn arrived(counter: &AtomicU64, target: u64) {
    while counter.load(Ordering::Acquire) < target {
        thread::park_timeout(Duration::from_micros(50));
    }
}

/// Puts as much on P1, P2 and P3 as one thread can.
fn flood(live: &LiveDispatcher, word: &Word) {
    let Some(mut ticks) = live.p1_input() else { return };
    let event = |kind: EventType, scope: &str| {
        HeapEvent::new(Header::new(kind, Source::Monitor), scope, &[], kind.flags().can_drop)
    };
    let scopes: Vec<String> = (0..500_u32).map(|at| at.to_string()).collect();
    while !word.is_over() {
        for scope in &scopes {
            if let Ok(tick) = SlotEvent::new(Header::new(EventType::PriceTick, Source::Monitor), 0, &[]) {
                ticks.put(tick);
            }
            for event in [event(EventType::RiskEvaluate, scope), event(EventType::MetricRecord, "")] {
                let _ = event.map(|event| live.put(event));
            }
        }
    }
}

/// Events per second from one thread to another through the P1 ring: `events` of them, none dropped.
pub fn p1_events_per_s(events: u32) -> f64 {
    let ring: RingBuffer<P1Event> = RingBuffer::new(10_000, 1, 1);
    let (Some(mut producer), Some(mut consumer)) = (ring.producer(), ring.consumer()) else { return 0.0 };
    let begin_ns = HostClock.monotonic_ns();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut room: usize = 0;
            for _ in 0..events {
                // Asks for the length only where it might be full: the question costs more than the put.
                while room == 0 {
                    room = ring.capacity().saturating_sub(ring.len());
                }
                room = room.saturating_sub(1);
                let mut event = P1Event::tick(TickPayload::default());
                event.envelope.seq = producer.next_seq();
                while producer.put(&event) == PutResult::RefusedFull {}
            }
        });
        let mut taken: u32 = 0;
        while taken < events {
            if consumer.pop().is_some() {
                taken = taken.saturating_add(1);
            } else {
                consumer.wait(Duration::from_millis(1));
            }
        }
    });
    let took = Duration::from_nanos(HostClock.monotonic_ns().saturating_sub(begin_ns));
    f64::from(events) / took.as_secs_f64()
}
