#![allow(clippy::arithmetic_side_effects, reason = "an overflow here fails the test")]

mod laws;

use proptest::prelude::*;

use super::*;
use crate::event::{
    Channel, CycleCause, DisconnectPayload, EventType, MetricId, P0Event, P0Payload, P1Event, P2Event,
    P2Payload, P3Event, P3Payload, PositionKind, PositionPayload, PutResult, Side, Source, TickPayload,
    Track,
};
use crate::fixed::{Money, Qty};
use crate::instrument::InstrumentId;

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

fn express(number: i64) -> P0Event {
    let payload =
        DisconnectPayload { broker: Source::BrokerKis, channel: Channel::Fill, last_seen_ns: number };
    P0Event::new(EventType::BrokerDisconnect, Source::BrokerKis, P0Payload::Disconnect(payload)).unwrap()
}

fn number(event: P0Event) -> i64 {
    match event.payload {
        P0Payload::Position(position) => position.ts_ns,
        P0Payload::Disconnect(lost) => lost.last_seen_ns,
        other => unreachable!("{other:?}"),
    }
}

fn tick(at: i64) -> P1Event {
    P1Event::tick(TickPayload { ts_recv_ns: at, ..TickPayload::default() })
}

fn evaluate(kind: EventType, subject: u32, instrument: Option<u32>, data_version: u64) -> P2Event {
    let instrument = instrument.map(InstrumentId);
    P2Event::new(kind, P2Payload::Evaluate { subject, instrument, data_version }, 0).unwrap()
}

fn signal(cycle: u64) -> P2Event {
    let payload = P2Payload::Signal {
        strategy: 1,
        instrument: InstrumentId(0),
        side: Side::Buy,
        confidence_ppm: 1,
        cycle,
        expires_ns: 0,
    };
    P2Event::new(EventType::SignalGenerated, payload, 0).unwrap()
}

fn metric(value_ns: u64) -> P3Event {
    P3Event::new(P3Payload::Metric { id: MetricId(1), value_ns })
}

fn value(event: P3Event) -> u64 {
    match event.payload {
        P3Payload::Metric { value_ns, .. } => value_ns,
        P3Payload::Log { line, .. } => line,
        other => unreachable!("{other:?}"),
    }
}

/// A queue with its ends in one hand.
struct P0 {
    queue: BoundedQueue<P0Event>,
    input: BoundedProducer<P0Event>,
    output: BoundedConsumer<P0Event>,
}

impl P0 {
    fn new(capacity: usize, spill: usize) -> Self {
        let queue = BoundedQueue::new(capacity, spill, 1, 0);
        let input = queue.producer(ProducerKind::Protected).unwrap();
        Self { input, output: queue.consumer(), queue }
    }

    fn put(&mut self, mut event: P0Event) -> PutResult {
        event.envelope.seq = self.input.next_seq();
        self.input.try_put(&event)
    }

    fn pop(&mut self) -> Option<P0Event> {
        self.output.pop()
    }
}

/// A ring of one shard and one producer with its ends in one hand.
struct P1 {
    ring: RingBuffer<P1Event>,
    input: RingProducer<P1Event>,
    output: RingConsumer<P1Event>,
}

impl P1 {
    fn new(capacity: usize) -> Self {
        let ring = RingBuffer::new(capacity, 1, 1);
        Self { input: ring.producer().unwrap(), output: ring.consumer().unwrap(), ring }
    }

    fn put(&mut self, event: P1Event) -> PutResult {
        self.input.put(&event)
    }

    fn pop(&mut self) -> Option<P1Event> {
        self.output.pop()
    }
}

#[test]
fn p0_loses_nothing_and_keeps_order_through_the_spill() {
    use PutResult::{Accepted, RefusedFull, Spilled};
    let mut queue = P0::new(2, 3);
    let results: Vec<_> = (0..4).map(|at| queue.put(p0(at))).collect();
    assert_eq!(results, [Accepted, Accepted, Spilled, Spilled]);
    assert_eq!(queue.pop().map(number), Some(0));
    // A free slot does not let a later event overtake what was spilled.
    assert_eq!(queue.put(p0(4)), Spilled);
    assert_eq!(queue.put(p0(5)), RefusedFull);
    let rest: Vec<_> = std::iter::from_fn(|| queue.pop()).map(number).collect();
    assert_eq!(rest, [1, 2, 3, 4]);
    assert_eq!(queue.put(p0(7)), Accepted);
    let counters = queue.queue.counters();
    assert_eq!((counters.admitted, counters.handled, counters.spilled, counters.refused), (6, 5, 3, 1));
    assert_eq!((queue.queue.len(), queue.queue.capacity(), queue.queue.is_empty()), (1, 2, false));
    assert_eq!((queue.queue.full_count(), queue.queue.spill_len()), (4, 0));
}

#[test]
fn emergencies_overtake_and_spill_when_their_lane_is_full() {
    let mut queue = P0::new(4, 8);
    queue.put(p0(1));
    for at in 100..117 {
        queue.put(express(at));
    }
    assert_eq!(queue.queue.counters().spilled, 1, "its 16 places are taken");
    let order: Vec<_> = std::iter::from_fn(|| queue.pop()).map(number).collect();
    assert_eq!(order[..2], [100, 101]);
    assert_eq!(order[15..], [115, 116, 1], "what is spilled overtakes too");
    for at in 0..100 {
        queue.put(express(at));
    }
    assert_eq!(std::iter::from_fn(|| queue.pop()).count(), 64 + 8, "express lane and spill");
    assert_eq!(queue.queue.counters().refused, 28);
}

#[test]
fn p1_keeps_the_newest_and_counts_what_it_gave_up() {
    let mut queue = P1::new(3);
    for at in 0..5 {
        queue.put(tick(at));
    }
    let left: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|event| event.payload.ts_recv_ns).collect();
    assert_eq!(left, [2, 3, 4]);
    let counters = queue.ring.counters();
    assert_eq!((counters.admitted, counters.dropped, queue.ring.capacity()), (5, 2, 3));
    assert_eq!(queue.ring.dropped_oldest(EventType::PriceTick), 2);
    assert_eq!(queue.ring.dropped_contended(EventType::PriceTick), 0);
    assert!(queue.ring.is_empty());
}

#[test]
fn p2_merges_by_key_at_the_older_place_with_the_newer_data() {
    let mut queue = CollapsingQueue::new(10);
    queue.put(evaluate(EventType::RiskEvaluate, 1, Some(1), 1));
    queue.put(evaluate(EventType::RiskEvaluate, 1, Some(2), 1));
    assert_eq!(queue.put(evaluate(EventType::RiskEvaluate, 1, Some(1), 2)), PutResult::Merged);
    let first = queue.pop().unwrap();
    assert_eq!(first.envelope.merged_count, 1);
    assert_eq!(first.payload, evaluate(EventType::RiskEvaluate, 1, Some(1), 2).payload);
    // What has been taken out is no longer a target.
    assert_eq!(queue.put(evaluate(EventType::RiskEvaluate, 1, Some(1), 3)), PutResult::Accepted);
    assert_eq!(queue.len(), 2);
}

#[test]
fn p2_merges_strategy_wishes_for_different_instruments_into_all() {
    let mut queue = CollapsingQueue::new(10);
    queue.put(evaluate(EventType::StrategyEvaluate, 7, Some(1), 1));
    assert_eq!(queue.put(evaluate(EventType::StrategyEvaluate, 7, Some(2), 2)), PutResult::Merged);
    assert_eq!(queue.pop().unwrap().payload, evaluate(EventType::StrategyEvaluate, 7, None, 2).payload);
}

#[test]
fn p2_never_merges_signals_but_drops_exact_duplicates() {
    let mut queue = CollapsingQueue::new(10);
    assert_eq!(queue.put(signal(1)), PutResult::Accepted);
    assert_eq!(queue.put(signal(2)), PutResult::Accepted);
    assert_eq!(queue.put(signal(1)), PutResult::Merged);
    assert_eq!(queue.pop().unwrap(), signal(1));
    assert_eq!(queue.pop().unwrap(), signal(2));
}

#[test]
fn p2_gives_up_the_oldest_that_may_merge_and_refuses_among_signals() {
    let mut queue = CollapsingQueue::new(2);
    queue.put(signal(1));
    queue.put(evaluate(EventType::RiskEvaluate, 1, None, 1));
    assert_eq!(queue.put(signal(2)), PutResult::AcceptedDroppedOldest);
    assert_eq!(queue.put(signal(3)), PutResult::RefusedFull);
    assert_eq!((queue.counters().dropped, queue.counters().refused), (1, 1));
    assert_eq!((queue.capacity(), queue.is_empty()), (2, false));
}

#[test]
fn p2_tells_indicators_and_pipelines_apart() {
    let mut queue = CollapsingQueue::new(10);
    for (instrument, timeframe_s) in [(0, 60), (0, 300), (1, 60)] {
        let payload =
            P2Payload::Indicator { instrument: InstrumentId(instrument), indicator: 1, timeframe_s };
        assert_eq!(
            queue.put(P2Event::new(EventType::IndicatorUpdate, payload, 0).unwrap()),
            PutResult::Accepted
        );
    }
    for pipeline in [0, 1] {
        let payload = P2Payload::CycleStart { pipeline, cause: CycleCause::Manual, scheduled_ns: 0 };
        assert_eq!(
            queue.put(P2Event::new(EventType::EtedaCycleStart, payload, 0).unwrap()),
            PutResult::Accepted
        );
    }
    queue.purge();
    assert_eq!((queue.len(), queue.counters().dropped), (0, 5));
}

#[test]
fn p3_keeps_exactly_every_tenth_when_full() {
    let mut queue = SamplingQueue::new(10, 10);
    for at in 0..110 {
        queue.put(metric(at));
    }
    let left: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(left.len(), 10);
    assert!(left.iter().all(|event| event.envelope.sampled_weight == 10));
    assert_eq!(
        left.iter().map(|event| value(*event)).collect::<Vec<_>>(),
        [19, 29, 39, 49, 59, 69, 79, 89, 99, 109]
    );
    assert_eq!(queue.counters().sampled_out, 90);
    assert_eq!((queue.capacity(), queue.is_empty()), (10, true));
}

#[test]
fn p3_protects_audit_lines_from_sampling() {
    let mut queue = SamplingQueue::new(1, 10);
    queue.put(metric(1));
    for line in 0..4_096 {
        assert_eq!(queue.put(P3Event::new(P3Payload::Log { audit: true, line })), PutResult::Accepted);
    }
    assert_eq!(queue.put(P3Event::new(P3Payload::Log { audit: true, line: 0 })), PutResult::RefusedFull);
    assert_eq!(queue.pop().map(value), Some(0));
    assert_eq!(queue.len(), 4_096);
}

#[test]
fn p2_hands_out_signals_and_wishes_in_order_of_arrival() {
    let mut queue = CollapsingQueue::new(10);
    let wish = evaluate(EventType::PortfolioEvaluate, 1, None, 1);
    for event in [signal(1), wish, signal(2)] {
        queue.put(event);
    }
    assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [signal(1), wish, signal(2)]);
}

#[test]
fn p2_takes_the_newest_scope_of_a_portfolio_wish() {
    let mut queue = CollapsingQueue::new(10);
    queue.put(evaluate(EventType::PortfolioEvaluate, 1, Some(1), 1));
    let newer = evaluate(EventType::PortfolioEvaluate, 1, Some(2), 2);
    assert_eq!(queue.put(newer), PutResult::Merged);
    assert_eq!(queue.pop().unwrap().payload, newer.payload);
}

#[test]
fn p2_expires_only_its_oldest_event() {
    let mut queue = CollapsingQueue::new(10);
    queue.put(signal(1));
    queue.put(signal(2));
    assert_eq!(queue.expire_oldest(|_| false), None);
    assert_eq!(queue.expire_oldest(|_| true), Some(signal(1)));
    assert_eq!((queue.len(), queue.counters().expired, queue.counters().handled), (1, 1, 0));
    queue.purge();
    assert_eq!(queue.expire_oldest(|_| true), None);
    // A place given after a purge is found again.
    queue.put(signal(2));
    assert_eq!(queue.put(signal(2)), PutResult::Merged);
}

/// The limit of the ring holds to within 64 events for each producer beyond the first, whoever puts how many in a row.
#[test]
fn p1_with_several_producers_stays_near_its_limit_and_counts_exactly() {
    for (producers, capacity, shards) in [(2, 1, 1), (2, 100, 1), (2, 1_000, 2), (2, 4_096, 1), (3, 500, 2)] {
        for run in [1, 2, 63, 64, 65, 200, 5_000] {
            let ring: RingBuffer<P1Event> = RingBuffer::new(capacity, shards, producers);
            let mut inputs: Vec<_> = (0..producers).map(|_| ring.producer().unwrap()).collect();
            let (mut puts, mut displaced, mut most) = (0_u64, 0_u64, 0);
            for at in 0..3 * capacity + 2 * run * producers {
                let input = &mut inputs[at / run % producers];
                let mut event = tick(i64::try_from(at).unwrap());
                event.payload.instrument = InstrumentId(u32::try_from(at).unwrap());
                event.envelope.seq = input.next_seq();
                puts += 1;
                displaced += u64::from(input.put(&event) == PutResult::AcceptedDroppedOldest);
                let counters = ring.counters();
                most = most.max(counters.admitted - counters.handled - counters.dropped);
            }
            let limit = capacity + 64 * (producers - 1);
            let what = format!("{producers} producers, {capacity} in {shards}, {run} in a row");
            assert!(most <= limit as u64, "{what}: {most} waited");
            assert!(most >= capacity as u64, "{what}: it was never full");
            let mut consumers: Vec<_> = std::iter::from_fn(|| ring.consumer()).collect();
            let left = consumers.iter_mut().map(|one| std::iter::from_fn(|| one.pop()).count() as u64);
            let left: u64 = left.sum();
            let counters = ring.counters();
            assert_eq!((counters.admitted, counters.refused), (puts, 0), "{what}");
            assert_eq!((counters.dropped, counters.dropped + left), (displaced, puts), "{what}");
        }
    }
}
