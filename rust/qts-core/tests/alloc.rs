//! No allocation for a P0 or P1 event once the dispatcher runs, on any thread.

#![allow(unsafe_code, reason = "an allocator that counts")]
#![allow(clippy::unwrap_used, reason = "a value that is not there fails the test")]
#![allow(clippy::disallowed_methods, reason = "real threads in real time")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use qts_core::clock::Clock;
use qts_core::dispatch::live::{
    Alert, Delivery, Handler, Header, LiveConfig, LiveDispatcher, Outside, SlotEvent,
};
use qts_core::event::{EventPriority, EventType, PutResult, Source};
use qts_core::queue::ProducerKind;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

struct Counting;

// SAFETY: it only counts and leaves the work to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Real(Instant);

impl Clock for Real {
    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }
}

impl Outside for Real {
    fn alert(&self, _: Alert) {}
}

struct Counts(Arc<AtomicU64>);

impl Handler for Counts {
    fn name(&self) -> &'static str {
        "counts"
    }

    fn handle(&self, event: &Delivery<'_>) -> Result<(), String> {
        self.0.fetch_add(event.payload.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn p0_and_p1_events_allocate_nothing_once_it_runs() {
    let handled = Arc::new(AtomicU64::new(0));
    let live = LiveDispatcher::new(LiveConfig::default(), Box::new(Real(Instant::now())));
    for level in EventPriority::ALL {
        live.register(level, Arc::new(Counts(Arc::clone(&handled)))).unwrap();
    }
    live.start(Vec::new()).unwrap();
    let mut p0 = live.p0_input(ProducerKind::Protected).unwrap();
    let mut p1 = live.p1_input().unwrap();
    let event = |kind| SlotEvent::new(Header::new(kind, Source::System), 0, &[7; 8]).unwrap();
    let mut burst = || {
        let before = (ALLOCATIONS.load(Ordering::SeqCst), handled.load(Ordering::SeqCst));
        for _ in 0..1_000_u64 {
            assert_ne!(p0.put(event(EventType::FillPartial), Duration::ZERO), PutResult::RefusedFull);
            p1.put(event(EventType::PriceTick));
        }
        while handled.load(Ordering::SeqCst) < before.1.saturating_add(16_000) {
            thread::yield_now();
        }
        ALLOCATIONS.load(Ordering::SeqCst).saturating_sub(before.0)
    };
    let least = (0..8).map(|_| burst()).min();
    live.stop();
    // The least of some bursts: what the process does beside it (the test's own harness) must not count.
    assert_eq!(least, Some(0));
}
