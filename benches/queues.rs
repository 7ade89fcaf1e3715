//! The lock-free queues beside their peers, in turns in one run: what ships (lanes, numbers, exact drop counts, whole payload)
//! against crossbeam's `ArrayQueue` and `SegQueue` and against `rtrb`, which is single producer, single consumer only.

#![allow(clippy::arithmetic_side_effects, clippy::expect_used, reason = "a bench that fails should stop")]
#![allow(clippy::disallowed_methods, reason = "it measures real time")]
#![allow(clippy::cast_precision_loss, clippy::print_stdout, reason = "it prints a table of rates")]

use std::hint::black_box;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use crossbeam_queue::{ArrayQueue, SegQueue};
use qts_core::event::{P1Event, PutResult, TickPayload};
use qts_core::instrument::InstrumentId;
use qts_core::queue::{RingBuffer, RingProducer};

const CAPACITY: usize = 10_000;
/// Of one measurement.
const EVENTS: u64 = 100_000;
const ROUNDS: usize = 101;
/// Turns of a consumer that found nothing: some microseconds.
const LOOK_AWAY: u32 = 256;

fn tick(number: i64) -> P1Event {
    P1Event::tick(TickPayload { ts_recv_ns: number, instrument: InstrumentId(7), ..TickPayload::default() })
}

/// Time for `events` events from one thread to another: `put` says whether it went in, `take` whether one came out.
/// A producer that meets a full queue tries again, so that each side moves the same number of events.
fn across<P: Send>(
    events: u64,
    mut producer: P,
    mut put: impl FnMut(&mut P, P1Event) -> bool + Send,
    mut take: impl FnMut() -> bool,
) -> Duration {
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..events {
                let event = tick(number.cast_signed());
                while !put(&mut producer, event) {
                    std::hint::spin_loop();
                }
            }
        });
        take_all(events, &mut take);
    });
    start.elapsed()
}

fn take_all(events: u64, mut take: impl FnMut() -> bool) {
    let mut taken = 0;
    while taken < events {
        if take() {
            taken += 1;
        } else {
            // Like a worker that parks when it finds nothing: a consumer that never looks away makes every event
            // cost a trip of its line between the cores, whatever the queue.
            for _ in 0..LOOK_AWAY {
                std::hint::spin_loop();
            }
        }
    }
}

/// One way of moving so many events from one thread to another.
type Design = (&'static str, fn(u64) -> Duration);

fn ring_buffer(events: u64) -> Duration {
    let ring: RingBuffer<P1Event> = RingBuffer::new(CAPACITY, 1, 1);
    let (producer, mut consumer) = (ring.producer().expect("first"), ring.consumer().expect("first"));
    let mut room = Room::new(&ring);
    let put = move |producer: &mut RingProducer<P1Event>, mut event: P1Event| {
        if room.take(1) == 0 {
            return false;
        }
        event.envelope.seq = producer.next_seq();
        producer.put(&event) == PutResult::Accepted
    };
    across(events, producer, put, || black_box(consumer.pop()).is_some())
}

/// The same, 100 events a call: what a feed or a Python batch does.
fn ring_buffer_batches(events: u64) -> Duration {
    let ring: RingBuffer<P1Event> = RingBuffer::new(CAPACITY, 1, 1);
    let (mut producer, mut consumer) = (ring.producer().expect("first"), ring.consumer().expect("first"));
    let mut room = Room::new(&ring);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut number = 0;
            while number < events {
                let free = room.take(100.min(events - number));
                let first = producer.next_seqs(free);
                let numbered = (0..free).map(|at| {
                    let mut event = tick((number + at).cast_signed());
                    event.envelope.seq = first + at;
                    event
                });
                producer.put_batch(numbered, |_| {}, |result| assert_eq!(result, PutResult::Accepted));
                number += free;
            }
        });
        take_all(events, || black_box(consumer.pop()).is_some());
    });
    start.elapsed()
}

/// Like its peers the ring does not drop here: its producer looks at the length where it might be full.
struct Room {
    ring: RingBuffer<P1Event>,
    left: u64,
}

impl Room {
    fn new(ring: &RingBuffer<P1Event>) -> Self {
        Self { ring: ring.clone(), left: 0 }
    }

    /// Room for at most so many.
    fn take(&mut self, most: u64) -> u64 {
        if self.left == 0 {
            self.left = (CAPACITY - self.ring.len()) as u64;
        }
        let taken = most.min(self.left);
        self.left -= taken;
        taken
    }
}

fn array_queue(events: u64) -> Duration {
    let queue = Arc::new(ArrayQueue::<P1Event>::new(CAPACITY));
    let other = Arc::clone(&queue);
    let put = move |(): &mut (), event| other.push(event).is_ok();
    across(events, (), put, || black_box(queue.pop()).is_some())
}

fn seg_queue(events: u64) -> Duration {
    let queue = Arc::new(SegQueue::<P1Event>::new());
    let other = Arc::clone(&queue);
    let put = move |(): &mut (), event| {
        other.push(event);
        true
    };
    across(events, (), put, || black_box(queue.pop()).is_some())
}

fn rtrb_ring(events: u64) -> Duration {
    let (producer, mut consumer) = rtrb::RingBuffer::<P1Event>::new(CAPACITY);
    let put = |producer: &mut rtrb::Producer<P1Event>, event| producer.push(event).is_ok();
    across(events, producer, put, || black_box(consumer.pop()).is_ok())
}

/// One thread to one thread, all designs in turns, so that a busy machine disturbs all of them alike.
fn one_to_one() {
    let designs: [Design; 5] = [
        ("ring_buffer", ring_buffer),
        ("ring_buffer, batches of 100", ring_buffer_batches),
        ("array_queue", array_queue),
        ("seg_queue", seg_queue),
        ("rtrb", rtrb_ring),
    ];
    let mut rounds: Vec<Vec<f64>> = vec![Vec::new(); designs.len()];
    for _ in 0..ROUNDS {
        for ((_, run), row) in designs.iter().zip(&mut rounds) {
            row.push(run(EVENTS).as_secs_f64() * 1e9 / EVENTS as f64);
        }
    }
    let peer = rounds.get(2).expect("five designs").clone();
    println!(
        "one_to_one: {EVENTS} events, {ROUNDS} rounds in turns; ns per event and ratio to array_queue, by round"
    );
    for ((name, _), row) in designs.iter().zip(rounds) {
        let mut ratios: Vec<f64> = row.iter().zip(&peer).map(|(own, peer)| own / peer).collect();
        let mut sorted = row;
        sorted.sort_by(f64::total_cmp);
        ratios.sort_by(f64::total_cmp);
        let at = |of: &[f64], part: usize| of.get(of.len() * part / 100).copied().unwrap_or(f64::NAN);
        println!(
            "  {name:<28} median {:>6.1} ns ({:>5.1} M/s)  best {:>6.1}  p10 {:>6.1}  p90 {:>6.1}   ratio median {:.2}  p90 {:.2}",
            at(&sorted, 50),
            1e3 / at(&sorted, 50),
            at(&sorted, 0),
            at(&sorted, 10),
            at(&sorted, 90),
            at(&ratios, 50),
            at(&ratios, 90),
        );
    }
}

fn overload(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("drop_oldest");
    group.throughput(Throughput::Elements(1));
    group.bench_function("ring_buffer", |bencher| {
        let ring: RingBuffer<P1Event> = RingBuffer::new(CAPACITY, 2, 1);
        let mut producer = ring.producer().expect("first");
        bencher.iter(|| {
            let mut event = tick(1);
            event.envelope.seq = producer.next_seq();
            black_box(producer.put(&event))
        });
    });
    group.bench_function("array_queue", |bencher| {
        let queue = ArrayQueue::<P1Event>::new(CAPACITY);
        bencher.iter(|| black_box(queue.force_push(tick(1))));
    });
    group.finish();
}

fn main() {
    one_to_one();
    let mut criterion = Criterion::default().configure_from_args();
    overload(&mut criterion);
    criterion.final_summary();
}
