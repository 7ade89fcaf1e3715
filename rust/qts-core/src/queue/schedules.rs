//! Random schedules of more threads and events than can be exhausted:
//! `RUSTFLAGS="--cfg shuttle" cargo test -p qts-core --lib --release schedules`; `QTS_SCHEDULES` asks for more of them.
//!
//! Nobody's wait ends by time here, so a lost wake-up shows as a deadlock. All orderings count as sequentially
//! consistent: weaker ones are the model checker's.

use std::time::Duration;

use shuttle::thread;

use super::lane::{Head, Record};
use super::{BoundedConsumer, BoundedQueue, P0Record, ProducerKind, RingBuffer, RingRecord};
use crate::clock::Clock;
use crate::event::PutResult;
use crate::sync::{Arc, AtomicBool, AtomicU64, Ordering};

/// Its producer and its number, twice: torn if they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    producer: u64,
    number: u64,
}

impl Record for Item {
    type Words = [u64; 4];

    fn encode(&self, words: &mut Self::Words) -> usize {
        *words = [Head::new(0, 0).0, self.number, self.producer, self.number];
        words.len()
    }

    fn decode(words: &Self::Words) -> Self {
        let [_, first, producer, second] = *words;
        assert_eq!(first, second, "torn");
        Self { producer, number: first }
    }
}

impl RingRecord for Item {
    fn shard_key(&self) -> u32 {
        u32::try_from(self.producer).unwrap()
    }
}

impl P0Record for Item {
    /// Every fourth, so that both lanes are in use.
    fn is_express(&self) -> bool {
        self.number % 4 == 3
    }
}

/// A clock that is past every spin at once.
struct Hurry(AtomicU64);

impl Clock for Hurry {
    fn monotonic_ns(&self) -> u64 {
        self.0.fetch_add(60_000, Ordering::Relaxed)
    }
}

const FOR_EVER: Duration = Duration::MAX;

fn check(model: impl Fn() + Send + Sync + Clone + 'static) {
    let schedules = std::env::var("QTS_SCHEDULES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    shuttle::check_random(model.clone(), schedules);
    shuttle::check_pct(model, schedules, 3);
}

/// The next event of a queue that will get one.
fn take(consumer: &mut BoundedConsumer<Item>) -> Item {
    loop {
        if let Some(item) = consumer.pop() {
            return item;
        }
        consumer.wait(FOR_EVER);
    }
}

#[test]
fn p0_loses_nothing_and_wakes_everybody() {
    const EACH: u64 = 6;
    check(|| {
        let queue: BoundedQueue<Item> = BoundedQueue::new(2, 16, 2, 2);
        let producers: Vec<_> = (0..4)
            .map(|producer| {
                let kind = if producer < 2 { ProducerKind::Protected } else { ProducerKind::Ordinary };
                let mut handle = queue.producer(kind).unwrap();
                thread::spawn(move || {
                    let clock = Hurry(AtomicU64::new(0));
                    for number in 0..EACH {
                        let put =
                            handle.put(&Item { producer, number }, &clock, Duration::from_nanos(u64::MAX));
                        assert!(matches!(put, PutResult::Accepted | PutResult::Spilled), "{put:?}");
                    }
                })
            })
            .collect();
        let mut consumer = queue.consumer();
        let mut seen = vec![Vec::new(); 4];
        for _ in 0..4 * EACH {
            let item = take(&mut consumer);
            seen[usize::try_from(item.producer).unwrap()].push(item);
        }
        for producer in producers {
            producer.join().unwrap();
        }
        for mut items in seen {
            for express in [false, true] {
                assert!(
                    items
                        .iter()
                        .filter(|item| item.is_express() == express)
                        .is_sorted_by_key(|item| item.number)
                );
            }
            items.sort_by_key(|item| item.number);
            assert!(
                items.iter().map(|item| item.number).eq(0..EACH),
                "nothing lost, nothing twice: {items:?}"
            );
        }
        assert_eq!((queue.len(), queue.spill_len()), (0, 0));
    });
}

#[test]
fn closing_lets_everybody_go() {
    check(|| {
        let queue: BoundedQueue<Item> = BoundedQueue::new(1, 0, 0, 2);
        let producers: Vec<_> = (0..2)
            .map(|producer| {
                let mut handle = queue.producer(ProducerKind::Ordinary).unwrap();
                thread::spawn(move || {
                    let clock = Hurry(AtomicU64::new(0));
                    let puts = (0..3).map(|number| {
                        handle.put(&Item { producer, number }, &clock, Duration::from_nanos(u64::MAX))
                    });
                    u64::try_from(puts.filter(|put| *put == PutResult::Accepted).count()).unwrap()
                })
            })
            .collect();
        let mut consumer = queue.consumer();
        let first = take(&mut consumer);
        assert_eq!(first.number, 0);
        queue.close();
        let accepted: u64 = producers.into_iter().map(|producer| producer.join().unwrap()).sum();
        let rest = std::iter::from_fn(|| consumer.pop()).count();
        assert_eq!(accepted, u64::try_from(rest).unwrap() + 1, "what came in can be taken");
    });
}

#[test]
fn a_ring_accounts_for_every_event() {
    const EACH: u64 = 8;
    check(|| {
        let ring: RingBuffer<Item> = RingBuffer::new(4, 2, 3);
        let done = Arc::new(AtomicBool::new(false));
        let consumers: Vec<_> = std::iter::from_fn(|| ring.consumer())
            .map(|mut consumer| {
                let done = Arc::clone(&done);
                thread::spawn(move || {
                    let (mut last, mut handled) = ([None; 3], 0_u64);
                    loop {
                        if let Some(item) = consumer.pop() {
                            let last = &mut last[usize::try_from(item.producer).unwrap()];
                            assert!(last.is_none_or(|last| last < item.number), "in order, nothing twice");
                            (*last, handled) = (Some(item.number), handled + 1);
                        } else if done.load(Ordering::SeqCst) && consumer.is_empty() {
                            return handled;
                        } else {
                            consumer.wait(FOR_EVER);
                        }
                    }
                })
            })
            .collect();
        let producers: Vec<_> = (0..3)
            .map(|producer| {
                let mut handle = ring.producer().unwrap();
                thread::spawn(move || {
                    for number in 0..EACH {
                        assert_ne!(handle.put(&Item { producer, number }), PutResult::Closed);
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        ring.close();
        let handled = consumers.into_iter().map(|consumer| consumer.join().unwrap()).sum::<u64>();
        let counters = ring.counters();
        assert_eq!(counters.handled, handled);
        assert_eq!(counters.admitted, handled + counters.dropped);
        assert_eq!(counters.admitted + counters.refused, 3 * EACH);
    });
}
