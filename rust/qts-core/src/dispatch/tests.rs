use super::*;
use crate::clock::ManualClock;
use crate::event::{
    CycleCause, MetricId, P0Payload, P2Payload, P3Payload, Severity, Side, Source, StopPayload, StopScope,
    TickPayload,
};
use crate::instrument::InstrumentId;

#[derive(Default)]
struct Notes {
    seen: Vec<String>,
    clock: ManualClock,
    fail_on: Option<&'static str>,
}

impl Notes {
    fn note(&mut self, what: String) -> Result<(), String> {
        self.clock.advance(1_000);
        let failed = self.fail_on == Some(what.as_str());
        self.seen.push(what.clone());
        if failed { Err(what) } else { Ok(()) }
    }
}

impl Handlers for Notes {
    type Error = String;

    fn on_p0(&mut self, event: &P0Event) -> Result<(), String> {
        self.note(format!("P0 {}", event.kind.name()))
    }

    fn on_p1(&mut self, event: &P1Event) -> Result<(), String> {
        self.note(format!("P1 {}", event.payload.ts_recv_ns))
    }

    fn on_p2(&mut self, event: &P2Event) -> Result<(), String> {
        self.note(format!("P2 {}", event.kind.name()))
    }

    fn on_p3(&mut self, event: &P3Event) -> Result<(), String> {
        self.note(format!("P3 {}", event.kind.name()))
    }
}

fn dispatcher() -> (Dispatcher<ManualClock>, Notes) {
    let notes = Notes::default();
    (Dispatcher::new(DispatchConfig::default(), notes.clock.clone()), notes)
}

fn stop() -> P0Event {
    let payload = StopPayload { scope: StopScope::All, code: 1, origin: Source::Safety, duration_ms: None };
    P0Event::new(EventType::EmergencyStop, Source::Safety, P0Payload::Stop(payload)).unwrap()
}

fn tick(instrument: u32, ts_recv_ns: i64) -> P1Event {
    P1Event::tick(TickPayload { instrument: InstrumentId(instrument), ts_recv_ns, ..TickPayload::default() })
}

fn cycle(pipeline: u16) -> P2Event {
    let payload = P2Payload::CycleStart { pipeline, cause: CycleCause::Interval, scheduled_ns: 0 };
    P2Event::new(EventType::EtedaCycleStart, payload, 0).unwrap()
}

fn signal(ts_ns: i64) -> P2Event {
    let payload = P2Payload::Signal {
        strategy: 1,
        instrument: InstrumentId(0),
        side: Side::Buy,
        confidence_ppm: 900_000,
        cycle: 1,
        expires_ns: 0,
    };
    P2Event::new(EventType::SignalGenerated, payload, ts_ns).unwrap()
}

fn metric() -> P3Event {
    P3Event::new(P3Payload::Metric { id: MetricId(1), value_ns: 1 })
}

#[test]
fn whatever_waits_above_is_handled_before_each_event() {
    let (mut dispatcher, mut notes) = dispatcher();
    dispatcher.put_p3(metric());
    dispatcher.put_p2(cycle(0));
    dispatcher.put_p1(tick(0, 7));
    dispatcher.put_p0(stop());
    assert_eq!(dispatcher.step(EventPriority::P3Low, 0, &mut notes), Ok(1));
    assert_eq!(notes.seen, ["P0 EMERGENCY_STOP", "P1 7", "P2 ETEDA_CYCLE_START", "P3 METRIC_RECORD"]);
    assert!(EventPriority::ALL.iter().all(|&level| dispatcher.depth(level) == 0));
}

#[test]
fn a_step_handles_one_batch() {
    let (mut dispatcher, mut notes) = dispatcher();
    for at in 0..150 {
        dispatcher.put_p1(tick(0, at));
    }
    assert_eq!(dispatcher.step(EventPriority::P1High, 0, &mut notes), Ok(100));
    assert_eq!(dispatcher.step(EventPriority::P1High, 0, &mut notes), Ok(50));
    assert_eq!(dispatcher.step(EventPriority::P1High, 0, &mut notes), Ok(0));
}

#[test]
fn an_error_reaches_the_caller_and_loses_nothing_behind_it() {
    let (mut dispatcher, mut notes) = dispatcher();
    notes.fail_on = Some("P1 1");
    for at in 0..3 {
        dispatcher.put_p1(tick(0, at));
    }
    assert_eq!(dispatcher.step(EventPriority::P1High, 0, &mut notes), Err("P1 1".to_owned()));
    assert_eq!(dispatcher.step(EventPriority::P1High, 0, &mut notes), Ok(1));
}

#[test]
fn latency_is_measured_from_admission_to_the_end_of_handling() {
    let (mut dispatcher, mut notes) = dispatcher();
    dispatcher.put_p0(stop());
    notes.clock.advance(4_000);
    dispatcher.step(EventPriority::P0Critical, 0, &mut notes).unwrap();
    let summary = dispatcher.latency(EventPriority::P0Critical);
    assert_eq!(summary.n, 1);
    assert!((4_995..=5_005).contains(&summary.max_ns), "{summary:?}");
    assert_eq!(dispatcher.latency(EventPriority::P1High), LatencySummary::default());
}

/// Spec 17 §8.2: what each level pauses.
#[test]
fn each_degradation_level_pauses_its_row() {
    for (level, runs) in [
        (DegradationLevel::Normal, [true, true, true, true]),
        (DegradationLevel::P3Paused, [true, true, true, false]),
        (DegradationLevel::P2P3Paused, [true, true, false, false]),
        (DegradationLevel::CriticalOnly, [true, false, false, false]),
    ] {
        let (mut dispatcher, mut notes) = dispatcher();
        dispatcher.set_slot(Slot::Operator, level);
        dispatcher.put_p0(stop());
        dispatcher.put_p1(tick(0, 1));
        dispatcher.put_p2(cycle(0));
        dispatcher.put_p3(metric());
        let handled = EventPriority::ALL.map(|of| dispatcher.step(of, 0, &mut notes).unwrap() == 1);
        assert_eq!(handled, runs, "{level:?}");
    }
}

#[test]
fn protected_messages_flow_while_p3_is_paused() {
    let (mut dispatcher, mut notes) = dispatcher();
    dispatcher.set_slot(Slot::Safety, DegradationLevel::CriticalOnly);
    dispatcher.put_p3(metric());
    dispatcher.put_p3(P3Event::new(P3Payload::Notification { severity: Severity::Critical, message: 1 }));
    assert_eq!(dispatcher.step(EventPriority::P3Low, 0, &mut notes), Ok(1));
    assert_eq!(notes.seen, ["P3 NOTIFICATION_SEND"]);
}

#[test]
fn slots_are_independent_and_backpressure_is_bounded() {
    let (mut dispatcher, _) = dispatcher();
    dispatcher.set_slot(Slot::Safety, DegradationLevel::P2P3Paused);
    dispatcher.set_slot(Slot::Backpressure, DegradationLevel::CriticalOnly);
    assert_eq!(dispatcher.effective_level(), DegradationLevel::P2P3Paused);
    dispatcher.set_slot(Slot::Safety, DegradationLevel::Normal);
    assert_eq!(dispatcher.effective_level(), DegradationLevel::P2P3Paused);
    dispatcher.set_slot(Slot::Backpressure, DegradationLevel::Normal);
    assert_eq!(dispatcher.effective_level(), DegradationLevel::Normal);
}

#[test]
fn a_paused_p2_refuses_and_starts_afresh() {
    let (mut dispatcher, mut notes) = dispatcher();
    dispatcher.put_p2(cycle(0));
    dispatcher.set_slot(Slot::Safety, DegradationLevel::P2P3Paused);
    assert_eq!(dispatcher.put_p2(cycle(1)), PutResult::RefusedPaused);
    dispatcher.set_slot(Slot::Safety, DegradationLevel::Normal);
    assert_eq!(dispatcher.step(EventPriority::P2Medium, 0, &mut notes), Ok(0));
    let counters = dispatcher.counters(EventPriority::P2Medium);
    assert_eq!((counters.dropped, counters.refused), (1, 1));
}

#[test]
fn after_a_pause_only_the_newest_tick_of_each_instrument_is_left() {
    let (mut dispatcher, mut notes) = dispatcher();
    dispatcher.set_slot(Slot::Safety, DegradationLevel::CriticalOnly);
    for at in 0..6 {
        dispatcher.put_p1(tick(u32::from(at % 2 == 0), at));
    }
    dispatcher.set_slot(Slot::Safety, DegradationLevel::Normal);
    dispatcher.step(EventPriority::P1High, 0, &mut notes).unwrap();
    assert_eq!(notes.seen, ["P1 4", "P1 5"]);
    assert_eq!(dispatcher.counters(EventPriority::P1High).dropped, 4);
}

#[test]
fn a_signal_that_waited_too_long_is_never_handled() {
    let (mut dispatcher, mut notes) = dispatcher();
    dispatcher.put_p2(signal(0));
    dispatcher.put_p2(cycle(0));
    assert_eq!(dispatcher.step(EventPriority::P2Medium, 1_000_000_001, &mut notes), Ok(1));
    assert_eq!(notes.seen, ["P2 ETEDA_CYCLE_START"]);
    assert_eq!(dispatcher.counters(EventPriority::P2Medium).expired, 1);
}

#[test]
fn one_in_64_ticks_is_measured_and_every_p0_event() {
    let (mut dispatcher, mut notes) = dispatcher();
    for at in 0..200 {
        dispatcher.put_p1(tick(0, at));
        dispatcher.put_p0(stop());
    }
    while dispatcher.step(EventPriority::P1High, 0, &mut notes).unwrap() > 0 {}
    assert_eq!(dispatcher.latency(EventPriority::P1High).n, 3);
    assert_eq!(dispatcher.latency(EventPriority::P0Critical).n, 200);
}

#[test]
fn p0_is_admitted_and_handled_at_every_level() {
    let (mut dispatcher, mut notes) = dispatcher();
    dispatcher.set_slot(Slot::Operator, DegradationLevel::CriticalOnly);
    // Five express events more than their lane holds: the rest spills, and everything is handled.
    let results: Vec<_> = (0..21).map(|_| dispatcher.put_p0(stop())).collect();
    assert_eq!(results.iter().filter(|&&result| result == PutResult::Spilled).count(), 5);
    assert_eq!(dispatcher.step(EventPriority::P0Critical, 0, &mut notes), Ok(21));
    assert_eq!(dispatcher.counters(EventPriority::P0Critical).handled, 21);
}

#[test]
fn a_batch_size_of_none_still_moves_on() {
    let config =
        DispatchConfig { p1_batch_size: 0, p2_batch_size: 0, p3_batch_size: 0, ..DispatchConfig::default() };
    let mut notes = Notes::default();
    let mut dispatcher = Dispatcher::new(config, notes.clock.clone());
    dispatcher.put_p1(tick(0, 1));
    dispatcher.put_p2(cycle(0));
    dispatcher.put_p3(metric());
    assert_eq!(dispatcher.step(EventPriority::P3Low, 0, &mut notes), Ok(1));
    assert_eq!(notes.seen.len(), 3);
}
