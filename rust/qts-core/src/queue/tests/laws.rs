//! What holds for every sequence of puts and takes, each queue beside a plain model of it.

use std::collections::VecDeque;

use super::*;

fn at(event: &P1Event) -> i64 {
    event.payload.ts_recv_ns
}

proptest! {
    /// Express before normal, each lane in order, and nothing is lost: only a full spill refuses.
    #[test]
    fn p0_hands_out_exactly_what_it_took_in(steps in prop::collection::vec(0_u8..5, 1..400)) {
        let mut queue = P0::new(4, 8);
        let (mut ordinary, mut emergencies) = (VecDeque::new(), VecDeque::new());
        for (at, step) in (0..).zip(steps) {
            let event = match step {
                0 | 1 => p0(at),
                2 => express(at),
                _ => {
                    let popped = queue.pop();
                    let model = match popped {
                        Some(event) if event.is_express() => &mut emergencies,
                        _ => &mut ordinary,
                    };
                    prop_assert_eq!(popped.map(number), model.pop_front());
                    continue;
                }
            };
            let waiting = queue.queue.len();
            if queue.put(event) == PutResult::RefusedFull {
                prop_assert!(waiting >= 8, "refused with {} waiting", waiting);
            } else {
                let model = if event.is_express() { &mut emergencies } else { &mut ordinary };
                model.push_back(at);
            }
            prop_assert_eq!(queue.queue.len(), ordinary.len() + emergencies.len());
            let counters = queue.queue.counters();
            prop_assert_eq!(counters.dropped, 0);
            prop_assert_eq!(counters.admitted, counters.handled + queue.queue.len() as u64);
        }
        let rest = std::iter::from_fn(|| queue.pop()).count();
        prop_assert_eq!(rest, ordinary.len() + emergencies.len());
    }

    /// The ring holds the newest in order and counts exactly what it gave up.
    #[test]
    fn p1_accounts_for_every_event(steps in prop::collection::vec(any::<bool>(), 1..400), capacity in 1_usize..20) {
        let mut queue = P1::new(capacity);
        let (mut model, mut dropped) = (VecDeque::new(), 0);
        for (next, put) in (0..).zip(steps) {
            if put {
                model.push_back(next);
                let full = model.len() > capacity;
                if full {
                    model.pop_front();
                    dropped += 1;
                }
                let expected = if full { PutResult::AcceptedDroppedOldest } else { PutResult::Accepted };
                prop_assert_eq!(queue.put(tick(next)), expected);
            } else {
                prop_assert_eq!(queue.pop().as_ref().map(at), model.pop_front());
            }
            let counters = queue.ring.counters();
            prop_assert_eq!(counters.dropped, dropped);
            prop_assert_eq!(counters.admitted, counters.handled + counters.dropped + queue.ring.len() as u64);
        }
    }

    /// A batch leaves in the ring what its events one by one would, and says the same of each.
    #[test]
    fn a_batch_of_p1_is_its_events_one_by_one(
        steps in prop::collection::vec((prop::collection::vec(0_u32..3, 0..200), 0_usize..50), 1..12),
        capacity in 1_usize..150,
    ) {
        let rings: [RingBuffer<P1Event>; 2] = std::array::from_fn(|_| RingBuffer::new(capacity, 2, 1));
        let [mut one_by_one, mut together] = rings.each_ref().map(|ring| ring.producer().unwrap());
        let mut outputs: [Vec<_>; 2] = rings.each_ref().map(|ring| std::iter::from_fn(|| ring.consumer()).collect());
        let mut next = 0;
        for (keys, takes) in steps {
            let events = keys.iter().zip(next..).map(|(key, at)| {
                P1Event::tick(TickPayload { instrument: InstrumentId(*key), ts_recv_ns: at, ..TickPayload::default() })
            });
            next += i64::try_from(keys.len()).unwrap();
            let stamp = |event: &mut P1Event| event.payload.ts_event_ns = -at(event);
            let expected: Vec<_> = events
                .clone()
                .map(|mut event| {
                    stamp(&mut event);
                    one_by_one.put(&event)
                })
                .collect();
            let mut results = Vec::new();
            together.put_batch(events, stamp, |result| results.push(result));
            prop_assert_eq!(results, expected);
            let [expected, counters] = rings.each_ref().map(RingBuffer::counters);
            prop_assert_eq!(counters, expected);
            prop_assert!(rings[1].len() <= capacity);
            for _ in 0..takes {
                let [expected, taken] = outputs.each_mut().map(|ends| ends[takes % 2].pop());
                prop_assert_eq!(taken, expected);
            }
        }
        let [expected, left] =
            outputs.each_mut().map(|ends| ends.iter_mut().flat_map(|end| std::iter::from_fn(|| end.pop())).collect::<Vec<_>>());
        prop_assert_eq!(left, expected);
    }

    /// The queue with its two lanes and its table of places does what a search through one list does.
    #[test]
    fn p2_equals_a_search_through_one_list(
        steps in prop::collection::vec((0_u8..9, 0_u32..3), 1..400),
        capacity in 1_usize..8,
    ) {
        let mut queue = CollapsingQueue::new(capacity);
        let mut model: Vec<P2Event> = Vec::new();
        let mut puts = 0;
        for (version, (step, scope)) in (1..).zip(steps) {
            let event = match step {
                0 | 1 => evaluate(EventType::RiskEvaluate, 1, Some(scope), version),
                2 | 3 => evaluate(EventType::StrategyEvaluate, scope, Some(step.into()), version),
                4 => evaluate(EventType::PortfolioEvaluate, scope, None, version),
                5 | 6 => signal(scope.into()),
                _ => {
                    let first = (!model.is_empty()).then(|| model.remove(0));
                    prop_assert_eq!(queue.pop(), first);
                    continue;
                }
            };
            let expected = model_put(&mut model, capacity, event);
            prop_assert_eq!(queue.put(event), expected);
            let counters = queue.counters();
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(counters.admitted, counters.handled + counters.dropped + queue.len() as u64);
            puts += 1;
            prop_assert_eq!(counters.admitted + counters.merged + counters.refused, puts);
        }
        prop_assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), model);
    }

    /// Of the droppable events that meet a full queue exactly every n-th of each type gets in.
    #[test]
    fn p3_takes_every_nth_of_a_type_when_full(
        kinds in prop::collection::vec(any::<bool>(), 1..400),
        capacity in 1_usize..10,
        period in 1_u32..12,
    ) {
        let mut queue = SamplingQueue::new(capacity, period);
        let mut seen = [0_u32; 2];
        for (number, dashboard) in (0_usize..).zip(kinds) {
            let payload = if dashboard {
                P3Payload::Dashboard { view: 1 }
            } else {
                P3Payload::Metric { id: MetricId(1), value_ns: 1 }
            };
            let result = queue.put(P3Event::new(payload));
            if number < capacity {
                prop_assert_eq!(result, PutResult::Accepted);
                continue;
            }
            let count = &mut seen[usize::from(dashboard)];
            *count += 1;
            let expected =
                if *count % period == 0 { PutResult::AcceptedDroppedOldest } else { PutResult::SampledOut };
            prop_assert_eq!(result, expected);
            prop_assert!(queue.len() == capacity);
        }
        let taken = seen.map(|count| u64::from(count / period)).iter().sum::<u64>();
        let counters = queue.counters();
        prop_assert_eq!(counters.dropped, taken);
        prop_assert_eq!(counters.sampled_out, u64::from(seen[0] + seen[1]) - taken);
        prop_assert_eq!(counters.admitted, counters.dropped + queue.len() as u64);
    }
}

fn is_same_wish(one: &P2Event, other: &P2Event) -> bool {
    one.kind == other.kind
        && match (one.payload, other.payload) {
            (
                P2Payload::Evaluate { subject: a, instrument: x, .. },
                P2Payload::Evaluate { subject: b, instrument: y, .. },
            ) => a == b && (one.kind != EventType::RiskEvaluate || x == y),
            (P2Payload::Signal { cycle: a, .. }, P2Payload::Signal { cycle: b, .. }) => a == b,
            _ => false,
        }
}

fn model_put(model: &mut Vec<P2Event>, capacity: usize, event: P2Event) -> PutResult {
    let is_signal = |event: &P2Event| event.kind == EventType::SignalGenerated;
    if let Some(pending) = model.iter_mut().find(|pending| is_same_wish(pending, &event)) {
        if !is_signal(&event) {
            let merged_count = pending.envelope.merged_count + 1;
            let both = (pending.payload, event.payload);
            *pending = event;
            pending.envelope.merged_count = merged_count;
            if let (
                P2Payload::Evaluate { instrument: x, .. },
                P2Payload::Evaluate { subject, instrument: y, data_version },
            ) = both
                && event.kind == EventType::StrategyEvaluate
                && x != y
            {
                pending.payload = P2Payload::Evaluate { subject, instrument: None, data_version };
            }
        }
        return PutResult::Merged;
    }
    if model.len() < capacity {
        model.push(event);
        return PutResult::Accepted;
    }
    match model.iter().position(|event| !is_signal(event)) {
        None => PutResult::RefusedFull,
        Some(oldest) => {
            model.remove(oldest);
            model.push(event);
            PutResult::AcceptedDroppedOldest
        }
    }
}
