//! An append takes no memory from the heap, not even where a segment ends.
#![allow(unsafe_code, reason = "a global allocator is unsafe by nature")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use qts_core::journal::RecordKind;
use qts_io::journal::{Journal, JournalConfig};

thread_local! {
    static TAKEN: Cell<u64> = const { Cell::new(0) };
}

/// Counts what each thread takes.
struct Counting;

// SAFETY: the system's allocator does the work; counting touches a plain cell of the thread.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        TAKEN.with(|taken| taken.set(taken.get().wrapping_add(1)));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn an_append_takes_no_memory() {
    let dir = tempfile::tempdir().expect("a directory");
    let config = JournalConfig { segment_bytes: 1 << 20, ..JournalConfig::default() };
    let (journal, _) = Journal::open(dir.path(), config, Box::new(|| 1)).expect("a good journal");
    let first = journal.append(RecordKind::Fill, &[1; 120]).expect("room");
    journal.wait_durable(first, Duration::from_secs(10)).expect("durable");
    let mut last = 0;
    let mut least = u64::MAX;
    // Bursts that fit into the segment made ahead; a burst may find the flusher behind and make one itself.
    for _ in 0..8 {
        let before = TAKEN.with(Cell::get);
        for _ in 0..5_000 {
            last = journal.append(RecordKind::Fill, &[1; 120]).expect("room");
        }
        least = least.min(TAKEN.with(Cell::get).wrapping_sub(before));
        journal.wait_durable(last, Duration::from_secs(10)).expect("durable");
    }
    assert_eq!(least, 0);
    assert!(last > 40_000);
}
