//! The lock-free queues under real threads: nothing lost, nothing twice, no torn event, every producer's order.

#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]
#![allow(clippy::unwrap_used, reason = "a value that is not there fails the test")]
#![allow(clippy::disallowed_methods, reason = "real threads in real time")]

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use qts_core::clock::Clock;
use qts_core::event::{
    EventType, P0Event, P0Payload, P1Event, PositionKind, PositionPayload, PutResult, Source, TickPayload,
    Track,
};
use qts_core::fixed::{Money, Price, Qty};
use qts_core::instrument::InstrumentId;
use qts_core::queue::{BoundedQueue, ProducerKind, RingBuffer};

/// Puts of one test in all; `QTS_STRESS_PUTS` asks for more.
fn puts() -> u64 {
    std::env::var("QTS_STRESS_PUTS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000_000)
}

fn p0(number: i64) -> P0Event {
    let payload = PositionPayload {
        instrument: InstrumentId(0),
        track: Track::Scalp,
        qty: Qty(0),
        cost_total: Money(0),
        kind: PositionKind::FillApplied,
        ts_ns: number,
    };
    P0Event::new(EventType::PositionUpdate, Source::System, P0Payload::Position(payload)).unwrap()
}

fn number(event: P0Event) -> i64 {
    match event.payload {
        P0Payload::Position(position) => position.ts_ns,
        other => unreachable!("{other:?}"),
    }
}

struct Wall(Instant);

impl Clock for Wall {
    fn monotonic_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }
}

/// A tick whose every field follows from its producer and number, so that a torn one shows.
fn checked_tick(producer: u32, number: i64) -> P1Event {
    P1Event::tick(TickPayload {
        instrument: InstrumentId(producer),
        ts_recv_ns: number,
        ts_event_ns: -number,
        price: Price(number.wrapping_mul(3)),
        qty: Qty(number.wrapping_mul(7)),
        bid: Price(number.wrapping_mul(31)),
        ask_qty: Qty(number ^ 0x5555),
        ..TickPayload::default()
    })
}

/// How many each producer puts at once, by turns.
const BATCHES: [i64; 3] = [1, 7, 150];

#[test]
fn a_ring_accounts_for_every_event_of_every_producer() {
    const PRODUCERS: u32 = 3;
    let each = i64::try_from(puts() / u64::from(PRODUCERS)).unwrap();
    let ring: RingBuffer<P1Event> = RingBuffer::new(64, 2, PRODUCERS as usize);
    let (start, done) = (Barrier::new(PRODUCERS as usize + 2), AtomicBool::new(false));
    let handled = thread::scope(|scope| {
        let consumers: Vec<_> = std::iter::from_fn(|| ring.consumer())
            .map(|mut consumer| {
                let (start, done) = (&start, &done);
                scope.spawn(move || {
                    let (mut last, mut handled) = ([-1; PRODUCERS as usize], 0_u64);
                    start.wait();
                    loop {
                        let Some(event) = consumer.pop() else {
                            if !consumer.wait(Duration::from_secs(5))
                                && done.load(Ordering::SeqCst)
                                && consumer.is_empty()
                            {
                                return handled;
                            }
                            continue;
                        };
                        let (producer, number) = (event.payload.instrument.0, event.payload.ts_recv_ns);
                        assert_eq!(event.payload, checked_tick(producer, number).payload, "torn");
                        let last = &mut last[producer as usize];
                        assert!(number > *last, "producer {producer}: {number} after {last}");
                        *last = number;
                        handled += 1;
                    }
                })
            })
            .collect();
        let producers: Vec<_> = (0..PRODUCERS)
            .map(|id| {
                let mut producer = ring.producer().unwrap();
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    let (mut next, mut sizes) = (0, BATCHES.into_iter().cycle());
                    while next < each {
                        let end = each.min(next + sizes.next().unwrap());
                        let mut seqs = producer.next_seqs(u64::try_from(end - next).unwrap())..;
                        let number = |event: &mut P1Event| event.envelope.seq = seqs.next().unwrap();
                        let (ticks, mut told) = ((next..end).map(|number| checked_tick(id, number)), 0);
                        producer.put_batch(ticks, number, |result| {
                            assert_ne!(result, PutResult::Closed);
                            told += 1;
                        });
                        assert_eq!(told, end - next);
                        next = end;
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        ring.close();
        consumers.into_iter().map(|one| one.join().unwrap()).sum::<u64>()
    });
    let counters = ring.counters();
    let total = u64::try_from(each).unwrap() * u64::from(PRODUCERS);
    assert_eq!(counters.handled, handled);
    assert_eq!(
        counters.admitted,
        handled + counters.dropped,
        "what came in was handled or counted as dropped"
    );
    assert_eq!(counters.admitted + counters.refused, total, "every put came in or was counted as given up");
    assert!(ring.is_empty());
}

#[test]
fn a_producer_alone_displaces_whole_stretches_and_counts_them() {
    let total = puts() / 4;
    let ring: RingBuffer<P1Event> = RingBuffer::new(100, 2, 1);
    let mut producer = ring.producer().unwrap();
    let done = AtomicBool::new(false);
    let (displaced, handled) = thread::scope(|scope| {
        let consumers: Vec<_> = std::iter::from_fn(|| ring.consumer())
            .map(|mut consumer| {
                let done = &done;
                scope.spawn(move || {
                    let (mut last, mut handled) = (-1, 0_u64);
                    loop {
                        while let Some(event) = consumer.pop() {
                            let (shard, number) = (event.payload.instrument.0, event.payload.ts_recv_ns);
                            assert_eq!(event.payload, checked_tick(shard, number).payload, "torn");
                            assert!(number > last, "{number} after {last}");
                            (last, handled) = (number, handled + 1);
                        }
                        let is_last = done.load(Ordering::SeqCst);
                        if !consumer.wait(Duration::from_secs(60)) && is_last {
                            return handled;
                        }
                    }
                })
            })
            .collect();
        let total = i64::try_from(total).unwrap();
        let ticks = (0..total).map(|number| checked_tick(u32::try_from(number % 3).unwrap(), number));
        let mut displaced = 0_u64;
        producer.put_batch(
            ticks,
            |_| {},
            |result| match result {
                PutResult::AcceptedDroppedOldest => displaced += 1,
                PutResult::Accepted | PutResult::RefusedFull => {}
                other => unreachable!("{other:?}"),
            },
        );
        done.store(true, Ordering::SeqCst);
        ring.close();
        (displaced, consumers.into_iter().map(|one| one.join().unwrap()).sum::<u64>())
    });
    let counters = ring.counters();
    assert_eq!((counters.handled, counters.dropped), (handled, displaced), "as each event was told");
    assert_eq!(counters.handled + counters.dropped + counters.refused, total);
    assert!(displaced > 0, "a full ring is what this is about");
}

#[test]
fn p0_loses_nothing_among_producers_that_wait_and_producers_that_spill() {
    const EACH_KIND: usize = 2;
    let each = i64::try_from(puts() / 16).unwrap();
    let queue: BoundedQueue<P0Event> = BoundedQueue::new(8, 4_096, EACH_KIND, EACH_KIND);
    let total = each * 4;
    thread::scope(|scope| {
        for at in 0..4 {
            let kind = if at < 2 { ProducerKind::Protected } else { ProducerKind::Ordinary };
            let mut producer = queue.producer(kind).unwrap();
            scope.spawn(move || {
                let clock = Wall(Instant::now());
                for number in 0..each {
                    let mut event = p0(at * each + number);
                    event.envelope.seq = producer.next_seq();
                    // A protected producer whose spill is full has its event in the journal; here it tries again.
                    while !matches!(
                        producer.put(&event, &clock, Duration::from_secs(60)),
                        PutResult::Accepted | PutResult::Spilled
                    ) {
                        thread::yield_now();
                    }
                }
            });
        }
        let mut consumer = queue.consumer();
        let mut next = [0_i64; 2 * EACH_KIND];
        for _ in 0..total {
            let event = loop {
                match consumer.pop() {
                    Some(event) => break event,
                    None => _ = consumer.wait(Duration::from_secs(5)),
                }
            };
            let (producer, number) = (number(event) / each, number(event) % each);
            assert_eq!(number, next[usize::try_from(producer).unwrap()], "order of producer {producer}");
            next[usize::try_from(producer).unwrap()] += 1;
        }
        assert_eq!(next, [each; 2 * EACH_KIND]);
    });
    let counters = queue.counters();
    let total = u64::try_from(total).unwrap();
    assert_eq!((counters.admitted, counters.handled), (total, total));
    assert_eq!((queue.len(), queue.spill_len()), (0, 0));
}

/// Spec 17, T3.
#[test]
fn an_ordinary_producer_waits_for_room_and_a_protected_one_does_not() {
    let queue: BoundedQueue<P0Event> = BoundedQueue::new(2, 4, 1, 1);
    let mut ordinary = queue.producer(ProducerKind::Ordinary).unwrap();
    let mut protected = queue.producer(ProducerKind::Protected).unwrap();
    assert!(queue.producer(ProducerKind::Ordinary).is_none(), "all have been given out");
    let clock = Wall(Instant::now());
    let numbered = |at: i64| {
        let mut event = p0(at);
        event.envelope.seq = u64::try_from(at).unwrap();
        event
    };
    for at in 0..2 {
        assert_eq!(ordinary.put(&numbered(at), &clock, Duration::ZERO), PutResult::Accepted);
    }
    let began = Instant::now();
    assert_eq!(ordinary.put(&numbered(2), &clock, Duration::from_millis(2)), PutResult::RefusedFull);
    assert!(began.elapsed() >= Duration::from_millis(1), "it waited");
    assert_eq!(protected.put(&numbered(100), &clock, Duration::from_secs(60)), PutResult::Spilled);
    let mut consumer = queue.consumer();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ordinary.put(&numbered(2), &clock, Duration::from_secs(5)));
        assert_eq!(consumer.pop().map(number), Some(0));
        assert_eq!(waiting.join().unwrap(), PutResult::Accepted);
    });
    queue.close();
    assert_eq!(ordinary.try_put(&p0(3)), PutResult::Closed);
    assert_eq!(std::iter::from_fn(|| consumer.pop()).count(), 3, "what is in can still be taken");
    assert!(!consumer.wait(Duration::from_secs(60)), "a closed and empty queue does not make anybody wait");
}

#[test]
fn a_closed_ring_wakes_its_consumer() {
    let ring: RingBuffer<P1Event> = RingBuffer::new(4, 1, 1);
    let (mut producer, consumer) = (ring.producer().unwrap(), ring.consumer().unwrap());
    assert!(ring.producer().is_none() && ring.consumer().is_none(), "all have been given out");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| consumer.wait(Duration::from_secs(5)));
        ring.close();
        assert!(!waiting.join().unwrap());
    });
    assert_eq!(producer.put(&checked_tick(0, 1)), PutResult::Closed);
}
