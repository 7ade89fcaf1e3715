//! Every interleaving of waiting and waking, under the model checker, which fails a model in which somebody waits for
//! ever. What is waited for is published without any order of its own: the signal alone has to see to it.

use std::time::Duration;

use loom::model::Builder;

use super::{Arc, AtomicUsize, Ordering, Signal, thread};

const FOR_EVER: Duration = Duration::MAX;

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// A number that others count up, and the signal that tells of it.
#[derive(Default)]
struct Told {
    count: AtomicUsize,
    signal: Signal,
}

impl Told {
    fn tell(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.signal.notify();
    }

    /// Waits until the number is that high.
    fn hear(&self, count: usize) {
        let is_there = || self.count.load(Ordering::Relaxed) >= count;
        while !self.signal.wait(FOR_EVER, is_there) {}
        assert!(is_there(), "it said so");
    }
}

#[test]
fn one_who_waits_is_woken() {
    check(4, || {
        let told = Arc::new(Told::default());
        let waiter = thread::spawn({
            let told = Arc::clone(&told);
            move || told.hear(1)
        });
        told.tell();
        waiter.join().unwrap();
    });
}

#[test]
fn one_who_waits_again_is_woken_again() {
    check(3, || {
        let told = Arc::new(Told::default());
        let waiter = thread::spawn({
            let told = Arc::clone(&told);
            move || {
                told.hear(1);
                told.hear(2);
            }
        });
        told.tell();
        told.tell();
        waiter.join().unwrap();
    });
}

#[test]
fn two_who_wait_for_one_thing_are_both_woken() {
    check(3, || {
        let told = Arc::new(Told::default());
        let waiters = [(); 2].map(|()| {
            let told = Arc::clone(&told);
            thread::spawn(move || told.hear(1))
        });
        told.tell();
        waiters.map(|waiter| waiter.join().unwrap());
    });
}

/// The first to go must not take the other one's wake-up along.
#[test]
fn two_who_wait_for_different_things_are_both_woken() {
    check(3, || {
        let told = Arc::new(Told::default());
        let waiters = [1, 2].map(|count| {
            let told = Arc::clone(&told);
            thread::spawn(move || told.hear(count))
        });
        told.tell();
        told.tell();
        waiters.map(|waiter| waiter.join().unwrap());
    });
}

#[test]
fn two_who_tell_at_once_leave_nobody_waiting() {
    check(3, || {
        let told = Arc::new(Told::default());
        let teller = thread::spawn({
            let told = Arc::clone(&told);
            move || told.tell()
        });
        let waiter = thread::spawn({
            let told = Arc::clone(&told);
            move || told.hear(2)
        });
        told.tell();
        teller.join().unwrap();
        waiter.join().unwrap();
    });
}
