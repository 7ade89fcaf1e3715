mod words;

use super::*;
use crate::instrument::InstrumentId;

#[test]
fn there_are_23_types_and_each_has_its_level() {
    let count = |level| EventType::ALL.iter().filter(|kind| kind.priority() == level).count();
    assert_eq!(EventPriority::ALL.map(count), [7, 5, 6, 5]);
    for kind in EventType::ALL {
        assert_eq!(EventType::from_name(kind.name()), Some(kind));
    }
    assert_eq!(EventType::from_name("ORDER_SENT"), None);
}

#[test]
fn flags_follow_the_level_and_signals_never_merge() {
    let fill = EventType::FillPartial.flags();
    assert!(fill.requires_ack && !fill.can_batch && !fill.can_drop && fill.max_process_time_ms == 10);
    assert!(EventType::RiskEvaluate.flags().can_collapse);
    assert!(!EventType::SignalGenerated.flags().can_collapse);
    assert!(EventType::MetricRecord.flags().can_drop);
    assert!(
        EventType::ALL.iter().all(|kind| kind.flags().can_drop == (kind.priority() == EventPriority::P3Low))
    );
}

#[test]
fn a_payload_of_another_type_makes_no_event() {
    let stop = P0Payload::Stop(StopPayload {
        scope: StopScope::All,
        code: 54,
        origin: Source::Safety,
        duration_ms: None,
    });
    assert!(P0Event::new(EventType::FillPartial, Source::Safety, stop).is_none());
    assert!(P0Event::new(EventType::EmergencyStop, Source::Safety, stop).unwrap().is_express());
}

#[test]
fn protected_messages_are_never_dropped() {
    let can_drop = |payload| P3Event::new(payload).can_drop();
    assert!(can_drop(P3Payload::Metric { id: MetricId(1), value_ns: 1 }));
    assert!(can_drop(P3Payload::Dashboard { view: 1 }));
    assert!(can_drop(P3Payload::Log { audit: false, line: 1 }));
    assert!(!can_drop(P3Payload::Log { audit: true, line: 1 }));
    assert!(!can_drop(P3Payload::Report { periodic: false }));
    assert!(can_drop(P3Payload::Notification { severity: Severity::Info, message: 1 }));
    assert!(!can_drop(P3Payload::Notification { severity: Severity::Warning, message: 1 }));
}

#[test]
fn names_are_those_of_the_contracts() {
    assert_eq!(Track::ALL.map(Track::name), ["SCALP", "SWING", "PORTFOLIO"]);
    assert_eq!(Side::Buy.opposite(), Side::Sell);
    assert_eq!(CycleCause::Event.name(), "EVENT");
    assert!(EndReason::OffTick.is_rejection() && !EndReason::SessionEnd.is_rejection());
}

/// Every P2 type takes its own payload and refuses the others.
#[test]
fn each_p2_type_takes_its_own_payload_only() {
    let instrument = InstrumentId(0);
    let payloads = [
        P2Payload::CycleStart { pipeline: 0, cause: CycleCause::Interval, scheduled_ns: 0 },
        P2Payload::Evaluate { subject: 0, instrument: None, data_version: 0 },
        P2Payload::Indicator { instrument, indicator: 0, timeframe_s: 60 },
        P2Payload::Signal {
            strategy: 0,
            instrument,
            side: Side::Buy,
            confidence_ppm: 0,
            cycle: 0,
            expires_ns: 0,
        },
    ];
    let takers = payloads.map(|payload| {
        let takes = |kind: &EventType| P2Event::new(*kind, payload, 0).is_some();
        EventType::ALL.into_iter().filter(takes).map(EventType::name).collect::<Vec<_>>()
    });
    assert_eq!(
        takers,
        [
            vec!["ETEDA_CYCLE_START"],
            vec!["STRATEGY_EVALUATE", "RISK_EVALUATE", "PORTFOLIO_EVALUATE"],
            vec!["INDICATOR_UPDATE"],
            vec!["SIGNAL_GENERATED"],
        ]
    );
}

#[test]
fn a_p3_event_has_the_type_of_its_payload() {
    let names = [
        P3Payload::Dashboard { view: 1 },
        P3Payload::Log { audit: true, line: 1 },
        P3Payload::Report { periodic: true },
        P3Payload::Notification { severity: Severity::Info, message: 1 },
        P3Payload::Metric { id: MetricId(1), value_ns: 1 },
    ]
    .map(|payload| P3Event::new(payload).kind);
    assert_eq!(names, EventType::ALL[18..]);
}

/// The hot path copies events: they stay within two cache lines (spec 17 §14).
#[test]
fn market_events_fit_in_two_cache_lines() {
    assert!(size_of::<P1Event>() <= 128, "{}", size_of::<P1Event>());
}
