//! What it costs to ask the safety word before every order: a load and a look into a table, idle and beside a thread that
//! raises all the time.

#![allow(missing_docs, reason = "criterion's macros make an entry point")]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use criterion::{Criterion, criterion_group, criterion_main};
use qts_core::safety::codes::FS040;
use qts_core::safety::{ActionClass, Flags, ProtectiveExits, SafetyWord, State};

fn permits(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("safety word");
    let word = Arc::new(SafetyWord::new(ProtectiveExits::TrustedOnly));
    group.bench_function("permits", |bencher| {
        bencher.iter(|| black_box(&word).permits(black_box(ActionClass::Entry)));
    });
    let is_over = Arc::new(AtomicBool::new(false));
    let raiser = thread::spawn({
        let (word, is_over) = (Arc::clone(&word), Arc::clone(&is_over));
        move || {
            while !is_over.load(Ordering::Relaxed) {
                word.set_flags(Flags::ENTRIES_BLOCKED);
            }
        }
    });
    group.bench_function("permits, beside a raiser", |bencher| {
        bencher.iter(|| black_box(&word).permits(black_box(ActionClass::Entry)));
    });
    is_over.store(true, Ordering::Relaxed);
    drop(raiser.join());
    group.bench_function("raise", |bencher| {
        bencher.iter(|| black_box(&word).raise(State::Fail, Flags::NONE, &FS040, 1));
    });
    group.finish();
}

criterion_group!(benches, permits);
criterion_main!(benches);
