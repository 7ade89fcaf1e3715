//! The measurements of the host measure something.

#![allow(clippy::unwrap_used, reason = "a value that is not there fails the test")]

use qts_io::measure::{p0_beside_bare_wake, p1_events_per_s};

#[test]
fn p0_and_its_floor_are_measured_in_turns() {
    for flooded in [false, true] {
        let beside = p0_beside_bare_wake(50, flooded).unwrap();
        for summary in [beside.p0, beside.p0_due, beside.bare, beside.bare_due] {
            assert_eq!(summary.n, 50);
            assert!(
                summary.p50_ns > 0 && summary.p50_ns <= summary.p99_ns && summary.p99_ns <= summary.max_ns
            );
        }
        assert!(beside.p0_due.p50_ns >= beside.p0.p50_ns, "what is due is put later, never earlier");
    }
}

#[test]
fn every_event_of_the_throughput_measurement_arrives() {
    assert!(p1_events_per_s(200_000) > 0.0);
}
