//! Every interleaving of small cases, under the model checker:
//! `RUSTFLAGS="--cfg loom" cargo test -p qts-core --lib --release models`.
//!
//! The checker also fails a model in which somebody waits for ever, so these prove the wake-ups as well.

use std::time::Duration;

use loom::model::Builder;
use loom::thread;

use super::lane::{Cursor, Head, Lane, Record, SEQ_WORD};
use super::{BoundedProducer, BoundedQueue, P0Record, ProducerKind, RingBuffer, RingRecord};
use crate::clock::Clock;
use crate::event::PutResult;
use crate::sync::{Arc, AtomicU64, Ordering};

/// A number three times: torn if they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Item {
    number: u64,
    express: bool,
}

const fn item(number: u64) -> Item {
    Item { number, express: false }
}

impl Record for Item {
    type Words = [u64; 4];

    fn encode(&self, words: &mut [u64; 4]) -> usize {
        *words = [Head::new(0, self.express.into()).0, self.number, self.number, self.number];
        4
    }

    fn decode(words: &[u64; 4]) -> Self {
        let [head, first, second, third] = *words;
        assert!(first == second && second == third, "torn: {first} {second} {third}");
        Self { number: first, express: Head(head).own() == 1 }
    }
}

impl RingRecord for Item {
    fn shard_key(&self) -> u32 {
        0
    }
}

impl P0Record for Item {
    fn is_express(&self) -> bool {
        self.express
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

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_lane_gives_each_entry_to_one_taker_and_whole() {
    check(|| {
        let lane = Arc::new(Lane::<[u64; 4]>::new(2));
        let taker = |lane: Arc<Lane<[u64; 4]>>| {
            move || {
                let (mut cursor, mut words) = (Cursor::default(), [0; 4]);
                (0..2)
                    .filter_map(|_| {
                        lane.pop::<false>(&mut cursor, &mut words).map(|_| Item::decode(&words).number)
                    })
                    .collect::<Vec<_>>()
            }
        };
        let other = thread::spawn(taker(Arc::clone(&lane)));
        let (mut cursor, mut put, mut words) = (Cursor::default(), 0, [0; 4]);
        for number in 1..=3 {
            let len = item(number).encode(&mut words);
            assert_eq!(words[SEQ_WORD], number);
            put += u64::from(lane.push(&mut cursor, &words, len));
        }
        let mut taken = taker(Arc::clone(&lane))();
        let others = other.join().unwrap();
        assert!(taken.is_sorted() && others.is_sorted(), "each sees them in order");
        taken.extend(others);
        taken.sort_unstable();
        assert!(taken.windows(2).all(|pair| pair[0] < pair[1]), "nothing twice: {taken:?}");
        assert_eq!(taken.len() + lane.len(), usize::try_from(put).unwrap(), "nothing lost");
    });
}

#[test]
fn a_full_ring_gives_up_its_oldest_under_the_eyes_of_its_consumer() {
    check(|| {
        let ring: RingBuffer<Item> = RingBuffer::new(1, 1, 1);
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        let reader = thread::spawn(move || {
            let seen: Vec<_> = (0..2).filter_map(|_| consumer.pop().map(|item| item.number)).collect();
            (seen, consumer)
        });
        let mut given_up = 0;
        for number in 1..=3 {
            given_up += u64::from(producer.put(&item(number)) == PutResult::RefusedFull);
        }
        let (mut seen, mut consumer) = reader.join().unwrap();
        seen.extend(std::iter::from_fn(|| consumer.pop()).map(|item| item.number));
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order, nothing twice: {seen:?}");
        let counters = ring.counters();
        assert_eq!((counters.handled, counters.refused), (seen.len() as u64, given_up));
        assert_eq!(counters.handled + counters.dropped + counters.refused, 3, "every event is accounted for");
        assert!(given_up > 0 || seen.last() == Some(&3), "the newest is there");
    });
}

#[test]
fn a_batch_displaces_several_under_the_eyes_of_the_consumer() {
    check(|| {
        let ring: RingBuffer<Item> = RingBuffer::new(2, 1, 1);
        let (mut producer, mut consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
        for number in 1..=2 {
            assert_eq!(producer.put(&item(number)), PutResult::Accepted);
        }
        let reader = thread::spawn(move || {
            let seen: Vec<_> = (0..2).filter_map(|_| consumer.pop().map(|item| item.number)).collect();
            (seen, consumer)
        });
        let mut displaced = 0;
        producer.put_batch(
            (3..=4).map(item),
            |_| {},
            |result| {
                assert!(matches!(result, PutResult::Accepted | PutResult::AcceptedDroppedOldest));
                displaced += u64::from(result == PutResult::AcceptedDroppedOldest);
            },
        );
        let (mut seen, mut consumer) = reader.join().unwrap();
        seen.extend(std::iter::from_fn(|| consumer.pop()).map(|item| item.number));
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order, nothing twice: {seen:?}");
        assert!(seen.ends_with(&[3, 4]), "the newest are there: {seen:?}");
        let counters = ring.counters();
        assert_eq!((counters.handled, counters.dropped), (seen.len() as u64, displaced));
        assert_eq!(counters.handled + counters.dropped, 4, "every event is accounted for");
    });
}

#[test]
fn p0_loses_nothing_and_keeps_the_order_of_each_producer() {
    check(|| {
        let queue: BoundedQueue<Item> = BoundedQueue::new(1, 2, 2, 0);
        let put = |mut producer: BoundedProducer<Item>, numbers: [u64; 2]| {
            move || {
                for number in numbers {
                    let result = producer.try_put(&item(number));
                    assert!(matches!(result, PutResult::Accepted | PutResult::Spilled));
                }
            }
        };
        let first = thread::spawn(put(queue.producer(ProducerKind::Protected).unwrap(), [1, 2]));
        let mut consumer = queue.consumer();
        let mut seen: Vec<_> = (0..1).filter_map(|_| consumer.pop()).collect();
        let mut second = queue.producer(ProducerKind::Protected).unwrap();
        assert_ne!(second.try_put(&item(11)), PutResult::RefusedFull);
        first.join().unwrap();
        seen.extend(std::iter::from_fn(|| consumer.pop()));
        let numbers: Vec<_> = seen.iter().map(|item| item.number).collect();
        let of = |from: u64| numbers.iter().copied().filter(move |number| number / 10 == from);
        assert_eq!((of(0).collect::<Vec<_>>(), of(1).collect::<Vec<_>>()), (vec![1, 2], vec![11]));
        assert_eq!((queue.len(), queue.spill_len()), (0, 0));
    });
}

#[test]
fn a_consumer_that_sleeps_is_woken_by_a_put() {
    check(|| {
        let queue: BoundedQueue<Item> = BoundedQueue::new(1, 0, 0, 1);
        let mut producer = queue.producer(ProducerKind::Ordinary).unwrap();
        let mut consumer = queue.consumer();
        let sleeper = thread::spawn(move || {
            loop {
                if let Some(item) = consumer.pop() {
                    return item.number;
                }
                consumer.wait(FOR_EVER);
            }
        });
        assert_eq!(producer.try_put(&item(7)), PutResult::Accepted);
        assert_eq!(sleeper.join().unwrap(), 7);
    });
}

#[test]
fn a_producer_that_waits_for_room_is_woken_by_a_take() {
    check(|| {
        let queue: BoundedQueue<Item> = BoundedQueue::new(1, 0, 0, 1);
        let mut producer = queue.producer(ProducerKind::Ordinary).unwrap();
        let mut consumer = queue.consumer();
        assert_eq!(producer.try_put(&item(1)), PutResult::Accepted);
        let waiting = thread::spawn(move || {
            producer.put(&item(2), &Hurry(AtomicU64::new(0)), Duration::from_nanos(u64::MAX))
        });
        assert_eq!(consumer.pop(), Some(item(1)));
        assert_eq!(waiting.join().unwrap(), PutResult::Accepted);
        assert_eq!(consumer.pop(), Some(item(2)));
    });
}

#[test]
fn closing_wakes_whoever_waits_and_leaves_what_is_in() {
    check(|| {
        let queue: BoundedQueue<Item> = BoundedQueue::new(1, 0, 0, 1);
        let mut producer = queue.producer(ProducerKind::Ordinary).unwrap();
        assert_eq!(producer.try_put(&item(1)), PutResult::Accepted);
        let waiting = thread::spawn(move || {
            producer.put(&item(2), &Hurry(AtomicU64::new(0)), Duration::from_nanos(u64::MAX))
        });
        let mut consumer = queue.consumer();
        queue.close();
        assert_eq!(waiting.join().unwrap(), PutResult::Closed);
        assert_eq!(consumer.pop(), Some(item(1)));
        consumer.wait(FOR_EVER);
        assert_eq!(consumer.pop(), None);
    });
}
